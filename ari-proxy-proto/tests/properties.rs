//! What holds for any input: nothing panics, and what is sent arrives as it was meant.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use std::{collections::BTreeMap, sync::LazyLock};

use ari_core::{
    Answer, Location, Metadata, ParameterType, Request, Response, registry::OPERATIONS,
};
use ari_proxy_proto::{Class, Incoming, Step, Subjects, decode_request, encode, encode_extension};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use support::{MAX_BYTES, here, is_nothing, kinds, lines, take_everywhere};

static RECORDED: LazyLock<Vec<Value>> =
    LazyLock::new(|| lines(include_str!("fixtures/requests.jsonl")));

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
                    // Without one a server refuses the request before it asks Asterisk.
                    _ if spec.required => any_value(spec.value)
                        .prop_filter("a required value", |value| !is_nothing(value))
                        .boxed(),
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
    let mut calls = incoming.steps().iter().filter_map(|step| match step {
        Step::Call(request) => Some(request),
        _ => None,
    });
    calls.next_back().unwrap()
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
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..ProptestConfig::default() })]

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
            subjects.request(Class::Get, &target).ok(),
            subjects.events(&application, &node).ok(),
            subjects.dialog_events(&dialog).ok(),
        ];
        for subject in built.into_iter().flatten() {
            prop_assert!(!subject.contains(['*', '>', '\r', '\n', ' ', '\t']) && subject.split('.').all(|token| !token.is_empty()));
        }
    }
}
