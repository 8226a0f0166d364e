//! Replays what a real Asterisk 22.10.1 did, step by step, and compares answers and events.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::HashMap, fs, path::Path, time::Duration};

use ari_core::{Request, Response};
use ari_sim::{
    World, WorldOptions,
    world::{Dialplan, Phone, PhoneOutcome, Reply, SessionId, SimTime},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, value::RawValue};

/// Fields whose value is made anew each time.
const GENERATED: &[&str] = &[
    "timestamp",
    "asterisk_id",
    "creationtime",
    "startup_time",
    "last_reload_time",
    "date",
];

/// One event of a trace or of the world, with the socket that it came by.
#[derive(Clone, Debug)]
struct Seen {
    key: String,
    event: Value,
    /// Names of all members in the order in which they came.
    members: Vec<String>,
}

impl Seen {
    fn new(text: &str, socket: Option<&str>) -> Self {
        let event: Value = serde_json::from_str(text).unwrap();
        let Members(members) = serde_json::from_str(text).unwrap();
        Self {
            key: key_of(&event, socket),
            event,
            members,
        }
    }
}

/// The names of all members of a JSON value, in their order.
struct Members(Vec<String>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    names.push(name);
                    names.extend(map.next_value::<Members>()?.0);
                }
                Ok(names)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(Members(inner)) = items.next_element()? {
                    names.extend(inner);
                }
                Ok(names)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
        }

        deserializer.deserialize_any(Names).map(Members)
    }
}

/// One line of a trace whose event is kept as it was written.
#[derive(Deserialize)]
struct RawLine<'a> {
    #[serde(borrow)]
    event: Option<&'a RawValue>,
}

struct Replay {
    world: World,
    now: SimTime,
    sockets: HashMap<String, SessionId>,
    names: HashMap<SessionId, String>,
    events: Vec<Seen>,
    differences: Vec<String>,
    /// Events name their socket from the second socket on.
    many_sockets: bool,
    varies: Vec<String>,
}

fn millis(value: &Value) -> Option<SimTime> {
    value
        .as_f64()
        .map(|millis| SimTime::after(Duration::from_secs_f64(millis / 1_000.0)))
}

fn strings(value: &Value) -> Vec<String> {
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// Takes out what differed between the runs of a trace: `what` names the step or the type of the event.
fn steady(value: &Value, what: &str, varies: &[String]) -> Value {
    fn take_out(value: &mut Value, path: &[&str]) {
        match (value, path) {
            (Value::Array(items), _) => items.iter_mut().for_each(|item| take_out(item, path)),
            (Value::Object(members), [last]) => drop(members.remove(*last)),
            (Value::Object(members), [name, rest @ ..]) => {
                if let Some(member) = members.get_mut(*name) {
                    take_out(member, rest);
                }
            }
            _ => {}
        }
    }
    let mut value = plain(value);
    for entry in varies {
        let Some(path) = entry
            .strip_prefix(what)
            .and_then(|rest| rest.strip_prefix(": "))
        else {
            continue;
        };
        let path = path.replace("[]", "");
        let path: Vec<_> = path.split('.').filter(|name| *name != "response").collect();
        take_out(&mut value, &path);
    }
    value
}

/// The key of an event, as the headers of the traces write it.
fn key_of(event: &Value, socket: Option<&str>) -> String {
    let text = |path: &[&str]| {
        let found = path.iter().try_fold(event, |value, name| value.get(name))?;
        found.as_str().map(str::to_owned)
    };
    let mut parts = Vec::new();
    for path in [
        ["channel", "id"],
        ["peer", "id"],
        ["bridge", "id"],
        ["playback", "id"],
        ["recording", "name"],
        ["device_state", "name"],
    ] {
        parts.extend(text(&path));
    }
    for name in [
        "variable",
        "dialstatus",
        "digit",
        "eventname",
        "dialplan_app",
    ] {
        parts.extend(text(&[name]));
    }
    if event.get("soft").is_some() {
        parts.push("True".to_owned());
    }
    let kind = text(&["type"]).unwrap_or_default();
    let socket = socket.map(|name| format!("{name}>")).unwrap_or_default();
    if parts.is_empty() {
        format!("{socket}{kind}")
    } else {
        format!("{socket}{kind}:{}", parts.join("/"))
    }
}

/// Numbers keys that occur more than once: `#2` for the second one.
fn numbered(events: Vec<Seen>) -> Vec<Seen> {
    let mut counts: HashMap<String, u32> = HashMap::new();
    let number = |mut seen: Seen| {
        let count = counts.entry(seen.key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            seen.key = format!("{}#{count}", seen.key);
        }
        seen
    };
    events.into_iter().map(number).collect()
}

/// Takes out what is made anew each time: times, and the numbers in the names of channels.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .iter()
                .filter(|(name, _)| !GENERATED.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), plain(value)))
                .collect::<Map<_, _>>(),
        ),
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::String(text) => Value::String(without_number(text)),
        other => other.clone(),
    }
}

