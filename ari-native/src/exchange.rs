//! One request over HTTP and its answer.

use ari_core::{HttpRequest, Method};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST, InvalidHeaderValue, USER_AGENT},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Body, Incoming},
    ext::ReasonPhrase,
};
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::{
    address::HttpAddress,
    error::{Failure, NotSent},
    pool::{Lease, Pool, Wish},
};

const AGENT: &str = concat!("ari-native/", env!("CARGO_PKG_VERSION"));

/// ARI over HTTP.
pub(crate) struct Http {
    /// Path before those of the operations.
    prefix: String,
    /// Those of every request.
    headers: HeaderMap,
    pool: Pool,
    max_answer: usize,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) reason: String,
    pub(crate) body: Bytes,
}

/// Why one attempt failed.
enum Attempt {
    /// The request did not go out.
    Unsent(hyper::Error),
    Failed(Failure),
}

/// How far a request has come.
#[derive(Default)]
struct Progress {
    /// It is on a connection.
    out: bool,
    /// What became of a first attempt that went out: the second one not going out does not undo it.
    first: Option<Failure>,
}

impl Progress {
    /// It cannot be sent, or not again.
    fn unsent(&mut self, reason: NotSent) -> Failure {
        self.first.take().unwrap_or_else(|| reason.into())
    }

    /// Its time is up.
    fn late(&mut self) -> Failure {
        if self.out {
            Failure::TimedOut
        } else {
            self.unsent(NotSent::Late)
        }
    }
}

impl Http {
    pub(crate) fn new(
        address: &HttpAddress,
        authorization: HeaderValue,
        pool: Pool,
        max_answer: usize,
    ) -> Result<Self, InvalidHeaderValue> {
        let host = HeaderValue::try_from(address.peer.to_string())?;
        let headers = [
            (HOST, host),
            (AUTHORIZATION, authorization),
            (USER_AGENT, HeaderValue::from_static(AGENT)),
        ];
        Ok(Self {
            prefix: address.path.clone(),
            headers: headers.into_iter().collect(),
            pool,
            max_answer,
        })
    }

    pub(crate) const fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Sends a request and reads the whole answer.
    ///
    /// Only a `GET` is sent again, once, when its connection broke; every other request is sent at most
    /// once. An urgent one does not wait for its turn.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection; the operation may still run.
    pub(crate) async fn exchange(
        &self,
        request: &HttpRequest,
        urgent: bool,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let mut progress = Progress::default();
        let in_time = {
            // Large: what waits for it must not be as large all the way up.
            let attempts = Box::pin(self.attempts(request, urgent, &mut progress));
            timeout_at(deadline, attempts).await
        };
        in_time.unwrap_or_else(|_| Err(progress.late()))
    }

    async fn attempts(
        &self,
        request: &HttpRequest,
        urgent: bool,
        progress: &mut Progress,
    ) -> Result<Answer, Failure> {
        let mut may_repeat = request.method == Method::Get;
        let mut fresh = false;
        loop {
            progress.out = false;
            let lease = match self.pool.lease(Wish { fresh, urgent }).await {
                Ok(lease) => lease,
                Err(unsent) => return Err(progress.unsent(unsent)),
            };
            let reused = lease.reused;
            let request = self.request(request).map_err(NotSent::Invalid)?;
            progress.out = true;
            match self.attempt(lease, request).await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Unsent(_)) if reused => fresh = true,
                Err(Attempt::Unsent(error)) => return Err(progress.unsent(NotSent::Dropped(error))),
                Err(Attempt::Failed(Failure::Broken { error, came }))
                    if may_repeat && !error.is_parse() && !self.pool.is_closed() =>
                {
                    Span::current().record("attempt", 2);
                    tracing::warn!(%error, "the connection broke, and the GET is sent again");
                    (may_repeat, fresh) = (false, true);
                    progress.first = Some(Failure::Broken { error, came });
                }
                Err(Attempt::Failed(failure)) => return Err(failure),
            }
        }
    }

    fn request(&self, request: &HttpRequest) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut built = Request::new(Full::new(request.body.clone().unwrap_or_default()));
        *built.method_mut() = request.method.as_str().try_into()?;
        *built.uri_mut() = [&*self.prefix, &*request.target].concat().try_into()?;
        built.headers_mut().clone_from(&self.headers);
        if request.body.is_some() {
            let json = HeaderValue::from_static("application/json");
            built.headers_mut().insert(CONTENT_TYPE, json);
        }
        Ok(built)
    }

    async fn attempt(
        &self,
        mut lease: Lease<'_>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Attempt> {
        let response = match lease.sender().try_send_request(request).await {
            Ok(response) => response,
            Err(error) if error.message().is_some() => {
                return Err(Attempt::Unsent(error.into_error()));
            }
            Err(error) => return Err(broken(error.into_error(), &lease)),
        };
        let status = response.status();
        let reason = response.extensions().get::<ReasonPhrase>().map_or_else(
            || status.canonical_reason().unwrap_or_default().to_owned(),
            |reason| String::from_utf8_lossy(reason.as_bytes()).into_owned(),
        );
        let body = self.read(response.into_body(), &lease).await?;
        lease.give_back();
        Ok(Answer {
            status: status.as_u16(),
            reason,
            body,
        })
    }

    /// Reads the body of an answer, and no more of it than the limit.
    async fn read(&self, mut body: Incoming, lease: &Lease<'_>) -> Result<Bytes, Attempt> {
        let mut parts = Vec::new();
        let mut length = 0;
        let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
        while announced <= self.max_answer
            && let Some(frame) = body.frame().await
        {
            let frame = frame.map_err(|error| broken(error, lease))?;
            let Ok(part) = frame.into_data() else {
                continue;
            };
            length += part.len();
            parts.push(part);
            if length > self.max_answer {
                break;
            }
        }
        if announced.max(length) > self.max_answer {
            return Err(Attempt::Failed(Failure::TooLong {
                limit: self.max_answer,
                came: lease.came(),
            }));
        }
        Ok(match parts.len() {
            1 => parts.remove(0),
            _ => parts.concat().into(),
        })
    }
}

fn broken(error: hyper::Error, lease: &Lease<'_>) -> Attempt {
    let came = lease.came();
    Attempt::Failed(Failure::Broken { error, came })
}
