//! Variables of channels and bridges, one and several.

use ari_tests::{Fixture, Outcome, next_event, next_of, rest};
use serde_json::json;

ari_tests::scenarios! { "variables":
    several_variables_of_a_channel_are_set_and_read
    a_reported_variable_is_in_the_events
    variables_of_a_bridge_are_set_and_read
    variables_of_nobody_are_refused
}

async fn several_variables_of_a_channel_are_set_and_read(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    channel
        .set_variables([("MOOD", "fine"), ("WEATHER", "rain, later sun")])
        .await?;
    let read = channel.variables(["MOOD", "WEATHER"]).await?;
    assert_eq!(
        json!(read.variables),
        json!({ "MOOD": "fine", "WEATHER": "rain, later sun" })
    );
    // One that is unknown refuses all.
    let refused = channel.variables(["MOOD", "NOSUCH"]).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_reported_variable_is_in_the_events(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    channel
        .set_variables([("ORDER", json!({ "value": "4711", "report_events": true }))])
        .await?;
    fixture
        .ari()
        .event_operations()
        .user_event("look", fixture.application())
        .source(format!("channel:{}", channel.id()))
        .await?;
    let told = next_of(&mut events, "ChannelUserevent").await.to_value()?;
    assert_eq!(told["channel"]["channelvars"]["ORDER"], "4711", "{told}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn variables_of_a_bridge_are_set_and_read(fixture: &Fixture) -> Outcome {
    let bridge = fixture.ari().bridges().create().await?;
    bridge.set_variable("ROOM", "blue").await?;
    assert_eq!(
        bridge.variable("ROOM").await?.value.as_deref(),
        Some("blue")
    );
    bridge
        .set_variables([("ROOM", "green"), ("FLOOR", "2")])
        .await?;
    let read = bridge.variables(["ROOM", "FLOOR"]).await?;
    assert_eq!(
        json!(read.variables),
        json!({ "ROOM": "green", "FLOOR": "2" })
    );
    let refused = bridge.variable("NOSUCH").await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    let refused = bridge.variables(["ROOM", "NOSUCH"]).await.unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    // With the event of a member a reported one is told.
    bridge
        .set_variable("TOPIC", "tea")
        .report_events(true)
        .await?;
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    bridge.add_channel(channel.id()).await?;
    let entered = loop {
        let event = next_event(&mut events).await.to_value()?;
        if event["type"] == "ChannelEnteredBridge" {
            break event;
        }
    };
    assert_eq!(entered["bridge"]["bridgevars"]["TOPIC"], "tea", "{entered}");
    channel.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn variables_of_nobody_are_refused(fixture: &Fixture) -> Outcome {
    let channel = fixture.ari().channels().handle("nobody");
    let bridge = fixture.ari().bridges().handle("nobody");
    for (operation, error) in [
        ("channel get", channel.variables(["A"]).await.unwrap_err()),
        (
            "channel set",
            channel.set_variables([("A", "b")]).await.unwrap_err(),
        ),
        ("bridge get", bridge.variable("A").await.unwrap_err()),
        (
            "bridge set",
            bridge.set_variable("A", "b").await.unwrap_err(),
        ),
        (
            "bridge get several",
            bridge.variables(["A"]).await.unwrap_err(),
        ),
        (
            "bridge set several",
            bridge.set_variables([("A", "b")]).await.unwrap_err(),
        ),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    Ok(())
}
