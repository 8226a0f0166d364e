//! What goes wrong on demand: the vocabulary, and the one place that decides what is struck.

mod book;
mod damage;
mod dice;
mod rule;

use std::{borrow::Cow, time::Duration};

use ari_core::Request;
use serde::{Deserialize, Serialize};

pub(crate) use self::{
    book::{Consequence, FaultBook, Judged, Verdict},
    damage::truncated,
};
pub use self::{
    book::{FaultId, FaultStatus},
    rule::{FaultError, FaultRule, FaultScope},
};

/// What a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// Requests and their answers: each that fits may be struck.
    Answer,
    /// Events: each that fits may be struck.
    Event,
    /// Connections, those that are there and those to come, until the fault ends.
    Connection,
    /// Asterisk itself: it is done at once, or every so often, or when a request or an event fits.
    Act,
}

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// A request is refused with this status, and not done.
    Status {
        /// Status.
        code: u16,
    },
    /// A request is answered with a page of HTML, as a gateway does it, and not done.
    HtmlPage {
        /// Status.
        code: u16,
    },
    /// A request is done, and its answer comes so much later.
    SlowAnswers {
        /// Milliseconds.
        ms: u64,
    },
    /// A request is done, and its answer does not come before the fault ends.
    NoAnswer,
    /// A request is done, and its connection is reset instead of an answer.
    Reset,
    /// A request is done, and the JSON of its answer is none.
    MalformedJson,
    /// A request is done, and half of its answer comes.
    TruncatedJson {
        /// Whether `Content-Length` tells what really comes. Otherwise the connection ends too early.
        #[serde(default = "yes")]
        honest: bool,
    },
    /// An event comes twice.
    EventTwice,
    /// Events come in another order.
    EventsReordered {
        /// How many are mixed with each other, at most; they are held back for 50 ms at most.
        #[serde(default = "three")]
        window: usize,
    },
    /// The JSON of an event is none.
    EventMalformed,
    /// Half of an event comes.
    EventTruncated,
    /// An event has a type that nobody knows.
    EventUnknown,
    /// An event does not come.
    EventLost,
    /// The connection stays, but nothing is read, written or answered any more, pings neither. When
    /// the fault ends the connection is reset.
    HalfOpen,
    /// Nothing is read until the fault ends: what a client writes piles up.
    StallReads,
    /// New connections are refused until the fault ends.
    RefuseConnections,
    /// The sockets for events are cut, without a close frame.
    DropSockets,
    /// Somebody else takes the application, and keeps it until the fault ends.
    ReplaceApplication,
    /// Asterisk restarts: connections are cut, and all that it knew is lost.
    Restart {
        /// How long connections are refused, in milliseconds.
        #[serde(default)]
        down_ms: u64,
        /// How long requests are refused with 503 after that, in milliseconds.
        #[serde(default)]
        booting_ms: u64,
    },
    /// Asterisk restarts, and has another entity id afterwards.
    ChangeEntityId {
        /// Entity id.
        asterisk_id: String,
        /// How long connections are refused, in milliseconds.
        #[serde(default)]
        down_ms: u64,
        /// How long requests are refused with 503 after that, in milliseconds.
        #[serde(default)]
        booting_ms: u64,
    },
}

const fn yes() -> bool {
    true
}

