//! Dialogs on a single Asterisk: what is bound, who sees it, and when that ends.

use std::{task::Poll, time::Duration};

use ari_core::{
    Ari, End, EntityKind, Error, Event, Gap, GapCause, events::ChannelDtmfReceived, local::Dialogs,
    router::Feed, testing::Fake,
};
use futures::StreamExt;
use serde_json::json;

use crate::support::{
    NOTHING, ORIGINATE, Task, closed, dtmf, fake, held, now, on_channel, on_playback, read, ready,
};

#[test]
fn a_command_of_a_dialog_binds_what_it_concerns() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let other = ari.dialog("order-4712").unwrap();
    let mut events = now(worker.events()).unwrap();
    let mut digits = now(worker.events_of::<ChannelDtmfReceived>()).unwrap();
    let mut others = now(other.events()).unwrap();
    let alice = now(worker.channels().originate("PJSIP/alice")).unwrap();
    assert_eq!(
        fake.requests()[0].target.dialog.as_deref(),
        Some("order-4711")
    );
    assert_eq!(
        alice.entity().metadata.dialog.as_deref(),
        Some("order-4711")
    );
    now(other.channels().handle("bob").answer()).unwrap();
    for event in [
        on_channel("ChannelCreated", alice.id()),
        on_channel("ChannelStateChange", "bob"),
        on_channel("ChannelStateChange", "carol"),
        dtmf(alice.id(), "1"),
        dtmf("bob", "2"),
        json!({ "type": "AddedLater" }),
    ] {
        fake.emit(&event).unwrap();
    }
    assert_eq!(read(&mut events), ["ChannelCreated", "ChannelDtmfReceived"]);
    assert_eq!(read(&mut digits), ["ChannelDtmfReceived"]);
    assert_eq!(
        read(&mut others),
        ["ChannelStateChange", "ChannelDtmfReceived"]
    );
}

#[test]
fn the_first_event_of_what_a_dialog_creates_reaches_it() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.private_dialog();
    let mut events = now(worker.events()).unwrap();
    let channel = worker.channels().handle("c");
    let playback = now(channel.play("sound:hello-world")).unwrap();
    fake.emit(&on_playback("PlaybackStarted", playback.id(), "channel:c"))
        .unwrap();
    fake.emit(&on_playback("PlaybackStarted", "of-another", "channel:c"))
        .unwrap();
    fake.emit(&on_playback("PlaybackFinished", playback.id(), "channel:c"))
        .unwrap();
    assert_eq!(read(&mut events), ["PlaybackStarted", "PlaybackFinished"]);
    assert!(now(playback.finished()).is_ok());
}

#[test]
fn asking_binds_nothing() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    fake.answer("GET /channels/{channelId}", 200, &json!({ "id": "c" }));
    fake.answer("GET /channels", 200, &json!([{ "id": "c" }]));
    now(worker.channels().get("c")).unwrap();
    now(worker.channels().list()).unwrap();
    assert_eq!(fake.bindings(), 0);
    now(worker.channels().handle("c").answer()).unwrap();
    assert_eq!(fake.bindings(), 1);
    now(worker.bridges().handle("b").add_channel(["c", "d"])).unwrap();
    assert_eq!(fake.bindings(), 3);
}

#[test]
fn an_entity_may_be_of_several_dialogs() {
    let fake = fake();
    let ari = fake.ari();
    let dialogs = ["one", "two"].map(|name| ari.dialog(name).unwrap());
    let mut streams = dialogs
        .each_ref()
        .map(|dialog| now(dialog.events()).unwrap());
    for dialog in &dialogs {
        now(dialog.channels().handle("c").answer()).unwrap();
        now(dialog.channels().handle("d").answer()).unwrap();
    }
    // One that names two of its entities reaches a dialog once.
    let dial = json!({ "type": "Dial", "caller": { "id": "c" }, "peer": { "id": "d" } });
    fake.emit(&dial).unwrap();
    for stream in &mut streams {
        assert_eq!(read(stream), ["Dial"]);
    }
}

