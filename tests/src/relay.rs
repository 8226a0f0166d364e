//! A TCP relay: an address that stays while what is behind it goes and comes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::until::until;

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// What the relay does with connections now.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// Where they go; `None`: nobody listens.
    target: Option<SocketAddr>,
    /// Connections that were made before the last change of this are ended.
    generation: u64,
    /// What comes back from the target is held.
    held: bool,
}

/// A relay; it ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    listening: watch::Receiver<bool>,
    /// Keeps the port while nobody listens there.
    _reserved: TcpSocket,
    _stop: DropGuard,
}

impl Relay {
    /// Relays connections to this address, as in `127.0.0.1:4222`.
    ///
    /// # Panics
    /// It is no address, or no port can be had.
    pub async fn start(target: &str) -> Self {
        let reserved = socket(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = reserved.local_addr().unwrap();
        let way = watch::Sender::new(Way {
            target: Some(target.parse().unwrap()),
            generation: 0,
            held: false,
        });
        let (listens, mut listening) = watch::channel(false);
        let stop = CancellationToken::new();
        let accept = accept(address, way.subscribe(), listens, stop.clone());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(accept));
        listening.wait_for(|listening| *listening).await.unwrap();
        Self {
            address,
            way,
            listening,
            _reserved: reserved,
            _stop: stop.drop_guard(),
        }
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections; from now on nobody listens.
    pub async fn cut(&self) {
        self.way.send_modify(|way| {
            way.target = None;
            way.held = false;
            way.generation += 1;
        });
        self.listens(false).await;
    }

    /// Relays new connections to this address.
    ///
    /// # Panics
    /// It is no address.
    pub async fn restore(&self, target: &str) {
        let target = target.parse().unwrap();
        self.way.send_modify(|way| {
            way.target = Some(target);
            way.held = false;
        });
        self.listens(true).await;
    }

    async fn listens(&self, wanted: bool) {
        let mut listening = self.listening.clone();
        listening
            .wait_for(|listening| *listening == wanted)
            .await
            .unwrap();
    }

    /// Ends all connections; new ones go through.
    pub fn interrupt(&self) {
        self.way.send_modify(|way| way.generation += 1);
    }

    /// Holds what comes back, until the connection ends or [`release`](Self::release).
    pub fn hold(&self) {
        self.way.send_modify(|way| way.held = true);
    }

    /// Lets what comes back through again.
    pub fn release(&self) {
        self.way.send_modify(|way| way.held = false);
    }
}

/// A socket that may share its address with others as long as one of them listens at most.
fn socket(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn listen(address: SocketAddr) -> TcpListener {
    // Connections that were just ended may still hold the address.
    until("an address to be free", || {
        let listener = socket(address).and_then(|socket| socket.listen(BACKLOG));
        std::future::ready(listener.ok())
    })
    .await
}

async fn accept(
    address: SocketAddr,
    way: watch::Receiver<Way>,
    listens: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let mut changes = way.clone();
    loop {
        if changes.wait_for(|way| way.target.is_some()).await.is_err() {
            return;
        }
        let listener = listen(address).await;
        listens.send_replace(true);
        loop {
            let near = tokio::select! {
                biased;
                _ = changes.wait_for(|way| way.target.is_none()) => break,
                accepted = listener.accept() => match accepted {
                    Ok((near, _)) => near,
                    Err(_) => continue,
                },
            };
            let now = *way.borrow();
            if let Some(target) = now.target {
                let relay = relay(near, target, way.clone(), now.generation);
                connections.spawn(stop.clone().run_until_cancelled_owned(relay));
            }
        }
        drop(listener);
        // It is cut when nothing comes through any more, not when the ends begin to hear of it.
        connections.close();
        connections.wait().await;
        connections.reopen();
        listens.send_replace(false);
    }
}

async fn relay(near: TcpStream, target: SocketAddr, way: watch::Receiver<Way>, generation: u64) {
    let Ok(far) = TcpStream::connect(target).await else {
        return;
    };
    // A relay must not add a delay of its own.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut changes = way.clone();
    tokio::select! {
        _ = changes.wait_for(|way| way.generation != generation) => {}
        () = pump(near_read, far_write, None) => {}
        () = pump(far_read, near_write, Some(way)) => {}
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: Option<watch::Receiver<Way>>,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if let Some(way) = &mut way
            && way.wait_for(|way| !way.held).await.is_err()
        {
            return;
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
