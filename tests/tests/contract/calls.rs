//! New calls.

use ari_core::{End, Outcome as Ending, StreamItem};
use ari_tests::{Fixture, Outcome, next_of, rest, within};
use futures::{FutureExt, StreamExt};

ari_tests::scenarios! { "calls":
    a_call_is_answered_played_to_and_hung_up
    the_events_of_a_call_flow_from_its_start
    a_handle_knows_where_its_channel_is
    each_call_reaches_one_taker
    calls_that_wait_are_all_taken
    a_channel_that_we_created_is_no_new_call
    who_stops_takes_no_more_calls
    the_caller_hangs_up
    a_caller_who_gives_up_early_is_told
}

async fn a_call_is_answered_played_to_and_hung_up(fixture: &Fixture) -> Outcome {
    let (_calls, call) = fixture.take_call("waits").await;
    assert_eq!(call.args(), ["first", "second"]);
    let (channel, mut events) = call.into_parts();
    channel.answer().await?;
    next_of(&mut events, "ChannelStateChange").await;
    let playback = channel.play("sound:hello-world").await?;
    let ending = within("the end of the prompt", playback.finished()).await?;
    assert_eq!(
        ending.event().map(|event| event.kind().to_owned()),
        Some("PlaybackFinished".to_owned())
    );
    channel.hangup().await?;
    within("the end of the channel", channel.until_hungup()).await?;
    let left = rest(&mut events).await;
    let seen = ["PlaybackStarted", "PlaybackFinished", "StasisEnd"];
    assert!(
        seen.iter().all(|kind| left.iter().any(|left| left == kind)),
        "{left:?}"
    );
    assert_eq!(events.end(), Some(End::Ended));
    Ok(())
}

async fn the_events_of_a_call_flow_from_its_start(fixture: &Fixture) -> Outcome {
    let (_calls, mut call) = fixture.take_call("waits").await;
    assert_eq!(call.event().kind(), "StasisStart");
    // Nothing has happened since, and the start is not told twice.
    assert!(call.events().next().now_or_never().is_none());
    let channel = call.channel();
    channel.answer().await?;
    let answered = next_of(call.events(), "ChannelStateChange").await;
    assert!(answered.is_about(ari_core::EntityKind::Channel, channel.id()));
    channel.set_variable("MOOD", "fine").await?;
    next_of(call.events(), "ChannelVarset").await;
    channel.hangup().await?;
    rest(call.events()).await;
    Ok(())
}

async fn a_handle_knows_where_its_channel_is(fixture: &Fixture) -> Outcome {
    let (_calls, call) = fixture.take_call("waits").await;
    let channel = call.channel();
    let place = &channel.entity().metadata;
    assert_eq!(place.application.as_deref(), Some(fixture.application()));
    assert_eq!(place.asterisk_id.as_deref(), Some(&*fixture.node()));
    assert_eq!(place.dialog, None);
    channel.answer().await?;
    let playback = channel.play("sound:hello-world").await?;
    let place = &playback.entity().metadata;
    assert_eq!(place.application.as_deref(), Some(fixture.application()));
    assert_eq!(place.asterisk_id.as_deref(), Some(&*fixture.node()));
    channel.hangup().await?;
    Ok(())
}

async fn each_call_reaches_one_taker(fixture: &Fixture) -> Outcome {
    const CALLS: usize = 12;
    let mut first = fixture.ari().calls().await?;
    let child = fixture.ari().child();
    let mut second = child.calls().await?;
    let mut placed = Vec::new();
    for _ in 0..CALLS {
        placed.push(fixture.call_in("waits").await.id);
    }
    let mut taken = Vec::new();
    while taken.len() < CALLS {
        let call = within("a call", async {
            tokio::select! {
                call = first.next() => call,
                call = second.next() => call,
            }
        })
        .await
        .expect("calls go on");
        taken.push(call.channel().id().to_owned());
        call.channel().hangup().await?;
    }
    taken.sort();
    placed.sort();
    assert_eq!(taken, placed);
    assert!(first.next().now_or_never().is_none());
    assert!(second.next().now_or_never().is_none());
    Ok(())
}

async fn calls_that_wait_are_all_taken(fixture: &Fixture) -> Outcome {
    // Many calls before the first of them is read.
    const CALLS: usize = 100;
    let mut calls = fixture.ari().calls().await?;
    let mut placed = Vec::new();
    for _ in 0..CALLS {
        placed.push(fixture.call_in("waits").await.id);
    }
    let mut taken = Vec::new();
    while taken.len() < CALLS {
        let call = within("a call", calls.next()).await.expect("calls go on");
        taken.push(call.channel().id().to_owned());
        call.channel().hangup().await?;
    }
    taken.sort();
    placed.sort();
    assert_eq!(taken, placed);
    Ok(())
}

async fn a_channel_that_we_created_is_no_new_call(fixture: &Fixture) -> Outcome {
    let mut calls = fixture.ari().calls().await?;
    let channels = fixture.ari().channels();
    let (ours, mut events) = channels
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?
        .send()
        .await?;
    next_of(&mut events, "StasisStart").await;
    let theirs = fixture.call_in("waits").await;
    let call = within("the call", calls.next()).await.expect("calls go on");
    assert_eq!(call.channel().id(), theirs.id);
    ours.hangup().await?;
    call.channel().hangup().await?;
    Ok(())
}

async fn who_stops_takes_no_more_calls(fixture: &Fixture) -> Outcome {
    let mut calls = fixture.ari().calls().await?;
    fixture.call_in("waits").await;
    let last = within("the call", calls.next()).await.expect("calls go on");
    calls.stop();
    assert!(within("the end of the calls", calls.next()).await.is_none());
    // The call that is there goes on, and others find the next taker.
    last.channel().answer().await?;
    let mut others = fixture.ari().calls().await?;
    let next = fixture.call_in("waits").await;
    let call = within("the next call", others.next())
        .await
        .expect("calls go on");
    assert_eq!(call.channel().id(), next.id);
    last.channel().hangup().await?;
    call.channel().hangup().await?;
    Ok(())
}

async fn the_caller_hangs_up(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("hangs-up").await;
    let ending = within("the end of the channel", channel.until_hungup()).await?;
    // What ended it is StasisEnd, which ends no channel by itself: it was asked for.
    assert!(matches!(ending, Ending::Ended(_) | Ending::Lost(_)));
    let left = rest(&mut events).await;
    assert!(left.contains(&"StasisEnd".to_owned()), "{left:?}");
    assert!(channel.get().await.unwrap_err().is_not_found());
    Ok(())
}

async fn a_caller_who_gives_up_early_is_told(fixture: &Fixture) -> Outcome {
    let mut calls = fixture.ari().calls().await?;
    let incoming = fixture.call_in("waits").await;
    let mut call = within("the call", calls.next()).await.expect("calls go on");
    incoming.caller.hangup().await?;
    loop {
        match within("the end of the call", call.events().next()).await {
            Some(StreamItem::Event(_)) => {}
            Some(other) => panic!("{other:?}"),
            None => break,
        }
    }
    assert!(call.channel().answer().await.unwrap_err().is_not_found());
    Ok(())
}
