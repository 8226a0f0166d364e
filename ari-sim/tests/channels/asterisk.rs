//! A world with its application, asked as over HTTP.

use std::time::Duration;

use ari_core::{Request, Response};
use ari_sim::{
    CallScript, World, WorldOptions,
    world::{Reply, SessionId, SimTime, Ticket},
};
use serde_json::{Value, json};

/// An Asterisk to which the application `app` is connected.
pub(crate) struct Asterisk {
    pub(crate) world: World,
    pub(crate) now: SimTime,
    session: SessionId,
}

impl Asterisk {
    pub(crate) fn new() -> Self {
        Self::with(WorldOptions::default())
    }

    pub(crate) fn with(options: WorldOptions) -> Self {
        let options = options.sound("hello-world", Duration::from_secs(1));
        let mut world = World::new(options);
        let session = world.open_session();
        world.register(session, "app", false);
        Self {
            world,
            now: SimTime::START,
            session,
        }
    }

    pub(crate) fn register(&mut self, application: &str) {
        self.world.register(self.session, application, false);
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.world.advance(self.now);
    }

    pub(crate) fn request(&mut self, method: &str, target: &str, body: Option<&Value>) -> Reply {
        let request = Request::from_http(method, target, body).unwrap();
        self.world.request(self.now, &request)
    }

    /// Asks; the answer has to come at once.
    pub(crate) fn ask(&mut self, method: &str, target: &str) -> Response {
        match self.request(method, target, None) {
            Reply::Now(response) => response,
            Reply::Later(_) => panic!("{method} {target} waits"),
        }
    }

    pub(crate) fn send(&mut self, method: &str, target: &str, body: &Value) -> Response {
        match self.request(method, target, Some(body)) {
            Reply::Now(response) => response,
            Reply::Later(_) => panic!("{method} {target} waits"),
        }
    }

    /// Asks for what has to wait.
    pub(crate) fn ask_later(&mut self, method: &str, target: &str) -> Ticket {
        match self.request(method, target, None) {
            Reply::Later(ticket) => ticket,
            Reply::Now(response) => panic!("{method} {target}: {response:?}"),
        }
    }

    /// The answers that came meanwhile: tickets and statuses.
    pub(crate) fn answers(&mut self) -> Vec<(Ticket, u16)> {
        std::iter::from_fn(|| self.world.poll_reply())
            .map(|(ticket, response)| (ticket, response.status))
            .collect()
    }

    pub(crate) fn done(&mut self, method: &str, target: &str) {
        let response = self.ask(method, target);
        assert!(
            matches!(response.status, 200..=204),
            "{method} {target}: {}",
            text(&response)
        );
    }

    /// Status and message of a refusal.
    pub(crate) fn refusal(&mut self, method: &str, target: &str) -> (u16, String) {
        let response = self.ask(method, target);
        (response.status, message(&response))
    }

    pub(crate) fn get(&mut self, target: &str) -> Value {
        let response = self.ask("GET", target);
        serde_json::from_slice(&response.body).unwrap()
    }

    pub(crate) fn variable(&mut self, channel: &str, name: &str) -> Option<String> {
        let target = format!("/channels/{channel}/variable?variable={name}");
        let response = self.ask("GET", &target);
        let body: Value = serde_json::from_slice(&response.body).unwrap();
        body["value"].as_str().map(str::to_owned)
    }

    /// All events since the last time.
    pub(crate) fn events(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.world.poll_event())
            .map(|delivery| serde_json::from_slice(&delivery.event).unwrap())
            .collect()
    }

    /// Types of the events since the last time, each with the id of its channel, playback or recording.
    pub(crate) fn seen(&mut self) -> Vec<String> {
        let id = |event: &Value| {
            let found = [
                &event["playback"]["id"],
                &event["recording"]["name"],
                &event["channel"]["id"],
                &event["peer"]["id"],
            ];
            let found = found.into_iter().find_map(Value::as_str);
            found.unwrap_or_default().to_owned()
        };
        self.events()
            .iter()
            .map(|event| format!("{} {}", event["type"].as_str().unwrap(), id(event)))
            .collect()
    }

    /// Calls an extension of the dialplan out of the application: `id`, and `id-far` on the other half.
    pub(crate) fn call_out(&mut self, id: &str, extension: &str) {
        let target = format!(
            "/channels/{id}?endpoint=Local/{extension}@default&app=app&otherChannelId={id}-far"
        );
        self.done("POST", &target);
        self.wait(1_000);
        self.events();
    }

    /// A SIP phone calls the application in; gives the id of its channel.
    pub(crate) fn call_in(&mut self) -> String {
        self.world
            .place_call(self.now, CallScript::new("app").caller_id("Ann <5551>"));
        let events = self.events();
        let start = events.iter().find(|event| event["type"] == "StasisStart");
        start.unwrap()["channel"]["id"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}

pub(crate) fn message(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap_or_else(|_| json!({}));
    let message = body.get("message").or_else(|| body.get("error"));
    message
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
