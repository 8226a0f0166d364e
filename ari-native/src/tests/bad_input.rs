//! What a server may send and must not: each an error of its own call, and of nothing else.

use ari_core::{
    ConnectionState, Error, StreamItem,
    events::{ChannelDtmfReceived, StasisStart},
};
use futures::StreamExt;

use super::{
    connected,
    events::send,
    next,
    server::{Reply, Server},
    to,
};

const GET: &str = "GET /channels/c1";
const ANSWER: &str = "POST /channels/c1/answer";
const LIST: &str = "GET /channels";

/// An error page of a proxy.
const PAGE: &str = "<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>";

/// Answers that nobody can make a channel of, and what the error has to show of them.
const UNDECODABLE: [(&str, &str); 10] = [
    ("null", "null"),
    ("", "nothing came"),
    ("{}", "{}"),
    ("[]", "[]"),
    (r#""c1""#, r#""c1""#),
    (r#"{"id":null}"#, r#"{"id":null}"#),
    (r#"{"id":"c1","caller":7}"#, r#""caller":7"#),
    (r#"{"id":"c1","name":{}}"#, "at name"),
    (r#"{"id":"c1","na"#, r#"{"id":"c1","na"#),
    (PAGE, "<!DOCTYPE html>"),
];

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_channel_is_an_error_that_shows_it() {
    let (ari, server) = connected().await;
    let dialed = server.dialed();
    for (body, shown) in UNDECODABLE {
        server.on(GET, Reply::Answer("200 OK", body));
        let error = ari.channels().get("c1").await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{body}: {error}");
        let said = error.to_string();
        assert!(
            said.starts_with("cannot decode the answer to GET /channels/{channelId}")
                && said.contains(shown),
            "{body}: {said}"
        );
    }
    for body in ["null", "{}", "7", "[7]", "[", PAGE] {
        server.on(LIST, Reply::Answer("200 OK", body));
        let error = ari.channels().list().await.unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("cannot decode the answer to GET /channels"),
            "{body}: {error}"
        );
    }
    assert_eq!(server.dialed(), dialed, "the connection goes on");
}

#[tokio::test(start_paused = true)]
async fn a_page_in_place_of_an_empty_answer_is_no_success() {
    let (ari, server) = connected().await;
    server.on(ANSWER, Reply::Answer("200 OK", PAGE));
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the answer to POST /channels/{channelId}/answer")
            && error.to_string().contains("502 Bad Gateway"),
        "{error}"
    );
    for fine in ["", "{}", "null"] {
        server.on(ANSWER, Reply::Answer("200 OK", fine));
        ari.channels().handle("c1").answer().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_staged_creation_that_is_answered_with_no_channel_is_no_success() {
    let (ari, server) = connected().await;
    for body in [PAGE, "", "null", "{}", r#"{"id":"c1","na"#] {
        let id = ari_core::fresh_id();
        let originate = ari.channels().originate("PJSIP/alice").channel_id(&id);
        server.on("POST /channels", Reply::Answer("200 OK", body));
        let plain = originate.clone().await;
        server.on("POST /channels", Reply::Answer("200 OK", body));
        let staged = originate.staged().await.unwrap().send().await;
        assert_eq!(
            plain.as_ref().map(|_| ()).map_err(ToString::to_string),
            staged.as_ref().map(|_| ()).map_err(ToString::to_string),
            "{body}: a staged creation judges the answer as a plain one does"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_of_what_has_no_id_is_an_error_that_shows_it() {
    let (ari, server) = connected().await;
    for body in ["[{}]", r#"[{"id":null}]"#, r#"[{"id":"c1"},{"id":""}]"#] {
        server.on(LIST, Reply::Answer("200 OK", body));
        let listed = ari.channels().list().await;
        let ids = listed.map(|listed| {
            let ids = listed.items.iter().map(|channel| channel.id().to_owned());
            ids.collect::<Vec<_>>()
        });
        assert!(
            ids.as_ref()
                .map_or(true, |ids| !ids.contains(&String::new())),
            "{body}: {ids:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn pages_and_redirects_are_refusals_that_show_what_came() {
    let (ari, server) = connected().await;
    for (status, code) in [
        ("502 Bad Gateway", 502),
        ("404 Not Found", 404),
        ("301 Moved Permanently", 301),
    ] {
        server.on(ANSWER, Reply::Answer(status, PAGE));
        let error = ari.channels().handle("c1").answer().await.unwrap_err();
        assert_eq!(error.status(), Some(code));
        assert_eq!(
            error.to_string(),
            format!("POST /channels/{{channelId}}/answer was refused: {status}, and this: {PAGE}")
        );
    }
    let redirect =
        b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    server.on(GET, Reply::Raw(redirect));
    let error = ari.channels().get("c1").await.unwrap_err();
    assert_eq!(error.status(), Some(302));
    assert_eq!(server.seen().len(), 4, "nobody goes elsewhere");
}

/// Answers that are not even HTTP, or not all of it; the connection is of no use after them.
const BROKEN: [&[u8]; 9] = [
    b"",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\":",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"id",
    b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n{}",
    b"\x15\x03\x03\x00\x02\x02\x0a",
    b"SSH-2.0-OpenSSH_9.2\r\n",
];

#[tokio::test(start_paused = true)]
async fn what_is_not_http_or_not_all_of_it_leaves_the_outcome_unknown() {
    let (ari, server) = connected().await;
    for bytes in BROKEN {
        server.on(ANSWER, Reply::Cut(bytes));
        let error = ari.channels().handle("c1").answer().await.unwrap_err();
        let (said, shown) = (error.to_string(), ari_core::sample(bytes));
        assert!(error.outcome_unknown(), "{shown}: {said}");
        assert!(
            said.contains("POST /channels/{channelId}/answer"),
            "{shown}: {said}"
        );
        assert!(
            bytes.is_empty() || said.ends_with(&format!("; it began with: {shown}")),
            "{shown}: {said}"
        );
        server.on(ANSWER, Reply::Answer("204 No Content", ""));
        ari.channels().handle("c1").answer().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_go_on_or_switch_protocols_serve_nothing_else() {
    let (ari, server) = connected().await;
    let strange: [&[u8]; 5] = [
        b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n[7]",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
    ];
    for bytes in strange {
        let reply = if bytes.starts_with(b"HTTP/1.0") {
            Reply::Cut(bytes)
        } else {
            Reply::Raw(bytes)
        };
        server
            .on(ANSWER, reply)
            .on(LIST, Reply::Answer("200 OK", "[]"));
        let outcome = ari.channels().handle("c1").answer().await;
        assert_eq!(
            outcome.is_ok(),
            !bytes.starts_with(b"HTTP/1.1 101"),
            "{outcome:?}"
        );
        assert!(ari.channels().list().await.unwrap().items.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_an_end_is_cut_off() {
    let (ari, server) = connected().await;
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)).into_bytes();
    server.on(ANSWER, Reply::Raw(endless.leak()));
    let error = ari.channels().handle("c1").answer().await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert!(error.to_string().len() < 1_000, "{error}");
    server.on(ANSWER, Reply::Answer("204 No Content", ""));
    ari.channels().handle("c1").answer().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_bad_answer_concerns_no_other_call_and_no_stream() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    for bytes in BROKEN {
        server
            .on(ANSWER, Reply::Cut(bytes))
            .on(LIST, Reply::Answer("200 OK", "[]"));
        let (bad, good) = tokio::join!(ari.channels().handle("c1").answer(), ari.channels().list());
        assert!(bad.is_err() && good.is_ok(), "{bad:?} {good:?}");
        send(&mut socket, r#"{"type":"Next"}"#).await;
        assert_eq!(next(&mut events).await, "Next");
    }
    assert_eq!(ari.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_members_are_wrong_is_a_gap_only_where_they_are_read() {
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    let mut all = ari.events().await.unwrap();
    let mut starts = ari.events_of::<StasisStart>().await.unwrap();
    let mut digits = ari.events_of::<ChannelDtmfReceived>().await.unwrap();
    let wrong = [
        r#"{"type":"StasisStart","args":[],"channel":7}"#,
        r#"{"type":"StasisStart","args":"x","channel":{"id":"c1"}}"#,
        r#"{"type":"StasisStart","args":[[]],"channel":{"id":"c1"}}"#,
        r#"{"type":"StasisStart","args":[],"channel":{"id":["c1"]}}"#,
    ];
    for event in wrong {
        send(&mut socket, event).await;
        assert_eq!(next(&mut all).await, "StasisStart", "{event}");
        let Some(StreamItem::Gap(gap)) = starts.next().await else {
            panic!("no gap for {event}")
        };
        assert_eq!(gap.missed, Some(1), "{event}");
    }
    send(
        &mut socket,
        r#"{"type":"ChannelDtmfReceived","digit":"5","channel":{"id":"c1"}}"#,
    )
    .await;
    let Some(StreamItem::Event(digit)) = digits.next().await else {
        panic!("no digit")
    };
    assert_eq!(digit.digit.as_deref(), Some("5"));
}

#[tokio::test(start_paused = true)]
async fn a_huge_event_is_taken_and_one_beyond_the_limit_costs_the_socket() {
    let server = &mut Server::new();
    let ari = to(server).connect().await.unwrap();
    let mut socket = server.socket().await;
    let mut events = ari.events().await.unwrap();
    let huge = |bytes| format!(r#"{{"type":"Huge","x":"{}"}}"#, "x".repeat(bytes));
    send(&mut socket, &huge(8 << 20)).await;
    assert_eq!(next(&mut events).await, "Huge");
    // The client may be gone before all of it is written.
    let beyond = huge(17 << 20);
    let sending = futures::SinkExt::send(
        &mut socket,
        tokio_tungstenite::tungstenite::Message::text(beyond),
    );
    let (_, told) = tokio::join!(sending, next(&mut events));
    assert_eq!(told, "Gap Reconnected None");
    let mut socket = server.socket().await;
    send(&mut socket, r#"{"type":"After"}"#).await;
    assert_eq!(next(&mut events).await, "Resynced");
    assert_eq!(next(&mut events).await, "After");
}
