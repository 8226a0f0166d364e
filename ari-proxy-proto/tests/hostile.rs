//! Messages that nobody should send.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use ari_core::{Request, Response};
use ari_proxy_proto::{Kind, Step, decode_request};
use serde_json::json;
use support::{MAX_BYTES, here, is_answer, take_everywhere};

#[test]
fn hostile_messages_are_answered() {
    let deep = "[".repeat(200_000);
    let deep_object = format!("{}1{}", r#"{"key":"#.repeat(100_000), "}".repeat(100_000));
    let long = format!(
        r#"{{"kind":"ChannelGet","key":{{"id":"{}"}}}}"#,
        "x".repeat(2 << 20)
    );
    for (message, status) in [
        ("", 400),
        ("null", 400),
        ("{}", 501),
        (r#"{"kind":"Bogus"}"#, 501),
        (r#"{"kind":7}"#, 400),
        (r#"{"kind":"ChannelGet"}"#, 400),
        (r#"{"kind":"ChannelGet","key":null}"#, 400),
        (r#"{"kind":"ChannelGet","key":{"id":5}}"#, 400),
        (r#"{"kind":"ChannelGet","key":{"id":".."}}"#, 400),
        (
            r#"{"kind":"ChannelGet","key":{"id":"1","dialog":"a >"}}"#,
            400,
        ),
        (
            r#"{"kind":"ChannelDial","key":{"id":"1"},"channel_dial":{"timeout":1.5e9}}"#,
            400,
        ),
        (
            r#"{"kind":"ChannelDial","key":{"id":"1"},"channel_dial":{"timeout":1e999}}"#,
            400,
        ),
        (
            r#"{"kind":"ChannelDial","key":{"id":"1"},"channel_dial":{"timeout":99999999999999999999}}"#,
            400,
        ),
        (
            r#"{"kind":"ChannelDial","key":{"id":"1"},"channel_dial":7}"#,
            400,
        ),
        (
            r#"{"kind":"ChannelRecord","key":{"id":"1"},"channel_record":{"options":[]}}"#,
            400,
        ),
        (r#"{"kind":"AriRequest","key":{}}"#, 400),
        (
            r#"{"kind":"AriRequest","key":{},"ari_request":{"resource":"events","operation":"eventWebsocket"}}"#,
            501,
        ),
        (
            r#"{"kind":"AriRequest","key":{},"ari_request":{"resource":"channels","operation":"move","parameters":{"channelId":"1"}}}"#,
            400,
        ),
        (&deep, 400),
        (&deep_object, 400),
        (&long, 413),
    ] {
        let bad = decode_request(message.as_bytes(), &here()).unwrap_err();
        assert_eq!(bad.status(), status, "{message:.80}: {bad}");
        is_answer(&bad.respond());
        take_everywhere(message.as_bytes());
    }
}

#[test]
fn a_missing_payload_is_no_crash() {
    for kind in Kind::all() {
        let message = json!({ "kind": kind.name(), "key": { "kind": "endpoint", "id": "a/b/c" } })
            .to_string();
        let answer = match decode_request(message.as_bytes(), &here()) {
            Ok(incoming) => {
                for step in incoming.steps() {
                    let Step::Call(request) = step else { continue };
                    // Some operations crash Asterisk when what they require is missing.
                    for spec in request
                        .operation
                        .parameters
                        .iter()
                        .filter(|spec| spec.required)
                    {
                        assert!(
                            request.parameters.get(spec.name).is_some(),
                            "{} {}",
                            kind.name(),
                            spec.name
                        );
                    }
                }
                incoming.respond(&[], MAX_BYTES)
            }
            Err(bad) => bad.respond(),
        };
        is_answer(&answer);
    }
}

#[test]
fn an_answer_that_is_too_long_loses_the_body_first() {
    let kind = Kind::named("ChannelList").unwrap();
    let incoming = decode_request(br#"{"kind":"ChannelList","key":{}}"#, &here()).unwrap();
    let channels: Vec<_> = (0..100)
        .map(|id| json!({ "id": id.to_string(), "name": "x".repeat(100) }))
        .collect();
    let answers = [Ok(Response::new(200, "OK", json!(channels).to_string()))];
    let request = Request::new(kind.operation().unwrap(), here());
    let read = |max| {
        kind.decode_response(&request, &incoming.respond(&answers, max))
            .unwrap()
    };
    assert_eq!(
        (
            read(MAX_BYTES).entities.len(),
            read(MAX_BYTES).body.is_empty()
        ),
        (100, false)
    );
    assert_eq!(
        (read(12_000).entities.len(), read(12_000).body.is_empty()),
        (100, true)
    );
    assert_eq!(read(1_000).status, 500);
}
