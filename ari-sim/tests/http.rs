//! The simulator's door for HTTP and WebSocket.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{net::SocketAddr, time::Duration};

use ari_sim::{Fault, Server, Simulator, WorldOptions};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message},
};

/// Longest wait for anything.
const LIMIT: Duration = Duration::from_secs(10);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Answer {
    status: u16,
    reason: String,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let line = self
            .head
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with(name))?;
        line.split_once(": ").map(|(_, value)| value)
    }
}

async fn start() -> (Simulator, Server) {
    let options = WorldOptions::default().every_sound(Duration::from_millis(20));
    let simulator = Simulator::builder()
        .options(options)
        .user("demo", "secret")
        .read_only_user("reader", "secret")
        .start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    (simulator, server)
}

/// Sends a request as `demo` and reads the answer.
async fn ask(server: &Server, method: &str, target: &str, body: Option<(&str, &str)>) -> Answer {
    ask_as(
        server.address(),
        "Authorization: Basic ZGVtbzpzZWNyZXQ=\r\n",
        method,
        target,
        body,
    )
    .await
    .unwrap()
}

async fn ask_as(
    address: SocketAddr,
    headers: &str,
    method: &str,
    target: &str,
    body: Option<(&str, &str)>,
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    let content = body.map_or_else(String::new, |(content_type, body)| {
        let length = body.len();
        format!("Content-Type: {content_type}\r\nContent-Length: {length}\r\n")
    });
    let body = body.map_or("", |(_, body)| body);
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n{headers}{content}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut answer))
        .await
        .unwrap()?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let mut line = head
        .lines()
        .next()
        .unwrap_or_default()
        .splitn(3, ' ')
        .skip(1);
    let status = line.next().unwrap_or_default().parse().unwrap();
    let reason = line.next().unwrap_or_default().to_owned();
    Ok(Answer {
        status,
        reason,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

async fn open(server: &Server, query: &str) -> Result<Socket, Error> {
    let url = format!(
        "ws://{}/ari/events?api_key=demo:secret&{query}",
        server.address()
    );
    let opened = timeout(LIMIT, connect_async(url)).await.unwrap();
    opened.map(|(socket, _)| socket)
}

async fn next_event(socket: &mut Socket) -> Value {
    loop {
        let message = timeout(LIMIT, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

#[tokio::test]
async fn a_call_over_http_and_websocket() {
    let (simulator, server) = start().await;
    let mut socket = open(&server, "app=shop&subscribeAll=false").await.unwrap();
    let order =
        json!({"script": {"application": "shop", "steps": [{"on": "heard", "press": "7"}]}})
            .to_string();
    let order = ask(
        &server,
        "POST",
        "/sim/calls",
        Some(("application/json", &order)),
    )
    .await;
    assert_eq!(order.json()["placed"], 1);

    let start = next_event(&mut socket).await;
    assert_eq!(
        (&start["type"], &start["application"]),
        (&json!("StasisStart"), &json!("shop"))
    );
    let id = start["channel"]["id"].as_str().unwrap().to_owned();
    assert_eq!(start["channel"]["name"], "PJSIP/phone-00000000");

    assert_eq!(
        ask(&server, "POST", &format!("/ari/channels/{id}/answer"), None)
            .await
            .status,
        204
    );
    assert_eq!(next_event(&mut socket).await["type"], "ChannelStateChange");
    let target = format!("/ari/channels/{id}/play?media=sound:hello-world&playbackId=pb%2F1");
    let played = ask(&server, "POST", &target, None).await;
    assert_eq!(
        (played.status, played.header("location")),
        (201, Some("/ari/playbacks/pb%2F1"))
    );
    for kind in ["PlaybackStarted", "PlaybackFinished", "ChannelDtmfReceived"] {
        assert_eq!(next_event(&mut socket).await["type"], kind);
    }
    assert_eq!(
        ask(&server, "DELETE", &format!("/ari/channels/{id}"), None)
            .await
            .status,
        204
    );
    // How good the media was.
    for _ in 0..5 {
        assert_eq!(next_event(&mut socket).await["type"], "ChannelVarset");
    }
    for kind in ["ChannelHangupRequest", "StasisEnd"] {
        assert_eq!(next_event(&mut socket).await["type"], kind);
    }
    timeout(LIMIT, simulator.calls_ended()).await.unwrap();
    let records = ask(&server, "GET", "/sim/calls", None).await.json();
    assert_eq!(
        (&records[0]["digits_taken"], &records[0]["hung_up_by"]),
        (&json!("7"), &json!("application"))
    );
    let left = ask(&server, "GET", "/sim/channels", None).await.json();
    assert_eq!(left, json!({"channels": 0, "bridges": 0, "websockets": 1}));
}

#[tokio::test]
async fn phones_are_set_from_outside() {
    let (_simulator, server) = start().await;
    let set = |name: &'static str, setting: Value| {
        let server = &server;
        async move {
            let (target, setting) = (format!("/sim/endpoints/{name}"), setting.to_string());
            ask(server, "PUT", &target, Some(("application/json", &setting))).await
        }
    };
    let socket = open(&server, "app=desk").await.unwrap();
    let carol = "/ari/endpoints/PJSIP/carol";
    assert_eq!(ask(&server, "GET", carol, None).await.status, 404);
    let busy = set("carol", json!({"refuses": 17, "rings": false})).await;
    assert_eq!(
        (busy.status, busy.json()),
        (200, json!({"endpoint": "PJSIP/carol"}))
    );
    assert_eq!(ask(&server, "GET", carol, None).await.status, 200);
    let mut socket = socket;
    let call = "/ari/channels?endpoint=PJSIP/carol&app=desk";
    assert_eq!(ask(&server, "POST", call, None).await.status, 200);
    loop {
        let event = next_event(&mut socket).await;
        if event["type"] == "ChannelDestroyed" {
            assert_eq!(event["cause"], 17);
            break;
        }
    }
    for wrong in [
        json!({"refuses": 17, "answers_after_ms": 1}),
        json!({"busy": true}),
        json!([]),
    ] {
        assert_eq!(set("carol", wrong).await.status, 400);
    }
    for wrong in [
        json!({}),
        json!({"application": "desk", "extension": "1000"}),
        json!({"application": "desk", "steps": [{"on": "placed", "press": "x"}]}),
    ] {
        let order = json!({ "script": wrong }).to_string();
        let order = ask(
            &server,
            "POST",
            "/sim/calls",
            Some(("application/json", &order)),
        )
        .await;
        assert_eq!(order.status, 400, "{}", order.body);
    }
}

#[tokio::test]
async fn an_order_without_end_is_not_read() {
    let (simulator, server) = start().await;
    let order = format!(
        "{{\"script\": {{\"application\": \"shop\"}}{}}}",
        " ".repeat(4 << 20)
    );
    let head = format!(
        "POST /sim/calls HTTP/1.1\r\nHost: sim\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        order.len()
    );
    let (mut answer, mut asked) = TcpStream::connect(server.address())
        .await
        .unwrap()
        .into_split();
    let mut status = [0; 12];
    let (written, read) = timeout(LIMIT, async {
        tokio::join!(
            async {
                asked.write_all(head.as_bytes()).await?;
                asked.write_all(order.as_bytes()).await
            },
            answer.read_exact(&mut status)
        )
    })
    .await
    .unwrap();
    // It may be refused before all of it is written.
    drop(written);
    read.unwrap();
    assert_eq!(&status, b"HTTP/1.1 413");
    assert_eq!(simulator.call_totals().placed, 0);
}

#[tokio::test]
async fn what_is_wrong_is_refused_as_asterisk_refuses_it() {
    let (_simulator, server) = start().await;
    let json_type = "application/json";
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(50_000));
    for (method, target, body, status, message) in [
        (
            "GET",
            "/ari/channels/",
            None,
            404,
            "ARI URLs do not end with a slash. Try /ari/channels",
        ),
        ("GET", "/ari/nosuch", None, 404, "Resource not found"),
        ("GET", "/ari", None, 405, "Invalid method"),
        ("PATCH", "/ari/channels", None, 405, "Invalid method"),
        ("GET", "/ari/channels/a%2Fb", None, 404, "Channel not found"),
        ("GET", "/ari/channels/%zz", None, 404, "Channel not found"),
        (
            "GET",
            "/ari/recordings/stored/sub/one",
            None,
            404,
            "Resource not found",
        ),
        (
            "POST",
            "/ari/bridges",
            Some((json_type, "{\"bridgeId\":")),
            400,
            "Error parsing request body",
        ),
        (
            "POST",
            "/ari/bridges",
            Some((json_type, &*large)),
            413,
            "Request body too large",
        ),
    ] {
        let answer = ask(&server, method, target, body).await;
        assert_eq!(
            (answer.status, &answer.json()["message"]),
            (status, &json!(message)),
            "{method} {target}"
        );
    }
    let gone = ask(&server, "GET", "/ari/channels/x/variable?variable=X", None).await;
    assert_eq!((gone.status, &*gone.reason), (404, "Channel Not Found"));
    let not_allowed = ask(&server, "GET", "/ari/channels/x/answer", None).await;
    assert_eq!(not_allowed.header("allow"), Some("OPTIONS,POST"));
    let options = ask(&server, "OPTIONS", "/ari/channels/x", None).await;
    assert_eq!(
        (options.status, options.header("allow")),
        (204, Some("OPTIONS,GET,POST,DELETE"))
    );
}

#[tokio::test]
async fn users_are_known_by_name_and_password() {
    let (_simulator, server) = start().await;
    let address = server.address();
    for headers in [
        "",
        "Authorization: Basic ZGVtbzp3cm9uZw==\r\n",
        "Authorization: Bearer x\r\n",
    ] {
        let refused = ask_as(address, headers, "GET", "/ari/channels", None)
            .await
            .unwrap();
        assert_eq!(refused.status, 401);
        assert_eq!(
            refused.header("www-authenticate"),
            Some("Basic realm=\"Asterisk REST Interface\"")
        );
    }
    let by_key = ask_as(
        address,
        "",
        "GET",
        "/ari/channels?api_key=reader:secret",
        None,
    )
    .await
    .unwrap();
    assert_eq!((by_key.status, &*by_key.body), (200, "[]"));
    let writes = ask_as(
        address,
        "",
        "POST",
        "/ari/bridges?api_key=reader:secret",
        None,
    )
    .await
    .unwrap();
    assert_eq!(
        (writes.status, writes.json()["message"].as_str()),
        (403, Some("Write access denied"))
    );
}

#[tokio::test]
async fn parameters_come_by_query_form_and_json() {
    let (_simulator, server) = start().await;
    let form = (
        "application/x-www-form-urlencoded",
        "bridgeId=form&name=x+y",
    );
    assert_eq!(
        ask(&server, "POST", "/ari/bridges", Some(form))
            .await
            .json()["name"],
        "x y"
    );
    let body = ("application/json", "{\"bridgeId\":\"json\",\"name\":\"n\"}");
    assert_eq!(
        ask(&server, "POST", "/ari/bridges", Some(body))
            .await
            .json()["id"],
        "json"
    );
    let plain = ("text/plain", "bridgeId=plain");
    assert_ne!(
        ask(&server, "POST", "/ari/bridges", Some(plain))
            .await
            .json()["id"],
        "plain"
    );
    assert_eq!(
        ask(&server, "GET", "/ari/bridges", None)
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        3
    );
}

#[tokio::test]
async fn upgrades_without_application_user_or_upgrade_are_refused() {
    let (_simulator, server) = start().await;
    let status = |result: Result<Socket, Error>| match result {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        other => panic!("{other:?}"),
    };
    assert_eq!(status(open(&server, "").await), 400);
    assert_eq!(status(open(&server, "app=").await), 400);
    let url = format!("ws://{}/ari/events?app=x", server.address());
    assert_eq!(
        status(connect_async(url).await.map(|(socket, _)| socket)),
        401
    );
    assert_eq!(
        ask(&server, "GET", "/ari/events?app=x", None).await.status,
        426
    );
}

#[tokio::test]
async fn a_close_is_answered_and_the_application_is_gone() {
    let (simulator, server) = start().await;
    let mut socket = open(&server, "app=a,b").await.unwrap();
    assert!(simulator.with_world(|world, _| world.is_connected("a") && world.is_connected("b")));
    socket.send(Message::Ping(vec![1].into())).await.unwrap();
    assert_eq!(
        timeout(LIMIT, socket.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap(),
        Message::Pong(vec![1].into())
    );
    socket.close(None).await.unwrap();
    assert!(matches!(
        timeout(LIMIT, socket.next()).await.unwrap(),
        Some(Ok(Message::Close(_)))
    ));
    assert!(timeout(LIMIT, socket.next()).await.unwrap().is_none());
    assert_eq!(
        ask(&server, "GET", "/ari/applications", None).await.body,
        "[]"
    );
}

#[tokio::test]
async fn websockets_are_cut_without_a_goodbye() {
    let (simulator, server) = start().await;
    let mut socket = open(&server, "app=a").await.unwrap();
    simulator.inject(Fault::DropSockets).unwrap();
    assert!(matches!(
        timeout(LIMIT, socket.next()).await.unwrap(),
        Some(Err(_))
    ));

    let mut socket = open(&server, "app=a").await.unwrap();
    let address = server.address();
    server.stop().await;
    assert!(matches!(
        timeout(LIMIT, socket.next()).await.unwrap(),
        Some(Err(_))
    ));
    assert!(TcpStream::connect(address).await.is_err());
    let server = simulator.serve(address).await.unwrap();
    assert_eq!(
        ask(&server, "GET", "/ari/asterisk/ping", None).await.json()["ping"],
        "pong"
    );
}

#[tokio::test]
async fn faults_come_on_demand() {
    let (simulator, server) = start().await;
    for fault in [Fault::status(503), Fault::MalformedJson, Fault::Reset] {
        simulator.inject(fault.once()).unwrap();
    }
    assert_eq!(
        ask(&server, "GET", "/ari/asterisk/ping", None).await.status,
        503
    );
    assert_eq!(
        ask(&server, "GET", "/ari/asterisk/ping", None).await.body,
        "{garbage"
    );
    let headers = "Authorization: Basic ZGVtbzpzZWNyZXQ=\r\n";
    let reset = ask_as(
        server.address(),
        headers,
        "POST",
        "/ari/bridges?bridgeId=done",
        None,
    )
    .await;
    assert!(reset.is_err());
    assert_eq!(
        ask(&server, "GET", "/ari/bridges/done", None).await.status,
        200
    );
}

#[tokio::test]
async fn a_websocket_that_does_not_read_is_dropped_and_holds_nobody_up() {
    let options = WorldOptions::default();
    let simulator = Simulator::builder()
        .options(options)
        .user("demo", "secret")
        .socket_queue(16)
        .start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let _slow = open(&server, "app=slow").await.unwrap();
    let event = format!("{{\"type\":\"Big\",\"data\":\"{}\"}}", "x".repeat(60_000));
    let dropped = async {
        while simulator.websocket_count() > 0 {
            simulator.inject_event("slow", event.clone());
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, dropped).await.unwrap();
    assert_eq!(
        ask(&server, "GET", "/ari/applications", None).await.body,
        "[]"
    );
}
