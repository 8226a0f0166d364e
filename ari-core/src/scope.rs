//! Scopes: who owns the subscriptions, and what ends with whom.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use futures::future::{Either, select};
use tokio_util::sync::CancellationToken;

use crate::{
    client::{AriClient, Gathered, interrupted},
    entity::Metadata,
    error::{Error, Result},
    request::{Request, Response},
    router::{FeedWait, ScopeId},
};

/// What the clones of one [`Ari`](crate::Ari) own together.
pub(crate) struct Scope {
    client: Arc<dyn AriClient>,
    id: ScopeId,
    token: CancellationToken,
    parent: bool,
}

impl Scope {
    /// The scope of a whole connection.
    pub(crate) fn root(client: Arc<dyn AriClient>) -> Arc<Self> {
        Self::open(client, None, None)
    }

    /// A scope below this one, of a dialog or not.
    pub(crate) fn child(&self, dialog: Option<Arc<str>>) -> Arc<Self> {
        Self::open(Arc::clone(&self.client), Some(self.id), dialog)
    }

    fn open(
        client: Arc<dyn AriClient>,
        parent: Option<ScopeId>,
        dialog: Option<Arc<str>>,
    ) -> Arc<Self> {
        let (id, token) = client
            .router()
            .open_scope(parent, dialog)
            .unwrap_or_else(|| {
                // Below a closed scope there is nothing to open: the new one is closed as well.
                let token = CancellationToken::new();
                token.cancel();
                (0, token)
            });
        Arc::new(Self {
            client,
            id,
            token,
            parent: parent.is_some(),
        })
    }

    pub(crate) fn client(&self) -> &Arc<dyn AriClient> {
        &self.client
    }

    pub(crate) const fn id(&self) -> ScopeId {
        self.id
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Ends the scope: its streams, its waits, its calls and its children.
    pub(crate) fn end(&self) {
        self.token.cancel();
        for dialog in self.client.router().end_scope(self.id) {
            self.client.release_dialog(&dialog);
        }
    }

    /// Ends the scope, and with the root the connection.
    pub(crate) async fn close(&self) -> Result<()> {
        self.end();
        if self.parent {
            Ok(())
        } else {
            self.client.close().await
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.end();
        if !self.parent {
            self.client.abandon();
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope")
            .field("id", &self.id)
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// The way of handles, builders and streams to their client: they hold its scope weakly.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    scope: Weak<Scope>,
    target: Metadata,
}

impl Through {
    pub(crate) fn new(scope: &Arc<Scope>, target: Metadata) -> Self {
        Self {
            scope: Arc::downgrade(scope),
            target,
        }
    }

    /// Application, Asterisk and dialog that requests made this way are for.
    pub(crate) const fn target(&self) -> &Metadata {
        &self.target
    }

    /// The same way, to where an entity is.
    pub(crate) fn narrowed(&self, metadata: &Metadata) -> Self {
        Self {
            scope: Weak::clone(&self.scope),
            target: metadata.clone().or(&self.target),
        }
    }

    pub(crate) fn scope(&self) -> Result<Arc<Scope>> {
        self.scope
            .upgrade()
            .filter(|scope| !scope.is_closed())
            .ok_or(Error::Closed)
    }

    pub(crate) async fn call(&self, request: Request) -> Result<Response> {
        let (client, token) = self.open()?;
        let operation = request.operation;
        let deletes = request.deletes().map(|(kind, id)| {
            let asterisk_id = request.target.asterisk_id.clone();
            (kind, id.into_owned(), asterisk_id)
        });
        let answer = until_closed(&token, client.call(request))
            .await
            .unwrap_or_else(|| Err(interrupted(operation)));
        if let (Some((kind, id, asterisk_id)), Ok(answer)) = (deletes, &answer)
            && (answer.is_success() || answer.status == 404)
        {
            client.router().deleted(kind, &id, asterisk_id.as_deref());
        }
        answer
    }

    pub(crate) async fn gather(&self, request: Request) -> Result<Gathered<Response>> {
        let (client, token) = self.open()?;
        let operation = request.operation;
        until_closed(&token, client.gather(request))
            .await
            .unwrap_or_else(|| Err(interrupted(operation)))
    }

    /// Waits until a feed is ready, or the scope is closed.
    pub(crate) async fn ready(&self, feed: FeedWait) -> Result<()> {
        let (client, token) = self.open()?;
        // The wait must not keep the connection.
        drop(client);
        until_closed(&token, std::pin::pin!(feed.ready()))
            .await
            .unwrap_or(Err(Error::Closed))
    }

    /// The client, without keeping its scope alive while a request runs.
    pub(crate) fn open(&self) -> Result<(Arc<dyn AriClient>, CancellationToken)> {
        let scope = self.scope()?;
        Ok((Arc::clone(&scope.client), scope.token.clone()))
    }
}

/// Waits for a result; `None`: the scope was closed before.
pub(crate) async fn until_closed<T>(
    token: &CancellationToken,
    work: impl Future<Output = T> + Unpin,
) -> Option<T> {
    let closed = std::pin::pin!(token.cancelled());
    match select(work, closed).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(((), _)) => None,
    }
}
