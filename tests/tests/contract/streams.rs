//! Streams of events.

use ari_core::{End, EntityKind, GapCause, StreamItem, events};
use ari_tests::{Fixture, Outcome, next_event, next_of, rest, within};
use futures::{FutureExt, StreamExt};
use serde_json::json;

ari_tests::scenarios! { "streams":
    a_stream_of_everything_has_everything
    a_stream_of_a_type_has_that_type
    a_stream_of_a_channel_has_that_channel
    typed_streams_of_a_channel_end_with_it
    events_come_in_order
    an_unknown_event_is_passed_on
    nulls_and_zero_objects_are_passed_on
    what_cannot_be_decoded_is_a_gap
    what_is_no_event_is_a_gap
    a_slow_reader_is_told_of_what_it_missed
    nobody_hears_of_what_nobody_wants
}

async fn a_stream_of_everything_has_everything(fixture: &Fixture) -> Outcome {
    let mut events = fixture.ari().events().await?;
    let incoming = fixture.call_in("waits").await;
    let start = next_of(&mut events, "StasisStart").await;
    assert!(start.is_about(EntityKind::Channel, &incoming.id));
    assert_eq!(start.application(), Some(fixture.application()));
    assert_eq!(start.asterisk_id(), Some(&*fixture.node()));
    assert!(start.timestamp().is_some());
    incoming.caller.hangup().await?;
    next_of(&mut events, "StasisEnd").await;
    assert_eq!(events.end(), None);
    Ok(())
}

async fn a_stream_of_a_type_has_that_type(fixture: &Fixture) -> Outcome {
    let mut starts = fixture.ari().events_of::<events::StasisStart>().await?;
    let mut ends = fixture.ari().events_of::<events::StasisEnd>().await?;
    for _ in 0..3 {
        let incoming = fixture.call_in("waits").await;
        let start = next_event(&mut starts).await;
        assert_eq!(start.channel.as_ref().unwrap().id, *incoming.id);
        assert_eq!(start.args, ["first", "second"]);
        incoming.caller.hangup().await?;
        let end = next_event(&mut ends).await;
        assert_eq!(end.channel.as_ref().unwrap().id, *incoming.id);
    }
    assert!(starts.next().now_or_never().is_none());
    Ok(())
}

async fn a_stream_of_a_channel_has_that_channel(fixture: &Fixture) -> Outcome {
    let (mut calls, one, mut of_one) = fixture.answered("waits").await;
    let incoming = fixture.call_in("waits").await;
    let other = within("the call", calls.next()).await.unwrap().channel();
    assert_eq!(other.id(), incoming.id);
    other.answer().await?;
    let playback = other.play("sound:hello-world").await?;
    within("the end of the prompt", playback.finished()).await?;
    other.hangup().await?;
    one.hangup().await?;
    loop {
        match within("the stream", of_one.next()).await {
            Some(StreamItem::Event(event)) => assert!(
                event.is_about(EntityKind::Channel, one.id())
                    && !event.is_about(EntityKind::Channel, other.id()),
                "{event:?}"
            ),
            Some(other) => panic!("{other:?}"),
            None => break,
        }
    }
    assert_eq!(of_one.end(), Some(End::Ended));
    Ok(())
}

async fn typed_streams_of_a_channel_end_with_it(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let mut digits = channel.events_of::<events::ChannelDtmfReceived>().await?;
    channel.hangup().await?;
    assert!(within("the end", digits.next()).await.is_none());
    assert_eq!(digits.end(), Some(End::Ended));
    rest(&mut events).await;
    Ok(())
}

