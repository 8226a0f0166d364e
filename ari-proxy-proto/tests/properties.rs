//! What holds for any input: nothing panics, and what is sent arrives as it was meant.

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::{collections::BTreeMap, sync::LazyLock};

use ari_core::{
    Answer, Error, Location, Metadata, ParameterType, Request, Response, not_sent,
    registry::{self, OPERATIONS},
};
use ari_proxy_proto::{
    Announcement, Incoming, Kind, Numbering, Step, Subjects, decode_request, dialog_copy, encode,
    encode_as, encode_barrier, encode_extension, encode_release, encode_subscribe, numbered,
    respond_unavailable,
};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use support::{is_nothing, lines, place};

const MAX_BYTES: usize = 1 << 20;

static RECORDED: LazyLock<Vec<Value>> =
    LazyLock::new(|| lines(include_str!("fixtures/requests.jsonl")));

fn here() -> Metadata {
    place("demo", "00:11:22:33:44:55")
}

fn kinds() -> Vec<&'static Kind> {
    Kind::all()
        .chain(Kind::named("AriRequest"))
        .chain(Kind::named("AriDialogRelease"))
        .collect()
}

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z_]{1,12}", inner, 0..5)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A value as a builder of the core would set it.
fn any_value(kind: ParameterType) -> BoxedStrategy<Value> {
    match kind {
        ParameterType::Text => "[a-zA-Z0-9 <>&é\"/:;.-]{0,10}"
            .prop_map(Value::from)
            .boxed(),
        ParameterType::Integer => (-1_i64..100_000).prop_map(Value::from).boxed(),
        ParameterType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        ParameterType::List => prop::collection::vec("[a-z:0-9]{1,8}", 1..3)
            .prop_map(Value::from)
            .boxed(),
        ParameterType::Json => prop::collection::btree_map("[a-zA-Z]{1,5}", "[a-z<>]{0,5}", 0..4)
            .prop_map(|texts| json!(texts))
            .boxed(),
    }
}

fn any_tuples() -> BoxedStrategy<Value> {
    let tuple = ("[a-z]{1,5}", "[a-z<>]{0,5}")
        .prop_map(|(name, value)| json!({ "attribute": name, "value": value }));
    prop::collection::vec(tuple, 0..3)
        .prop_map(Value::from)
        .boxed()
}

/// Any request of any operation with what its operation requires.
fn any_request() -> impl Strategy<Value = Request> {
    let operations: Vec<_> = OPERATIONS
        .iter()
        .copied()
        .filter(|operation| operation.answer != Answer::Events)
        .collect();
    let target =
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(application, node, dialog)| {
            Metadata {
                application: application.then(|| "demo".into()),
                asterisk_id: node.then(|| "00:11:22:33:44:55".into()),
                dialog: dialog.then(|| "d.1".into()),
            }
        });
    (select(operations), target).prop_flat_map(|(operation, target)| {
        let parameters: Vec<_> = operation
            .parameters
            .iter()
            .map(|spec| {
                let value = match spec.location {
                    Location::Path => "[a-z0-9:;_-]{1,8}".prop_map(Value::from).boxed(),
                    _ if spec.name == "fields" => any_tuples(),
                    _ => any_value(spec.value),
                };
                let value = if spec.required {
                    value.prop_map(Some).boxed()
                } else {
                    prop::option::of(value).boxed()
                };
                value.prop_map(|value| (spec.name, value))
            })
            .collect();
        parameters.prop_map(move |parameters| {
            let request = Request::new(operation, target.clone());
            let given = parameters
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)));
            given.fold(request, |request, (name, value)| request.with(name, value))
        })
    })
}

fn last_call(incoming: &Incoming) -> &Request {
    let calls = incoming.steps().iter().filter_map(|step| match step {
        Step::Call(request) => Some(request),
        _ => None,
    });
    calls.last().unwrap()
}

/// The parameters that are not nothing, as texts where a query makes them texts.
fn meaning(request: &Request) -> BTreeMap<String, Value> {
    let text = |name: &str, value: &Value| {
        let plain = request.parameters.text(name).filter(|_| name != "fields");
        plain.map_or_else(|| value.clone(), |text| Value::from(text.into_owned()))
    };
    request
        .parameters
        .iter()
        .filter(|(_, value)| !is_nothing(value))
        .map(|(name, value)| (name.to_owned(), text(name, value)))
        .collect()
}

/// What a server fills in, and ARI would too.
const DEFAULTS: [(&str, &str); 7] = [
    ("reason", "normal"),
    ("direction", "both"),
    ("encapsulation", "rtp"),
    ("transport", "udp"),
    ("connection_type", "client"),
    ("app", "demo"),
    ("format", ""),
];

