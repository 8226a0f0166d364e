//! Where the events of a session go.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ari_core::{ConnectionState, End, Event, Gap, GapCause, local::LocalEvents};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{link::Link, valve::Valve};
use crate::world::{SessionId, World};

/// The receiving side of a session.
#[derive(Clone, Debug)]
pub(crate) enum Sink {
    /// A WebSocket.
    Socket(SocketSink),
    /// A client in process.
    Local(Arc<LocalLink>),
}

/// The way to the task of a WebSocket.
#[derive(Clone, Debug)]
pub(crate) struct SocketSink {
    pub(crate) events: mpsc::Sender<Bytes>,
    /// Cuts the connection without a close frame.
    pub(crate) cut: CancellationToken,
    pub(crate) valve: Arc<Valve>,
}

impl SocketSink {
    pub(crate) fn new(events: mpsc::Sender<Bytes>, link: &Link) -> Self {
        Self {
            events,
            cut: link.cut.clone(),
            valve: Arc::clone(&link.valve),
        }
    }

    /// The way to a socket that is not open yet.
    pub(crate) fn waiting(events: mpsc::Sender<Bytes>, cut: CancellationToken) -> Self {
        Self {
            events,
            cut,
            valve: Arc::default(),
        }
    }
}

impl Sink {
    /// Hands an event on; never waits. A WebSocket that does not keep up is cut, as Asterisk does it.
    pub(crate) fn send(&self, event: Bytes) {
        match self {
            Self::Socket(socket) => {
                if socket.events.try_send(event).is_err() && !socket.cut.is_cancelled() {
                    tracing::warn!("a WebSocket does not keep up with its events, and is cut");
                    socket.cut.cancel();
                }
            }
            Self::Local(link) if link.valve.is_dead() => {}
            Self::Local(link) => match Event::parse(event) {
                Ok(event) => {
                    link.events.deliver(&event);
                    if event.kind() == "ApplicationReplaced" {
                        link.replaced(event.application());
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "an event cannot be read");
                    let gap = Gap::new(Some(1), GapCause::Undecodable);
                    link.events.router().gap_everywhere(gap);
                }
            },
        }
    }

    pub(crate) fn valve(&self) -> &Arc<Valve> {
        match self {
            Self::Socket(socket) => &socket.valve,
            Self::Local(link) => &link.valve,
        }
    }
}

/// Who opened a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SeatKind {
    /// A client.
    Client { subscribe_all: bool },
    /// The simulator: a socket that is opened again whenever it is lost.
    Persistent { subscribe_all: bool },
    /// The simulator, for a call.
    PerCall { subscribe_all: bool },
}

/// A session: its sink, and the applications that it was opened for.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) sink: Sink,
    pub(crate) applications: Vec<String>,
    pub(crate) kind: SeatKind,
}

impl Seat {
    pub(crate) fn new(sink: Sink, applications: &[String], kind: SeatKind) -> Self {
        Self {
            sink,
            applications: applications.to_vec(),
            kind,
        }
    }

    /// Registers its applications.
    pub(crate) fn register(&self, world: &mut World, session: SessionId) {
        for application in &self.applications {
            match self.kind {
                SeatKind::Client { subscribe_all } => {
                    world.register(session, application, subscribe_all);
                }
                SeatKind::Persistent { subscribe_all } | SeatKind::PerCall { subscribe_all } => {
                    world.register_outbound(session, application, subscribe_all);
                }
            }
        }
    }

    /// Whether the simulator opens the socket again itself when it is lost.
    pub(crate) const fn is_opened_again(&self) -> bool {
        matches!(
            self.kind,
            SeatKind::Persistent { .. } | SeatKind::PerCall { .. }
        )
    }
}

#[derive(Debug, Default)]
struct Joined {
    session: Option<SessionId>,
    asterisk_id: Option<Arc<str>>,
    /// Somebody else has the application.
    replaced: bool,
}

/// The connection of a client in process, which can be lost and made again as another can.
#[derive(Debug)]
pub(crate) struct LocalLink {
    pub(crate) application: String,
    pub(crate) subscribe_all: bool,
    pub(crate) events: LocalEvents,
    pub(crate) closed: CancellationToken,
    pub(crate) valve: Arc<Valve>,
    joined: Mutex<Joined>,
}

impl LocalLink {
    pub(crate) fn new(application: &str, subscribe_all: bool) -> Self {
        Self {
            application: application.to_owned(),
            subscribe_all,
            events: LocalEvents::new(),
            closed: CancellationToken::new(),
            valve: Arc::default(),
            joined: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn session(&self) -> Option<SessionId> {
        self.lock().session
    }

    /// The entity id of the Asterisk to which it is, or was last, connected.
    pub(crate) fn asterisk_id(&self) -> Option<Arc<str>> {
        self.lock().asterisk_id.clone()
    }

    pub(crate) fn state(&self) -> ConnectionState {
        let joined = self.lock();
        if self.closed.is_cancelled() {
            ConnectionState::Closed
        } else if joined.replaced {
            ConnectionState::Replaced
        } else if joined.session.is_some() {
            ConnectionState::Connected
        } else {
            ConnectionState::Connecting
        }
    }

    /// Notes that it is connected; what belonged to another Asterisk is lost.
    pub(crate) fn joined(&self, session: SessionId, asterisk_id: &str) {
        let mut joined = self.lock();
        joined.session = Some(session);
        let before = joined.asterisk_id.replace(asterisk_id.into());
        drop(joined);
        if let Some(before) = before.filter(|before| **before != *asterisk_id) {
            self.events.router().lose_asterisk(&before);
        }
    }

    /// Notes that the connection was lost, and tells every stream; says whether it is to be made again.
    pub(crate) fn lost(&self) -> bool {
        let mut joined = self.lock();
        joined.session = None;
        if joined.replaced {
            return false;
        }
        drop(joined);
        let gap = Gap::new(None, GapCause::Reconnected);
        self.events.router().lost(gap);
        true
    }

    /// Notes that somebody else has the application from now on, and ends every stream, as a client over
    /// the network does.
    fn replaced(&self, application: Option<&str>) {
        if application.is_some_and(|name| name != self.application) {
            return;
        }
        self.lock().replaced = true;
        let router = self.events.router();
        router.gap_everywhere(Gap::new(None, GapCause::Replaced));
        router.retire(None, End::Replaced);
    }
}
