//! Recordings, live and stored.

use ari_core::{
    Error, Outcome as Ending,
    operations::{IfExists, TerminateOn},
};
use ari_tests::{Fixture, Outcome, next_of, rest, within};
use std::time::Duration;

ari_tests::scenarios! { "recordings":
    a_message_is_recorded_and_kept
    a_recording_is_cancelled
    a_recording_is_paused_and_muted
    a_recording_ends_with_its_channel
    an_impossible_recording_is_refused
    nothing_is_done_to_a_recording_that_is_not_there
}

async fn a_message_is_recorded_and_kept(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    // A name with a slash is one name, in a folder.
    let name = format!("{}/message", fixture.application());
    let recording = channel
        .record("wav")
        .name(&name)
        .max_duration(Duration::from_secs(30))
        .max_silence(Duration::from_secs(10))
        .if_exists(IfExists::Overwrite)
        .beep(false)
        .terminate_on(TerminateOn::Pound)
        .await?;
    assert_eq!(recording.id(), name);
    next_of(&mut events, "RecordingStarted").await;
    assert_eq!(recording.get().await?.name, name);
    recording.stop().await?;
    let ending = within("the end of the recording", recording.finished()).await?;
    assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
    let recordings = fixture.ari().recordings();
    let listed = recordings.list_stored().await?;
    let stored = listed
        .items
        .iter()
        .find(|known| known.id() == name)
        .expect("it is listed");
    assert_eq!(stored.get().await?.format.as_deref(), Some("wav"));
    let file = stored.file().await;
    if fixture.transport().has_files() {
        assert!(!file?.is_empty());
    } else {
        assert!(matches!(file, Err(Error::Unsupported { .. })), "{file:?}");
    }
    let copy = format!("{name}-copy");
    stored.copy(&copy).await?;
    recordings.delete_stored(&copy).await?;
    stored.delete().await?;
    assert!(stored.get().await.unwrap_err().is_not_found());
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_recording_is_cancelled(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let recording = channel.record("wav").await?;
    next_of(&mut events, "RecordingStarted").await;
    recording.cancel().await?;
    within("the end of the recording", recording.finished()).await?;
    let stored = fixture.ari().recordings().stored_handle(recording.id());
    assert!(stored.get().await.unwrap_err().is_not_found());
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_recording_is_paused_and_muted(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let recording = channel.record("wav").await?;
    next_of(&mut events, "RecordingStarted").await;
    recording.pause().await?;
    recording.unpause().await?;
    recording.mute().await?;
    recording.unmute().await?;
    recording.cancel().await?;
    within("the end of the recording", recording.finished()).await?;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_recording_ends_with_its_channel(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let recording = channel.record("wav").await?;
    next_of(&mut events, "RecordingStarted").await;
    channel.hangup().await?;
    within("the end of the recording", recording.finished()).await?;
    rest(&mut events).await;
    let stored = fixture.ari().recordings().stored_handle(recording.id());
    stored.delete().await?;
    Ok(())
}

async fn an_impossible_recording_is_refused(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let refused = channel.record("nosuch").await.unwrap_err();
    assert_eq!(refused.status(), Some(422), "{refused}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn nothing_is_done_to_a_recording_that_is_not_there(fixture: &Fixture) -> Outcome {
    let live = fixture.ari().recordings().live_handle("nobody");
    let stored = fixture.ari().recordings().stored_handle("nobody");
    for (operation, error) in [
        ("get", live.get().await.unwrap_err()),
        ("stop", live.stop().await.unwrap_err()),
        ("cancel", live.cancel().await.unwrap_err()),
        ("pause", live.pause().await.unwrap_err()),
        ("get stored", stored.get().await.unwrap_err()),
        ("delete stored", stored.delete().await.unwrap_err()),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    let error = stored.file().await.unwrap_err();
    assert_eq!(
        error.is_not_found(),
        fixture.transport().has_files(),
        "{error}"
    );
    within("the end of nobody", live.finished()).await?;
    Ok(())
}