/// What a server makes up.
const IDS: [&str; 5] = ["channelId", "bridgeId", "playbackId", "snoopId", "name"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn a_request_that_a_kind_carries_arrives_in_full(request in any_request()) {
        let Ok(encoded) = encode(&request, &Subjects::default()) else { return Ok(()) };
        let incoming = decode_request(&encoded.payload, &here());
        let incoming = match incoming {
            Ok(incoming) => incoming,
            Err(bad) => return Err(TestCaseError::fail(format!("{request:?}: {bad}"))),
        };
        let call = last_call(&incoming);
        let (sent, mut arrived) = (meaning(&request), meaning(call));
        for (name, value) in DEFAULTS {
            if !sent.contains_key(name) && arrived.get(name).is_some_and(|arrived| arrived == value) {
                arrived.remove(name);
            }
        }
        for name in IDS {
            if !sent.contains_key(name) {
                arrived.remove(name);
            }
        }
        prop_assert_eq!(sent, arrived, "{}", request.operation);
        prop_assert_eq!(&call.target.dialog, &request.target.dialog);
    }

    #[test]
    fn our_own_kind_carries_everything(request in any_request()) {
        let Ok(http) = request.to_http() else { return Ok(()) };
        let encoded = encode_extension(&request, &Subjects::default()).unwrap();
        let incoming = decode_request(&encoded.payload, &here()).unwrap();
        let call = last_call(&incoming);
        prop_assert_eq!(meaning(&request), meaning(call));
        prop_assert_eq!(call.to_http().unwrap().method, http.method);
        for (status, body) in [(200, &b"{\"id\":1}"[..]), (204, b""), (200, b"RIFF\xff\x00"), (404, b"{\"message\":\"no\"}")] {
            let message = incoming.respond(&[Ok(Response::new(status, "", body))], MAX_BYTES);
            let response = encoded.kind.decode_response(&request, &message).unwrap();
            prop_assert_eq!((response.status, &response.body[..]), (status, body));
            prop_assert_eq!(&response.source, &here());
        }
    }

    #[test]
    fn nothing_that_comes_in_panics(message in prop::collection::vec(any::<u8>(), 0..200)) {
        take_everywhere(&message);
    }

    #[test]
    fn no_json_panics(value in any_json(), kind in select(kinds())) {
        take_everywhere(value.to_string().as_bytes());
        let payload = RECORDED.iter().find(|line| line["kind"] == kind.name());
        let mut envelope = json!({ "kind": kind.name(), "key": value });
        for (name, _) in payload.and_then(|line| line["request"].as_object()).into_iter().flatten().skip(2) {
            envelope[name] = value.clone();
        }
        take_everywhere(envelope.to_string().as_bytes());
    }

    #[test]
    fn mutated_requests_are_answered(place in 0_usize..227, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let mut message = RECORDED[place]["request_raw"].as_str().unwrap().as_bytes().to_vec();
        let at = at.index(message.len());
        if cut {
            message.truncate(at);
        } else {
            message[at] = byte;
        }
        take_everywhere(&message);
    }

    #[test]
    fn names_never_leave_their_subject(application in ".{0,20}", node in ".{0,20}", dialog in ".{0,20}") {
        let subjects = Subjects::default();
        let target = Metadata { application: Some(application.as_str().into()), asterisk_id: Some(node.as_str().into()), dialog: Some(dialog.as_str().into()) };
        let built = [
            subjects.request(ari_proxy_proto::Class::Get, &target).ok(),
            subjects.events(&application, &node).ok(),
            subjects.dialog_events(&dialog).ok(),
        ];
        for subject in built.into_iter().flatten() {
            prop_assert!(!subject.contains(['*', '>', '\r', '\n', ' ', '\t']) && subject.split('.').all(|token| !token.is_empty()));
        }
    }
}

/// Gives a message to everything that reads messages, and checks that answers are answers.
fn take_everywhere(message: &[u8]) {
    let _ = Announcement::decode(message);
    let numbers = Numbering {
        boot: "b",
        node: u64::MAX,
        subject: 0,
    };
    let _ = (
        numbered(message, numbers),
        dialog_copy(message, "d", numbers),
    );
    let request = Request::new(registry::operation("channels", "get").unwrap(), here());
    for kind in kinds() {
        let _ = kind.decode_response(&request, message);
    }
    let answer = match decode_request(message, &here()) {
        Err(bad) => {
            assert!((400..=501).contains(&bad.status()));
            bad.respond()
        }
        Ok(incoming) => {
            let failed = || not_sent(&request, "x", None);
            for answer in [
                vec![],
                vec![Err(failed())],
                vec![Ok(Response::new(200, "", message.to_vec()))],
            ] {
                is_answer(&incoming.respond(&answer, MAX_BYTES));
            }
            incoming.respond(
                &[Ok(Response::new(999, "", "")), Ok(Response::default())],
                MAX_BYTES,
            )
        }
    };
    is_answer(&answer);
}

fn is_answer(message: &[u8]) {
    let value: Value = serde_json::from_slice(message).unwrap();
    assert!(value["error"].is_string());
}

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
        assert_eq!(bad.status(), status, "{:.80}: {bad}", message);
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
        ["channel:1", "POST /channels/{channelId}/move"]
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
