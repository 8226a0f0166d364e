//! The recorded requests of the Go client and answers of the Go server, all of them, against ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::collections::{BTreeMap, BTreeSet};

use ari_core::{Error, Metadata, Request, Response, not_sent};
use ari_proxy_proto::{Incoming, Kind, Step, Subjects, decode_request, encode, encode_as};
use serde_json::Value;
use support::{is_nothing, lines, made, place, same};

const REQUESTS: &str = include_str!("fixtures/requests.jsonl");
const MAX_BYTES: usize = 1 << 20;

/// What the Go server does wrong and ours does not: the note of the vector, and where it is described.
const FAULTS: [(&str, &str); 3] = [
    (
        "bridge add channel with options",
        "2.8: the options are dropped",
    ),
    (
        "mailbox list node (Go server answers no keys)",
        "2.8: always empty",
    ),
    (
        "logging data (Asterisk lists the full path as name)",
        "3.6: levels and types are always empty",
    ),
];

/// Requests of which the Go client has two forms that mean the same; ours always has the options.
const WITHOUT_OPTIONS: [&str; 2] = ["record channel, no options", "snoop, nil options"];

/// What our client cannot be asked for: keys that fit no operation. The server refuses both.
const UNASKABLE: [&str; 2] = ["config data bad id", "endpoint data wrong key kind"];

struct Vector {
    value: Value,
}

impl Vector {
    fn all() -> Vec<Self> {
        lines(REQUESTS)
            .into_iter()
            .map(|value| Self { value })
            .collect()
    }

    fn text(&self, name: &str) -> &str {
        self.value[name].as_str().unwrap()
    }

    fn note(&self) -> &str {
        self.text("note").split(" | ").next().unwrap()
    }

    /// Hand-made, as no Go client sends it.
    fn is_raw(&self) -> bool {
        self.note().starts_with("raw ")
    }

    fn fault(&self) -> bool {
        FAULTS.iter().any(|(note, _)| *note == self.note())
    }

    fn ari(&self) -> &[Value] {
        self.value["ari"].as_array().unwrap()
    }

    /// The nodes that took the request.
    fn nodes(&self) -> Vec<&str> {
        let mut nodes: Vec<_> = self
            .ari()
            .iter()
            .map(|call| call["node"].as_str().unwrap())
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() {
            let named = self.text("subject").rsplit('.').next().unwrap();
            nodes.push(if named.contains(':') {
                named
            } else {
                "02:00:00:00:00:01"
            });
        }
        nodes
    }

    fn calls(&self, node: &str) -> Vec<&Value> {
        self.ari()
            .iter()
            .filter(|call| call["node"] == node)
            .collect()
    }

    /// Staging and executing were recorded together: what staging asked is among the calls of executing.
    fn is_staged(&self) -> bool {
        self.note().contains("+ exec")
    }

    fn responses(&self) -> Vec<(String, Value)> {
        let responses = self.value["responses"].as_array().unwrap().iter();
        responses
            .map(|response| response["raw"].as_str().unwrap().to_owned())
            .map(|raw| (raw.clone(), serde_json::from_str(&raw).unwrap()))
            .collect()
    }
}

