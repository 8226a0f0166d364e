//! New calls that came before there was a stream of calls.

use ari_core::{End, Gap, GapCause, events::StasisStart};

use crate::support::{
    NODE, NOTHING, Task, dtmf, ended, fake, held, ids, now, on_channel, read, taken,
};

/// What a program sees that has just connected, and asks for its calls a moment later.
#[test]
fn calls_that_came_before_the_first_stream_are_in_it_with_their_events() {
    let fake = fake();
    let ari = fake.ari();
    for id in ["over", "gone", "c"] {
        fake.emit(&on_channel("StasisStart", id)).unwrap();
    }
    fake.emit(&on_channel("ChannelDestroyed", "gone")).unwrap();
    fake.emit(&on_channel("StasisEnd", "over")).unwrap();
    fake.emit(&dtmf("c", "1")).unwrap();
    let mut calls = now(ari.calls()).unwrap();
    let mut early = taken(&mut calls);
    assert_eq!(ids(&early), ["c"]);
    assert_eq!(read(early[0].events()), ["ChannelDtmfReceived"]);
    fake.emit(&dtmf("c", "2")).unwrap();
    assert_eq!(read(early[0].events()), ["ChannelDtmfReceived"]);
    fake.emit(&on_channel("StasisStart", "d")).unwrap();
    assert_eq!(ids(&taken(&mut calls)), ["d"]);
    // Nobody asked for the calls that come once the stream is gone.
    drop(calls);
    fake.emit(&on_channel("StasisStart", "e")).unwrap();
    assert!(taken(&mut now(ari.calls()).unwrap()).is_empty());
    drop(early);
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn calls_that_somebody_listened_to_are_not_kept() {
    let fake = fake();
    let ari = fake.ari();
    let starts = now(ari.events_of::<StasisStart>()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    drop(starts);
    let staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
    let own = staged.handle().id().to_owned();
    fake.emit(&on_channel("StasisStart", &own)).unwrap();
    assert!(taken(&mut now(ari.calls()).unwrap()).is_empty());
}

/// Whoever waits for the end of a channel that it did not create does not take its call.
#[test]
fn a_channel_that_somebody_waits_for_is_a_call_all_the_same() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut wait = Task::start(async move { channel.until_hungup().await });
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    assert_eq!(ids(&taken(&mut calls)), ["c"]);
    assert!(wait.waits());
}

/// A stream that cannot have heard a call has not taken it.
#[test]
fn calls_that_only_others_could_hear_are_kept() {
    let fake = fake();
    let ari = fake.ari();
    let _other = now(ari.for_application("other").unwrap().events()).unwrap();
    let _node = now(ari
        .for_node("elsewhere")
        .unwrap()
        .events_of::<StasisStart>())
    .unwrap();
    let _dialog = now(ari.dialog("d").unwrap().events()).unwrap();
    let mut start = on_channel("StasisStart", "c");
    start["application"] = "demo".into();
    start["asterisk_id"] = NODE.into();
    fake.emit(&start).unwrap();
    let mut calls = now(ari.for_application("demo").unwrap().calls()).unwrap();
    assert_eq!(ids(&taken(&mut calls)), ["c"]);
}

/// A program that never asks for calls keeps no more than so many events.
#[test]
fn calls_that_nobody_asks_for_are_given_up_the_oldest_first() {
    let fake = fake();
    let ari = fake.ari();
    for n in 0..=1_024 {
        fake.emit(&on_channel("StasisStart", &format!("c{n}")))
            .unwrap();
    }
    assert_eq!(held(&ari), NOTHING);
    let mut calls = now(ari.calls()).unwrap();
    let early = taken(&mut calls);
    assert_eq!((early.len(), &*ids(&early)[0]), (1_024, "c1"));
    drop((calls, early));
    assert_eq!(held(&ari), NOTHING);
}

/// What is kept must not grow with what happens, and what is not kept is told.
#[test]
fn a_call_that_nobody_asks_for_keeps_its_first_events_and_tells_of_the_others() {
    let fake = fake();
    let ari = fake.ari();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    for _ in 0..100 {
        fake.emit(&dtmf("c", "1")).unwrap();
    }
    let mut early = taken(&mut now(ari.calls()).unwrap());
    let seen = read(early[0].events());
    assert_eq!((seen.len(), &*seen[64]), (65, "Gap Overflow Some(36)"));
    for _ in 0..100 {
        fake.emit(&dtmf("c", "1")).unwrap();
    }
    assert_eq!(read(early[0].events()).len(), 100);
}

/// What an Asterisk has kept for a program comes at once, before the program can ask for its calls.
#[test]
fn events_about_something_else_take_no_room_from_early_calls() {
    let fake = fake();
    let ari = fake.ari();
    for n in 0..100 {
        fake.emit(&on_channel("StasisStart", &format!("c{n}")))
            .unwrap();
        fake.emit(&on_channel("ChannelDestroyed", &format!("old{n}")))
            .unwrap();
    }
    for _ in 0..10_000 {
        fake.emit(&dtmf("another", "1")).unwrap();
    }
    assert_eq!(taken(&mut now(ari.calls()).unwrap()).len(), 100);
}

/// What is kept for another application is nothing new to a second stream of the one that was served.
#[test]
fn early_calls_of_one_application_come_once() {
    let fake = fake();
    let ari = fake.ari();
    for (id, application) in [("c", "demo"), ("d", "other")] {
        let mut start = on_channel("StasisStart", id);
        start["application"] = application.into();
        fake.emit(&start).unwrap();
    }
    let mut calls = now(ari.calls()).unwrap();
    assert_eq!(ids(&taken(&mut calls)), ["c"]);
    assert!(taken(&mut now(ari.calls()).unwrap()).is_empty());
    let other = ari.for_application("other").unwrap();
    assert_eq!(ids(&taken(&mut now(other.calls()).unwrap())), ["d"]);
}

#[test]
fn calls_of_an_application_that_came_back_wait_for_the_next_stream() {
    let fake = fake();
    let ari = fake.ari();
    let demo = std::sync::Arc::from("demo");
    let mut calls = now(ari.calls()).unwrap();
    ari.client().router().retire(Some(&demo), End::Replaced);
    assert!(ended(&mut calls));
    assert!(ari.client().router().reinstate(&demo));
    assert!(!ari.client().router().reinstate(&demo));
    drop(calls);
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let mut calls = now(ari.calls()).unwrap();
    assert_eq!(ids(&taken(&mut calls)), ["c"]);
}

/// What happened to the caller meanwhile nobody knows: the events of the call must say so.
#[test]
fn a_call_that_was_kept_over_a_loss_has_its_gap() {
    let fake = fake();
    let ari = fake.ari();
    let router = ari.client().router();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    fake.emit(&dtmf("c", "1")).unwrap();
    router.lost(Gap::new(None, GapCause::Reconnected));
    router.resynced();
    fake.emit(&dtmf("c", "2")).unwrap();
    let mut early = taken(&mut now(ari.calls()).unwrap());
    assert_eq!(
        read(early[0].events())[..2],
        ["ChannelDtmfReceived", "Gap Reconnected None"]
    );
}

/// The same while the connection is not back yet.
#[test]
fn a_call_that_is_taken_during_an_outage_has_its_gap() {
    let fake = fake();
    let ari = fake.ari();
    let router = ari.client().router();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    router.lost(Gap::new(None, GapCause::Reconnected));
    let mut early = taken(&mut now(ari.calls()).unwrap());
    router.resynced();
    assert_eq!(
        read(early[0].events()),
        ["Gap Reconnected None", "Resynced"]
    );
}

/// A stream that cannot take a call must not use it up.
#[test]
fn calls_of_another_asterisk_than_the_first_stream_is_for_are_kept() {
    let fake = fake();
    let ari = fake.ari();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let _elsewhere = now(ari.for_node("elsewhere").unwrap().calls()).unwrap();
    assert_eq!(ids(&taken(&mut now(ari.calls()).unwrap())), ["c"]);
}

/// Members of an object have no order.
#[test]
fn a_call_is_that_of_the_channel_and_not_of_the_one_that_it_replaces() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    let event = ari_core::Event::parse(
        r#"{"replace_channel":{"id":"old"},"type":"StasisStart","application":"demo","args":[],"channel":{"id":"new"}}"#,
    )
    .unwrap();
    ari.client()
        .router()
        .deliver(&ari_core::router::Feed::calls("demo"), &event);
    assert_eq!(ids(&taken(&mut calls)), ["new"]);
}
