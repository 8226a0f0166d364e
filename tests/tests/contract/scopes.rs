//! Scopes, dialogs, and what is left when they end.

use ari_core::{Ari, ConnectionState, End, EntityKind, Error, StreamItem};
use ari_tests::{Fixture, Outcome, next_of, rest, until_true, within};
use futures::{FutureExt, StreamExt};

ari_tests::scenarios! { "scopes":
    a_child_ends_alone
    a_parent_ends_its_children
    the_last_clone_ends_the_scope
    a_closed_client_says_so
    a_request_under_way_ends_with_its_scope
    a_dialog_sees_its_own_events
    a_dialog_ends_with_its_scope
    a_private_dialog_is_private
    two_scopes_share_a_dialog_by_its_name
    a_thousand_children_leave_nothing
}

fn counts(ari: &Ari) -> ari_core::router::RouterCounts {
    ari.client().router().counts()
}

async fn a_child_ends_alone(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let child = fixture.ari().child();
    let sibling = fixture.ari().child();
    let through_child = child.channels().handle(channel.id());
    let mut of_child = through_child.events().await?;
    let mut of_sibling = sibling.events().await?;
    child.close().await?;
    // What was on the way before is still given.
    rest(&mut of_child).await;
    assert_eq!(of_child.end(), Some(End::Closed));
    assert!(matches!(through_child.get().await, Err(Error::Closed)));
    assert!(matches!(
        through_child.until_hungup().await,
        Err(Error::Closed)
    ));
    assert_eq!(child.state(), ConnectionState::Closed);
    // Parent and sibling go on.
    channel.set_variable("MOOD", "fine").await?;
    next_of(&mut of_sibling, "ChannelVarset").await;
    next_of(&mut events, "ChannelVarset").await;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_parent_ends_its_children(fixture: &Fixture) -> Outcome {
    let parent = fixture.ari().child();
    let child = parent.child();
    let grandchild = child.dialog("suite-grandchild")?;
    let mut events = grandchild.events().await?;
    drop(parent);
    assert!(within("the end", events.next()).await.is_none());
    assert_eq!(events.end(), Some(End::Closed));
    assert!(matches!(
        grandchild.asterisk().get_info().await,
        Err(Error::Closed)
    ));
    assert!(matches!(child.events().await, Err(Error::Closed)));
    fixture.ari().asterisk().get_info().await?;
    Ok(())
}

async fn the_last_clone_ends_the_scope(fixture: &Fixture) -> Outcome {
    let child = fixture.ari().child();
    let clone = child.clone();
    let narrowed = child.for_node(fixture.node())?;
    let handle = child.channels().handle("nobody");
    let mut events = child.events().await?;
    drop(child);
    drop(clone);
    // What is narrowed owns the scope like any clone.
    assert!(handle.get().await.unwrap_err().is_not_found());
    assert!(events.next().now_or_never().is_none());
    drop(narrowed);
    assert!(within("the end", events.next()).await.is_none());
    assert!(matches!(handle.get().await, Err(Error::Closed)));
    Ok(())
}

async fn a_closed_client_says_so(fixture: &Fixture) -> Outcome {
    let (mut calls, channel, mut events) = fixture.answered("waits").await;
    let client = fixture.ari().clone();
    channel.hangup().await?;
    rest(&mut events).await;
    client.close().await?;
    assert_eq!(client.state(), ConnectionState::Closed);
    assert!(matches!(client.channels().list().await, Err(Error::Closed)));
    assert!(matches!(client.events().await, Err(Error::Closed)));
    assert!(matches!(client.calls().await, Err(Error::Closed)));
    assert!(matches!(channel.get().await, Err(Error::Closed)));
    assert!(within("the end of the calls", calls.next()).await.is_none());
    assert!(matches!(client.child().events().await, Err(Error::Closed)));
    Ok(())
}

async fn a_request_under_way_ends_with_its_scope(fixture: &Fixture) -> Outcome {
    let child = fixture.ari().child();
    let asterisk = child.asterisk();
    fixture.hold_answers()?;
    let mut request = Box::pin(asterisk.get_info().into_future());
    assert!((&mut request).now_or_never().is_none());
    drop(child);
    let ended = within("the end of the request", request).await;
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    fixture.release_answers();
    Ok(())
}

async fn a_dialog_sees_its_own_events(fixture: &Fixture) -> Outcome {
    let (mut calls, other, mut of_other) = fixture.answered("waits").await;
    let name = format!("order-{}", fixture.application());
    let dialog = fixture.ari().dialog(&*name)?;
    let mut events = dialog.events().await?;
    let staged = dialog
        .channels()
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?;
    let (channel, mut of_channel) = staged.send().await?;
    assert_eq!(channel.entity().metadata.dialog.as_deref(), Some(&*name));
    next_of(&mut of_channel, "StasisStart").await;
    let playback = channel.play("sound:hello-world").await?;
    other.set_variable("MOOD", "fine").await?;
    next_of(&mut of_other, "ChannelVarset").await;
    within("the end of the prompt", playback.finished()).await?;
    channel.hangup().await?;
    within("the end of the channel", channel.until_hungup()).await?;
    let mut kinds = Vec::new();
    while !kinds.contains(&"ChannelDestroyed".to_owned()) {
        match within("the dialog", events.next()).await {
            Some(StreamItem::Event(event)) => {
                assert!(
                    !event.is_about(EntityKind::Channel, other.id()),
                    "{event:?}"
                );
                if event.is_about(EntityKind::Channel, channel.id()) {
                    kinds.push(event.kind().to_owned());
                }
            }
            other => panic!("{other:?} after {kinds:?}"),
        }
    }
    for kind in [
        "StasisStart",
        "PlaybackStarted",
        "PlaybackFinished",
        "StasisEnd",
    ] {
        let count = kinds.iter().filter(|known| *known == kind).count();
        assert_eq!(count, 1, "{kind}: {kinds:?}");
    }
    // A channel of the dialog is no new call, and the other one is in none.
    assert!(calls.next().now_or_never().is_none());
    other.hangup().await?;
    rest(&mut of_other).await;
    rest(&mut of_channel).await;
    Ok(())
}

async fn a_dialog_ends_with_its_scope(fixture: &Fixture) -> Outcome {
    let before = counts(fixture.ari());
    let dialog = fixture
        .ari()
        .dialog(format!("gone-{}", fixture.application()))?;
    let mut events = dialog.events().await?;
    let (channel, of_channel) = dialog
        .channels()
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?
        .send()
        .await?;
    let id = channel.id().to_owned();
    drop(dialog);
    drop(of_channel);
    while within("the end", events.next()).await.is_some() {}
    assert_eq!(events.end(), Some(End::Closed));
    assert!(matches!(channel.hangup().await, Err(Error::Closed)));
    drop((channel, events));
    assert_eq!(counts(fixture.ari()), before);
    // What it made is Asterisk's: somebody else ends it.
    fixture.ari().channels().handle(&id).hangup().await?;
    Ok(())
}

async fn a_private_dialog_is_private(fixture: &Fixture) -> Outcome {
    let one = fixture.ari().private_dialog();
    let two = fixture.ari().private_dialog();
    assert_ne!(one.target().dialog, two.target().dialog);
    let mut of_two = two.events().await?;
    let (channel, mut events) = one
        .channels()
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?
        .send()
        .await?;
    next_of(&mut events, "StasisStart").await;
    channel.hangup().await?;
    rest(&mut events).await;
    assert!(of_two.next().now_or_never().is_none());
    Ok(())
}

async fn two_scopes_share_a_dialog_by_its_name(fixture: &Fixture) -> Outcome {
    let name = format!("shared-{}", fixture.application());
    let worker = fixture.ari().dialog(&*name)?;
    let monitor = fixture.ari().dialog(&*name)?;
    let mut watched = monitor.events().await?;
    let (channel, mut events) = worker
        .channels()
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?
        .send()
        .await?;
    next_of(&mut events, "StasisStart").await;
    next_of(&mut watched, "StasisStart").await;
    let id = channel.id().to_owned();
    drop(worker);
    // The other one goes on.
    monitor.channels().handle(&id).hangup().await?;
    next_of(&mut watched, "ChannelDestroyed").await;
    Ok(())
}

async fn a_thousand_children_leave_nothing(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let before = counts(fixture.ari());
    let mut children = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..1_000 {
        let child = fixture.ari().child();
        let handle = child.channels().handle(channel.id());
        for _ in 0..5 {
            streams.push(handle.events().await?);
        }
        children.push(child);
    }
    let now = counts(fixture.ari());
    assert_eq!(now.subscriptions, before.subscriptions + 5_000);
    assert_eq!(now.scopes, before.scopes + 1_000);
    channel.set_variable("MOOD", "fine").await?;
    for stream in &mut streams {
        next_of(stream, "ChannelVarset").await;
    }
    drop(children);
    drop(streams);
    until_true("the children to be gone", || {
        counts(fixture.ari()) == before
    })
    .await;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}
