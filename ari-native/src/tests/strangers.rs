//! Whoever connects to the program and is no Asterisk, or a bad one, in virtual time.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use ari_core::{Ari, ConnectionState};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::StreamExt;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    listening::{Asterisk, builder},
    listening_tls::{secured, tls},
    tls::CERTIFICATE,
};
use crate::{Accepted, Listener, ListenerBuilder, connector::BoxIo, listener::Incoming};

const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8765);
/// How long a connection may take until it stands, unless it is set.
const HANDSHAKE: Duration = Duration::from_secs(5);
const AT_ONCE: Duration = Duration::from_millis(100);

struct Pipes(mpsc::Receiver<DuplexStream>);

impl Incoming for Pipes {
    async fn accept(&mut self) -> io::Result<(BoxIo, SocketAddr)> {
        match self.0.recv().await {
            Some(pipe) => Ok((Box::new(pipe), ADDRESS)),
            None => pending().await,
        }
    }
}

/// A way to a listener.
struct Way(mpsc::Sender<DuplexStream>);

impl Way {
    async fn to(builder: ListenerBuilder) -> (Self, Listener) {
        let (sender, pipes) = mpsc::channel(16);
        let entrance = builder.entrance().await.unwrap();
        let listener = builder.serve(entrance, Pipes(pipes), ADDRESS);
        (Self(sender), listener)
    }

    fn connect(&self) -> DuplexStream {
        let (near, far) = duplex(64 * 1024);
        self.0.try_send(far).unwrap();
        near
    }

    /// Connects, says something, and then nothing more.
    async fn say(&self, said: &[u8]) -> DuplexStream {
        let mut stream = self.connect();
        stream.write_all(said).await.unwrap();
        stream
    }
}

/// Waits until the other side closes a connection; gives how long that took.
async fn closed(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
    let start = Instant::now();
    let end = async { while !matches!(stream.read(&mut [0; 256]).await, Ok(0) | Err(_)) {} };
    timeout(10 * HANDSHAKE, end)
        .await
        .expect("it is never closed");
    start.elapsed()
}

