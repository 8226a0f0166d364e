//! Doing the steps of a scenario, and comparing what comes of them.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use ari_core::OperationSpec;
use ari_sim::{
    World,
    wire::{AriConfig, FrameOperation, HttpAnswer, HttpOperation},
    world::{SessionId, SimTime, Ticket},
};
use serde_json::Value;

use super::{
    answers,
    door::{self, Asked},
    events::{self, SLACK, Seen},
    frames::Socket,
    names::Names,
    outside,
    tally::Tally,
    trace::{self, Line, Scenario},
    values::{self, Freedom, shown},
};

/// How long after the last line the world may still tell something, in milliseconds.
const REST: f64 = 300.0;

/// How long an answer may take that the trace has not seen, in milliseconds.
const PATIENCE: f64 = 60_000.0;

/// How long an answer of Asterisk takes for which it waited, in milliseconds.
const WAITED: f64 = 600.0;

/// One thing in which the world is not as the trace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Difference {
    pub(crate) line: usize,
    /// The step, or the key of the event.
    pub(crate) at: String,
    pub(crate) text: String,
}

impl Difference {
    pub(crate) fn new(line: usize, at: &str, text: String) -> Self {
        Self {
            line,
            at: at.to_owned(),
            text,
        }
    }
}

/// What a replay has brought.
pub(crate) struct Outcome {
    pub(crate) differences: Vec<Difference>,
    pub(crate) tally: Tally,
}

/// An answer that comes later.
pub(super) enum Waiting<'a> {
    Http(&'a Line, HttpOperation),
    /// On this socket.
    Frame(String, FrameOperation),
}

/// Something to be done at a point in time: the line it stands on, and what it is.
enum Deed {
    Line(usize),
    Call(outside::Call),
    /// The phone of this name that was called hangs up.
    Hangup(String),
}

pub(super) struct Replay<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) config: AriConfig,
    pub(super) world: World,
    pub(super) names: Names,
    pub(super) now: SimTime,
    pub(super) sockets: HashMap<String, Socket>,
    socket_names: HashMap<SessionId, String>,
    /// Whether events of the trace name their socket.
    many_sockets: bool,
    got: Vec<Seen>,
    expected: Vec<Seen>,
    /// Expected events up to here have taught their ids.
    learnt: usize,
    /// Steps that have begun: their names, and the line of the last one.
    begun: Vec<String>,
    line: usize,
    pub(super) waiting: BTreeMap<Ticket, Waiting<'a>>,
    /// Frames that came, with their socket.
    pub(super) frames: Vec<(String, Value)>,
    differences: Vec<Difference>,
    pub(super) tally: Tally,
}

/// Replays a scenario in a world of its own.
pub(crate) fn replay(scenario: &Scenario) -> Outcome {
    let mut replay = Replay::new(scenario);
    for (at, deed) in replay.deeds() {
        replay.advance(at);
        match deed {
            Deed::Line(place) => replay.step(&scenario.lines[place]),
            Deed::Call(call) => {
                replay.world.place_call(replay.now, call.script);
            }
            Deed::Hangup(name) => replay.phone_hangs_up(&name),
        }
        replay.fetch();
    }
    let end = scenario.lines.last().map_or(0.0, |line| line.arrived);
    replay.advance(end + REST);
    replay.finish(end)
}

fn time(millis: f64) -> SimTime {
    let elapsed = Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default();
    SimTime::after(elapsed)
}

