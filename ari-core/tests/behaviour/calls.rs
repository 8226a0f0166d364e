//! New calls: each exactly once, with its events already flowing.

use std::{collections::BTreeSet, task::Poll, time::Duration};

use ari_core::{AriClient, Calls, Error, router::Feed};
use futures::StreamExt;
use serde_json::json;

use crate::support::{
    GET_CHANNEL, NODE, NOTHING, OTHER_NODE, Remote, Task, dtmf, ended, fake, from_node, held, ids,
    now, on_channel, read, ready, taken,
};

#[test]
fn a_call_knows_its_channel_its_place_and_its_arguments() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    let start = json!({ "type": "StasisStart", "args": ["sales", "de"],
        "channel": { "id": "c", "name": "PJSIP/alice-1", "state": "Ring" } });
    fake.emit(&start).unwrap();
    let [call] = &mut taken(&mut calls)[..] else {
        panic!("one call is there");
    };
    assert_eq!(call.channel().id(), "c");
    assert_eq!(call.channel().entity().metadata, ari.identity());
    assert_eq!(
        call.channel().snapshot().unwrap().name.as_deref(),
        Some("PJSIP/alice-1")
    );
    assert_eq!(call.args(), ["sales", "de"]);
    assert_eq!(call.event().kind(), "StasisStart");
    assert!(call.events().end().is_none());
    now(call.channel().answer()).unwrap();
    assert_eq!(fake.requests()[0].target, ari.identity());
}

#[test]
fn each_call_comes_once_over_all_streams() {
    let fake = fake();
    let ari = fake.ari();
    let mut streams = [
        now(ari.calls()).unwrap(),
        now(ari.child().calls()).unwrap(),
        now(ari.clone().calls()).unwrap(),
    ];
    // The child was a temporary: its stream is closed, and takes none.
    assert!(ended(&mut streams[1]));
    for n in 0..40 {
        fake.emit(&on_channel("StasisStart", &format!("c{n}")))
            .unwrap();
    }
    let taken = streams.each_mut().map(taken);
    assert_eq!(taken.each_ref().map(Vec::len), [20, 0, 20], "in turns");
    let all: BTreeSet<String> = taken.iter().flat_map(|calls| ids(calls)).collect();
    assert_eq!(all.len(), 40);
}

#[test]
fn the_events_of_a_call_flow_before_it_is_read() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    fake.emit(&dtmf("c", "1")).unwrap();
    fake.emit(&dtmf("d", "2")).unwrap();
    let (channel, mut events) = taken(&mut calls).remove(0).into_parts();
    assert_eq!(
        read(&mut events),
        ["ChannelDtmfReceived"],
        "StasisStart is with the call"
    );
    fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelDestroyed", "end Ended"]);
    assert_eq!(
        now(channel.until_hungup()).unwrap().event().unwrap().kind(),
        "ChannelDestroyed"
    );
}

/// The feed of the calls and that of the events are two: either may be first.
#[test]
fn the_start_of_a_call_is_not_repeated_among_its_events() {
    for start_first in [false, true] {
        let remote = Remote::default();
        let ari = remote.ari();
        let mut calls = open(&remote, &ari);
        let start = on_channel("StasisStart", "c");
        let feeds = [Remote::application(), Remote::calls()];
        for feed in if start_first {
            [&feeds[0], &feeds[1]]
        } else {
            [&feeds[1], &feeds[0]]
        } {
            remote.deliver(feed, &start);
        }
        remote.deliver(&Remote::application(), &dtmf("c", "1"));
        let mut taken = taken(&mut calls);
        assert_eq!(taken.len(), 1);
        assert_eq!(read(taken[0].events()), ["ChannelDtmfReceived"]);
    }
}

#[test]
fn a_caller_who_hung_up_before_the_call_was_read_is_told() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    let (channel, mut events) = taken(&mut calls).remove(0).into_parts();
    assert_eq!(read(&mut events), ["StasisEnd"]);
    let mut wait = Task::start(async move { channel.until_hungup().await });
    fake.advance(Duration::from_millis(100));
    assert!(wait.waits());
    fake.advance(Duration::from_secs(1));
    assert!(matches!(wait.outcome(), Some(Ok(_))));
    assert_eq!(read(&mut events), ["end Ended"]);
}

