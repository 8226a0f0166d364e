//! A client over streams that a fuzz target has in its hands (feature `fuzzing`).

use std::{io, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::io::DuplexStream;

use crate::{
    Builder,
    address::Peer,
    connector::{BoxIo, Connector, DialError},
};

/// Has a client take its connections from a function instead of over TCP; without one, the connection is
/// refused.
pub fn over<F>(builder: Builder, connections: F) -> Builder
where
    F: Fn() -> Option<DuplexStream> + Send + Sync + 'static,
{
    builder.connector(Arc::new(Given(connections)))
}

struct Given<F>(F);

impl<F> Connector for Given<F>
where
    F: Fn() -> Option<DuplexStream> + Send + Sync + 'static,
{
    fn connect(&self, _: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        let connection = (self.0)()
            .map(|stream| Box::new(stream) as BoxIo)
            .ok_or_else(|| DialError::Refused(io::ErrorKind::ConnectionRefused.into()));
        async move { connection }.boxed()
    }
}
