//! Loss is told, in the stream, in order.

use std::{task::Poll, time::Duration};

use ari_core::{
    End, Error, Gap, GapCause, StreamItem,
    events::{ChannelDtmfReceived, StasisEnd},
    router::Feed,
};
use serde_json::json;

use crate::support::{GET_CHANNEL, NODE, Task, asked, dtmf, fake, now, on_channel, read, ready};

const REST_OF_TIME: Duration = Duration::from_hours(1);

#[test]
fn what_does_not_fit_is_counted_where_it_would_have_been() {
    let fake = fake();
    let ari = fake.ari();
    let mut slow = now(ari.events()).unwrap();
    let mut quick = now(ari.events()).unwrap();
    for _ in 0..1024 {
        fake.emit(&on_channel("ChannelVarset", "c")).unwrap();
    }
    assert_eq!(read(&mut quick).len(), 1024);
    for _ in 0..7 {
        fake.emit(&on_channel("ChannelVarset", "c")).unwrap();
    }
    let Poll::Ready(Some(StreamItem::Event(_))) = ready(&mut slow) else {
        panic!("the first event is missing");
    };
    fake.emit(&on_channel("ChannelHold", "c")).unwrap();
    let lines = read(&mut slow);
    assert_eq!(lines.len(), 1023 + 2);
    assert_eq!(
        lines[1022..],
        ["ChannelVarset", "Gap Overflow Some(7)", "ChannelHold"]
    );
    // One that reads in time has no gap.
    assert_eq!(read(&mut quick).last().unwrap(), "ChannelHold");
}

#[test]
fn the_room_of_a_stream_is_what_it_was_given() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events_with_room(2)).unwrap();
    for kind in ["A", "B", "C", "D"] {
        fake.emit(&on_channel(kind, "c")).unwrap();
    }
    assert_eq!(read(&mut events), ["A", "B", "Gap Overflow Some(2)"]);
}

#[test]
fn gaps_and_their_end_are_told_by_the_transport() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events()).unwrap();
    let mut digits = now(ari.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut of_dialog = now(ari.dialog("d").unwrap().events()).unwrap();
    drop(std::mem::replace(
        &mut of_dialog,
        now(ari.events()).unwrap(),
    ));
    let router = ari.client().router();
    fake.emit(&dtmf("c", "1")).unwrap();
    router.gap(&Feed::All, Gap::new(Some(3), GapCause::Upstream));
    fake.emit(&dtmf("c", "2")).unwrap();
    router.gap(
        &Feed::Dialog("d".into()),
        Gap::new(Some(9), GapCause::Upstream),
    );
    router.gap_everywhere(Gap::new(None, GapCause::Reconnected));
    router.resynced();
    fake.emit(&dtmf("c", "3")).unwrap();
    let expected = [
        "ChannelDtmfReceived",
        "Gap Upstream Some(3)",
        "ChannelDtmfReceived",
        "Gap Reconnected None",
        "Resynced",
        "ChannelDtmfReceived",
    ];
    assert_eq!(read(&mut events), expected);
    assert_eq!(read(&mut digits), expected);
}

#[test]
fn the_events_alone_go_on_over_a_gap() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.events()).unwrap().ignoring_gaps();
    let router = ari.client().router();
    fake.emit(&dtmf("c", "1")).unwrap();
    router.gap_everywhere(Gap::new(None, GapCause::Reconnected));
    router.resynced();
    fake.emit(&on_channel("ChannelHold", "c")).unwrap();
    let mut kinds = Vec::new();
    while let Poll::Ready(Some(event)) = ready(&mut events) {
        kinds.push(event.kind().to_owned());
    }
    assert_eq!(kinds, ["ChannelDtmfReceived", "ChannelHold"]);
    assert_eq!(events.end(), None);
    drop(ari);
    assert!(matches!(ready(&mut events), Poll::Ready(None)));
    assert_eq!(events.end(), Some(End::Closed));
}

#[test]
fn an_event_that_cannot_be_decoded_is_a_gap_in_a_typed_stream_alone() {
    let fake = fake();
    let ari = fake.ari();
    let mut digits = now(ari.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    let mut broken = dtmf("c", "1");
    broken["duration_ms"] = json!("long");
    fake.emit(&broken).unwrap();
    fake.emit(&dtmf("c", "2")).unwrap();
    assert_eq!(
        read(&mut digits),
        ["Gap Undecodable Some(1)", "ChannelDtmfReceived"]
    );
    let Poll::Ready(Some(StreamItem::Event(event))) = ready(&mut events) else {
        panic!("the event is missing");
    };
    assert_eq!(event.to_value().unwrap()["duration_ms"], "long");
    let error = event.body().unwrap_err();
    assert!(
        matches!(&*error, Error::Decode { what, path, .. } if what == "ChannelDtmfReceived" && path == "duration_ms"),
        "{error:?}"
    );
    assert_eq!(read(&mut events), ["ChannelDtmfReceived"]);
}

#[test]
fn an_entity_that_ended_in_a_gap_is_lost() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    let mut digits = now(channel.events_of::<ChannelDtmfReceived>()).unwrap();
    fake.emit(&dtmf("c", "1")).unwrap();
    ari.client()
        .router()
        .gap_everywhere(Gap::new(None, GapCause::Reconnected));
    assert_eq!(
        read(&mut events),
        ["ChannelDtmfReceived", "Gap Reconnected None"]
    );
    assert_eq!(
        read(&mut digits),
        ["ChannelDtmfReceived", "Gap Reconnected None"]
    );
    fake.advance(Duration::from_secs(2));
    assert_eq!(read(&mut events), ["end Lost"]);
    assert_eq!(read(&mut digits), ["end Lost"]);
    assert_eq!(asked(&fake, GET_CHANNEL), 2);
}

