//! Waits for the end of things: latch, then ask, then wait.

use std::{task::Poll, time::Duration};

use ari_core::{
    Calls, ChannelHandle, End, Error, Gap, GapCause, IncomingCall, Outcome, PlaybackHandle,
    Request, Result, events::ChannelDtmfReceived, testing::Fake,
};
use serde_json::{Value, json};

use crate::support::{
    GET_CHANNEL, GET_PLAYBACK, Hooked, NOTHING, ORIGINATE, Task, Verdict, asked, dtmf, fake, held,
    now, on_channel, on_playback, on_recording, read, ready,
};

/// The kind of the event that ended it; `gone` where none came.
fn kind(outcome: Option<Result<Outcome>>) -> String {
    match outcome {
        None => "waits".to_owned(),
        Some(Ok(Outcome::Ended(event))) => event.kind().to_owned(),
        Some(Ok(Outcome::Lost(entity))) => format!("{entity} is gone"),
        Some(Ok(other)) => format!("{other:?}"),
        Some(Err(error)) => format!("{error}"),
    }
}

fn finished(playback: &PlaybackHandle) -> Task<Result<Outcome>> {
    let playback = playback.clone();
    Task::start(async move { playback.finished().await })
}

fn hungup(channel: &ChannelHandle) -> Task<Result<Outcome>> {
    let channel = channel.clone();
    Task::start(async move { channel.until_hungup().await })
}

fn next_call(calls: &mut Calls) -> IncomingCall {
    match ready(calls) {
        Poll::Ready(Some(call)) => call,
        other => panic!("no call: {other:?}"),
    }
}

fn lives(fake: &Fake, operation: &str, times: usize) {
    for _ in 0..times {
        fake.answer(operation, 200, &json!({ "id": "x" }));
    }
}

#[test]
fn a_playback_ends_by_its_event() {
    let fake = fake();
    let ari = fake.ari();
    let playback = now(ari.channels().handle("c").play("sound:hello-world")).unwrap();
    let mut wait = finished(&playback);
    fake.emit(&on_playback("PlaybackStarted", playback.id(), "channel:c"))
        .unwrap();
    fake.emit(&on_playback("PlaybackFinished", "other", "channel:c"))
        .unwrap();
    assert!(wait.waits());
    fake.emit(&on_playback("PlaybackFinished", playback.id(), "channel:c"))
        .unwrap();
    assert_eq!(kind(wait.outcome()), "PlaybackFinished");
    assert_eq!(asked(&fake, GET_PLAYBACK), 0);
    drop((wait, playback));
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn an_end_before_the_wait_is_not_missed() {
    let fake = fake();
    let ari = fake.ari();
    let playback = now(ari.channels().handle("c").play("sound:hello-world")).unwrap();
    fake.emit(&on_playback("PlaybackFinished", playback.id(), "channel:c"))
        .unwrap();
    for _ in 0..2 {
        let outcome = now(playback.finished()).unwrap();
        assert_eq!(outcome.event().unwrap().kind(), "PlaybackFinished");
    }
}

/// One of an unknown scheme, or on a bridge that nobody subscribed to, never tells of its end.
#[test]
fn an_end_that_nobody_tells_is_found_by_asking() {
    let fake = fake();
    let ari = fake.ari();
    let playback = now(ari.bridges().handle("b").play("strange:media")).unwrap();
    let mut wait = finished(&playback);
    lives(&fake, GET_PLAYBACK, 2);
    fake.advance(Duration::from_millis(999));
    assert!(wait.waits());
    assert_eq!(
        asked(&fake, GET_PLAYBACK),
        0,
        "the event has its time first"
    );
    for _ in 0..3 {
        fake.advance(Duration::from_secs(4));
        assert!(wait.waits());
    }
    assert_eq!(asked(&fake, GET_PLAYBACK), 3);
    fake.advance(Duration::from_secs(1));
    let id = playback.id();
    assert_eq!(
        kind(wait.outcome()),
        format!("playback {id} on 02:00:00:00:00:01 is gone")
    );
    drop((wait, playback));
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn the_event_may_come_after_the_playback_was_found_gone() {
    let fake = fake();
    let ari = fake.ari();
    let playback = now(ari.channels().handle("c").play("sound:hello-world")).unwrap();
    let mut wait = finished(&playback);
    fake.advance(Duration::from_secs(1));
    assert!(wait.waits());
    assert_eq!(asked(&fake, GET_PLAYBACK), 1);
    fake.emit(&on_playback("PlaybackFinished", playback.id(), "channel:c"))
        .unwrap();
    assert_eq!(kind(wait.outcome()), "PlaybackFinished");
}

/// Its end may have been before the latch was there, so nothing but asking can tell.
#[test]
fn the_handle_of_something_old_asks_at_once() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut wait = hungup(&channel);
    assert_eq!(asked(&fake, GET_CHANNEL), 1);
    fake.advance(Duration::from_secs(1));
    assert_eq!(kind(wait.outcome()), "channel c is gone");
    lives(&fake, GET_CHANNEL, 1);
    let mut wait = hungup(&channel);
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(kind(wait.outcome()), "ChannelDestroyed");
    assert_eq!(held(&ari), NOTHING, "the latch of the wait goes with it");
}

#[test]
fn questions_become_rare_and_a_doubt_is_asked_about_soon_once() {
    let fake = fake();
    let ari = fake.ari();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let mut wait = hungup(&channel);
    lives(&fake, GET_CHANNEL, 1000);
    let mut minute = || {
        let before = asked(&fake, GET_CHANNEL);
        for _ in 0..600 {
            fake.advance(Duration::from_millis(100));
            assert!(wait.waits());
        }
        asked(&fake, GET_CHANNEL) - before
    };
    assert_eq!(minute(), 5, "after 1, 3, 7, 15 and 31 seconds");
    assert!(minute() <= 2);
    let router = ari.client().router();
    router.gap_everywhere(Gap::new(None, GapCause::Reconnected));
    let questions = minute();
    assert!((5..12).contains(&questions), "{questions} questions");
    assert!(minute() <= 2);
    router.resynced();
    let questions = minute();
    assert!((5..12).contains(&questions), "{questions} questions");
    fake.emit(&on_channel("StasisEnd", channel.id())).unwrap();
    let questions = minute();
    assert!((5..12).contains(&questions), "{questions} questions");
    assert!(minute() <= 2);
}

#[test]
fn errors_do_not_end_a_wait() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    fake.answer(GET_CHANNEL, 500, &Value::Null)
        .answer(GET_CHANNEL, 503, &Value::Null)
        .fail(
            GET_CHANNEL,
            Error::TimedOut {
                operation: GET_CHANNEL.to_owned(),
                after: Duration::from_secs(5),
            },
        )
        .fail(
            GET_CHANNEL,
            Error::NobodyThere {
                subject: "there".to_owned(),
            },
        );
    let mut wait = hungup(&channel);
    for _ in 0..5 {
        assert!(wait.waits());
        fake.advance(Duration::from_secs(1));
    }
    fake.advance(Duration::from_secs(1));
    assert_eq!(kind(wait.outcome()), "channel c is gone");
    assert_eq!(asked(&fake, GET_CHANNEL), 5);
}

