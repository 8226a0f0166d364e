//! The recorder.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, channel},
    time::Duration,
};

use ari_sim::{Fault, RecordError, Recorder, Server, Simulator, WorldOptions};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::client::{LIMIT, Memory, ask, ask_as, ends, events_until, open};

async fn simulated() -> (Simulator, Server) {
    let options = WorldOptions::default().every_sound(Duration::from_millis(20));
    let simulator = Simulator::builder()
        .options(options)
        .user("demo", "secret")
        .read_only_user("reader", "hidden")
        .start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    (simulator, server)
}

async fn recorder(upstream: SocketAddr, file: &Memory) -> Recorder {
    Recorder::builder(format!("http://demo:secret@{upstream}/ari"))
        .scenario("shop")
        .title("A call")
        .start(([127, 0, 0, 1], 0), file.clone())
        .await
        .unwrap()
}

fn exchanges(lines: &[Value]) -> Vec<&Value> {
    lines.iter().filter_map(|line| line.get("http")).collect()
}

fn check_header(header: &Value) {
    assert_eq!(header["scenario"], "shop");
    assert_eq!(header["title"], "A call");
    assert_eq!(header["app"], "shop");
    assert_eq!(header["runs"], 1);
    assert!(
        header["asterisk"].as_str().unwrap().starts_with("22."),
        "{header}"
    );
    for name in [
        "description",
        "transport",
        "topic",
        "dialplan",
        "generated_ids",
        "unordered",
        "not_always",
        "varies",
    ] {
        assert!(header.get(name).is_some(), "{name}");
    }
}

#[tokio::test]
async fn a_call_is_written_down_line_by_line() {
    let (_simulator, server) = simulated().await;
    let file = Memory::default();
    let recorder = recorder(server.address(), &file).await;
    let address = recorder.address();

    let mut socket = open(address, "app=shop&subscribeAll=true").await.unwrap();
    let originate = "/ari/channels?endpoint=Local/app-shop@default&context=default&extension=1014&priority=1\
        &callerId=%22Ann%22+%3C5551%3E&channelId=caller&otherChannelId=in";
    let originated = ask(address, "POST", originate).await;
    assert_eq!(originated.status, 200);
    let mut events = events_until(&mut socket, "StasisStart").await;
    let answered = ask(address, "POST", "/ari/channels/in/answer").await;
    assert_eq!((answered.status, &*answered.reason), (204, "No Content"));
    let body = json!({"variables": {"A": "1", "B": "x"}}).to_string();
    let body = Some(("application/json", &*body));
    let set = ask_as(
        address,
        "demo:secret",
        "POST",
        "/ari/channels/in/variables",
        body,
    )
    .await;
    set.unwrap();
    let played = ask(
        address,
        "POST",
        "/ari/channels/in/play/p1?media=sound:hello-world",
    )
    .await;
    assert_eq!(played.status, 201);
    events.extend(events_until(&mut socket, "PlaybackFinished").await);
    ask(address, "DELETE", "/ari/channels/in").await;
    events.extend(events_until(&mut socket, "StasisEnd").await);
    let unknown = ask(address, "GET", "/ari/channels/in?api_key=demo:secret").await;
    assert_eq!(unknown.status, 404);
    socket.close(None).await.unwrap();
    ends(&mut socket).await;
    drop(socket);
    recorder.stop().await.unwrap();

    let lines = file.lines();
    check_header(&lines[0]);
    let opened = json!({"name": "ws", "action": "open", "query": {"app": "shop", "subscribeAll": "true"}, "status": 101});
    assert_eq!(lines[1]["socket"], opened);
    assert_eq!(lines[1]["step"], 1);

    let exchanges = exchanges(&lines);
    assert_eq!(exchanges.len(), 6);
    let first = exchanges[0];
    assert_eq!(first["path"], "/ari/channels");
    assert_eq!(first["query"]["callerId"], "\"Ann\" <5551>");
    assert_eq!(first["body"], Value::Null);
    assert_eq!(first["response"], originated.json());
    assert_eq!(exchanges[1]["response"], Value::Null);
    assert_eq!(exchanges[1]["reason"], "No Content");
    assert_eq!(exchanges[2]["body"]["variables"]["B"], "x");
    assert_eq!(
        exchanges[3]["headers"],
        json!({"Location": "/ari/playbacks/p1"})
    );
    assert_eq!(exchanges[5]["query"], json!({}));
    assert_eq!(exchanges[5]["status"], 404);
    assert!(exchanges.iter().all(|http| http.get("auth").is_none()));

    let told: Vec<_> = lines
        .iter()
        .filter_map(|line| line.get("event").cloned())
        .collect();
    assert!(told.len() >= events.len());
    assert_eq!(told[..events.len()], events);
    assert!(
        lines
            .iter()
            .filter(|line| line.get("event").is_some())
            .all(|line| line.get("socket").is_none())
    );
    let steps: Vec<_> = lines
        .iter()
        .filter_map(|line| line["step"].as_u64())
        .collect();
    assert_eq!(steps, (1..=8).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap()["socket"]["action"], "close");
    let times: Vec<_> = lines[1..]
        .iter()
        .map(|line| line["t_ms"].as_f64().unwrap())
        .collect();
    assert!(times.is_sorted(), "{times:?}");
    assert!(
        lines[1..]
            .iter()
            .all(|line| line["t_sent_ms"].as_f64() <= line["t_ms"].as_f64())
    );
    assert!(!file.text().contains("secret"));
}

