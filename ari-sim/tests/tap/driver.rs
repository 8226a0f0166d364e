//! A client that does the steps of a trace, and compares what comes.

use std::{collections::HashMap, fs, net::SocketAddr, path::PathBuf};

use futures::SinkExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::client::{Answer, Socket, ask_as, ends, next_text, open};

/// The files of all traces.
pub(crate) fn traces() -> Vec<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            // Two files hold single exchanges and events.
            let name = path.file_name().unwrap().to_string_lossy();
            name.ends_with(".jsonl") && !name.starts_with("ari-")
        })
        .collect();
    paths.sort();
    paths
}

pub(crate) fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Path and query of an exchange.
pub(crate) fn target(http: &Value) -> String {
    // A trace may hold a path that no request line can.
    let path = http["path"].as_str().unwrap().replace(' ', "%20");
    format!("{path}{}", query(&http["query"], '?'))
}

fn query(query: &Value, mut separator: char) -> String {
    let mut text = String::new();
    for (name, value) in query.as_object().into_iter().flatten() {
        text.push(separator);
        text.extend([name, "="]);
        text.extend(utf8_percent_encode(
            value.as_str().unwrap(),
            NON_ALPHANUMERIC,
        ));
        separator = '&';
    }
    text
}

/// What the body of an exchange is in bytes, and of what kind.
pub(crate) fn body(http: &Value) -> Option<(&'static str, String)> {
    match &http["body"] {
        Value::Null => None,
        Value::String(text) if text.contains('=') => {
            Some(("application/x-www-form-urlencoded", text.clone()))
        }
        Value::String(text) => Some(("application/json", text.clone())),
        json => Some(("application/json", json.to_string())),
    }
}

/// When the client began with a line.
fn sent(line: &Value) -> f64 {
    let at = line["t_ms"].as_f64().unwrap();
    // A WebSocket that replaces another is told of before it is answered.
    let before = if line["socket"].is_object() {
        0.25
    } else {
        0.0
    };
    line["t_sent_ms"].as_f64().unwrap_or(at - before)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Begin,
    End,
}

/// Does a trace.
pub(crate) struct Driver {
    address: SocketAddr,
    sockets: HashMap<String, Socket>,
    opened: Vec<String>,
    running: HashMap<usize, JoinHandle<Answer>>,
    opening: HashMap<usize, JoinHandle<Result<Socket, Error>>>,
}

impl Driver {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            sockets: HashMap::new(),
            opened: Vec::new(),
            running: HashMap::new(),
            opening: HashMap::new(),
        }
    }

    /// Does all steps in their order, and fails where something else comes than the trace has.
    pub(crate) async fn run(mut self, lines: &[Value]) {
        let mut marks = Vec::new();
        for (index, line) in lines.iter().enumerate().skip(1) {
            if line.get("http").is_some() || line["socket"].is_object() {
                marks.push((sent(line), index, Part::Begin));
            }
            marks.push((line["t_ms"].as_f64().unwrap(), index, Part::End));
        }
        marks.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (_, index, part) in marks {
            let line = &lines[index];
            if line.get("http").is_some() {
                self.http(index, &line["http"], part).await;
            } else if line["socket"].is_object() {
                self.socket(index, &line["socket"], part).await;
            } else if let Some(request) = line["rest"].get("request") {
                let text = request
                    .as_str()
                    .map_or_else(|| request.to_string(), str::to_owned);
                let socket = self.by(line);
                socket.send(Message::text(text)).await.unwrap();
            } else if let Some(told) = line.get("event").or_else(|| line["rest"].get("response")) {
                let text = next_text(self.by(line)).await;
                let came: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(came, *told, "line {}", index + 1);
            }
        }
        for socket in self.sockets.values_mut() {
            drop(socket.close(None).await);
        }
    }

    fn by(&mut self, line: &Value) -> &mut Socket {
        let name = line["socket"].as_str();
        let name = name.unwrap_or_else(|| self.opened.last().unwrap());
        self.sockets.get_mut(name).unwrap()
    }

    async fn http(&mut self, index: usize, http: &Value, part: Part) {
        if part == Part::Begin {
            let user = match http.get("auth") {
                None => "demo:secret",
                Some(user) => user.as_str().unwrap_or_default(),
            };
            let (address, user) = (self.address, user.to_owned());
            let (method, target) = (http["method"].as_str().unwrap().to_owned(), target(http));
            let body = body(http);
            let asking = async move {
                let body = body.as_ref().map(|(kind, body)| (*kind, &**body));
                ask_as(address, &user, &method, &target, body)
                    .await
                    .unwrap()
            };
            #[allow(
                clippy::disallowed_methods,
                reason = "it is awaited at the line of its answer"
            )]
            self.running.insert(index, tokio::spawn(asking));
            return;
        }
        let answer = self.running.remove(&index).unwrap().await.unwrap();
        let what = format!(
            "line {}: {}",
            index + 1,
            String::from_utf8_lossy(&answer.body)
        );
        assert_eq!(http["status"], answer.status, "{what}");
        assert_eq!(http["reason"], *answer.reason, "{what}");
        for (name, value) in http["headers"].as_object().into_iter().flatten() {
            assert_eq!(answer.header(name), value.as_str(), "{what}");
        }
        match &http["response"] {
            Value::Null => assert!(answer.body.is_empty(), "{what}"),
            Value::String(text) if text.starts_with("<!") => {
                assert_eq!(answer.body, text.as_bytes(), "{what}");
            }
            Value::String(text) => {
                let length = answer.body.len();
                assert!(text.starts_with(&format!("<{length} bytes of ")), "{what}");
            }
            json => assert_eq!(answer.json(), *json, "{what}"),
        }
    }

    async fn socket(&mut self, index: usize, socket: &Value, part: Part) {
        let name = socket["name"].as_str().unwrap();
        match (socket["action"].as_str().unwrap(), part) {
            ("open", Part::Begin) => {
                let query = query(&socket["query"], '&');
                let address = self.address;
                let opening = async move { open(address, query.trim_start_matches('&')).await };
                #[allow(
                    clippy::disallowed_methods,
                    reason = "it is awaited at the line of its answer"
                )]
                self.opening.insert(index, tokio::spawn(opening));
            }
            ("open", Part::End) => match self.opening.remove(&index).unwrap().await.unwrap() {
                Ok(opened) => {
                    assert_eq!(socket["status"], 101, "line {}", index + 1);
                    self.sockets.insert(name.to_owned(), opened);
                    self.opened.push(name.to_owned());
                }
                Err(Error::Http(answer)) => {
                    assert_eq!(
                        socket["status"],
                        answer.status().as_u16(),
                        "line {}",
                        index + 1
                    );
                }
                refused => assert!(refused.is_ok(), "line {}: {refused:?}", index + 1),
            },
            (_, Part::Begin) => {}
            ("close", Part::End) => {
                let mut closed = self.sockets.remove(name).unwrap();
                self.opened.retain(|known| known != name);
                closed.close(None).await.unwrap();
                ends(&mut closed).await;
            }
            (_, Part::End) => {
                self.opened.retain(|known| known != name);
                drop(self.sockets.remove(name));
            }
        }
    }
}
