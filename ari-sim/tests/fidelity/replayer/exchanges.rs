//! Single exchanges: a sample without state, of which only the shapes of the answers are compared.

use std::{collections::BTreeMap, time::Duration};

use ari_sim::{
    World, WorldOptions,
    wire::{AriConfig, HttpAnswer},
    world::{Phone, SimTime},
};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{
    door::{self, Asked},
    replay::Difference,
    shapes::Shape,
    tally::{Kind, Tally},
};

/// What has come of a file of exchanges.
pub(crate) struct Compared {
    pub(crate) matched: usize,
    pub(crate) differences: Vec<Difference>,
}

/// Most differences of one exchange that are named.
const MOST: usize = 8;

/// A world that is asked one thing after the other.
struct Desk {
    config: AriConfig,
    world: World,
    now: SimTime,
    told: Vec<Value>,
}

impl Desk {
    fn new() -> Self {
        let phone = Phone::answers_after(Duration::from_millis(10));
        let options = WorldOptions::default()
            .phone("sipp", phone)
            .extension("offered", "StasisBroadcast(60000,,a1:a2,yes)");
        let mut world = World::new(options);
        let session = world.open_session();
        for app in ["test", "app2"] {
            world.register(session, app, false);
        }
        world.register(session, "listener", true);
        Self {
            config: door::config(),
            world,
            now: SimTime::START,
            told: Vec::new(),
        }
    }

    fn ask(&mut self, http: &Value) -> Option<HttpAnswer> {
        let answer = match door::ask(&mut self.world, self.now, &self.config, http) {
            Asked::Now(answer) => Some(answer),
            Asked::Later(ticket, operation) => {
                self.now = self.now + Duration::from_secs(5);
                self.world.advance(self.now);
                std::iter::from_fn(|| self.world.poll_reply())
                    .find(|(known, _)| *known == ticket)
                    .map(|(_, response)| operation.answer(response))
            }
            Asked::Websocket => None,
        };
        self.now = self.now + Duration::from_millis(300);
        self.world.advance(self.now);
        while let Some(delivery) = self.world.poll_event() {
            self.told
                .extend(serde_json::from_slice::<Value>(&delivery.event).ok());
        }
        while self.world.poll_reply().is_some() {}
        answer
    }

    fn post(&mut self, path: &str, query: &Value) {
        self.ask(&json!({"method": "POST", "path": path, "query": query, "body": null}));
    }

    fn put(&mut self, path: &str, query: &Value) {
        self.ask(&json!({"method": "PUT", "path": path, "query": query, "body": null}));
    }
}

/// What is there before the exchange is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// All that the path names; the channel is answered and in the application.
    Everything,
    /// The same, and the channel is in the bridge.
    Bridged,
    /// The same, and something is being played and recorded.
    Busy,
    /// The channel runs in the dialplan.
    Elsewhere,
    /// The channel was created and not dialed.
    Created,
    /// The channel is that of a SIP phone.
    Phone,
    /// The channel comes in and is not answered.
    Incoming,
    /// The channel is offered to all applications.
    Offered,
    /// The same, and one has taken it.
    Claimed,
}

const BEFORE: [Before; 10] = [
    Before::Nothing,
    Before::Everything,
    Before::Bridged,
    Before::Busy,
    Before::Elsewhere,
    Before::Created,
    Before::Phone,
    Before::Incoming,
    Before::Offered,
    Before::Claimed,
];