/// What a call means to Asterisk: method, path, and parameters that are not nothing.
fn meaning(method: &str, target: &str, body: Option<&Value>) -> (String, BTreeMap<String, Value>) {
    let request = Request::from_http(method, target, None).unwrap();
    let mut parameters: BTreeMap<_, _> = request
        .parameters
        .iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    if let Some(Value::Object(members)) = body {
        parameters.extend(
            members
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }
    // Numbers and lists of one are texts in a query, and made ids differ from run to run.
    let text = |value: Value| match value {
        Value::Array(items) if items.len() == 1 => items[0].clone(),
        Value::Number(number) => number.to_string().into(),
        Value::Bool(truth) => truth.to_string().into(),
        other => other,
    };
    let unmade = |value: Value| {
        value
            .as_str()
            .and_then(made)
            .map(Into::into)
            .unwrap_or(value)
    };
    parameters.retain(|_, value| !is_nothing(value));
    let parameters = parameters
        .into_iter()
        .map(|(name, value)| (name, unmade(text(value))))
        .collect();
    (request.operation.to_string(), parameters)
}

fn calls(incoming: &Incoming) -> Vec<&Request> {
    incoming
        .steps()
        .iter()
        .filter_map(|step| match step {
            Step::Call(request) => Some(request),
            _ => None,
        })
        .collect()
}

fn meaning_of(request: &Request) -> (String, BTreeMap<String, Value>) {
    let http = request.to_http().unwrap();
    let body: Option<Value> = http.body.map(|body| serde_json::from_slice(&body).unwrap());
    meaning(http.method.as_str(), &http.target, body.as_ref())
}

fn recorded_meaning(call: &Value) -> (String, BTreeMap<String, Value>) {
    let body = call["body"].as_str().filter(|body| !body.is_empty());
    let body: Option<Value> = body.map(|body| serde_json::from_str(body).unwrap());
    let target = call["uri"].as_str().unwrap().strip_prefix("/ari").unwrap();
    meaning(call["method"].as_str().unwrap(), target, body.as_ref())
}

#[test]
fn every_request_makes_the_calls_that_the_go_server_made() {
    let (mut vectors, mut recorded_calls, mut compared, mut faults, mut refused) = (0, 0, 0, 0, 0);
    let mut staging = 0;
    for vector in Vector::all() {
        vectors += 1;
        recorded_calls += vector.ari().len();
        for node in vector.nodes() {
            let recorded = vector.calls(node);
            let incoming =
                match decode_request(vector.text("request_raw").as_bytes(), &place("test", node)) {
                    Ok(incoming) => incoming,
                    Err(bad) => {
                        assert_eq!(recorded.len(), 0, "{}: {bad}", vector.note());
                        assert_eq!(
                            vector.responses()[0].1["error"],
                            bad.to_string(),
                            "{}",
                            vector.note()
                        );
                        refused += 1;
                        continue;
                    }
                };
            let ours = calls(&incoming);
            if vector.note().starts_with("Asterisk stopped") {
                continue;
            }
            // A call that fails ends it, in the recording as in our server.
            let failed = recorded
                .iter()
                .position(|call| !(200..300).contains(&call["status"].as_u64().unwrap()));
            let expected: Vec<_> = match (vector.is_staged(), recorded.len()) {
                (true, 0) => continue,
                (true, len) => {
                    staging += len - ours.len();
                    recorded[len - ours.len()..].to_vec()
                }
                _ => recorded,
            };
            let made = failed.map_or(ours.len(), |failed| ours.len().min(failed + 1));
            assert_eq!(made, expected.len(), "{}", vector.note());
            for (ours, go) in ours.iter().zip(expected) {
                let (ours, go) = (meaning_of(ours), recorded_meaning(go));
                if vector.fault() && ours != go {
                    assert!(
                        go.1.iter()
                            .all(|(name, value)| ours.1.get(name) == Some(value)),
                        "{}",
                        vector.note()
                    );
                    faults += 1;
                    continue;
                }
                assert_eq!(ours, go, "{}", vector.note());
                compared += 1;
            }
        }
    }
    assert_eq!(recorded_calls, compared + faults + staging);
    assert_eq!(
        (vectors, recorded_calls, faults, staging, refused),
        (227, 242, 1, 3, 8)
    );
}

/// What the Go client was asked: the request without what only the server fills in.
fn asked(vector: &Vector) -> Option<(&'static Kind, Request)> {
    let sent = &vector.value["request"];
    let key = &sent["key"];
    let part = |name: &str| key[name].as_str().map(Into::into);
    let incoming = match decode_request(
        vector.text("request_raw").as_bytes(),
        &place("test", vector.nodes()[0]),
    ) {
        Ok(incoming) => incoming,
        Err(_) if vector.note() == "external media, no format" => {
            let kind = Kind::named("ChannelExternalMedia").unwrap();
            let target = Metadata {
                application: part("app"),
                asterisk_id: part("node"),
                dialog: None,
            };
            let request = Request::new(kind.operation().unwrap(), target);
            return Some((
                kind,
                request
                    .with("channelId", "vec-emx")
                    .with("external_host", "127.0.0.1:9999"),
            ));
        }
        Err(_) => return None,
    };
    let mut request = incoming.request()?.clone();
    request.target = Metadata {
        application: part("app"),
        asterisk_id: part("node"),
        dialog: part("dialog"),
    };
    let mut said = BTreeSet::new();
    for (name, value) in sent.as_object().unwrap() {
        if name == "key" {
            said.extend(value["id"].as_str().map(str::to_owned));
            said.extend(
                value["id"]
                    .as_str()
                    .into_iter()
                    .flat_map(|id| id.split('/').map(str::to_owned)),
            );
        } else if name != "kind" {
            leaves(value, &mut said);
        }
    }
    let filled: Vec<_> = request
        .parameters
        .iter()
        .filter(|(name, value)| {
            value.as_str().is_some_and(|text| !said.contains(text)) && *name != "application"
        })
        // These kinds stand for a reason.
        .filter(|(name, _)| *name != "reason" || incoming.kind().name() == "ChannelHangup")
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in filled {
        request.parameters.remove(&name);
    }
    Some((incoming.kind(), request))
}

fn leaves(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            into.insert(text.clone());
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, into)),
        Value::Object(members) => members.values().for_each(|member| leaves(member, into)),
        _ => {}
    }
}

