//! What the tasks and the calls of one connection share.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ari_core::{ConnectionState, Metadata, router::Router};
use ari_proxy_proto::Subjects;
use tokio::sync::{Notify, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    builder::Placement,
    inbox::Inbox,
    locations::Locations,
    members::{Member, Members},
};

pub(crate) struct Shared {
    pub(crate) nats: async_nats::Client,
    /// Servers, for error messages.
    pub(crate) servers: String,
    pub(crate) owns_connection: bool,
    pub(crate) application: Option<Arc<str>>,
    pub(crate) subjects: Subjects,
    pub(crate) timeout: Duration,
    pub(crate) placement: Placement,
    /// Distinguishes this client's inbox and private dialogs from those of others.
    pub(crate) id: String,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) router: Router,
    members: Mutex<Members>,
    locations: Mutex<Locations>,
    /// A server was heard of that was not known.
    pub(crate) joined: Notify,
    /// A server has said goodbye.
    pub(crate) departed: watch::Sender<()>,
    pub(crate) state: watch::Sender<ConnectionState>,
    pub(crate) token: CancellationToken,
    pub(crate) tasks: TaskTracker,
    turn: AtomicUsize,
    /// How often the connection had been made when a loss of events was told last.
    told_connects: AtomicU64,
}

impl Shared {
    pub(crate) fn new(
        nats: async_nats::Client,
        servers: String,
        owns_connection: bool,
        settings: crate::builder::Settings,
        id: String,
    ) -> Self {
        let connects = nats.statistics().connects.load(Ordering::Relaxed);
        let state = match nats.connection_state() {
            async_nats::connection::State::Connected => ConnectionState::Connected,
            _ => ConnectionState::Connecting,
        };
        Self {
            nats,
            servers,
            owns_connection,
            application: settings.application,
            subjects: settings.subjects,
            timeout: settings.timeout,
            placement: settings.placement,
            inbox: Arc::new(Inbox::new(&id, settings.requests_in_flight)),
            id,
            router: Router::new(),
            members: Mutex::default(),
            locations: Mutex::default(),
            joined: Notify::new(),
            departed: watch::Sender::new(()),
            state: watch::Sender::new(state),
            token: CancellationToken::new(),
            tasks: TaskTracker::new(),
            turn: AtomicUsize::new(0),
            told_connects: AtomicU64::new(connects),
        }
    }

    /// How often the connection has been made.
    pub(crate) fn connects(&self) -> u64 {
        self.nats.statistics().connects.load(Ordering::Relaxed)
    }

    /// Whether the connection was made again since a loss of events was told last; says so once.
    ///
    /// Messages and news of the connection come by different ways, and either may be first.
    pub(crate) fn is_made_again(&self) -> bool {
        let connects = self.connects();
        self.told_connects.fetch_max(connects, Ordering::Relaxed) < connects
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn locations(&self) -> MutexGuard<'_, Locations> {
        self.locations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The servers that are expected to answer a request for this target.
    pub(crate) fn expected(&self, target: &Metadata) -> Vec<Member> {
        let now = tokio::time::Instant::now();
        self.members().expected(
            target.application.as_deref(),
            target.asterisk_id.as_deref(),
            now,
        )
    }

    /// Those of these servers that have not said goodbye.
    pub(crate) fn still_there<'m>(
        &self,
        expected: &'m [Member],
    ) -> impl Iterator<Item = &'m Member> {
        expected.iter().filter(|member| self.members().has(member))
    }

    /// The server that takes the next creation, by the placement that was set; one that serves the
    /// extension kind, if that is needed and there is one.
    pub(crate) fn next_place(&self, target: &Metadata, extended: bool) -> Option<Member> {
        let everywhere = Metadata {
            asterisk_id: None,
            ..target.clone()
        };
        let mut candidates = self.expected(&everywhere);
        if extended {
            self.members().prefer_extended(&mut candidates);
        }
        let preferred = match &self.placement {
            Placement::Spread => None,
            Placement::Prefer(node) | Placement::Pin(node) => Some(node),
        };
        if let Some(node) = preferred {
            if let Some(member) = candidates.iter().find(|member| member.node == *node) {
                return Some(member.clone());
            }
            if matches!(self.placement, Placement::Pin(_)) {
                let application = target.application.clone()?;
                return Some(Member {
                    application,
                    node: Arc::clone(node),
                });
            }
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = candidates.len();
        candidates.into_iter().nth(turn.checked_rem(count)?)
    }

    /// The beginning of the dialogs that only this client knows.
    pub(crate) fn private_prefix(&self) -> String {
        format!("{}.", self.id)
    }

    /// Ends everything that runs; needs no runtime.
    pub(crate) fn stop(&self) {
        self.state.send_replace(ConnectionState::Closed);
        self.token.cancel();
        self.router.close();
        self.tasks.close();
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyClient")
            .field("servers", &self.servers)
            .field("application", &self.application)
            .field("state", &*self.state.borrow())
            .field("requests", &self.inbox.len())
            .field("router", &self.router)
            .finish_non_exhaustive()
    }
}
