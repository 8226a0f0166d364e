//! The client in process.

use std::{fmt, sync::Arc, time::Duration};

use ari_core::{
    AriClient, ConnectionState, Error, Gathered, Metadata, Request, Response, Result, Version,
    interrupted,
    local::LocalEvents,
    not_sent,
    router::{Feed, Router},
};
use futures::{FutureExt, future::BoxFuture};
use tokio::time::timeout;

use super::{
    faults::{Outcome, Reach},
    runtime::Runtime,
    session::LocalLink,
};

/// How long an answer is waited for unless the request says otherwise.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) struct Client {
    runtime: Arc<Runtime>,
    link: Arc<LocalLink>,
    version: Option<Version>,
}

impl Client {
    pub(crate) fn connect(runtime: &Arc<Runtime>, application: &str, subscribe_all: bool) -> Self {
        let link = Arc::new(LocalLink::new(application, subscribe_all));
        runtime.join(&link);
        Self {
            runtime: Arc::clone(runtime),
            link,
            version: runtime.version(),
        }
    }

    async fn send(&self, request: &Request) -> Result<Response> {
        if self.link.closed.is_cancelled() {
            return Err(Error::Closed);
        }
        if self.runtime.stopped.is_cancelled() {
            return Err(not_sent(request, "the simulator has stopped", None));
        }
        let identity = self.identity();
        if let (Some(wanted), Some(here)) = (&request.target.asterisk_id, &identity.asterisk_id)
            && wanted != here
        {
            let subject = format!("Asterisk {wanted}, since this client is connected to {here}");
            return Err(Error::NobodyThere { subject });
        }
        if let Some(version) = self.version {
            version.check(request)?;
        }
        // What cannot be written as HTTP is refused here as on the other transports.
        request.to_http()?;
        if *self.runtime.reach().borrow() == Reach::Down {
            let reason = "the simulated Asterisk refuses connections";
            return Err(not_sent(request, reason, None));
        }
        let bound = self.link.events.bind(request);
        let answer = self.answer_in_time(request).await;
        self.link.events.settle(bound, &answer);
        let response = answer?;
        let application = request.target.application.clone();
        let source = Metadata {
            application,
            ..Metadata::default()
        }
        .or(&identity);
        Ok(response.from_source(source))
    }

    async fn answer_in_time(&self, request: &Request) -> Result<Response> {
        let limit = request.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let answer = timeout(limit, self.answer(request));
        let answer = self
            .link
            .closed
            .run_until_cancelled(answer)
            .await
            .ok_or_else(|| interrupted(request.operation))?;
        answer.map_err(|_| Error::TimedOut {
            operation: request.operation.to_string(),
            after: limit,
        })?
    }

    async fn answer(&self, request: &Request) -> Result<Response> {
        let unknown = |reason: &str| Error::OutcomeUnknown {
            operation: request.operation.to_string(),
            reason: reason.to_owned(),
            source: None,
        };
        let reset = || unknown("the simulated Asterisk reset the connection");
        if !self.link.valve.readable().await {
            return Err(reset());
        }
        let response = match self.runtime.face(request).await {
            Outcome::Answer(response) => response,
            Outcome::BreaksOff(_) => {
                return Err(unknown("the answer of the simulated Asterisk breaks off"));
            }
            Outcome::Reset => return Err(reset()),
            Outcome::Ended => return Err(unknown("the simulated Asterisk ended meanwhile")),
        };
        if self.link.valve.writable().await {
            Ok(response)
        } else {
            Err(reset())
        }
    }

    fn leave(&self) {
        if !self.link.closed.is_cancelled() {
            self.runtime.leave(&self.link);
            self.link.events.router().close();
        }
    }
}

impl AriClient for Client {
    fn identity(&self) -> Metadata {
        Metadata {
            application: Some(self.link.application.as_str().into()),
            asterisk_id: self.link.asterisk_id(),
            dialog: None,
        }
    }

    fn state(&self) -> ConnectionState {
        if self.runtime.stopped.is_cancelled() {
            ConnectionState::Closed
        } else {
            self.link.state()
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
        self.link.events.router()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Made when it is polled: only then there must be a runtime.
        async move { tokio::time::sleep(duration).await }.boxed()
    }

    fn release_dialog(&self, dialog: &str) {
        self.link.events.release(dialog);
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
            .field("identity", &self.identity())
            .finish_non_exhaustive()
    }
}
