//! Points in time as ARI writes them.

use std::{fmt, str::FromStr};

use crate::model::Borrowed;
use jiff::{Zoned, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A point in time with its offset, in milliseconds, as in `2026-11-21T07:36:04.830+0000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Zoned);

/// A text that is no point in time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date with time and offset")]
pub struct ParseTimestampError(String);

impl Timestamp {
    /// Makes the point in time so many milliseconds after 1970-01-01T00:00:00Z, in UTC.
    ///
    /// `None` where that is outside of the years -9999 to 9999.
    pub fn from_unix_millis(millis: i64) -> Option<Self> {
        let instant = jiff::Timestamp::from_millisecond(millis).ok()?;
        Some(Self(instant.to_zoned(TimeZone::UTC)))
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub fn unix_millis(&self) -> i64 {
        self.0.timestamp().as_millisecond()
    }

    /// Whether this is Go's zero time (year 1), which stands for "none".
    pub fn is_zero(&self) -> bool {
        self.0.year() <= 1
    }

    /// The same point in time in UTC.
    #[must_use]
    pub fn to_utc(&self) -> Self {
        Self(self.0.with_time_zone(TimeZone::UTC))
    }
}

impl FromStr for Timestamp {
    type Err = ParseTimestampError;

    fn from_str(text: &str) -> Result<Self, ParseTimestampError> {
        let refuse = || ParseTimestampError(text.chars().take(64).collect());
        let pieces = jiff::fmt::temporal::DateTimeParser::new()
            .parse_pieces(text)
            .map_err(|_| refuse())?;
        let time = pieces.time().ok_or_else(refuse)?;
        let offset = pieces.to_numeric_offset().ok_or_else(refuse)?;
        let civil = pieces.date().to_datetime(time);
        let instant = offset.to_timestamp(civil).map_err(|_| refuse())?;
        Ok(Self(instant.to_zoned(TimeZone::fixed(offset))))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let offset = self.0.offset().seconds();
        let (sign, minutes) = (
            if offset < 0 { '-' } else { '+' },
            offset.unsigned_abs() / 60,
        );
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}{sign}{:02}{:02}",
            self.0.year(),
            self.0.month(),
            self.0.day(),
            self.0.hour(),
            self.0.minute(),
            self.0.second(),
            self.0.millisecond(),
            minutes / 60,
            minutes % 60,
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Borrowed(text) = Borrowed::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asterisk_writes_comes_back_as_it_was() {
        for text in [
            "2026-11-21T07:36:04.830+0000",
            "2024-05-06T07:08:09.123-0400",
            "0001-01-01T00:00:00.000+0000",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn other_spellings_are_taken() {
        let expected: Timestamp = "2026-11-21T07:36:04.000+0000".parse().unwrap();
        for text in [
            "2026-11-21T07:36:04Z",
            "2026-11-21T07:36:04+00:00",
            "2026-11-21T07:36:04.000000+0000",
        ] {
            assert_eq!(
                text.parse::<Timestamp>().unwrap().unix_millis(),
                expected.unix_millis(),
                "{text}"
            );
        }
        for text in [
            "",
            "yesterday",
            "2026-11-21",
            "2026-11-21T07:36:04",
            "1764000000",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_zero_time_of_go_is_none() {
        assert!(
            "0001-01-01T00:00:00.000+0000"
                .parse::<Timestamp>()
                .unwrap()
                .is_zero()
        );
        assert!(
            !"1970-01-01T00:00:00.000+0000"
                .parse::<Timestamp>()
                .unwrap()
                .is_zero()
        );
    }

    #[test]
    fn utc_keeps_the_instant() {
        let local: Timestamp = "2024-05-06T07:08:09.123-0400".parse().unwrap();
        assert_eq!(local.to_utc().to_string(), "2024-05-06T11:08:09.123+0000");
    }
}