#[test]
fn a_binding_ends_with_its_entity() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let mut events = now(worker.events()).unwrap();
    now(worker.channels().handle("c").answer()).unwrap();
    now(worker.channels().handle("d").answer()).unwrap();
    now(worker
        .channels()
        .play_with_id("c", "p", "sound:hello-world"))
    .unwrap();
    assert_eq!(fake.bindings(), 3);
    fake.emit(&on_playback("PlaybackFinished", "p", "channel:c"))
        .unwrap();
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(fake.bindings(), 1);
    // Another channel of the same id is not of the dialog.
    fake.emit(&on_channel("ChannelCreated", "c")).unwrap();
    fake.emit(&on_channel("ChannelHold", "d")).unwrap();
    assert_eq!(
        read(&mut events),
        ["PlaybackFinished", "ChannelDestroyed", "ChannelHold"]
    );
}

#[test]
fn a_dialog_is_released_with_its_last_scope() {
    let fake = fake();
    let ari = fake.ari();
    let one = ari.dialog("order-4711").unwrap();
    let other = ari.dialog("order-4711").unwrap();
    let unrelated = ari.dialog("order-4712").unwrap();
    now(one.channels().handle("c").answer()).unwrap();
    now(unrelated.channels().handle("d").answer()).unwrap();
    drop(one);
    assert_eq!(fake.bindings(), 2, "the other scope is of the same dialog");
    let mut events = now(other.events()).unwrap();
    fake.emit(&on_channel("ChannelHold", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelHold"]);
    now(other.close()).unwrap();
    assert_eq!(fake.bindings(), 1);
    assert!(closed(&mut events));
    drop(unrelated);
    assert_eq!(fake.bindings(), 0);
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn the_end_of_a_child_does_not_release_the_dialog_of_its_parent() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    now(worker.channels().handle("c").answer()).unwrap();
    let child = worker.child();
    assert_eq!(child.target().dialog.as_deref(), Some("order-4711"));
    now(child.channels().handle("d").answer()).unwrap();
    drop(child);
    assert_eq!(fake.bindings(), 2);
    let mut events = now(worker.events()).unwrap();
    fake.emit(&on_channel("ChannelHold", "d")).unwrap();
    assert_eq!(read(&mut events), ["ChannelHold"]);
}

#[test]
fn the_end_of_a_parent_releases_the_dialogs_below_it() {
    let fake = fake();
    let ari = fake.ari();
    let parent = ari.child();
    let worker = parent.dialog("order-4711").unwrap();
    let nested = worker.private_dialog();
    for dialog in [&worker, &nested] {
        now(dialog.channels().handle("c").answer()).unwrap();
    }
    assert_eq!(fake.bindings(), 2);
    now(parent.close()).unwrap();
    assert_eq!(
        fake.bindings(),
        0,
        "although the clients of the dialogs are still there"
    );
    drop((worker, nested));
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn the_end_of_a_dialog_changes_nothing_for_others() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let channel = now(worker.channels().originate("PJSIP/alice")).unwrap();
    let id = channel.id().to_owned();
    let mut all = now(ari.events()).unwrap();
    drop(worker);
    assert_eq!(fake.bindings(), 0);
    fake.emit(&on_channel("ChannelHold", &id)).unwrap();
    assert_eq!(read(&mut all), ["ChannelHold"]);
}

/// A call that came with a dialog has its events by it, in whatever scope its handle is.
#[test]
fn a_dialog_is_not_released_while_a_stream_of_it_is_elsewhere() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    let mut start = on_channel("StasisStart", "c");
    start["dialog"] = "order-4711".into();
    fake.emit(&start).unwrap();
    let channel = now(calls.next()).unwrap().channel();
    let mut events = now(channel.events()).unwrap();
    let worker = ari.dialog("order-4711").unwrap();
    now(worker.channels().handle("c").answer()).unwrap();
    drop(worker);
    fake.emit(&on_channel("ChannelHold", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelHold"]);
}

#[test]
fn private_dialogs_are_each_their_own() {
    let ari = fake().ari();
    let names: Vec<_> = std::iter::repeat_with(|| ari.private_dialog())
        .take(3)
        .map(|dialog: Ari| dialog.target().dialog.clone().unwrap())
        .collect();
    assert!(names[0] != names[1] && names[1] != names[2] && names[0] != names[2]);
}

#[test]
fn handles_of_a_dialog_have_its_events_and_waits() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let channel = now(worker.channels().originate("PJSIP/alice")).unwrap();
    let mut events = now(channel.events()).unwrap();
    let mut wait = Task::start({
        let channel = channel.clone();
        async move { channel.until_hungup().await }
    });
    fake.emit(&dtmf(channel.id(), "1")).unwrap();
    fake.advance(Duration::from_millis(1));
    assert!(wait.waits());
    fake.emit(&on_channel("ChannelDestroyed", channel.id()))
        .unwrap();
    assert!(matches!(wait.outcome(), Some(Ok(_))));
    assert_eq!(
        read(&mut events),
        ["ChannelDtmfReceived", "ChannelDestroyed", "end Ended"]
    );
    assert_eq!(fake.bindings(), 0);
}

#[test]
fn what_was_not_created_is_not_bound() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let refusal = json!({ "error": "Allocation failed" });
    fake.answer(ORIGINATE, 500, &refusal);
    assert!(now(worker.channels().originate("PJSIP/alice")).is_err());
    let staged = now(worker.channels().originate("PJSIP/alice").staged()).unwrap();
    let unsent = Error::NotSent {
        operation: ORIGINATE.to_owned(),
        reason: "down".to_owned(),
        source: None,
    };
    fake.fail(ORIGINATE, unsent);
    assert!(now(staged.send()).is_err());
    assert_eq!(fake.bindings(), 0);
    // What may be there, or was there before, stays.
    let unknown = Error::OutcomeUnknown {
        operation: ORIGINATE.to_owned(),
        reason: "reset".to_owned(),
        source: None,
    };
    fake.fail(ORIGINATE, unknown);
    assert!(now(worker.channels().originate("PJSIP/alice").channel_id("a")).is_err());
    for status in [409, 500] {
        fake.answer(ORIGINATE, status, &refusal);
        assert!(now(worker.channels().originate("PJSIP/alice").channel_id("a")).is_err());
    }
    assert_eq!(fake.bindings(), 1);
}

#[test]
fn calls_that_left_keep_their_bindings_only_so_long() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("all").unwrap();
    let mut events = now(worker.events()).unwrap();
    let ids: Vec<String> = (0..1_100).map(|n| format!("c{n}")).collect();
    for id in &ids {
        now(worker.channels().handle(id.as_str()).answer()).unwrap();
        fake.emit(&on_channel("StasisEnd", id)).unwrap();
        if id == "c0" {
            fake.emit(&on_channel("StasisStart", id)).unwrap();
        }
    }
    // The first one came back, the ones after it did not.
    assert_eq!(fake.bindings(), 1_025);
    read(&mut events);
    for id in ["c0", "c1", "c75", "c76", "c1099"] {
        fake.emit(&dtmf(id, "1")).unwrap();
    }
    assert_eq!(read(&mut events), ["ChannelDtmfReceived"; 3]);
    for id in &ids {
        fake.emit(&on_channel("ChannelDestroyed", id)).unwrap();
    }
    assert_eq!(fake.bindings(), 0);
}

