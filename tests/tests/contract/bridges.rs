//! Operations on bridges, accepted and refused.

use ari_core::{
    ChannelHandle, End, Outcome as Ending,
    models::{BridgeType, PlaybackState},
};
use ari_tests::{Fixture, Outcome, next_of, rest, until, within};

ari_tests::scenarios! { "bridges":
    two_calls_are_bridged
    a_bridge_is_described_and_listed
    a_holding_bridge_has_roles
    a_bridge_plays_music_and_prompts
    a_bridge_is_recorded
    a_bridge_tells_its_events
    the_stream_of_a_bridge_ends_where_no_event_tells
    a_staged_bridge_is_sent_when_told
    a_bridge_that_is_made_twice_is_one
    nothing_is_done_to_a_bridge_that_is_not_there
    what_cannot_be_bridged_is_refused
}

/// A channel in the application that the application has called.
async fn called(fixture: &Fixture) -> Result<ChannelHandle, ari_core::Error> {
    let staged = fixture
        .ari()
        .channels()
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?;
    let (channel, mut events) = staged.send().await?;
    next_of(&mut events, "StasisStart").await;
    Ok(channel)
}

async fn two_calls_are_bridged(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut events) = fixture.answered("waits").await;
    let other = called(fixture).await?;
    let bridge = fixture.ari().bridges().create().name("talk").await?;
    bridge.add_channel(caller.id()).await?;
    bridge.add_channel(other.id()).await?;
    let entered = next_of(&mut events, "ChannelEnteredBridge")
        .await
        .to_value()?;
    assert_eq!(entered["bridge"]["id"], bridge.id());
    let mut members: Vec<String> = bridge
        .get()
        .await?
        .channels
        .iter()
        .map(ToString::to_string)
        .collect();
    members.sort();
    let mut expected = [caller.id(), other.id()];
    expected.sort_unstable();
    assert_eq!(members, expected);
    bridge.remove_channel(caller.id()).await?;
    next_of(&mut events, "ChannelLeftBridge").await;
    bridge.destroy().await?;
    within("the end of the bridge", bridge.until_destroyed()).await?;
    // The channels are still there.
    caller.hangup().await?;
    other.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_bridge_is_described_and_listed(fixture: &Fixture) -> Outcome {
    let bridge = fixture
        .ari()
        .bridges()
        .create()
        .bridge_type("mixing")
        .name("room")
        .await?;
    let place = &bridge.entity().metadata;
    assert_eq!(place.asterisk_id.as_deref(), Some(&*fixture.node()));
    let data = bridge.get().await?;
    assert_eq!(data.id, bridge.id());
    assert_eq!(data.name.as_deref(), Some("room"));
    assert_eq!(data.bridge_type, Some(BridgeType::Mixing));
    assert_eq!(data.channels.len(), 0);
    let listed = fixture.ari().bridges().list().await?;
    assert!(listed.is_complete());
    let found = listed.items.iter().find(|known| known.id() == bridge.id());
    assert_eq!(found.expect("it is listed").get().await?.id, bridge.id());
    fixture
        .ari()
        .bridges()
        .handle(bridge.id())
        .destroy()
        .await?;
    // Asterisk answers a moment before it has forgotten the bridge.
    let gone = until("the bridge to be gone", || async {
        bridge.get().await.err()
    })
    .await;
    assert!(gone.is_not_found(), "{gone}");
    Ok(())
}