impl<'a> Replay<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let steps: Vec<(f64, f64)> = steps_of(scenario);
        let events = scenario.lines.iter().filter(|line| line.has("event"));
        let expected: Vec<Seen> = events
            .map(|line| Seen {
                key: String::new(),
                event: line.value["event"].clone(),
                members: line.members.clone(),
                line: line.number,
                socket: line.socket().map(str::to_owned),
                begun: 0,
                between: events::between(line.arrived, &steps),
            })
            .collect();
        Self {
            config: door::config(),
            world: World::new(outside::options(scenario)),
            names: Names::new(&scenario.header, &scenario.lines),
            now: SimTime::START,
            sockets: HashMap::new(),
            socket_names: HashMap::new(),
            many_sockets: false,
            got: Vec::new(),
            expected,
            learnt: 0,
            begun: Vec::new(),
            line: 1,
            waiting: BTreeMap::new(),
            frames: Vec::new(),
            differences: Vec::new(),
            tally: Tally::default(),
            scenario,
        }
    }

    /// All that is to be done, in the order of doing it.
    fn deeds(&self) -> Vec<(f64, Deed)> {
        let mut deeds = Vec::new();
        for (place, line) in self.scenario.lines.iter().enumerate() {
            if line.has("event") || line.value["rest"].get("response").is_some() {
                continue;
            }
            deeds.push((line.sent, Deed::Line(place)));
            if let Some(call) = outside::call(self.scenario, place) {
                deeds.push((call.at.max(line.sent), Deed::Call(call)));
            }
            if let Some((at, name)) = outside::called_hangs_up(self.scenario, place) {
                deeds.push((at.max(line.sent), Deed::Hangup(name)));
            }
        }
        deeds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        deeds
    }

    fn advance(&mut self, millis: f64) {
        self.now = self.now.max(time(millis));
        self.world.advance(self.now);
        self.fetch();
    }

    /// Takes what the world has to tell.
    fn fetch(&mut self) {
        while let Some(delivery) = self.world.poll_event() {
            let name = self.socket_names.get(&delivery.session);
            let socket = name.filter(|_| self.many_sockets).cloned();
            let text = String::from_utf8_lossy(&delivery.event);
            self.got.push(Seen {
                key: String::new(),
                event: serde_json::from_str(&text).unwrap_or_default(),
                members: trace::members(&text).unwrap_or_default(),
                line: self.line,
                socket,
                begun: self.begun.len(),
                between: (0, 0),
            });
        }
        while let Some((ticket, response)) = self.world.poll_reply() {
            match self.waiting.remove(&ticket) {
                Some(Waiting::Http(line, operation)) => {
                    self.answered(line, &operation.answer(response));
                }
                Some(Waiting::Frame(name, operation)) => {
                    self.frame_answered(&name, &operation.answer(response));
                    self.next_frames(&name);
                }
                None => {}
            }
        }
    }

    fn step(&mut self, line: &'a Line) {
        self.learn_before(line.number);
        if is_step(line) {
            self.begun.push(line.step());
            self.line = line.number;
        }
        let value = &line.value;
        if value["socket"].is_object() {
            self.socket(line);
        } else if line.has("http") {
            self.http(line);
        } else if line.has("rest") {
            self.frame(line);
        } else if line.has("ami") {
            self.manager(line);
        } else if line.has("cli") {
            self.console(line);
        } else if line.has("sip") {
            if value["sip"]["role"] != "uac" && value["sip"]["role"] != "uas" {
                self.cannot(line, "this SIP phone is not known");
            }
        } else if !line.has("note") {
            self.cannot(line, "this kind of line is not known");
        }
    }

    pub(super) fn cannot(&mut self, line: &Line, why: &str) {
        let text = format!("this step expected, {why}");
        self.differ(line, text);
    }

    pub(super) fn differ_at(&mut self, line: usize, text: String) {
        self.differences
            .push(Difference::new(line, "the end", text));
    }

    pub(super) fn differ(&mut self, line: &Line, text: String) {
        let at = line.step();
        self.differences
            .push(Difference::new(line.number, &at, text));
    }

    fn socket(&mut self, line: &Line) {
        let socket = &line.value["socket"];
        let name = socket["name"].as_str().unwrap_or_default().to_owned();
        if socket["action"] != "open" {
            if let Some(socket) = self.sockets.remove(&name) {
                self.world.close_session(socket.session);
            }
            return;
        }
        let handshake = match door::open(&self.config, socket) {
            Ok(handshake) if socket["status"] == 101 => handshake,
            Ok(_) => {
                return self.differ(
                    line,
                    format!("status {} expected, 101 came", socket["status"]),
                );
            }
            Err(refused) => {
                let http = serde_json::json!({
                    "status": socket["status"], "reason": refused.reason,
                    "response": socket["response"], "method": "GET",
                });
                let body = String::from_utf8_lossy(&refused.body);
                if socket["status"] != refused.status || socket["response"] != *body {
                    let (expected, came) = (shown(&http), refused.status);
                    self.differ(line, format!("{expected} expected, {came} {body} came"));
                }
                return;
            }
        };
        self.many_sockets |= self.sockets.keys().any(|known| *known != name);
        let session = self.world.open_session();
        for app in handshake.applications() {
            self.world
                .register(session, app, handshake.subscribes_to_all());
        }
        self.socket_names.insert(session, name.clone());
        self.sockets.insert(name, Socket::new(session, handshake));
    }

    fn http(&mut self, line: &'a Line) {
        let http = self.names.to_send(&line.value["http"]);
        match door::ask(&mut self.world, self.now, &self.config, &http) {
            Asked::Now(answer) => {
                let waited = line.arrived - line.sent;
                if waited > WAITED {
                    let text = format!("an answer after {waited:.0} ms expected, it came at once");
                    self.differ(line, text);
                }
                self.answered(line, &answer);
            }
            Asked::Later(ticket, operation) => {
                self.waiting.insert(ticket, Waiting::Http(line, operation));
            }
            Asked::Websocket => {
                self.differ(line, "an answer expected, a websocket came".to_owned());
            }
        }
    }

    /// Compares an answer with that of the trace.
    fn answered(&mut self, line: &Line, answer: &HttpAnswer) {
        let header = &self.scenario.header;
        let mut found = answers::differences(&line.value, answer, header, &mut self.names);
        let steps = self.scenario.lines.iter().filter(|other| is_step(other));
        let may_have_begun = steps.filter(|other| other.sent < line.arrived + SLACK);
        if self.begun.len() > may_have_begun.count() {
            found.push("an answer before the next step expected, it came after".to_owned());
        }
        self.count(&line.value["http"], found.is_empty());
        self.tally.answer(&line.value["http"], answer);
        for text in found {
            self.differ(line, text);
        }
    }

    pub(super) fn count(&mut self, http: &Value, matched: bool) {
        let method = http["method"].as_str().unwrap_or_default();
        let operation: Option<&'static OperationSpec> =
            door::operation_of(method, &door::target_of(http));
        if let Some(operation) = operation {
            let accepted = http["status"].as_u64().is_some_and(|status| status < 400);
            self.tally.step(operation, accepted, matched);
        }
    }

    /// Learns which id is which from the events before this line.
    fn learn_before(&mut self, line: usize) {
        while let Some(expected) = self
            .expected
            .get(self.learnt)
            .filter(|seen| seen.line < line)
        {
            self.learnt += 1;
            if self.names.is_complete() {
                continue;
            }
            let wanted = self.names.recorded(&expected.event);
            if !self.names.mentions_open(&wanted) {
                continue;
            }
            let what = format!("event {}", wanted["type"].as_str().unwrap_or_default());
            let same = self
                .got
                .iter()
                .filter(|seen| seen.event["type"] == wanted["type"]);
            let key = |event: &Value| events::key_of(event, None);
            let best = same
                .filter(|seen| fits(&self.names, &wanted, &self.names.ours(&seen.event)))
                .min_by_key(|seen| {
                    let freedom = Freedom::new(&[], &what, &self.names);
                    let ours = self.names.ours(&seen.event);
                    let far = values::differences(&wanted, &ours, "", &freedom).len();
                    (far, key(&ours).len())
                })
                .map(|seen| self.names.ours(&seen.event));
            if let Some(best) = best {
                self.names.learn(&wanted, &best);
            }
        }
    }

    /// The calls that a phone has received end.
    fn phone_hangs_up(&mut self, name: &str) {
        let endpoint = format!("PJSIP/{name}");
        for endpoint in [name, endpoint.as_str()] {
            while let Some(call) = self.world.take_call(self.now, endpoint, 0) {
                self.world.release_call(self.now, call);
            }
        }
    }

    fn finish(mut self, end: f64) -> Outcome {
        if !self.waiting.is_empty() {
            let told = self.got.len();
            self.advance(end + PATIENCE);
            self.got.truncate(told);
        }
        for waiting in std::mem::take(&mut self.waiting).into_values() {
            if let Waiting::Http(line, _) = waiting {
                self.differ(line, "an answer expected, none came".to_owned());
                self.count(&line.value["http"], false);
            }
        }
        self.compare_frames();
        self.learn_before(usize::MAX);
        for seen in &self.got {
            self.tally.event(&seen.event);
        }
        for seen in &self.expected {
            self.tally.expected_event(&seen.event);
        }
        let mut differences = self.differences;
        differences.extend(events::compare(
            &self.scenario.header,
            &self.names,
            &self.begun,
            self.expected,
            self.got,
        ));
        differences.sort();
        Outcome {
            differences,
            tally: self.tally,
        }
    }
}

