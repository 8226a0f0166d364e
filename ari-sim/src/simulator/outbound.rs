//! Sockets that the simulator opens to servers of applications.

use std::{
    fmt, io,
    sync::{Arc, PoisonError},
    time::Duration,
};

use tokio::{io::DuplexStream, sync::mpsc};
use tokio_util::sync::CancellationToken;

use super::Runtime;
use crate::{
    http::outbound::{self, Target},
    world::{PerCallId, SessionId},
};

/// How a socket to the server of an application is opened: what `type=outbound_websocket` of `ari.conf`
/// and `type=websocket_client` of `websocket_client.conf` say.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "nothing is opened before Simulator::dial"]
pub struct Outbound {
    pub(crate) uri: String,
    pub(crate) applications: Vec<String>,
    pub(crate) per_call: bool,
    pub(crate) subscribe_all: bool,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) local_user: Option<String>,
    pub(crate) connect_timeout: Duration,
    pub(crate) reconnect_interval: Duration,
    pub(crate) reconnect_attempts: u32,
}

impl Outbound {
    /// A socket for these applications that is open all the time. Events wait while it is lost.
    ///
    /// The URI is as in `ws://127.0.0.1:8765/ari`.
    pub fn persistent(
        uri: impl Into<String>,
        applications: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            uri: uri.into(),
            applications: applications.into_iter().map(Into::into).collect(),
            per_call: false,
            subscribe_all: false,
            credentials: None,
            local_user: None,
            connect_timeout: Duration::from_millis(500),
            reconnect_interval: Duration::from_millis(500),
            reconnect_attempts: 4,
        }
    }

    /// A socket for each call of these applications: its application is `<application>:<channel name>`.
    pub fn per_call(
        uri: impl Into<String>,
        applications: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            per_call: true,
            ..Self::persistent(uri, applications)
        }
    }

    /// Sets the credentials for the server of the application.
    pub fn credentials(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((name.into(), password.into()));
        self
    }

    /// Sets as which user of ARI the requests are made that come over the socket; otherwise it is the
    /// first who may do everything.
    pub fn local_user(mut self, name: impl Into<String>) -> Self {
        self.local_user = Some(name.into());
        self
    }

    /// Lets the applications hear of everything.
    pub const fn subscribe_all(mut self) -> Self {
        self.subscribe_all = true;
        self
    }

    /// Sets how long one attempt may take; otherwise it is 500 ms.
    pub const fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets the pause between attempts; otherwise it is 500 ms.
    pub const fn reconnect_interval(mut self, interval: Duration) -> Self {
        self.reconnect_interval = interval;
        self
    }

    /// Sets how many attempts there are for the socket of a call before it goes back to the dialplan;
    /// otherwise there are 4. A persistent socket is attempted for ever.
    pub const fn reconnect_attempts(mut self, attempts: u32) -> Self {
        self.reconnect_attempts = attempts;
        self
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URI may hold a password until it is looked at.
        f.debug_struct("Outbound")
            .field("applications", &self.applications)
            .field("per_call", &self.per_call)
            .finish_non_exhaustive()
    }
}

/// What the simulator opened with [`Simulator::dial`](crate::Simulator::dial). Dropping it ends it:
/// applications hear `ApplicationUnregistered`, and the socket is closed; no further calls get sockets,
/// but those that have one keep it.
#[must_use = "the socket is closed when this is dropped"]
pub struct OutboundSocket {
    runtime: Arc<Runtime>,
    what: What,
    closed: CancellationToken,
}

enum What {
    Persistent(SessionId),
    PerCall(PerCallId),
}

impl OutboundSocket {
    /// Opens sockets over TCP, or over these pipes.
    pub(crate) fn open(
        runtime: &Arc<Runtime>,
        outbound: Outbound,
        pipes: Option<mpsc::Sender<DuplexStream>>,
    ) -> io::Result<Self> {
        let per_call = outbound.per_call;
        let applications = outbound.applications.clone();
        let target = Target::new(runtime, outbound, pipes)?;
        let closed = runtime.stopped.child_token();
        let what = if per_call {
            // Held while the world learns of it, so that no call comes in between.
            let targets = runtime.per_call_targets.lock();
            let mut targets = targets.unwrap_or_else(PoisonError::into_inner);
            let id = runtime.with_world(|world, _| world.add_per_call(applications));
            targets.insert(id, Arc::new(target));
            What::PerCall(id)
        } else {
            What::Persistent(outbound::persistent(runtime, target, closed.clone()))
        };
        Ok(Self {
            runtime: Arc::clone(runtime),
            what,
            closed,
        })
    }
}

impl Drop for OutboundSocket {
    fn drop(&mut self) {
        match self.what {
            What::Persistent(session) => self.runtime.unregister_outbound(session),
            What::PerCall(id) => {
                self.runtime
                    .with_world(|world, _| world.remove_per_call(id));
                let targets = self.runtime.per_call_targets.lock();
                let mut targets = targets.unwrap_or_else(PoisonError::into_inner);
                targets.remove(&id);
            }
        }
        self.closed.cancel();
    }
}

impl fmt::Debug for OutboundSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboundSocket").finish_non_exhaustive()
    }
}