#[test]
fn recordings_end_well_or_badly() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    for end in ["RecordingFinished", "RecordingFailed"] {
        let recording = now(channel.record("wav").name("r")).unwrap();
        assert_eq!(recording.id(), "r");
        let mut wait = Task::start({
            let recording = recording.clone();
            async move { recording.finished().await }
        });
        fake.emit(&on_recording("RecordingStarted", "r", "channel:c"))
            .unwrap();
        assert!(wait.waits());
        fake.emit(&on_recording(end, "r", "channel:c")).unwrap();
        assert_eq!(kind(wait.outcome()), end);
    }
    let recording = now(channel.record("wav").name("s")).unwrap();
    let mut wait = Task::start(async move { recording.finished().await });
    fake.advance(Duration::from_secs(1));
    assert!(wait.waits());
    assert_eq!(asked(&fake, "GET /recordings/live/{recordingName}"), 1);
    fake.advance(Duration::from_secs(1));
    assert!(kind(wait.outcome()).ends_with("is gone"));
}

#[test]
fn a_bridge_ends_by_its_event() {
    let fake = fake();
    let ari = fake.ari();
    let bridge = now(ari.bridges().create_with_id("b")).unwrap();
    let mut wait = Task::start(async move { bridge.until_destroyed().await });
    assert!(wait.waits());
    fake.emit(&json!({ "type": "BridgeDestroyed", "bridge": { "id": "b" } }))
        .unwrap();
    assert_eq!(kind(wait.outcome()), "BridgeDestroyed");
}

