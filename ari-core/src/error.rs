//! What can go wrong, by what the caller can conclude from it.

use std::{error::Error as StdError, fmt, sync::Arc, time::Duration};

use crate::{operation::OperationSpec, subject::InvalidName, version::Version};

/// The result of everything that a client does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause beneath an [`Error`].
pub type Source = Box<dyn StdError + Send + Sync>;

/// Most bytes of an undecodable answer that an error shows.
const SAMPLE_BYTES: usize = 200;

/// An error of an ARI client.
///
/// The variants tell apart what a caller can conclude: whether the operation was refused, was never
/// sent, or may have run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Asterisk, or the proxy before it, refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The request never left: it is safe to send it again.
    #[error("{operation} was not sent: {reason}")]
    NotSent {
        /// Operation, as in `POST /channels`.
        operation: String,
        /// What prevented it, and which side it was.
        reason: String,
        /// Cause.
        source: Option<Source>,
    },
    /// The request was sent, and nobody knows whether the operation ran.
    #[error("the outcome of {operation} is unknown: {reason}")]
    OutcomeUnknown {
        /// Operation, as in `POST /channels`.
        operation: String,
        /// What happened, and on which side.
        reason: String,
        /// Cause.
        source: Option<Source>,
    },
    /// No answer came in time; the operation may have run.
    #[error("no answer to {operation} within {after:?}")]
    TimedOut {
        /// Operation, as in `POST /channels`.
        operation: String,
        /// How long the answer was waited for.
        after: Duration,
    },
    /// Nobody listens where the request had to go.
    #[error("nobody serves {subject}: is a proxy for this application and Asterisk running?")]
    NobodyThere {
        /// Whom the request was for.
        subject: String,
    },
    /// An answer or event that cannot be understood.
    #[error("cannot decode {what}{}: {sample}", Path(path))]
    Decode {
        /// What was to be decoded.
        what: String,
        /// Where in it the trouble is, as in `channel.creationtime`.
        path: String,
        /// Beginning of what came.
        sample: String,
        /// Cause.
        source: Source,
    },
    /// The operation, or a parameter of it, cannot be had here.
    #[error("{operation} is not supported: {reason}")]
    Unsupported {
        /// Operation, as in `POST /channels`.
        operation: String,
        /// Why, and since when it is.
        reason: String,
        /// First release of each branch of Asterisk that has it; empty where the version is not the
        /// reason, or is not known here.
        since: &'static [Version],
    },
    /// A request that cannot be right.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// A name that cannot become part of a NATS subject.
    #[error(transparent)]
    InvalidName(#[from] InvalidName),
    /// No connection could be made.
    #[error("{reason}")]
    Connect {
        /// What failed, with whom, and what to do.
        reason: String,
        /// Cause.
        source: Option<Source>,
    },
    /// The client, or the scope of it that this came through, is closed.
    ///
    /// Nothing has changed in Asterisk: the request was not sent, or it was one that only reads. Of any other
    /// that was under way at the time the outcome is [unknown](Self::OutcomeUnknown).
    #[error("the client is closed")]
    Closed,
}

struct Path<'a>(&'a str);

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self.0, "" | ".") {
            Ok(())
        } else {
            write!(f, " at {}", self.0)
        }
    }
}

impl Error {
    /// Whether the entity does not exist: on every transport, whatever its way to say so.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(Refusal { status: 404, .. }))
    }

    /// The HTTP status of a refusal.
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Whether the operation may have run although no answer came.
    pub const fn outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. } | Self::TimedOut { .. })
    }

    /// Whether the same request may succeed later, and sending it again cannot run it twice.
    pub const fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::NotSent { .. }
                | Self::NobodyThere { .. }
                | Self::Refused(Refusal { status: 503, .. })
        )
    }

    /// An answer to `what` that cannot be decoded as `T`; finds the place of the trouble.
    pub fn decode<T: serde::de::DeserializeOwned>(
        what: impl Into<String>,
        body: &[u8],
        source: Source,
    ) -> Self {
        let path = serde_path_to_error::deserialize::<_, T>(
            &mut serde_json::Deserializer::from_slice(body),
        )
        .err()
        .map(|error| error.path().to_string())
        .unwrap_or_default();
        Self::Decode {
            what: what.into(),
            path,
            sample: sample(body),
            source,
        }
    }
}

/// The beginning of an answer, for an error message.
pub fn sample(body: &[u8]) -> String {
    let cut = &body[..body.len().min(SAMPLE_BYTES)];
    let text = String::from_utf8_lossy(cut).replace(char::is_control, " ");
    match (text.is_empty(), cut.len() < body.len()) {
        (true, _) => "nothing came".to_owned(),
        (false, true) => format!("{text}… ({} bytes)", body.len()),
        (false, false) => text,
    }
}

/// A text in an answer, cut as [`sample`] does it.
fn brief(text: &str) -> Arc<str> {
    if text.len() > SAMPLE_BYTES {
        sample(text.as_bytes()).into()
    } else {
        text.into()
    }
}

/// A refusal: the status and what Asterisk said.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// HTTP method of the operation.
    pub method: &'static str,
    /// Path template of the operation.
    pub path: &'static str,
    /// HTTP status.
    pub status: u16,
    /// Reason phrase.
    pub reason: Arc<str>,
    /// Message of Asterisk; empty if there was none.
    pub message: Arc<str>,
    /// Beginning of what came in its place, as of an error page of another server; empty if nothing did.
    pub sample: Arc<str>,
}

impl Refusal {
    /// Makes a refusal of an answer with this body.
    pub fn new(
        operation: &'static OperationSpec,
        status: u16,
        reason: impl Into<Arc<str>>,
        body: &[u8],
    ) -> Self {
        let message = message_of(body);
        let sample = if message.is_some() || body.is_empty() {
            String::new()
        } else {
            sample(body)
        };
        Self {
            method: operation.method.as_str(),
            path: operation.path,
            status,
            reason: brief(&reason.into()),
            message: brief(&message.unwrap_or_default()),
            sample: sample.into(),
        }
    }
}

/// What Asterisk says in the body of a refusal: `{"message":…}` or `{"error":…}`.
fn message_of(body: &[u8]) -> Option<String> {
    let Ok(serde_json::Value::Object(members)) = serde_json::from_slice(body) else {
        return None;
    };
    let text = ["message", "error"]
        .iter()
        .find_map(|name| members.get(*name)?.as_str());
    text.map(str::to_owned)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} was refused: {} {}",
            self.method, self.path, self.status, self.reason
        )?;
        if !self.sample.is_empty() {
            write!(f, ", and this: {}", self.sample)
        } else if self.message.is_empty() || *self.message == *self.reason {
            Ok(())
        } else {
            write!(f, ": {}", self.message)
        }
    }
}
