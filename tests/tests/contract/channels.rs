//! Operations on channels, accepted and refused.

use std::time::Duration;

use ari_core::{
    Error, Outcome as Ending, events,
    models::ChannelState,
    operations::{Direction, HangupReason},
};
use ari_tests::{Fixture, Outcome, next_event, next_of, rest, until, within};
use futures::{FutureExt, StreamExt};
use serde_json::json;

ari_tests::scenarios! { "channels":
    a_channel_is_described_and_listed
    a_call_rings_and_holds_and_hears_music
    a_call_is_muted_and_silenced
    variables_are_set_and_read
    digits_come_and_go
    a_hangup_gives_its_reason
    a_call_goes_back_to_the_dialplan
    an_application_tells_an_event_of_its_own
    a_channel_is_originated_into_the_application
    a_channel_is_originated_into_the_dialplan
    a_staged_channel_is_sent_when_told
    a_channel_is_created_and_dialled
    a_callee_is_busy
    an_id_is_used_once
    nothing_is_done_to_a_channel_that_is_not_there
    nothing_is_done_to_a_channel_outside_of_the_application
    an_unknown_endpoint_is_refused
}

async fn a_channel_is_described_and_listed(fixture: &Fixture) -> Outcome {
    let (_calls, call) = fixture.take_call("waits").await;
    let channel = call.channel();
    let data = channel.get().await?;
    assert_eq!(data.id, channel.id());
    assert_eq!(data.state, Some(ChannelState::Ring));
    let dialplan = data.dialplan.as_ref().unwrap();
    assert_eq!(dialplan.app_name.as_deref(), Some("Stasis"));
    assert!(data.creationtime.is_some());
    let listed = fixture.ari().channels().list().await?;
    assert!(listed.is_complete());
    let found = listed
        .items
        .iter()
        .find(|known| known.id() == channel.id())
        .expect("the channel is listed");
    assert_eq!(
        found.entity().metadata.asterisk_id.as_deref(),
        Some(&*fixture.node())
    );
    // A handle of a list works like any other.
    found.answer().await?;
    assert_eq!(found.get().await?.state, Some(ChannelState::Up));
    // So does one that is made of the id alone.
    let by_id = fixture.ari().channels().handle(channel.id());
    assert_eq!(by_id.get().await?.id, channel.id());
    by_id.hangup().await?;
    Ok(())
}

async fn a_call_rings_and_holds_and_hears_music(fixture: &Fixture) -> Outcome {
    let (_calls, call) = fixture.take_call("waits").await;
    let channel = call.channel();
    channel.ring().await?;
    channel.ring_stop().await?;
    channel.answer().await?;
    channel.hold().await?;
    channel.unhold().await?;
    channel.start_moh().await?;
    channel.stop_moh().await?;
    channel.start_moh().moh_class("default").await?;
    channel.stop_moh().await?;
    channel.hangup().await?;
    Ok(())
}

async fn a_call_is_muted_and_silenced(fixture: &Fixture) -> Outcome {
    let (_calls, channel, _events) = fixture.answered("waits").await;
    channel.mute().direction(Direction::Both).await?;
    channel.unmute().direction(Direction::Both).await?;
    channel.mute().direction(Direction::In).await?;
    channel.unmute().direction(Direction::In).await?;
    channel.start_silence().await?;
    channel.stop_silence().await?;
    channel.hangup().await?;
    Ok(())
}

