//! Playbacks: what plays, how it is controlled, how it ends.

use ari_core::{End, Outcome as Ending, models::PlaybackState, operations::PlaybackControl};
use ari_tests::{Fixture, Outcome, next_of, rest, until, within};

ari_tests::scenarios! { "playbacks":
    a_prompt_is_played_to_its_end
    several_prompts_follow_each_other
    a_playback_is_paused_and_goes_on
    a_playback_is_stopped
    an_unknown_sound_fails
    what_never_finishes_ends_with_its_channel
    a_staged_playback_misses_no_event
    the_end_is_found_by_who_comes_late
    nothing_is_done_to_a_playback_that_is_not_there
}

/// What became of a playback, by the event that ended it.
fn state(ending: &Ending) -> String {
    let event = ending.event().expect("an event ended it");
    let value = event.to_value().unwrap();
    value["playback"]["state"].as_str().unwrap().to_owned()
}

async fn a_prompt_is_played_to_its_end(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:hello-world").await?;
    let data = playback.get().await?;
    assert_eq!(data.media_uri.as_deref(), Some("sound:hello-world"));
    assert_eq!(data.target_uri, Some(format!("channel:{}", channel.id())));
    let mut of_playback = playback.events().await?;
    let ending = within("the end of the prompt", playback.finished()).await?;
    assert_eq!(state(&ending), "done");
    // The stream of the playback ends with it, and that of the channel has its events too.
    rest(&mut of_playback).await;
    assert_eq!(of_playback.end(), Some(End::Ended));
    next_of(&mut events, "PlaybackStarted").await;
    next_of(&mut events, "PlaybackFinished").await;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn several_prompts_follow_each_other(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play(["sound:hello-world", "sound:beep"]).await?;
    next_of(&mut events, "PlaybackStarted").await;
    let next = next_of(&mut events, "PlaybackContinuing")
        .await
        .to_value()?;
    assert_eq!(next["playback"]["id"], playback.id());
    let ending = within("the end of the prompts", playback.finished()).await?;
    assert_eq!(state(&ending), "done");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_playback_is_paused_and_goes_on(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:tt-monkeys").await?;
    next_of(&mut events, "PlaybackStarted").await;
    for control in [
        PlaybackControl::Pause,
        PlaybackControl::Unpause,
        PlaybackControl::Restart,
        PlaybackControl::Forward,
        PlaybackControl::Reverse,
    ] {
        playback.control(control).await?;
    }
    let refused = playback
        .control(PlaybackControl::from("dance"))
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(400), "{refused}");
    playback.stop().await?;
    within("the end of the prompt", playback.finished()).await?;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_playback_is_stopped(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:tt-monkeys").await?;
    next_of(&mut events, "PlaybackStarted").await;
    playback.stop().await?;
    let ending = within("the end of the prompt", playback.finished()).await?;
    assert_eq!(state(&ending), "done");
    assert!(playback.stop().await.unwrap_err().is_not_found());
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn an_unknown_sound_fails(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:no-such-sound").await?;
    let ending = within("the end of the prompt", playback.finished()).await?;
    assert_eq!(state(&ending), "failed");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn what_never_finishes_ends_with_its_channel(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("noscheme:nothing").await?;
    next_of(&mut events, "PlaybackStarted").await;
    channel.hangup().await?;
    rest(&mut events).await;
    // No event ends it: it is found gone, or it is known as long as Asterisk knows it.
    until("the playback to be gone or known", || async {
        match playback.get().await {
            Ok(data) => (data.state != Some(PlaybackState::Done)).then_some(()),
            Err(error) => error.is_not_found().then_some(()),
        }
    })
    .await;
    Ok(())
}

async fn a_staged_playback_misses_no_event(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut of_channel) = fixture.answered("waits").await;
    let staged = channel.play("sound:hello-world").staged().await?;
    assert!(staged.handle().get().await.unwrap_err().is_not_found());
    let (playback, mut events) = staged.send().await?;
    assert_eq!(
        rest(&mut events).await,
        ["PlaybackStarted", "PlaybackFinished"]
    );
    within("the end of the prompt", playback.finished()).await?;
    channel.hangup().await?;
    rest(&mut of_channel).await;
    Ok(())
}

async fn the_end_is_found_by_who_comes_late(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:hello-world").await?;
    next_of(&mut events, "PlaybackFinished").await;
    // The handle has waited from the start; one that is made now has to ask.
    within("the end of the prompt", playback.finished()).await?;
    let late = fixture.ari().playbacks().handle(playback.id());
    let ending = within("the end of the prompt", late.finished()).await?;
    assert!(matches!(ending, Ending::Lost(_)), "{ending:?}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn nothing_is_done_to_a_playback_that_is_not_there(fixture: &Fixture) -> Outcome {
    let nobody = fixture.ari().playbacks().handle("nobody");
    for (operation, error) in [
        ("get", nobody.get().await.unwrap_err()),
        ("stop", nobody.stop().await.unwrap_err()),
        (
            "control",
            nobody.control(PlaybackControl::Pause).await.unwrap_err(),
        ),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    within("the end of nobody", nobody.finished()).await?;
    Ok(())
}