#[tokio::test]
async fn who_asks_is_named_where_it_is_somebody_else() {
    let (_simulator, server) = simulated().await;
    let file = Memory::default();
    let recorder = recorder(server.address(), &file).await;
    let address = recorder.address();
    for (user, status) in [
        ("demo:secret", 200),
        ("reader:hidden", 200),
        ("demo:wrong", 401),
        ("", 401),
    ] {
        let answer = ask_as(address, user, "GET", "/ari/channels", None)
            .await
            .unwrap();
        assert_eq!(answer.status, status, "{user}");
    }
    let refused = open(address, "").await.unwrap_err();
    assert!(matches!(refused, Error::Http(answer) if answer.status() == 400));
    recorder.stop().await.unwrap();
    let lines = file.lines();
    let told: Vec<_> = exchanges(&lines)
        .iter()
        .map(|http| http.get("auth").cloned())
        .collect();
    assert_eq!(
        told,
        [
            None,
            Some(json!("reader")),
            Some(json!("demo:***")),
            Some(Value::Null)
        ]
    );
    assert_eq!(
        exchanges(&lines)[3]["headers"]["WWW-Authenticate"],
        "Basic realm=\"Asterisk REST Interface\""
    );
    let socket = &lines.last().unwrap()["socket"];
    assert_eq!(socket["status"], 400);
    assert!(
        socket["response"]
            .as_str()
            .unwrap()
            .contains("missing param: [app]"),
        "{socket}"
    );
    for secret in ["secret", "hidden", "wrong"] {
        assert!(!file.text().contains(secret), "{secret}");
    }
}

#[tokio::test]
async fn sockets_are_told_apart_and_their_ends_are_told() {
    let (simulator, server) = simulated().await;
    let file = Memory::default();
    let recorder = recorder(server.address(), &file).await;
    let address = recorder.address();
    let mut first = open(address, "app=one").await.unwrap();
    let second = open(address, "app=one").await.unwrap();
    events_until(&mut first, "ApplicationReplaced").await;
    drop(second);
    wait_for(&file, "\"action\":\"drop (TCP closed").await;
    simulator.inject(Fault::DropSockets).unwrap();
    ends(&mut first).await;
    wait_for(&file, "Asterisk dropped the websocket ws").await;
    recorder.stop().await.unwrap();

    let lines = file.lines();
    let replaced = lines
        .iter()
        .find(|line| line["event"]["type"] == "ApplicationReplaced")
        .unwrap();
    assert_eq!(replaced["socket"], "ws");
    let dropped = lines
        .iter()
        .find(|line| {
            line["socket"]["action"]
                .as_str()
                .is_some_and(|action| action.starts_with("drop"))
        })
        .unwrap();
    assert_eq!(dropped["socket"]["name"], "ws2");
    assert_eq!(
        lines.last().unwrap()["closed"],
        json!({"name": "ws", "code": null})
    );
}

