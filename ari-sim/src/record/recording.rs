//! What a recorder writes, without doing it: time is passed in.

use std::{fmt::Write as _, time::Duration};

use serde_json::{Map, Value, json};

use crate::trace::{
    json::{quoted, without_api_key, without_secrets},
    query::pairs,
};

/// What is known of a trace before anything has happened.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) scenario: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) asterisk: String,
    pub(crate) app: Option<String>,
    /// The extensions that take part, with their steps.
    pub(crate) dialplan: Map<String, Value>,
    /// The user whose requests say nothing of it.
    pub(crate) user: Option<User>,
}

/// Whose password it is to know one's own from a wrong one.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The first line of a trace that is recorded.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Header {
    pub(crate) scenario: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) asterisk: String,
    pub(crate) app: String,
    pub(crate) transport: String,
    pub(crate) dialplan: Map<String, Value>,
    pub(crate) generated_ids: Map<String, Value>,
}

impl Header {
    pub(crate) fn line(&self) -> String {
        let members = [
            ("scenario", json!(self.scenario)),
            ("title", json!(self.title)),
            ("description", json!(self.description)),
            ("asterisk", json!(self.asterisk)),
            ("app", json!(self.app)),
            ("transport", json!(self.transport)),
            ("topic", json!("recorded")),
            ("dialplan", json!(self.dialplan)),
            ("runs", json!(1)),
            ("generated_ids", json!(self.generated_ids)),
            ("unordered", json!([])),
            ("not_always", json!([])),
            ("varies", json!([])),
        ];
        let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
        format!("{{{}}}", members.join(","))
    }
}

/// Something that the client began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    number: u64,
    sent: Duration,
}

/// How a side ended a socket.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SocketEnd {
    /// Without a close frame.
    Dropped,
    /// With one, and its code.
    Closed(Option<u16>),
}

/// A request and its answer, as they passed.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) request: Content,
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) response: Content,
}

/// A body as it passed.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) kind: String,
    /// As much of it as is kept.
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: usize,
}

impl Content {
    fn essence(&self) -> &str {
        self.kind.split(';').next().unwrap_or_default().trim()
    }

    fn is_json(&self) -> bool {
        self.essence().eq_ignore_ascii_case("application/json")
    }

    /// The body as a value of a trace.
    fn told(&self) -> String {
        if self.length == 0 {
            return "null".to_owned();
        }
        let text = std::str::from_utf8(&self.bytes)
            .ok()
            .filter(|_| self.bytes.len() == self.length);
        let readable = self.is_json()
            || self.kind.is_empty()
            || self.essence().starts_with("text/")
            || self.essence() == "application/x-www-form-urlencoded";
        match text.filter(|_| readable) {
            Some(text) => {
                let json = without_secrets(text).filter(|json| {
                    // A string would be taken for a body that is no JSON.
                    (self.is_json() || self.kind.is_empty()) && !json.starts_with('"')
                });
                json.unwrap_or_else(|| quoted(&without_api_key(text)))
            }
            None => quoted(&format!("<{} bytes of {}>", self.length, self.essence())),
        }
    }
}

/// The lines of a trace, as they come to be.
#[derive(Debug)]
pub(crate) struct Recording {
    facts: Facts,
    zero: Option<Duration>,
    steps: u64,
    /// Names of the sockets that are open or being opened.
    sockets: Vec<String>,
    /// More than one was open at once.
    several: bool,
    begun: bool,
}

impl Recording {
    pub(crate) const fn new(facts: Facts) -> Self {
        Self {
            facts,
            zero: None,
            steps: 0,
            sockets: Vec::new(),
            several: false,
            begun: false,
        }
    }

    fn since_zero(&mut self, now: Duration) -> Duration {
        now.saturating_sub(*self.zero.get_or_insert(now))
    }

    /// The client begins with something.
    pub(crate) fn begin(&mut self, now: Duration) -> Step {
        let sent = self.since_zero(now);
        self.steps += 1;
        Step {
            number: self.steps,
            sent,
        }
    }

