//! ARI over HTTP and WebSocket without a network.

use std::{
    future::pending,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    listener::{Connection, CutStream, Wire},
    routes,
};
use crate::simulator::{Reach, Runtime};

/// Bytes on their way in each direction.
const ROOM: usize = 64 * 1024;

/// Connections that wait to be accepted.
const BACKLOG: usize = 1_024;

/// The connections that a [`Simulator`](crate::Simulator) opens to the server of an application, as pipes in
/// memory, so that a test runs in virtual time. When it is dropped they are refused.
#[derive(Debug)]
pub struct MemoryListener {
    pipes: mpsc::Receiver<DuplexStream>,
}

impl MemoryListener {
    /// Makes one, and what opens connections to it.
    pub(crate) fn new() -> (Self, mpsc::Sender<DuplexStream>) {
        let (sender, pipes) = mpsc::channel(BACKLOG);
        (Self { pipes }, sender)
    }

    /// Waits for the next connection; `None`: there will be none.
    ///
    /// # Cancel safety
    /// No connection is lost when the future is dropped.
    pub async fn accept(&mut self) -> Option<DuplexStream> {
        self.pipes.recv().await
    }
}

/// Opens a pipe.
pub(crate) fn open(to: &mpsc::Sender<DuplexStream>) -> io::Result<DuplexStream> {
    let (near, far) = duplex(ROOM);
    let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
    to.try_send(far).map_err(refused)?;
    Ok(near)
}

type Pipe = CutStream<DuplexStream>;

/// A server of a [`Simulator`](crate::Simulator) whose connections are pipes in memory, so that a test
/// runs in virtual time. Dropping it stops it and cuts its connections.
#[derive(Debug)]
pub struct MemoryServer {
    runtime: Arc<Runtime>,
    pipes: mpsc::Sender<Pipe>,
    stopped: CancellationToken,
}

impl MemoryServer {
    pub(crate) fn start(runtime: &Arc<Runtime>) -> Self {
        let (pipes, accepted) = mpsc::channel(BACKLOG);
        let stopped = runtime.stopped.child_token();
        let service = routes(runtime).into_make_service_with_connect_info::<Connection>();
        let until = stopped.clone();
        runtime.tracker.spawn(async move {
            let serving = axum::serve(Pipes(accepted), service).into_future();
            if let Some(Err(error)) = until.run_until_cancelled(serving).await {
                tracing::error!(%error, "the server ended");
            }
        });
        Self {
            runtime: Arc::clone(runtime),
            pipes,
            stopped,
        }
    }

    /// Connects: what is written to the pipe goes to the server.
    ///
    /// # Errors
    /// Connections are refused.
    pub fn connect(&self) -> io::Result<DuplexStream> {
        if *self.runtime.reach().borrow() == Reach::Down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (client, server) = duplex(ROOM);
        let guard = self.runtime.links.add(self.stopped.child_token());
        let refused = |_| io::Error::from(io::ErrorKind::ConnectionRefused);
        self.pipes
            .try_send(CutStream::new(server, guard))
            .map_err(refused)?;
        Ok(client)
    }
}

impl Drop for MemoryServer {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

impl Wire for DuplexStream {
    // A pipe knows no reset: it just ends.
    fn reset(&self) -> io::Result<()> {
        Ok(())
    }
}

struct Pipes(mpsc::Receiver<Pipe>);

impl Listener for Pipes {
    type Io = Pipe;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Pipe, SocketAddr) {
        match self.0.recv().await {
            Some(pipe) => (pipe, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }
}

impl Connected<IncomingStream<'_, Pipes>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Pipes>) -> Self {
        Self {
            link: Arc::clone(stream.io().link()),
        }
    }
}
