//! Tests of the router alone; what needs a client is in the crate's tests.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::{FutureExt, task::ArcWake};

use super::*;
use crate::{entity::EntityKind, error::Error};

fn node(id: &str) -> Feed {
    Feed::Node {
        application: "demo".into(),
        asterisk_id: id.into(),
    }
}

fn on_channel(id: &str) -> Event {
    Event::parse(format!(
        r#"{{"type":"ChannelVarset","channel":{{"id":"{id}"}}}}"#
    ))
    .unwrap()
}

fn of_channel(feed: Feed, id: &str) -> Interest {
    Interest {
        entity: Some((EntityKind::Channel, id.into())),
        ..Interest::new(feed)
    }
}

fn queue() -> (Arc<Queue>, Sink) {
    let queue = Arc::new(Queue::new(16));
    (Arc::clone(&queue), Sink::Queue(queue))
}

fn events(queue: &Queue) -> usize {
    let context = std::task::Context::from_waker(futures::task::noop_waker_ref());
    let mut events = 0;
    while let std::task::Poll::Ready(Taken::Item(_)) = queue.poll(&context) {
        events += 1;
    }
    events
}

fn taken(router: &Router) -> Vec<(Feed, Option<u64>)> {
    let changes = router.changes().now_or_never().unwrap_or_default();
    changes
        .into_iter()
        .map(|change| (change.feed, change.wanted))
        .collect()
}

#[test]
fn feeds_are_counted_and_each_change_is_told_once() {
    let router = Router::new();
    let (scope, _) = router.open_scope(None, None).unwrap();
    let subscribe = |feed: Feed| {
        let subscription = router.subscribe(scope, Interest::new(feed), queue().1);
        subscription.unwrap().registration
    };
    let one = subscribe(node("a"));
    let other = subscribe(node("a"));
    let second = subscribe(node("b"));
    assert_eq!(taken(&router), [(node("a"), Some(1)), (node("b"), Some(2))]);
    assert_eq!(taken(&router), []);
    drop(one);
    assert_eq!(taken(&router), []);
    assert!(router.wants(&node("a")));
    drop(other);
    assert_eq!(taken(&router), [(node("a"), None)]);
    // What is given up and wanted again before the transport looked is a new generation.
    drop(second);
    let _third = subscribe(node("b"));
    assert_eq!(taken(&router), [(node("b"), Some(3))]);
    assert_eq!(router.counts().feeds, 1);
}

#[test]
fn changes_that_come_during_a_wait_end_it() {
    let router = Router::new();
    let (scope, _) = router.open_scope(None, None).unwrap();
    let mut wait = Box::pin(router.changes());
    assert!((&mut wait).now_or_never().is_none());
    let subscription = router.subscribe(scope, Interest::new(Feed::All), queue().1);
    assert_eq!((&mut wait).now_or_never().unwrap().len(), 1);
    let mut wait = Box::pin(router.changes());
    assert!((&mut wait).now_or_never().is_none());
    drop(wait);
    drop(subscription);
    // A wait that was given up takes nothing with it.
    assert_eq!(taken(&router), [(Feed::All, None)]);
}

#[test]
fn a_feed_is_ready_when_its_generation_is() {
    let router = Router::new();
    let (scope, _) = router.open_scope(None, None).unwrap();
    let subscribe = || {
        let subscription = router.subscribe(scope, Interest::new(Feed::All), queue().1);
        subscription.unwrap()
    };
    let Subscription { registration, wait } = subscribe();
    let mut wait = Box::pin(wait.ready());
    router.established(&Feed::All, 7, FeedState::Ready);
    assert!((&mut wait).now_or_never().is_none(), "that was another one");
    router.established(&Feed::All, 1, FeedState::Failed("no rights".into()));
    let outcome = (&mut wait).now_or_never().unwrap();
    assert!(matches!(outcome, Err(Error::Connect { reason, .. }) if reason == "no rights"));
    router.established(&Feed::All, 1, FeedState::Ready);
    assert!(subscribe().wait.ready().now_or_never().unwrap().is_ok());
    drop(registration);
    let Subscription { registration, wait } = subscribe();
    let mut wait = Box::pin(wait.ready());
    assert!((&mut wait).now_or_never().is_none(), "it is made again");
    router.close();
    assert!(matches!(
        (&mut wait).now_or_never(),
        Some(Err(Error::Closed))
    ));
    drop(registration);
    assert_eq!(router.counts(), RouterCounts::default());
}

#[test]
fn each_feed_has_its_own_subscriptions() {
    let router = Router::local();
    let (scope, _) = router.open_scope(None, None).unwrap();
    let subscribe = |interest| {
        let (queue, sink) = queue();
        (queue, router.subscribe(scope, interest, sink).unwrap())
    };
    let a = subscribe(of_channel(node("a"), "c"));
    let b = subscribe(of_channel(node("b"), "c"));
    let all_b = subscribe(Interest::new(node("b")));
    let varsets = subscribe(Interest {
        kind: Some("ChannelVarset"),
        ..Interest::new(node("a"))
    });
    router.deliver(&node("a"), &on_channel("c"));
    router.deliver(&node("b"), &on_channel("c"));
    router.deliver(&node("b"), &on_channel("d"));
    router.deliver(&node("nobody's"), &on_channel("c"));
    assert_eq!(
        [&a.0, &b.0, &all_b.0, &varsets.0].map(|queue| events(queue)),
        [1, 1, 2, 1]
    );
}

