//! Passes requests on to Asterisk and the answers back.

use std::{error::Error, fmt, io, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::Incoming,
    client::conn::http1::{self, SendRequest},
    ext::ReasonPhrase,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    body::{End, Seen, Tee},
    recording::{Content, Passage, Step, User},
    socket::Passing,
    tap::{Slot, Stopped, Tap},
    upstream::Upstream,
};
use crate::trace::query::decode;

/// How long Asterisk may take to take a connection, or to say who it is.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Headers of an answer that a trace tells.
const TOLD: &[(HeaderName, &str)] = &[
    (header::LOCATION, "Location"),
    (header::ALLOW, "Allow"),
    (header::WWW_AUTHENTICATE, "WWW-Authenticate"),
    (header::RETRY_AFTER, "Retry-After"),
];

pub(crate) type Body = BoxBody<Bytes, hyper::Error>;

/// There is no answer: the connection of the client is cut, as it is when Asterisk is gone.
#[derive(Debug)]
pub(crate) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asterisk does not answer")
    }
}

impl Error for Gone {}

impl From<Stopped> for Gone {
    fn from(Stopped: Stopped) -> Self {
        Self
    }
}

/// What all connections of a recorder have.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) tap: Arc<Tap>,
    pub(crate) upstream: Upstream,
    pub(crate) tracker: TaskTracker,
    pub(crate) stopped: CancellationToken,
}

impl Proxy {
    /// Passes a request on, and the answer back.
    pub(crate) async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Body>, Gone> {
        let slot = self.tap.slot().await?;
        let pending = Pending::new(slot, &request);
        if request.headers().contains_key(header::UPGRADE) {
            self.upgrade(request, pending).await
        } else {
            self.exchange(request, pending).await
        }
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        mut pending: Pending,
    ) -> Result<Response<Body>, Gone> {
        let (mut parts, body) = request.into_parts();
        let asked = Seen::new(&parts.headers);
        strip(&mut parts.headers);
        let body = Tee::new(body, asked.clone(), |_| {}).boxed();
        let request = self.addressed(Request::from_parts(parts, body));
        let (mut parts, body) = match self.send(request).await {
            Ok(answer) => answer.into_parts(),
            Err(error) => return Err(pending.fail(&error)),
        };
        strip(&mut parts.headers);
        let told = Seen::new(&parts.headers);
        pending.answered(parts.status, &parts.headers, parts.extensions.get());
        let whole = told.clone();
        let body = Tee::new(body, told, move |end| {
            pending.finish(asked.take(), whole.take(), end);
        });
        Ok(Response::from_parts(parts, body.boxed()))
    }

    async fn upgrade(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        mut pending: Pending,
    ) -> Result<Response<Body>, Gone> {
        let name = self.tap.with(|recording, _| recording.opening());
        pending.socket = Some(name.clone());
        let client = hyper::upgrade::on(&mut request);
        let (mut parts, _) = request.into_parts();
        // Compressed messages could not be read in passing; Asterisk has none.
        parts.headers.remove(header::SEC_WEBSOCKET_EXTENSIONS);
        let body = Empty::new().map_err(|never| match never {}).boxed();
        let request = self.addressed(Request::from_parts(parts, body));
        let mut answer = match self.send(request).await {
            Ok(answer) => answer,
            Err(error) => return Err(pending.fail(&error)),
        };
        pending.answered(answer.status(), answer.headers(), answer.extensions().get());
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let (mut parts, body) = answer.into_parts();
            strip(&mut parts.headers);
            let told = Seen::new(&parts.headers);
            let whole = told.clone();
            let body = Tee::new(body, told, move |end| {
                pending.finish(Content::default(), whole.take(), end);
            });
            return Ok(Response::from_parts(parts, body.boxed()));
        }
        let asterisk = hyper::upgrade::on(&mut answer);
        pending.finish(Content::default(), Content::default(), End::Whole);
        let passing = Passing::new(Arc::clone(&self.tap), name.clone());
        let (tap, stopped) = (Arc::clone(&self.tap), self.stopped.clone());
        self.tracker
            .spawn(stopped.run_until_cancelled_owned(async move {
                match tokio::try_join!(client, asterisk) {
                    Ok((client, asterisk)) => passing.run(client, asterisk).await,
                    Err(error) => {
                        tracing::debug!(%error, "a WebSocket did not come to be");
                        tap.with(|recording, _| recording.forget(&name));
                    }
                }
            }));
        let (parts, _) = answer.into_parts();
        let body = Empty::new().map_err(|never| match never {}).boxed();
        Ok(Response::from_parts(parts, body))
    }

    /// The request as it goes to Asterisk.
    fn addressed(&self, mut request: Request<Body>) -> Request<Body> {
        if let Ok(host) = HeaderValue::from_str(self.upstream.authority()) {
            request.headers_mut().insert(header::HOST, host);
        }
        request
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, SendError> {
        let mut sender = self.connect().await.map_err(SendError::Connect)?;
        sender
            .send_request(request)
            .await
            .map_err(SendError::Broken)
    }

    /// Opens a connection, one for each request: none can be stale.
    async fn connect(&self) -> io::Result<SendRequest<Body>> {
        let stream = timeout(
            CONNECT_WITHIN,
            TcpStream::connect(self.upstream.authority()),
        )
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .preserve_header_case(true)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let stopped = self.stopped.clone();
        self.tracker.spawn(async move {
            if let Some(Err(error)) = stopped
                .run_until_cancelled(connection.with_upgrades())
                .await
            {
                tracing::debug!(%error, "a connection to Asterisk broke");
            }
        });
        Ok(sender)
    }

    /// Looks whether somebody is there.
    pub(crate) async fn look(&self) -> Result<(), SendError> {
        self.connect().await.map(drop).map_err(SendError::Connect)
    }

    /// Asks Asterisk for itself, as this user.
    pub(crate) async fn ask(
        &self,
        target: &str,
        user: &User,
    ) -> Result<(StatusCode, Bytes), SendError> {
        let mut request = Request::new(Empty::new().map_err(|never| match never {}).boxed());
        *request.uri_mut() = target.parse().unwrap_or_default();
        let credentials = STANDARD.encode(format!("{}:{}", user.name, user.password));
        if let Ok(mut value) = HeaderValue::from_str(&format!("Basic {credentials}")) {
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let asking = async {
            let answer = self.send(self.addressed(request)).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await;
            Ok((status, body.map_err(SendError::Broken)?.to_bytes()))
        };
        timeout(CONNECT_WITHIN, asking)
            .await
            .map_err(|_| SendError::Connect(io::ErrorKind::TimedOut.into()))?
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum SendError {
    Connect(io::Error),
    Broken(hyper::Error),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "Asterisk cannot be reached: {error}"),
            Self::Broken(error) => write!(f, "Asterisk broke the connection off: {error}"),
        }
    }
}

