//! Requests over the event socket, as it is carried by TCP.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use ari_sim::{Server, Simulator, WorldOptions};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, protocol::frame::coding::CloseCode},
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn start() -> (Simulator, Server) {
    let options = WorldOptions::default().every_sound(Duration::from_millis(300));
    let simulator = Simulator::builder()
        .options(options)
        .user("demo", "secret")
        .start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    (simulator, server)
}

async fn connect(server: &Server, application: &str) -> Socket {
    let address = server.address();
    let url = format!("ws://{address}/ari/events?app={application}&api_key=demo:secret");
    let opened = timeout(LIMIT, connect_async(url)).await.unwrap();
    opened.unwrap().0
}

async fn send(socket: &mut Socket, id: &str, method: &str, uri: &str) {
    let request =
        json!({"type": "RESTRequest", "transaction_id": id, "method": method, "uri": uri});
    socket
        .send(Message::text(request.to_string()))
        .await
        .unwrap();
}

async fn next(socket: &mut Socket) -> Message {
    timeout(LIMIT, socket.next())
        .await
        .unwrap()
        .unwrap()
        .unwrap()
}

fn json_of(message: &Message) -> Value {
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}

/// The next answer; events before it are passed over.
async fn answer(socket: &mut Socket) -> Value {
    loop {
        let message = next(socket).await;
        if message.is_text() && json_of(&message)["type"] == "RESTResponse" {
            return json_of(&message);
        }
    }
}

#[tokio::test]
async fn a_slow_request_holds_back_all_that_comes_after_it() {
    let (_simulator, server) = start().await;
    let mut socket = connect(&server, "slow").await;
    let uri = "channels?endpoint=Local/1014@default&app=slow&channelId=c";
    send(&mut socket, "1", "POST", uri).await;
    send(&mut socket, "2", "POST", "bridges?bridgeId=b").await;
    // Two answers, and the channel enters the application.
    let mut begun = 0;
    while begun < 3 {
        let message = json_of(&next(&mut socket).await);
        match message["type"].as_str().unwrap() {
            "RESTResponse" => {
                assert_eq!(message["status_code"], 200);
                begun += 1;
            }
            "StasisStart" => begun += 1,
            _ => {}
        }
    }
    send(
        &mut socket,
        "3",
        "POST",
        "channels/c/play?media=sound:hello-world",
    )
    .await;
    assert_eq!(answer(&mut socket).await["status_code"], 201);
    send(&mut socket, "4", "POST", "bridges/b/addChannel?channel=c").await;
    send(&mut socket, "5", "GET", "asterisk/ping").await;
    socket.send(Message::Ping("late".into())).await.unwrap();
    let mut order = Vec::new();
    while order.len() < 4 {
        let message = next(&mut socket).await;
        if message.is_pong() {
            order.push("pong".to_owned());
            continue;
        }
        let message = json_of(&message);
        match message["type"].as_str().unwrap() {
            "RESTResponse" => order.push(message["transaction_id"].as_str().unwrap().to_owned()),
            "PlaybackFinished" => order.push("event".to_owned()),
            _ => {}
        }
    }
    assert_eq!(order, ["event", "4", "5", "pong"]);
}

#[tokio::test]
async fn an_event_filter_holds_answers_back() {
    let (simulator, server) = start().await;
    let mut socket = connect(&server, "filtered").await;
    let filter = |body: Value| {
        let target = "/applications/filtered/eventFilter";
        ari_core::Request::from_http("PUT", target, Some(&body)).unwrap()
    };
    let hidden = filter(json!({"disallowed": [{"type": "RESTResponse"}]}));
    assert_eq!(simulator.request(&hidden).await.status, 200);
    send(&mut socket, "hidden", "POST", "bridges?bridgeId=b").await;
    // It is done nevertheless.
    timeout(LIMIT, async {
        while simulator.with_world(|world, _| world.bridge_count()) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert_eq!(simulator.request(&filter(json!({}))).await.status, 200);
    send(&mut socket, "seen", "GET", "asterisk/ping").await;
    assert_eq!(answer(&mut socket).await["transaction_id"], "seen");
}

#[tokio::test]
async fn frames_that_are_no_text_are_passed_over() {
    let (_simulator, server) = start().await;
    let mut socket = connect(&server, "binary").await;
    let request = json!({"type": "RESTRequest", "method": "GET", "uri": "channels"});
    let binary = Message::binary(request.to_string().into_bytes());
    socket.send(binary).await.unwrap();
    send(&mut socket, "text", "GET", "channels").await;
    assert_eq!(answer(&mut socket).await["transaction_id"], "text");
}

#[tokio::test]
async fn a_frame_may_have_65535_bytes_with_its_header() {
    let (_simulator, server) = start().await;
    let frame = |bytes: usize| {
        let request = json!({"type": "RESTRequest", "method": "GET", "uri": "channels", "x": ""});
        let request = request.to_string();
        let filling = "x".repeat(bytes - request.len());
        Message::text(request.replace("\"x\":\"\"", &format!("\"x\":\"{filling}\"")))
    };
    let mut socket = connect(&server, "large").await;
    socket.send(frame(65_527)).await.unwrap();
    assert_eq!(answer(&mut socket).await["status_code"], 200);
    for bytes in [65_528, 65_536, 200_000] {
        let mut socket = connect(&server, "large").await;
        // The other side may be gone before all of it is written.
        let _ = socket.send(frame(bytes)).await;
        loop {
            match timeout(LIMIT, socket.next()).await.unwrap() {
                Some(Ok(Message::Close(frame))) => {
                    assert_eq!(frame.unwrap().code, CloseCode::Size, "{bytes}");
                    break;
                }
                Some(Ok(_)) => {}
                other => panic!("{bytes}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_socket_that_was_replaced_can_ask_on() {
    let (_simulator, server) = start().await;
    let mut first = connect(&server, "shared,own").await;
    let mut second = connect(&server, "shared").await;
    let replaced = json_of(&next(&mut first).await);
    assert_eq!(replaced["type"], "ApplicationReplaced");
    assert_eq!(replaced["application"], "shared");
    for socket in [&mut first, &mut second] {
        send(socket, "ask", "GET", "applications/shared").await;
        let answer = answer(socket).await;
        assert_eq!(
            (&answer["status_code"], &answer["application"]),
            (&json!(200), &json!("shared"))
        );
    }
}
