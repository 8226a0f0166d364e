//! A TCP relay: an address that stays while what is behind it goes and comes.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpSocket, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::{
    frames::{self, Frames},
    until::until,
};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Messages that wait for their place between the frames of a WebSocket.
const MESSAGES: usize = 4096;

/// What the relay does with connections now.
#[derive(Clone, Debug)]
struct Way {
    /// Where they go, as in `localhost:8088`; `None`: nobody listens.
    target: Option<Arc<str>>,
    /// Connections that were made before the last change of this are ended.
    generation: u64,
    /// What comes back from the target is held.
    held: bool,
}

/// The ways into each WebSocket that goes through a relay.
#[derive(Clone, Debug, Default)]
struct Sockets(Arc<Mutex<Vec<mpsc::Sender<Bytes>>>>);

impl Sockets {
    fn open(&self) -> mpsc::Receiver<Bytes> {
        let (sender, receiver) = mpsc::channel(MESSAGES);
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.push(sender);
        receiver
    }

    fn send(&self, frame: &Bytes) -> bool {
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain(|socket| socket.try_send(frame.clone()).is_ok());
        !sockets.is_empty()
    }
}

/// A relay; it ends when this is dropped.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: watch::Sender<Way>,
    sockets: Sockets,
    listening: watch::Receiver<bool>,
    /// Keeps the port while nobody listens there.
    _reserved: TcpSocket,
    _stop: DropGuard,
}

impl Relay {
    /// Relays connections to this host and port, as in `localhost:4222`.
    ///
    /// # Panics
    /// No port can be had.
    pub async fn start(target: &str) -> Self {
        let reserved = socket(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = reserved.local_addr().unwrap();
        let way = watch::Sender::new(Way {
            target: Some(target.into()),
            generation: 0,
            held: false,
        });
        let (listens, mut listening) = watch::channel(false);
        let stop = CancellationToken::new();
        let sockets = Sockets::default();
        let way_in = (way.subscribe(), sockets.clone());
        let accept = accept(address, way_in, listens, stop.clone());
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(accept));
        listening.wait_for(|listening| *listening).await.unwrap();
        Self {
            address,
            way,
            sockets,
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

    /// Relays new connections to this host and port.
    pub async fn restore(&self, target: &str) {
        self.way.send_modify(|way| {
            way.target = Some(target.into());
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

    /// Puts a message of the target's into each WebSocket that goes through; gives whether there is any.
    pub fn inject(&self, text: &str) -> bool {
        self.sockets.send(&frames::text(text))
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
    (way, sockets): (watch::Receiver<Way>, Sockets),
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
            let now = way.borrow().clone();
            if let Some(target) = now.target {
                let way = (way.clone(), now.generation);
                let relay = relay(near, target, way, sockets.clone());
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

async fn relay(
    near: TcpStream,
    target: Arc<str>,
    (way, generation): (watch::Receiver<Way>, u64),
    sockets: Sockets,
) {
    let Ok(far) = TcpStream::connect(&*target).await else {
        return;
    };
    // A relay must not add a delay of its own.
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let mut changes = way.clone();
    tokio::select! {
        // What is held when a connection is ended does not come through any more.
        biased;
        _ = changes.wait_for(|way| way.generation != generation) => {}
        () = there(near_read, far_write) => {}
        () = back(far_read, near_write, way, sockets) => {}
    }
}

async fn there(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

async fn back(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    sockets: Sockets,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut frames = Frames::default();
    let mut messages = None;
    loop {
        if messages.is_none() && frames.are_of_a_websocket() {
            messages = Some(sockets.open());
        }
        let message = async {
            match &mut messages {
                Some(messages) if frames.is_between_two() => messages.recv().await,
                _ => None,
            }
        };
        let next = tokio::select! {
            biased;
            Some(message) = message => message,
            read = from.read(&mut buffer) => match read {
                Ok(length @ 1..) => {
                    frames.pass(&buffer[..length]);
                    Bytes::copy_from_slice(&buffer[..length])
                }
                _ => return,
            },
        };
        let through = way.wait_for(|way| !way.held).await.is_ok();
        if !through || to.write_all(&next).await.is_err() {
            return;
        }
    }
}