async fn wait_for(file: &Memory, text: &str) {
    let found = async {
        while !file.text().contains(text) {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, found).await.unwrap();
}

/// A peer that speaks as it likes after it has let one client in.
async fn peer() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// Takes a connection and reads what is asked, to the end of its head.
async fn asked(listener: &TcpListener) -> (TcpStream, String) {
    loop {
        let (mut stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut head = Vec::new();
        // The recorder looks whether somebody is there, and asks nothing.
        while let Ok(byte) = stream.read_u8().await {
            head.push(byte);
            if head.ends_with(b"\r\n\r\n") {
                return (stream, String::from_utf8(head).unwrap());
            }
        }
    }
}

#[tokio::test]
async fn all_bytes_pass_as_they_are() {
    let (listener, upstream) = peer().await;
    let file = Memory::default();
    let recorder = Recorder::builder(format!("http://{upstream}"))
        .start(([127, 0, 0, 1], 0), file.clone())
        .await
        .unwrap();
    let address = recorder.address();

    // A file, in chunks, with a reason and headers of its own.
    let serve = async {
        let (mut stream, head) = asked(&listener).await;
        assert!(
            head.starts_with("GET /ari/x%2Fy?a=%20 HTTP/1.1\r\n"),
            "{head}"
        );
        let answer = b"HTTP/1.1 200 All Right\r\nContent-Type: audio/wav\r\nX-Own: 1\r\nTransfer-Encoding: chunked\r\n\r\n\
            4\r\nRIFF\r\n3\r\n\x00\xff\x01\r\n0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    };
    let (answer, ()) = tokio::join!(ask(address, "GET", "/ari/x%2Fy?a=%20"), serve);
    assert_eq!((answer.status, &*answer.reason), (200, "All Right"));
    assert_eq!(answer.header("x-own"), Some("1"));
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(body.contains("RIFF"), "{body}");

    // A connection that breaks off is one for the client, too.
    let serve = async {
        drop(asked(&listener).await);
    };
    let (answer, ()) = tokio::join!(ask_as(address, "", "POST", "/ari/channels", None), serve);
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    drop(listener);
    let answer = ask_as(address, "", "POST", "/ari/bridges", None).await;
    assert_eq!(answer.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    recorder.stop().await.unwrap();

    let lines = file.lines();
    let http = &lines[1]["http"];
    assert_eq!(http["path"], "/ari/x%2Fy");
    assert_eq!(http["query"], json!({"a": " "}));
    assert_eq!(http["reason"], "All Right");
    assert_eq!(http["response"], "<7 bytes of audio/wav>");
    assert_eq!(http["headers"], json!({"Content-Type": "audio/wav"}));
    let notes: Vec<_> = lines
        .iter()
        .filter_map(|line| line["note"].as_str())
        .collect();
    assert!(
        notes[0].starts_with("POST /ari/channels: Asterisk broke the connection off"),
        "{notes:?}"
    );
    assert!(
        notes[1].starts_with("POST /ari/bridges: Asterisk cannot be reached"),
        "{notes:?}"
    );
}

#[tokio::test]
async fn frames_pass_in_both_directions() {
    let (listener, upstream) = peer().await;
    let file = Memory::default();
    let start = Recorder::builder(format!("http://demo:secret@{upstream}/ari"))
        .start(([127, 0, 0, 1], 0), file.clone());
    let version = async {
        let (mut stream, _) = asked(&listener).await;
        let answer =
            b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n{\"system\":{\"version\":\"20.1.0\"}}";
        stream.write_all(answer).await.unwrap();
    };
    let both = async { tokio::join!(start, version) };
    let (recorder, ()) = timeout(LIMIT, both).await.unwrap();
    let recorder = recorder.unwrap();
    let serve = async {
        let (stream, _) = timeout(LIMIT, listener.accept()).await.unwrap().unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.send(Message::Ping("p".into())).await.unwrap();
        let mut request = Message::text("");
        for _ in 0..2 {
            match socket.next().await.unwrap().unwrap() {
                Message::Pong(payload) => assert_eq!(payload, "p"),
                other => request = other,
            }
        }
        assert!(request.to_text().unwrap().contains("api_key=demo:secret"));
        let answer = r#"{"type": "RESTResponse", "transaction_id": "1", "status_code": 200}"#;
        socket.send(Message::text(answer)).await.unwrap();
        socket.send(Message::text("no json")).await.unwrap();
        let bye = CloseFrame {
            code: CloseCode::Restart,
            reason: "later".into(),
        };
        socket.close(Some(bye)).await.unwrap();
        ends(&mut socket).await;
    };
    let client = async {
        let mut socket = open(recorder.address(), "app=one").await.unwrap();
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::Ping("p".into())
        );
        let request = r#"{"type":"RESTRequest", "uri":"channels?api_key=demo:secret"}"#;
        socket.send(Message::text(request)).await.unwrap();
        assert!(
            socket
                .next()
                .await
                .unwrap()
                .unwrap()
                .to_text()
                .unwrap()
                .contains("RESTResponse")
        );
        assert_eq!(
            socket.next().await.unwrap().unwrap(),
            Message::text("no json")
        );
        let Some(Ok(Message::Close(Some(bye)))) = socket.next().await else {
            panic!("there is no close frame");
        };
        assert_eq!((bye.code, &*bye.reason), (CloseCode::Restart, "later"));
        ends(&mut socket).await;
    };
    let both = async { tokio::join!(serve, client) };
    timeout(LIMIT, both).await.unwrap();
    recorder.stop().await.unwrap();
    let lines = file.lines();
    assert_eq!(lines[0]["asterisk"], "20.1.0");
    assert_eq!(lines[2]["rest"]["request"]["uri"], "channels?api_key=***");
    assert_eq!(lines[2]["step"], 2);
    assert_eq!(lines[3]["rest"]["response"]["status_code"], 200);
    assert_eq!(lines[3]["step"], 2);
    assert_eq!(lines[4]["note"], "Asterisk sent what is no event: no json");
    assert_eq!(lines[5]["closed"], json!({"name": "ws", "code": 1012}));
    assert_eq!(lines.len(), 6);
}

/// A file that takes a line only when it is told to.
struct Slow(Receiver<()>, Memory);

impl io::Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.recv().map_err(io::Error::other)?;
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_file_loses_no_line_and_a_full_one_ends_it() {
    let (_simulator, server) = simulated().await;
    let (go, wait) = channel();
    let file = Memory::default();
    let url = format!("http://demo:secret@{}/ari", server.address());
    let recorder = Recorder::builder(url)
        .start(([127, 0, 0, 1], 0), Slow(wait, file.clone()))
        .await
        .unwrap();
    for _ in 0..20 {
        assert_eq!(
            ask(recorder.address(), "GET", "/ari/asterisk/ping")
                .await
                .status,
            200
        );
    }
    for _ in 0..20 {
        go.send(()).unwrap();
    }
    let all = async {
        while exchanges(&file.lines()).len() < 20 {
            tokio::task::yield_now().await;
        }
    };
    timeout(LIMIT, all).await.unwrap();
    // The next line cannot be written.
    drop(go);
    ask(recorder.address(), "GET", "/ari/asterisk/ping").await;
    timeout(LIMIT, recorder.failed()).await.unwrap();
    let answer = ask_as(recorder.address(), "", "GET", "/ari/asterisk/ping", None).await;
    assert!(answer.is_err(), "what cannot be recorded does not pass");
    assert!(recorder.stop().await.is_err());
}

#[tokio::test]
async fn what_cannot_be_recorded_is_said() {
    let (simulator, server) = simulated().await;
    let here = server.address();
    let start = |url: String| Recorder::builder(url).start(([127, 0, 0, 1], 0), io::sink());
    let error = start(format!("http://demo:wrong@{here}/ari"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, RecordError::Refused { status: 401, .. }),
        "{error}"
    );
    assert!(!format!("{error:?} {error}").contains("wrong"));
    simulator.inject(Fault::status(503).once()).unwrap();
    let recorder = start(format!("http://demo:secret@{here}/ari"))
        .await
        .unwrap();
    recorder.stop().await.unwrap();
    server.stop().await;
    let error = start(format!("http://demo:secret@{here}/ari"))
        .await
        .unwrap_err();
    assert!(matches!(error, RecordError::Unreachable { .. }), "{error}");
    let error = start("https://demo:hot@pbx/ari".to_owned())
        .await
        .unwrap_err();
    assert!(matches!(error, RecordError::Url(_)), "{error}");
    assert!(!format!("{error:?} {error}").contains("hot"));
    assert!(!format!("{:?}", Recorder::builder("http://demo:hot@pbx")).contains("hot"));
}

#[tokio::test]
async fn an_asterisk_that_does_not_say_who_it_is_holds_nobody_up() {
    let (listener, upstream) = peer().await;
    let start = Recorder::builder(format!("http://demo:secret@{upstream}/ari"))
        .start(([127, 0, 0, 1], 0), io::sink());
    let serve = async {
        let (mut stream, _) = asked(&listener).await;
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n";
        stream.write_all(head).await.unwrap();
        // From here on nothing but time can pass.
        tokio::time::pause();
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        started = timeout(Duration::from_mins(1), start) => started.unwrap().unwrap_err(),
        () = serve => return,
    };
    assert!(matches!(error, RecordError::Unreachable { .. }), "{error}");
}