#[test]
fn own_channels_are_no_new_calls_while_their_handle_is_there() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let staged = now(ari.channels().originate("PJSIP/bob").staged()).unwrap();
    for id in [channel.id(), staged.handle().id()] {
        fake.emit(&on_channel("StasisStart", id)).unwrap();
    }
    // One of another Asterisk that happens to have the same id is a call.
    let other = from_node(on_channel("StasisStart", channel.id()), OTHER_NODE);
    fake.emit(&other).unwrap();
    let others = taken(&mut calls);
    assert_eq!(ids(&others), [channel.id()]);
    assert_eq!(
        others[0].channel().entity().metadata.asterisk_id.as_deref(),
        Some(OTHER_NODE)
    );
    let id = channel.id().to_owned();
    drop((channel, others));
    fake.emit(&on_channel("StasisStart", &id)).unwrap();
    assert_eq!(ids(&taken(&mut calls)), [id]);
}

#[test]
fn a_call_that_comes_back_to_the_application_is_the_same_call() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let mut call = taken(&mut calls).remove(0);
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    fake.emit(&json!({ "type": "StasisStart", "channel": { "id": "c" }, "args": ["again"] }))
        .unwrap();
    assert_eq!(taken(&mut calls).len(), 0);
    assert_eq!(read(call.events()), ["StasisEnd", "StasisStart"]);
}

#[test]
fn a_call_that_is_moved_to_another_application_is_a_new_call_there() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    let mut calls = now(ari.calls()).unwrap();
    let mut agents = now(ari.for_application("agents").unwrap().calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    let call = taken(&mut calls).remove(0);
    fake.emit(&on_channel("StasisEnd", "c")).unwrap();
    let mut start = on_channel("StasisStart", "c");
    start["application"] = "agents".into();
    fake.emit(&start).unwrap();
    let moved = taken(&mut agents);
    assert_eq!(ids(&moved), ["c"]);
    // And back: both handles are held.
    fake.emit(&on_channel("StasisStart", "c")).unwrap();
    assert_eq!(taken(&mut calls).len(), 0);
    drop((call, moved));
}

#[test]
fn calls_of_other_applications_and_asterisks_are_left_alone() {
    let fake = fake();
    let ari = fake.ari();
    let mut here = now(ari.for_node(NODE).unwrap().calls()).unwrap();
    let mut other = now(ari.for_application("other").unwrap().calls()).unwrap();
    fake.emit(&from_node(on_channel("StasisStart", "a"), OTHER_NODE))
        .unwrap();
    fake.emit(&on_channel("StasisStart", "b")).unwrap();
    let mut event = on_channel("StasisStart", "c");
    event["application"] = "other".into();
    fake.emit(&event).unwrap();
    assert_eq!(ids(&taken(&mut here)), ["b"]);
    assert_eq!(ids(&taken(&mut other)), ["c"]);
}

#[test]
fn a_stream_that_is_stopped_gives_what_waits_and_ends() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "a")).unwrap();
    fake.emit(&on_channel("StasisStart", "b")).unwrap();
    calls.stop();
    fake.emit(&on_channel("StasisStart", "late")).unwrap();
    let mut task = Task::start(async move {
        let mut ids = Vec::new();
        while let Some(call) = calls.next().await {
            ids.push(call.channel().id().to_owned());
        }
        ids
    });
    assert_eq!(task.outcome().unwrap(), ["a", "b"]);
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn a_stop_wakes_whoever_waits_for_a_call() {
    let fake = fake();
    let ari = fake.ari();
    let calls = std::rc::Rc::new(std::cell::RefCell::new(now(ari.calls()).unwrap()));
    let mut task = Task::start({
        let calls = std::rc::Rc::clone(&calls);
        std::future::poll_fn(move |context| {
            calls
                .borrow_mut()
                .poll_next_unpin(context)
                .map(|call| call.is_none())
        })
    });
    assert!(task.waits());
    calls.borrow().stop();
    assert_eq!(task.outcome(), Some(true));
}

#[test]
fn calls_that_nobody_read_are_released_with_their_stream() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    for n in 0..10 {
        fake.emit(&on_channel("StasisStart", &format!("c{n}")))
            .unwrap();
    }
    let kept = taken(&mut calls).remove(0);
    fake.emit(&on_channel("StasisStart", "unread")).unwrap();
    drop(calls);
    assert_eq!(held(&ari).0, 2, "events and latch of the call that is kept");
    drop(kept);
    assert_eq!(held(&ari), NOTHING);
    let mut calls = now(ari.calls()).unwrap();
    fake.emit(&on_channel("StasisStart", "unread")).unwrap();
    now(ari.close()).unwrap();
    assert_eq!(ids(&taken(&mut calls)), [""; 0]);
    assert!(ended(&mut calls));
}

