//! Points in time as ARI writes them.

use std::{fmt, str::FromStr};

use crate::model::Borrowed;
use jiff::{
    Zoned,
    civil::DateTime,
    tz::{Offset, TimeZone},
};
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
        as_asterisk_writes(text)
            .or_else(|| in_any_spelling(text))
            .map(Self)
            .ok_or_else(|| ParseTimestampError(text.chars().take(64).collect()))
    }
}

fn in_any_spelling(text: &str) -> Option<Zoned> {
    let pieces = jiff::fmt::temporal::DateTimeParser::new()
        .parse_pieces(text)
        .ok()?;
    zoned(
        pieces.date().to_datetime(pieces.time()?),
        pieces.to_numeric_offset()?,
    )
}

fn zoned(civil: DateTime, offset: Offset) -> Option<Zoned> {
    let instant = offset.to_timestamp(civil).ok()?;
    Some(instant.to_zoned(TimeZone::fixed(offset)))
}

/// Reads `2026-11-21T07:36:04.830+0000`, digit by digit: every event and most answers have such a text, and whatever
/// is written otherwise is for the reader that knows all spellings.
fn as_asterisk_writes(text: &str) -> Option<Zoned> {
    let &[
        y0,
        y1,
        y2,
        y3,
        b'-',
        mo0,
        mo1,
        b'-',
        d0,
        d1,
        b'T',
        h0,
        h1,
        b':',
        mi0,
        mi1,
        b':',
        s0,
        s1,
        b'.',
        ms0,
        ms1,
        ms2,
        sign @ (b'+' | b'-'),
        oh0,
        oh1,
        om0,
        om1,
    ] = text.as_bytes().as_array::<28>()?
    else {
        return None;
    };
    let number = |digits: &[u8]| {
        digits.iter().try_fold(0_i16, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + i16::from(digit - b'0'))
        })
    };
    let two = |tens, ones| i8::try_from(number(&[tens, ones])?).ok();
    let civil = DateTime::new(
        number(&[y0, y1, y2, y3])?,
        two(mo0, mo1)?,
        two(d0, d1)?,
        two(h0, h1)?,
        two(mi0, mi1)?,
        two(s0, s1)?,
        i32::from(number(&[ms0, ms1, ms2])?) * 1_000_000,
    );
    let (hours, minutes) = (two(oh0, oh1)?, two(om0, om1)?);
    let seconds = i32::from(hours) * 3_600 + i32::from(minutes) * 60;
    let offset = Offset::from_seconds(if sign == b'-' { -seconds } else { seconds });
    zoned(civil.ok()?, offset.ok().filter(|_| minutes < 60)?)
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
    fn what_asterisk_writes_is_read_as_in_any_spelling() {
        let plain = "2026-11-21T07:36:04.830+0000";
        for place in 0..plain.len() {
            for other in " +-.:0123456789TZ".chars() {
                let mut text = plain.to_owned();
                text.replace_range(place..=place, other.encode_utf8(&mut [0; 4]));
                if let Some(read) = as_asterisk_writes(&text) {
                    assert_eq!(Some(read), in_any_spelling(&text), "{text}");
                }
            }
        }
        for text in [
            plain,
            "2024-02-29T23:59:59.999-2359",
            "0001-01-01T00:00:00.000+0000",
            "0000-12-31T00:00:00.001-0000",
            "9999-12-30T21:59:59.999+0200",
        ] {
            let read = as_asterisk_writes(text);
            assert!(read.is_some(), "{text}");
            assert_eq!(read, in_any_spelling(text));
        }
        for text in [
            "2023-02-29T00:00:00.000+0000",
            "2023-02-28T24:00:00.000+0000",
            "2026-11-21T07:36:04.830+0060",
            "2026-11-21T07:36:04.830Z0000",
        ] {
            assert_eq!(as_asterisk_writes(text), None, "{text}");
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
