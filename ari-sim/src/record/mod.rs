//! Records what an Asterisk and an application say to each other.

mod body;
mod complete;
mod extensions;
mod frames;
mod proxy;
mod recording;
mod socket;
mod tap;
mod upstream;

use std::{error::Error, fmt, io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    proxy::Proxy,
    recording::Facts,
    tap::{Tap, write_lines},
    upstream::Upstream,
};

pub use self::upstream::InvalidUpstream;

/// Pause after a connection that could not be taken: mostly there are too many.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Sets a [`Recorder`] up.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is started"]
pub struct RecorderBuilder {
    upstream: String,
    facts: Facts,
}

impl fmt::Debug for RecorderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        f.debug_struct("RecorderBuilder")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl RecorderBuilder {
    /// Sets the name of the scenario; without it it is `recorded`.
    pub fn scenario(mut self, name: impl Into<String>) -> Self {
        self.facts.scenario = name.into();
        self
    }

    /// Sets the title of the scenario.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.facts.title = title.into();
        self
    }

    /// Says more of the scenario.
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.facts.description = description.into();
        self
    }

    /// Sets the application; without it it is that of the first WebSocket.
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.facts.app = Some(app.into());
        self
    }

    /// Adds the extensions of a dialplan that take part, as in extensions.conf: whoever compares a
    /// simulator with the trace needs them.
    pub fn dialplan(mut self, extensions: &str) -> Self {
        self.facts.dialplan = extensions::read(extensions);
        self
    }

    /// Listens at an address, and writes what passes to `trace`, line by line.
    ///
    /// The Asterisk is asked for its release first, when the URL names a user. Writing blocks a thread
    /// of its own; when it is slow, what is recorded waits for it, and no line is lost.
    ///
    /// # Errors
    /// The URL is none, the Asterisk cannot be reached or refuses the user, or the address cannot be
    /// listened on.
    ///
    /// # Cancel safety
    /// When the future is dropped nothing is recorded.
    pub async fn start(
        mut self,
        address: impl Into<SocketAddr>,
        trace: impl io::Write + Send + 'static,
    ) -> Result<Recorder, RecordError> {
        let upstream = Upstream::parse(&self.upstream).map_err(RecordError::Url)?;
        self.facts.user = upstream.user().cloned();
        let tracker = TaskTracker::new();
        let stopped = CancellationToken::new();
        let guard = stopped.clone().drop_guard();
        let version = version(&upstream, &tracker, &stopped).await?;
        self.facts.asterisk = version.unwrap_or_else(|| "unknown".to_owned());
        let listener = TcpListener::bind(address.into())
            .await
            .map_err(RecordError::Listen)?;
        let address = listener.local_addr().map_err(RecordError::Listen)?;
        let (tap, queue) = Tap::new(self.facts);
        let failed = CancellationToken::new();
        let failure = failed.clone();
        let writer = tracker.spawn_blocking(move || write_lines(queue, trace, &failure));
        let proxy = Arc::new(Proxy {
            tap,
            upstream,
            tracker: tracker.clone(),
            stopped: stopped.clone(),
        });
        tracker.spawn(
            stopped
                .clone()
                .run_until_cancelled_owned(accept(listener, proxy)),
        );
        guard.disarm();
        Ok(Recorder {
            address,
            stopped,
            failed,
            tracker,
            writer,
        })
    }
}

