//! Requests over the event socket.

use std::time::Duration;

use ari_core::{Ari, ConnectionState, Error};
use futures::{FutureExt, SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{
    next,
    server::{Reply, Server, ServerSocket},
    to, until,
};

pub(super) const INFO: &str = r#"{"system":{"version":"22.10.1","entity_id":"02:00:00:00:00:01"}}"#;

/// The server's side of the socket.
pub(super) struct Far(pub(super) ServerSocket);

impl Far {
    /// The next request.
    pub(super) async fn asked(&mut self) -> Value {
        loop {
            match self.0.next().await.unwrap().unwrap() {
                Message::Text(text) => {
                    let request: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(request["type"], "RESTRequest");
                    return request;
                }
                Message::Ping(_) => {}
                other => panic!("{other:?} instead of a request"),
            }
        }
    }

    pub(super) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    pub(super) async fn answer(&mut self, request: &Value, status: u16, body: &str) {
        let mut answer = json!({
            "type": "RESTResponse",
            "transaction_id": request["transaction_id"],
            "request_id": request["request_id"],
            "status_code": status,
            "reason_phrase": "Reason",
            "uri": request["uri"],
            "application": "demo",
        });
        if !body.is_empty() {
            answer["content_type"] = json!("application/json");
            answer["message_body"] = json!(body);
        }
        self.say(answer.to_string()).await;
    }

    /// Answers the question who is there.
    pub(super) async fn greet(&mut self) {
        let asked = self.asked().await;
        assert_eq!(
            (&asked["method"], &asked["uri"]),
            (&json!("GET"), &json!("asterisk/info"))
        );
        self.answer(&asked, 200, INFO).await;
    }

    /// Takes a request and answers it.
    pub(super) async fn serve(&mut self, status: u16, body: &str) -> Value {
        let asked = self.asked().await;
        self.answer(&asked, status, body).await;
        asked
    }

    /// Whether nothing was asked; everything that was written has come by now.
    pub(super) async fn is_idle(&mut self) -> bool {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        self.0.next().now_or_never().is_none()
    }
}

pub(super) async fn connected() -> (Ari, Server, Far) {
    let mut server = Server::new();
    let connecting = to(&server).rest_over_websocket().connect();
    let greeting = async {
        let mut far = Far(server.socket().await);
        far.greet().await;
        far
    };
    let (ari, far) = tokio::join!(connecting, greeting);
    (ari.unwrap(), server, far)
}

#[tokio::test(start_paused = true)]
async fn everything_goes_over_one_socket() {
    let (ari, server, mut far) = connected().await;
    assert_eq!(server.dialed(), 1);
    assert_eq!(
        ari.identity().asterisk_id.as_deref(),
        Some("02:00:00:00:00:01")
    );
    let channel = ari.channels().handle("c/1");
    let (answered, asked) = tokio::join!(channel.answer().into_future(), far.serve(204, ""));
    answered.unwrap();
    assert_eq!(asked["method"], "POST");
    assert_eq!(asked["uri"], "channels/c%2F1/answer");

    let play = channel.set_variable("A", "b c");
    let (set, asked) = tokio::join!(play.into_future(), far.serve(204, ""));
    set.unwrap();
    assert_eq!(
        asked["uri"],
        "channels/c%2F1/variable?variable=A&value=b%20c"
    );

    let refusal = r#"{"message":"Channel not found"}"#;
    let (refused, _) = tokio::join!(channel.answer().into_future(), far.serve(404, refusal));
    assert_eq!(
        refused.unwrap_err().to_string(),
        "POST /channels/{channelId}/answer was refused: 404 Reason: Channel not found"
    );
    assert_eq!(server.dialed(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_may_come_before_the_answer_or_after_it() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let channel = ari.channels().handle("c1");
    let script = async {
        let asked = far.asked().await;
        far.say(r#"{"type":"Before","application":"demo"}"#).await;
        far.answer(&asked, 204, "").await;
        far.say(r#"{"type":"After","application":"demo"}"#).await;
    };
    let (answered, ()) = tokio::join!(channel.answer().into_future(), script);
    answered.unwrap();
    assert_eq!(next(&mut events).await, "Before");
    assert_eq!(next(&mut events).await, "After");
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_wrong_hurt_nobody_else() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let channel = ari.channels().handle("c1");
    let id = |asked: &Value| asked["transaction_id"].as_str().unwrap().to_owned();
    for garbled in [
        r#""status_code":"204""#,
        r#""status_code":null"#,
        r#""status_code":200,"message_body":{"id":"c1"}"#,
        r#""status_code":70000"#,
    ] {
        let script = async {
            let id = id(&far.asked().await);
            for nobodys in [
                r#"{"type":"RESTResponse"}"#.to_owned(),
                r#"{"type":"RESTResponse","transaction_id":"","status_code":400}"#.to_owned(),
                r#"{"type":"RESTResponse","transaction_id":[1],"status_code":204}"#.to_owned(),
                format!(r#"{{"type":"RESTResponse","transaction_id":"{id}0","status_code":204}}"#),
            ] {
                far.say(nobodys).await;
            }
            far.say(format!(
                r#"{{"type":"RESTResponse","transaction_id":"{id}",{garbled}}}"#
            ))
            .await;
        };
        let (error, ()) = tokio::join!(channel.answer().into_future(), script);
        let error = error.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{garbled}: {error}");
        assert!(
            error
                .to_string()
                .contains("answer to POST /channels/{channelId}/answer"),
            "{error}"
        );
    }
    let script = async {
        let asked = far.asked().await;
        for _ in 0..3 {
            far.answer(&asked, 204, "").await;
        }
        let length = 1 << 20;
        far.say(format!(
            r#"{{"type":"RESTResponse","uri":"{}"}}"#,
            "x".repeat(length)
        ))
        .await;
        far.say("{\"type\":\"RESTResponse\",").await;
        far.say(r#"{"type":"Next","application":"demo"}"#).await;
    };
    let (answered, ()) = tokio::join!(channel.answer().into_future(), script);
    answered.unwrap();
    assert_eq!(next(&mut events).await, "Gap Undecodable Some(1)");
    assert_eq!(next(&mut events).await, "Next");
    let (answered, _) = tokio::join!(channel.answer().into_future(), far.serve(204, ""));
    answered.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lost_socket_tells_what_was_sent_from_what_was_not() {
    let (ari, mut server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let mut sent = ari.channels().handle("a").answer().into_future();
    let mut waits = ari.channels().handle("b").answer().into_future();
    assert!((&mut sent).now_or_never().is_none());
    assert!((&mut waits).now_or_never().is_none());
    far.asked().await;
    drop(far);
    let error = sent.await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert!(
        error.to_string().contains("Asterisk at pbx:8088 was lost"),
        "{error}"
    );
    let error = waits.await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    assert_eq!(ari.state(), ConnectionState::Connecting);
    let error = ari.channels().list().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");

    let mut far = Far(server.socket().await);
    far.say(r#"{"type":"Early","application":"demo"}"#).await;
    far.greet().await;
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(next(&mut events).await, "Early");
    assert_eq!(next(&mut events).await, "Resynced");
    let (listed, _) = tokio::join!(ari.channels().list().into_future(), far.serve(200, "[]"));
    listed.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_fails_is_followed_by_another() {
    let (ari, mut server, far) = connected().await;
    drop(far);
    // Lost before it answers, then never answering, then another word than its name.
    drop(server.socket().await);
    let mut far = Far(server.socket().await);
    far.asked().await;
    let mut far = Far(server.socket().await);
    far.serve(503, "").await;
    let mut far = Far(server.socket().await);
    far.greet().await;
    until("it is connected", || {
        ari.state() == ConnectionState::Connected
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_keeps_answers_away_is_found() {
    let (ari, _server, mut far) = connected().await;
    let filter = |types: Value| ari.applications().filter("demo").filter(types);
    let hides = json!({"disallowed": [{"type": "RESTResponse"}]});
    let error = filter(hides).await.unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    let body = r#"{"name":"demo","channel_ids":[],"bridge_ids":[],"endpoint_ids":[],"device_names":[],
        "events_allowed":[],"events_disallowed":[]}"#;
    let some = json!({"allowed": [{"type": "StasisStart"}]});
    let (done, asked) = tokio::join!(filter(some).into_future(), far.serve(200, body));
    done.unwrap();
    let sent: Value = serde_json::from_str(asked["message_body"].as_str().unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({"allowed": [
            {"type": "StasisStart"},
            {"type": "ApplicationReplaced"},
            {"type": "RESTResponse"},
        ]})
    );

    let mut server = Server::new();
    let (failed, _far) = tokio::join!(to(&server).rest_over_websocket().connect(), server.socket());
    let error = failed.unwrap_err();
    assert!(
        error.to_string().contains("let RESTResponse pass?"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn files_come_over_http() {
    let (ari, server, mut far) = connected().await;
    let path = "GET /recordings/stored/r1/file";
    server.on(path, Reply::Answer("200 OK", "RIFF"));
    let file = ari.recordings().get_stored_file("r1").await.unwrap();
    assert_eq!(&*file, b"RIFF");
    assert_eq!(server.seen().len(), 1);
    assert!(far.is_idle().await);
}

#[tokio::test(start_paused = true)]
async fn what_no_frame_can_carry_is_not_sent() {
    let (ari, _server, mut far) = connected().await;
    let channel = ari.channels().handle("c1");
    let error = channel
        .set_variable("A", "x".repeat(70_000))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
    assert!(
        error.to_string().contains("Asterisk takes 65527"),
        "{error}"
    );
    assert!(far.is_idle().await);
    let (answered, _) = tokio::join!(channel.answer().into_future(), far.serve(204, ""));
    answered.unwrap();
}

#[tokio::test(start_paused = true)]
async fn closing_ends_requests_under_way() {
    let (ari, _server, mut far) = connected().await;
    let mut sent = ari.channels().handle("a").answer().into_future();
    let mut waits = ari.channels().handle("b").answer().into_future();
    assert!((&mut sent).now_or_never().is_none());
    assert!((&mut waits).now_or_never().is_none());
    far.asked().await;
    let goodbye = async { while far.0.next().await.is_some() {} };
    let (closed, ()) = tokio::join!(ari.close(), goodbye);
    closed.unwrap();
    let error = sent.await.unwrap_err();
    assert!(error.outcome_unknown(), "{error}");
    assert!(matches!(waits.await, Err(Error::Closed)), "it was not sent");
}

const REPLACED: &str = r#"{"type":"ApplicationReplaced","application":"demo"}"#;

#[tokio::test(start_paused = true)]
async fn a_client_that_has_yielded_asks_over_http_once_its_socket_is_lost() {
    let (ari, mut server, mut far) = connected().await;
    far.say(REPLACED).await;
    until("it has yielded", || {
        ari.state() == ConnectionState::Replaced
    })
    .await;
    let channel = ari.channels().handle("c");
    let (answered, _) = tokio::join!(channel.answer().into_future(), far.serve(204, ""));
    answered.unwrap();
    server.on("GET /channels/c", Reply::Answer("200 OK", "{}"));
    let mut sent = channel.answer().into_future();
    let mut waits = ari.channels().list().into_future();
    assert!((&mut sent).now_or_never().is_none());
    assert!((&mut waits).now_or_never().is_none());
    far.asked().await;
    drop(far);
    assert!(matches!(sent.await, Err(Error::OutcomeUnknown { .. })));
    server.on("GET /channels", Reply::Answer("200 OK", "[]"));
    waits.await.unwrap();
    // It is there at first, then not any more.
    channel.until_hungup().await.unwrap();
    assert_eq!(ari.state(), ConnectionState::Replaced);
    let again = timeout(Duration::from_hours(1), server.socket());
    assert!(again.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_yields_while_it_connects_does_not_try_again() {
    let (ari, mut server, far) = connected().await;
    drop(far);
    let mut far = Far(server.socket().await);
    let greeting = far.asked().await;
    far.say(REPLACED).await;
    far.answer(&greeting, 503, "").await;
    until("it has yielded", || {
        ari.state() == ConnectionState::Replaced
    })
    .await;
    let again = timeout(Duration::from_hours(1), server.socket());
    assert!(again.await.is_err());

    let mut server = Server::new();
    let connecting = to(&server)
        .rest_over_websocket()
        .retry_connect(true)
        .connect();
    let script = async {
        let mut far = Far(server.socket().await);
        let greeting = far.asked().await;
        far.say(REPLACED).await;
        far.answer(&greeting, 503, "").await;
    };
    let both = async { tokio::join!(connecting, script) };
    let (connected, ()) = timeout(Duration::from_hours(1), both).await.unwrap();
    assert!(matches!(connected, Err(Error::Connect { .. })));
}

#[tokio::test(start_paused = true)]
async fn the_filters_of_all_applications_of_the_socket_let_answers_pass() {
    let mut server = Server::new();
    let builder = to(&server).application("other").rest_over_websocket();
    let connecting = builder.connect();
    let greeting = async {
        let mut far = Far(server.socket().await);
        far.greet().await;
        far
    };
    let (ari, mut far) = tokio::join!(connecting, greeting);
    let ari = ari.unwrap();
    for (application, guarded) in [("demo", true), ("other", true), ("stranger", false)] {
        let filter = ari.applications().filter(application);
        let filter = filter.filter(json!({"allowed": [{"type": "StasisStart"}]}));
        let (_, asked) = tokio::join!(filter.into_future(), far.serve(200, "{}"));
        let sent = asked["message_body"].as_str().unwrap();
        assert_eq!(sent.contains("RESTResponse"), guarded, "{application}");
    }
}

/// The next request finds nobody who takes it, but what was sent before counts.
#[tokio::test(start_paused = true)]
async fn what_came_before_the_socket_took_no_more_is_read() {
    const EVENTS: usize = 100;
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let (one, other) = (ari.channels().handle("a"), ari.channels().handle("b"));
    let mut one = one.answer().into_future();
    let mut other = other.answer().into_future();
    assert!((&mut one).now_or_never().is_none());
    assert!((&mut other).now_or_never().is_none());
    let asked = far.asked().await;
    far.answer(&asked, 204, "").await;
    for _ in 0..EVENTS {
        far.say(r#"{"type":"Last","application":"demo"}"#).await;
    }
    drop(far);
    for number in 0..EVENTS {
        assert_eq!(next(&mut events).await, "Last", "{number}");
    }
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    one.await.unwrap();
    assert!(other.await.is_err());
}

/// It is within the limit that is set for answers.
#[tokio::test(start_paused = true)]
async fn a_long_answer_is_one_over_the_socket_too() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let padding = "x".repeat(100);
    let names = (0..160_000).map(|n| json!({"name": format!("{padding}{n}")}));
    let list = names.collect::<Value>().to_string();
    let script = async {
        let asked = far.asked().await;
        let answer = json!({
            "type": "RESTResponse",
            "transaction_id": asked["transaction_id"],
            "status_code": 200,
            "message_body": list,
        });
        // The client may be gone before all of it is written.
        let _ = far.0.send(Message::text(answer.to_string())).await;
    };
    let (listed, ()) = tokio::join!(ari.recordings().list_stored().into_future(), script);
    assert!(
        next(&mut events).now_or_never().is_none(),
        "the socket was lost"
    );
    assert_eq!(listed.unwrap().items.len(), 160_000);
}

/// Asterisk was lost before it had said who it is, and the caller hung up meanwhile.
#[tokio::test(start_paused = true)]
async fn a_call_that_came_with_an_attempt_that_failed_has_an_end() {
    let mut server = Server::new();
    let builder = to(&server).rest_over_websocket().retry_connect(true);
    let tasks = tokio_util::task::TaskTracker::new();
    let connecting = tasks.spawn(builder.connect());
    let mut first = Far(server.socket().await);
    first
        .say(r#"{"type":"StasisStart","application":"demo","args":[],"channel":{"id":"c"}}"#)
        .await;
    first.asked().await;
    drop(first);
    let mut far = Far(server.socket().await);
    far.greet().await;
    let ari = connecting.await.unwrap().unwrap();
    let _far = tokio_util::task::AbortOnDropHandle::new(tasks.spawn(async move {
        loop {
            let asked = far.asked().await;
            let is_list = asked["uri"] == "channels";
            let gone = r#"{"message":"Channel not found"}"#;
            let (status, body) = if is_list { (200, "[]") } else { (404, gone) };
            far.answer(&asked, status, body).await;
        }
    }));
    let mut calls = ari.calls().await.unwrap();
    let mut call = calls.next().await.unwrap();
    let read = async {
        let mut items = Vec::<String>::new();
        while items.last().is_none_or(|item| !item.starts_with("end")) {
            items.push(next(call.events()).await);
        }
        items
    };
    let items = timeout(Duration::from_mins(1), read).await.unwrap();
    assert_eq!(items, ["Gap Reconnected None", "end Some(Lost)"]);
}