    /// A line, after the header where it is the first.
    fn line(&mut self, members: &str, app: &str) -> String {
        if std::mem::replace(&mut self.begun, true) {
            return format!("{{{members}}}\n");
        }
        let facts = &self.facts;
        let header = Header {
            scenario: facts.scenario.clone(),
            title: facts.title.clone(),
            description: facts.description.clone(),
            asterisk: facts.asterisk.clone(),
            app: facts.app.clone().unwrap_or_else(|| app.to_owned()),
            transport: "http".to_owned(),
            dialplan: facts.dialplan.clone(),
            generated_ids: Map::new(),
        };
        format!("{}\n{{{members}}}\n", header.line())
    }

    pub(crate) fn exchange(&mut self, now: Duration, step: Step, passage: &Passage) -> String {
        let at = millis(self.since_zero(now));
        let query = parameters(&passage.query);
        let app = query.get("app").and_then(Value::as_str).unwrap_or_default();
        let app = app.to_owned();
        let mut members = format!(
            "\"t_ms\":{at},\"step\":{},\"t_sent_ms\":{},\"http\":{{\"method\":{},\"path\":{},\"query\":{},\"body\":{},\
             \"status\":{},\"reason\":{},\"response\":{}",
            step.number,
            millis(step.sent),
            quoted(&passage.method),
            quoted(&passage.path),
            Value::from(query),
            passage.request.told(),
            passage.status,
            quoted(&passage.reason),
            passage.response.told(),
        );
        let mut headers = Map::new();
        for (name, value) in &passage.headers {
            headers.insert((*name).to_owned(), without_api_key(value).into());
        }
        let content = &passage.response;
        if content.length > 0 && !content.kind.is_empty() && !content.is_json() {
            headers.insert("Content-Type".to_owned(), content.kind.clone().into());
        }
        if !headers.is_empty() {
            let _ = write!(members, ",\"headers\":{}", Value::from(headers));
        }
        members += &self.auth(passage.credentials.as_ref());
        members.push('}');
        self.line(&members, &app)
    }

    /// Names who asks where it is not the user that all requests come from.
    fn auth(&mut self, credentials: Option<&(String, String)>) -> String {
        let Some((name, password)) = credentials else {
            return ",\"auth\":null".to_owned();
        };
        let user = self.facts.user.get_or_insert_with(|| User {
            name: name.clone(),
            password: password.clone(),
        });
        if user.name != *name {
            return format!(",\"auth\":{}", quoted(name));
        }
        if user.password != *password {
            return format!(",\"auth\":{}", quoted(&format!("{name}:***")));
        }
        String::new()
    }

    /// Gives a name to a socket that is being opened.
    pub(crate) fn opening(&mut self) -> String {
        let names = (1..).map(|number| match number {
            1 => "ws".to_owned(),
            number => format!("ws{number}"),
        });
        let mut free = names.filter(|name| !self.sockets.contains(name));
        let name = free.next().unwrap_or_default();
        self.sockets.push(name.clone());
        name
    }

    /// A socket was opened, or refused.
    pub(crate) fn opened(
        &mut self,
        now: Duration,
        step: Step,
        name: &str,
        passage: &Passage,
    ) -> String {
        let at = millis(self.since_zero(now));
        let query = parameters(&passage.query);
        let app = query.get("app").and_then(Value::as_str).unwrap_or_default();
        let app = app.split(',').next().unwrap_or_default().to_owned();
        let mut members = format!(
            "\"t_ms\":{at},\"step\":{},\"t_sent_ms\":{},\"socket\":{{\"name\":{},\"action\":\"open\",\"query\":{},\
             \"status\":{}",
            step.number,
            millis(step.sent),
            quoted(name),
            Value::from(query),
            passage.status,
        );
        if passage.status == 101 {
            self.several |= self.sockets.len() > 1;
        } else {
            self.forget(name);
            let text = String::from_utf8_lossy(&passage.response.bytes);
            let _ = write!(members, ",\"response\":{}", quoted(&without_api_key(&text)));
        }
        members.push('}');
        self.line(&members, &app)
    }