#[test]
fn calls_need_an_application() {
    let remote = Remote::nameless();
    let ari = remote.ari();
    assert!(matches!(now(ari.calls()), Err(Error::InvalidRequest(_))));
    assert_eq!(held(&ari), NOTHING);
}

/// Opens a stream of calls on a transport whose feeds take time.
fn open(remote: &Remote, ari: &ari_core::Ari) -> Calls {
    let mut task = Task::start({
        let ari = ari.clone();
        async move { ari.calls().await }
    });
    loop {
        if let Some(calls) = task.outcome() {
            return calls.unwrap();
        }
        remote.establish();
    }
}

fn call(remote: &Remote, id: &str) {
    remote.deliver(&Remote::calls(), &on_channel("StasisStart", id));
}

#[test]
fn the_events_flow_before_the_first_call_is_taken() {
    let remote = Remote::default();
    let ari = remote.ari();
    let mut task = Task::start({
        let ari = ari.clone();
        async move { ari.calls().await }
    });
    let changes = remote.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].feed, Remote::application());
    remote.router().established(
        &changes[0].feed,
        changes[0].wanted.unwrap(),
        ari_core::router::FeedState::Ready,
    );
    assert!(task.waits());
    assert_eq!(remote.wanted(), [(Remote::calls(), true)]);
}

#[test]
fn a_full_queue_takes_no_more_calls_until_there_is_room() {
    let remote = Remote::default();
    let ari = remote.ari();
    let mut calls = open(&remote, &ari);
    for n in 0..1_023 {
        call(&remote, &format!("c{n}"));
    }
    assert_eq!(remote.wanted(), []);
    call(&remote, "last");
    assert_eq!(remote.wanted(), [(Remote::calls(), false)]);
    // What was on its way still comes.
    call(&remote, "late");
    assert!(matches!(ready(&mut calls), Poll::Ready(Some(_))));
    assert_eq!(remote.wanted(), []);
    assert!(matches!(ready(&mut calls), Poll::Ready(Some(_))));
    assert_eq!(remote.wanted(), [(Remote::calls(), true)]);
    let rest = taken(&mut calls);
    assert_eq!(ids(&rest).last().unwrap(), "late");
    assert_eq!(rest.len(), 1_023);
}

#[test]
fn a_full_stream_leaves_calls_to_one_with_room() {
    let remote = Remote::default();
    let ari = remote.ari();
    let (mut full, mut idle) = (open(&remote, &ari), open(&remote, &ari));
    for n in 0..2_048 {
        call(&remote, &format!("c{n}"));
        drop(taken(&mut idle));
    }
    assert_eq!(remote.wanted(), []);
    for n in 0..10 {
        call(&remote, &format!("d{n}"));
    }
    assert_eq!(taken(&mut idle).len(), 10);
    // Without the other one there is no room.
    drop(idle);
    assert_eq!(remote.wanted(), [(Remote::calls(), false)]);
    assert_eq!(taken(&mut full).len(), 1_024);
    assert_eq!(remote.wanted(), [(Remote::calls(), true)]);
}

#[test]
fn calls_on_their_way_when_the_last_stream_stops_are_given_out() {
    let remote = Remote::default();
    let ari = remote.ari();
    let mut calls = open(&remote, &ari);
    call(&remote, "a");
    calls.stop();
    assert_eq!(remote.wanted(), [(Remote::calls(), false)]);
    call(&remote, "b");
    assert_eq!(ids(&taken(&mut calls)), ["a", "b"]);
    assert!(!ended(&mut calls), "more may be on their way");
    call(&remote, "c");
    remote.router().drained(&Remote::calls());
    assert_eq!(ids(&taken(&mut calls)), ["c"]);
    assert!(ended(&mut calls));
    call(&remote, "d");
    assert!(ended(&mut calls));
}

/// The transport says only once that nothing is on its way: here it was before the stop.
#[test]
fn a_full_stream_that_is_stopped_ends() {
    let remote = Remote::default();
    let ari = remote.ari();
    let mut calls = open(&remote, &ari);
    for n in 0..1_024 {
        call(&remote, &format!("c{n}"));
    }
    assert_eq!(remote.wanted(), [(Remote::calls(), false)]);
    remote.router().drained(&Remote::calls());
    calls.stop();
    assert_eq!(remote.wanted(), []);
    assert_eq!(taken(&mut calls).len(), 1_024);
    assert!(ended(&mut calls));
}

