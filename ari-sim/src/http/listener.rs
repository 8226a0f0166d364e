//! TCP connections that can be cut, held up and refused.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::simulator::{Link, LinkGuard, Links, Reach};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// How long it takes until an address is tried again that could not be listened on.
const RETRY: Duration = Duration::from_millis(20);

/// Listens for connections, each of which has a token that cuts it; refuses them while Asterisk is down.
pub(crate) struct CutListener {
    listener: Option<TcpListener>,
    address: SocketAddr,
    stopped: CancellationToken,
    links: Arc<Links>,
    reach: watch::Receiver<Reach>,
}

impl CutListener {
    pub(crate) fn new(
        listener: TcpListener,
        stopped: CancellationToken,
        links: Arc<Links>,
        reach: watch::Receiver<Reach>,
    ) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            listener: Some(listener),
            stopped,
            links,
            reach,
        })
    }

    /// Refuses connections until Asterisk can be reached, then listens again.
    async fn listen_again(&mut self) -> io::Result<TcpListener> {
        // A socket that is bound and does not listen keeps the port, and refuses.
        let socket = if self.address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        socket.set_reuseaddr(true)?;
        socket.bind(self.address)?;
        // The sender lives as long as the simulator, which stops this listener.
        let _ = self.reach.wait_for(|reach| *reach != Reach::Down).await;
        socket.listen(BACKLOG)
    }
}

impl Listener for CutListener {
    type Io = CutStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, address) = loop {
            let Some(listener) = &mut self.listener else {
                match self.listen_again().await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::warn!(%error, address = %self.address, "cannot listen again yet");
                        tokio::time::sleep(RETRY).await;
                    }
                }
                continue;
            };
            tokio::select! {
                biased;
                _ = self.reach.wait_for(|reach| *reach == Reach::Down) => self.listener = None,
                accepted = Listener::accept(listener) => break accepted,
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps its delay");
        }
        let guard = self.links.add(self.stopped.child_token());
        (CutStream::new(stream, guard), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

/// What a handler knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) link: Arc<Link>,
}

impl Connected<IncomingStream<'_, CutListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, CutListener>) -> Self {
        Self {
            link: Arc::clone(stream.io().guard.link()),
        }
    }
}

/// A stream of bytes whose end may be told as a reset.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin {
    /// Has its end told as a reset.
    fn reset(&self) -> io::Result<()>;
}

impl Wire for TcpStream {
    fn reset(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

/// A connection that ends in an error once it is cut.
pub(crate) struct CutStream<S = TcpStream> {
    stream: S,
    guard: LinkGuard,
    cutting: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl<S: Wire> CutStream<S> {
    pub(crate) fn new(stream: S, guard: LinkGuard) -> Self {
        let cutting = Box::pin(guard.link().cut.clone().cancelled_owned());
        Self {
            stream,
            guard,
            cutting,
        }
    }

    fn poll_cut(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.cutting.as_mut().poll(context) {
            Poll::Ready(()) => {
                if self.guard.link().valve.is_reset()
                    && let Err(error) = self.stream.reset()
                {
                    tracing::debug!(%error, "a connection ends without a reset");
                }
                Err(io::ErrorKind::ConnectionReset.into())
            }
            Poll::Pending => Ok(()),
        }
    }

    pub(super) const fn link(&self) -> &Arc<Link> {
        self.guard.link()
    }

    fn is_dead(&self) -> bool {
        self.guard.link().valve.is_dead()
    }

    /// Passes over what comes until the other side ends the connection.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut bytes = [0; 1_024];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
            }
        }
    }
}

impl<S: Wire> AsyncRead for CutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        match self.guard.link().valve.poll_readable(context) {
            Poll::Ready(()) => Pin::new(&mut self.stream).poll_read(context, buffer),
            // Asterisk believes in the application of a dead socket; other connections that the client
            // has given up are not kept until the fault ends.
            Poll::Pending if self.is_dead() && !self.link().is_socket() => self.poll_end(context),
            Poll::Pending => Poll::Pending,
        }
    }
}

// On a dead connection what is written is gone, and nobody hears of it.
impl<S: Wire> AsyncWrite for CutStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        if self.is_dead() {
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_cut(context)?;
        if self.is_dead() {
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_cut(context)?;
        if self.is_dead() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