fn without_number(text: &str) -> String {
    let parts: Vec<_> = text
        .split(',')
        .map(|part| {
            let (name, half) = part
                .split_once(';')
                .map_or((part, ""), |(name, half)| (name, half));
            match name.rsplit_once('-') {
                Some((name, number))
                    if number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
                {
                    format!("{name}-N;{half}")
                }
                _ => part.to_owned(),
            }
        })
        .collect();
    parts.join(",")
}

/// Arrays of channels and the like come in no order.
fn unordered(value: &Value) -> Value {
    match value {
        Value::Array(items) => {
            let mut items: Vec<_> = items.iter().map(unordered).collect();
            items.sort_by_key(Value::to_string);
            Value::Array(items)
        }
        other => other.clone(),
    }
}

fn target_of(http: &Value) -> String {
    let path = http["path"].as_str().unwrap_or_default();
    let mut target = path.strip_prefix("/ari").unwrap_or(path).to_owned();
    let query = http["query"].as_object().cloned().unwrap_or_default();
    for (place, (name, value)) in query.iter().enumerate() {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        target.push(if place == 0 { '?' } else { '&' });
        target.extend([name, "="]);
        target.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
    }
    target
}

impl Replay {
    fn new(header: &Value) -> Self {
        let mut dialplan = Dialplan::default();
        for (exten, steps) in header["dialplan"].as_object().into_iter().flatten() {
            let steps = steps
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            let lines: Vec<_> = steps
                .map(|step| format!("exten => {exten},{step}"))
                .collect();
            let text = lines.join("\n");
            let text = text.replacen(&format!("exten => {exten},n"), "same => n", usize::MAX);
            dialplan.add(Dialplan::parse(&text).unwrap_or_default());
        }
        let phone = Phone {
            rings_after: Some(Duration::ZERO),
            outcome: PhoneOutcome::Refuses(21, Duration::from_millis(305)),
        };
        Self {
            world: World::new(
                WorldOptions::default()
                    .phone("sipp", phone)
                    .dialplan(dialplan),
            ),
            now: SimTime::START,
            sockets: HashMap::new(),
            names: HashMap::new(),
            events: Vec::new(),
            differences: Vec::new(),
            many_sockets: false,
            varies: strings(&header["varies"]),
        }
    }

    fn advance(&mut self, now: SimTime) {
        self.now = self.now.max(now);
        self.world.advance(self.now);
        self.fetch();
    }

    fn fetch(&mut self) {
        while let Some(delivery) = self.world.poll_event() {
            let socket = self
                .names
                .get(&delivery.session)
                .filter(|_| self.many_sockets);
            let text = std::str::from_utf8(&delivery.event).unwrap();
            self.events
                .push(Seen::new(text, socket.map(String::as_str)));
        }
    }

    fn socket(&mut self, socket: &Value) {
        let name = socket["name"].as_str().unwrap_or_default().to_owned();
        let action = socket["action"].as_str().unwrap_or_default();
        if action != "open" {
            if let Some(session) = self.sockets.remove(&name) {
                self.world.close_session(session);
            }
            return;
        }
        if socket["status"] != 101 {
            return;
        }
        self.many_sockets |= self.sockets.keys().any(|known| *known != name);
        let session = self.world.open_session();
        let all = socket["query"]["subscribeAll"] == "true";
        for app in socket["query"]["app"]
            .as_str()
            .unwrap_or_default()
            .split(',')
        {
            self.world.register(session, app, all);
        }
        self.sockets.insert(name.clone(), session);
        self.names.insert(session, name);
        self.fetch();
    }

