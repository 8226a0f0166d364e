//! What was seen of calls at the phone.

use serde::Serialize;

/// Who ended a call.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HangupParty {
    /// An application, by a request.
    Application,
    /// The caller.
    Caller,
    /// The side that was called: it refused the call or hung up.
    Called,
    /// The caller, because nobody answered.
    GaveUp,
    /// The caller, because the call lasted too long.
    Limit,
    /// Asterisk: nobody took the call, or the dialplan was over.
    Dialplan,
}

/// Something that was heard at the phone.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Media URI.
    pub media: String,
    /// When it began, in milliseconds of the world.
    pub at_ms: u64,
    /// When it stopped, at its end or before.
    pub until_ms: Option<u64>,
    /// Whether it was heard to its end.
    pub to_end: bool,
}

/// What became of one call, as the phone saw it.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRecord {
    /// Number of the call in this world, from 1; those that phones placed and those that they received
    /// are counted apart.
    pub number: u64,
    /// Id of the channel; none where the dialplan has no such extension.
    pub channel_id: String,
    /// Application that it was for, if it went straight to one.
    pub application: String,
    /// Extension that was called, or endpoint that was.
    pub dialed: String,
    /// When it was placed, in milliseconds of the world.
    pub placed_at_ms: u64,
    /// When it was answered.
    pub answered_at_ms: Option<u64>,
    /// How often an answer was requested, by anybody.
    pub answers: u32,
    /// How often something was requested to be played to the channel.
    pub plays: u32,
    /// How many of these came while something else was being played.
    pub overlaps: u32,
    /// What was heard.
    pub heard: Vec<Heard>,
    /// Digits that were pressed at the phone.
    pub digits_pressed: String,
    /// Those of them that a connected application was told of.
    pub digits_taken: String,
    /// How often the channel entered a bridge.
    pub bridged: u32,
    /// Whether it is in one now.
    pub in_bridge: bool,
    /// Who ended it.
    pub hung_up_by: Option<HangupParty>,
    /// Cause of the hangup.
    pub cause: Option<u16>,
    /// When it ended.
    pub ended_at_ms: Option<u64>,
}

/// What became of all calls.
#[derive(Clone, Copy, Debug, Default, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallTotals {
    /// Calls that were placed.
    pub placed: u64,
    /// Calls that are still to be placed; those without end count as one.
    pub waiting: u64,
    /// Calls that go on.
    pub active: u64,
    /// Calls that ended.
    pub ended: u64,
    /// Ended calls that were answered.
    pub answered: u64,
    /// Ended calls for which more than one answer was requested.
    pub answered_twice: u64,
    /// Ended calls that nobody answered.
    pub lost: u64,
    /// Ended calls that were in a bridge.
    pub bridged: u64,
    /// Ended calls that the application hung up.
    pub hung_up_by_application: u64,
}
