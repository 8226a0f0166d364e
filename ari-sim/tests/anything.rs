//! Whatever is asked of the world, in whatever order, it answers, and keeps nothing of what is over.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use ari_core::{
    Event, Metadata, OperationSpec, ParameterType, Request,
    operations::{bridges, channels},
    registry,
};
use ari_sim::{
    CallScript, Cue, SimTime, World, WorldOptions,
    world::{Dialplan, Reply, SessionId},
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Ids and values that requests are made of, so that some of them meet.
const WORDS: &[&str] = &[
    "a",
    "b",
    "a;2",
    "x",
    "app",
    "other",
    "channel:a",
    "bridge:x",
    "channel:",
    "deviceState:Stasis:d",
    "endpoint:PJSIP",
    "Local/1014@default",
    "Local/app-app@default",
    "Local/1009@default",
    "Local/1018@default",
    "PJSIP/alice",
    "NoSlash",
    "sound:beep",
    "sound:beep,tone:ring,bogus:x,sound:tt-monkeys",
    "recording:r",
    "digits:12",
    "default",
    "1014",
    "1022",
    "label1",
    "app-app",
    "mixing",
    "holding",
    "wav",
    "r",
    "any",
    "#",
    "overwrite",
    "append",
    "pause",
    "unpause",
    "restart",
    "stop",
    "forward",
    "both",
    "in",
    "1*#",
    "CALLERID(num)",
    "CHANNEL(name)",
    "NOFUNC(x)",
    "A",
    "busy",
    "none",
    "",
    "../x",
    "Stasis:d",
    "INUSE",
    "true",
    "-1",
    "0",
    "1",
    "2",
    "700",
    "99999999999999999999",
    "\u{0}\"\\é",
];

/// What is called.
const EXTENSIONS: &[&str] = &[
    "1001", "1007", "1008", "1009", "1013", "1014", "1018", "1023", "2000", "2001", "2002", "2003",
    "77777", "app-app", "app-none",
];

/// Those that call somebody.
const DIALS: &str = "
[default]
exten => 2000,1,Dial(Local/1014@default)
exten => 2001,1,Dial(PJSIP/bob,5,g)
same => n,Wait(10)
exten => 2002,1,Dial(Local/2000@default)
exten => 2003,1,Dial(Local/app-app@default)
";

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    Ask(usize, Vec<(bool, usize)>),
    Pass(u32),
    Call(bool),
    Originate(usize, bool),
    Press(usize),
    Outside(u8, usize, usize),
    Connect(bool),
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    let words = prop::collection::vec((prop::bool::weighted(0.8), 0..WORDS.len()), 16);
    prop_oneof![
        20 => (0..registry::OPERATIONS.len(), words).prop_map(|(operation, words)| Step::Ask(operation, words)),
        4 => (0_u32..3_000).prop_map(Step::Pass),
        2 => any::<bool>().prop_map(Step::Call),
        2 => (0..EXTENSIONS.len(), any::<bool>()).prop_map(|(extension, app)| Step::Originate(extension, app)),
        1 => (0..WORDS.len()).prop_map(Step::Press),
        3 => (0_u8..10, 0_usize..8, 0_usize..8).prop_map(|(act, one, other)| Step::Outside(act, one, other)),
        1 => any::<bool>().prop_map(Step::Connect),
        1 => Just(Step::Leave),
    ]
}

/// Makes a request; where it names a channel or bridge, that is often one that is there.
fn request(
    operation: usize,
    words: &[(bool, usize)],
    channels: &[String],
    bridges: &[String],
) -> Request {
    let operation = registry::OPERATIONS[operation];
    let mut request = Request::new(operation, Metadata::default());
    for (parameter, (given, place)) in operation.parameters.iter().zip(words) {
        let there = match parameter.name {
            "channelId" | "channel" | "caller" | "originator" => channels,
            "bridgeId" => bridges,
            _ => &[],
        };
        let word = WORDS[*place];
        if let Some(id) = there.get(place % (there.len() + 1)) {
            request.set_text(parameter.name, id.clone());
            continue;
        }
        if !given {
            continue;
        }
        if parameter.value == ParameterType::Json {
            let object = json!({word: word, "v": {"value": "1", "report_events": true}});
            let value = if word.len().is_multiple_of(2) {
                object
            } else {
                json!(word)
            };
            request.parameters.set(parameter.name, value);
        } else {
            request.set_text(parameter.name, word.to_owned());
        }
    }
    request
}

fn by_id(operation: &'static OperationSpec, item: &Value) -> Request {
    let name = operation.parameters[0].name;
    Request::new(operation, Metadata::default()).with(name, item["id"].clone())
}

struct Play {
    world: World,
    now: SimTime,
    session: Option<SessionId>,
    waiting: usize,
}

impl Play {
    fn new() -> Self {
        Self {
            world: World::new(WorldOptions::default().dialplan(Dialplan::parse(DIALS).unwrap())),
            now: SimTime::START,
            session: None,
            waiting: 0,
        }
    }

    fn connect(&mut self, all: bool) {
        let session = self.world.open_session();
        self.world.register(session, "app", all);
        self.world.register(session, "other", false);
        self.session = Some(session);
    }

