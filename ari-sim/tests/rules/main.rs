//! Rules of Asterisk that the traces do not show, asked of a world without sockets and clock.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod applications;
mod bridges;
mod dialed;
mod dialplan;
mod media;
mod phones;
mod system;

use std::time::Duration;

use ari_core::Request;
use ari_sim::{
    World, WorldOptions,
    world::{Reply, SessionId, SimTime},
};
use serde_json::Value;

/// A world with a clock, and what it told since it was last asked.
struct Lab {
    world: World,
    now: SimTime,
    session: SessionId,
}

impl Lab {
    /// A world in which the application `app` is connected.
    fn new() -> Self {
        Self::with(WorldOptions::default())
    }

    fn with(options: WorldOptions) -> Self {
        let mut world = World::new(options);
        let session = world.open_session();
        world.register(session, "app", false);
        Self {
            world,
            now: SimTime::START,
            session,
        }
    }

    fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.world.advance(self.now);
    }

    /// Does a request; a null status: the answer comes later.
    fn send(&mut self, method: &str, target: &str, body: Option<&Value>) -> (u16, Value) {
        let request = Request::from_http(method, target, body).unwrap();
        let Reply::Now(response) = self.world.request(self.now, &request) else {
            return (0, Value::Null);
        };
        let body = serde_json::from_slice(&response.body).unwrap_or(Value::Null);
        (response.status, body)
    }

    fn get(&mut self, target: &str) -> Value {
        let (status, body) = self.send("GET", target, None);
        assert_eq!(status, 200, "{target}: {body}");
        body
    }

    fn status(&mut self, method: &str, target: &str) -> u16 {
        self.send(method, target, None).0
    }

    /// The refusal of a request: its status and message.
    fn refusal(&mut self, method: &str, target: &str) -> (u16, String) {
        let (status, body) = self.send(method, target, None);
        (
            status,
            body["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// Events since the last time.
    fn events(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(delivery) = self.world.poll_event() {
            events.push(serde_json::from_slice(&delivery.event).unwrap());
        }
        events
    }

    /// Types of the events since the last time.
    fn types(&mut self) -> Vec<String> {
        self.events()
            .iter()
            .map(|event| event["type"].as_str().unwrap().to_owned())
            .collect()
    }

    /// A channel of the application whose far side is silent, or talks all the time.
    fn call(&mut self, id: &str, talks: bool) {
        let exten = if talks { "1018" } else { "1014" };
        let target = format!("/channels?endpoint=Local/{exten}@default&app=app&channelId={id}");
        assert_eq!(self.status("POST", &target), 200);
        self.wait(1_000);
        self.events();
    }
}
