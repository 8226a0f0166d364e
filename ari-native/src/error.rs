//! What went wrong below, and which error of ari-core it is.

use std::{error::Error as StdError, io, time::Duration};

use ari_core::{Error, OperationSpec, Source};
use rustls::AlertDescription;

use crate::{address::Peer, connector::DialError, frame::MAX_TEXT};

/// Why a request did not leave.
#[derive(Debug)]
pub(crate) enum NotSent {
    /// There is no connection.
    Dial(DialError),
    /// The connection ended before the request was on it.
    Dropped(hyper::Error),
    /// No connection could be had in time.
    Late,
    /// It is no HTTP request.
    Invalid(http::Error),
    /// There is no WebSocket that it could go over.
    NoSocket,
    /// Requests before it were not answered in time.
    LateTurn,
    /// So many requests wait already.
    Crowded(usize),
    /// As a frame it has so many bytes.
    TooLarge(usize),
    /// The client is closed.
    Closed,
}

impl From<DialError> for NotSent {
    fn from(error: DialError) -> Self {
        Self::Dial(error)
    }
}

/// Why a request has no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    NotSent(NotSent),
    /// The connection broke, or what came is not HTTP.
    Broken {
        error: hyper::Error,
        /// How what came began.
        came: Option<String>,
    },
    /// The WebSocket that it went over was lost.
    SocketLost,
    /// The answer, which begins like this, cannot be understood.
    Garbled(String),
    /// No answer in time.
    TimedOut,
    /// The answer is longer than the limit.
    TooLong {
        limit: usize,
        came: Option<String>,
    },
}

impl From<NotSent> for Failure {
    fn from(reason: NotSent) -> Self {
        Self::NotSent(reason)
    }
}

impl Failure {
    /// What it means for a call.
    pub(crate) fn into_error(
        self,
        operation: &OperationSpec,
        peer: &Peer,
        timeout: Duration,
    ) -> Error {
        let operation = operation.to_string();
        let not_sent = |operation, reason, source| Error::NotSent {
            operation,
            reason,
            source,
        };
        match self {
            Self::NotSent(NotSent::Closed) => Error::Closed,
            Self::NotSent(NotSent::Dial(error)) => {
                let reason = format!("no connection to Asterisk at {peer}: {error}");
                not_sent(operation, reason, Some(error.into()))
            }
            Self::NotSent(NotSent::Dropped(error)) => {
                let reason = format!("Asterisk at {peer} closed the connection at once");
                not_sent(operation, reason, Some(error.into()))
            }
            Self::NotSent(NotSent::Late) => {
                let reason =
                    format!("no connection to Asterisk at {peer} could be had within {timeout:?}");
                not_sent(operation, reason, None)
            }
            Self::NotSent(NotSent::Invalid(error)) => {
                Error::InvalidRequest(format!("{operation} cannot be sent over HTTP: {error}"))
            }
            Self::NotSent(NotSent::NoSocket) => {
                let reason = format!("there is no WebSocket to Asterisk at {peer} at present");
                not_sent(operation, reason, None)
            }
            Self::NotSent(NotSent::LateTurn) => {
                let reason = format!(
                    "its turn on the WebSocket to Asterisk at {peer} did not come within {timeout:?}"
                );
                not_sent(operation, reason, None)
            }
            Self::NotSent(NotSent::Crowded(waiting)) => {
                let reason = format!(
                    "{waiting} requests wait for the WebSocket to Asterisk at {peer} already"
                );
                not_sent(operation, reason, None)
            }
            Self::NotSent(NotSent::TooLarge(length)) => Error::InvalidRequest(format!(
                "{operation} has {length} bytes as a frame, and Asterisk takes {MAX_TEXT}"
            )),
            Self::SocketLost => Error::OutcomeUnknown {
                operation,
                reason: format!(
                    "the WebSocket to Asterisk at {peer} was lost before the answer came"
                ),
                source: None,
            },
            Self::Garbled(sample) => Error::Decode {
                what: format!("the answer to {operation}"),
                path: String::new(),
                sample,
                source: "it is no RESTResponse with a status and a body that is a string".into(),
            },
            Self::Broken { error, came } => {
                let mut reason = if error.is_parse() {
                    format!("what Asterisk at {peer} answered is not HTTP")
                } else {
                    format!(
                        "the connection to Asterisk at {peer} broke before the answer was complete"
                    )
                };
                if let Some(came) = came {
                    reason.push_str("; it began with: ");
                    reason.push_str(&came);
                }
                Error::OutcomeUnknown {
                    operation,
                    reason,
                    source: Some(error.into()),
                }
            }
            Self::TimedOut => Error::TimedOut {
                operation,
                after: timeout,
            },
            Self::TooLong { limit, came } => Error::Decode {
                what: format!("the answer to {operation}"),
                path: String::new(),
                sample: format!(
                    "it is longer than {limit} bytes{}",
                    came.map_or_else(String::new, |came| format!("; it began with: {came}"))
                ),
                source: "the limit on the length of an answer is exceeded".into(),
            },
        }
    }
}

/// Why an attempt to connect failed, in a sentence that says what to do.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) reason: String,
    pub(crate) source: Option<Source>,
    /// Whether another attempt can only fail the same way.
    pub(crate) lasting: bool,
}