/// Compares all exchanges of a file; `tally` has what was answered in scenarios, and gets what is told and
/// what matches here.
pub(crate) fn compare(exchanges: &[(usize, Value)], tally: &mut Tally) -> Compared {
    let mut samples: BTreeMap<Kind, Vec<Shape>> = BTreeMap::new();
    for (_, exchange) in exchanges {
        let shape = Shape::of(&recorded(exchange));
        samples.entry(kind_of(exchange)).or_default().push(shape);
    }
    for (kind, shapes) in &tally.answers {
        let known = samples.entry(kind.clone()).or_default();
        known.extend(shapes.recorded.iter().cloned());
    }
    // The exchanges came one after the other, with others in between that were left out.
    let mut session = Desk::new();
    let mut compared = Compared {
        matched: 0,
        differences: Vec::new(),
    };
    for (line, exchange) in exchanges {
        let in_session = session.ask(&http_of(exchange));
        let mut refused = None;
        let mut told = Vec::new();
        let trials = in_session
            .into_iter()
            .chain(BEFORE.into_iter().flat_map(|before| {
                let (answers, events) = trials(exchange, before);
                told.extend(events);
                answers
            }));
        let mut statuses = Vec::new();
        let kind = kind_of(exchange);
        let seen = samples.get(&kind).map(Vec::as_slice).unwrap_or_default();
        let mut matches = false;
        for answer in trials {
            if answer.status != kind.2 {
                statuses.push(answer.status);
                continue;
            }
            let found = answer_differences(exchange, &answer, seen);
            matches = found.is_empty();
            if matches {
                break;
            }
            refused.get_or_insert(found);
        }
        for event in &told {
            tally.event(event);
        }
        if !matches {
            let ours = tally
                .answers
                .get(&kind)
                .map(|shapes| shapes.ours.as_slice());
            let ours = ours.unwrap_or_default();
            matches = ours.iter().any(|ours| ours.differences(seen).is_empty());
        }
        let target = door::target_of(exchange);
        if let Some(operation) = door::operation_of(&kind.0, &target) {
            tally.exchange(operation, matches);
        }
        if matches {
            compared.matched += 1;
            continue;
        }
        let at = format!("line {line}");
        let mut texts = refused.unwrap_or_else(|| {
            statuses.sort_unstable();
            statuses.dedup();
            let (method, path, status) = &kind;
            vec![format!(
                "{method} {path}: status {status} expected, only {statuses:?} can be had"
            )]
        });
        if texts.len() > MOST {
            let more = texts.len() - MOST;
            texts.truncate(MOST);
            texts.push(format!("and {more} differences more"));
        }
        for text in texts {
            compared.differences.push(Difference::new(*line, &at, text));
        }
    }
    for event in &session.told {
        tally.event(event);
    }
    compared
}

fn kind_of(exchange: &Value) -> Kind {
    let text = |name: &str| exchange[name].as_str().unwrap_or_default();
    let status = exchange["status"]
        .as_u64()
        .and_then(|status| status.try_into().ok());
    let template = text("path_template");
    let template = template.split('?').next().unwrap_or_default();
    (
        text("method").to_owned(),
        template.to_owned(),
        status.unwrap_or_default(),
    )
}

