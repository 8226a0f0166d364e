//! Options of a connection to NATS.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use ari_core::{Error, Result};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use url::Url;

/// Where nats-server listens unless it is told otherwise.
pub const DEFAULT_URL: &str = "nats://127.0.0.1:4222";

/// Messages of one subscription that the reader has not taken yet.
const SUBSCRIPTION_MESSAGES: usize = 65_536;
/// Commands to the connection that it has not carried out yet.
const COMMANDS: usize = 8_192;
/// Longest pause between two attempts to connect again.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// How to connect to NATS.
#[derive(Clone, Default)]
pub struct NatsOptions {
    urls: Vec<String>,
    user: Option<(String, SecretString)>,
    token: Option<SecretString>,
    nkey: Option<SecretString>,
    credentials_file: Option<PathBuf>,
    root_certificates: Vec<PathBuf>,
    client_certificate: Option<(PathBuf, PathBuf)>,
    require_tls: bool,
    wait: bool,
}

impl NatsOptions {
    /// Connects to one of these servers, named as in `nats://127.0.0.1:4222`; several are separated by
    /// commas.
    pub fn new(urls: &str) -> Self {
        let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
        Self {
            urls: urls.map(str::to_owned).collect(),
            ..Self::default()
        }
    }

    /// Authenticates by user and password.
    #[must_use]
    pub fn user_and_password(
        mut self,
        user: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        self.user = Some((user.into(), SecretString::from(password.into())));
        self
    }

    /// Authenticates by a token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(SecretString::from(token.into()));
        self
    }

    /// Authenticates by the seed of an nkey.
    #[must_use]
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.nkey = Some(SecretString::from(seed.into()));
        self
    }

    /// Authenticates by a credentials file.
    #[must_use]
    pub fn credentials_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.credentials_file = Some(path.into());
        self
    }

    /// Trusts the certificate authority in this PEM file.
    #[must_use]
    pub fn root_certificate(mut self, path: impl Into<PathBuf>) -> Self {
        self.root_certificates.push(path.into());
        self
    }

    /// Shows this certificate, with this key, to the server; both are PEM files.
    #[must_use]
    pub fn client_certificate(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.client_certificate = Some((certificate.into(), key.into()));
        self
    }

    /// Refuses to go on without TLS.
    #[must_use]
    pub const fn require_tls(mut self, required: bool) -> Self {
        self.require_tls = required;
        self
    }

    /// Keeps trying until a server is there, instead of giving up after the first attempt.
    #[must_use]
    pub const fn wait_for_server(mut self, wait: bool) -> Self {
        self.wait = wait;
        self
    }

    /// The servers, without what is secret in their URLs.
    pub fn servers(&self) -> String {
        if self.urls.is_empty() {
            return DEFAULT_URL.to_owned();
        }
        self.urls
            .iter()
            .map(|url| without_secrets(url))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Connects; the server shows the connection under this name.
    ///
    /// # Errors
    /// [`Error::Connect`], with a sentence that says what to do.
    ///
    /// # Cancel safety
    /// Dropping the future ends the attempt.
    pub async fn connect(&self, name: &str) -> Result<Link> {
        let (told, events) = mpsc::channel(64);
        let mut options = ConnectOptions::new()
            .name(name)
            .subscription_capacity(SUBSCRIPTION_MESSAGES)
            .client_capacity(COMMANDS)
            .require_tls(self.require_tls)
            .reconnect_delay_callback(pause)
            .event_callback(move |event| {
                let told = told.clone();
                async move {
                    if let Some(event) = LinkEvent::of(event) {
                        // Whoever no longer listens has closed the connection.
                        let _ = told.send(event).await;
                    }
                }
            });
        if let Some((user, password)) = &self.user {
            options = options.user_and_password(user.clone(), password.expose_secret().to_owned());
        }
        if let Some(token) = &self.token {
            options = options.token(token.expose_secret().to_owned());
        }
        if let Some(seed) = &self.nkey {
            options = options.nkey(seed.expose_secret().to_owned());
        }
        if let Some(path) = &self.credentials_file {
            options = options
                .credentials_file(path)
                .await
                .map_err(|error| Error::Connect {
                    reason: format!(
                        "cannot read the NATS credentials file {}: does it exist, and is it one?",
                        path.display()
                    ),
                    source: Some(error.into()),
                })?;
        }
        for path in &self.root_certificates {
            options = options.add_root_certificates(path.clone());
        }
        if let Some((certificate, key)) = &self.client_certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if self.wait {
            options = options.retry_on_initial_connect();
        }
        let client = options
            .connect(self.addresses()?)
            .await
            .map_err(|error| self.refused(&error))?;
        Ok(Link { client, events })
    }

    fn addresses(&self) -> Result<Vec<async_nats::ServerAddr>> {
        let urls: Vec<&str> = if self.urls.is_empty() {
            vec![DEFAULT_URL]
        } else {
            self.urls.iter().map(String::as_str).collect()
        };
        urls.into_iter()
            .map(|url| {
                url.parse().map_err(|error: std::io::Error| Error::Connect {
                    reason: format!(
                        "{:?} is no NATS URL: write it as {DEFAULT_URL}, several separated by commas",
                        without_secrets(url)
                    ),
                    source: Some(error.into()),
                })
            })
            .collect()
    }

    fn refused(&self, error: &async_nats::ConnectError) -> Error {
        let servers = self.servers();
        let reason = match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                format!(
                    "NATS at {servers} refused the credentials: check user and password, token or credentials file"
                )
            }
            ConnectErrorKind::Tls => {
                format!(
                    "no TLS connection to NATS at {servers}: check the certificates, and whether the server wants TLS"
                )
            }
            ConnectErrorKind::Dns => {
                format!("cannot find the host of NATS at {servers}: check the URL")
            }
            ConnectErrorKind::TimedOut => {
                format!("NATS at {servers} does not answer: check the URL and the network")
            }
            _ => format!(
                "cannot reach NATS at {servers}: is nats-server running, and is the URL right?"
            ),
        };
        Error::Connect {
            reason,
            // The sentences above the first cause repeat it.
            source: Some(first_cause(error).to_string().into()),
        }
    }
}

