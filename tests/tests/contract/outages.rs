//! The other side goes away and comes back.

use std::time::Duration;

use ari_core::{ConnectionState, End, Error, Gap, GapCause, StreamItem};
use ari_tests::{Fixture, Outcome, next_event, next_of, rest, until, until_true, within};
use futures::StreamExt;
use serde_json::json;
use tokio::time::timeout;

ari_tests::scenarios! { "outages":
    a_break_is_told_where_the_events_would_be
    calls_come_again_after_a_break
    a_wait_for_an_end_outlasts_a_break
    a_channel_that_ended_meanwhile_is_lost
    work_goes_on_after_many_breaks
    asterisk_behind_the_proxy_goes_away
    events_that_the_proxy_lost_are_a_gap
    what_the_proxy_cannot_have_answered_stays_open
}

/// Reads up to the next gap, then the sign that all is restored.
async fn gap_and_resynced<V: ari_core::View + std::fmt::Debug>(
    events: &mut ari_core::Events<V>,
) -> Gap {
    let gap = loop {
        match within("the gap", events.next()).await {
            Some(StreamItem::Event(_)) => {}
            Some(StreamItem::Gap(gap)) => break gap,
            other => panic!("{other:?} instead of a gap"),
        }
    };
    loop {
        match within("the restored connection", events.next()).await {
            // What is told meanwhile is told; a second break on the way back is one more gap.
            Some(StreamItem::Event(_) | StreamItem::Gap(_)) => {}
            Some(StreamItem::Resynced) => return gap,
            other => panic!("{other:?} instead of the restored connection"),
        }
    }
}

async fn a_break_is_told_where_the_events_would_be(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    let (_calls, channel, mut of_channel) = fixture.answered("waits").await;
    let mut all = fixture.ari().events().await?;
    channel.set_variable("MOOD", "before").await?;
    next_of(&mut all, "ChannelVarset").await;
    link.relay.cut().await;
    until_true("the loss to be noticed", || {
        fixture.ari().state() == ConnectionState::Connecting
    })
    .await;
    link.restore().await;
    let gap = gap_and_resynced(&mut all).await;
    assert_eq!(gap, Gap::new(None, GapCause::Reconnected));
    gap_and_resynced(&mut of_channel).await;
    assert_eq!(fixture.ari().state(), ConnectionState::Connected);
    channel.set_variable("MOOD", "after").await?;
    next_of(&mut all, "ChannelVarset").await;
    next_of(&mut of_channel, "ChannelVarset").await;
    channel.hangup().await?;
    rest(&mut of_channel).await;
    Ok(())
}

async fn calls_come_again_after_a_break(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    let mut calls = fixture.ari().calls().await?;
    let mut all = fixture.ari().events().await?;
    link.relay.interrupt();
    gap_and_resynced(&mut all).await;
    let incoming = fixture.call_in("waits").await;
    let call = within("the call", calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), incoming.id);
    call.channel().hangup().await?;
    Ok(())
}