    /// A socket that did not come to be, or is over.
    pub(crate) fn forget(&mut self, name: &str) {
        self.sockets.retain(|known| known != name);
    }

    /// The client closed a socket, or dropped it.
    pub(crate) fn left(&mut self, now: Duration, name: &str, end: SocketEnd) -> String {
        let step = self.begin(now);
        let at = millis(step.sent);
        self.forget(name);
        let action = match end {
            SocketEnd::Closed(_) => "close",
            SocketEnd::Dropped => "drop (TCP closed without a close frame)",
        };
        let members = format!(
            "\"t_ms\":{at},\"step\":{},\"socket\":{{\"name\":{},\"action\":{}}}",
            step.number,
            quoted(name),
            quoted(action)
        );
        self.line(&members, "")
    }

    /// Asterisk ended a socket.
    pub(crate) fn ended(&mut self, now: Duration, name: &str, end: SocketEnd) -> String {
        let at = millis(self.since_zero(now));
        self.forget(name);
        let (how, code) = match end {
            SocketEnd::Dropped => ("dropped", Value::Null),
            SocketEnd::Closed(code) => ("closed", json!(code)),
        };
        let note = quoted(&format!("Asterisk {how} the websocket {name}"));
        let name = quoted(name);
        let members =
            format!("\"t_ms\":{at},\"note\":{note},\"closed\":{{\"name\":{name},\"code\":{code}}}");
        self.line(&members, "")
    }

    /// The client sent a text by a socket.
    pub(crate) fn asked(&mut self, now: Duration, socket: &str, text: &str) -> String {
        let step = self.begin(now);
        let request = without_secrets(text)
            .filter(|json| json.starts_with('{'))
            .unwrap_or_else(|| quoted(&without_api_key(text)));
        let members = format!(
            "\"t_ms\":{},\"step\":{},\"rest\":{{\"request\":{request}}}{}",
            millis(step.sent),
            step.number,
            self.by(socket)
        );
        self.line(&members, "")
    }

    /// Asterisk sent a text by a socket.
    pub(crate) fn told(&mut self, now: Duration, socket: &str, text: &str) -> String {
        #[derive(serde::Deserialize)]
        struct Kind {
            #[serde(rename = "type", default)]
            kind: String,
        }

        let at = millis(self.since_zero(now));
        let by = self.by(socket);
        let Some(json) = without_secrets(text).filter(|json| json.starts_with('{')) else {
            let note = quoted(&format!("Asterisk sent what is no event: {text}"));
            return self.line(&format!("\"t_ms\":{at},\"note\":{note}"), "");
        };
        let response =
            serde_json::from_str(&json).is_ok_and(|kind: Kind| kind.kind == "RESTResponse");
        let members = if response {
            let step = self.steps;
            format!("\"t_ms\":{at},\"step\":{step},\"rest\":{{\"response\":{json}}}{by}")
        } else {
            format!("\"t_ms\":{at},\"event\":{json}{by}")
        };
        self.line(&members, "")
    }

    fn by(&self, socket: &str) -> String {
        // A second one that is being opened counts: ApplicationReplaced comes before its answer.
        if self.several || self.sockets.len() > 1 {
            format!(",\"socket\":{}", quoted(socket))
        } else {
            String::new()
        }
    }

    pub(crate) fn note(&mut self, now: Duration, note: &str) -> String {
        let at = millis(self.since_zero(now));
        let note = quoted(&without_api_key(note));
        self.line(&format!("\"t_ms\":{at},\"note\":{note}"), "")
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 10_000.0).round() / 10.0
}

/// The parameters of a query but for the credentials; those that come more than once are a list.
fn parameters(query: &str) -> Map<String, Value> {
    let mut parameters = Map::new();
    for (name, value) in pairs(query) {
        let value = Value::from(value);
        match parameters.get_mut(&name) {
            None => drop(parameters.insert(name, value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    parameters
}