impl fmt::Debug for NatsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsOptions")
            .field("servers", &self.servers())
            .field("user", &self.user.as_ref().map(|(user, _)| user))
            .field("require_tls", &self.require_tls)
            .finish_non_exhaustive()
    }
}

/// The cause beneath all others.
fn first_cause(error: &dyn std::error::Error) -> &dyn std::error::Error {
    std::iter::successors(Some(error), |error| error.source())
        .last()
        .unwrap_or(error)
}

/// The pause before an attempt to connect again: short at first, and never long.
fn pause(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(1).min(8)).unwrap_or(8);
    Duration::from_millis(50)
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE)
}

/// A URL without the user, password or token in it.
pub fn without_secrets(url: &str) -> String {
    if let Ok(mut parsed) = Url::parse(url)
        && (!parsed.username().is_empty() || parsed.password().is_some())
    {
        // Both fail only for URLs that cannot have them.
        let _ = parsed.set_username("");
        let _ = parsed.set_password(None);
        return parsed.to_string();
    }
    match url.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => url.to_owned(),
    }
}

/// A connection to NATS, and what happens to it.
pub struct Link {
    /// The connection.
    pub client: Client,
    /// What happens to it.
    pub events: mpsc::Receiver<LinkEvent>,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("state", &self.client.connection_state())
            .finish_non_exhaustive()
    }
}

/// What happens to a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LinkEvent {
    /// It was made, or made again.
    Connected,
    /// It broke, and is being made again.
    Disconnected,
    /// Messages of a subscription were dropped, for its reader was too slow.
    SlowConsumer,
    /// It has ended.
    Closed,
    /// The server, or the client, reports an error.
    Trouble(Arc<str>),
}

impl LinkEvent {
    fn of(event: Event) -> Option<Self> {
        Some(match event {
            Event::Connected => Self::Connected,
            Event::Disconnected => Self::Disconnected,
            Event::SlowConsumer(_) => Self::SlowConsumer,
            Event::Closed => Self::Closed,
            Event::ServerError(error) => Self::Trouble(error.to_string().into()),
            Event::ClientError(error) => Self::Trouble(error.to_string().into()),
            Event::LameDuckMode | Event::Draining => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let options = NatsOptions::new("nats://bob:hush@one:4222, nats://hush@two:4222,three:4222")
            .user_and_password("alice", "hush")
            .token("hush")
            .nkey("hush");
        assert!(!format!("{options:?}").contains("hush"));
        assert_eq!(
            options.servers(),
            "nats://one:4222, nats://two:4222, three:4222"
        );
        assert_eq!(without_secrets("bob:hush@one:4222"), "one:4222");
    }

    #[test]
    fn the_pause_grows_and_stays_short() {
        assert_eq!(pause(1), Duration::from_millis(50));
        assert_eq!(pause(3), Duration::from_millis(200));
        assert_eq!(pause(1000), LONGEST_PAUSE);
    }

    #[tokio::test]
    async fn where_nobody_listens_the_error_says_what_to_do() {
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let error = NatsOptions::new(&format!("nats://bob:hush@{closed}"))
            .connect("test")
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "cannot reach NATS at nats://{closed}: is nats-server running, and is the URL right?"
            )
        );
        let error = NatsOptions::new("nats://:x:y")
            .connect("test")
            .await
            .unwrap_err();
        assert!(error.to_string().contains("is no NATS URL"), "{error}");
    }
}