#[test]
fn a_channel_that_left_has_ended_when_it_is_no_more() {
    let fake = fake();
    let ari = fake.ari();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let mut wait = hungup(&channel);
    lives(&fake, GET_CHANNEL, 2);
    fake.emit(&on_channel("StasisEnd", channel.id())).unwrap();
    for _ in 0..2 {
        assert!(wait.waits(), "it lives on in the dialplan");
        fake.advance(Duration::from_millis(200));
    }
    assert!(wait.waits());
    fake.advance(Duration::from_millis(400));
    assert!(wait.waits());
    assert_eq!(asked(&fake, GET_CHANNEL), 3);
    fake.advance(Duration::from_secs(1));
    assert!(kind(wait.outcome()).ends_with("is gone"));
}

#[test]
fn a_wait_may_be_given_up_and_begun_again() {
    let fake = fake();
    let ari = fake.ari();
    let created = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let old = ari.channels().handle("c");
    lives(&fake, GET_CHANNEL, 10);
    for channel in [&created, &old] {
        for _ in 0..3 {
            let mut wait = hungup(channel);
            assert!(wait.waits());
            fake.advance(Duration::from_secs(1));
            assert!(wait.waits());
        }
        let mut wait = hungup(channel);
        fake.emit(&on_channel("ChannelDestroyed", channel.id()))
            .unwrap();
        assert_eq!(kind(wait.outcome()), "ChannelDestroyed");
    }
    drop(created);
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn several_may_wait_for_one_end() {
    let fake = fake();
    let ari = fake.ari();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let mut waits = [hungup(&channel), hungup(&channel.clone()), hungup(&channel)];
    fake.emit(&on_channel("ChannelDestroyed", channel.id()))
        .unwrap();
    for wait in &mut waits {
        assert_eq!(kind(wait.outcome()), "ChannelDestroyed");
    }
}

#[test]
fn a_wait_ends_with_its_scope() {
    let fake = fake();
    let ari = fake.ari();
    let child = ari.child();
    let created = now(child.channels().originate("PJSIP/alice")).unwrap();
    let old = child.channels().handle("c");
    lives(&fake, GET_CHANNEL, 1);
    let (mut one, mut other) = (hungup(&created), hungup(&old));
    assert!(one.waits() && other.waits());
    drop(child);
    assert!(matches!(one.outcome(), Some(Err(Error::Closed))));
    assert!(matches!(other.outcome(), Some(Err(Error::Closed))));
    assert_eq!(held(&ari), NOTHING);
    let mut wait = hungup(&ari.channels().handle("c"));
    fake.advance(Duration::from_secs(1));
    drop(ari);
    assert!(wait.outcome().is_some(), "a wait never outlives its client");
}

/// A prompt is played, the caller hangs up meanwhile, and only then somebody wants its digits.
#[test]
fn a_stream_of_what_has_ended_ends() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "ended")).unwrap();
    fake.emit(&on_channel("StasisStart", "left")).unwrap();
    let ended = next_call(&mut calls).channel();
    let left = next_call(&mut calls).channel();
    fake.emit(&on_channel("ChannelDestroyed", "ended")).unwrap();
    assert_eq!(read(&mut now(ended.events()).unwrap()), ["end Ended"]);
    fake.emit(&on_channel("StasisEnd", "left")).unwrap();
    // It talks on in the dialplan for a while.
    lives(&fake, GET_CHANNEL, 2);
    let mut events = now(left.events_of::<ChannelDtmfReceived>()).unwrap();
    for _ in 0..3 {
        assert_eq!(read(&mut events), [""; 0]);
        fake.advance(Duration::from_secs(1));
    }
    assert_eq!(read(&mut events), ["end Ended"]);
}

#[test]
fn a_wait_sees_the_event_while_its_question_is_under_way() {
    let fake = fake();
    let hang = |_: &Fake, request: &Request| match request.operation.to_string().as_str() {
        GET_PLAYBACK => Verdict::Hang,
        _ => Verdict::Pass,
    };
    let ari = Hooked::new(&fake, hang).ari();
    let playback = now(ari.channels().handle("c").play("sound:hello-world")).unwrap();
    let handle = playback.clone();
    let mut wait = Task::start(async move { handle.finished().await });
    fake.advance(Duration::from_secs(1));
    assert!(wait.waits());
    fake.emit(&on_playback("PlaybackFinished", playback.id(), "channel:c"))
        .unwrap();
    assert!(matches!(wait.outcome(), Some(Ok(Outcome::Ended(_)))));
}

