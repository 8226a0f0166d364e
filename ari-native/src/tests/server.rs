//! The other side: HTTP and WebSocket written by hand, so that it can do everything wrong.

use std::{
    collections::{HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader, duplex},
    sync::{Notify, mpsc},
};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{handshake::derive_accept_key, protocol::Role},
};
use tokio_util::task::TaskTracker;

use crate::{
    address::Peer,
    connector::{BoxIo, Connector, DialError},
};

/// The server's side of a WebSocket.
pub(super) type ServerSocket = WebSocketStream<BufReader<BoxIo>>;

/// What a request is answered with.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// Status with reason, and body.
    Answer(&'static str, &'static str),
    /// These bytes, and the connection stays.
    Raw(&'static [u8]),
    /// These bytes, and the connection is closed.
    Cut(&'static [u8]),
    /// Nothing.
    Silence,
}

/// A request that came.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Method and target, as in `GET /ari/channels`.
    pub(super) line: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

struct Script {
    replies: HashMap<String, VecDeque<Reply>>,
    seen: Vec<Seen>,
    asterisk_id: &'static str,
    version: &'static str,
    refused: usize,
    dialed: usize,
    open: usize,
    most_open: usize,
}

struct Shared {
    script: Mutex<Script>,
    seen: Notify,
    sockets: mpsc::Sender<ServerSocket>,
    tracker: TaskTracker,
    tls: Option<TlsAcceptor>,
}

/// An Asterisk that answers by script.
pub(super) struct Server {
    shared: Arc<Shared>,
    sockets: mpsc::Receiver<ServerSocket>,
}

struct Pipes(Arc<Shared>);

impl Server {
    pub(super) fn new() -> Self {
        Self::with(None)
    }

    pub(super) fn with(tls: Option<TlsAcceptor>) -> Self {
        let (sender, sockets) = mpsc::channel(16);
        let script = Script {
            replies: HashMap::new(),
            seen: Vec::new(),
            asterisk_id: "02:00:00:00:00:01",
            version: "22.10.1",
            refused: 0,
            dialed: 0,
            open: 0,
            most_open: 0,
        };
        let (script, tracker) = (Mutex::new(script), TaskTracker::new());
        Self {
            shared: Arc::new(Shared {
                script,
                seen: Notify::new(),
                sockets: sender,
                tracker,
                tls,
            }),
            sockets,
        }
    }

    pub(super) fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(Pipes(Arc::clone(&self.shared)))
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script.lock().unwrap()
    }

    /// Scripts the next reply to a request, named by method and path below `/ari`.
    pub(super) fn on(&self, request: &str, reply: Reply) -> &Self {
        let (method, path) = request.split_once(' ').unwrap();
        self.script()
            .replies
            .entry(format!("{method} /ari{path}"))
            .or_default()
            .push_back(reply);
        self
    }

    /// Refuses the next connections.
    pub(super) fn refuse(&self, connections: usize) -> &Self {
        self.script().refused = connections;
        self
    }

    /// Becomes another Asterisk.
    pub(super) fn rename(&self, asterisk_id: &'static str) {
        self.script().asterisk_id = asterisk_id;
    }

    /// Becomes another version.
    pub(super) fn install(&self, version: &'static str) -> &Self {
        self.script().version = version;
        self
    }

    /// The requests that came, without those that connecting makes.
    pub(super) fn seen(&self) -> Vec<Seen> {
        let ours =
            |seen: &&Seen| !seen.line.contains("/asterisk/info") && !seen.line.contains("/events");
        self.script().seen.iter().filter(ours).cloned().collect()
    }

    /// The request that opened a WebSocket last.
    pub(super) fn upgrade(&self) -> Seen {
        self.script()
            .seen
            .iter()
            .rfind(|seen| seen.line.contains("/events"))
            .unwrap()
            .clone()
    }

    /// Waits until so many requests came.
    pub(super) async fn saw(&self, requests: usize) {
        loop {
            let came = self.shared.seen.notified();
            if self.seen().len() >= requests {
                return;
            }
            came.await;
        }
    }

    /// The server's side of the next WebSocket.
    pub(super) async fn socket(&mut self) -> ServerSocket {
        self.sockets.recv().await.unwrap()
    }

    /// How many connections were asked for so far.
    pub(super) fn dialed(&self) -> usize {
        self.script().dialed
    }

    /// How many HTTP connections are open.
    pub(super) fn open(&self) -> usize {
        self.script().open
    }

    /// How many HTTP connections were open at the same time.
    pub(super) fn most_open(&self) -> usize {
        self.script().most_open
    }

    /// Serves one connection that was made in another way.
    pub(super) fn serve(&self, io: BoxIo) {
        accept(Arc::clone(&self.shared), io);
    }
}