/// Takes out what concerns one connection only.
fn strip(headers: &mut HeaderMap) {
    headers.remove(header::CONNECTION);
    headers.remove(header::TRANSFER_ENCODING);
    headers.remove("keep-alive");
}

/// A request whose line is still to be written; dropping it tells that the client gave up.
struct Pending {
    slot: Option<Slot>,
    step: Step,
    passage: Passage,
    /// The socket that is being opened.
    socket: Option<String>,
}

impl Pending {
    fn new(slot: Slot, request: &Request<Incoming>) -> Self {
        let step = slot.begin();
        let query = request.uri().query().unwrap_or_default().to_owned();
        let passage = Passage {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            credentials: credentials(request.headers(), &query),
            query,
            ..Passage::default()
        };
        Self {
            slot: Some(slot),
            step,
            passage,
            socket: None,
        }
    }

    fn answered(&mut self, status: StatusCode, headers: &HeaderMap, reason: Option<&ReasonPhrase>) {
        let passage = &mut self.passage;
        passage.status = status.as_u16();
        passage.reason = match reason {
            Some(reason) => String::from_utf8_lossy(reason.as_bytes()).into_owned(),
            None => status.canonical_reason().unwrap_or_default().to_owned(),
        };
        for (name, told) in TOLD {
            if let Some(value) = headers.get(name) {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                passage.headers.push((told, value));
            }
        }
    }

    fn finish(&mut self, request: Content, response: Content, end: End) {
        let Some(slot) = self.slot.take() else {
            return;
        };
        let (step, mut passage) = (self.step, std::mem::take(&mut self.passage));
        passage.request = request;
        passage.response = response;
        let what = format!("{} {}", passage.method, passage.path);
        slot.write(|recording, now| {
            let mut lines = match &self.socket {
                Some(name) => recording.opened(now, step, name, &passage),
                None => recording.exchange(now, step, &passage),
            };
            match end {
                End::Whole => {}
                End::Broken => {
                    lines +=
                        &recording.note(now, &format!("Asterisk broke off its answer to {what}"));
                }
                End::Abandoned => {
                    let note = format!("the client went away within the answer to {what}");
                    lines += &recording.note(now, &note);
                }
            }
            lines
        });
    }

    /// There is no answer: tells it.
    fn fail(&mut self, error: &SendError) -> Gone {
        let note = format!("{} {}: {error}", self.passage.method, self.passage.path);
        tracing::warn!("{note}");
        self.end_with(&note);
        Gone
    }

    fn end_with(&mut self, note: &str) {
        if let Some(slot) = self.slot.take() {
            let socket = self.socket.take();
            slot.write(|recording, now| {
                if let Some(name) = socket {
                    recording.forget(&name);
                }
                recording.note(now, note)
            });
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let note = format!(
            "{} {}: the client went away before there was an answer",
            self.passage.method, self.passage.path
        );
        self.end_with(&note);
    }
}

/// Who asks: by Basic authentication, or by `api_key`.
fn credentials(headers: &HeaderMap, query: &str) -> Option<(String, String)> {
    let basic = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        .and_then(|(_, encoded)| STANDARD.decode(encoded.trim()).ok())
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let named = basic.or_else(|| {
        let key = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("api_key="))?;
        Some(decode(key))
    })?;
    let (name, password) = named.split_once(':').unwrap_or((&named, ""));
    Some((name.to_owned(), password.to_owned()))
}
