//! Which events a stream has, and where it ends.

use std::time::Duration;

use ari_core::{
    End, Error, StreamItem, Typed,
    events::{ChannelDestroyed, ChannelDtmfReceived, EventBody, PlaybackFinished, StasisStart},
};
use futures::StreamExt;
use serde_json::{Value, json};

use crate::support::{
    GET_CHANNEL, NODE, OTHER_NODE, Task, asked, dtmf, fake, from_node, now, on_channel,
    on_playback, on_recording, read, ready,
};

#[test]
fn the_stream_of_an_entity_has_its_events_and_those_of_what_plays_on_it() {
    let fake = fake();
    let ari = fake.ari();
    let mut channel = now(ari.channels().handle("c").events()).unwrap();
    let mut bridge = now(ari.bridges().handle("b").events()).unwrap();
    let mut playback = now(ari.playbacks().handle("p").events()).unwrap();
    let mut endpoint = now(ari.endpoints().handle("PJSIP", "alice").events()).unwrap();
    for event in [
        on_channel("ChannelStateChange", "c"),
        on_channel("ChannelStateChange", "d"),
        on_playback("PlaybackStarted", "p", "channel:c"),
        on_playback("PlaybackStarted", "q", "channel:d"),
        on_playback("PlaybackStarted", "r", "bridge:b"),
        // The ids of entities of different kinds may be equal.
        on_channel("ChannelVarset", "b"),
        on_recording("RecordingStarted", "r", "channel:c"),
        on_recording("RecordingStarted", "s", "bridge:b"),
        json!({ "type": "ChannelEnteredBridge", "bridge": { "id": "b", "channels": ["c", "d"] },
                "channel": { "id": "d" } }),
        json!({ "type": "Dial", "caller": { "id": "d" }, "peer": { "id": "c" } }),
        json!({ "type": "EndpointStateChange",
                "endpoint": { "technology": "PJSIP", "resource": "alice", "channel_ids": ["c"] } }),
        json!({ "type": "PeerStatusChange", "peer": { "peer_status": "Reachable" },
                "endpoint": { "technology": "PJSIP", "resource": "bob" } }),
    ] {
        fake.emit(&event).unwrap();
    }
    assert_eq!(
        read(&mut channel),
        [
            "ChannelStateChange",
            "PlaybackStarted",
            "RecordingStarted",
            "Dial"
        ]
    );
    assert_eq!(
        read(&mut bridge),
        [
            "PlaybackStarted",
            "RecordingStarted",
            "ChannelEnteredBridge"
        ]
    );
    assert_eq!(read(&mut playback), ["PlaybackStarted"]);
    assert_eq!(read(&mut endpoint), ["EndpointStateChange"]);
}

#[test]
fn an_event_comes_once_however_often_it_names_the_entity() {
    let fake = fake();
    let ari = fake.ari();
    let mut channel = now(ari.channels().handle("c").events()).unwrap();
    let mut all = now(ari.events()).unwrap();
    let transfer = json!({ "type": "BridgeAttendedTransfer",
        "transferer_first_leg": { "id": "c" }, "transferer_second_leg": { "id": "c" },
        "transferee": { "id": "d" } });
    fake.emit(&transfer).unwrap();
    fake.emit(&transfer).unwrap();
    assert_eq!(read(&mut channel), ["BridgeAttendedTransfer"; 2]);
    assert_eq!(read(&mut all), ["BridgeAttendedTransfer"; 2]);
}