const fn three() -> usize {
    3
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Fault {
    /// Body of an answer that is no JSON although it says so.
    pub(crate) const GARBAGE: &[u8] = b"{garbage";

    /// Reason phrase of an answer that is a fault's.
    pub(crate) const REASON: &str = "Simulated Fault";

    /// What a refusal says that is a fault's.
    pub(crate) const MESSAGE: &str = "Simulated fault";

    /// Page that is no answer of ARI.
    pub(crate) const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Simulated Fault</title></head>\
        <body><h1>Simulated Fault</h1></body></html>\n";

    /// A request is refused with this status, and not done.
    pub const fn status(code: u16) -> Self {
        Self::Status { code }
    }

    /// A request is done, and its answer comes so much later.
    pub fn slow_answers(delay: Duration) -> Self {
        Self::SlowAnswers { ms: millis(delay) }
    }

    /// Asterisk restarts: it refuses connections for `down`, then requests for `booting`.
    pub fn restart(down: Duration, booting: Duration) -> Self {
        Self::Restart {
            down_ms: millis(down),
            booting_ms: millis(booting),
        }
    }

    /// Asterisk restarts at once, and has another entity id afterwards.
    pub fn change_entity_id(asterisk_id: impl Into<String>) -> Self {
        Self::ChangeEntityId {
            asterisk_id: asterisk_id.into(),
            down_ms: 0,
            booting_ms: 0,
        }
    }

    /// One fault of each sort, for tests that go through all of them.
    pub fn all() -> Vec<Self> {
        vec![
            Self::status(500),
            Self::status(503),
            Self::HtmlPage { code: 502 },
            Self::SlowAnswers { ms: 200 },
            Self::NoAnswer,
            Self::Reset,
            Self::MalformedJson,
            Self::TruncatedJson { honest: true },
            Self::TruncatedJson { honest: false },
            Self::EventTwice,
            Self::EventsReordered { window: three() },
            Self::EventMalformed,
            Self::EventTruncated,
            Self::EventUnknown,
            Self::EventLost,
            Self::HalfOpen,
            Self::StallReads,
            Self::RefuseConnections,
            Self::DropSockets,
            Self::ReplaceApplication,
            Self::Restart {
                down_ms: 200,
                booting_ms: 200,
            },
            Self::ChangeEntityId {
                asterisk_id: "02:00:00:00:00:99".to_owned(),
                down_ms: 200,
                booting_ms: 200,
            },
        ]
    }

    /// Its name, as in `drop_sockets`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::HtmlPage { .. } => "html_page",
            Self::SlowAnswers { .. } => "slow_answers",
            Self::NoAnswer => "no_answer",
            Self::Reset => "reset",
            Self::MalformedJson => "malformed_json",
            Self::TruncatedJson { .. } => "truncated_json",
            Self::EventTwice => "event_twice",
            Self::EventsReordered { .. } => "events_reordered",
            Self::EventMalformed => "event_malformed",
            Self::EventTruncated => "event_truncated",
            Self::EventUnknown => "event_unknown",
            Self::EventLost => "event_lost",
            Self::HalfOpen => "half_open",
            Self::StallReads => "stall_reads",
            Self::RefuseConnections => "refuse_connections",
            Self::DropSockets => "drop_sockets",
            Self::ReplaceApplication => "replace_application",
            Self::Restart { .. } => "restart",
            Self::ChangeEntityId { .. } => "change_entity_id",
        }
    }

    /// What it strikes.
    pub const fn kind(&self) -> FaultKind {
        match self {
            Self::Status { .. }
            | Self::HtmlPage { .. }
            | Self::SlowAnswers { .. }
            | Self::NoAnswer
            | Self::Reset
            | Self::MalformedJson
            | Self::TruncatedJson { .. } => FaultKind::Answer,
            Self::EventTwice
            | Self::EventsReordered { .. }
            | Self::EventMalformed
            | Self::EventTruncated
            | Self::EventUnknown
            | Self::EventLost => FaultKind::Event,
            Self::HalfOpen | Self::StallReads | Self::RefuseConnections => FaultKind::Connection,
            Self::DropSockets
            | Self::ReplaceApplication
            | Self::Restart { .. }
            | Self::ChangeEntityId { .. } => FaultKind::Act,
        }
    }

    /// It as a rule, without limits: until it is cleared, or, where it is an act, once.
    pub fn rule(self) -> FaultRule {
        FaultRule::from(self)
    }

    /// It as a rule that strikes so often.
    pub fn times(self, times: u64) -> FaultRule {
        self.rule().times(times)
    }

    /// It as a rule that strikes once.
    pub fn once(self) -> FaultRule {
        self.times(1)
    }
}

/// A request, as a rule sees it.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Path below `/ari`.
    pub(crate) path: Cow<'a, str>,
    /// Path template of the operation, if there is one.
    pub(crate) template: Option<&'static str>,
}

impl<'a> Asked<'a> {
    /// A request by its method and its path below `/ari`.
    pub(crate) fn of(method: &'a str, path: &'a str) -> Self {
        let request = Request::from_http(method, path, None);
        Self {
            method,
            path: Cow::Borrowed(path),
            template: request.ok().map(|request| request.operation.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn all_are_all() {
        // Who reads a fault of no known name is told every name.
        let told = serde_json::from_str::<Fault>(r#"{"fault": "?"}"#).unwrap_err();
        let told = told.to_string();
        let (_, known) = told.split_once("expected one of").unwrap();
        let known: BTreeSet<_> = known.split('`').skip(1).step_by(2).collect();
        let all = Fault::all();
        assert_eq!(known, all.iter().map(Fault::name).collect(), "{told}");
    }
}
