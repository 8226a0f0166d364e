//! Who owns what, and what ends with whom.

use ari_core::{Ari, ConnectionState, Error, events::ChannelDtmfReceived};
use tokio_util::task::TaskTracker;

use crate::support::{
    Hooked, NODE, NOTHING, Remote, Task, Verdict, closed, fake, held, now, on_channel, read,
};

#[test]
fn clones_share_a_scope_and_the_last_one_abandons_the_client() {
    let fake = fake();
    let ari = fake.ari();
    let other = ari.clone();
    let mut events = now(ari.events()).unwrap();
    drop(ari);
    fake.emit(&on_channel("ChannelCreated", "c")).unwrap();
    assert_eq!(read(&mut events), ["ChannelCreated"]);
    assert!(!fake.is_abandoned());
    drop(other);
    assert!(fake.is_abandoned());
    assert!(!fake.is_closed());
    assert!(closed(&mut events));
}

#[test]
fn closing_ends_streams_and_calls_in_good_order() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut all = now(ari.events()).unwrap();
    let mut of_channel = now(channel.events()).unwrap();
    let mut digits = now(channel.events_of::<ChannelDtmfReceived>()).unwrap();
    fake.emit(&on_channel("ChannelVarset", "c")).unwrap();
    now(ari.close()).unwrap();
    assert!(fake.is_closed());
    assert_eq!(ari.state(), ConnectionState::Closed);
    // What came before the end is still there.
    assert_eq!(read(&mut all), ["ChannelVarset", "end Closed"]);
    assert_eq!(read(&mut of_channel), ["ChannelVarset", "end Closed"]);
    assert_eq!(read(&mut digits), ["end Closed"]);
    assert!(matches!(now(channel.answer()), Err(Error::Closed)));
    assert!(matches!(now(channel.events()), Err(Error::Closed)));
    assert!(matches!(now(channel.until_hungup()), Err(Error::Closed)));
    assert!(matches!(now(ari.calls()), Err(Error::Closed)));
    assert!(matches!(
        now(ari.channels().originate("PJSIP/a")),
        Err(Error::Closed)
    ));
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn handles_builders_and_streams_hold_the_client_weakly() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let builder = channel.play("sound:hello-world");
    let mut events = now(channel.events()).unwrap();
    let staged = now(ari.channels().originate("PJSIP/a").staged()).unwrap();
    drop(ari);
    assert!(fake.is_abandoned());
    assert!(closed(&mut events));
    assert!(matches!(now(builder), Err(Error::Closed)));
    assert!(matches!(now(staged.send()), Err(Error::Closed)));
    assert!(matches!(now(channel.hangup()), Err(Error::Closed)));
}

#[test]
fn a_request_under_way_ends_with_its_scope() {
    let fake = fake();
    let ari = Hooked::new(&fake, |_, _| Verdict::Hang).ari();
    let child = ari.child();
    let mut answer = Task::start(child.channels().handle("c").answer().into_future());
    let mut question = Task::start(child.channels().handle("c").get().into_future());
    assert!(answer.waits() && question.waits());
    drop(child);
    let outcome = answer.outcome().unwrap().unwrap_err();
    assert!(outcome.outcome_unknown(), "{outcome}");
    assert!(matches!(question.outcome(), Some(Err(Error::Closed))));
    let mut answer = Task::start(ari.channels().handle("c").answer().into_future());
    assert!(answer.waits());
    drop(ari);
    let outcome = answer.outcome().unwrap().unwrap_err();
    assert!(outcome.outcome_unknown(), "{outcome}");
    assert!(fake.is_abandoned());
}

/// A tree of scopes with a stream in each.
struct Tree {
    parent: Ari,
    sibling: Ari,
    child: Ari,
    dialog: Ari,
    private: Ari,
}

impl Tree {
    fn below(root: &Ari) -> Self {
        let parent = root.child();
        let sibling = root.child();
        let child = parent.child();
        let dialog = child.dialog("order-4711").unwrap();
        let private = parent.private_dialog();
        Self {
            parent,
            sibling,
            child,
            dialog,
            private,
        }
    }

    fn streams(&self) -> [ari_core::Events; 5] {
        [
            &self.parent,
            &self.sibling,
            &self.child,
            &self.dialog,
            &self.private,
        ]
        .map(|ari| now(ari.events()).unwrap())
    }
}

#[test]
fn the_end_of_a_scope_ends_all_below_it_and_nothing_else() {
    for dropped in [false, true] {
        let fake = fake();
        let root = fake.ari();
        let tree = Tree::below(&root);
        let mut of_root = now(root.events()).unwrap();
        let [mut parent, mut sibling, mut child, mut dialog, mut private] = tree.streams();
        assert_eq!(held(&root), (6, 3, 5));

        let Tree {
            parent: parent_,
            sibling: sibling_,
            child: child_,
            dialog: dialog_,
            private: private_,
        } = tree;
        if dropped {
            drop(child_);
        } else {
            now(child_.close()).unwrap();
            assert_eq!(child_.state(), ConnectionState::Closed);
        }
        assert!(closed(&mut child));
        assert!(
            closed(&mut dialog),
            "a dialog below a closed scope is closed"
        );
        assert_eq!(dialog_.state(), ConnectionState::Closed);
        assert!(matches!(now(dialog_.events()), Err(Error::Closed)));
        fake.emit(&on_channel("ChannelCreated", "c")).unwrap();
        assert_eq!(read(&mut parent), ["ChannelCreated"]);
        assert_eq!(read(&mut sibling), ["ChannelCreated"]);
        assert_eq!(held(&root), (4, 2, 3));

        if dropped {
            drop(parent_);
        } else {
            now(parent_.close()).unwrap();
            assert_eq!(parent_.child().state(), ConnectionState::Closed);
            assert!(matches!(now(parent_.child().events()), Err(Error::Closed)));
        }
        assert!(closed(&mut parent));
        assert!(closed(&mut private));
        assert_eq!(private_.state(), ConnectionState::Closed);
        fake.emit(&on_channel("ChannelDestroyed", "c")).unwrap();
        assert_eq!(read(&mut sibling), ["ChannelDestroyed"]);
        assert_eq!(read(&mut of_root), ["ChannelCreated", "ChannelDestroyed"]);
        assert_eq!(sibling_.state(), ConnectionState::Connected);
        assert!(!fake.is_closed() && !fake.is_abandoned());
        drop((of_root, sibling, sibling_));
        assert_eq!(held(&root), NOTHING);
    }
}

