//! Sockets that the simulator opens to servers of applications.

use std::{collections::HashMap, io, sync::Arc};

use axum::{
    body::Body,
    http::{self, Uri, header},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::DuplexStream,
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::Role,
    },
};
use tokio_util::sync::CancellationToken;

use super::{
    listener::{CutStream, Wire},
    memory,
    socket::{self, SessionGuard},
};
use crate::{
    simulator::{Link, Outbound, Reach, Runtime, Sink, SocketSink},
    wire::Handshake,
    world::{PerCallAction, PerCallId, SessionId},
};

/// An open socket, and its TCP connection.
type Connected = (WebSocketStream<TokioIo<Upgraded>>, Arc<Link>);

/// Where a socket goes, and as whom.
pub(crate) struct Target {
    outbound: Outbound,
    host: String,
    port: u16,
    path: String,
    /// Where pipes in memory go instead of connections over TCP.
    pipes: Option<mpsc::Sender<DuplexStream>>,
    /// Credentials for the requests that come over the socket.
    user: (String, String),
}

impl Target {
    pub(crate) fn new(
        runtime: &Runtime,
        outbound: Outbound,
        pipes: Option<mpsc::Sender<DuplexStream>>,
    ) -> io::Result<Self> {
        let invalid = |text: String| io::Error::new(io::ErrorKind::InvalidInput, text);
        // No error shows the URI before it is known to hold no password.
        let uri: Uri = outbound
            .uri
            .parse()
            .map_err(|error| invalid(format!("this is no URI: {error}")))?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            let text = "a URI with credentials is not taken: they are set by themselves";
            return Err(invalid(text.to_owned()));
        }
        if uri.scheme_str() != Some("ws") {
            return Err(invalid(format!("{uri} does not begin with ws://")));
        }
        let host = uri.host().unwrap_or_default().to_owned();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        if outbound.applications.is_empty()
            || outbound
                .applications
                .iter()
                .any(|name| name.is_empty() || name.len() > crate::wire::MAX_APPLICATION)
        {
            return Err(invalid(
                "an application has no name, or too long a one".to_owned(),
            ));
        }
        let user = runtime.config.credentials(outbound.local_user.as_deref());
        let user = user.ok_or_else(|| invalid("there is no such user of ARI".to_owned()))?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(80),
            path: path.to_owned(),
            pipes,
            user,
            outbound,
        })
    }

    fn handshake(&self, applications: &[String]) -> Handshake {
        let (name, password) = &self.user;
        let all = self.outbound.subscribe_all;
        Handshake::outbound(applications, all, name, password)
    }

    /// Opens the socket.
    async fn connect(&self, runtime: &Runtime) -> io::Result<Connected> {
        // The sender lives as long as the simulator, which stops this.
        let _ = runtime.reach().wait_for(|reach| *reach == Reach::Up).await;
        if let Some(pipes) = &self.pipes {
            return self.open(runtime, memory::open(pipes)?).await;
        }
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        self.open(runtime, stream).await
    }

    /// Opens the socket over a connection.
    async fn open<S: Wire + Send + 'static>(
        &self,
        runtime: &Runtime,
        stream: S,
    ) -> io::Result<Connected> {
        let guard = runtime.links.add(runtime.stopped.child_token());
        let link = Arc::clone(guard.link());
        link.carries_events();
        let stream = TokioIo::new(CutStream::new(stream, guard));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(io::Error::other)?;
        let cut = runtime.stopped.clone();
        runtime.tracker.spawn(async move {
            let connection = connection.with_upgrades();
            if let Some(Err(error)) = cut.run_until_cancelled(connection).await {
                tracing::debug!(%error, "a connection to an application ended");
            }
        });
        let key = generate_key();
        let mut request = http::Request::get(&self.path)
            .header(header::HOST, format!("{}:{}", self.host, self.port))
            .header(header::UPGRADE, "websocket")
            .header(header::CONNECTION, "Upgrade")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_PROTOCOL, "ari");
        if let Some((name, password)) = &self.outbound.credentials {
            let encoded = STANDARD.encode(format!("{name}:{password}"));
            request = request.header(header::AUTHORIZATION, format!("Basic {encoded}"));
        }
        let request = request.body(Body::empty()).map_err(io::Error::other)?;
        let answer = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?;
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        if answer.status() != http::StatusCode::SWITCHING_PROTOCOLS
            || accepted.is_none_or(|accept| accept != &derive_accept_key(key.as_bytes()))
        {
            let text = format!("the server answered {}", answer.status());
            return Err(io::Error::other(text));
        }
        let stream = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
        let config = Some(socket::config());
        let stream = TokioIo::new(stream);
        let stream = WebSocketStream::from_raw_socket(stream, Role::Client, config).await;
        Ok((stream, link))
    }

    async fn connect_in_time(&self, runtime: &Runtime) -> io::Result<Connected> {
        timeout(self.outbound.connect_timeout, self.connect(runtime)).await?
    }
}

/// The events of a socket, whether it is open or not. They end when the session has no sink any more.
struct Line {
    runtime: Arc<Runtime>,
    events: mpsc::WeakSender<Bytes>,
    queue: mpsc::Receiver<Bytes>,
    guard: SessionGuard,
    connected_before: bool,
}