impl Connector for Pipes {
    fn connect(&self, _: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        let shared = Arc::clone(&self.0);
        async move {
            {
                let mut script = shared.script.lock().unwrap();
                script.dialed += 1;
                if script.refused > 0 {
                    script.refused -= 1;
                    return Err(DialError::Refused(io::ErrorKind::ConnectionRefused.into()));
                }
            }
            let (client, server) = duplex(1 << 16);
            accept(shared, Box::new(server));
            Ok(Box::new(client) as BoxIo)
        }
        .boxed()
    }
}

fn accept(shared: Arc<Shared>, io: BoxIo) {
    let tracker = shared.tracker.clone();
    tracker.spawn(async move {
        let io = match &shared.tls {
            None => io,
            Some(tls) => match tls.accept(io).await {
                Ok(io) => Box::new(io),
                Err(_) => return,
            },
        };
        {
            let mut script = shared.script.lock().unwrap();
            script.open += 1;
            script.most_open = script.most_open.max(script.open);
        }
        // A connection that breaks is what some tests are about.
        let _ = serve(&shared, BufReader::new(io)).await;
        shared.script.lock().unwrap().open -= 1;
    });
}

async fn serve(shared: &Shared, mut io: BufReader<BoxIo>) -> io::Result<()> {
    loop {
        let seen = read(&mut io).await?;
        let path = seen.line.split('?').next().unwrap_or_default().to_owned();
        let key = seen.headers.get("sec-websocket-key").cloned();
        let reply = {
            let mut script = shared.script.lock().unwrap();
            script.seen.push(seen);
            let scripted = script.replies.get_mut(&path).and_then(VecDeque::pop_front);
            scripted
                .map(|reply| (reply, script.asterisk_id))
                .ok_or((script.asterisk_id, script.version))
        };
        shared.seen.notify_waiters();
        match (reply, key) {
            (Ok((Reply::Answer(status, body), _)), _) => answer(&mut io, status, body).await?,
            (Ok((Reply::Raw(bytes), _)), _) => io.write_all(bytes).await?,
            (Ok((Reply::Cut(bytes), _)), _) => return io.write_all(bytes).await,
            (Ok((Reply::Silence, _)), _) => {}
            (Err(_), Some(key)) => {
                let accept = derive_accept_key(key.as_bytes());
                let head = format!(
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: {accept}\r\n\r\n"
                );
                io.write_all(head.as_bytes()).await?;
                let socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
                let _ = shared.sockets.send(socket).await;
                return Ok(());
            }
            (Err((asterisk_id, version)), None) if path.ends_with("/asterisk/info") => {
                let info = format!(
                    r#"{{"system":{{"version":"{version}","entity_id":"{asterisk_id}"}}}}"#
                );
                answer(&mut io, "200 OK", &info).await?;
            }
            (Err(_), None) => {
                answer(&mut io, "404 Not Found", r#"{"message":"Not scripted"}"#).await?;
            }
        }
    }
}

async fn answer(io: &mut BufReader<BoxIo>, status: &str, body: &str) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    io.write_all(format!("{head}{body}").as_bytes()).await
}

async fn read(io: &mut BufReader<BoxIo>) -> io::Result<Seen> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(io.read_u8().await?);
        if !head[0].is_ascii_uppercase() {
            io.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    let head = String::from_utf8(head).unwrap();
    let mut lines = head.lines();
    let line = lines
        .next()
        .unwrap_or_default()
        .trim_end_matches(" HTTP/1.1")
        .to_owned();
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    io.read_exact(&mut body).await?;
    Ok(Seen {
        line,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