/// Asks an Asterisk for its release; without a user it is only looked for.
async fn version(
    upstream: &Upstream,
    tracker: &TaskTracker,
    stopped: &CancellationToken,
) -> Result<Option<String>, RecordError> {
    let (tap, _queue) = Tap::new(Facts::default());
    let proxy = Proxy {
        tap,
        upstream: upstream.clone(),
        tracker: tracker.clone(),
        stopped: stopped.clone(),
    };
    let unreachable = |error: proxy::SendError| RecordError::Unreachable {
        address: upstream.authority().to_owned(),
        reason: error.to_string(),
    };
    let Some(user) = upstream.user() else {
        proxy.look().await.map_err(unreachable)?;
        return Ok(None);
    };
    let target = format!("{}/asterisk/info", upstream.base());
    let (status, body) = proxy.ask(&target, user).await.map_err(unreachable)?;
    if matches!(status.as_u16(), 401 | 403) {
        return Err(RecordError::Refused {
            user: user.name.clone(),
            status: status.as_u16(),
        });
    }
    let info: Value = serde_json::from_slice(&body).unwrap_or_default();
    Ok(info["system"]["version"].as_str().map(str::to_owned))
}

async fn accept(listener: TcpListener, proxy: Arc<Proxy>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = serve(stream, Arc::clone(&proxy));
                let stopped = proxy.stopped.clone();
                proxy
                    .tracker
                    .spawn(stopped.run_until_cancelled_owned(serving));
            }
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be taken");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, proxy: Arc<Proxy>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps its delay");
    }
    let service = service_fn(move |request| Arc::clone(&proxy).handle(request));
    let connection = http1::Builder::new()
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection of a client broke");
    }
}

/// A tap between an application and an Asterisk.
///
/// The application is pointed at it instead of at the Asterisk. What they say passes
/// unchanged in both directions, and are written down as a trace. Passwords are not: they stand as
/// `***`. Dropping it stops it.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    stopped: CancellationToken,
    failed: CancellationToken,
    tracker: TaskTracker,
    writer: JoinHandle<io::Result<()>>,
}

impl Recorder {
    /// Starts to set one up for the Asterisk at a URL, as in `http://user:password@host:8088/ari`.
    pub fn builder(upstream: impl Into<String>) -> RecorderBuilder {
        RecorderBuilder {
            upstream: upstream.into(),
            facts: Facts {
                scenario: "recorded".to_owned(),
                ..Facts::default()
            },
        }
    }

    /// The address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of ARI.
    pub fn url(&self) -> String {
        format!("http://{}/ari", self.address)
    }

    /// Waits until the trace can no longer be written.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops it: cuts all connections, and waits until the last line is written.
    ///
    /// # Errors
    /// The trace could not be written to its end.
    ///
    /// # Cancel safety
    /// When the future is dropped it stops nevertheless.
    pub async fn stop(mut self) -> io::Result<()> {
        self.stopped.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        (&mut self.writer).await.map_err(io::Error::other)?
    }

    /// Completes the header of a trace that is no longer written: with the ids that Asterisk made, and
    /// whether requests came over a WebSocket.
    ///
    /// The file is replaced as a whole, or left as it is.
    ///
    /// # Errors
    /// It cannot be read or replaced, or is no trace.
    pub fn complete(path: impl AsRef<Path>) -> io::Result<()> {
        complete::complete(path.as_ref())
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// Why nothing can be recorded.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecordError {
    /// The URL is none of an Asterisk.
    Url(InvalidUpstream),
    /// Nobody answers at the URL.
    Unreachable {
        /// Host and port.
        address: String,
        /// What went wrong.
        reason: String,
    },
    /// The Asterisk does not let the user in.
    Refused {
        /// Name of the user.
        user: String,
        /// Status of its answer.
        status: u16,
    },
    /// The address cannot be listened on.
    Listen(io::Error),
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(_) => {
                f.write_str("the upstream is not as in http://user:password@host:8088/ari")
            }
            Self::Unreachable { address, reason } => {
                write!(f, "there is no Asterisk at {address}: {reason}")
            }
            Self::Refused { user, status } => write!(
                f,
                "the Asterisk does not let {user} in ({status}): check user and password of the upstream"
            ),
            Self::Listen(_) => f.write_str("the address cannot be listened on"),
        }
    }
}

impl Error for RecordError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url(error) => Some(error),
            Self::Listen(error) => Some(error),
            Self::Unreachable { .. } | Self::Refused { .. } => None,
        }
    }
}