#[test]
fn a_gap_makes_one_question_of_an_entity_that_lives_on() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    let router = ari.client().router();
    for cause in [GapCause::Reconnected, GapCause::Overflow] {
        fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
        router.gap_everywhere(Gap::new(None, cause));
        assert_eq!(read(&mut events).len(), 1);
        fake.advance(REST_OF_TIME);
        assert_eq!(read(&mut events), [""; 0]);
    }
    assert_eq!(asked(&fake, GET_CHANNEL), 2);
    // What ends it after the connection is back is seen, or found.
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    router.resynced();
    assert_eq!(read(&mut events), ["Resynced"]);
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelDestroyed", "end Ended"]);
    assert_eq!(asked(&fake, GET_CHANNEL), 3);
}

#[test]
fn a_question_that_fails_while_the_connection_is_away_is_asked_again() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    for _ in 0..4 {
        fake.fail(
            GET_CHANNEL,
            Error::NotSent {
                operation: GET_CHANNEL.to_owned(),
                reason: "not connected".to_owned(),
                source: None,
            },
        );
    }
    ari.client()
        .router()
        .gap_everywhere(Gap::new(None, GapCause::Reconnected));
    assert_eq!(read(&mut events), ["Gap Reconnected None"]);
    for _ in 0..9 {
        fake.advance(Duration::from_secs(2));
        if read(&mut events) == ["end Lost"] {
            assert_eq!(asked(&fake, GET_CHANNEL), 5);
            return;
        }
    }
    panic!("it does not end");
}

/// The last event of an entity may be among those that did not fit.
#[test]
fn an_end_that_did_not_fit_is_found() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    for _ in 0..1024 {
        fake.emit(&on_channel("ChannelVarset", "c")).unwrap();
    }
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    let lines = read(&mut events);
    assert_eq!(lines[1024..], ["Gap Overflow Some(1)"]);
    fake.advance(Duration::from_secs(2));
    assert_eq!(read(&mut events), ["end Lost"]);
}

/// What was seen to leave is not lost, whatever was missed before.
#[test]
fn an_end_that_was_seen_is_no_loss() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events_of::<StasisEnd>()).unwrap();
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    ari.client()
        .router()
        .gap_everywhere(Gap::new(Some(1), GapCause::Upstream));
    assert_eq!(read(&mut events), ["Gap Upstream Some(1)"]);
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    assert_eq!(read(&mut events), ["StasisEnd"]);
    fake.advance(Duration::from_secs(2));
    assert_eq!(read(&mut events), ["end Ended"]);
}

/// A task that awaits a typed stream sleeps until it is woken; the question must wake it.
#[test]
fn a_question_raised_by_what_a_stream_does_not_show_is_asked() {
    let fake = fake();
    let ari = fake.ari();
    let mut digits = now(ari
        .channels()
        .handle("c")
        .events_of::<ChannelDtmfReceived>())
    .unwrap();
    let mut task = Task::start(async move {
        use futures::StreamExt;
        digits.next().await.is_none()
    });
    assert!(task.waits());
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    assert!(task.waits());
    assert_eq!(asked(&fake, GET_CHANNEL), 1);
    fake.advance(Duration::from_secs(2));
    assert_eq!(task.outcome(), Some(true));
}

/// What was made while the connection is away begins with the gap, as if it had been there before.
#[test]
fn a_stream_that_is_made_in_an_outage_has_its_gap() {
    let fake = fake();
    let ari = fake.ari();
    let router = ari.client().router();
    router.lost(Gap::new(None, GapCause::Reconnected));
    let mut events = now(ari.events()).unwrap();
    let mut staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
    assert_eq!(read(&mut events), ["Gap Reconnected None"]);
    assert_eq!(read(staged.events()), ["Gap Reconnected None"]);
    router.resynced();
    assert_eq!(read(&mut events), ["Resynced"]);
    assert_eq!(read(&mut now(ari.events()).unwrap()), [""; 0]);
}

#[test]
fn what_was_of_an_asterisk_that_is_not_there_any_more_is_lost() {
    let fake = fake();
    let ari = fake.ari();
    let mut here = now(ari.for_node(NODE).unwrap().events()).unwrap();
    let mut calls = now(ari.for_node(NODE).unwrap().calls()).unwrap();
    let mut everywhere = now(ari.events()).unwrap();
    ari.client().router().lose_asterisk(NODE);
    assert_eq!(read(&mut here), ["end Lost"]);
    assert!(matches!(ready(&mut calls), Poll::Ready(None)));
    fake.emit(&on_channel("ChannelHold", "c")).unwrap();
    assert_eq!(read(&mut everywhere), ["ChannelHold"]);
}
