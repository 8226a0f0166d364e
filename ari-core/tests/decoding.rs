//! What real servers sent decodes, and nothing of it is lost.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeSet, fs};

use ari_core::{Answer, Event, Request, events::*, models, registry};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

/// Decodes an event and writes it again, by the type that its kind names.
macro_rules! rewrite {
    ($body:expr; $($name:ident)*) => {
        match $body {
            $(EventBody::$name(event) => {
                assert_eq!(<$name as TypedEvent>::KIND, stringify!($name));
                assert_eq!($name::from_body($body).as_ref(), Some(event));
                Some(serde_json::to_value(&**event).unwrap())
            })*
            _ => None,
        }
    };
}

fn rewritten(body: &EventBody) -> Option<Value> {
    rewrite!(body;
        ApplicationMoveFailed ApplicationRegistered ApplicationReplaced ApplicationUnregistered
        BridgeAttendedTransfer BridgeBlindTransfer BridgeCreated BridgeDestroyed BridgeMerged
        BridgeVideoSourceChanged CallBroadcast CallClaimed ChannelCallerId ChannelConnectedLine ChannelCreated
        ChannelDestroyed ChannelDialplan ChannelDtmfReceived ChannelEnteredBridge ChannelHangupRequest ChannelHold
        ChannelLeftBridge ChannelStateChange ChannelTalkingFinished ChannelTalkingStarted ChannelToneDetected
        ChannelTransfer ChannelUnhold ChannelUserevent ChannelVarset ContactStatusChange DeviceStateChanged Dial
        EndpointStateChange PeerStatusChange PlaybackContinuing PlaybackFinished PlaybackStarted RESTResponse
        RecordingFailed RecordingFinished RecordingStarted StasisEnd StasisStart TextMessageReceived
    )
}

fn decoded(json: &Value) -> Value {
    let event = Event::parse(json.to_string()).unwrap();
    let body = event
        .body()
        .unwrap_or_else(|error| panic!("{error}: {json}"));
    rewritten(body).unwrap_or_else(|| panic!("no type for {}", event.kind()))
}

/// Every member of `before` is in `after`; what `after` has beyond it is empty.
fn assert_kept(before: &Value, after: &Value, place: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let kept = after
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is lost: {value}"));
                assert_kept(value, kept, &format!("{place}.{name}"));
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                assert_eq!(*value, json!([]), "{place}.{name} is made up");
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{place}");
            for (before, after) in before.iter().zip(after) {
                assert_kept(before, after, &format!("{place}[]"));
            }
        }
        _ => assert_eq!(before, after, "{place}"),
    }
}