#[test]
fn the_stream_of_a_call_ends_although_nothing_bound_it_to_the_dialog() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("all").unwrap();
    let mut calls = now(worker.calls()).unwrap();
    for (id, answered) in [("c", false), ("d", true)] {
        fake.emit(&on_channel("StasisStart", id)).unwrap();
        let Poll::Ready(Some(call)) = ready(&mut calls) else {
            panic!("no call")
        };
        let mut events = now(call.channel().events()).unwrap();
        fake.emit(&dtmf(id, "1")).unwrap();
        if answered {
            now(call.channel().answer()).unwrap();
        }
        drop(call);
        fake.emit(&dtmf(id, "2")).unwrap();
        fake.emit(&on_channel("StasisEnd", id)).unwrap();
        let of_dialog = ["ChannelDtmfReceived", "StasisEnd"];
        let came = if answered { &of_dialog[..] } else { &[] };
        assert_eq!(read(&mut events), came);
        fake.advance(Duration::from_secs(1));
        assert_eq!(read(&mut events), ["end Ended"]);
    }
}

/// The stream of a call that nothing bound to the dialog of its worker, up to its end.
fn unbound(fake: &Fake, ari: &Ari) -> Task<Option<End>> {
    let worker = ari.dialog("all").unwrap();
    let mut calls = now(worker.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let channel = now(calls.next()).unwrap().channel();
    let mut task = Task::start(async move {
        let _worker = worker;
        let mut events = channel.events().await.unwrap();
        while events.next().await.is_some() {}
        events.end()
    });
    assert!(task.waits());
    task
}

fn end_in_time(fake: &Fake, task: &mut Task<Option<End>>) -> Option<End> {
    let mut outcomes = (0..100).map(|_| {
        fake.advance(Duration::from_secs(1));
        task.outcome()
    });
    outcomes.find_map(Option::flatten)
}

#[test]
fn the_stream_of_an_unbound_call_ends_after_a_gap_too() {
    let fake = fake();
    let ari = fake.ari();
    let mut task = unbound(&fake, &ari);
    // It hears of the loss by the feed of its latch, and by its own.
    for _ in 0..2 {
        fake.answer("GET /channels/{channelId}", 200, &json!({ "id": "c" }));
    }
    let lost = Gap::new(None, GapCause::Reconnected);
    ari.client().router().gap_everywhere(lost);
    assert!(task.waits());
    assert_eq!(fake.requests().len(), 2);
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    assert_eq!(end_in_time(&fake, &mut task), Some(End::Ended));
}

#[test]
fn the_stream_of_an_unbound_call_ends_although_its_end_was_lost() {
    let fake = fake();
    let ari = fake.ari();
    let mut task = unbound(&fake, &ari);
    let lost = Gap::new(Some(1), GapCause::Upstream);
    // It is there after the first loss, and gone after the second.
    fake.answer("GET /channels/{channelId}", 200, &json!({ "id": "c" }));
    for _ in 0..2 {
        ari.client().router().gap(&Feed::All, lost);
        assert!(task.waits());
    }
    assert_eq!(end_in_time(&fake, &mut task), Some(End::Lost));
}

#[test]
fn a_channel_that_came_back_keeps_the_binding_of_another_dialog() {
    let mut dialogs = Dialogs::default();
    let event = |kind: &str, id: &str| Event::parse(on_channel(kind, id).to_string()).unwrap();
    dialogs.bind("one", EntityKind::Channel, "agent");
    dialogs.bind("other", EntityKind::Channel, "z");
    dialogs.after(&event("StasisEnd", "agent"));
    dialogs.release("one");
    dialogs.after(&event("StasisStart", "agent"));
    dialogs.bind("two", EntityKind::Channel, "agent");
    for n in 0..1_024 {
        let id = format!("c{n}");
        dialogs.bind("other", EntityKind::Channel, &id);
        dialogs.after(&event("StasisEnd", &id));
    }
    assert_eq!(dialogs.of(&event("ChannelHold", "agent")).len(), 1);
}

#[test]
fn a_dialog_that_has_a_scope_again_keeps_its_bindings() {
    let fake = fake();
    let ari = fake.ari();
    let one = ari.dialog("order-4711").unwrap();
    now(one.channels().handle("c").answer()).unwrap();
    // As when the end of the one before is told late.
    let events = ari.client();
    events.release_dialog("order-4711");
    assert_eq!(fake.bindings(), 1);
    drop(one);
    assert_eq!(fake.bindings(), 0);
}

/// It ended while the command was on its way: no event will end the binding.
#[test]
fn what_a_command_does_not_find_is_not_bound() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("all").unwrap();
    let refusal = json!({ "message": "Channel not found" });
    fake.answer("POST /channels/{channelId}/answer", 404, &refusal);
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert!(now(worker.channels().handle("c").answer()).is_err());
    assert_eq!(fake.bindings(), 0);
}

/// Asterisk says 400 `Channel not found` of a channel that is to enter or leave a bridge.
#[test]
fn a_channel_that_a_bridge_command_does_not_find_is_not_bound() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("all").unwrap();
    let bridge = now(worker.bridges().create()).unwrap();
    assert_eq!(fake.bindings(), 1);
    for turn in 0..3 {
        let channel = format!("c{turn}");
        fake.answer(
            "POST /bridges/{bridgeId}/addChannel",
            400,
            &json!({ "message": "Channel not found" }),
        );
        fake.emit(&on_channel("ChannelDestroyed", &channel))
            .unwrap();
        now(bridge.add_channel([channel.as_str()])).unwrap_err();
    }
    assert_eq!(fake.bindings(), 1);
}