/// Stop, and go on with a new stream while the calls of the old one are finished.
#[test]
fn a_new_stream_goes_on_where_a_stopped_one_left_off() {
    for drained in [false, true] {
        let remote = Remote::default();
        let ari = remote.ari();
        let mut old = open(&remote, &ari);
        call(&remote, "a");
        old.stop();
        if drained {
            assert_eq!(remote.wanted(), [(Remote::calls(), false)]);
            remote.router().drained(&Remote::calls());
        }
        let mut task = Task::start({
            let ari = ari.clone();
            async move { ari.calls().await }
        });
        assert!(task.waits(), "the feed has to be made again");
        remote.establish();
        let mut new = task.outcome().unwrap().unwrap();
        call(&remote, "b");
        assert_eq!(ids(&taken(&mut old)), ["a"]);
        assert!(ended(&mut old));
        assert_eq!(ids(&taken(&mut new)), ["b"]);
    }
}

/// What was on its way to the old one comes to the new one.
#[test]
fn a_new_stream_ends_the_wait_of_a_stopped_one() {
    let remote = Remote::default();
    let ari = remote.ari();
    let old = open(&remote, &ari);
    old.stop();
    let mut rest = Task::start(old.count());
    assert!(rest.waits(), "a call may be on its way");
    let mut new = open(&remote, &ari);
    assert_eq!(rest.outcome(), Some(0));
    call(&remote, "a");
    assert_eq!(ids(&taken(&mut new)), ["a"]);
}

#[test]
fn only_the_start_of_a_call_is_a_call() {
    let remote = Remote::default();
    let ari = remote.ari();
    let mut calls = open(&remote, &ari);
    for event in [
        on_channel("StasisEnd", "c"),
        on_channel("StasisStart", ""),
        json!({ "type": "StasisStart" }),
    ] {
        remote.deliver(&Remote::calls(), &event);
    }
    remote.deliver(&Feed::All, &on_channel("StasisStart", "c"));
    assert_eq!(taken(&mut calls).len(), 0);
    assert_eq!(held(&ari).0, 2);
}

/// Connected to one Asterisk nobody else can take the calls: those that go on are kept, however many.
#[test]
fn calls_that_are_over_make_room_in_a_queue_that_nobody_reads() {
    let fake = fake();
    let ari = fake.ari();
    let mut calls = now(ari.calls()).unwrap();
    for n in 0..5_000 {
        let id = format!("c{n}");
        fake.emit(&on_channel("StasisStart", &id)).unwrap();
        if n % 100 != 0 {
            fake.emit(&on_channel("ChannelDestroyed", &id)).unwrap();
        }
    }
    let (subscriptions, ..) = held(&ari);
    assert!(subscriptions < 3_000, "{subscriptions}");
    let taken = taken(&mut calls);
    let live = ids(&taken).into_iter().filter(|id| id.ends_with("00"));
    // c0 and the 49 others.
    assert_eq!(live.count() + 1, 50);
}

#[test]
fn what_a_dropped_stream_did_not_read_goes_to_another() {
    let fake = fake();
    let ari = fake.ari();
    let child = ari.child();
    let first = now(child.calls()).unwrap();
    let second = now(child.calls()).unwrap();
    for id in ["a", "b"] {
        fake.emit(&on_channel("StasisStart", id)).unwrap();
        fake.emit(&dtmf(id, "1")).unwrap();
    }
    drop(first);
    fake.emit(&dtmf("a", "2")).unwrap();
    // The second one is of a scope that ends, and both calls were its own.
    let mut third = now(ari.calls()).unwrap();
    drop((second, child));
    let mut calls = taken(&mut third);
    calls.sort_by_key(|call| call.channel().id().to_owned());
    assert_eq!(ids(&calls), ["a", "b"]);
    assert_eq!(read(calls[0].events()), ["ChannelDtmfReceived"; 2]);
    assert_eq!(read(calls[1].events()), ["ChannelDtmfReceived"]);
    fake.emit(&on_channel("ChannelDestroyed", "a")).unwrap();
    assert_eq!(read(calls[0].events()), ["ChannelDestroyed", "end Ended"]);
    drop((calls, third));
    assert_eq!(held(&ari), NOTHING);
}
