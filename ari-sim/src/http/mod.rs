//! ARI over HTTP and WebSocket.

mod admin;
mod events;
mod faults;
mod listener;
mod memory;
pub(crate) mod outbound;
mod phones;
mod rest;
mod socket;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::listener::{Connection, CutListener};
pub use self::memory::{MemoryListener, MemoryServer};
use crate::simulator::Runtime;

/// A server of a [`Simulator`](crate::Simulator). Dropping it stops it: it refuses connections, and
/// cuts those that it has.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stopped: CancellationToken,
    ended: CancellationToken,
}

impl Server {
    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of ARI.
    pub fn url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    /// Stops it: cuts all connections without a goodbye, and refuses new ones.
    ///
    /// Afterwards the address can be served again.
    ///
    /// # Cancel safety
    /// When the future is dropped it stops nevertheless.
    pub async fn stop(self) {
        self.stopped.cancel();
        self.ended.cancelled().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// What every server serves.
fn routes(runtime: &Arc<Runtime>) -> Router {
    let strike = middleware::from_fn_with_state(Arc::clone(runtime), faults::strike);
    let control = admin::routes().merge(faults::routes());
    Router::new()
        .fallback(rest::handle)
        .layer(strike)
        .merge(control.layer(middleware::from_fn(faults::control)))
        .with_state(Arc::clone(runtime))
}

pub(crate) async fn serve(runtime: &Arc<Runtime>, address: SocketAddr) -> std::io::Result<Server> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let stopped = runtime.stopped.child_token();
    let ended = CancellationToken::new();
    let (links, reach) = (Arc::clone(&runtime.links), runtime.reach());
    let listener = CutListener::new(listener, stopped.clone(), links, reach)?;
    let service = routes(runtime).into_make_service_with_connect_info::<Connection>();
    let (until, over) = (stopped.clone(), ended.clone().drop_guard());
    runtime.tracker.spawn(async move {
        let _over = over;
        // Not the graceful end of axum: what is being answered is to be cut as well.
        let serving = axum::serve(listener, service).into_future();
        if let Some(Err(error)) = until.run_until_cancelled(serving).await {
            tracing::error!(%error, "the server ended");
        }
    });
    Ok(Server {
        address,
        stopped,
        ended,
    })
}