    fn http(&mut self, line: &Value, number: usize) {
        let http = &line["http"];
        let (method, target) = (http["method"].as_str().unwrap_or_default(), target_of(http));
        let broken = http["body"].is_string() || http.get("auth").is_some();
        let request = Request::from_http(
            method,
            &target,
            Some(&http["body"]).filter(|body| !body.is_null()),
        );
        let (false, Ok(request)) = (broken, request) else {
            // For the door, which is tested by itself.
            return;
        };
        let arrived = millis(&line["t_ms"]).unwrap_or_default();
        let response = match self.world.request(self.now, &request) {
            Reply::Now(response) => response,
            Reply::Later(_) => {
                self.advance(arrived + Duration::from_millis(20));
                self.world
                    .poll_reply()
                    .map_or_else(Response::default, |(_, response)| response)
            }
        };
        self.fetch();
        let what = format!("line {number}: {method} {target}");
        if http["status"] != response.status {
            self.differences.push(format!(
                "{what}: status {} instead of {}",
                response.status, http["status"]
            ));
            return;
        }
        if http["reason"] != response.reason.as_str() {
            self.differences.push(format!(
                "{what}: reason {:?} instead of {}",
                response.reason, http["reason"]
            ));
        }
        let expected = &http["response"];
        if http.get("response_trimmed_from").is_some()
            || expected.as_str().is_some_and(|text| text.starts_with('<'))
        {
            return;
        }
        let body = if response.body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&response.body).unwrap()
        };
        let step = format!("http {}", line["step"]);
        let (got, wanted) = (
            unordered(&steady(&body, &step, &self.varies)),
            unordered(&steady(expected, &step, &self.varies)),
        );
        if got != wanted {
            self.differences.push(format!(
                "{what}: answered\n    {got}\n  instead of\n    {wanted}"
            ));
        }
    }

    fn step(&mut self, line: &Value, number: usize) {
        let sent = millis(&line["t_sent_ms"]).or_else(|| millis(&line["t_ms"]));
        self.advance(sent.unwrap_or_default());
        if line.get("socket").is_some() && line.get("event").is_none() {
            self.socket(&line["socket"]);
        } else if line.get("http").is_some() {
            self.http(line, number);
        } else if line["ami"]["action"]["Action"] == "PlayDTMF" {
            let action = &line["ami"]["action"];
            let channel = action["Channel"].as_str().unwrap_or_default();
            let digit = action["Digit"]
                .as_str()
                .and_then(|text| text.chars().next())
                .unwrap_or('?');
            let duration = action["Duration"]
                .as_str()
                .and_then(|text| text.parse().ok())
                .unwrap_or(100);
            let key = self.find_channel(channel).unwrap_or_default();
            self.world
                .press(self.now, &key, digit, Duration::from_millis(duration));
        }
    }

    /// The channel of this name but for the number in it: the last one that was made.
    fn find_channel(&mut self, name: &str) -> Option<String> {
        let list = Request::from_http("GET", "/channels", None).ok()?;
        let Reply::Now(response) = self.world.request(self.now, &list) else {
            return None;
        };
        let channels: Vec<Value> = serde_json::from_slice(&response.body).ok()?;
        let wanted = without_number(name);
        // Several calls to the same extension are told apart by the order of their numbers.
        let mut same: Vec<_> = channels
            .iter()
            .filter(|channel| {
                channel["name"].as_str().map(without_number).as_deref() == Some(&wanted)
            })
            .collect();
        same.sort_by_key(|channel| channel["name"].to_string());
        same.first()?["id"].as_str().map(str::to_owned)
    }
}

fn compare(header: &Value, expected: Vec<Seen>, got: Vec<Seen>, differences: &mut Vec<String>) {
    let varies = strings(&header["varies"]);
    let not_always = strings(&header["not_always"]);
    let unordered: Vec<Vec<String>> = header["unordered"]
        .as_array()
        .into_iter()
        .flatten()
        .map(strings)
        .collect();
    let (expected, got) = (numbered(expected), numbered(got));
    let place: HashMap<&str, usize> = got
        .iter()
        .enumerate()
        .map(|(place, seen)| (&*seen.key, place))
        .collect();
    for seen in &expected {
        match place.get(&*seen.key) {
            None if not_always.contains(&seen.key) => {}
            None => differences.push(format!("event {} is missing", seen.key)),
            Some(place) => {
                let what = format!("event {}", seen.event["type"].as_str().unwrap_or_default());
                let (a, b) = (
                    steady(&got[*place].event, &what, &varies),
                    steady(&seen.event, &what, &varies),
                );
                if a != b {
                    differences.push(format!(
                        "event {}:\n    {a}\n  instead of\n    {b}",
                        seen.key
                    ));
                }
                if got[*place].members != seen.members {
                    let (a, b) = (&got[*place].members, &seen.members);
                    differences.push(format!(
                        "event {}: members {a:?} instead of {b:?}",
                        seen.key
                    ));
                }
            }
        }
    }
    for seen in &got {
        if !expected.iter().any(|known| known.key == seen.key) && !not_always.contains(&seen.key) {
            differences.push(format!("event {} is too much", seen.key));
        }
    }
    let free = |a: &str, b: &str| {
        unordered
            .iter()
            .any(|pair| pair.iter().any(|key| key == a) && pair.iter().any(|key| key == b))
    };
    for (index, first) in expected.iter().enumerate() {
        for second in &expected[index + 1..] {
            let (Some(a), Some(b)) = (place.get(&*first.key), place.get(&*second.key)) else {
                continue;
            };
            if a > b && !free(&first.key, &second.key) {
                differences.push(format!("event {} comes before {}", second.key, first.key));
            }
        }
    }
}

fn replay(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let header = &lines[0];
    let mut replay = Replay::new(header);
    let mut expected = Vec::new();
    for ((number, line), raw) in (1..).zip(&lines).zip(text.lines()).skip(1) {
        let raw: RawLine<'_> = serde_json::from_str(raw).unwrap();
        if let Some(event) = raw.event {
            expected.push(Seen::new(event.get(), line["socket"].as_str()));
        } else {
            replay.step(line, number);
        }
    }
    let end = lines
        .last()
        .and_then(|line| millis(&line["t_ms"]))
        .unwrap_or_default();
    replay.advance(end + Duration::from_millis(300));
    let mut differences = replay.differences;
    compare(header, expected, replay.events, &mut differences);
    differences
}

#[test]
fn the_world_does_what_asterisk_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failed = 0;
    for path in &paths {
        let differences = replay(path);
        if !differences.is_empty() {
            failed += 1;
            println!("{}:", path.file_stem().unwrap().to_string_lossy());
            for difference in &differences {
                println!("  {difference}");
            }
        }
    }
    assert_eq!(failed, 0, "of {} traces", paths.len());
}