async fn a_holding_bridge_has_roles(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut events) = fixture.answered("waits").await;
    let bridge = fixture
        .ari()
        .bridges()
        .create()
        .bridge_type("holding")
        .await?;
    bridge
        .add_channel(caller.id())
        .role("participant")
        .mute(true)
        .absorb_dtmf(true)
        .await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    assert_eq!(bridge.get().await?.bridge_type, Some(BridgeType::Holding));
    caller.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn a_bridge_plays_music_and_prompts(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut events) = fixture.answered("waits").await;
    let bridge = fixture.ari().bridges().create().await?;
    // Who is in it subscribes the application to it.
    bridge.add_channel(caller.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    bridge.start_moh().await?;
    bridge.stop_moh().await?;
    bridge.start_moh().moh_class("default").await?;
    bridge.stop_moh().await?;
    let playback = bridge.play("sound:hello-world").await?;
    let ending = within("the end of the prompt", playback.finished()).await?;
    assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
    let long = bridge.play("sound:tt-monkeys").await?;
    until("the playback to run", || async {
        let state = long.get().await.ok()?.state;
        (state == Some(PlaybackState::Playing)).then_some(())
    })
    .await;
    long.stop().await?;
    within("the end of the prompt", long.finished()).await?;
    caller.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn a_bridge_is_recorded(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut events) = fixture.answered("waits").await;
    let bridge = fixture.ari().bridges().create().await?;
    bridge.add_channel(caller.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    let recording = bridge.record("wav").await?;
    recording.get().await?;
    recording.stop().await?;
    within("the end of the recording", recording.finished()).await?;
    let stored = fixture.ari().recordings().stored_handle(recording.id());
    stored.delete().await?;
    caller.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn a_bridge_tells_its_events(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut of_caller) = fixture.answered("waits").await;
    let bridge = fixture.ari().bridges().create().await?;
    let mut of_bridge = bridge.events().await?;
    bridge.add_channel(caller.id()).await?;
    next_of(&mut of_bridge, "ChannelEnteredBridge").await;
    bridge.remove_channel(caller.id()).await?;
    next_of(&mut of_bridge, "ChannelLeftBridge").await;
    // Subscribed by hand, the application is told of the end too.
    let application = fixture.ari().applications().handle(fixture.application());
    application
        .subscribe(format!("bridge:{}", bridge.id()))
        .await?;
    bridge.destroy().await?;
    let left = rest(&mut of_bridge).await;
    assert_eq!(left.last().map(String::as_str), Some("BridgeDestroyed"));
    let ending = within("the end of the bridge", bridge.until_destroyed()).await?;
    assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
    caller.hangup().await?;
    rest(&mut of_caller).await;
    Ok(())
}

/// Asterisk does not tell of the end of a bridge that nobody is subscribed to.
async fn the_stream_of_a_bridge_ends_where_no_event_tells(fixture: &Fixture) -> Outcome {
    let bridge = fixture.ari().bridges().create().await?;
    let mut events = bridge.events().await?;
    bridge.destroy().await?;
    assert!(rest(&mut events).await.is_empty());
    assert_eq!(events.end(), Some(End::Ended));
    Ok(())
}

async fn a_staged_bridge_is_sent_when_told(fixture: &Fixture) -> Outcome {
    let (_calls, caller, mut of_caller) = fixture.answered("waits").await;
    let staged = fixture
        .ari()
        .bridges()
        .create()
        .name("later")
        .staged()
        .await?;
    let handle = staged.handle().clone();
    assert!(handle.get().await.unwrap_err().is_not_found());
    let (bridge, mut events) = staged.send().await?;
    assert_eq!(bridge.id(), handle.id());
    bridge.add_channel(caller.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    caller.hangup().await?;
    rest(&mut of_caller).await;
    bridge.destroy().await?;
    Ok(())
}

async fn a_bridge_that_is_made_twice_is_one(fixture: &Fixture) -> Outcome {
    let id = ari_core::fresh_id();
    let bridges = fixture.ari().bridges();
    let first = bridges.create_with_id(&id).name("one").await?;
    // Asterisk takes the same id again, as an update or a refusal by version.
    if let Err(refused) = bridges.create_with_id(&id).name("two").await {
        assert_eq!(refused.status(), Some(409), "{refused}");
    }
    let listed = bridges.list().await?;
    let ours = listed.items.iter().filter(|known| known.id() == id);
    assert_eq!(ours.count(), 1);
    first.destroy().await?;
    Ok(())
}

async fn nothing_is_done_to_a_bridge_that_is_not_there(fixture: &Fixture) -> Outcome {
    let nobody = fixture.ari().bridges().handle("nobody");
    for (operation, error) in [
        ("get", nobody.get().await.unwrap_err()),
        ("destroy", nobody.destroy().await.unwrap_err()),
        ("add_channel", nobody.add_channel("x").await.unwrap_err()),
        (
            "remove_channel",
            nobody.remove_channel("x").await.unwrap_err(),
        ),
        ("play", nobody.play("sound:beep").await.unwrap_err()),
        ("record", nobody.record("wav").await.unwrap_err()),
        ("start_moh", nobody.start_moh().await.unwrap_err()),
        ("stop_moh", nobody.stop_moh().await.unwrap_err()),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
        assert!(
            error.to_string().contains("Bridge not found"),
            "{operation}: {error}"
        );
    }
    within("the end of nobody", nobody.until_destroyed()).await?;
    Ok(())
}

async fn what_cannot_be_bridged_is_refused(fixture: &Fixture) -> Outcome {
    let bridge = fixture.ari().bridges().create().await?;
    let unknown = bridge.add_channel("nobody").await.unwrap_err();
    assert_eq!(unknown.status(), Some(400), "{unknown}");
    assert!(
        unknown.to_string().contains("Channel not found"),
        "{unknown}"
    );
    let incoming = fixture.call_in("waits").await;
    let outside = bridge.add_channel(incoming.caller.id()).await.unwrap_err();
    assert_eq!(outside.status(), Some(422), "{outside}");
    let absent = bridge.remove_channel(&incoming.id).await.unwrap_err();
    assert_eq!(absent.status(), Some(422), "{absent}");
    let odd = fixture.ari().bridges().create().bridge_type("odd").await;
    assert_eq!(odd.unwrap_err().status(), Some(500));
    incoming.caller.hangup().await?;
    bridge.destroy().await?;
    Ok(())
}
