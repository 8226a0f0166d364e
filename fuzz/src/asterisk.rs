//! A simulated Asterisk in the middle of its work, so that requests find something.

use std::time::Duration;

use ari_core::{Request, Response};
use ari_sim::{
    World, WorldOptions,
    wire::{AriConfig, User},
    world::{Reply, SessionId, SimTime},
};
use serde_json::Value;

/// Things that there are: an application, calls in it, bridges, something that plays and records.
const BEFORE: &[(&str, &str)] = &[
    (
        "POST",
        "/channels?endpoint=Local/1014@default&app=a&channelId=c&otherChannelId=d",
    ),
    (
        "POST",
        "/channels?endpoint=Local/1013@default&app=a&channelId=e",
    ),
    (
        "POST",
        "/channels/create?endpoint=PJSIP/alice&app=a&channelId=f",
    ),
    ("POST", "/bridges?bridgeId=b&type=mixing,dtmf_events"),
    ("POST", "/bridges/b/addChannel?channel=e"),
    ("POST", "/channels/c/play/p?media=sound:hello-world"),
    ("POST", "/channels/c/record?name=r&format=wav"),
    ("PUT", "/deviceStates/Stasis:x?deviceState=BUSY"),
    ("PUT", "/mailboxes/m?oldMessages=1&newMessages=2"),
    (
        "POST",
        "/applications/a/subscription?eventSource=bridge:b,deviceState:Stasis:x",
    ),
];

pub(crate) struct Asterisk {
    pub(crate) world: World,
    pub(crate) config: AriConfig,
    pub(crate) session: SessionId,
    now: SimTime,
}

impl Asterisk {
    pub(crate) fn new() -> Self {
        let mut world = World::new(WorldOptions::default());
        let session = world.open_session();
        world.register(session, "a", false);
        let config = AriConfig::new([
            User::new("demo", "secret"),
            User::new("reader", "secret").read_only(),
        ])
        .allowed_origins(["*"]);
        let mut asterisk = Self {
            world,
            config,
            session,
            now: SimTime::START,
        };
        for (method, target) in BEFORE {
            if let Ok(request) = Request::from_http(method, target, None) {
                asterisk.perform(&request);
            }
        }
        asterisk
    }

    /// Does an operation and lets some time pass; what has no answer by then has none.
    pub(crate) fn perform(&mut self, request: &Request) -> Option<Response> {
        let reply = self.world.request(self.now, request);
        self.now = self.now + Duration::from_secs(1);
        self.world.advance(self.now);
        while let Some(delivery) = self.world.poll_event() {
            let event: Value = serde_json::from_slice(&delivery.event).unwrap_or_default();
            assert!(event["type"].is_string(), "{:?}", delivery.event);
        }
        match reply {
            Reply::Now(response) => Some(response),
            Reply::Later(ticket) => {
                let mut found = None;
                while let Some((of, response)) = self.world.poll_reply() {
                    if of == ticket {
                        found = Some(response);
                    }
                }
                found
            }
        }
    }
}

/// An answer of ARI is JSON, and a refusal says why.
pub(crate) fn check_body(status: u16, body: &[u8]) {
    if body.is_empty() {
        return;
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    assert!(value.is_object() || value.is_array(), "{status}: {body:?}");
    if status >= 400 {
        let why = ["message", "error"]
            .iter()
            .any(|name| value[*name].is_string());
        assert!(why, "{status}: {value}");
    }
}
