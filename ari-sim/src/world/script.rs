//! Scripted callers: what they do, and what they saw.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a caller does, from the call to the end of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CallScript {
    /// Stasis application that the dialplan sends the call to.
    pub application: String,
    /// Arguments of `Stasis()`.
    pub args: Vec<String>,
    /// Caller id, as in `"Ann" <5551>`.
    pub caller_id: String,
    /// Name of the SIP endpoint that the call comes from.
    pub endpoint: String,
    /// How long the caller waits for an answer.
    #[serde(rename = "give_up_after_ms", with = "millis")]
    pub give_up_after: Duration,
    /// How long after the answer the caller hangs up, if nobody else has.
    #[serde(rename = "limit_ms", with = "millis")]
    pub limit: Duration,
    /// What the caller does on the way; each step once.
    pub steps: Vec<Step>,
}

impl Default for CallScript {
    fn default() -> Self {
        Self {
            application: String::new(),
            args: Vec::new(),
            caller_id: "\"Caller\" <7001>".to_owned(),
            endpoint: "phone".to_owned(),
            give_up_after: Duration::from_secs(30),
            limit: Duration::from_mins(2),
            steps: Vec::new(),
        }
    }
}

impl CallScript {
    /// A caller of this application who waits to be hung up.
    pub fn new(application: impl Into<String>) -> Self {
        Self {
            application: application.into(),
            ..Self::default()
        }
    }

    /// The same with this caller id.
    #[must_use]
    pub fn caller_id(mut self, caller_id: impl Into<String>) -> Self {
        self.caller_id = caller_id.into();
        self
    }

    /// The same who gives up after so long without an answer.
    #[must_use]
    pub const fn give_up_after(mut self, patience: Duration) -> Self {
        self.give_up_after = patience;
        self
    }

    /// The same who hangs up so long after the answer.
    #[must_use]
    pub const fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The same who presses digits so long after a cue.
    #[must_use]
    pub fn press(mut self, on: Cue, after: Duration, digits: impl Into<String>) -> Self {
        self.steps.push(Step {
            on,
            media: None,
            after,
            press: Some(digits.into()),
            hang_up: false,
        });
        self
    }

    /// The same who hangs up so long after a cue.
    #[must_use]
    pub fn hang_up(mut self, on: Cue, after: Duration) -> Self {
        self.steps.push(Step {
            on,
            media: None,
            after,
            press: None,
            hang_up: true,
        });
        self
    }
}

/// One thing that a caller does, when something happens.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it waits for.
    pub on: Cue,
    /// Media that has to be heard, where it waits for that; any without.
    #[serde(default)]
    pub media: Option<String>,
    /// How long after it.
    #[serde(default, rename = "after_ms", with = "millis")]
    pub after: Duration,
    /// Digits to be pressed.
    #[serde(default)]
    pub press: Option<String>,
    /// Whether to hang up.
    #[serde(default)]
    pub hang_up: bool,
}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Cue {
    /// The call was placed.
    Placed,
    /// The call was answered.
    Answered,
    /// Something begins to be heard.
    Hearing,
    /// Something was heard to its end.
    Heard,
    /// The channel entered a bridge.
    Bridged,
    /// The channel left a bridge.
    Unbridged,
}

/// Who ended a call.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum HangupParty {
    /// An application, by a request.
    Application,
    /// The caller, by a step of the script.
    Caller,
    /// The caller, because nobody answered.
    GaveUp,
    /// The caller, because the call lasted too long.
    Limit,
    /// Asterisk: nobody took the call, or the dialplan was over.
    Dialplan,
}

/// Something that a caller heard.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heard {
    /// Media URI.
    pub media: String,
    /// When it began, in milliseconds of the world.
    pub at_ms: u64,
    /// Whether it was heard to its end.
    pub to_end: bool,
}

/// What became of one call, from the caller's side.
#[derive(Clone, Debug, Default, Serialize, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRecord {
    /// Number of the call in this world, from 1.
    pub number: u64,
    /// Id of the channel.
    pub channel_id: String,
    /// Application that it was for.
    pub application: String,
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
    /// Digits that the caller pressed.
    pub digits_pressed: String,
    /// Those of them that a connected application was told of.
    pub digits_taken: String,
    /// How often the channel entered a bridge.
    pub bridged: u32,
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
    /// Calls that are still to be placed.
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

mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read_from_json() {
        let script: CallScript = serde_json::from_value(serde_json::json!({
            "application": "welcome",
            "give_up_after_ms": 5000,
            "steps": [
                {"on": "heard", "media": "sound:hello-world", "after_ms": 100, "press": "5"},
                {"on": "bridged", "hang_up": true}
            ]
        }))
        .unwrap();
        assert_eq!(script.give_up_after, Duration::from_secs(5));
        assert_eq!(script.steps[0].press.as_deref(), Some("5"));
        assert_eq!(script.steps[1].on, Cue::Bridged);
        assert!(serde_json::from_str::<CallScript>(r#"{"aplication":"x"}"#).is_err());
    }
}
