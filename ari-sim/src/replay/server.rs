//! Serves a replay over HTTP and WebSocket.

use std::{
    collections::HashMap,
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{
        FromRequestParts, State,
        ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderName, HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse,
    serve::ListenerExt,
};
use futures::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Limited};
use tokio::{
    net::TcpListener,
    sync::{Notify, mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Replay, ReplayAnswer, ReplayOutput, ReplaySocket, ReplayTicket};

/// Texts that a client may leave unread.
const SOCKET_QUEUE: usize = 1_024;

/// How long a client may read nothing before its WebSocket is dropped.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How long connections may take to end.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// Largest body and frame that is taken.
const MAX_BODY: usize = 1 << 20;

/// Code of the close frames when the server stops: it goes away.
const GOING_AWAY: u16 = 1_001;

/// Goes to a WebSocket.
#[derive(Debug)]
enum Outgoing {
    Text(String),
    End(Option<u16>),
}

struct Core {
    replay: Replay,
    answers: HashMap<ReplayTicket, oneshot::Sender<ReplayAnswer>>,
    sockets: HashMap<ReplaySocket, mpsc::Sender<Outgoing>>,
}

struct Shared {
    core: Mutex<Core>,
    start: Instant,
    /// Something was asked.
    asked: Notify,
    over: CancellationToken,
    /// Ends in good order.
    stopped: CancellationToken,
    /// Ends at once.
    killed: CancellationToken,
    tracker: TaskTracker,
}

impl Shared {
    fn with<R>(&self, action: impl FnOnce(&mut Core, Duration) -> R) -> R {
        let mut core = self.core();
        let result = action(&mut core, self.start.elapsed());
        drop(core);
        self.asked.notify_one();
        result
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server of a [`Replay`]. Dropping it stops it.
pub struct ReplayServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl fmt::Debug for ReplayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayServer")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ReplayServer {
    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of ARI.
    pub fn url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    /// Waits until all of the trace was asked, answered and told.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn over(&self) {
        self.shared.over.cancelled().await;
    }

    /// The steps that would come next, each in a few words.
    pub fn expected(&self) -> Vec<String> {
        self.shared.core().replay.expected().collect()
    }

    /// Stops it: what is on its way goes out, and each WebSocket gets a close frame.
    ///
    /// # Cancel safety
    /// When the future is dropped it stops nevertheless, at once.
    pub async fn stop(self) {
        self.shared.stopped.cancel();
        self.shared.tracker.close();
        if timeout(STOP_WITHIN, self.shared.tracker.wait())
            .await
            .is_err()
        {
            self.shared.killed.cancel();
            self.shared.tracker.wait().await;
        }
    }
}

impl Drop for ReplayServer {
    fn drop(&mut self) {
        self.shared.stopped.cancel();
        self.shared.killed.cancel();
    }
}

pub(super) async fn serve(replay: Replay, address: SocketAddr) -> io::Result<ReplayServer> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let shared = Arc::new(Shared {
        core: Mutex::new(Core {
            replay,
            answers: HashMap::new(),
            sockets: HashMap::new(),
        }),
        start: Instant::now(),
        asked: Notify::new(),
        over: CancellationToken::new(),
        stopped: CancellationToken::new(),
        killed: CancellationToken::new(),
        tracker: TaskTracker::new(),
    });
    let app = Router::new()
        .fallback(handle)
        .with_state(Arc::clone(&shared));
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
    });
    let serving = axum::serve(listener, app)
        .with_graceful_shutdown(shared.stopped.clone().cancelled_owned())
        .into_future();
    let killed = shared.killed.clone();
    shared.tracker.spawn(async move {
        if let Some(Err(error)) = killed.run_until_cancelled(serving).await {
            tracing::error!(%error, "the server ended");
        }
    });
    shared.tracker.spawn(drive(Arc::clone(&shared)));
    Ok(ReplayServer { address, shared })
}