#[test]
fn a_typed_stream_has_the_fields_of_its_type() {
    let fake = fake();
    let ari = fake.ari();
    let mut everywhere = now(ari.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut here = now(ari
        .channels()
        .handle("c")
        .events_of::<ChannelDtmfReceived>())
    .unwrap();
    fake.emit(&on_channel("ChannelStateChange", "c")).unwrap();
    fake.emit(&dtmf("c", "1")).unwrap();
    fake.emit(&dtmf("d", "2")).unwrap();
    let mut digit = || match ready(&mut everywhere) {
        std::task::Poll::Ready(Some(StreamItem::Event(event))) => {
            let event: Typed<ChannelDtmfReceived> = event;
            (
                event.digit.clone(),
                event.event().asterisk_id().map(str::to_owned),
            )
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(digit(), (Some("1".to_owned()), Some(NODE.to_owned())));
    assert_eq!(digit(), (Some("2".to_owned()), Some(NODE.to_owned())));
    assert_eq!(read(&mut here), ["ChannelDtmfReceived"]);
}

#[test]
fn a_stream_wakes_its_task() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut task = Task::start(async move {
        let first = events.next().await.is_some();
        let second = events.next().await;
        (first, second.is_none(), events.end())
    });
    assert!(task.waits());
    fake.emit(&dtmf("c", "1")).unwrap();
    assert!(task.waits());
    drop(ari);
    assert_eq!(task.outcome(), Some((true, true, Some(End::Closed))));
}

#[test]
fn the_stream_of_a_channel_ends_after_its_last_event() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    let mut digits = now(channel.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut ends = now(channel.events_of::<ChannelDestroyed>()).unwrap();
    for event in [
        dtmf("c", "1"),
        on_channel("ChannelDestroyed", "d"),
        on_channel("ChannelDestroyed", "c"),
        on_channel("ChannelCallerId", "c"),
        dtmf("c", "2"),
    ] {
        fake.emit(&event).unwrap();
    }
    assert_eq!(
        read(&mut events),
        ["ChannelDtmfReceived", "ChannelDestroyed", "end Ended"]
    );
    assert_eq!(read(&mut digits), ["ChannelDtmfReceived", "end Ended"]);
    assert_eq!(read(&mut ends), ["ChannelDestroyed", "end Ended"]);
    // It stays ended.
    assert_eq!(read(&mut events), ["end Ended"]);
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn other_streams_end_with_their_entities_as_well() {
    let fake = fake();
    let ari = fake.ari();
    let mut bridge = now(ari.bridges().handle("b").events()).unwrap();
    let mut playback = now(ari.playbacks().handle("p").events_of::<PlaybackFinished>()).unwrap();
    let mut recording = now(ari.recordings().live_handle("r").events()).unwrap();
    let mut channel = now(ari.channels().handle("c").events()).unwrap();
    fake.emit(&json!({ "type": "BridgeDestroyed", "bridge": { "id": "b" } }))
        .unwrap();
    fake.emit(&on_playback("PlaybackFinished", "p", "channel:c"))
        .unwrap();
    fake.emit(&on_recording("RecordingFailed", "r", "channel:c"))
        .unwrap();
    assert_eq!(read(&mut bridge), ["BridgeDestroyed", "end Ended"]);
    assert_eq!(read(&mut playback), ["PlaybackFinished", "end Ended"]);
    assert_eq!(read(&mut recording), ["RecordingFailed", "end Ended"]);
    assert_eq!(read(&mut channel), ["PlaybackFinished", "RecordingFailed"]);
}

/// Its last event is `StasisEnd`: Asterisk sends no `ChannelDestroyed` to an application that only had it
/// as a guest.
#[test]
fn the_stream_of_a_plain_incoming_call_ends_when_the_channel_is_no_more() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    let mut digits = now(channel.events_of::<ChannelDtmfReceived>()).unwrap();
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    // It left for the dialplan, and lives on there for a while.
    assert_eq!(read(&mut events), ["StasisEnd"]);
    assert_eq!(read(&mut digits), [""; 0]);
    assert_eq!(asked(&fake, GET_CHANNEL), 2);
    fake.advance(Duration::from_secs(1));
    assert_eq!(read(&mut events), [""; 0]);
    assert_eq!(read(&mut digits), [""; 0]);
    fake.advance(Duration::from_secs(1));
    assert_eq!(read(&mut events), ["end Ended"]);
    assert_eq!(read(&mut digits), ["end Ended"]);
    assert_eq!(asked(&fake, GET_CHANNEL), 4);
}

#[test]
fn a_call_that_comes_back_has_its_events_on_the_same_stream() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    for _ in 0..9 {
        fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    }
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    assert_eq!(read(&mut events), ["StasisEnd", "StasisStart"]);
    fake.advance(Duration::from_secs(30));
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelDestroyed", "end Ended"]);
}

/// Answers and events come by different ways, so the answer may overtake the event.
#[test]
fn the_last_event_is_waited_for_after_the_channel_was_found_gone() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    assert_eq!(read(&mut events), ["StasisEnd"]);
    assert_eq!(asked(&fake, GET_CHANNEL), 1, "it was answered with 404");
    fake.advance(Duration::from_millis(900));
    assert_eq!(read(&mut events), [""; 0]);
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelDestroyed", "end Ended"]);
}