#[test]
fn every_request_of_the_go_client_is_reproduced_byte_for_byte() {
    let subjects = Subjects::default();
    let (mut raw, mut refused, mut forms, mut same, mut primary) = (0, Vec::new(), 0, 0, 0);
    let mut kinds = BTreeSet::new();
    for vector in Vector::all() {
        if vector.is_raw() {
            raw += 1;
            continue;
        }
        // What our server refuses at once, ours does not send either.
        let Some((kind, request)) = asked(&vector) else {
            refused.push(vector.note().to_owned());
            continue;
        };
        let encoded = encode_as(kind, &request, &subjects)
            .unwrap_or_else(|error| panic!("{}: {error}", vector.note()));
        assert_eq!(encoded.subject, vector.text("subject"), "{}", vector.note());
        assert_eq!(
            encoded.class.as_str(),
            vector.text("class"),
            "{}",
            vector.note()
        );
        let sent = std::str::from_utf8(&encoded.payload).unwrap();
        if WITHOUT_OPTIONS.contains(&vector.note()) {
            assert!(
                sent.contains(r#""options":{"#) && !vector.text("request_raw").contains("options")
            );
            forms += 1;
            continue;
        }
        assert_eq!(sent, vector.text("request_raw"), "{}", vector.note());
        same += 1;
        kinds.insert(kind.name());
        if Kind::for_operation(request.operation).is_some_and(|chosen| chosen.name() == kind.name())
        {
            let chosen = encode(&request, &subjects).unwrap();
            assert_eq!(
                (&chosen.payload, &chosen.subject),
                (&encoded.payload, &encoded.subject)
            );
            primary += 1;
        }
    }
    assert_eq!(refused, UNASKABLE);
    assert_eq!(
        (raw, forms, same, primary, kinds.len()),
        (13, 2, 210, 183, 101)
    );
}

#[test]
fn every_answer_of_the_go_server_is_read() {
    let (mut successes, mut failures) = (0, 0);
    for vector in Vector::all() {
        let Some(kind) = Kind::named(vector.text("kind")) else {
            assert!(["Bogus", ""].contains(&vector.text("kind")));
            continue;
        };
        let request = Request::new(kind.operation().unwrap(), Metadata::default());
        for (raw, value) in vector.responses() {
            let read = kind.decode_response(&request, raw.as_bytes());
            let error = value["error"].as_str().unwrap();
            if error.is_empty() {
                let response = read.unwrap_or_else(|error| panic!("{}: {error}", vector.note()));
                successes += 1;
                if kind.name() == "SoundList" && value.get("keys").is_some() {
                    // A Go server forgets the ids of sounds.
                    assert_eq!(response.status, 502);
                    continue;
                }
                assert!(response.is_success());
                let keys = value["keys"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .chain(value.get("key"));
                // The console is a log channel without a name.
                let named = keys
                    .filter(|key| key.get("kind").is_some() && key.get("id").is_some())
                    .count();
                assert_eq!(response.entities.len(), named, "{}", vector.note());
                if value.get("data").is_some() {
                    assert!(
                        serde_json::from_slice::<Value>(&response.body).is_ok(),
                        "{}",
                        vector.note()
                    );
                }
                continue;
            }
            failures += 1;
            match (error, read) {
                ("ARI connection is down", Err(Error::NotSent { .. })) => {}
                (error, Ok(response)) => {
                    let status = error
                        .rsplit_once("Non-2XX response: ")
                        .map(|(_, end)| end[..3].parse().unwrap());
                    let expected = status.unwrap_or(if error == "not found" { 404 } else { 400 });
                    assert_eq!(response.status, expected, "{error}");
                    let refusal = response.into_success(request.operation).unwrap_err();
                    assert_eq!(refusal.is_not_found(), expected == 404);
                }
                (error, Err(read)) => panic!("{error}: {read}"),
            }
        }
    }
    assert_eq!((successes, failures), (184, 66));
}

#[test]
fn our_answers_are_those_of_the_go_server_after_decoding() {
    let (mut answered, mut compared, mut cut, mut unanswered, mut faults) =
        (0, 0, 0, 0, Vec::new());
    for vector in Vector::all() {
        let mut ours = Vec::new();
        for node in vector.nodes() {
            let recorded = vector.calls(node);
            if recorded
                .iter()
                .any(|call| call.get("response_bytes").is_some())
            {
                cut += 1;
                continue;
            }
            let here = place("test", node);
            let raw = match decode_request(vector.text("request_raw").as_bytes(), &here) {
                Err(bad) => bad.respond(),
                Ok(incoming) => {
                    incoming.respond(&answers(&vector, &incoming, &recorded), MAX_BYTES)
                }
            };
            ours.push(serde_json::from_slice::<Value>(&raw).unwrap());
        }
        let mut go = vector.responses();
        if go.is_empty() {
            assert!(
                vector.note() == "request without reply subject",
                "{}",
                vector.note()
            );
            unanswered += 1;
            continue;
        }
        answered += go.len();
        for ours in &ours {
            let found = go.iter().position(|(_, go)| {
                go["error"] == ours["error"] && members(go) == members(ours) && same(go, ours)
            });
            match found {
                Some(found) => {
                    go.remove(found);
                    compared += 1;
                }
                None if vector.fault() => faults.push(vector.note().to_owned()),
                None => panic!("{}\n  go: {go:?}\nours: {ours}", vector.note()),
            }
        }
    }
    assert_eq!(faults, [FAULTS[2].0, FAULTS[1].0]);
    assert_eq!(answered, compared + cut + faults.len());
    assert_eq!((answered, cut, unanswered), (252, 5, 1));
}

/// The members of an answer that Go clients look at.
fn members(answer: &Value) -> Vec<&String> {
    let known = |name: &&String| ["error", "data", "key", "keys"].contains(&name.as_str());
    answer.as_object().unwrap().keys().filter(known).collect()
}

/// What our server would have got from Asterisk.
fn answers(
    vector: &Vector,
    incoming: &Incoming,
    recorded: &[&Value],
) -> Vec<Result<Response, Error>> {
    let calls = calls(incoming);
    if vector.note().starts_with("Asterisk stopped") {
        return vec![Err(not_sent(calls[0], "the socket is closed", None))];
    }
    if vector.is_staged() && recorded.is_empty() {
        return calls
            .iter()
            .map(|_| Ok(Response::new(200, "", "{}")))
            .collect();
    }
    let recorded = &recorded[recorded.len().saturating_sub(calls.len())..];
    let answer = |call: &&Value| {
        let status = u16::try_from(call["status"].as_u64().unwrap()).unwrap();
        Ok(Response::new(
            status,
            "",
            call["response"].as_str().unwrap_or_default().to_owned(),
        ))
    };
    recorded.iter().map(answer).collect()
}
