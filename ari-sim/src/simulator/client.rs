//! The client in process.

use std::{fmt, sync::Arc, time::Duration};

use ari_core::{
    AriClient, ConnectionState, Error, Gathered, Metadata, Request, Response, Result,
    local::LocalEvents,
    not_sent,
    router::{Feed, Router},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{faults::Fault, runtime::Runtime, session::Sink};
use crate::world::SessionId;

/// How long an answer is waited for unless the request says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    runtime: Arc<Runtime>,
    session: SessionId,
    identity: Metadata,
    events: Arc<LocalEvents>,
    closed: CancellationToken,
}

impl Client {
    pub(crate) fn connect(runtime: &Arc<Runtime>, application: &str, subscribe_all: bool) -> Self {
        let events = Arc::new(LocalEvents::new());
        let sink = Sink::Local(Arc::clone(&events));
        let session = runtime.open_session(sink, &[application.to_owned()], subscribe_all);
        let identity = Metadata {
            application: Some(application.into()),
            asterisk_id: Some(runtime.asterisk_id().into()),
            dialog: None,
        };
        Self {
            runtime: Arc::clone(runtime),
            session,
            identity,
            events,
            closed: CancellationToken::new(),
        }
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        if self.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        if self.runtime.stopped.is_cancelled() {
            return Err(not_sent(request, "the simulator has stopped", None));
        }
        if let (Some(wanted), Some(here)) =
            (&request.target.asterisk_id, &self.identity.asterisk_id)
            && wanted != here
        {
            let subject = format!("Asterisk {wanted}, since this client is connected to {here}");
            return Err(Error::NobodyThere { subject });
        }
        // What cannot be written as HTTP is refused here as on the other transports.
        request.to_http()?;
        let limit = request.timeout.unwrap_or(DEFAULT_TIMEOUT);
        self.events.bind(request);
        let answer = timeout(limit, self.answer(request));
        let answer = self
            .closed
            .run_until_cancelled(answer)
            .await
            .ok_or(Error::Closed)?;
        let response = answer.map_err(|_| Error::TimedOut {
            operation: request.operation.to_string(),
            after: limit,
        })?;
        let application = request.target.application.clone();
        let source = Metadata {
            application,
            ..Metadata::default()
        }
        .or(&self.identity);
        Ok(response.from_source(source))
    }

    async fn answer(&self, request: &Request) -> Response {
        let fault = self.runtime.faults.take();
        if let Some(Fault::Status(status)) = fault {
            return Response::new(
                status,
                "Simulated Fault",
                r#"{"message":"Simulated fault"}"#,
            );
        }
        let response = self.runtime.perform(request).await;
        self.runtime.faults.flowing().await;
        match fault {
            Some(Fault::Garbage) => Response::new(200, "OK", "{garbage"),
            Some(Fault::Reset) => std::future::pending().await,
            _ => response,
        }
    }

    fn leave(&self) {
        if !self.closed.is_cancelled() {
            self.closed.cancel();
            self.runtime.close_session(self.session);
            self.events.router().close();
        }
    }
}

impl AriClient for Client {
    fn identity(&self) -> Metadata {
        self.identity.clone()
    }

    fn state(&self) -> ConnectionState {
        if self.closed.is_cancelled() || self.runtime.stopped.is_cancelled() {
            ConnectionState::Closed
        } else {
            ConnectionState::Connected
        }
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        async move { self.send(&request).await }.boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        async move { Ok(Gathered::new(vec![self.send(&request).await?], Vec::new())) }.boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        LocalEvents::feed(target)
    }

    fn router(&self) -> &Router {
        self.events.router()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Made when it is polled: only then there must be a runtime.
        async move { tokio::time::sleep(duration).await }.boxed()
    }

    fn release_dialog(&self, dialog: &str) {
        self.events.release(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async move {
            self.leave();
            Ok(())
        }
        .boxed()
    }

    fn abandon(&self) {
        self.leave();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}