impl Line {
    /// Carries a connection until it is lost or the session is over; says whether it is lost.
    async fn carry(&mut self, (stream, link): Connected) -> bool {
        let Some(events) = self.events.upgrade() else {
            return false;
        };
        if self.queue.len() == self.queue.max_capacity() {
            tracing::warn!(
                "as many events as can wait came while a WebSocket was closed: the later ones are lost"
            );
        }
        let session = self.guard.session();
        let sink = SocketSink::new(events, &link);
        if !self.runtime.replace_sink(session, Sink::Socket(sink)) {
            return false;
        }
        if std::mem::replace(&mut self.connected_before, true) {
            let applications = self.guard.applications();
            self.runtime
                .with_world(|world, _| world.registered_again(session, applications));
        } else {
            self.runtime
                .with_world(|world, now| world.per_call_connected(now, session));
        }
        socket::carry(stream, Role::Client, &mut self.queue, &self.guard, &link).await;
        self.events.strong_count() > 0 && !self.runtime.stopped.is_cancelled()
    }
}

/// Opens a persistent socket, and opens it again whenever it is lost, until it is closed.
pub(crate) fn persistent(
    runtime: &Arc<Runtime>,
    target: Target,
    closed: CancellationToken,
) -> SessionId {
    let (events, queue) = mpsc::channel(runtime.limits.socket_queue);
    let weak = events.downgrade();
    let sink = SocketSink::waiting(events, runtime.stopped.child_token());
    let applications = &target.outbound.applications;
    let all = target.outbound.subscribe_all;
    let session = runtime.open_outbound(Sink::Socket(sink), applications, all);
    let handshake = target.handshake(applications);
    let line = Line {
        runtime: Arc::clone(runtime),
        events: weak,
        queue,
        guard: SessionGuard::new(runtime, session, handshake),
        connected_before: false,
    };
    runtime.tracker.spawn(keep_open(target, line, closed));
    session
}

async fn keep_open(target: Target, mut line: Line, closed: CancellationToken) {
    let runtime = Arc::clone(&line.runtime);
    loop {
        let connecting = target.connect_in_time(&runtime);
        match closed.run_until_cancelled(connecting).await {
            None => return,
            Some(Ok(stream)) => {
                if !line.carry(stream).await {
                    return;
                }
            }
            Some(Err(error)) => {
                tracing::warn!(uri = target.outbound.uri, %error, "an application cannot be reached");
                let pause = sleep(target.outbound.reconnect_interval);
                if closed.run_until_cancelled(pause).await.is_none() {
                    return;
                }
            }
        }
    }
}

/// Opens and closes the sockets of calls as the world wants it.
pub(crate) async fn open_for_calls(runtime: Arc<Runtime>) {
    let mut open = HashMap::new();
    loop {
        let action = runtime.with_world(|world, _| world.poll_per_call());
        match action {
            None => tokio::select! {
                () = runtime.stopped.cancelled() => return,
                () = runtime.per_call.notified() => {}
            },
            Some(PerCallAction::Open {
                session,
                id,
                application,
            }) => {
                let closed = runtime.stopped.child_token();
                open.insert(session, closed.clone());
                let target = runtime.per_call_target(id);
                let call = for_call(Arc::clone(&runtime), target, session, application, closed);
                runtime.tracker.spawn(call);
            }
            Some(PerCallAction::Close { session }) => {
                runtime.close_session(session);
                if let Some(closed) = open.remove(&session) {
                    closed.cancel();
                }
            }
        }
    }
}

/// The socket of one call.
async fn for_call(
    runtime: Arc<Runtime>,
    target: Option<Arc<Target>>,
    session: SessionId,
    application: Arc<str>,
    closed: CancellationToken,
) {
    let failed = || runtime.with_world(|world, now| world.per_call_failed(now, session));
    let Some(target) = target else {
        return failed();
    };
    let (events, queue) = mpsc::channel(runtime.limits.socket_queue);
    let weak = events.downgrade();
    // There is nothing yet that could be cut.
    let sink = SocketSink::waiting(events, closed.child_token());
    let all = target.outbound.subscribe_all;
    runtime.seat_call(session, Sink::Socket(sink), &application, all);
    let mut line = Line {
        runtime: Arc::clone(&runtime),
        events: weak,
        queue,
        guard: SessionGuard::new(
            &runtime,
            session,
            target.handshake(&[application.to_string()]),
        ),
        connected_before: false,
    };
    loop {
        let connecting = target.connect_for_call(&runtime);
        match closed.run_until_cancelled(connecting).await {
            None => return,
            Some(None) => return failed(),
            Some(Some(stream)) => {
                if !line.carry(stream).await {
                    return;
                }
            }
        }
    }
}

impl Target {
    /// Opens the socket of a call, with as many attempts as there are to be.
    async fn connect_for_call(&self, runtime: &Runtime) -> Option<Connected> {
        let attempts = self.outbound.reconnect_attempts.max(1);
        for attempt in 1..=attempts {
            match self.connect_in_time(runtime).await {
                Ok(stream) => return Some(stream),
                Err(error) => {
                    tracing::warn!(uri = self.outbound.uri, %error, "an application cannot be reached");
                }
            }
            if attempt < attempts {
                sleep(self.outbound.reconnect_interval).await;
            }
        }
        None
    }
}

impl Runtime {
    pub(crate) fn per_call_target(&self, id: PerCallId) -> Option<Arc<Target>> {
        let targets = self.per_call_targets.lock();
        let targets = targets.unwrap_or_else(std::sync::PoisonError::into_inner);
        targets.get(&id).cloned()
    }
}