impl Trouble {
    /// Something that may be over soon.
    pub(crate) fn passing(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
            lasting: false,
        }
    }

    /// Something that somebody has to change.
    pub(crate) fn lasting(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            source: None,
            lasting: true,
        }
    }

    pub(crate) fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Says in the log why there is no connection yet.
    pub(crate) fn warn(&self) {
        let cause = self.source.as_ref().map(ToString::to_string);
        tracing::warn!(reason = self.reason, cause, "not connected yet");
    }

    /// The other side ended TLS because of who this client is, or is not.
    fn client_certificate(peer: &Peer) -> Self {
        Self::lasting(format!(
            "what serves TLS at {peer} wants another client certificate: set one that it trusts as client \
             certificate"
        ))
    }

    /// A connection to a peer broke: this is said where it was because of the client's certificate.
    pub(crate) fn broken<E: StdError + Send + Sync + 'static>(
        peer: &Peer,
        error: E,
        otherwise: impl FnOnce() -> Self,
    ) -> Self {
        let trouble = if refuses_certificate(&error) {
            Self::client_certificate(peer)
        } else {
            otherwise()
        };
        trouble.because(error)
    }

    /// There is no connection to a peer.
    pub(crate) fn dial(peer: &Peer, error: DialError) -> Self {
        match error {
            DialError::Tls(error) if refuses_certificate(&error) => {
                Self::client_certificate(peer).because(error)
            }
            DialError::Resolve(error) => {
                let host = &peer.host;
                Self::passing(format!("the host name {host} cannot be resolved: is the URL of ARI right?")).because(error)
            }
            DialError::Refused(error) => Self::passing(format!(
                "nobody listens at {peer}: is Asterisk running, with enabled=yes and this address in http.conf?"
            ))
            .because(error),
            DialError::Unreachable(error) => Self::passing(format!(
                "Asterisk at {peer} cannot be reached: is the URL of ARI right, and does every firewall let it through?"
            ))
            .because(error),
            DialError::Tls(error) => {
                // A certificate that is refused stays so; a connection that ends within the handshake need not.
                let lasting = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
                let reason = format!(
                    "no TLS connection to {peer} can be made: is TLS served there, and is its certificate for this \
                     name and signed by an authority that this system knows or that was given as root certificate?"
                );
                Self { reason, source: Some(error.into()), lasting }
            }
        }
    }

    /// A request has no answer.
    pub(crate) fn failure(peer: &Peer, failure: Failure, timeout: Duration) -> Self {
        let not_ari = |came: Option<String>| {
            let said = came.map_or_else(String::new, |came| format!(" it said: {came}"));
            format!("what answers at {peer} is not ARI: is the URL right?{said}")
        };
        match failure {
            Failure::NotSent(NotSent::Dial(error)) => Self::dial(peer, error),
            Failure::NotSent(NotSent::Invalid(error)) => {
                Self::lasting("the URL of ARI cannot be used in an HTTP request").because(error)
            }
            Failure::NotSent(NotSent::Closed) => Self::lasting("the client is closed"),
            Failure::NotSent(
                NotSent::NoSocket | NotSent::LateTurn | NotSent::Crowded(_) | NotSent::TooLarge(_),
            )
            | Failure::SocketLost => Self::passing(format!(
                "the WebSocket of Asterisk at {peer} was lost at once: is its URL right?"
            )),
            Failure::Garbled(sample) => Self::lasting(not_ari(Some(sample))),
            Failure::NotSent(NotSent::Late) | Failure::TimedOut => Self::passing(format!(
                "no answer from {peer} within {timeout:?}: is Asterisk running there, and its HTTP server reachable?"
            )),
            Failure::NotSent(NotSent::Dropped(error)) | Failure::Broken { error, .. }
                if !error.is_parse() =>
            {
                Self::broken(peer, error, || {
                    Self::passing(format!(
                        "{peer} closes the connection without an answer: is it Asterisk's HTTP server, and not its port for TLS?"
                    ))
                })
            }
            Failure::NotSent(NotSent::Dropped(error)) => {
                Self::lasting(not_ari(None)).because(error)
            }
            Failure::Broken { error, came } => Self::lasting(not_ari(came)).because(error),
            Failure::TooLong { came, .. } => Self::lasting(not_ari(came)),
        }
    }
}

/// Whether TLS was ended with an alert about the certificate of this client.
fn refuses_certificate(error: &(dyn StdError + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let within = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .map(|within| -> &(dyn StdError + 'static) { within });
        // The source of an I/O error is that of what is within it, not what is within it.
        let error = within.unwrap_or(error);
        if let Some(rustls::Error::AlertReceived(alert)) = error.downcast_ref() {
            return matches!(
                alert,
                AlertDescription::CertificateRequired
                    | AlertDescription::NoCertificate
                    | AlertDescription::BadCertificate
                    | AlertDescription::UnsupportedCertificate
                    | AlertDescription::CertificateRevoked
                    | AlertDescription::CertificateExpired
                    | AlertDescription::CertificateUnknown
                    | AlertDescription::UnknownCA
                    | AlertDescription::AccessDenied
            );
        }
        cause = error.source();
    }
    false
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        Self::Connect {
            reason: trouble.reason,
            source: trouble.source,
        }
    }
}