#[test]
fn narrowing_shares_the_scope_so_its_parent_may_be_a_temporary() {
    let fake = fake();
    let narrowed = fake
        .ari()
        .for_application("demo")
        .unwrap()
        .for_node(NODE)
        .unwrap();
    assert!(!fake.is_abandoned());
    assert!(narrowed.target().is_complete());
    now(narrowed.channels().handle("c").answer()).unwrap();
    assert!(fake.requests()[0].target.is_complete());
    assert_eq!(held(&narrowed), NOTHING);
    let other = narrowed.for_node("02:00:00:00:00:09").unwrap();
    assert_eq!(
        other.target().asterisk_id.as_deref(),
        Some("02:00:00:00:00:09")
    );
    drop(narrowed);
    assert!(!fake.is_abandoned());
    now(other.close()).unwrap();
    assert!(fake.is_closed());
}

#[test]
fn names_that_cannot_become_part_of_a_subject_are_refused() {
    let ari = fake().ari();
    for name in ["", "a b", "a*", ">", "a..b"] {
        assert!(
            matches!(ari.dialog(name), Err(Error::InvalidName(_))),
            "{name:?}"
        );
        assert!(
            matches!(ari.for_application(name), Err(Error::InvalidName(_))),
            "{name:?}"
        );
        assert!(
            matches!(ari.for_node(name), Err(Error::InvalidName(_))),
            "{name:?}"
        );
    }
    assert_eq!(held(&ari), NOTHING);
}

#[tokio::test]
async fn a_panic_in_a_task_that_owns_a_scope_releases_it() {
    let fake = fake();
    let ari = fake.ari();
    let worker = ari.dialog("order-4711").unwrap();
    let tracker = TaskTracker::new();
    let task = tracker.spawn(async move {
        let channel = worker.channels().originate("PJSIP/alice").await.unwrap();
        let _events = channel.events().await.unwrap();
        let _calls = worker.calls().await.unwrap();
        panic!("the worker fails");
    });
    assert!(task.await.unwrap_err().is_panic());
    assert_eq!(held(&ari), NOTHING);
    assert_eq!(fake.bindings(), 0);
    // The lock of the router is not poisoned.
    assert!(ari.child().channels().handle("c").answer().await.is_ok());
}

#[test]
fn everything_that_is_held_goes_back_to_the_baseline() {
    let fake = fake();
    let ari = fake.ari();
    for closed in [false, true] {
        let worker = ari.private_dialog();
        let channel = now(worker.channels().originate("PJSIP/alice")).unwrap();
        let playback = now(channel.play("sound:hello-world")).unwrap();
        let mut wait = Task::start({
            let playback = playback.clone();
            async move { playback.finished().await }
        });
        assert!(wait.waits());
        let recording = now(channel.record("wav")).unwrap();
        let staged = now(worker.bridges().create().staged()).unwrap();
        let streams = (
            now(worker.events()).unwrap(),
            now(ari.child().events_of::<ChannelDtmfReceived>()),
            now(channel.events_of::<ChannelDtmfReceived>()).unwrap(),
            now(playback.events()).unwrap(),
            now(worker.calls()).unwrap(),
        );
        assert!(fake.bindings() > 0);
        let (subscriptions, feeds, scopes) = held(&ari);
        assert!(
            subscriptions >= 10 && feeds >= 2 && scopes == 1,
            "{:?}",
            held(&ari)
        );
        if closed {
            now(worker.close()).unwrap();
            assert_eq!(held(&ari), NOTHING);
        }
        drop((recording, staged, streams, channel, playback, worker));
        assert!(matches!(wait.outcome(), Some(Err(Error::Closed))));
        assert_eq!(held(&ari), NOTHING);
        assert_eq!(fake.bindings(), 0);
    }
}

#[test]
fn a_wait_for_a_feed_that_never_comes_ends_with_its_scope() {
    let remote = Remote::default();
    let ari = remote.ari();
    let child = ari.child();
    let mut other = Task::start({
        let ari = ari.clone();
        async move { ari.events().await }
    });
    let mut events = Task::start({
        let child = child.clone();
        async move { child.events().await }
    });
    let channel = child.channels().handle("c");
    let mut end = Task::start(async move { channel.until_hungup().await });
    let mut calls = Task::start({
        let child = child.clone();
        async move { child.calls().await }
    });
    assert!(events.waits() && end.waits() && calls.waits());
    now(child.close()).unwrap();
    assert!(matches!(events.outcome(), Some(Err(Error::Closed))));
    assert!(matches!(end.outcome(), Some(Err(Error::Closed))));
    assert!(matches!(calls.outcome(), Some(Err(Error::Closed))));
    assert!(other.waits());
    remote.establish();
    assert!(matches!(other.outcome(), Some(Ok(_))));
    assert_eq!(held(&ari), NOTHING);
    assert_eq!(remote.wanted(), [(Remote::application(), false)]);
}
