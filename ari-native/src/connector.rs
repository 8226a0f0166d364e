//! The seam between the protocols and the network.

use std::{fmt, io, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::address::Peer;

/// How long an address has to itself before the next one is tried as well (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

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
            let connected = first_of(addresses, TcpStream::connect).await;
            let stream = connected.map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionRefused => DialError::Refused(error),
                _ => DialError::Unreachable(error),
            })?;
            stream.set_nodelay(true).map_err(DialError::Unreachable)?;
            Ok(Box::new(stream) as BoxIo)
        }
        .boxed()
    }
}

/// Connects to the addresses of a host, the next one when an attempt has failed or says nothing for a while: a
/// firewall that is silent about the first address must not hide the others. The first connection counts.
async fn first_of<A, C, F>(addresses: Vec<A>, connect: impl Fn(A) -> F) -> io::Result<C>
where
    F: Future<Output = io::Result<C>>,
{
    let mut error = io::Error::new(io::ErrorKind::NotFound, "the host name has no address");
    let mut attempts = FuturesUnordered::new();
    let mut rest = addresses.into_iter();
    loop {
        attempts.extend(rest.next().map(&connect));
        let finished = if rest.len() == 0 {
            attempts.next().await
        } else {
            match timeout(HEAD_START, attempts.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some(Ok(connection)) => return Ok(connection),
            Some(Err(failed)) => error = failed,
            None => return Err(error),
        }
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

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio::time::Instant;

    use super::*;

    /// Each says when it was tried; one of them takes the connection.
    async fn tried(addresses: &[&'static str]) -> io::Result<(&'static str, u128)> {
        let start = Instant::now();
        let connect = |address| async move {
            match address {
                "silent" => pending().await,
                "refuses" => Err(io::ErrorKind::ConnectionRefused.into()),
                _ => Ok((address, start.elapsed().as_millis())),
            }
        };
        first_of(addresses.to_vec(), connect).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_says_nothing_does_not_hide_the_next_one() {
        let silent = ["silent", "refuses", "silent", "takes"];
        assert_eq!(tried(&silent).await.unwrap(), ("takes", 500));
        let refusing = ["refuses", "takes", "never"];
        assert_eq!(tried(&refusing).await.unwrap(), ("takes", 0));
        let refused = tried(&["refuses", "refuses"]).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert!(tried(&[]).await.is_err());
    }
}
