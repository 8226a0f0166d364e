//! Channels that go elsewhere: to another application, another endpoint, to whoever claims them.

use ari_core::operations::TransferState;
use ari_tests::{Fixture, Outcome, next_event, next_of, rest, until, within};
use futures::StreamExt;

ari_tests::scenarios! { "transfers":
    a_channel_moves_within_the_application
    a_channel_shows_progress
    a_channel_is_redirected
    the_progress_of_a_transfer_is_told
    a_call_that_is_offered_is_claimed
    nobody_goes_nowhere
    a_recording_that_is_not_there_is_not_changed
}

async fn a_channel_moves_within_the_application(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    channel
        .move_to(fixture.application())
        .app_args("again")
        .await?;
    let start = next_of(&mut events, "StasisStart").await.to_value()?;
    assert_eq!(start["args"], serde_json::json!(["again"]));
    // It is still ours.
    channel.get().await?;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_channel_shows_progress(fixture: &Fixture) -> Outcome {
    let (_calls, call) = fixture.take_call("waits").await;
    let (channel, mut events) = call.into_parts();
    channel.progress().await?;
    channel.hangup().await?;
    rest(&mut events).await;
    let gone = channel.progress().await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    Ok(())
}

async fn a_channel_is_redirected(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let foreign = channel.redirect("PJSIP/alice").await.unwrap_err();
    assert_eq!(foreign.status(), Some(422), "{foreign}");
    assert!(
        foreign
            .to_string()
            .contains("does not match channel technology"),
        "{foreign}"
    );
    channel.redirect(fixture.endpoint("answers")).await?;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn the_progress_of_a_transfer_is_told(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    // Without a transfer it means nothing, and is taken.
    channel.transfer_progress(TransferState::Progress).await?;
    let odd = channel.transfer_progress("bogus").await.unwrap_err();
    assert_eq!(odd.status(), Some(400), "{odd}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_call_that_is_offered_is_claimed(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    let mut calls = ari.calls().await?;
    let mut all = ari.events().await?;
    let incoming = fixture
        .call_to(&format!("offers-{}", fixture.application()), "waits")
        .await;
    let offer = loop {
        let event = next_event(&mut all).await.to_value()?;
        if event["type"] == "CallBroadcast" {
            break event;
        }
    };
    assert_eq!(offer["channel"]["id"], incoming.id);
    let claims = ari.event_operations();
    claims
        .claim_channel(&incoming.id, fixture.application())
        .await?;
    let late = claims
        .claim_channel(&incoming.id, fixture.application())
        .await
        .unwrap_err();
    assert!(
        matches!(late.status(), Some(404 | 409)),
        "once it is claimed: {late}"
    );
    let call = within("the claimed call", calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), incoming.id);
    call.channel().hangup().await?;
    Ok(())
}

async fn nobody_goes_nowhere(fixture: &Fixture) -> Outcome {
    let nobody = fixture.ari().channels().handle("nobody");
    for (operation, error) in [
        ("move", nobody.move_to("x").await.unwrap_err()),
        ("redirect", nobody.redirect("Local/x@y").await.unwrap_err()),
        ("progress", nobody.progress().await.unwrap_err()),
        (
            "transfer_progress",
            nobody
                .transfer_progress(TransferState::Answered)
                .await
                .unwrap_err(),
        ),
        ("rtp_statistics", nobody.rtp_statistics().await.unwrap_err()),
        (
            "claim",
            fixture
                .ari()
                .event_operations()
                .claim_channel("nobody", fixture.application())
                .await
                .unwrap_err(),
        ),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    Ok(())
}

async fn a_recording_that_is_not_there_is_not_changed(fixture: &Fixture) -> Outcome {
    let live = fixture.ari().recordings().live_handle("nobody");
    let stored = fixture.ari().recordings().stored_handle("nobody");
    for (operation, error) in [
        ("unpause", live.unpause().await.unwrap_err()),
        ("mute", live.mute().await.unwrap_err()),
        ("unmute", live.unmute().await.unwrap_err()),
        ("copy", stored.copy("somebody").await.unwrap_err()),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    until("nobody to be gone", || async {
        stored.get().await.err().map(drop)
    })
    .await;
    Ok(())
}
