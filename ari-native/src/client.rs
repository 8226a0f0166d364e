//! The transport.

use std::{fmt, sync::Arc, time::Duration};

use ari_core::{
    AriClient, ConnectionState, Gathered, Metadata, Request, Response, Result,
    local::LocalEvents,
    router::{Feed, Router},
};
use futures::{FutureExt, future::BoxFuture};
use tracing::{Instrument, field::Empty};

use crate::{link::Link, meter::Measured};

/// The one owner of a link: its drop ends the link's tasks.
pub(crate) struct Client {
    link: Arc<Link>,
}

impl Client {
    pub(crate) fn new(link: Link) -> Self {
        Self {
            link: Arc::new(link),
        }
    }

    pub(crate) const fn link(&self) -> &Arc<Link> {
        &self.link
    }
}

impl AriClient for Client {
    fn identity(&self) -> Metadata {
        self.link.identity()
    }

    fn state(&self) -> ConnectionState {
        self.link.state()
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        let operation = request.operation;
        let span = tracing::info_span!(
            "ari.call",
            op = operation.name,
            method = operation.method.as_str(),
            path = operation.path,
            attempt = Empty,
            status = Empty,
        );
        let recorded = span.clone();
        let call = async move {
            let measured = Measured::begin(&self.link.calls, operation);
            let answer = self.link.call(&request).await;
            measured.end(&answer);
            match &answer {
                Ok(response) => {
                    recorded.record("status", response.status);
                }
                Err(error) => tracing::debug!(%error, "no answer"),
            }
            answer
        };
        call.instrument(span).boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        let answer = self.call(request);
        async move { Ok(Gathered::new(vec![answer.await?], Vec::new())) }.boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        LocalEvents::feed(target)
    }

    fn router(&self) -> &Router {
        self.link.events.router()
    }

    fn place(&self, request: &mut Request) {
        request.target = std::mem::take(&mut request.target).or(&self.link.place());
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // Made when it is polled: only then there must be a runtime.
        async move { tokio::time::sleep(duration).await }.boxed()
    }

    fn release_dialog(&self, dialog: &str) {
        self.link.events.release(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.link.close().boxed()
    }

    fn abandon(&self) {
        self.link.abandon();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.link.abandon();
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("asterisk", &self.link.peer().to_string())
            .field("identity", &self.identity())
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