    fn ask(&mut self, request: &Request) {
        if let Reply::Now(response) = self.world.request(self.now, request) {
            assert!((200..600).contains(&response.status));
            let is_json = matches!(response.body.first(), Some(b'{' | b'['));
            if is_json {
                serde_json::from_slice::<Value>(&response.body).unwrap();
            }
        } else {
            self.waiting += 1;
        }
    }

    fn list(&mut self, path: &str) -> Vec<Value> {
        let request = Request::from_http("GET", path, None).unwrap();
        let Reply::Now(response) = self.world.request(self.now, &request) else {
            panic!("no list")
        };
        serde_json::from_slice(&response.body).unwrap()
    }

    fn ids(&mut self, path: &str) -> Vec<String> {
        self.list(path)
            .iter()
            .filter_map(|item| item["id"].as_str().map(str::to_owned))
            .collect()
    }

    /// What is listed is found by its id, as it is listed.
    fn find_all(&mut self, list: &str, get: &'static OperationSpec) {
        for item in self.list(list) {
            let Reply::Now(response) = self.world.request(self.now, &by_id(get, &item)) else {
                panic!("no answer")
            };
            let found: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(found, item);
        }
    }

    fn delete_all(&mut self, list: &str, delete: &'static OperationSpec) {
        for item in self.list(list) {
            self.ask(&by_id(delete, &item));
        }
    }

    fn pass(&mut self, duration: Duration) {
        self.now = self.now + duration;
        self.world.advance(self.now);
        while let Some(delivery) = self.world.poll_event() {
            // A client of this workspace reads it, whatever it was.
            let event = Event::parse(delivery.event).unwrap();
            assert!(event.body().is_ok(), "{event:?}");
        }
        while self.world.poll_reply().is_some() {
            self.waiting -= 1;
        }
    }

    /// What is done from outside of ARI: by AMI, by the dialplan, by phones.
    fn outside(&mut self, act: u8, one: usize, other: usize) {
        let channels = self.ids("/channels");
        let id = |place: usize| {
            channels
                .get(place % channels.len().max(1))
                .map_or("nobody", String::as_str)
        };
        let (one, other) = (id(one), id(other));
        let (now, world) = (self.now, &mut self.world);
        match act {
            0 => drop(world.redirect_channel(now, one, "default", "2000", 1)),
            1 => drop(world.redirect_channel(now, one, "default", "1014", 1)),
            2 => drop(world.blind_transfer(now, one, "default", "2001")),
            3 => drop(world.merge_calls(now, one, other)),
            4 => drop(world.hang_up_channel(now, one, None)),
            5 => drop(world.hold_call(now, one, true)),
            6 => drop(world.talk(now, one)),
            7 => drop(world.request_transfer(now, one, "6001")),
            8 => drop(world.phone_unregisters(now, "bob", "sip:bob@127.0.0.1")),
            _ => drop(world.phone_registers(now, "bob", "sip:bob@127.0.0.1", None)),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Ask(operation, words) => {
                let (channels, bridges) = (self.ids("/channels"), self.ids("/bridges"));
                self.ask(&request(*operation, words, &channels, &bridges));
            }
            Step::Originate(extension, app) => {
                let then = if *app {
                    "app=app&appArgs=x,y"
                } else {
                    "extension=1014&context=default"
                };
                let endpoint = EXTENSIONS[*extension];
                let target =
                    format!("/channels?endpoint=Local/{endpoint}@default&timeout=20&{then}");
                self.ask(&Request::from_http("POST", &target, None).unwrap());
            }
            Step::Pass(millis) => self.pass(Duration::from_millis(u64::from(*millis))),
            Step::Call(presses) => {
                let mut script = CallScript::new("app").give_up_after(Duration::from_secs(20));
                if *presses {
                    script = script.press(Cue::Answered, Duration::from_millis(10), "1#");
                    script = script.hang_up(Cue::Bridged, Duration::from_millis(500));
                }
                self.world.place_call(self.now, script);
            }
            Step::Press(word) => {
                let pressed = Duration::from_millis(100);
                self.world.press(self.now, WORDS[*word], '#', pressed);
            }
            Step::Outside(act, one, other) => self.outside(*act, *one, *other),
            Step::Connect(all) => self.connect(*all),
            Step::Leave => {
                if let Some(session) = self.session.take() {
                    self.world.close_session(session);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn the_world_survives_and_forgets(steps in prop::collection::vec(step(), 1..150)) {
        let mut play = Play::new();
        play.connect(false);
        for step in &steps {
            play.step(step);
        }
        play.find_all("/channels", &channels::GET);
        play.find_all("/bridges", &bridges::GET);
        play.delete_all("/channels", &channels::HANGUP);
        play.delete_all("/bridges", &bridges::DESTROY);
        // Longer than any playback, recording, dialplan and caller.
        play.pass(Duration::from_secs(3_700));
        prop_assert_eq!(play.world.channel_count(), 0);
        prop_assert_eq!(play.world.bridge_count(), 0);
        prop_assert_eq!(play.world.playback_count(), 0);
        prop_assert_eq!(play.world.recording_count(), 0);
        prop_assert_eq!(play.waiting, 0);
        prop_assert_eq!(play.world.next_deadline(), None);
        prop_assert_eq!(play.world.call_totals().active, 0);
    }
}