async fn variables_are_set_and_read(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    for value in [
        "fine",
        "two words, a comma & more",
        "naïve – 東京",
        "a/b?c=d%20",
        "",
    ] {
        channel.set_variable("MOOD", value).await?;
        let told = loop {
            let event = next_of(&mut events, "ChannelVarset").await;
            let told = event.to_value()?;
            if told["variable"] == "MOOD" {
                break told;
            }
        };
        assert_eq!(told["value"], value);
        if value.is_empty() {
            // An empty variable is none, which some versions say with 404.
            let read = channel.variable("MOOD").await;
            let empty = match &read {
                Ok(variable) => variable.value.as_deref().unwrap_or_default().is_empty(),
                Err(error) => error.is_not_found(),
            };
            assert!(empty, "{read:?}");
        } else {
            let read = channel.variable("MOOD").await?;
            assert_eq!(read.value.as_deref(), Some(value));
        }
    }
    let unknown = channel.variable("NO_SUCH_VARIABLE").await.unwrap_err();
    assert!(unknown.is_not_found(), "{unknown}");
    channel.hangup().await?;
    Ok(())
}

async fn digits_come_and_go(fixture: &Fixture) -> Outcome {
    let (_calls, channel, _events) = fixture.answered("presses").await;
    let mut digits = channel.events_of::<events::ChannelDtmfReceived>().await?;
    let mut pressed = String::new();
    while pressed.len() < 4 {
        let digit = next_event(&mut digits).await;
        assert_eq!(
            digit.channel.as_ref().map(|channel| channel.id.to_string()),
            Some(channel.id().to_owned())
        );
        pressed.push_str(digit.digit.as_deref().unwrap());
    }
    // The stream may have begun in the middle.
    assert!("12*#12*#".contains(&pressed), "{pressed}");
    channel.send_dtmf("34").await?;
    channel
        .send_dtmf("56")
        .before(Duration::from_millis(20))
        .between(Duration::from_millis(50))
        .duration(Duration::from_millis(60))
        .after(Duration::from_millis(10))
        .await?;
    channel.hangup().await?;
    Ok(())
}

async fn a_hangup_gives_its_reason(fixture: &Fixture) -> Outcome {
    let mut calls = fixture.ari().calls().await?;
    for reason in [
        HangupReason::Busy,
        HangupReason::Congestion,
        HangupReason::Normal,
    ] {
        fixture.call_in("waits").await;
        let call = within("the call", calls.next()).await.unwrap();
        let channel = call.channel();
        channel.hangup().reason(reason).await?;
        within("the end of the channel", channel.until_hungup()).await?;
    }
    Ok(())
}

async fn a_call_goes_back_to_the_dialplan(fixture: &Fixture) -> Outcome {
    let (mut calls, channel, mut events) = fixture.answered("waits").await;
    let back = format!("back-{}", fixture.application());
    let go_back = || {
        channel
            .continue_in_dialplan()
            .context("ari-test")
            .extension(&*back)
            .priority(1)
            .into_future()
    };
    go_back().await?;
    next_of(&mut events, "StasisEnd").await;
    // It exists outside of the application, so its stream goes on, and it is the same call when it
    // comes in again.
    let start = next_of(&mut events, "StasisStart").await.to_value()?;
    assert_eq!(start["args"], json!(["back"]));
    assert!(calls.next().now_or_never().is_none());
    // Nobody holds it any more when it comes in for the third time.
    go_back().await?;
    let id = channel.id().to_owned();
    drop((channel, events));
    let call = within("the call to come back", calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), id);
    assert_eq!(call.args(), ["back"]);
    call.channel().hangup().await?;
    Ok(())
}

async fn an_application_tells_an_event_of_its_own(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    fixture
        .ari()
        .event_operations()
        .user_event("order-paid", fixture.application())
        .source(format!("channel:{}", channel.id()))
        .variable("order", "4711")
        .await?;
    let told = next_of(&mut events, "ChannelUserevent").await.to_value()?;
    assert_eq!(told["eventname"], "order-paid");
    assert_eq!(told["userevent"]["order"], "4711");
    let refused = fixture
        .ari()
        .event_operations()
        .user_event("order-paid", fixture.application())
        .source("channel:nobody")
        .await
        .unwrap_err();
    assert!(refused.status().is_some(), "{refused}");
    channel.hangup().await?;
    Ok(())
}