async fn accepted(listener: &mut Listener) -> Ari {
    match timeout(HANDSHAKE, listener.accept()).await {
        Ok(Some(Accepted::Application(ari))) => ari,
        other => panic!("{other:?} is no application"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_hangs_in_the_handshake_holds_up_nobody_and_not_for_long() {
    let (way, mut listener) = Way::to(secured().max_connections(2)).await;
    let mut served = Vec::new();
    for application in ["demo", "other"] {
        let start = Instant::now();
        let mut silent = way.connect();
        let mut begun = way.say(b"\x16\x03\x01\x02\x00\x01\x00\x01").await;
        let mut secure = tls(way.connect(), CERTIFICATE).await.unwrap();
        secure
            .write_all(b"GET /ari HTTP/1.1\r\nHost: ")
            .await
            .unwrap();
        // They take no place.
        let stream = tls(way.connect(), CERTIFICATE).await.unwrap();
        let mut asterisk = Asterisk::over(stream, application).await;
        asterisk.greet().await;
        let ari = accepted(&mut listener).await;
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        let places = [
            closed(&mut silent).await,
            closed(&mut begun).await,
            closed(&mut secure).await,
        ];
        let waited: Duration = places.iter().sum();
        assert!(waited.abs_diff(HANDSHAKE) < AT_ONCE, "{places:?}");
        assert_eq!(ari.state(), ConnectionState::Connected);
        served.push((asterisk, ari));
    }
    let mut beyond = tls(way.connect(), CERTIFICATE).await.unwrap();
    let credentials = BASE64_STANDARD.encode("user:secret");
    let request = format!(
        "GET /ari HTTP/1.1\r\nHost: program\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: ari\r\nAuthorization: Basic {credentials}\r\n\r\n"
    );
    beyond.write_all(request.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    let read = timeout(AT_ONCE, beyond.read_exact(&mut answer)).await;
    read.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 503");
}

/// Who connects again and again must not keep Asterisk out.
#[tokio::test(start_paused = true)]
async fn of_many_that_say_nothing_the_oldest_makes_room() {
    let (way, mut listener) = Way::to(builder()).await;
    let mut silent = Vec::new();
    for _ in 0..65 {
        silent.push(way.connect());
        tokio::task::yield_now().await;
    }
    assert!(closed(&mut silent[0]).await < AT_ONCE);
    let mut asterisk = Asterisk::over(way.connect(), "demo").await;
    asterisk.greet().await;
    accepted(&mut listener).await;
    assert!(closed(&mut silent[1]).await < AT_ONCE);
    assert!(closed(&mut silent[2]).await > AT_ONCE);
}

#[tokio::test(start_paused = true)]
async fn who_speaks_another_language_is_shown_out_at_once() {
    const PLAIN: &[u8] = b"GET /ari HTTP/1.1\r\nHost: program\r\nConnection: Upgrade\r\n\
        Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let (way, _listener) = Way::to(secured()).await;
    for said in [PLAIN, b"\x00\x00\x00\x00\x00\x00\x00\x00"] {
        assert!(closed(&mut way.say(said).await).await < AT_ONCE);
    }
    let (way, _listener) = Way::to(builder()).await;
    for said in [
        PLAIN,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
        b"GET /ari HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
    ] {
        assert!(closed(&mut way.say(said).await).await < AT_ONCE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_for_a_websocket_has_an_end() {
    let (way, _listener) = Way::to(builder()).await;
    let mut endless = way.say(b"GET /ari HTTP/1.1\r\n").await;
    let sent = async {
        for number in 0_u32.. {
            let line = format!("X-{number}: {}\r\n", "x".repeat(1000));
            if endless.write_all(line.as_bytes()).await.is_err() {
                return number;
            }
        }
        0
    };
    let lines = timeout(HANDSHAKE, sent).await.unwrap();
    assert!(lines < 1000, "{lines}");
}

#[tokio::test(start_paused = true)]
async fn who_is_let_in_and_does_not_answer_is_not_waited_for() {
    let (way, listener) = Way::to(builder().max_connections(1)).await;
    for _ in 0..2 {
        let mut silent = Asterisk::over(way.connect(), "demo").await;
        for _ in 0..20 {
            silent.tell("demo", "Noise", json!({})).await;
        }
        let waited = silent.until_closed().await;
        assert!(waited >= HANDSHAKE && waited < 2 * HANDSHAKE, "{waited:?}");
    }
    // One that refuses to say who it is: what comes next comes no sooner than a second later.
    let mut refusing = Asterisk::over(way.connect(), "demo").await;
    refusing.serve(503, "").await;
    let waited = refusing.until_closed().await;
    assert!(
        waited >= Duration::from_secs(1) && waited < HANDSHAKE,
        "{waited:?}"
    );
    let mut nameless = Asterisk::over(way.connect(), "").await;
    nameless.greet().await;
    assert!(nameless.until_closed().await < HANDSHAKE);
    drop(listener);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_is_dropped_leaves_nothing() {
    let (way, mut listener) = Way::to(builder()).await;
    let mut taken = Asterisk::over(way.connect(), "taken").await;
    taken.greet().await;
    let ari = accepted(&mut listener).await;
    let mut waiting = Asterisk::over(way.connect(), "waiting").await;
    waiting.greet().await;
    let mut silent = way.connect();
    let mut asked = Asterisk::over(way.connect(), "asked").await;
    tokio::task::yield_now().await;
    let start = Instant::now();
    drop(listener);
    closed(&mut silent).await;
    asked.until_closed().await;
    waiting.until_closed().await;
    assert!(start.elapsed() < AT_ONCE);
    // What the program has taken is its own, until it is lost.
    assert_eq!(ari.state(), ConnectionState::Connected);
    drop(taken);
    let mut events = ari.events().await.unwrap();
    timeout(AT_ONCE, async { while events.next().await.is_some() {} })
        .await
        .unwrap();
    assert_eq!(ari.state(), ConnectionState::Closed);
    assert!(way.0.is_closed());
}

#[tokio::test(start_paused = true)]
async fn two_asterisks_of_one_id_take_turns_and_not_too_fast() {
    let (way, mut listener) = Way::to(builder()).await;
    let mut holder = Asterisk::over(way.connect(), "demo").await;
    holder.greet().await;
    let ari = accepted(&mut listener).await;
    let channel = ari.channels().handle("c1");
    let start = Instant::now();
    for _ in 0..5 {
        let mut next = Asterisk::over(way.connect(), "demo").await;
        next.greet().await;
        holder.until_closed().await;
        let (answered, _) = tokio::join!(channel.answer().into_future(), next.serve(204, ""));
        answered.unwrap();
        holder = next;
    }
    let took = start.elapsed();
    assert!(
        took >= Duration::from_secs(5) && took < Duration::from_secs(6),
        "{took:?}"
    );
    // When the client is closed, what is kept is not kept any longer.
    let mut last = Asterisk::over(way.connect(), "demo").await;
    last.greet().await;
    assert!(timeout(AT_ONCE, last.until_closed()).await.is_err());
    let (closed, waited) = tokio::join!(ari.close(), last.until_closed());
    closed.unwrap();
    assert!(waited + holder.until_closed().await < AT_ONCE);
}

/// What Asterisk has kept for the program comes with the socket, and never again.
#[tokio::test(start_paused = true)]
async fn a_socket_that_comes_while_its_client_ends_is_that_of_a_new_one() {
    let (way, mut listener) = Way::to(builder()).await;
    let mut old = Asterisk::over(way.connect(), "demo").await;
    old.greet().await;
    let ari = accepted(&mut listener).await;
    let mut new = Asterisk::over(way.connect(), "demo").await;
    let start = json!({"args": [], "channel": {"id": "c"}});
    new.tell("demo", "StasisStart", start).await;
    // Both are there before the client looks.
    new.greet().await;
    old.tell("demo", "ApplicationUnregistered", json!({})).await;
    old.until_closed().await;
    assert_eq!(ari.state(), ConnectionState::Closed);
    let taken = timeout(HANDSHAKE, listener.accept()).await;
    let Ok(Some(Accepted::Application(ari))) = taken else {
        panic!("the socket is dropped, and the call with it: {taken:?}");
    };
    let mut calls = ari.calls().await.unwrap();
    let call = timeout(HANDSHAKE, calls.next()).await.unwrap().unwrap();
    assert_eq!(call.channel().id(), "c");
}

/// Asterisk reads nothing while it does a request, not even that its socket is closed.
#[tokio::test(start_paused = true)]
async fn a_slow_request_does_not_cost_a_call_its_client() {
    let (way, mut listener) = Way::to(builder()).await;
    let application = "demo:PJSIP/bob-00000001";
    let mut asterisk = Asterisk::over(way.connect(), application).await;
    let start = json!({"args": [], "channel": {"id": "c"}});
    asterisk.tell(application, "StasisStart", start).await;
    asterisk.greet().await;
    let Ok(Some(Accepted::Call(ari, call))) = timeout(HANDSHAKE, listener.accept()).await else {
        panic!("no call");
    };
    // As adding a channel that plays an endless tone to a bridge.
    let slow = call.channel().ring();
    assert!(slow.await.unwrap_err().outcome_unknown());
    let closed = timeout(Duration::from_secs(20), asterisk.until_closed());
    assert!(closed.await.is_err(), "its silence was taken for its end");
    assert_eq!(ari.state(), ConnectionState::Connected);
}

/// As when `ari.conf` gives the application a connection of its own.
#[tokio::test(start_paused = true)]
async fn an_application_that_left_its_socket_comes_back_as_a_client_of_its_own() {
    let (way, mut listener) = Way::to(builder()).await;
    let mut first = Asterisk::over(way.connect(), "demo").await;
    first
        .tell("other", "ApplicationRegistered", json!({}))
        .await;
    first.greet().await;
    let ari = accepted(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    first
        .tell("demo", "ApplicationUnregistered", json!({}))
        .await;
    while super::next(&mut events).await != "ApplicationUnregistered" {}
    assert!(super::next(&mut events).await.starts_with("Gap Replaced"));
    let mut second = Asterisk::over(way.connect(), "demo").await;
    second.greet().await;
    let taken = timeout(HANDSHAKE, listener.accept()).await;
    assert!(
        matches!(taken, Ok(Some(Accepted::Application(_)))),
        "it has taken the socket of another application: {taken:?}"
    );
    first.tell("other", "StillThere", json!({})).await;
    assert_eq!(super::next(&mut events).await, "StillThere");
}

/// As Asterisk does after pongs that it has missed, which wait behind a slow request, and after an error (1001); what
/// ends a call is 1000. It connects again at once.
#[tokio::test(start_paused = true)]
async fn a_call_whose_socket_asterisk_closes_before_its_end_goes_on_over_the_next_one() {
    let (way, mut listener) = Way::to(builder()).await;
    let application = "demo:PJSIP/bob-00000001";
    let mut asterisk = Asterisk::over(way.connect(), application).await;
    let start = json!({"args": [], "channel": {"id": "c"}});
    asterisk.tell(application, "StasisStart", start).await;
    asterisk.greet().await;
    let Ok(Some(Accepted::Call(ari, mut call))) = timeout(HANDSHAKE, listener.accept()).await
    else {
        panic!("no call");
    };
    asterisk.close(1001).await;
    assert_eq!(
        super::next(call.events()).await,
        "Gap Reconnected None",
        "the client of a call that goes on is {:?}",
        ari.state()
    );
    let mut asterisk = Asterisk::over(way.connect(), application).await;
    asterisk.greet().await;
    let listed = r#"[{"id":"c"}]"#;
    let (restored, asked) = tokio::join!(super::next(call.events()), asterisk.serve(200, listed));
    assert_eq!((&*restored, &*asked), ("Resynced", "GET channels"));
    let channel = call.channel();
    let (answered, _) = tokio::join!(channel.answer().into_future(), asterisk.serve(204, ""));
    answered.unwrap();
    assert_eq!(ari.state(), ConnectionState::Connected);
}