async fn a_wait_for_an_end_outlasts_a_break(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let playback = channel.play("sound:hello-world").await?;
    link.relay.cut().await;
    let control = fixture.control().playbacks().handle(playback.id());
    until("the playback to be over", || async {
        control.get().await.err()
    })
    .await;
    link.restore().await;
    within("the end of the prompt", playback.finished()).await?;
    gap_and_resynced(&mut events).await;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_channel_that_ended_meanwhile_is_lost(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    link.relay.cut().await;
    let control = fixture.control().channels().handle(channel.id());
    control.hangup().await?;
    until("the channel to be gone", || async {
        control.get().await.err()
    })
    .await;
    link.restore().await;
    let mut told = false;
    while let Some(item) = within("the end of the stream", events.next()).await {
        told |= matches!(item, StreamItem::Event(event) if event.kind() == "StasisEnd");
    }
    // On a socket that Asterisk opens again itself, it may tell what happened meanwhile.
    let end = if told { End::Ended } else { End::Lost };
    assert_eq!(events.end(), Some(end));
    within("the end of the channel", channel.until_hungup()).await?;
    Ok(())
}

async fn work_goes_on_after_many_breaks(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    let mut all = fixture.ari().events().await?;
    for _ in 0..3 {
        link.relay.interrupt();
        gap_and_resynced(&mut all).await;
        let listed = within("the list", fixture.ari().channels().list().into_future()).await?;
        assert!(listed.is_complete());
    }
    Ok(())
}

async fn asterisk_behind_the_proxy_goes_away(fixture: &Fixture) -> Outcome {
    let trunk = fixture.trunk()?;
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    trunk.relay.cut().await;
    // The client is connected to NATS, so it is the proxy that says what is missing.
    let error = until("the loss to be noticed", || async {
        channel
            .get()
            .await
            .err()
            .filter(|error| matches!(error, Error::NotSent { .. }))
    })
    .await;
    assert!(error.to_string().contains("Asterisk"), "{error}");
    assert!(error.is_retryable());
    assert_eq!(fixture.ari().state(), ConnectionState::Connected);
    trunk.restore().await;
    until("Asterisk to be back", || async { channel.get().await.ok() }).await;
    channel.hangup().await?;
    let mut gaps = 0;
    loop {
        match within("the end of the stream", events.next()).await {
            Some(StreamItem::Gap(gap)) => {
                assert_eq!(gap.cause, GapCause::Upstream);
                gaps += 1;
            }
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(gaps, 1);
    Ok(())
}

async fn events_that_the_proxy_lost_are_a_gap(fixture: &Fixture) -> Outcome {
    let trunk = fixture.trunk()?;
    let mut all = fixture.ari().events().await?;
    fixture.inject(&json!({"type": "Before"}));
    assert_eq!(next_event(&mut all).await.kind(), "Before");
    trunk.relay.interrupt();
    // Told as soon as there is an event to tell it with.
    let told = fixture.ari().asterisk();
    until("the proxy to be connected again", || async {
        told.get_info().await.ok()?;
        fixture.try_inject(&json!({"type": "After"}))
    })
    .await;
    match within("the gap", all.next()).await {
        Some(StreamItem::Gap(gap)) => assert_eq!(gap, Gap::new(None, GapCause::Upstream)),
        other => panic!("{other:?} instead of a gap"),
    }
    assert_eq!(next_event(&mut all).await.kind(), "After");
    Ok(())
}

async fn what_the_proxy_cannot_have_answered_stays_open(fixture: &Fixture) -> Outcome {
    let trunk = fixture.trunk()?;
    let mut all = fixture.ari().events().await?;
    fixture.inject(&json!({"type": "Before"}));
    assert_eq!(next_event(&mut all).await.kind(), "Before");
    let asterisk = fixture.ari().asterisk();
    let name = format!("RESET_{}", fixture.application().replace('-', "_"));
    trunk.relay.hold();
    let set = within(
        "the error",
        asterisk.set_global_var(&name, "yes").into_future(),
    );
    let reset = async {
        // The operation was done.
        until("the request to arrive", || async {
            fixture.global(&name).await.filter(|value| value == "yes")
        })
        .await;
        trunk.relay.interrupt();
        trunk.relay.release();
    };
    let (error, ()) = tokio::join!(set, reset);
    let error = error.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains("Asterisk"), "{error}");
    until("Asterisk to be back", || async {
        asterisk.get_info().await.ok()
    })
    .await;
    // Requests may be answered before the proxy sees that its event socket is lost. It says so once that is back.
    within("the event socket to be back", async {
        loop {
            fixture.try_inject(&json!({"type": "Back"}));
            let told = timeout(Duration::from_millis(50), all.next()).await;
            if let Ok(Some(StreamItem::Gap(_))) = told {
                return;
            }
        }
    })
    .await;
    // What the proxy waits for too long is a timeout, and it serves others meanwhile.
    trunk.relay.hold();
    let slow = ari_core::Operation::timeout_after(
        asterisk.set_global_var("SLOW", "yes"),
        Duration::from_millis(300),
    );
    let error = within("the timeout", slow.into_future()).await.unwrap_err();
    assert!(error.outcome_unknown(), "{error:?}");
    trunk.relay.release();
    asterisk.get_info().await?;
    Ok(())
}