#[test]
fn a_question_that_nobody_can_answer_is_asked_again() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    for _ in 0..3 {
        fake.fail(
            GET_CHANNEL,
            Error::NobodyThere {
                subject: "somewhere".to_owned(),
            },
        );
    }
    fake.answer(GET_CHANNEL, 500, &Value::Null);
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    assert_eq!(read(&mut events), ["StasisEnd"]);
    for _ in 0..5 {
        fake.advance(Duration::from_secs(2));
        if read(&mut events) == ["end Ended"] {
            assert_eq!(asked(&fake, GET_CHANNEL), 5);
            return;
        }
    }
    panic!("it does not end: {} questions", asked(&fake, GET_CHANNEL));
}

#[test]
fn equal_ids_on_two_asterisks_are_two_channels() {
    let fake = fake();
    let ari = fake.ari();
    let [mut one, mut two] = [NODE, OTHER_NODE].map(|node| {
        let channel = ari.for_node(node).unwrap().channels().handle("c");
        now(channel.events()).unwrap()
    });
    let mut both = now(ari.channels().handle("c").events()).unwrap();
    fake.emit(&from_node(on_channel("ChannelVarset", "c"), NODE))
        .unwrap();
    fake.emit(&from_node(on_channel("ChannelHold", "c"), OTHER_NODE))
        .unwrap();
    fake.emit(&from_node(on_channel("ChannelDestroyed", "c"), NODE))
        .unwrap();
    assert_eq!(
        read(&mut one),
        ["ChannelVarset", "ChannelDestroyed", "end Ended"]
    );
    assert_eq!(read(&mut two), ["ChannelHold"]);
    assert_eq!(
        read(&mut both),
        [
            "ChannelVarset",
            "ChannelHold",
            "ChannelDestroyed",
            "end Ended"
        ]
    );
}

#[test]
fn a_client_narrowed_to_one_application_has_its_events_alone() {
    let fake = fake();
    let ari = fake.ari();
    let mut demo = now(ari.for_application("demo").unwrap().events()).unwrap();
    let mut other = now(ari
        .for_application("other")
        .unwrap()
        .events_of::<StasisStart>())
    .unwrap();
    let mut event = on_channel("StasisStart", "c");
    fake.emit(&event).unwrap();
    event["application"] = "other".into();
    fake.emit(&event).unwrap();
    assert_eq!(read(&mut demo), ["StasisStart"]);
    assert_eq!(read(&mut other), ["StasisStart"]);
}

#[test]
fn what_is_unknown_null_or_of_zero_value_passes() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events()).unwrap();
    let mut starts = now(ari.events_of::<StasisStart>()).unwrap();
    let odd = [
        json!({ "type": "AddedLater", "channel": { "id": "c" }, "news": [1, null] }),
        json!({ "type": "StasisStart", "channel": null, "args": null, "timestamp": null }),
        json!({ "type": "StasisStart", "channel": { "id": "", "caller": null },
                "replace_channel": { "id": "", "creationtime": "0001-01-01T00:00:00Z" } }),
        json!({ "type": "StasisStart", "added_later": true,
                "channel": { "id": "c", "state": "AddedLater" } }),
    ];
    for event in &odd {
        fake.emit(event).unwrap();
    }
    for expected in &odd {
        let std::task::Poll::Ready(Some(StreamItem::Event(event))) = ready(&mut events) else {
            panic!("{expected} is missing");
        };
        let value = event.to_value().unwrap();
        for (name, value_) in expected.as_object().unwrap() {
            assert_eq!(&value[name], value_);
        }
        match event.body().unwrap() {
            EventBody::Unknown => assert_eq!(event.kind(), "AddedLater"),
            EventBody::StasisStart(start) => {
                let id = start.channel.as_ref().map(|channel| channel.id.to_string());
                assert_eq!(id.is_some(), expected["channel"]["id"] == "c");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(read(&mut starts), ["StasisStart"; 3]);
}

#[test]
fn what_is_no_event_is_an_error_of_the_transport_alone() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events()).unwrap();
    for json in [json!(null), json!([]), json!({}), json!({ "type": 7 })] {
        assert!(
            matches!(fake.emit(&json), Err(Error::Decode { .. })),
            "{json}"
        );
    }
    assert_eq!(read(&mut events), [""; 0]);
}
