//! Events and the answers to operations, decoded as everything that they can be.

use std::fmt::Debug;

use ari_core::{
    EntityKind, Event, Result,
    events::{EventBody, TypedEvent},
    models, registry,
};
use futures::FutureExt;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::answering::Answering;

/// An event or the body of an answer on each line: it decodes or is an error, whatever it is decoded as, and
/// what was decoded is the same when it is written and read again.
///
/// # Panics
/// It is not the same.
pub fn event_decode(data: &[u8]) {
    for line in data.split(|byte| *byte == b'\n') {
        read_event(line);
        as_models(line);
        ask(line);
    }
}

fn read_event(line: &[u8]) {
    let event = match Event::parse(line.to_vec()) {
        Ok(event) => event,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(event.raw(), line);
    assert!(format!("{event:?}").contains("kind"));
    for concern in event.concerns() {
        assert!(event.is_about(concern.kind, concern.id));
    }
    let metadata = event.metadata();
    assert_eq!(metadata.application.as_deref(), event.application());
    assert_eq!(metadata.asterisk_id.as_deref(), event.asterisk_id());
    assert_eq!(metadata.dialog.as_deref(), event.dialog());
    if let Ok(value) = event.to_value() {
        let text = |name: &str| value[name].as_str().filter(|text| !text.is_empty());
        assert_eq!(value["type"], event.kind());
        assert_eq!(text("application"), event.application());
        assert_eq!(text("asterisk_id"), event.asterisk_id());
        assert_eq!(text("dialog"), event.dialog());
        assert_eq!(text("timestamp"), event.timestamp());
        let numbers = event.numbers();
        let numbers = numbers.map(|numbers| (numbers.boot, numbers.node, numbers.subject));
        assert_eq!(numbers, numbers_in(&value));
        for (member, kind) in [
            ("channel", EntityKind::Channel),
            ("bridge", EntityKind::Bridge),
            ("playback", EntityKind::Playback),
        ] {
            if let Some(id) = value[member]["id"].as_str().filter(|id| !id.is_empty()) {
                assert!(event.is_about(kind, id), "{member} {id}");
            }
        }
    }
    match event.body() {
        Ok(EventBody::Unknown) => {
            assert!(
                !registry::EVENTS
                    .iter()
                    .any(|spec| spec.name == event.kind())
            );
        }
        Ok(_) => {}
        Err(error) => assert!(error.to_string().contains(event.kind())),
    }
}

/// The numbers of a proxy of ours, as a tree of JSON has them.
fn numbers_in(event: &Value) -> Option<(&str, u64, u64)> {
    let numbers = &event["ari_proxy"];
    Some((
        numbers[0].as_str()?,
        numbers[1].as_u64()?,
        numbers[2].as_u64()?,
    ))
}

/// The body of an event is what its bytes are as the type of that name, and of no other type.
fn body<T: TypedEvent + PartialEq>(line: &[u8]) {
    let Ok(event) = Event::parse(line.to_vec()) else {
        return;
    };
    let body = event.body().ok().and_then(T::from_body);
    let named = event.kind() == T::KIND;
    let read = serde_json::from_slice::<T>(line).ok();
    assert_eq!(body.as_deref(), read.as_ref().filter(|_| named));
}

/// Decodes as one type; then writes and reads it again.
fn again<T: DeserializeOwned + Serialize + PartialEq + Debug>(line: &[u8]) {
    let Ok(decoded) = serde_json::from_slice::<T>(line) else {
        return;
    };
    let written = serde_json::to_value(&decoded).unwrap_or_default();
    let read = T::deserialize(&written).ok();
    // Numbers with a fraction are read as the nearest number that the machine has, or the one beside it.
    if !has_fraction(&written) {
        assert_eq!(read.as_ref(), Some(&decoded), "{written}");
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}

macro_rules! each {
    ($check:ident, $module:ident, $line:expr; $($name:ident)*) => {
        $($check::<$module::$name>($line);)*
    };
}

macro_rules! each_event {
    ($line:expr; $($name:ident)*) => {
        each!(again, events, $line; $($name)*);
        each!(body, events, $line; $($name)*);
    };
}

fn as_models(line: &[u8]) {
    use ari_core::events;

    each_event!(line;
        ApplicationMoveFailed ApplicationRegistered ApplicationReplaced ApplicationUnregistered
        BridgeAttendedTransfer BridgeBlindTransfer BridgeCreated BridgeDestroyed BridgeMerged
        BridgeVideoSourceChanged CallBroadcast CallClaimed ChannelCallerId ChannelConnectedLine ChannelCreated
        ChannelDestroyed ChannelDialplan ChannelDtmfReceived ChannelEnteredBridge ChannelHangupRequest ChannelHold
        ChannelLeftBridge ChannelStateChange ChannelTalkingFinished ChannelTalkingStarted ChannelToneDetected
        ChannelTransfer ChannelUnhold ChannelUserevent ChannelVarset ContactStatusChange DeviceStateChanged Dial
        EndpointStateChange PeerStatusChange PlaybackContinuing PlaybackFinished PlaybackStarted RESTResponse
        RecordingFailed RecordingFinished RecordingStarted StasisEnd StasisStart TextMessageReceived
    );
    each!(again, models, line;
        AdditionalParam Application AsteriskInfo AsteriskPing Bridge BuildInfo CallerID Channel ConfigInfo ConfigTuple
        ContactInfo DeviceState Dialed DialplanCEP Endpoint Event FormatLangPair LiveRecording LogChannel Mailbox
        Message MissingParams Module Peer Playback RESTHeader RESTQueryStringParameter RESTRequest RTPstat ReferTo
        ReferredBy RequiredDestination SetId Sound StatusInfo StoredRecording SystemInfo TextMessage Variable Variables
    );
}

/// Awaits operations; there is nothing that they could wait for.
macro_rules! outcomes {
    ($($operation:expr),* $(,)?) => {
        $(outcome($operation.into_future().now_or_never());)*
    };
}

fn outcome<T: Debug>(outcome: Option<Result<T>>) {
    match outcome {
        Some(Ok(_)) => {}
        Some(Err(error)) => assert!(!error.to_string().is_empty()),
        None => assert!(
            outcome.is_some(),
            "an operation waits though it was answered"
        ),
    }
}

/// Gives the line as answer to one operation of each kind of answer, and of each that creates something.
fn ask(line: &[u8]) {
    for status in [200, 404] {
        let ari = Answering::with(status, line);
        let (applications, asterisk) = (ari.applications(), ari.asterisk());
        let (channels, bridges) = (ari.channels(), ari.bridges());
        let (endpoints, recordings) = (ari.endpoints(), ari.recordings());
        outcomes!(
            applications.list(),
            applications.get("a"),
            applications.filter("a"),
            asterisk.get_object("res_pjsip", "endpoint", "a"),
            asterisk.get_info(),
            asterisk.ping(),
            asterisk.list_modules(),
            asterisk.get_module("m"),
            asterisk.list_log_channels(),
            asterisk.get_global_var("V"),
            bridges.list(),
            bridges.create(),
            bridges.get("b"),
            bridges.get_bridge_vars("b", ["V"]),
            bridges.play("b", "sound:x"),
            bridges.record("b", "wav"),
            channels.list(),
            channels.originate("PJSIP/a"),
            channels.get("c"),
            channels.answer("c"),
            channels.get_channel_var("c", "V"),
            channels.rtp_statistics("c"),
            ari.device_states().list(),
            ari.device_states().get("Stasis:x"),
            endpoints.list(),
            endpoints.get("PJSIP", "a"),
            ari.mailboxes().list(),
            ari.mailboxes().get("m"),
            ari.playbacks().get("p"),
            recordings.list_stored(),
            recordings.get_stored("r"),
            recordings.get_stored_file("r"),
            recordings.copy_stored("r", "s"),
            recordings.get_live("r"),
            ari.sounds().list(),
            ari.sounds().get("s"),
        );
    }
}
