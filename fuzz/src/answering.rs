//! A client whose every request is answered with the same bytes.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use ari_core::{
    Ari, AriClient, ConnectionState, Gathered, Metadata, Request, Response, Result,
    local::LocalEvents,
    router::{Feed, Router},
};
use futures::{FutureExt, future::BoxFuture};

pub(crate) struct Answering {
    status: u16,
    body: Vec<u8>,
    events: LocalEvents,
}

impl Answering {
    /// What asks it.
    pub(crate) fn with(status: u16, body: &[u8]) -> Ari {
        Ari::new(Arc::new(Self {
            status,
            body: body.to_vec(),
            events: LocalEvents::new(),
        }))
    }

    fn answer(&self, request: &Request) -> Result<Response> {
        let bound = self.events.bind(request);
        let answer = Response::new(self.status, "Reason", self.body.clone());
        let answer = Ok(answer.from_source(self.identity()));
        self.events.settle(bound, &answer);
        answer
    }
}

impl fmt::Debug for Answering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

impl AriClient for Answering {
    fn identity(&self) -> Metadata {
        Metadata {
            application: Some("a".into()),
            asterisk_id: Some("02:00:00:00:00:01".into()),
            dialog: None,
        }
    }

    fn state(&self) -> ConnectionState {
        ConnectionState::Connected
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        async move { self.answer(&request) }.boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        async move { Ok(Gathered::new(vec![self.answer(&request)?], Vec::new())) }.boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        LocalEvents::feed(target)
    }

    fn router(&self) -> &Router {
        self.events.router()
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        pending().boxed()
    }

    fn release_dialog(&self, dialog: &str) {
        self.events.release(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.abandon();
        async { Ok(()) }.boxed()
    }

    fn abandon(&self) {
        self.events.router().close();
    }
}
