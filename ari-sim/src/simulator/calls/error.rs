//! How a call ended, and what came instead of what somebody at the phone waited for.

use std::{fmt, time::Duration};

use crate::world::{ActError, CallRecord, HangupParty, Heard, cause_text};

/// How a call ended, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallEnd {
    /// Who ended it.
    pub by: HangupParty,
    /// Cause of the hangup.
    pub cause: u16,
    /// Whether it had been answered.
    pub answered: bool,
    /// How long it had lasted since the answer, or since it was placed if there was none.
    pub lasted: Duration,
}

impl CallEnd {
    /// The end of a call that has ended.
    pub(super) fn of(record: &CallRecord) -> Option<Self> {
        let ended = record.ended_at_ms?;
        let since = record.answered_at_ms.unwrap_or(record.placed_at_ms);
        Some(Self {
            by: record.hung_up_by.unwrap_or(HangupParty::Dialplan),
            cause: record.cause.unwrap_or_default(),
            answered: record.answered_at_ms.is_some(),
            lasted: Duration::from_millis(ended.saturating_sub(since)),
        })
    }
}

impl fmt::Display for CallEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by = match self.by {
            HangupParty::Application => "hung up by the application",
            HangupParty::Caller => "hung up by the caller",
            HangupParty::Called if self.answered => "hung up by the side that was called",
            HangupParty::Called => "refused by the side that was called",
            HangupParty::GaveUp => "given up by the caller",
            HangupParty::Limit => "hung up by the caller at the limit",
            HangupParty::Dialplan => "ended by the dialplan",
        };
        let since = if self.answered {
            "after the answer"
        } else {
            "without an answer"
        };
        let (seconds, cause) = (self.lasted.as_secs_f64(), self.cause);
        let text = cause_text(cause);
        write!(f, "{by} {seconds:.1} s {since}, cause {cause} ({text})")
    }
}

/// What came instead of what somebody at the phone waited for, or wanted to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallError {
    /// The call ended first.
    Ended {
        /// What was waited for, or done.
        wanted: String,
        /// How it ended.
        end: CallEnd,
        /// What had been heard.
        heard: Vec<Heard>,
    },
    /// Nothing came in time.
    TimedOut {
        /// What was waited for.
        wanted: String,
        /// For how long.
        after: Duration,
        /// Whether the call had been answered.
        answered: bool,
        /// What had been heard.
        heard: Vec<Heard>,
    },
    /// No call came to a phone in time.
    NoCall {
        /// The endpoint.
        endpoint: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// Media was stopped before its end.
    CutOff {
        /// The media.
        heard: Heard,
    },
    /// No phone can do that.
    Impossible(ActError),
    /// The simulator was stopped.
    Stopped,
}

/// Lists what was heard.
struct List<'a>(&'a [Heard]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing was heard");
        }
        for (place, heard) in self.0.iter().enumerate() {
            f.write_str(if place == 0 { "heard: " } else { ", " })?;
            f.write_str(&heard.media)?;
            match (heard.until_ms, heard.to_end) {
                (None, _) => f.write_str(" (going on)")?,
                (Some(until), false) => {
                    write!(
                        f,
                        " (cut off after {} ms)",
                        until.saturating_sub(heard.at_ms)
                    )?;
                }
                (Some(_), true) => {}
            }
        }
        Ok(())
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended { wanted, end, heard } => {
                write!(f, "{wanted}: the call was {end}; {}", List(heard))
            }
            Self::TimedOut {
                wanted,
                after,
                answered,
                heard,
            } => {
                let state = if *answered {
                    "answered"
                } else {
                    "not answered"
                };
                let heard = List(heard);
                write!(
                    f,
                    "{wanted}: not within {after:?}; the call was {state}; {heard}"
                )
            }
            Self::NoCall { endpoint, after } => {
                write!(f, "no call came to PJSIP/{endpoint} within {after:?}")
            }
            Self::CutOff { heard } => {
                let after = heard
                    .until_ms
                    .unwrap_or(heard.at_ms)
                    .saturating_sub(heard.at_ms);
                write!(f, "{} was cut off after {after} ms", heard.media)
            }
            Self::Impossible(reason) => reason.fmt(f),
            Self::Stopped => f.write_str("the simulator was stopped"),
        }
    }
}

impl std::error::Error for CallError {}
