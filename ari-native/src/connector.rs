//! The seam between the protocols and the network.

use std::{fmt, io, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::address::Peer;

/// A stream of bytes in both directions.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(crate) type BoxIo = Box<dyn Io>;

/// A way to reach a peer; TLS is put on top of it.
pub(crate) trait Connector: Send + Sync + 'static {
    fn connect(&self, peer: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>>;
}

/// Why there is no connection; nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("its host name cannot be resolved")]
    Resolve(#[source] io::Error),
    #[error("nobody listens there")]
    Refused(#[source] io::Error),
    #[error("it cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("no TLS connection can be made")]
    Tls(#[source] io::Error),
}

/// Connects over TCP.
#[derive(Debug)]
pub(crate) struct Tcp;

impl Connector for Tcp {
    fn connect(&self, peer: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        let (host, port) = (peer.host.clone(), peer.port);
        async move {
            let addresses: Vec<_> = lookup_host((host, port))
                .await
                .map_err(DialError::Resolve)?
                .collect();
            let stream =
                TcpStream::connect(&*addresses)
                    .await
                    .map_err(|error| match error.kind() {
                        io::ErrorKind::ConnectionRefused => DialError::Refused(error),
                        _ => DialError::Unreachable(error),
                    })?;
            stream.set_nodelay(true).map_err(DialError::Unreachable)?;
            Ok(Box::new(stream) as BoxIo)
        }
        .boxed()
    }
}

/// Makes connections, with TLS where the peer asks for it.
#[derive(Clone)]
pub(crate) struct Dialer {
    connector: Arc<dyn Connector>,
    tls: Option<TlsConnector>,
}

impl Dialer {
    pub(crate) const fn new(connector: Arc<dyn Connector>, tls: Option<TlsConnector>) -> Self {
        Self { connector, tls }
    }

    /// Connects.
    ///
    /// # Cancel safety
    /// Dropping the future drops the connection.
    pub(crate) async fn dial(&self, peer: &Peer) -> Result<BoxIo, DialError> {
        let io = self.connector.connect(peer).await?;
        if !peer.tls {
            return Ok(io);
        }
        let no_tls = || DialError::Tls(io::Error::other("there is no TLS configuration"));
        let tls = self.tls.as_ref().ok_or_else(no_tls)?;
        let name = ServerName::try_from(peer.host.clone())
            .map_err(|error| DialError::Tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = tls.connect(name, io).await.map_err(DialError::Tls)?;
        Ok(Box::new(stream))
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("tls", &self.tls.is_some())
            .finish_non_exhaustive()
    }
}