fn fixture(name: &str) -> Vec<Value> {
    let path = format!("{}/tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn nothing_of_asterisks_events_is_lost() {
    let events = fixture("asterisk-events.jsonl");
    for event in &events {
        assert_kept(event, &decoded(event), event["type"].as_str().unwrap());
    }
    let kinds: BTreeSet<_> = events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect();
    assert!(kinds.len() > 25, "only {kinds:?}");
}

#[test]
fn the_zero_objects_of_go_are_none() {
    let events = fixture("go-events.jsonl");
    let mut without_channel = 0;
    for event in &events {
        let decoded = decoded(event);
        assert_eq!(decoded["type"], event["type"]);
        if event["channel"]["id"] == "" {
            without_channel += 1;
            assert_eq!(decoded.get("channel"), None, "{event}");
        }
        if event["timestamp"]
            .as_str()
            .is_some_and(|time| time.starts_with("0001"))
        {
            assert_eq!(decoded.get("timestamp"), None);
        }
    }
    assert!(without_channel > 0);
}

#[test]
fn every_event_decodes_from_nothing_and_from_nulls() {
    let fields = fields_by_model();
    for event in registry::EVENTS {
        assert_eq!(decoded(&json!({ "type": event.name }))["type"], event.name);
        let mut nulls: Map<String, Value> = fields(event.name)
            .into_iter()
            .map(|name| (name, Value::Null))
            .collect();
        nulls.extend(
            ["application", "asterisk_id", "timestamp", "dialog"]
                .map(|name| (name.to_owned(), Value::Null)),
        );
        nulls.insert("type".to_owned(), json!(event.name));
        assert_eq!(
            decoded(&Value::Object(nulls)),
            decoded(&json!({ "type": event.name }))
        );
        let unknown = json!({ "type": event.name, "added_later": { "deep": [null, 1] } });
        assert_kept(&unknown, &decoded(&unknown), event.name);
    }
}

#[test]
fn an_unknown_type_is_no_error() {
    let event = Event::parse(r#"{"type":"AddedLater","channel":{"id":"x"}}"#).unwrap();
    assert_eq!(event.body().unwrap(), &EventBody::Unknown);
}

#[test]
fn a_wrong_type_is_an_error_that_names_its_place() {
    let event = Event::parse(r#"{"type":"StasisStart","channel":{"id":"x","state":7}}"#).unwrap();
    let error = event.body().unwrap_err().to_string();
    assert!(error.contains("StasisStart at channel.state"), "{error}");
    assert_eq!(event.raw().len(), 53);
}

/// Decodes a value as the model of this name and writes it again.
fn model(name: &str, value: &Value) -> Value {
    macro_rules! by_name {
        ($($model:ident)*) => {
            match name {
                $(stringify!($model) => again::<models::$model>(value),)*
                _ => panic!("no model {name}"),
            }
        };
    }
    by_name!(
        AdditionalParam Application AsteriskInfo AsteriskPing Bridge BuildInfo CallerID Channel ConfigInfo ConfigTuple
        ContactInfo DeviceState Dialed DialplanCEP Endpoint Event FormatLangPair LiveRecording LogChannel Mailbox
        Message MissingParams Module Peer Playback RESTHeader RESTQueryStringParameter RESTRequest RTPstat ReferTo
        ReferredBy RequiredDestination SetId Sound StatusInfo StoredRecording SystemInfo TextMessage Variable Variables
    )
}

fn again<T: DeserializeOwned + Serialize>(value: &Value) -> Value {
    let decoded: T = serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{}: {error}: {value}", std::any::type_name::<T>()));
    serde_json::to_value(decoded).unwrap()
}

#[test]
fn nothing_of_asterisks_answers_is_lost() {
    let mut answered = BTreeSet::new();
    for exchange in fixture("asterisk-http.jsonl") {
        let text = |name: &str| exchange[name].as_str().unwrap_or_default();
        let path = text("path").strip_prefix("/ari").unwrap();
        let request = Request::from_http(text("method"), path, None).unwrap();
        let body = || serde_json::from_str::<Value>(text("response")).unwrap();
        match request.operation.answer {
            Answer::One(name) => {
                let body = body();
                assert_kept(&body, &model(name, &body), name);
            }
            Answer::Many(name) => {
                for item in body().as_array().unwrap() {
                    assert_kept(item, &model(name, item), name);
                }
            }
            _ => continue,
        }
        answered.insert(request.operation.to_string());
    }
    assert!(answered.len() > 30, "only {answered:?}");
}

#[test]
fn every_model_decodes_from_nothing_and_from_nulls() {
    let fields = fields_by_model();
    for spec in registry::MODELS {
        let nothing = model(spec.name, &json!({}));
        let nulls: Map<String, Value> = fields(spec.name)
            .into_iter()
            .map(|name| (name, Value::Null))
            .collect();
        assert_eq!(
            model(spec.name, &Value::Object(nulls)),
            nothing,
            "{}",
            spec.name
        );
    }
}

/// Names of the fields of each model, from the data that the models are generated from.
fn fields_by_model() -> impl Fn(&str) -> Vec<String> {
    let models: Vec<Value> = serde_json::from_str(include_str!("../spec/models.json")).unwrap();
    move |name| {
        let model = models.iter().find(|model| model["name"] == name).unwrap();
        let fields = model["fields"].as_array().unwrap();
        fields
            .iter()
            .map(|field| field["name"].as_str().unwrap().to_owned())
            .collect()
    }
}