/// A slot is given to the next subscription; the old owner must not release it once more.
#[test]
fn a_slot_that_has_a_new_owner_is_not_released_by_the_old_one() {
    let router = Router::local();
    let (old, _) = router.open_scope(None, None).unwrap();
    let (new, _) = router.open_scope(None, None).unwrap();
    let (ended, sink) = queue();
    let stale = router
        .subscribe(old, of_channel(Feed::All, "c"), sink)
        .unwrap();
    router.end_scope(old);
    let (queue, sink) = queue();
    let current = router
        .subscribe(new, of_channel(Feed::All, "c"), sink)
        .unwrap();
    assert_eq!(stale.registration.slot, current.registration.slot);
    drop(stale);
    router.deliver(&Feed::All, &on_channel("c"));
    assert_eq!((events(&ended), events(&queue)), (0, 1));
    drop(current);
    assert_eq!(router.counts().subscriptions, 0);
}

#[test]
fn nothing_can_be_had_of_a_scope_that_has_ended() {
    let router = Router::local();
    let (scope, token) = router.open_scope(None, Some("d".into())).unwrap();
    let (child, child_token) = router.open_scope(Some(scope), Some("d".into())).unwrap();
    assert_eq!(router.end_scope(scope), [Arc::from("d")]);
    assert_eq!(router.end_scope(scope), [] as [Arc<str>; 0]);
    assert!(token.is_cancelled() && child_token.is_cancelled());
    assert!(router.open_scope(Some(child), None).is_none());
    assert!(
        router
            .subscribe(child, Interest::new(Feed::All), Sink::Keep(Arc::default()))
            .is_none()
    );
    router.close();
    assert!(router.open_scope(None, None).is_none());
    assert_eq!(router.counts(), RouterCounts::default());
}

/// Ten thousand workers come and go: the memory they took is given back.
#[test]
fn many_subscriptions_leave_nothing() {
    let router = Router::local();
    let (root, _) = router.open_scope(None, None).unwrap();
    let mut held = Vec::new();
    for n in 0..10_000 {
        let (scope, _) = router
            .open_scope(Some(root), Some(format!("d{n}").into()))
            .unwrap();
        for feed in [Feed::All, Feed::Dialog(format!("d{n}").into())] {
            let (_, sink) = queue();
            let interest = of_channel(feed, &format!("c{n}"));
            held.push(router.subscribe(scope, interest, sink).unwrap());
        }
    }
    assert_eq!(
        router.counts(),
        RouterCounts {
            subscriptions: 20_000,
            feeds: 10_001,
            scopes: 10_001
        }
    );
    let half = held.split_off(10_000);
    drop(half);
    assert_eq!(router.counts().subscriptions, 10_000);
    assert_eq!(router.end_scope(root).len(), 10_000);
    assert_eq!(router.counts(), RouterCounts::default());
    drop(held);
    assert_eq!(router.counts(), RouterCounts::default());
    let index = router.lock();
    let (rows, capacity) = index.footprint();
    assert_eq!(rows, 0);
    assert!(capacity <= 64, "room for {capacity} is kept");
}

/// What only keeps a feed has an identity of its own as well.
#[test]
fn a_kept_feed_is_not_released_by_an_earlier_owner_of_its_slot() {
    let router = Router::local();
    let (old, _) = router.open_scope(None, None).unwrap();
    let (new, _) = router.open_scope(None, None).unwrap();
    let keep = |scope| {
        let sink = Sink::Keep(Arc::default());
        router
            .subscribe(scope, Interest::new(Feed::All), sink)
            .unwrap()
    };
    let stale = keep(old);
    router.end_scope(old);
    let current = keep(new);
    assert_eq!(stale.registration.slot, current.registration.slot);
    drop(stale);
    assert!(router.wants(&Feed::All));
    drop(current);
    assert!(!router.wants(&Feed::All));
}

/// The wakers of streams run after the router is unlocked: they may use it.
#[test]
fn a_waker_may_use_the_router() {
    struct Curious(Router, AtomicUsize);

    impl ArcWake for Curious {
        fn wake_by_ref(this: &Arc<Self>) {
            this.1
                .fetch_add(1 + this.0.counts().subscriptions, Ordering::Relaxed);
        }
    }

    let router = Router::local();
    let (scope, _) = router.open_scope(None, None).unwrap();
    let (queue, sink) = queue();
    let _subscription = router
        .subscribe(scope, Interest::new(Feed::All), sink)
        .unwrap();
    let curious = Arc::new(Curious(router.clone(), AtomicUsize::new(0)));
    let waker = futures::task::waker(Arc::clone(&curious));
    let context = std::task::Context::from_waker(&waker);
    let sleep = || assert!(queue.poll(&context).is_pending());
    sleep();
    router.deliver(&Feed::All, &on_channel("c"));
    assert_eq!(curious.1.swap(0, Ordering::Relaxed), 2);
    assert_eq!(events(&queue), 1);
    sleep();
    router.gap_everywhere(Gap::new(None, GapCause::Reconnected));
    assert_eq!(curious.1.swap(0, Ordering::Relaxed), 2);
    assert_eq!(events(&queue), 1);
    sleep();
    router.end_scope(scope);
    assert_eq!(curious.1.load(Ordering::Relaxed), 1);
}
