//! What answers mean, whoever gave them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use ari_core::{Error, Request, Response, not_sent, registry};
use ari_proxy_proto::{Kind, decode_request, respond_unavailable};
use serde_json::json;
use support::{MAX_BYTES, here};

#[test]
fn failures_keep_their_class() {
    let kind = Kind::named("ChannelAnswer").unwrap();
    let incoming =
        decode_request(br#"{"kind":"ChannelAnswer","key":{"id":"1"}}"#, &here()).unwrap();
    let request = Request::new(kind.operation().unwrap(), here()).with("channelId", "1");
    let through =
        |error: Error| kind.decode_response(&request, &incoming.respond(&[Err(error)], MAX_BYTES));
    let operation = || "POST /x".to_owned();
    let reason = || "because".to_owned();
    assert!(matches!(through(Error::Closed), Err(Error::NotSent { .. })));
    assert!(matches!(
        through(not_sent(&request, "no", None)),
        Err(Error::NotSent { .. })
    ));
    let unknown = Error::OutcomeUnknown {
        operation: operation(),
        reason: reason(),
        source: None,
    };
    assert!(through(unknown).unwrap_err().outcome_unknown());
    let late = Error::TimedOut {
        operation: operation(),
        after: std::time::Duration::from_secs(1),
    };
    assert!(through(late).unwrap_err().outcome_unknown());
    let unsupported = Error::Unsupported {
        operation: operation(),
        reason: reason(),
        since: &[],
    };
    assert!(matches!(
        through(unsupported),
        Err(Error::Unsupported { .. })
    ));
    let answer = kind.decode_response(
        &request,
        &incoming.respond(
            &[Ok(Response::new(
                404,
                "Not Found",
                r#"{"message":"Channel not found"}"#,
            ))],
            MAX_BYTES,
        ),
    );
    let refused = answer.unwrap().into_success(request.operation).unwrap_err();
    assert!(refused.is_not_found());
    assert!(
        refused
            .to_string()
            .ends_with("404 Not Found: Channel not found"),
        "{refused}"
    );
    // What Asterisk itself cannot do is a refusal of Asterisk, whatever the proxy can.
    let answer = Response::new(501, "Not Implemented", r#"{"message":"no such transport"}"#);
    let answer = kind.decode_response(&request, &incoming.respond(&[Ok(answer)], MAX_BYTES));
    let refused = answer.unwrap().into_success(request.operation).unwrap_err();
    assert_eq!(refused.status(), Some(501), "{refused}");
    let unavailable = kind.decode_response(&request, &respond_unavailable(&Error::Closed, &here()));
    assert!(matches!(unavailable, Err(Error::NotSent { .. })));
}

#[test]
fn texts_of_go_servers_have_a_status() {
    let request = Request::new(
        registry::operation("endpoints", "listByTech").unwrap(),
        here(),
    );
    let read = |kind: &str, text: &str| {
        let message = json!({ "error": text }).to_string();
        Kind::named(kind)
            .unwrap()
            .decode_response(&request, message.as_bytes())
    };
    let no_list =
        "failed to decode response: json: cannot unmarshal object into Go value of type []x.Y";
    for (kind, text, status) in [
        (
            "ChannelData",
            "failed to get data: Error getting data for channel 'Non-2XX response: 200': Non-2XX response: 404 Not Found",
            404,
        ),
        ("EndpointListByTech", no_list, 404),
        (
            "AsteriskConfigData",
            &format!("failed to get data: Error getting data for config 'a/b/c': {no_list}"),
            404,
        ),
        ("AsteriskLoggingGet", "not found", 404),
        ("BridgeCreate", "Non-2XX response: 409 Conflict", 409),
        ("EndpointData", "wrong key type", 400),
        ("ChannelHangup", "channel key not supplied", 400),
        ("ChannelHangup", "something new", 500),
    ] {
        assert_eq!(read(kind, text).unwrap().status, status, "{text}");
    }
    assert!(matches!(
        read("ChannelHangup", "Not implemented"),
        Err(Error::Unsupported { .. })
    ));
    let refused = "failed to make request: Post http://x: dial tcp: connect: connection refused";
    assert!(matches!(
        read("ChannelHangup", refused),
        Err(Error::NotSent { .. })
    ));
    assert!(matches!(
        read("ChannelHangup", "failed to make request: EOF"),
        Err(Error::OutcomeUnknown { .. })
    ));
    assert!(matches!(
        read("ChannelHangup", "failed to decode response: EOF"),
        Err(Error::Decode { .. })
    ));
}

#[test]
fn a_success_without_what_was_asked_for_is_none() {
    let request = Request::new(registry::operation("channels", "get").unwrap(), here());
    let read = |kind: &str, message: &str| {
        Kind::named(kind)
            .unwrap()
            .decode_response(&request, message.as_bytes())
    };
    for kind in [
        "ChannelGet",
        "ChannelData",
        "ChannelOriginate",
        "ChannelVariableGet",
    ] {
        assert!(
            matches!(read(kind, r#"{"error":""}"#), Err(Error::Decode { .. })),
            "{kind}"
        );
    }
    assert_eq!(
        read("ChannelVariableGet", r#"{"data":{}}"#).unwrap().body,
        r#"{"value":""}"#
    );
    assert_eq!(
        read("ChannelList", r#"{"error":null}"#).unwrap().entities,
        []
    );
    assert_eq!(read("ChannelAnswer", "{}").unwrap().status, 204);
}

#[test]
fn sounds_without_ids_are_not_taken_for_no_sounds() {
    let kind = Kind::named("SoundList").unwrap();
    let request = Request::new(kind.operation().unwrap(), here());
    let message = br#"{"error":"","keys":[{"kind":"sound","node":"n1","app":"demo"},{"kind":"sound","node":"n1","app":"demo"}]}"#;
    let answer = kind.decode_response(&request, message).unwrap();
    assert_eq!(answer.status, 502);
    assert_eq!(answer.source.asterisk_id.as_deref(), Some("n1"));
    assert_eq!(
        answer.body,
        r#"{"message":"2 of 2 sounds came without an id"}"#
    );
}
