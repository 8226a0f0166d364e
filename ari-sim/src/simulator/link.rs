//! The TCP connections of the servers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
};

use tokio_util::sync::CancellationToken;

use super::valve::Valve;

const NOTHING: u8 = 0;
const REST: u8 = 1;
const SOCKET: u8 = 2;
const CONTROL: u8 = 3;

/// A TCP connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Cuts it.
    pub(crate) cut: CancellationToken,
    pub(crate) valve: Arc<Valve>,
    carries: AtomicU8,
}

impl Link {
    /// It carries a request to ARI.
    pub(crate) fn carries_rest(&self) {
        self.carries.store(REST, Ordering::Relaxed);
    }

    /// It has become a socket for events.
    pub(crate) fn carries_events(&self) {
        self.carries.store(SOCKET, Ordering::Relaxed);
    }

    /// It carries a request to the simulator itself, which no fault strikes.
    pub(crate) fn carries_control(&self) {
        self.carries.store(CONTROL, Ordering::Relaxed);
    }

    /// Whether it has become a socket for events.
    pub(crate) fn is_socket(&self) -> bool {
        self.is(SOCKET)
    }

    fn is(&self, what: u8) -> bool {
        self.carries.load(Ordering::Relaxed) == what
    }

    /// Cuts it in a way that the other side hears of as a reset.
    pub(crate) fn reset(&self) {
        self.valve.reset();
        self.cut.cancel();
    }
}

/// All TCP connections of a simulator.
#[derive(Debug, Default)]
pub(crate) struct Links {
    state: Mutex<(u64, BTreeMap<u64, Arc<Link>>)>,
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, (u64, BTreeMap<u64, Arc<Link>>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a connection until the guard is dropped.
    pub(crate) fn add(self: &Arc<Self>, cut: CancellationToken) -> LinkGuard {
        let link = Arc::new(Link {
            cut,
            valve: Arc::default(),
            carries: AtomicU8::new(NOTHING),
        });
        let mut state = self.lock();
        state.0 += 1;
        let number = state.0;
        state.1.insert(number, Arc::clone(&link));
        LinkGuard {
            links: Arc::clone(self),
            number,
            link,
        }
    }

    /// Those that carried requests to ARI.
    pub(crate) fn of_rest(&self) -> Vec<Arc<Link>> {
        self.with(|link| link.is(REST))
    }

    /// Those that are not in the hands of whoever controls the simulator.
    pub(crate) fn of_clients(&self) -> Vec<Arc<Link>> {
        self.with(|link| !link.is(CONTROL))
    }

    /// All.
    pub(crate) fn all(&self) -> Vec<Arc<Link>> {
        self.with(|_| true)
    }

    fn with(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Arc<Link>> {
        let state = self.lock();
        let links = state.1.values().filter(|link| wanted(link));
        links.map(Arc::clone).collect()
    }
}

/// Forgets a connection when it is dropped.
#[derive(Debug)]
pub(crate) struct LinkGuard {
    links: Arc<Links>,
    number: u64,
    link: Arc<Link>,
}

impl LinkGuard {
    pub(crate) const fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl Drop for LinkGuard {
    fn drop(&mut self) {
        self.links.lock().1.remove(&self.number);
    }
}
