//! What no client can ask for: events of the outside world, brought about by hand.

use std::time::Duration;

use ari_sim::{
    CallScript, Phone, World, WorldOptions,
    world::{Act, SimTime},
};
use serde_json::Value;

use super::door;

/// A world in which something is done, with an application that hears of all of it.
struct Stage {
    world: World,
    now: SimTime,
}

impl Stage {
    fn new() -> Self {
        let options = WorldOptions::default()
            .phone("alice", Phone::offline())
            .extension("dials", "Dial(Local/1014@default,20,tT)");
        let mut world = World::new(options);
        let session = world.open_session();
        world.register(session, "test", false);
        world.register(session, "watcher", true);
        Self {
            world,
            now: SimTime::START,
        }
    }

    /// Lets a second pass.
    fn wait(&mut self) {
        self.now = self.now + Duration::from_secs(1);
        self.world.advance(self.now);
    }

    fn told(mut self) -> Vec<Value> {
        self.wait();
        std::iter::from_fn(|| self.world.poll_event())
            .filter_map(|delivery| serde_json::from_slice(&delivery.event).ok())
            .collect()
    }
}

/// All events that the stages bring.
pub(crate) fn told() -> Vec<Value> {
    let stages = [
        phone_holds(),
        phone_registers(),
        socket_of_asterisk(),
        transfers(),
    ];
    stages.into_iter().flatten().collect()
}

/// A phone calls in, holds the call and takes it up again.
fn phone_holds() -> Vec<Value> {
    let mut stage = Stage::new();
    let call = stage
        .world
        .start_call(stage.now, CallScript::to_extension("app-test"));
    for act in [Act::Hold, Act::Unhold, Act::HangUp(None)] {
        stage.wait();
        // Whether it could be done shows in what is told.
        let _done = stage.world.act(stage.now, call, act);
    }
    stage.told()
}

/// A phone registers, is asked whether it is there, is lost, and unregisters.
fn phone_registers() -> Vec<Value> {
    const URI: &str = "sip:alice@127.0.0.1:5091";
    let mut stage = Stage::new();
    let (now, round_trip) = (stage.now, Duration::from_micros(363));
    stage
        .world
        .phone_registers(now, "alice", URI, Some(round_trip));
    stage.wait();
    let now = stage.now;
    stage.world.phone_answers_pings(now, "alice", URI, None);
    stage.wait();
    let now = stage.now;
    stage.world.phone_unregisters(now, "alice", URI);
    stage.told()
}

/// Asterisk opens a socket to the server of an application, and gives it up.
fn socket_of_asterisk() -> Vec<Value> {
    let mut stage = Stage::new();
    let session = stage.world.open_session();
    stage.world.register_outbound(session, "outapp", false);
    stage.wait();
    stage.world.unregister_outbound(session);
    stage.told()
}

/// Of two calls that the dialplan made one is transferred to an extension, then two are made one.
fn transfers() -> Vec<Value> {
    let mut stage = Stage::new();
    for channel in ["tr1", "tr2", "tr3"] {
        let http = serde_json::json!({
            "method": "POST", "path": "/ari/channels",
            "query": {
                "endpoint": "Local/1014@default", "extension": "dials", "context": "default",
                "channelId": channel,
            },
        });
        door::ask(&mut stage.world, stage.now, &door::config(), &http);
        stage.wait();
    }
    stage
        .world
        .blind_transfer(stage.now, "tr1", "default", "1022");
    stage.wait();
    stage.world.merge_calls(stage.now, "tr2", "tr3");
    stage.told()
}
