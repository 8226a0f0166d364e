//! How a world is set up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{dialplan::Dialplan, sounds};

/// Unix time at which a world begins unless it is told otherwise: 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600_000;

/// What the phone at an endpoint does when it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phone {
    /// How long after the call it rings; `None`: it does not ring.
    pub rings_after: Option<Duration>,
    /// What it does in the end.
    pub outcome: Outcome,
}

/// What a phone does in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It answers, so long after the call.
    Answers(Duration),
    /// It refuses the call with this cause, so long after the call.
    Refuses(u16, Duration),
    /// Nobody takes the call.
    Silent,
    /// It has not registered, and cannot be called.
    Unreachable,
}

impl Phone {
    /// A phone that rings at once and is answered after so long.
    pub const fn answers_after(delay: Duration) -> Self {
        Self {
            rings_after: Some(Duration::ZERO),
            outcome: Outcome::Answers(delay),
        }
    }

    /// A phone that is busy.
    pub const fn busy() -> Self {
        Self {
            rings_after: None,
            outcome: Outcome::Refuses(17, Duration::ZERO),
        }
    }

    /// A phone that rings until the caller gives up.
    pub const fn rings() -> Self {
        Self {
            rings_after: Some(Duration::ZERO),
            outcome: Outcome::Silent,
        }
    }

    /// A phone that has not registered.
    pub const fn offline() -> Self {
        Self {
            rings_after: None,
            outcome: Outcome::Unreachable,
        }
    }

    /// A phone that refuses each call with this cause.
    pub const fn refuses(cause: u16) -> Self {
        Self {
            rings_after: Some(Duration::ZERO),
            outcome: Outcome::Refuses(cause, Duration::ZERO),
        }
    }
}

/// How a [`World`](super::World) is set up.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WorldOptions {
    /// Entity id of this Asterisk.
    pub asterisk_id: String,
    /// Milliseconds since 1970 at which the world begins.
    pub beginning: i64,
    /// Version that the world gives itself.
    pub version: String,
    /// Sounds that exist, and how long each is.
    pub sounds: BTreeMap<String, Duration>,
    /// How long a sound is that is not in the list; `None`: it does not exist.
    pub other_sounds: Option<Duration>,
    /// Dialplan for the far halves of Local channels.
    pub dialplan: Dialplan,
    /// SIP phones by the name of their endpoint.
    pub phones: BTreeMap<String, Phone>,
    /// Global variables.
    pub globals: BTreeMap<String, String>,
    /// How long `Answer()` in the dialplan waits for the first audio.
    pub answer_wait: Duration,
    /// How many records of ended calls are kept.
    pub kept_calls: usize,
    /// Ids of `websocket_client.conf` to which external media can be sent.
    pub websocket_clients: BTreeSet<String>,
}

impl Default for WorldOptions {
    fn default() -> Self {
        let answers = |millis| Phone::answers_after(Duration::from_millis(millis));
        Self {
            asterisk_id: "02:00:00:00:00:01".to_owned(),
            beginning: BEGINNING,
            version: "22.10.1".to_owned(),
            sounds: sounds::standard(),
            other_sounds: None,
            dialplan: Dialplan::standard(),
            phones: BTreeMap::from([
                ("alice".to_owned(), answers(100)),
                ("bob".to_owned(), answers(100)),
            ]),
            globals: BTreeMap::from([("INSTANCE".to_owned(), "1".to_owned())]),
            answer_wait: Duration::from_millis(500),
            kept_calls: 100_000,
            websocket_clients: BTreeSet::new(),
        }
    }
}

impl WorldOptions {
    /// The same with this entity id.
    #[must_use]
    pub fn asterisk_id(mut self, id: impl Into<String>) -> Self {
        self.asterisk_id = id.into();
        self
    }

    /// The same with the sound `name` so long.
    #[must_use]
    pub fn sound(mut self, name: impl Into<String>, length: Duration) -> Self {
        self.sounds.insert(name.into(), length);
        self
    }

    /// The same with every sound so long, also those that no Asterisk comes with.
    #[must_use]
    pub fn every_sound(mut self, length: Duration) -> Self {
        self.sounds.values_mut().for_each(|known| *known = length);
        self.other_sounds = Some(length);
        self
    }

    /// The same with a phone at `PJSIP/<name>`.
    #[must_use]
    pub fn phone(mut self, name: impl Into<String>, phone: Phone) -> Self {
        self.phones.insert(name.into(), phone);
        self
    }

    /// The same with an extension in the context `default` that does this, as in `Stasis(ivr,sales)`, and then
    /// hangs up.
    #[must_use]
    pub fn extension(mut self, name: &str, call: &str) -> Self {
        let mut dialplan = Dialplan::default();
        dialplan.extension("default", name, 1, call);
        dialplan.extension("default", name, 2, "Hangup()");
        self.dialplan.add(dialplan);
        self
    }

    /// The same with a WebSocket client for external media: what stands in `websocket_client.conf`.
    #[must_use]
    pub fn websocket_client(mut self, id: impl Into<String>) -> Self {
        self.websocket_clients.insert(id.into());
        self
    }

    /// The same with the extensions of `dialplan` added.
    #[must_use]
    pub fn dialplan(mut self, dialplan: Dialplan) -> Self {
        self.dialplan.add(dialplan);
        self
    }
}