/// Does what the replay wants, when it wants it.
async fn drive(shared: Arc<Shared>) {
    loop {
        let (outputs, due) = {
            let mut core = shared.core();
            let now = shared.start.elapsed();
            let outputs: Vec<_> = std::iter::from_fn(|| core.replay.poll(now)).collect();
            (outputs, core.replay.due())
        };
        for output in outputs {
            perform(&shared, output).await;
        }
        if shared.core().replay.is_over() && !shared.over.is_cancelled() {
            tracing::info!("the trace is over");
            shared.over.cancel();
        }
        let later = due.and_then(|due| shared.start.checked_add(due));
        let waits = async {
            match later {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = shared.stopped.cancelled() => {
                // Their tasks send what they have, and a close frame.
                let closed: Vec<_> = shared.core().sockets.drain().collect();
                drop(closed);
                return;
            }
            () = shared.asked.notified() => {}
            () = waits => {}
        }
    }
}

async fn perform(shared: &Shared, output: ReplayOutput) {
    match output {
        ReplayOutput::Answer(ticket, answer) => {
            let waiting = shared.core().answers.remove(&ticket);
            if waiting.is_none_or(|waiting| waiting.send(answer).is_err()) {
                tracing::debug!("who asked is gone");
            }
        }
        ReplayOutput::Message(socket, text) => {
            let queue = shared.core().sockets.get(&socket).cloned();
            if let Some(queue) = queue {
                let sent = timeout(WRITE_WITHIN, queue.send(Outgoing::Text(text))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    tracing::warn!("an event is lost: a WebSocket does not read, or is gone");
                    shared.core().sockets.remove(&socket);
                }
            }
        }
        ReplayOutput::End(socket, code) => {
            let queue = shared.core().sockets.remove(&socket);
            if let Some(queue) = queue
                && timeout(WRITE_WITHIN, queue.send(Outgoing::End(code)))
                    .await
                    .is_err()
            {
                tracing::debug!("a WebSocket does not read its end");
            }
        }
        ReplayOutput::Problem(problem) => tracing::warn!("{problem}"),
    }
}

async fn handle(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response<Body> {
    if request.headers().contains_key(header::UPGRADE) {
        return upgrade(shared, request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        let message = r#"{"message":"the request has no body that can be read"}"#;
        let mut answer = Response::new(Body::from(message));
        *answer.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
        return answer;
    };
    let body = body.to_bytes();
    let answer = shared.with(|core, now| {
        let (path, query) = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let ticket = core
            .replay
            .request(now, parts.method.as_str(), path, query, &body);
        let (waiting, answer) = oneshot::channel();
        core.answers.insert(ticket, waiting);
        answer
    });
    let answered = shared.killed.run_until_cancelled(answer).await;
    match answered {
        Some(Ok(answer)) => respond(answer),
        // Stopped: there is no answer any more.
        _ => Response::new(Body::empty()),
    }
}

fn respond(answer: ReplayAnswer) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() =
        StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !answer.reason.is_empty()
        && let Ok(reason) = hyper::ext::ReasonPhrase::try_from(answer.reason.into_bytes())
    {
        response.extensions_mut().insert(reason);
    }
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static("Asterisk"));
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (
            HeaderName::try_from(name.as_str()),
            HeaderValue::from_str(value),
        ) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn upgrade(shared: Arc<Shared>, request: Request<Body>) -> Response<Body> {
    let (mut parts, _) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let (queue, outgoing) = mpsc::channel(SOCKET_QUEUE);
    let opened = shared.with(|core, now| {
        let opened = core.replay.open(now, &query);
        if let Ok(socket) = opened {
            core.sockets.insert(socket, queue);
        }
        opened
    });
    let socket = match opened {
        Ok(socket) => socket,
        Err(answer) => return respond(answer),
    };
    let guard = SocketGuard {
        shared: Arc::clone(&shared),
        socket,
    };
    upgrade
        .protocols(["ari"])
        .max_message_size(MAX_BODY)
        .max_frame_size(MAX_BODY)
        .on_upgrade(move |socket| {
            let tracker = shared.tracker.clone();
            let killed = shared.killed.clone();
            tracker.track_future(async move {
                killed
                    .run_until_cancelled(run(socket, outgoing, &guard))
                    .await;
            })
        })
}

/// Tells the replay when a WebSocket is gone, whether it came to be or not.
struct SocketGuard {
    shared: Arc<Shared>,
    socket: ReplaySocket,
}

impl Drop for SocketGuard {
    fn drop(&mut self) {
        self.shared.with(|core, now| {
            core.sockets.remove(&self.socket);
            core.replay.left(now, self.socket);
        });
    }
}

/// Carries texts until either side ends it.
async fn run(mut socket: WebSocket, mut outgoing: mpsc::Receiver<Outgoing>, guard: &SocketGuard) {
    loop {
        tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    guard.shared.with(|core, now| core.replay.frame(now, guard.socket, &text));
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_))) => {
                    drop(timeout(STOP_WITHIN, socket.close()).await);
                    return;
                }
                Some(Err(_)) | None => return,
            },
            next = outgoing.recv() => {
                let message = match next {
                    Some(Outgoing::Text(text)) => Message::Text(text.into()),
                    Some(Outgoing::End(None)) => return,
                    Some(Outgoing::End(code)) => close(code.unwrap_or(GOING_AWAY)),
                    None => close(GOING_AWAY),
                };
                let last = matches!(message, Message::Close(_));
                if !matches!(timeout(WRITE_WITHIN, socket.send(message)).await, Ok(Ok(()))) {
                    return;
                }
                if last {
                    // The client answers with a close frame of its own.
                    let rest = async { while socket.next().await.is_some_and(|message| message.is_ok()) {} };
                    drop(timeout(STOP_WITHIN, rest).await);
                    return;
                }
            }
        }
    }
}

fn close(code: u16) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: "".into(),
    }))
}
