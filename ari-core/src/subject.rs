//! The one validator for names that become part of a NATS subject.

use std::fmt;

/// Longest name that may become part of a subject, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// What a name is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameRole {
    /// A Stasis application.
    Application,
    /// The entity id of an Asterisk.
    Node,
    /// A dialog.
    Dialog,
    /// The beginning of all subjects.
    Prefix,
}

impl fmt::Display for NameRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application => "application name",
            Self::Node => "Asterisk id",
            Self::Dialog => "dialog id",
            Self::Prefix => "subject prefix",
        })
    }
}

/// A name that a NATS subject cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{role} {name:?} cannot be part of a NATS subject: {problem}; use another {role}")]
#[non_exhaustive]
pub struct InvalidName {
    /// What the name was meant for.
    pub role: NameRole,
    /// The name, cut off where it is very long.
    pub name: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// Checks a name that is to become one or more tokens of a NATS subject.
///
/// Dots are allowed between other characters: they make more tokens, and both sides build the same
/// subject of them.
///
/// # Errors
/// The name is empty, longer than [`MAX_NAME_BYTES`], has an empty token (`a..b`, a dot at either
/// end), white space, a control character, or one of the wildcards `*` and `>`.
pub fn validate(role: NameRole, name: &str) -> Result<(), InvalidName> {
    let problem = if name.is_empty() {
        "it is empty"
    } else if name.len() > MAX_NAME_BYTES {
        "it is longer than 255 bytes"
    } else if name.contains(['*', '>']) {
        "it has a wildcard (* or >)"
    } else if name.contains(char::is_whitespace) {
        "it has white space"
    } else if name.contains(char::is_control) {
        "it has a control character"
    } else if name.split('.').any(str::is_empty) {
        "it has an empty part between dots"
    } else {
        return Ok(());
    };
    Err(InvalidName {
        role,
        name: name.chars().take(80).collect(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_subject_carries() {
        for name in [
            "demo",
            "00:11:22:33:44:55",
            "a.b",
            "app:PJSIP/alice-1",
            "größe",
            "a,b",
        ] {
            assert_eq!(validate(NameRole::Node, name), Ok(()), "{name}");
        }
        assert_eq!(validate(NameRole::Dialog, &"x".repeat(255)), Ok(()));
    }

    #[test]
    fn names_that_a_subject_does_not_carry() {
        for name in [
            "",
            " ",
            "a b",
            "a\tb",
            "a\r\nPUB x",
            "*",
            "a*b",
            ">",
            "a.>",
            ".a",
            "a.",
            "a..b",
            "a\u{0}",
            "a\u{2028}b",
        ] {
            assert!(validate(NameRole::Application, name).is_err(), "{name:?}");
        }
        assert!(validate(NameRole::Dialog, &"x".repeat(256)).is_err());
    }

    #[test]
    fn the_message_says_what_to_do() {
        let error = validate(NameRole::Application, "my app").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"application name "my app" cannot be part of a NATS subject: it has white space; use another application name"#
        );
    }
}
