//! What is done at a phone, and when: by a script, or by hand.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// How long a digit is pressed, and how long it is until the next, unless it is said otherwise.
pub(crate) const DIGIT: Duration = Duration::from_millis(100);

/// What a caller does, from the call to the end of it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct CallScript {
    /// Stasis application that the call goes straight to.
    pub application: String,
    /// Arguments of `Stasis()`, where it goes straight to an application.
    pub args: Vec<String>,
    /// Extension of the dialplan that is called; empty where it goes straight to an application.
    pub extension: String,
    /// Context of the extension.
    pub context: String,
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
            extension: String::new(),
            context: "default".to_owned(),
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

    /// A caller of this extension of the dialplan who waits to be hung up.
    pub fn to_extension(extension: impl Into<String>) -> Self {
        Self {
            extension: extension.into(),
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

    /// The same with one more step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The same who presses digits so long after a cue.
    #[must_use]
    pub fn press(self, on: Cue, after: Duration, digits: impl Into<String>) -> Self {
        self.step(Step {
            press: Some(digits.into()),
            ..Step::new(on, after)
        })
    }

    /// The same who hangs up so long after a cue.
    #[must_use]
    pub fn hang_up(self, on: Cue, after: Duration) -> Self {
        self.step(Step {
            hang_up: true,
            ..Step::new(on, after)
        })
    }

    /// Whether the call can be placed as it stands.
    ///
    /// # Errors
    /// What is wrong with it, for who wrote it.
    pub fn check(&self) -> Result<(), String> {
        match (self.application.is_empty(), self.extension.is_empty()) {
            (true, true) => {
                return Err("script.application or script.extension must be given".into());
            }
            (false, false) => {
                return Err("script.application and script.extension cannot both be given".into());
            }
            _ => {}
        }
        let digits = self.steps.iter().filter_map(|step| step.press.as_deref());
        match digits.flat_map(str::chars).find(|digit| !is_digit(*digit)) {
            Some(other) => Err(format!("no phone has the digit {other:?}: 0-9, *, #, A-D")),
            None => Ok(()),
        }
    }
}

/// Whether it is one of the sixteen digits that DTMF has.
pub(crate) const fn is_digit(digit: char) -> bool {
    matches!(digit, '0'..='9' | '*' | '#' | 'A'..='D' | 'a'..='d')
}

/// What is done at the phone when something happens.
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
    /// How long each digit is pressed.
    #[serde(default = "digit", rename = "digit_ms", with = "millis")]
    pub digit: Duration,
    /// How long it is from one digit to the next.
    #[serde(default = "digit", rename = "pause_ms", with = "millis")]
    pub pause: Duration,
    /// How long to talk.
    #[serde(default, rename = "talk_ms", with = "millis")]
    pub talk: Duration,
    /// Whether to put the other side on hold (`true`), or to come back to it.
    #[serde(default)]
    pub hold: Option<bool>,
    /// Whether to hang up.
    #[serde(default)]
    pub hang_up: bool,
    /// Cause of that hangup.
    #[serde(default)]
    pub cause: Option<u16>,
}

const fn digit() -> Duration {
    DIGIT
}

impl Step {
    /// A step that does nothing yet.
    pub const fn new(on: Cue, after: Duration) -> Self {
        Self {
            on,
            media: None,
            after,
            press: None,
            digit: DIGIT,
            pause: DIGIT,
            talk: Duration::ZERO,
            hold: None,
            hang_up: false,
            cause: None,
        }
    }

    /// What is done, one after the other.
    pub(crate) fn acts(&self) -> Vec<Act> {
        let press = self.press.as_ref().map(|digits| Act::Press {
            digits: digits.clone(),
            digit: self.digit,
            pause: self.pause,
        });
        let talk = (!self.talk.is_zero()).then_some(Act::Talk(Some(self.talk)));
        let hold = self
            .hold
            .map(|hold| if hold { Act::Hold } else { Act::Unhold });
        let hang_up = self.hang_up.then_some(Act::HangUp(self.cause));
        [press, talk, hold, hang_up].into_iter().flatten().collect()
    }
}

/// Something that is done at a phone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Act {
    /// Digits are pressed, each for so long, with so long a pause between them. Digits that are still being
    /// pressed come first.
    Press {
        /// The digits.
        digits: String,
        /// How long each is pressed.
        digit: Duration,
        /// How long it is from one to the next.
        pause: Duration,
    },
    /// Somebody talks, for so long or until they fall silent.
    Talk(Option<Duration>),
    /// Nobody talks any more.
    FallSilent,
    /// The other side is put on hold.
    Hold,
    /// The other side is taken from hold.
    Unhold,
    /// The call is answered, where the phone was called.
    Answer,
    /// The call is hung up, or refused where the phone was called and has not answered. With a cause it is that
    /// one; without, what a phone says by itself.
    HangUp(Option<u16>),
}

/// Why something cannot be done at a phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ActError {
    /// The call is over, or was let go.
    Over,
    /// Only the side that was called answers.
    NotCalled,
    /// No phone has this digit.
    NoDigit(char),
}

impl fmt::Display for ActError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("the call is over"),
            Self::NotCalled => f.write_str("only the side that was called can answer"),
            Self::NoDigit(digit) => write!(f, "no phone has the digit {digit:?}"),
        }
    }
}

impl std::error::Error for ActError {}

/// What a caller waits for.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
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
                {"on": "heard", "media": "sound:hello-world", "after_ms": 100, "press": "5", "digit_ms": 80},
                {"on": "bridged", "talk_ms": 2000, "hang_up": true, "cause": 17}
            ]
        }))
        .unwrap();
        assert_eq!(script.check(), Ok(()));
        assert_eq!(script.give_up_after, Duration::from_secs(5));
        let press = Act::Press {
            digits: "5".to_owned(),
            digit: Duration::from_millis(80),
            pause: DIGIT,
        };
        assert_eq!(script.steps[0].acts(), [press]);
        assert_eq!(script.steps[1].on, Cue::Bridged);
        let talk = Act::Talk(Some(Duration::from_secs(2)));
        assert_eq!(script.steps[1].acts(), [talk, Act::HangUp(Some(17))]);
        assert!(serde_json::from_str::<CallScript>(r#"{"aplication":"x"}"#).is_err());
    }

    #[test]
    fn a_script_that_nobody_can_follow_is_refused() {
        let refusal = |script: CallScript| script.check().unwrap_err();
        assert!(refusal(CallScript::default()).contains("must be given"));
        let mut both = CallScript::new("welcome");
        both.extension = "1000".to_owned();
        assert!(refusal(both).contains("both"));
        let digits = CallScript::new("welcome").press(Cue::Placed, Duration::ZERO, "1x");
        assert!(refusal(digits).contains("'x'"));
    }
}
