//! Faults of connections.

use ari_sim::Fault;
use futures::{FutureExt, SinkExt};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tokio_tungstenite::tungstenite::Message;

use super::client::{
    QUIET, Wire, ask, inject, is_quiet, kind, socket, start, tell, text, until, within,
};

const PING: &str = "/ari/asterisk/ping";

#[tokio::test]
async fn a_half_open_connection_is_silent_and_then_reset() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let mut idle = Wire::open(&server).await;
    idle.send("GET", PING, "").await;
    idle.receive().await.unwrap();
    simulator.inject(Fault::HalfOpen).unwrap();

    inject(&simulator, "a", "A");
    socket.send(Message::Ping(vec![1].into())).await.unwrap();
    assert!(is_quiet(&mut socket).await);
    idle.send("POST", "/ari/bridges/a", "").await;
    let mut new = Wire::open(&server).await;
    new.send("POST", "/ari/bridges/b", "").await;
    assert!(idle.is_quiet().await && new.is_quiet().await);
    // Asterisk believes that the application is there, and did nothing of what it did not read.
    simulator.with_world(|world, _| {
        assert!(world.is_connected("a"));
        assert_eq!(world.bridge_count(), 0);
    });
    // Whoever controls the simulator is not struck.
    let cleared = ask(&server, "DELETE", "/sim/faults").await.unwrap();
    assert_eq!(cleared.status(), 204);
    assert!(text(&mut socket).await.is_none());
    for mut wire in [idle, new] {
        let error = wire.receive().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    until(|| async { !simulator.with_world(|world, _| world.is_connected("a")) }).await;
    assert_eq!(ask(&server, "GET", PING).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_dead_connection_is_kept_as_long_as_the_client_keeps_it() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    simulator.inject(Fault::HalfOpen).unwrap();
    let mut wire = Wire::open(&server).await;
    wire.send("GET", PING, "").await;
    assert!(wire.is_quiet().await);
    wire.0.shutdown().await.unwrap();
    assert!(wire.receive().await.is_err());
    // Asterisk does not hear that the other end of an event socket is gone.
    socket.get_mut().shutdown().await.unwrap();
    assert!(is_quiet(&mut socket).await);
    assert!(simulator.with_world(|world, _| world.is_connected("a")));
}

#[tokio::test]
async fn only_the_sockets_of_an_application_are_half_open() {
    let (simulator, server) = start().await;
    let (mut one, mut other) = (socket(&server, "one").await, socket(&server, "other").await);
    let rule = Fault::HalfOpen.rule().on_application("one");
    let id = simulator.inject(rule).unwrap();
    inject(&simulator, "one", "A");
    inject(&simulator, "other", "A");
    assert_eq!(kind(&mut other).await, "A");
    assert!(is_quiet(&mut one).await);
    assert_eq!(ask(&server, "GET", PING).await.unwrap().status(), 200);
    simulator.clear_fault(id);
    // The event that was written while nobody carried it is lost.
    assert!(text(&mut one).await.is_none());
    inject(&simulator, "other", "B");
    assert_eq!(kind(&mut other).await, "B");
}

#[tokio::test]
async fn what_is_written_piles_up_while_nothing_is_read() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let mut wire = Wire::open(&server).await;
    wire.send("GET", PING, "").await;
    wire.receive().await.unwrap();
    simulator.inject(Fault::StallReads).unwrap();
    // The other direction flows.
    inject(&simulator, "a", "A");
    assert_eq!(kind(&mut socket).await, "A");
    socket.send(Message::Ping(vec![7].into())).await.unwrap();
    assert!(is_quiet(&mut socket).await);
    let chunk = vec![b'x'; 1 << 16];
    within(async {
        while let Ok(written) = timeout(QUIET, wire.0.write_all(&chunk)).await {
            written.unwrap();
        }
    })
    .await;
    assert!(wire.0.write(&chunk).now_or_never().is_none());
    // A new connection is not read either.
    let mut new = Wire::open(&server).await;
    new.send("POST", "/ari/bridges/a", "").await;
    assert!(new.is_quiet().await);
    assert_eq!(simulator.with_world(|world, _| world.bridge_count()), 0);

    simulator.clear_faults();
    assert_eq!(new.receive().await.unwrap().status(), 200);
    let pong = within(futures::StreamExt::next(&mut socket)).await;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
}

#[tokio::test]
async fn connections_are_refused_for_a_while() {
    let (simulator, server) = start().await;
    let mut socket = socket(&server, "a").await;
    let body = r#"{"fault": "refuse_connections"}"#;
    let refused = tell(&server, "POST", "/sim/faults", body).await.unwrap();
    assert_eq!(refused.status(), 400, "{}", refused.body);

    let id = simulator.inject(Fault::RefuseConnections).unwrap();
    let address = server.address();
    until(|| async {
        let refused = TcpStream::connect(address).await.err();
        refused.is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    })
    .await;
    // Those that are there go on.
    inject(&simulator, "a", "A");
    assert_eq!(kind(&mut socket).await, "A");
    assert!(simulator.clear_fault(id));
    until(|| async { TcpStream::connect(address).await.is_ok() }).await;
    assert_eq!(ask(&server, "GET", PING).await.unwrap().status(), 200);
}

#[tokio::test]
async fn chance_is_drawn_once_for_a_connection() {
    let (simulator, server) = start().await;
    let rule = Fault::HalfOpen.rule().probability(0.0);
    simulator.inject(rule).unwrap();
    let mut wire = Wire::open(&server).await;
    for _ in 0..3 {
        wire.send("GET", PING, "").await;
        assert_eq!(wire.receive().await.unwrap().status(), 200);
    }
    simulator.inject(Fault::HalfOpen.once()).unwrap();
    wire.send("GET", PING, "").await;
    assert!(wire.is_quiet().await);
    // It struck as often as it should.
    assert_eq!(ask(&server, "GET", PING).await.unwrap().status(), 200);
}
