//! Reads traces.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value, value::RawValue};

use super::{Exchange, Line, Opening, Payload, Trace, What, json};

#[derive(Deserialize)]
struct RawHeader {
    scenario: String,
    #[serde(default)]
    generated_ids: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawLine<'a> {
    t_ms: f64,
    t_sent_ms: Option<f64>,
    #[serde(borrow)]
    http: Option<RawHttp<'a>>,
    #[serde(borrow)]
    rest: Option<RawRest<'a>>,
    #[serde(borrow)]
    event: Option<&'a RawValue>,
    socket: Option<RawSocket>,
    closed: Option<RawEnd>,
    ami: Option<IgnoredAny>,
    sip: Option<IgnoredAny>,
    cli: Option<IgnoredAny>,
    note: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawHttp<'a> {
    method: String,
    path: String,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    status: u16,
    #[serde(default)]
    reason: String,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct RawRest<'a> {
    #[serde(borrow)]
    request: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSocket {
    /// The socket that something came by.
    Name(String),
    Action {
        name: String,
        action: String,
        #[serde(default)]
        query: Map<String, Value>,
        status: Option<u16>,
        response: Option<String>,
    },
}

#[derive(Deserialize)]
struct RawEnd {
    name: String,
    code: Option<u16>,
}

type Problem = (usize, String);

pub(super) fn parse(text: &str) -> Result<Trace, Problem> {
    let mut lines = (1..).zip(text.lines());
    let (_, first) = lines
        .next()
        .ok_or_else(|| (1, "there is no header: the file is empty".to_owned()))?;
    let header: RawHeader =
        serde_json::from_str(first).map_err(|error| (1, format!("this is no header: {error}")))?;
    let mut trace = Trace {
        scenario: header.scenario,
        generated: header.generated_ids.into_values().collect(),
        lines: Vec::new(),
    };
    let mut open: Vec<String> = Vec::new();
    for (number, text) in lines {
        if text.trim().is_empty() {
            continue;
        }
        let line = line(number, text, &mut open).map_err(|reason| (number, reason))?;
        trace.lines.push(line);
    }
    Ok(trace)
}

fn line(number: usize, text: &str, open: &mut Vec<String>) -> Result<Line, String> {
    let raw: RawLine<'_> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let at = millis(raw.t_ms)?;
    let sent = raw.t_sent_ms.map_or(Ok(at), millis)?.min(at);
    // Without a name it is the socket that was opened last.
    let named = |socket: Option<RawSocket>, open: &[String]| match socket {
        Some(RawSocket::Name(name)) => Ok(name),
        Some(RawSocket::Action { .. }) => Err("`socket` must be the name of one here".to_owned()),
        None => open
            .last()
            .cloned()
            .ok_or_else(|| "no WebSocket is open here".to_owned()),
    };
    let what = if let Some(http) = raw.http {
        What::Exchange(exchange(http)?)
    } else if let Some(event) = raw.event {
        What::Event {
            socket: named(raw.socket, open)?,
            frame: compact(event),
        }
    } else if let Some(rest) = raw.rest {
        let socket = named(raw.socket, open)?;
        match (rest.request, rest.response) {
            (Some(request), None) => What::Request {
                socket,
                frame: text_of(request).unwrap_or_else(|| compact(request)),
            },
            (None, Some(response)) => What::Response {
                socket,
                frame: compact(response),
            },
            _ => return Err("`rest` needs either `request` or `response`".to_owned()),
        }
    } else if let Some(socket) = raw.socket {
        match socket {
            RawSocket::Name(_) => return Err("`socket` is no action here".to_owned()),
            RawSocket::Action {
                name,
                action,
                query,
                status,
                response,
            } if action == "open" => {
                let status = status.unwrap_or(101);
                if status == 101 {
                    open.push(name.clone());
                }
                What::Open(Opening {
                    socket: name,
                    query: pairs(&query),
                    status: valid(status)?,
                    response,
                })
            }
            RawSocket::Action { name, .. } => {
                open.retain(|known| *known != name);
                What::Close { socket: name }
            }
        }
    } else if let Some(end) = raw.closed {
        open.retain(|known| *known != end.name);
        What::Ended {
            socket: end.name,
            code: end.code,
        }
    } else if [raw.ami, raw.sip, raw.cli, raw.note]
        .iter()
        .any(Option::is_some)
    {
        What::Aside
    } else {
        let known = "`http`, `event`, `rest`, `socket`, `ami`, `sip`, `cli` or `note`";
        return Err(format!("it has none of {known}"));
    };
    Ok(Line {
        number,
        at,
        sent,
        what,
    })
}

fn millis(millis: f64) -> Result<Duration, String> {
    Duration::try_from_secs_f64(millis / 1_000.0).map_err(|_| format!("{millis} is no time"))
}

fn valid(status: u16) -> Result<u16, String> {
    if (100..=999).contains(&status) {
        Ok(status)
    } else {
        Err(format!("{status} is no status"))
    }
}

fn exchange(http: RawHttp<'_>) -> Result<Exchange, String> {
    Ok(Exchange {
        method: http.method,
        path: http.path,
        query: pairs(&http.query),
        body: payload(http.body),
        status: valid(http.status)?,
        reason: http.reason,
        response: payload(http.response),
        headers: http.headers,
    })
}

/// The parameters of a query: a list stands for a name that came more than once.
fn pairs(query: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (name, value) in query {
        let values = match value {
            Value::Array(items) => items.as_slice(),
            only => std::slice::from_ref(only),
        };
        for value in values {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            pairs.push((name.clone(), text));
        }
    }
    pairs
}

fn compact(raw: &RawValue) -> String {
    json::rewrite(raw.get(), &|_, _| None).unwrap_or_default()
}

fn text_of(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn payload(raw: Option<&RawValue>) -> Payload {
    match raw {
        None => Payload::Nothing,
        Some(raw) => text_of(raw).map_or_else(|| Payload::Json(compact(raw)), Payload::Text),
    }
}
