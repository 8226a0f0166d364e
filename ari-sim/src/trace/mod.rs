//! Traces: what a client did with an Asterisk, and all that it answered and told.

pub(crate) mod json;
pub(crate) mod query;
mod read;

use std::{collections::BTreeMap, error::Error, fmt, path::Path, time::Duration};

/// What was recorded of one scenario: a header, and a line for each thing that happened.
///
/// In a file each is a line of JSON; the crate's README names the members.
#[derive(Clone, Debug)]
pub struct Trace {
    pub(crate) scenario: String,
    /// Ids that Asterisk made.
    pub(crate) generated: Vec<String>,
    pub(crate) lines: Vec<Line>,
}

impl Trace {
    /// Reads a trace; `name` is what errors call it, mostly its file.
    ///
    /// # Errors
    /// A line is none of a trace: the error names it.
    pub fn parse(name: &str, text: &str) -> Result<Self, TraceError> {
        read::parse(text).map_err(|(line, reason)| TraceError {
            name: name.to_owned(),
            line,
            reason,
        })
    }

    /// Reads a trace from a file.
    ///
    /// # Errors
    /// The file cannot be read (line 0), or a line is none of a trace.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, TraceError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| TraceError {
            name: name.clone(),
            line: 0,
            reason: format!("cannot be read: {error}"),
        })?;
        Self::parse(&name, &text)
    }

    /// Name of the scenario, as its header has it.
    pub fn scenario(&self) -> &str {
        &self.scenario
    }

    /// How many things happened.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether nothing happened.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

/// Why a trace cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceError {
    name: String,
    line: usize,
    reason: String,
}

impl TraceError {
    /// Number of the line, from 1; 0 for the whole file.
    pub const fn line(&self) -> usize {
        self.line
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "{}: {}", self.name, self.reason)
        } else {
            write!(f, "{}:{}: {}", self.name, self.line, self.reason)
        }
    }
}

impl Error for TraceError {}

/// One thing that happened.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Number in the file, from 1.
    pub(crate) number: usize,
    /// When it arrived at the client.
    pub(crate) at: Duration,
    /// When the client began with it; `at` where nothing is known of that.
    pub(crate) sent: Duration,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Exchange(Exchange),
    /// A WebSocket was opened, or refused.
    Open(Opening),
    /// The client closed or dropped a WebSocket.
    Close {
        socket: String,
    },
    /// A request over a WebSocket: JSON, or a text that is none.
    Request {
        socket: String,
        frame: String,
    },
    /// The answer to one, as JSON.
    Response {
        socket: String,
        frame: String,
    },
    /// An event, as JSON.
    Event {
        socket: String,
        frame: String,
    },
    /// Asterisk ended a WebSocket, with a close frame of this code or without one.
    Ended {
        socket: String,
        code: Option<u16>,
    },
    /// Something from outside ARI, or a remark.
    Aside,
}

/// An HTTP request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Payload,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) response: Payload,
    pub(crate) headers: BTreeMap<String, String>,
}

/// A body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Payload {
    #[default]
    Nothing,
    /// JSON, in one line.
    Json(String),
    /// Anything else that is text.
    Text(String),
}

/// An attempt to open a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct Opening {
    pub(crate) socket: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) status: u16,
    pub(crate) response: Option<String>,
}