/// Whether an event of the world can be the one that mentions ids that are not known yet: where the trace
/// has such an id the world has one that nothing else is named by.
fn fits(names: &Names, wanted: &Value, ours: &Value) -> bool {
    match (wanted, ours) {
        (Value::String(wanted), Value::String(ours)) if names.is_open(wanted) => {
            !names.is_known(ours) && !ours.starts_with("generated-")
        }
        (Value::Object(wanted), Value::Object(ours)) => wanted.iter().all(|(name, wanted)| {
            let ids = matches!(name.as_str(), "id" | "name") && wanted.is_string();
            match ours.get(name) {
                Some(ours) if ids && name == "id" => {
                    wanted == ours || fits_text(names, wanted, ours)
                }
                Some(ours) => fits(names, wanted, ours),
                None => !names.mentions_open(wanted),
            }
        }),
        _ => true,
    }
}

fn fits_text(names: &Names, wanted: &Value, ours: &Value) -> bool {
    let (Some(wanted), Some(ours)) = (wanted.as_str(), ours.as_str()) else {
        return false;
    };
    names.is_open(wanted) && !names.is_known(ours) && !ours.starts_with("generated-")
}

/// Whether a line is something that was done, rather than something that came or a remark.
fn is_step(line: &Line) -> bool {
    !line.has("event") && line.has("step") && line.value["rest"].get("response").is_none()
}

/// When each step was sent and answered, in the order of sending.
fn steps_of(scenario: &Scenario) -> Vec<(f64, f64)> {
    let steps = scenario.lines.iter().filter(|line| is_step(line));
    let mut steps: Vec<_> = steps.map(|line| (line.sent, line.arrived)).collect();
    steps.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    steps
}
