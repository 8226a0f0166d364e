//! What a log shows, and what it must not.

use std::{
    io,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use futures::SinkExt;
use tokio::time::{advance, timeout};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tracing::{
    Dispatch, Level,
    subscriber::{DefaultGuard, set_default},
};
use tracing_subscriber::fmt::MakeWriter;

use super::{connected, next, server::Reply};

const FILTER: &str = "PUT /applications/demo/eventFilter";
const SUBSCRIBE: &str = "POST /applications/demo/subscription";

/// A list of channels in which one has no id.
const CALLER: &str = r#"[{"caller":{"number":"private"}}]"#;

/// A log in memory.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// As long as there is one subscriber only, whoever comes first to a line that logs decides whether it is of interest,
/// even a test on another thread that has none.
static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(io::sink)
        .with_max_level(Level::TRACE)
        .finish();
    Dispatch::new(subscriber)
});

/// Logs at a level, until the guard is dropped.
fn logging(level: Level) -> (Log, DefaultGuard) {
    LazyLock::force(&ANOTHER);
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_max_level(level)
        .with_ansi(false)
        .finish();
    (log, set_default(subscriber))
}

/// A life with calls, a retry and a lost WebSocket, as it is logged at a level.
async fn life(level: Level) -> String {
    let (log, _logging) = logging(level);
    let (ari, mut server) = connected().await;
    server
        .on("GET /channels/chan-7", Reply::Cut(b""))
        .on("GET /channels/chan-7", Reply::Answer("500 Oh no", ""))
        .on(
            "GET /channels/chan-7/variable",
            Reply::Answer("500 Oh no", ""),
        );
    ari.channels().get("chan-7").await.unwrap_err();
    let channel = ari.channels().handle("chan-7");
    channel.variable("private").await.unwrap_err();
    let mut events = channel.events().await.unwrap();
    let _plays = ari.playbacks().handle("play-7").events().await.unwrap();
    let filter = r#"{"name":"demo","events_allowed":[{"type":"Hidden"}],"events_disallowed":[]}"#;
    let allowed = serde_json::json!({"allowed": [{"type": "Hidden"}]});
    // Once by the program, once after the loss.
    for _ in 0..2 {
        server
            .on(FILTER, Reply::Answer("200 OK", filter))
            .on(SUBSCRIBE, Reply::Answer("200 OK", r#"{"name":"demo"}"#));
    }
    let applications = ari.applications();
    applications.filter("demo").filter(allowed).await.unwrap();
    applications
        .subscribe("demo", "bridge:bridge-7")
        .await
        .unwrap();
    // Answers that say nothing about what is left.
    server
        .on("GET /applications/demo", Reply::Answer("200 OK", "{}"))
        .on("GET /playbacks/play-7", Reply::Answer("500 Oh no", CALLER))
        .on("GET /channels", Reply::Answer("200 OK", CALLER));
    drop(server.socket().await);
    let _socket = server.socket().await;
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(next(&mut events).await, "Resynced");
    ari.close().await.unwrap();
    log.text()
}

#[tokio::test(start_paused = true)]
async fn a_log_at_info_has_templates_and_neither_ids_nor_secrets() {
    let log = life(Level::INFO).await;
    for said in [
        "INFO ari_native::link: connected",
        "WARN ari.call{op=",
        "method=\"GET\" path=\"/channels/{channelId}\"",
        "attempt=2",
        "sent again",
        "WARN ari_native::link: the WebSocket is lost",
        "INFO ari_native::link: the WebSocket is back",
        "it is not known yet what is left",
        "restored=\"filter\"",
        "restored=\"source\"",
        "INFO ari_native::link: closed",
    ] {
        assert!(log.contains(said), "{said} is missing:\n{log}");
    }
    for unsaid in [
        "chan-7", "play-7", "bridge-7", "private", "Hidden", "secret", "dXNlcj",
    ] {
        assert!(!log.contains(unsaid), "{unsaid}:\n{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_at_debug_has_ids_but_neither_parameters_nor_secrets() {
    let log = life(Level::DEBUG).await;
    for said in ["/channels/chan-7", "play-7", "bridge:bridge-7"] {
        assert!(log.contains(said), "{said} is missing:\n{log}");
    }
    for unsaid in ["private", "Hidden", "secret", "dXNlcj"] {
        assert!(!log.contains(unsaid), "{unsaid}:\n{log}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_says_why_the_websocket_was_lost() {
    let (log, _logging) = logging(Level::WARN);
    let (ari, mut server) = connected().await;
    let mut events = ari.events().await.unwrap();
    let goodbye = CloseFrame {
        code: CloseCode::Away,
        reason: "restarting".into(),
    };
    let mut socket = server.socket().await;
    socket.send(Message::Close(Some(goodbye))).await.unwrap();
    drop(socket);
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    let log = log.text();
    assert!(
        log.contains("closed it with code 1001: restarting"),
        "{log}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_log_tells_of_a_call_that_came_between_two_streams_of_calls() {
    let (log, _logging) = logging(Level::WARN);
    let (ari, mut server) = connected().await;
    let mut socket = server.socket().await;
    drop(ari.calls().await.unwrap());
    let mut other = ari.channels().handle("other").events().await.unwrap();
    let start = r#"{"type":"StasisStart","application":"demo","args":[],"channel":{"id":"c1"}}"#;
    super::events::send(&mut socket, start).await;
    super::events::send(&mut socket, r#"{"type":"Last","channel":{"id":"other"}}"#).await;
    assert_eq!(next(&mut other).await, "Last");
    let mut calls = ari.calls().await.unwrap();
    let call = futures::FutureExt::now_or_never(futures::StreamExt::next(&mut calls)).flatten();
    assert!(
        call.is_some() || log.text().contains("call"),
        "the caller has nobody, and no word of it: {}",
        log.text()
    );
}

fn in_stasis(id: &str, data: &str) -> serde_json::Value {
    serde_json::json!({"id": id, "dialplan": {"app_name": "Stasis", "app_data": data}})
}

/// No event will tell of them any more, and their callers have nobody.
#[tokio::test(start_paused = true)]
async fn a_log_names_the_channels_that_entered_during_an_outage() {
    let (log, _logging) = logging(Level::WARN);
    let (ari, mut server) = connected().await;
    let start = |id: &str| {
        format!(
            r#"{{"type":"StasisStart","application":"demo","args":[],"channel":{{"id":"{id}"}}}}"#
        )
    };
    let mut calls = ari.calls().await.unwrap();
    let mut socket = server.socket().await;
    super::events::send(&mut socket, &start("held")).await;
    let _held = futures::StreamExt::next(&mut calls).await.unwrap();
    let _own = ari.channels().handle("watched").events().await.unwrap();
    let mut all = ari.events().await.unwrap();
    let listed = serde_json::json!([
        in_stasis("alone-1", "demo"),
        in_stasis("alone-2", "demo,de,42"),
        in_stasis("held", "demo"),
        in_stasis("watched", "demo"),
        in_stasis("late", "demo"),
        in_stasis("foreign", "demo2,demo"),
        {"id": "dialled", "dialplan": {"app_name": "Dial", "app_data": "demo"}},
        {"id": "nowhere"},
    ]);
    let listed: &'static str = listed.to_string().leak();
    server
        .on("GET /channels", Reply::Answer("200 OK", listed))
        .on("GET /channels", Reply::Answer("200 OK", listed));
    drop(socket);
    let mut socket = server.socket().await;
    server.saw(1).await;
    // It was on its way.
    super::events::send(&mut socket, &start("late")).await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "StasisStart");
    assert_eq!(next(&mut all).await, "Resynced");
    let text = log.text();
    let warnings: Vec<_> = text
        .lines()
        .filter(|line| line.contains("no call was announced"))
        .collect();
    assert_eq!(warnings.len(), 1, "{text}");
    assert!(
        warnings[0].contains("while the connection was lost")
            && warnings[0].contains("announced: alone-1, alone-2 "),
        "{text}"
    );
    // The same where an announcement cannot be understood, for whoever takes no more calls.
    drop(calls);
    super::events::send(&mut socket, "{").await;
    let told = async {
        while !log
            .text()
            .contains("while an event could not be understood")
        {
            advance(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_mins(1), told)
        .await
        .expect("it is not told");
    let lists = server
        .seen()
        .into_iter()
        .filter(|seen| seen.line.ends_with("/channels"));
    assert_eq!(lists.count(), 2, "one list each time");
}

/// What lists channels names the application that each of them entered first.
#[tokio::test(start_paused = true)]
async fn a_log_names_what_was_moved_into_an_application_and_not_what_was_moved_away() {
    let (log, _logging) = logging(Level::WARN);
    let (ari, mut server) = connected().await;
    let _calls = ari.calls().await.unwrap();
    let mut all = ari.events().await.unwrap();
    let listed = serde_json::json!([
        in_stasis("alone", "demo"),
        in_stasis("moved-away", "demo"),
        in_stasis("moved-in", "other"),
        in_stasis("foreign", "other"),
    ]);
    let listed: &'static str = listed.to_string().leak();
    let heard = r#"{"name":"demo","channel_ids":["moved-in","alone","ringing"]}"#;
    server
        .on("GET /channels", Reply::Answer("200 OK", listed))
        .on("GET /applications/demo", Reply::Answer("200 OK", heard));
    drop(server.socket().await);
    let _socket = server.socket().await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    let text = log.text();
    assert!(text.contains("announced: alone, moved-in "), "{text}");
}

#[tokio::test(start_paused = true)]
async fn nobody_asks_for_the_channels_of_a_program_that_takes_no_calls() {
    let (ari, mut server) = connected().await;
    let mut all = ari.events().await.unwrap();
    drop(server.socket().await);
    let _socket = server.socket().await;
    assert_eq!(next(&mut all).await, "Gap Reconnected None");
    assert_eq!(next(&mut all).await, "Resynced");
    assert!(server.seen().is_empty());
}
