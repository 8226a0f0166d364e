//! What becomes of requests on either side.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use ari_core::{Error, Metadata, Request, registry};
use ari_proxy_proto::{
    Kind, Step, Subjects, decode_request, encode, encode_as, encode_barrier, encode_extension,
    encode_release, encode_subscribe,
};
use serde_json::json;
use support::{MAX_BYTES, here};

#[test]
fn what_binds_is_in_its_place() {
    let steps = |message: &str| {
        let incoming = decode_request(message.as_bytes(), &here()).unwrap();
        let step = |step: &Step| match step {
            Step::Bind(bound) => bound
                .iter()
                .map(|(kind, id)| format!("{kind}:{id}"))
                .collect::<Vec<_>>()
                .join(" "),
            Step::Call(request) => request.operation.to_string(),
            _ => "release".to_owned(),
        };
        incoming.steps().iter().map(step).collect::<Vec<_>>()
    };
    let key = r#""key":{"kind":"channel","id":"c","dialog":"d"}"#;
    assert_eq!(
        steps(&format!(
            r#"{{"kind":"ChannelPlay",{key},"channel_play":{{"playback_id":"p","media_uri":"sound:x"}}}}"#
        )),
        [
            "GET /channels/{channelId}",
            "channel:c playback:p",
            "POST /channels/{channelId}/play/{playbackId}"
        ]
    );
    assert_eq!(
        steps(&format!(r#"{{"kind":"ChannelAnswer",{key}}}"#)),
        ["channel:c", "POST /channels/{channelId}/answer"]
    );
    assert_eq!(
        steps(&format!(r#"{{"kind":"ChannelHangup",{key}}}"#)),
        ["DELETE /channels/{channelId}"]
    );
    assert_eq!(
        steps(&format!(r#"{{"kind":"ChannelSubscribe",{key}}}"#)),
        ["channel:c"]
    );
    assert_eq!(
        steps(&format!(r#"{{"kind":"AriDialogRelease",{key}}}"#)),
        ["release"]
    );
    assert_eq!(steps(r#"{"kind":"ChannelSubscribe","key":{}}"#), [""; 0]);
    assert_eq!(
        steps(
            r#"{"kind":"ApplicationSubscribe","key":{"id":"a","dialog":"d"},"application_subscribe":{"event_source":"deviceState:Stasis:x"}}"#
        ),
        [
            "POST /applications/{applicationName}/subscription",
            "devicestate:Stasis:x"
        ]
    );
    assert_eq!(
        steps(&format!(
            r#"{{"kind":"ChannelOriginate",{key},"channel_originate":{{"originate_request":{{"endpoint":"x","channelId":"n","originator":"o"}}}}}}"#
        )),
        ["channel:n channel:o channel:c", "POST /channels"]
    );
    assert_eq!(
        steps(
            r#"{"kind":"AriRequest","key":{"dialog":"d"},"ari_request":{"resource":"channels","operation":"move","parameters":{"channelId":"1","app":"x"}}}"#
        ),
        ["POST /channels/{channelId}/move"]
    );
    assert_eq!(
        steps(
            r#"{"kind":"AriRequest","key":{"dialog":"d"},"ari_request":{"resource":"channels","operation":"playWithId","parameters":{"channelId":"1","playbackId":"p","media":["sound:x","sound:y"]}}}"#
        ),
        [
            "channel:1 playback:p",
            "POST /channels/{channelId}/play/{playbackId}"
        ]
    );
}

#[test]
fn requests_without_an_operation_are_sent_too() {
    let subjects = Subjects::default();
    let channel = ari_core::Entity::new(
        ari_core::EntityKind::Channel,
        "c",
        Metadata {
            dialog: Some("d".into()),
            ..here()
        },
    );
    let subscribe = encode_subscribe(&channel, &subjects).unwrap().unwrap();
    assert_eq!(subscribe.subject, "ari.command.demo.00:11:22:33:44:55");
    assert_eq!(
        subscribe.payload,
        r#"{"kind":"ChannelSubscribe","key":{"kind":"channel","id":"c","node":"00:11:22:33:44:55","dialog":"d","app":"demo"}}"#
    );
    let sound = ari_core::Entity::new(ari_core::EntityKind::Sound, "c", here());
    assert!(encode_subscribe(&sound, &subjects).unwrap().is_none());
    for encoded in [
        encode_barrier(&here(), &subjects),
        encode_release(&here(), &subjects),
    ] {
        let encoded = encoded.unwrap().unwrap();
        let incoming = decode_request(&encoded.payload, &here()).unwrap();
        let request = Request::new(registry::operation("bridges", "get").unwrap(), here());
        let response = encoded
            .kind
            .decode_response(&request, &incoming.respond(&[], MAX_BYTES))
            .unwrap();
        assert_eq!(response.source, here());
    }
}

#[test]
fn what_the_payload_cannot_say_is_not_sent() {
    let request =
        |resource, name| Request::new(registry::operation(resource, name).unwrap(), here());
    let channel = |name| request("channels", name).with("channelId", "c");
    let refused = |request: Request| {
        encode(&request, &Subjects::default())
            .unwrap_err()
            .to_string()
    };
    for request in [
        channel("playWithId")
            .with("playbackId", "p")
            .with("media", vec!["sound:a", "sound:b"]),
        channel("playWithId")
            .with("playbackId", "p")
            .with("media", vec!["sound:a"])
            .with("lang", "de"),
        channel("hangup").with("reason_code", "17"),
        channel("sendDTMF").with("dtmf", "1").with("between", 0),
        channel("continueInDialplan").with("label", "x"),
        channel("move").with("app", "x"),
        channel("snoopChannel")
            .with("app", "demo")
            .with("snoopId", "."),
        request("channels", "originate")
            .with("endpoint", "x")
            .with("timeout", 0),
        request("channels", "originate")
            .with("endpoint", "x")
            .with("variables", json!({ "a": 1 })),
        request("channels", "externalMedia")
            .with("app", "demo")
            .with("format", "ulaw"),
        request("events", "userEvent")
            .with("eventName", "x")
            .with("application", "other")
            .with("source", vec!["channel:1"]),
        request("events", "userEvent")
            .with("eventName", "x")
            .with("application", "demo"),
        request("asterisk", "getInfo").with("only", vec!["build"]),
        request("asterisk", "getObject")
            .with("configClass", "a/b")
            .with("objectType", "c")
            .with("id", "d"),
    ] {
        let said = refused(request.clone());
        assert!(
            said.contains("cannot carry") || said.contains("no kind"),
            "{said}"
        );
        assert!(encode_extension(&request, &Subjects::default()).is_ok());
        assert!(matches!(
            Error::from(encode(&request, &Subjects::default()).unwrap_err()),
            Error::Unsupported { .. }
        ));
    }
    assert_eq!(
        refused(request("channels", "get")),
        "GET /channels/{channelId} needs a value for channelId"
    );
    let busy = Kind::named("ChannelBusy").unwrap();
    assert!(
        encode_as(
            busy,
            &channel("hangup").with("reason", "busy"),
            &Subjects::default()
        )
        .is_ok()
    );
    assert!(encode_as(busy, &channel("hangup"), &Subjects::default()).is_err());
}
