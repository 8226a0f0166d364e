//! Which operations were accepted and refused on a transport, noted as they pass.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use ari_core::{
    AriClient, ConnectionState, Error, Gathered, Metadata, Request, Response, Result,
    router::{Feed, Router},
};
use futures::{FutureExt, future::BoxFuture};

/// How an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Went {
    /// It was carried out.
    Accepted,
    /// It was refused with a status.
    Refused,
}

/// What was seen: operation, as in `POST /channels`, and how it went.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<BTreeSet<(String, Went)>>>);

impl Seen {
    /// Whether an operation was seen to go like this.
    pub fn has(&self, operation: &str, went: Went) -> bool {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&(operation.to_owned(), went))
    }

    fn note(&self, operation: String, status: u16) {
        let went = if status < 300 {
            Went::Accepted
        } else {
            Went::Refused
        };
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((operation, went));
    }
}

/// A transport that notes what passes through it.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) inner: Arc<dyn AriClient>,
    pub(crate) seen: Seen,
}

impl AriClient for Recorder {
    fn identity(&self) -> Metadata {
        self.inner.identity()
    }

    fn state(&self) -> ConnectionState {
        self.inner.state()
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        async {
            let operation = request.operation.to_string();
            let answer = self.inner.call(request).await;
            match &answer {
                Ok(response) => self.seen.note(operation, response.status),
                Err(Error::Refused(refusal)) => self.seen.note(operation, refusal.status),
                Err(_) => {}
            }
            answer
        }
        .boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        async {
            let operation = request.operation.to_string();
            let answers = self.inner.gather(request).await?;
            for answer in &answers.items {
                self.seen.note(operation.clone(), answer.status);
            }
            Ok(answers)
        }
        .boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        self.inner.feed(target)
    }

    fn router(&self) -> &Router {
        self.inner.router()
    }

    fn place(&self, request: &mut Request) {
        self.inner.place(request);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.inner.sleep(duration)
    }

    fn private_dialog(&self, id: &str) -> String {
        self.inner.private_dialog(id)
    }

    fn release_dialog(&self, dialog: &str) {
        self.inner.release_dialog(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.inner.close()
    }

    fn abandon(&self) {
        self.inner.abandon();
    }
}
