//! The simulated Asterisk of the suite.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ari_core::AriClient;
use ari_sim::{Simulator, WorldOptions, world::Dialplan};
use serde_json::{Value, json};

/// The dialplan of the suite, which a real Asterisk has too.
const DIALPLAN: &str = include_str!("../asterisk/extensions.conf");

/// How long a prompt is.
const PROMPT: Duration = Duration::from_millis(200);

/// How long a sound is that a test stops.
const LONG_SOUND: Duration = Duration::from_secs(30);

/// A simulated Asterisk with the dialplan of the suite, served over HTTP.
#[derive(Debug)]
pub struct Simulated {
    simulator: Simulator,
    _door: ari_sim::Server,
    address: String,
}

impl Simulated {
    /// User of its ARI.
    pub const USER: &str = "asterisk";
    /// Password of that user.
    pub const PASSWORD: &str = "asterisk";

    /// Starts one with this entity id.
    pub async fn start(asterisk_id: &str) -> Self {
        let mut options = WorldOptions::default()
            .asterisk_id(asterisk_id)
            .dialplan(Dialplan::parse(DIALPLAN).unwrap());
        options
            .sounds
            .values_mut()
            .for_each(|length| *length = PROMPT);
        options.sounds.insert("tt-monkeys".to_owned(), LONG_SOUND);
        options.answer_wait = Duration::from_millis(20);
        let simulator = Simulator::builder().options(options).start();
        let door = simulator
            .serve(SocketAddr::from(([127, 0, 0, 1], 0)))
            .await
            .unwrap();
        let url = door.url();
        let address = url.trim_start_matches("http://");
        Self {
            simulator,
            address: address
                .split_once('/')
                .map_or(address, |(address, _)| address)
                .to_owned(),
            _door: door,
        }
    }

    /// What there is to see and to do in it.
    pub const fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Connects in process.
    pub fn client(&self, application: &str) -> Arc<dyn AriClient> {
        self.simulator.client(application).unwrap()
    }

    /// Host and port of its HTTP server.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Tells an application an event; what Asterisk would add is added.
    ///
    /// # Panics
    /// The application is not connected.
    pub fn inject(&self, application: &str, event: &Value) {
        let event = told(event, application, &self.simulator.asterisk_id());
        let told = self.simulator.inject_event(application, event);
        assert!(told, "{application} is not connected");
    }
}

/// An event as an Asterisk tells it to an application.
pub(crate) fn told(event: &Value, application: &str, asterisk_id: &str) -> String {
    let mut event = event.clone();
    let members = event.as_object_mut().unwrap();
    for (name, value) in [
        ("application", application),
        ("asterisk_id", asterisk_id),
        ("timestamp", "2026-01-01T00:00:00.000+0000"),
    ] {
        members.entry(name).or_insert_with(|| json!(value));
    }
    event.to_string()
}