async fn a_channel_is_originated_into_the_application(fixture: &Fixture) -> Outcome {
    let staged = fixture
        .ari()
        .channels()
        .originate(fixture.endpoint("answers"))
        .app_args("one,two")
        .caller_id("\"Ann\" <5551>")
        .timeout(Duration::from_secs(10))
        .variable("MOOD", "fine")
        .staged()
        .await?;
    let (channel, mut events) = staged.send().await?;
    let start = next_of(&mut events, "StasisStart").await.to_value()?;
    assert_eq!(start["args"], json!(["one", "two"]));
    assert_eq!(start["channel"]["id"], channel.id());
    let read = channel.variable("MOOD").await?;
    assert_eq!(read.value.as_deref(), Some("fine"));
    channel.hangup().await?;
    let ending = within("the end of the channel", channel.until_hungup()).await?;
    assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
    let left = rest(&mut events).await;
    assert_eq!(left.last().map(String::as_str), Some("ChannelDestroyed"));
    Ok(())
}

async fn a_channel_is_originated_into_the_dialplan(fixture: &Fixture) -> Outcome {
    let channel = fixture
        .ari()
        .channels()
        .originate(fixture.endpoint("answers"))
        .context("ari-test")
        .extension("continues")
        .priority(1)
        .await?;
    // Nobody told the application of it, so its end is found by asking.
    until("the dialplan to be reached", || async {
        let data = channel.get().await.ok()?;
        let exten = data.dialplan.as_ref()?.exten.clone()?;
        (exten == "continues").then_some(())
    })
    .await;
    channel.hangup().await?;
    within("the end of the channel", channel.until_hungup()).await?;
    Ok(())
}

