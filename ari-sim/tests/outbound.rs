//! Sockets that the simulator opens to a server of an application.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use ari_sim::{CallScript, Fault, Outbound, Simulator, WorldOptions};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async,
    tungstenite::{
        Message,
        handshake::server::{Request, Response},
        http::HeaderValue,
        protocol::frame::coding::CloseCode,
    },
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<TcpStream>;

fn simulator() -> Simulator {
    let options = WorldOptions::default().every_sound(Duration::from_millis(20));
    Simulator::builder()
        .options(options)
        .read_only_user("reader", "secret")
        .user("demo", "secret")
        .start()
}

async fn server() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, format!("ws://{address}/ari?x=1"))
}

/// Accepts a socket, with what its opening said.
async fn accept(listener: &TcpListener) -> (Socket, Request) {
    let (stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
    let mut seen = None;
    #[allow(clippy::result_large_err, reason = "the callback's type is given")]
    let look = |request: &Request, mut response: Response| {
        seen = Some(request.clone());
        let protocol = HeaderValue::from_static("ari");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", protocol);
        Ok(response)
    };
    let socket = timeout(LIMIT, accept_hdr_async(stream, look))
        .await
        .unwrap();
    let socket = socket.unwrap();
    (socket, seen.unwrap())
}

async fn next(socket: &mut Socket) -> Value {
    loop {
        match timeout(LIMIT, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
        {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn next_of(socket: &mut Socket, kind: &str) -> Value {
    loop {
        let message = next(socket).await;
        if message["type"] == kind {
            return message;
        }
    }
}

async fn ask(socket: &mut Socket, method: &str, uri: &str) -> Value {
    let request =
        json!({"type": "RESTRequest", "transaction_id": uri, "method": method, "uri": uri});
    socket
        .send(Message::text(request.to_string()))
        .await
        .unwrap();
    loop {
        let message = next_of(socket, "RESTResponse").await;
        if message["transaction_id"] == uri {
            return message;
        }
    }
}

/// The code with which a socket is closed; what still comes by it is passed over.
async fn closed(socket: &mut Socket) -> CloseCode {
    loop {
        match timeout(LIMIT, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(frame))) => return frame.unwrap().code,
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_persistent_socket_registers_asks_and_comes_back() {
    let (listener, uri) = server().await;
    let simulator = simulator();
    let outbound = Outbound::persistent(uri, ["one", "two"])
        .credentials("me", "word")
        .reconnect_interval(Duration::from_millis(10));
    let dialed = simulator.dial(outbound).unwrap();
    let (mut socket, request) = accept(&listener).await;
    assert_eq!(request.uri().to_string(), "/ari?x=1");
    assert_eq!(request.headers()["authorization"], "Basic bWU6d29yZA==");
    assert_eq!(request.headers()["sec-websocket-protocol"], "ari");
    for application in ["one", "two"] {
        let event = next(&mut socket).await;
        assert_eq!(event["type"], "ApplicationRegistered");
        assert_eq!(event["application"], application);
    }
    let answer = ask(&mut socket, "POST", "bridges?bridgeId=b").await;
    assert_eq!(
        (&answer["status_code"], &answer["application"]),
        (&json!(200), &json!("one"))
    );
    simulator.place_call(CallScript::new("two"));
    let start = next_of(&mut socket, "StasisStart").await;
    let channel = start["channel"]["id"].as_str().unwrap().to_owned();

    drop(socket);
    let (mut socket, _) = accept(&listener).await;
    next_of(&mut socket, "ApplicationRegistered").await;
    let answer = ask(&mut socket, "DELETE", &format!("channels/{channel}")).await;
    assert_eq!(answer["status_code"], 204);

    drop(dialed);
    next_of(&mut socket, "ApplicationUnregistered").await;
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
}

#[tokio::test]
async fn a_socket_that_is_opened_again_hears_of_all_its_applications_by_name() {
    let (listener, uri) = server().await;
    let simulator = simulator();
    let _dialed = simulator
        .dial(Outbound::persistent(uri, ["two", "one"]))
        .unwrap();
    let (mut socket, _) = accept(&listener).await;
    for application in ["two", "one"] {
        let event = next(&mut socket).await;
        assert_eq!(event["type"], "ApplicationRegistered");
        assert_eq!(event["application"], application);
    }
    // Who has taken one over changes nothing about what is configured.
    let _thief = simulator.connect("one").unwrap();
    assert_eq!(next(&mut socket).await["type"], "ApplicationReplaced");
    drop(socket);
    let (mut socket, _) = accept(&listener).await;
    for application in ["one", "two"] {
        let event = next(&mut socket).await;
        assert_eq!(event["type"], "ApplicationRegistered");
        assert_eq!(event["application"], application);
    }
    // Answers are always in the name of the first one.
    let answer = ask(&mut socket, "GET", "asterisk/info").await;
    assert_eq!(answer["application"], "two");
}

#[tokio::test(start_paused = true)]
async fn sockets_through_memory_are_opened_in_virtual_time() {
    let simulator = simulator();
    let outbound = Outbound::persistent("ws://nowhere/ari", ["one"]);
    let (dialed, mut listener) = simulator.dial_in_memory(outbound).unwrap();
    for _ in 0..2 {
        let pipe = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut socket = tokio_tungstenite::accept_async(pipe).await.unwrap();
        let message = timeout(LIMIT, socket.next()).await.unwrap().unwrap();
        let event: Value = serde_json::from_str(message.unwrap().to_text().unwrap()).unwrap();
        assert_eq!(event["type"], "ApplicationRegistered");
    }
    drop(dialed);
    while timeout(LIMIT, listener.accept()).await.unwrap().is_some() {}
}

#[tokio::test]
async fn events_wait_for_a_socket_that_is_lost() {
    let (listener, uri) = server().await;
    let simulator = simulator();
    let dialed = simulator.dial(Outbound::persistent(uri, ["late"])).unwrap();
    // Nobody has accepted yet.
    simulator.place_call(CallScript::new("late"));
    let (mut socket, _) = accept(&listener).await;
    assert_eq!(next(&mut socket).await["type"], "ApplicationRegistered");
    assert_eq!(
        next_of(&mut socket, "StasisStart").await["application"],
        "late"
    );
    drop(dialed);
}

#[tokio::test]
async fn a_call_has_a_socket_of_its_own() {
    let (listener, uri) = server().await;
    let simulator = simulator();
    let dialed = simulator
        .dial(Outbound::per_call(uri, ["solo"]).local_user("reader"))
        .unwrap();
    simulator.place_call(CallScript::new("solo"));
    let (mut socket, _) = accept(&listener).await;
    let registered = next(&mut socket).await;
    assert_eq!(registered["type"], "ApplicationRegistered");
    let application = registered["application"].as_str().unwrap().to_owned();
    let start = next_of(&mut socket, "StasisStart").await;
    let name = start["channel"]["name"].as_str().unwrap();
    assert_eq!(application, format!("solo:{name}"));
    // The user may only read.
    let id = start["channel"]["id"].as_str().unwrap();
    let answer = ask(&mut socket, "DELETE", &format!("channels/{id}")).await;
    assert_eq!(answer["status_code"], 403);
    simulator.with_world(|world, now| {
        let hang_up = ari_core::Request::from_http("DELETE", &format!("/channels/{id}"), None);
        drop(world.request(now, &hang_up.unwrap()));
    });
    next_of(&mut socket, "StasisEnd").await;
    assert_eq!(closed(&mut socket).await, CloseCode::Normal);
    assert!(!simulator.with_world(|world, _| world.is_connected(&application)));
    drop(dialed);
}

#[tokio::test]
async fn a_socket_that_is_being_opened_is_not_dropped() {
    let (listener, uri) = server().await;
    let simulator = simulator();
    let outbound = Outbound::per_call(uri, ["solo"]).connect_timeout(LIMIT);
    let dialed = simulator.dial(outbound).unwrap();
    simulator.place_call(CallScript::new("solo"));
    timeout(LIMIT, async {
        while simulator.websocket_count() == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    simulator.inject(Fault::DropSockets).unwrap();
    let (mut socket, _) = accept(&listener).await;
    next_of(&mut socket, "StasisStart").await;
    drop(dialed);
}

#[tokio::test]
async fn a_call_whose_socket_cannot_be_opened_goes_back() {
    let (listener, uri) = server().await;
    drop(listener);
    let simulator = simulator();
    let outbound = Outbound::per_call(uri, ["solo"])
        .reconnect_attempts(2)
        .reconnect_interval(Duration::from_millis(10));
    let dialed = simulator.dial(outbound).unwrap();
    simulator.place_call(CallScript::new("solo"));
    timeout(LIMIT, simulator.calls_ended()).await.unwrap();
    assert_eq!(simulator.with_world(|world, _| world.channel_count()), 0);
    drop(dialed);
}

#[tokio::test]
async fn what_cannot_be_dialed_is_refused() {
    let simulator = simulator();
    for outbound in [
        Outbound::persistent("http://127.0.0.1/", ["a"]),
        Outbound::persistent("not a uri", ["a"]),
        Outbound::persistent("ws://me:hush@127.0.0.1:1/", ["a"]),
        Outbound::persistent("ws://127.0.0.1:1/", [""]),
        Outbound::persistent("ws://127.0.0.1:1/", Vec::<String>::new()),
        Outbound::per_call("ws://127.0.0.1:1/", ["a"]).local_user("nobody"),
    ] {
        let shown = format!("{outbound:?}");
        let error = simulator.dial(outbound).unwrap_err().to_string();
        assert!(!format!("{shown} {error}").contains("hush"), "{error}");
    }
}