#[test]
fn what_is_yet_to_be_created_is_not_gone() {
    let fake = fake();
    let ari = fake.ari();
    for (round, decided) in ["sent", "answered with no channel", "dropped"]
        .into_iter()
        .enumerate()
    {
        let staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
        let handle = staged.handle().clone();
        let mut wait = Task::start(async move { handle.until_hungup().await });
        for _ in 0..10 {
            fake.advance(Duration::from_secs(1));
            assert!(wait.waits());
        }
        let before = asked(&fake, GET_CHANNEL);
        assert_eq!(before, round, "{decided}");
        // Once it is decided, it is asked for: nobody knows this channel.
        match decided {
            "sent" => drop(now(staged.send()).unwrap()),
            "dropped" => drop(staged),
            _ => {
                fake.answer(ORIGINATE, 200, &json!({}));
                now(staged.send()).unwrap_err();
            }
        }
        fake.advance(Duration::from_secs(1));
        assert!(wait.waits());
        fake.advance(Duration::from_secs(1));
        assert!(matches!(wait.outcome(), Some(Ok(Outcome::Lost(_)))));
        assert_eq!(asked(&fake, GET_CHANNEL), before + 1);
    }
}

#[test]
fn the_stream_of_what_is_staged_in_an_outage_lives() {
    let fake = fake();
    let ari = fake.ari();
    let lost = Gap::new(None, GapCause::Reconnected);
    ari.client().router().lost(lost);
    let mut staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
    for _ in 0..3 {
        read(staged.events());
        fake.advance(Duration::from_secs(1));
    }
    assert_eq!(read(staged.events()), Vec::<String>::new());
    assert_eq!(staged.events().end(), None);
    // It is asked for once it was sent; nobody knows it.
    let (_channel, mut events) = now(staged.send()).unwrap();
    for _ in 0..3 {
        read(&mut events);
        fake.advance(Duration::from_secs(1));
    }
    assert_eq!(read(&mut events), ["end Lost"]);
}

#[test]
fn a_stream_ends_although_the_end_of_its_call_did_not_fit() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let mut call = next_call(&mut calls);
    for _ in 0..1025 {
        fake.emit(&dtmf("c", "1")).unwrap();
    }
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    // It goes on in the dialplan, and hangs up there.
    let elsewhere = json!({ "id": "c", "dialplan": { "app_name": "Queue" } });
    for _ in 0..3 {
        fake.answer(GET_CHANNEL, 200, &elsewhere);
    }
    assert_eq!(read(call.events()).len(), 1025);
    for _ in 0..5 {
        fake.advance(Duration::from_secs(30));
        read(call.events());
    }
    assert_eq!(call.events().end(), Some(End::Ended));
}

#[test]
fn a_channel_that_is_found_outside_of_every_application_is_asked_for_until_it_is_gone() {
    let fake = fake();
    let ari = fake.ari();
    let mut events = now(ari.channels().handle("c").events()).unwrap();
    let elsewhere = json!({ "id": "c", "dialplan": { "app_name": "Queue" } });
    for _ in 0..3 {
        fake.answer(GET_CHANNEL, 200, &elsewhere);
    }
    let upstream = Gap::new(None, GapCause::Upstream);
    ari.client().router().gap_everywhere(upstream);
    assert_eq!(read(&mut events), ["Gap Upstream None"]);
    for _ in 0..5 {
        fake.advance(Duration::from_secs(30));
        read(&mut events);
    }
    assert_eq!(events.end(), Some(End::Ended));
}

/// Streams of what may be of an application that was taken over, made before that or after.
#[test]
fn whoever_may_hear_no_end_any_more_asks_until_it_is_there() {
    for late in [false, true] {
        let fake = fake();
        let ari = fake.ari();
        let demo = std::sync::Arc::from("demo");
        let retire = || ari.client().router().retire(Some(&demo), End::Replaced);
        if late {
            retire();
        }
        let mut streams = [
            now(ari.channels().handle("x").events()).unwrap(),
            now(ari.bridges().handle("x").events()).unwrap(),
            now(ari.playbacks().handle("x").events()).unwrap(),
            now(ari.recordings().live_handle("x").events()).unwrap(),
        ];
        if !late {
            retire();
        }
        let questions = [
            GET_CHANNEL,
            "GET /bridges/{bridgeId}",
            GET_PLAYBACK,
            "GET /recordings/live/{recordingName}",
        ];
        for question in questions {
            for _ in 0..3 {
                fake.answer(question, 200, &json!({ "id": "x", "name": "x" }));
            }
        }
        for _ in 0..10 {
            for stream in &mut streams {
                read(stream);
            }
            fake.advance(Duration::from_secs(30));
        }
        for (stream, question) in streams.iter_mut().zip(questions) {
            assert_eq!(stream.end(), Some(End::Lost), "{question} {late}");
            assert_eq!(asked(&fake, question), 4);
        }
    }
}
