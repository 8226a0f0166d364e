//! The wire layer without sockets: limits, bodies, parameters, users, origins.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use ari_core::Request;
use ari_sim::wire::{
    AriConfig, FrameOutcome, Handshake, HttpAnswer, HttpOutcome, HttpRequest, MAX_BODY, User,
};
use serde_json::{Value, json};

const ME: (&str, &str) = ("Authorization", "Basic ZGVtbzpzZWNyZXQ=");
const JSON: (&str, &str) = ("Content-Type", "application/json");
const FORM: (&str, &str) = (
    "Content-Type",
    "application/x-www-form-urlencoded; charset=utf-8",
);

fn config() -> AriConfig {
    AriConfig::new([
        User::new("demo", "secret"),
        User::new("reader", "secret").read_only(),
    ])
    .allowed_origins(["http://page.example"])
}

fn read(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpOutcome {
    config().read_http(&HttpRequest {
        method,
        target,
        headers,
        body: Some(body),
    })
}

fn refused(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> HttpAnswer {
    match read(method, target, headers, body) {
        HttpOutcome::Answer(answer) => answer,
        other => panic!("{method} {target}: {other:?}"),
    }
}

fn message(answer: &HttpAnswer) -> (u16, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    (answer.status, body["message"].as_str().unwrap().to_owned())
}

fn operation(method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
    match read(method, target, headers, body) {
        HttpOutcome::Operation(operation) => operation.request().clone(),
        other => panic!("{method} {target}: {other:?}"),
    }
}

fn parameters(request: &Request) -> Value {
    let parameters = request.parameters.iter();
    parameters
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

#[test]
fn what_is_too_long_is_refused() {
    let large = vec![b' '; MAX_BODY + 1];
    for kind in [JSON, FORM] {
        let answer = refused("POST", "/ari/bridges", &[ME, kind], &large);
        assert_eq!(message(&answer), (413, "Request body too large".to_owned()));
        assert!(answer.close);
    }
    // Of other types it is not read at all.
    operation(
        "POST",
        "/ari/bridges",
        &[ME, ("Content-Type", "text/plain")],
        &large,
    );
    let long = format!("/ari/channels?{}", "a".repeat(4_096));
    let answer = refused("GET", &long, &[ME], b"");
    assert_eq!((answer.status, answer.close), (400, true));
    assert!(String::from_utf8_lossy(&answer.body).contains("Request line too long"));
    let many = vec![("X", "y"); 101];
    assert_eq!(refused("GET", "/ari/channels", &many, b"").status, 413);
    let coded = [ME, ("Transfer-Encoding", "gzip")];
    assert_eq!(refused("GET", "/ari/channels", &coded, b"").status, 501);
}

#[test]
fn a_broken_body_is_refused_before_anybody_is_known() {
    for body in ["{", "\"text\"", "5", "{}x", "{\"a\":\"\\u0000\"}"] {
        let answer = refused("POST", "/ari/bridges", &[JSON], body.as_bytes());
        assert_eq!(
            message(&answer),
            (400, "Error parsing request body".to_owned()),
            "{body}"
        );
    }
    let answer = refused("POST", "/ari/bridges", &[JSON], b"{}");
    assert_eq!(
        message(&answer),
        (401, "Authentication required".to_owned())
    );
}

#[test]
fn who_may_only_read_is_told_so_first() {
    for (method, target, expected) in [
        ("POST", "/ari/bridges", "Write access denied"),
        ("HEAD", "/ari/bridges", "Write access denied"),
        ("POST", "/ari/nosuch/", "Write access denied"),
        ("GET", "/ari/nosuch", "Resource not found"),
    ] {
        let target = format!("{target}?api_key=reader:secret");
        assert_eq!(message(&refused(method, &target, &[], b"")).1, expected);
    }
    for key in [
        "",
        "api_key=reader",
        "api_key=reader:",
        "api_key=reader:x",
        "api_key=nobody:secret",
    ] {
        let answer = refused("GET", &format!("/ari/channels?{key}"), &[], b"");
        assert_eq!(answer.status, 401, "{key}");
    }
    // A form may carry the key as well; wrong credentials in the header are not made good by it.
    operation("POST", "/ari/bridges", &[FORM], b"api_key=demo:secret");
    let wrong = ("Authorization", "Basic eDp5");
    assert_eq!(
        refused("GET", "/ari/channels?api_key=demo:secret", &[wrong], b"").status,
        401
    );
}

#[test]
fn of_several_values_the_last_counts_and_the_body_before_all() {
    let target =
        "/ari/channels/a%2Fb/play?media=sound:a,sound:b&skipms=12x&lang=en&lang=de&nosuch=1";
    let request = operation(
        "POST",
        target,
        &[ME, JSON],
        br#"{"offsetms": 7, "lang": 5}"#,
    );
    let expected = json!({
        "channelId": "a/b", "media": ["sound:a", "sound:b"], "skipms": 12, "offsetms": 7,
    });
    assert_eq!(parameters(&request), expected);
    let request = operation(
        "POST",
        "/ari/channels/x/mute?direction=in",
        &[ME, FORM],
        b"direction=out",
    );
    assert_eq!(parameters(&request)["direction"], "in");
    let many = vec!["x"; 128].join(",");
    let answer = refused(
        "POST",
        &format!("/ari/bridges/b/addChannel?channel={many}"),
        &[ME],
        b"",
    );
    assert_eq!(
        message(&answer),
        (400, "Too many values for channel".to_owned())
    );
}

#[test]
fn a_page_of_an_allowed_origin_may_ask() {
    let origin = ("Origin", "http://page.example");
    let asks = ("Access-Control-Request-Method", "POST");
    let names = ("Access-Control-Request-Headers", "x-one");
    let answer = refused("OPTIONS", "/ari/channels", &[ME, origin, asks, names], b"");
    let header = |name: &str| answer.header_value(name);
    assert_eq!(answer.status, 204);
    assert_eq!(
        header("Access-Control-Allow-Origin"),
        Some("http://page.example")
    );
    assert_eq!(
        header("Access-Control-Allow-Methods"),
        Some("OPTIONS,GET,POST")
    );
    assert_eq!(header("Access-Control-Allow-Headers"), Some("x-one"));
    let other = ("Origin", "http://other.example");
    let answer = refused("OPTIONS", "/ari/channels", &[ME, other, asks], b"");
    assert_eq!(answer.headers, [("Allow", "OPTIONS,GET,POST".to_owned())]);
}

#[test]
fn paths_are_found_as_asterisk_finds_them() {
    for (target, status) in [
        ("/", 404),
        ("/arix", 404),
        ("/ARI", 405),
        ("/ari/", 405),
        ("/ari/channels/x/nosuch", 404),
        ("/ari/api-docs", 404),
        ("/ari/api-docs/../x", 404),
        ("/ari/api-docs/resources.json", 200),
    ] {
        assert_eq!(
            refused("GET", target, &[ME], b"").status,
            status,
            "{target}"
        );
    }
    let answer = refused("POST", "/ari/api-docs/channels.json", &[ME], b"");
    assert_eq!(message(&answer), (405, "Unsupported method".to_owned()));
    assert_eq!(
        operation("GET", "/ari/channels//x", &[ME], b"")
            .operation
            .name,
        "list"
    );
}

fn frame(socket: &Handshake, frame: &Value) -> FrameOutcome {
    config().read_frame(socket, frame.to_string().as_bytes())
}

#[test]
fn a_socket_is_let_in_by_what_it_was_opened_with() {
    let opening = |target: &str, header: (&str, &str)| {
        let headers = [
            header,
            ("Upgrade", "WebSocket"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Protocol", "x, ari"),
        ];
        match read("GET", target, &headers, b"") {
            HttpOutcome::Websocket(handshake) => handshake,
            other => panic!("{other:?}"),
        }
    };
    let write = json!({"type": "RESTRequest", "method": "POST", "uri": "bridges"});
    let me = opening("/ari/events?app=a,%20b&subscribeAll=yes", ME);
    assert_eq!(me.applications(), ["a", "b"]);
    assert_eq!((me.subscribes_to_all(), me.protocol()), (true, Some("ari")));
    assert!(matches!(frame(&me, &write), FrameOutcome::Operation(_)));
    let reader = opening("/ari/events?app=a&api_key=reader:secret", ("X", "y"));
    match frame(&reader, &write) {
        FrameOutcome::Answer(answer) => assert_eq!(answer.status, 403),
        other @ FrameOutcome::Operation(_) => panic!("{other:?}"),
    }
    assert!(!format!("{reader:?}").contains("secret"));
}

#[test]
fn a_file_does_not_go_over_a_socket() {
    let socket = Handshake::outbound(["a"], false, "demo", "secret");
    let get = json!({"type": "RESTRequest", "method": "GET", "uri": "recordings/stored/x/file"});
    let FrameOutcome::Operation(operation) = frame(&socket, &get) else {
        panic!("no operation");
    };
    let answer = operation.answer(ari_core::Response::new(200, "OK", "RIFF"));
    assert_eq!(
        (answer.status, &*answer.reason),
        (406, "Not Acceptable.  Use HTTP GET")
    );
    assert!(answer.body.is_empty());
}