async fn events_come_in_order(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    for number in 0..100 {
        channel.set_variable("NUMBER", number.to_string()).await?;
    }
    let mut expected = 0;
    while expected < 100 {
        let told = next_of(&mut events, "ChannelVarset").await.to_value()?;
        if told["variable"] == "NUMBER" {
            assert_eq!(told["value"], expected.to_string());
            expected += 1;
        }
    }
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn an_unknown_event_is_passed_on(fixture: &Fixture) -> Outcome {
    let mut events = fixture.ari().events().await?;
    fixture.inject(&json!({
        "type": "SomethingQuiteNew",
        "channel": {"id": "c-1", "colour": "green"},
        "more": {"type": "StasisStart", "list": [1, null, {"a": "b"}]},
    }));
    let event = next_event(&mut events).await;
    assert_eq!(event.kind(), "SomethingQuiteNew");
    assert!(event.is_about(EntityKind::Channel, "c-1"));
    assert!(matches!(event.body(), Ok(events::EventBody::Unknown)));
    let value = event.to_value()?;
    assert_eq!(value["channel"]["colour"], "green");
    assert_eq!(value["more"]["list"][2]["a"], "b");
    Ok(())
}

async fn nulls_and_zero_objects_are_passed_on(fixture: &Fixture) -> Outcome {
    let mut ends = fixture
        .ari()
        .events_of::<events::ChannelDestroyed>()
        .await?;
    fixture.inject(&json!({
        "type": "ChannelDestroyed",
        "cause": null,
        "cause_txt": null,
        "channel": {"id": "c-1", "name": null, "state": "Levitating", "caller": null,
            "creationtime": "0001-01-01T00:00:00.000+0000", "dialplan": {}},
    }));
    let end = next_event(&mut ends).await;
    assert_eq!(end.cause, None);
    let channel = end.channel.as_ref().unwrap();
    assert_eq!(channel.id, "c-1");
    assert_eq!(channel.creationtime, None);
    assert_eq!(channel.state.as_ref().unwrap().to_string(), "Levitating");
    // An object without an identity is none.
    fixture.inject(&json!({"type": "ChannelDestroyed", "channel": {"id": ""}}));
    assert_eq!(next_event(&mut ends).await.channel, None);
    fixture.inject(&json!({"type": "ChannelDestroyed"}));
    assert_eq!(next_event(&mut ends).await.channel, None);
    Ok(())
}

async fn what_cannot_be_decoded_is_a_gap(fixture: &Fixture) -> Outcome {
    let mut all = fixture.ari().events().await?;
    let mut digits = fixture
        .ari()
        .events_of::<events::ChannelDtmfReceived>()
        .await?;
    fixture.inject(&json!({"type": "ChannelDtmfReceived", "digit": {"not": "a digit"}}));
    fixture.inject(&json!({"type": "ChannelDtmfReceived", "digit": "5"}));
    match within("the gap", digits.next()).await {
        Some(StreamItem::Gap(gap)) => {
            assert_eq!(gap.cause, GapCause::Undecodable);
            assert_eq!(gap.missed, Some(1));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(next_event(&mut digits).await.digit.as_deref(), Some("5"));
    // Untyped, it is there as it came.
    let raw = next_event(&mut all).await;
    assert!(raw.body().is_err());
    assert_eq!(raw.to_value()?["digit"]["not"], "a digit");
    next_event(&mut all).await;
    Ok(())
}

async fn what_is_no_event_is_a_gap(fixture: &Fixture) -> Outcome {
    fixture.link()?;
    let mut all = fixture.ari().events().await?;
    fixture.inject(&json!({"type": "First"}));
    assert_eq!(next_event(&mut all).await.kind(), "First");
    let told = fixture.try_inject_text("{\"type\": no json");
    assert!(told.is_some());
    fixture.inject(&json!({"type": "Next"}));
    match within("the gap", all.next()).await {
        Some(StreamItem::Gap(gap)) => assert_eq!(gap.missed, Some(1), "{gap:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(next_event(&mut all).await.kind(), "Next");
    Ok(())
}

async fn a_slow_reader_is_told_of_what_it_missed(fixture: &Fixture) -> Outcome {
    const BURSTS: u64 = 6;
    const BURST: u64 = 500;
    let mut slow = fixture.ari().events().await?;
    let mut ends = fixture.ari().events_of::<events::StasisEnd>().await?;
    for burst in 0..BURSTS {
        for number in 0..BURST {
            fixture.inject(&json!({"type": "Numbered", "number": burst * BURST + number}));
        }
        fixture.inject(&json!({"type": "StasisEnd"}));
        next_event(&mut ends).await;
    }
    let (mut events, mut missed) = (0, 0);
    while events + missed < BURSTS * (BURST + 1) {
        match within("the stream", slow.next()).await {
            Some(StreamItem::Event(event)) => {
                // What comes first is what came first.
                let number = event.to_value()?["number"].as_u64();
                assert!(
                    number.is_none() || missed > 0 || number == Some(events - events / (BURST + 1))
                );
                events += 1;
            }
            Some(StreamItem::Gap(gap)) => {
                assert_eq!(gap.cause, GapCause::Overflow);
                missed += gap.missed.expect("the stream has counted");
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(missed > 0 && events > 0);
    // It goes on where it is read again.
    fixture.inject(&json!({"type": "Later"}));
    assert_eq!(next_event(&mut slow).await.kind(), "Later");
    Ok(())
}

async fn nobody_hears_of_what_nobody_wants(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let counts = || fixture.ari().client().router().counts();
    let before = counts();
    let more = channel.events().await?;
    assert_eq!(counts().subscriptions, before.subscriptions + 1);
    drop(more);
    assert_eq!(counts(), before);
    channel.hangup().await?;
    rest(&mut events).await;
    drop(events);
    assert!(counts().subscriptions < before.subscriptions);
    Ok(())
}