/// What was answered: a file holds JSON as text.
fn recorded(exchange: &Value) -> Value {
    let Some(text) = exchange["response"].as_str() else {
        return exchange["response"].clone();
    };
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

/// The exchange in the form of a scenario's.
fn http_of(exchange: &Value) -> Value {
    let mut http = json!({
        "method": exchange["method"],
        "path": exchange["path"],
        "query": exchange["query"],
        "body": exchange["body"],
    });
    if exchange["auth"] != "demo:secret" {
        http["auth"] = exchange["auth"].clone();
    }
    http
}

fn answer_differences(exchange: &Value, answer: &HttpAnswer, seen: &[Shape]) -> Vec<String> {
    let expected = recorded(exchange);
    if expected.is_string() {
        let empty = answer.body.is_empty();
        return empty
            .then(|| "a body expected, none came".to_owned())
            .into_iter()
            .collect();
    }
    let body = if answer.body.is_empty() || exchange["method"] == "HEAD" {
        Value::Null
    } else {
        match serde_json::from_slice(&answer.body) {
            Ok(body) => body,
            Err(error) => return vec![format!("JSON expected, {error}")],
        }
    };
    Shape::of(&body).differences(seen)
}

/// Answers to an exchange in worlds that have something in them: the first time, and the second time.
fn trials(exchange: &Value, before: Before) -> (Vec<HttpAnswer>, Vec<Value>) {
    let mut desk = Desk::new();
    let template = exchange["path_template"].as_str().unwrap_or_default();
    let template = template.split('?').next().unwrap_or_default();
    let path = exchange["path"].as_str().unwrap_or_default();
    let path = path.strip_prefix("/ari").unwrap_or(path);
    let path = path.split('?').next().unwrap_or_default();
    let named: BTreeMap<&str, &str> = template
        .split('/')
        .zip(path.split('/'))
        .filter(|(name, _)| name.starts_with('{'))
        .collect();
    prepare(&mut desk, before, exchange, &named);
    let http = http_of(exchange);
    let first = desk.ask(&http);
    let second = desk.ask(&http);
    (first.into_iter().chain(second).collect(), desk.told)
}

fn prepare(desk: &mut Desk, before: Before, exchange: &Value, named: &BTreeMap<&str, &str>) {
    if before == Before::Nothing {
        return;
    }
    let name = |key: &str| named.get(key).copied();
    let asked = query_value(exchange, "channelId");
    let channel = name("{channelId}").or(asked.as_deref());
    let channel = channel.unwrap_or("prepared-channel");
    let bridge = name("{bridgeId}").unwrap_or("prepared-bridge");
    make_channel(desk, before, channel);
    desk.post(
        &format!("/ari/bridges/{bridge}"),
        &json!({"type": "mixing"}),
    );
    if matches!(before, Before::Bridged | Before::Busy) {
        let query = json!({"channel": channel});
        if before == Before::Bridged {
            desk.post(&format!("/ari/bridges/{bridge}/addChannel"), &query);
            desk.post(&format!("/ari/bridges/{bridge}/moh"), &json!({}));
        }
        desk.post(
            &format!("/ari/channels/{channel}/variable"),
            &json!({"variable": "V", "value": "1", "report_events": "true"}),
        );
    }
    if let Some(playback) = name("{playbackId}") {
        let media = json!({"media": "sound:tt-monkeys"});
        desk.post(&format!("/ari/channels/{channel}/play/{playback}"), &media);
    }
    if let Some(recording) = name("{recordingName}") {
        let query = json!({"name": recording, "format": "wav", "ifExists": "overwrite"});
        desk.post(&format!("/ari/channels/{channel}/record"), &query);
        if before == Before::Everything {
            desk.post(
                &format!("/ari/recordings/live/{recording}/stop"),
                &json!({}),
            );
        }
        if before == Before::Bridged {
            desk.post(
                &format!("/ari/recordings/live/{recording}/pause"),
                &json!({}),
            );
            desk.post(
                &format!("/ari/recordings/live/{recording}/mute"),
                &json!({}),
            );
        }
    }
    if let Some(device) = name("{deviceName}") {
        let query = json!({"deviceState": "INUSE"});
        desk.put(&format!("/ari/deviceStates/{device}"), &query);
    }
    if let Some(mailbox) = name("{mailboxName}") {
        let query = json!({"oldMessages": "1", "newMessages": "2"});
        desk.put(&format!("/ari/mailboxes/{mailbox}"), &query);
    }
    if let Some(log) = name("{logChannelName}") {
        let query = json!({"configuration": "notice,warning"});
        desk.post(&format!("/ari/asterisk/logging/{log}"), &query);
    }
    if before == Before::Busy {
        let query = json!({"media": "tone:ring"});
        desk.post(
            &format!("/ari/channels/{channel}/play/prepared-tone"),
            &query,
        );
    }
}

/// A parameter of the query of an exchange.
fn query_value(exchange: &Value, name: &str) -> Option<String> {
    let mut pairs = exchange["query"].as_str()?.split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

fn make_channel(desk: &mut Desk, before: Before, channel: &str) {
    let local = json!({"endpoint": "Local/1014@default", "app": "test", "channelId": channel});
    match before {
        Before::Nothing => {}
        Before::Everything | Before::Bridged | Before::Busy => desk.post("/ari/channels", &local),
        Before::Created => desk.post("/ari/channels/create", &local),
        Before::Elsewhere => {
            let query = json!({
                "endpoint": "Local/1014@default", "extension": "1014", "context": "default",
                "channelId": channel,
            });
            desk.post("/ari/channels", &query);
        }
        Before::Phone => {
            let query = json!({"endpoint": "PJSIP/sipp", "app": "test", "channelId": channel});
            desk.post("/ari/channels", &query);
        }
        Before::Incoming | Before::Offered | Before::Claimed => {
            let exten = if before == Before::Incoming {
                "app-test"
            } else {
                "offered"
            };
            let query = json!({
                "endpoint": format!("Local/{exten}@default"), "extension": "1014", "context": "default",
                "channelId": "prepared-caller", "otherChannelId": channel,
            });
            desk.post("/ari/channels", &query);
            if before == Before::Claimed {
                let query = json!({"channelId": channel, "application": "app2"});
                desk.post("/ari/events/claim", &query);
            }
        }
    }
}