async fn a_staged_channel_is_sent_when_told(fixture: &Fixture) -> Outcome {
    let channels = fixture.ari().channels();
    let staged = channels
        .originate(fixture.endpoint("answers"))
        .staged()
        .await?;
    let handle = staged.handle().clone();
    assert!(handle.get().await.unwrap_err().is_not_found());
    // What is staged and dropped leaves nothing.
    drop(staged);
    assert!(handle.get().await.unwrap_err().is_not_found());
    drop(handle);
    let staged = channels
        .create(fixture.endpoint("answers"), fixture.application())
        .staged()
        .await?;
    let (channel, mut events) = staged.send().await?;
    let first = next_event(&mut events).await;
    assert!(first.is_about(ari_core::EntityKind::Channel, channel.id()));
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_channel_is_created_and_dialled(fixture: &Fixture) -> Outcome {
    let staged = fixture
        .ari()
        .channels()
        .create(fixture.endpoint("answers"), fixture.application())
        .app_args("dialled")
        .staged()
        .await?;
    let (channel, mut events) = staged.send().await?;
    next_of(&mut events, "StasisStart").await;
    channel.dial().timeout(Duration::from_secs(10)).await?;
    loop {
        let dial = next_of(&mut events, "Dial").await.to_value()?;
        if dial["dialstatus"] == "ANSWER" {
            break;
        }
    }
    assert_eq!(channel.get().await?.state, Some(ChannelState::Up));
    channel.hangup().await?;
    rest(&mut events).await;
    let refused = channel.dial().await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    Ok(())
}

async fn a_callee_is_busy(fixture: &Fixture) -> Outcome {
    for (endpoint, status) in [("busy", "BUSY"), ("congested", "CONGESTION")] {
        let staged = fixture
            .ari()
            .channels()
            .originate(fixture.endpoint(endpoint))
            .staged()
            .await?;
        let (channel, mut events) = staged.send().await?;
        let mut statuses = Vec::new();
        while statuses.last().map(String::as_str) != Some(status) {
            let dial = next_event(&mut events).await.to_value()?;
            statuses.extend(dial["dialstatus"].as_str().map(str::to_owned));
        }
        let ending = within("the end of the channel", channel.until_hungup()).await?;
        assert!(matches!(ending, Ending::Ended(_)), "{ending:?}");
        rest(&mut events).await;
    }
    Ok(())
}

async fn an_id_is_used_once(fixture: &Fixture) -> Outcome {
    let channels = fixture.ari().channels();
    let id = ari_core::fresh_id();
    let first = channels
        .originate(fixture.endpoint("answers"))
        .channel_id(&id)
        .await?;
    assert_eq!(first.id(), id);
    let refused = channels
        .originate(fixture.endpoint("answers"))
        .channel_id(&id)
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    let refused = channels
        .create(fixture.endpoint("answers"), fixture.application())
        .channel_id(&id)
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    first.hangup().await?;
    Ok(())
}

async fn nothing_is_done_to_a_channel_that_is_not_there(fixture: &Fixture) -> Outcome {
    let nobody = fixture.ari().channels().handle("nobody");
    let refusals: Vec<(&str, Error)> = vec![
        ("get", nobody.get().await.unwrap_err()),
        ("answer", nobody.answer().await.unwrap_err()),
        ("hangup", nobody.hangup().await.unwrap_err()),
        ("ring", nobody.ring().await.unwrap_err()),
        ("ring_stop", nobody.ring_stop().await.unwrap_err()),
        ("hold", nobody.hold().await.unwrap_err()),
        ("unhold", nobody.unhold().await.unwrap_err()),
        ("start_moh", nobody.start_moh().await.unwrap_err()),
        ("stop_moh", nobody.stop_moh().await.unwrap_err()),
        (
            "mute",
            nobody.mute().direction(Direction::Both).await.unwrap_err(),
        ),
        (
            "unmute",
            nobody
                .unmute()
                .direction(Direction::Both)
                .await
                .unwrap_err(),
        ),
        ("start_silence", nobody.start_silence().await.unwrap_err()),
        ("stop_silence", nobody.stop_silence().await.unwrap_err()),
        ("variable", nobody.variable("X").await.unwrap_err()),
        (
            "set_variable",
            nobody.set_variable("X", "y").await.unwrap_err(),
        ),
        ("send_dtmf", nobody.send_dtmf("1").await.unwrap_err()),
        ("dial", nobody.dial().await.unwrap_err()),
        ("continue", nobody.continue_in_dialplan().await.unwrap_err()),
        ("play", nobody.play("sound:beep").await.unwrap_err()),
        ("record", nobody.record("wav").await.unwrap_err()),
        (
            "move",
            nobody.move_to(fixture.application()).await.unwrap_err(),
        ),
    ];
    for (operation, error) in refusals {
        assert!(error.is_not_found(), "{operation}: {error}");
        assert!(
            error.to_string().contains("not found"),
            "{operation}: {error}"
        );
    }
    within("the end of nobody", nobody.until_hungup()).await?;
    Ok(())
}

async fn nothing_is_done_to_a_channel_outside_of_the_application(fixture: &Fixture) -> Outcome {
    // The caller's half runs in the dialplan.
    let incoming = fixture.call_in("waits").await;
    let outside = fixture.ari().channels().handle(incoming.caller.id());
    let refused = outside.answer().await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("Channel not in Stasis application"),
        "{refused}"
    );
    incoming.caller.hangup().await?;
    Ok(())
}

async fn an_unknown_endpoint_is_refused(fixture: &Fixture) -> Outcome {
    let channels = fixture.ari().channels();
    let refused = channels.originate("NoSuchTech/nobody").await.unwrap_err();
    assert_eq!(refused.status(), Some(500), "{refused}");
    assert!(
        refused.to_string().contains("Allocation failed"),
        "{refused}"
    );
    let refused = channels
        .create("NoSuchTech/nobody", fixture.application())
        .await
        .unwrap_err();
    assert_eq!(refused.status(), Some(500), "{refused}");
    Ok(())
}
