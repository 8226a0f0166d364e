//! How fast a trace is told.

use std::{error::Error, fmt, str::FromStr, time::Duration};

/// How fast a [`Replay`](crate::Replay) is: so many times as it was recorded, or as fast as possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed(Option<f64>);

impl Speed {
    /// As it was recorded.
    pub const RECORDED: Self = Self(Some(1.0));

    /// As fast as possible: nothing waits but for what the client does.
    pub const MAX: Self = Self(None);

    /// So many times as fast.
    ///
    /// # Errors
    /// It is not above 0.
    pub fn times(factor: f64) -> Result<Self, InvalidSpeed> {
        if factor.is_finite() && factor > 0.0 {
            Ok(Self(Some(factor)))
        } else {
            Err(InvalidSpeed)
        }
    }

    /// How long something takes that took `recorded`.
    pub(super) fn of(self, recorded: Duration) -> Duration {
        self.0.map_or(Duration::ZERO, |factor| {
            Duration::try_from_secs_f64(recorded.as_secs_f64() / factor).unwrap_or(Duration::MAX)
        })
    }
}

impl FromStr for Speed {
    type Err = InvalidSpeed;

    fn from_str(text: &str) -> Result<Self, InvalidSpeed> {
        if text == "max" {
            return Ok(Self::MAX);
        }
        Self::times(text.parse().map_err(|_| InvalidSpeed)?)
    }
}

/// What is neither a factor above 0 nor `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSpeed;

impl fmt::Display for InvalidSpeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a speed is a number above 0, or `max`")
    }
}

impl Error for InvalidSpeed {}
