//! Channels that carry media for others: snoops, external media; and the video of a bridge.

use ari_core::{
    Error,
    operations::{Direction, SnoopDirection},
};
use ari_tests::{Fixture, Outcome, next_of, rest, until, within};
use serde_json::json;

ari_tests::scenarios! { "media":
    a_channel_is_snooped_on
    what_cannot_be_snooped_on_is_refused
    external_media_is_a_channel
    external_media_that_cannot_be_is_refused
    rtp_statistics_are_those_of_rtp
    a_bridge_shows_the_video_of_a_channel
    ids_may_be_left_to_asterisk
    what_asterisk_would_name_is_refused_too
}

async fn a_channel_is_snooped_on(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let staged = channel
        .snoop(fixture.application())
        .spy(SnoopDirection::Both)
        .whisper(SnoopDirection::None)
        .app_args("snooping")
        .staged()
        .await?;
    let (snoop, mut of_snoop) = staged.send().await?;
    let start = next_of(&mut of_snoop, "StasisStart").await.to_value()?;
    assert_eq!(start["args"], json!(["snooping"]));
    let name = snoop.get().await?.name.unwrap_or_default();
    assert!(name.starts_with("Snoop/"), "{name}");
    // It ends with the channel it listens to.
    channel.hangup().await?;
    rest(&mut events).await;
    within("the end of the snoop", snoop.until_hungup()).await?;
    rest(&mut of_snoop).await;
    Ok(())
}

async fn what_cannot_be_snooped_on_is_refused(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let deaf = channel.snoop(fixture.application()).await.unwrap_err();
    assert_eq!(deaf.status(), Some(400), "{deaf}");
    assert!(deaf.to_string().contains("spy or whisper"), "{deaf}");
    let nobody = fixture
        .ari()
        .channels()
        .snoop_channel("nobody", fixture.application())
        .spy(SnoopDirection::In)
        .await
        .unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn external_media_is_a_channel(fixture: &Fixture) -> Outcome {
    let staged = fixture
        .ari()
        .channels()
        .external_media(fixture.application(), "ulaw")
        .external_host("127.0.0.1:40000")
        .direction(Direction::In)
        .variable("PURPOSE", "transcript")
        .staged()
        .await?;
    let (media, mut events) = staged.send().await?;
    next_of(&mut events, "StasisStart").await;
    let name = media.get().await?.name.unwrap_or_default();
    assert!(name.starts_with("UnicastRTP/127.0.0.1:40000"), "{name}");
    let port = media.variable("UNICASTRTP_LOCAL_PORT").await?.value;
    assert!(port.is_some_and(|port| port.parse::<u16>().is_ok()));
    let purpose = media.variable("PURPOSE").await?.value;
    assert_eq!(purpose.as_deref(), Some("transcript"));
    // It is bridged like any other channel.
    let bridge = fixture.ari().bridges().create().await?;
    bridge.add_channel(media.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    media.hangup().await?;
    within("the end of the media", media.until_hungup()).await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn external_media_that_cannot_be_is_refused(fixture: &Fixture) -> Outcome {
    let channels = fixture.ari().channels();
    let app = fixture.application();
    let nowhere = channels.external_media(app, "ulaw").await.unwrap_err();
    assert_eq!(nowhere.status(), Some(400), "{nowhere}");
    assert!(
        nowhere.to_string().contains("external_host is required"),
        "{nowhere}"
    );
    let nonsense = channels
        .external_media(app, "ulaw")
        .external_host("nonsense")
        .await
        .unwrap_err();
    assert_eq!(nonsense.status(), Some(400), "{nonsense}");
    let wrapped = channels
        .external_media(app, "ulaw")
        .external_host("127.0.0.1:9")
        .encapsulation("bogus")
        .await
        .unwrap_err();
    assert_eq!(wrapped.status(), Some(501), "{wrapped}");
    Ok(())
}

async fn rtp_statistics_are_those_of_rtp(fixture: &Fixture) -> Outcome {
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    // A Local channel has no RTP.
    let refused = channel.rtp_statistics().await.unwrap_err();
    assert_eq!(refused.status(), Some(403), "{refused}");
    assert!(
        refused.to_string().contains("Unsupported channel type"),
        "{refused}"
    );
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_bridge_shows_the_video_of_a_channel(fixture: &Fixture) -> Outcome {
    let bridges = fixture.ari().bridges();
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let bridge = bridges.create().bridge_type("mixing,video_sfu").await?;
    let outside = bridge.set_video_source(channel.id()).await.unwrap_err();
    assert_eq!(outside.status(), Some(422), "{outside}");
    let nobody = bridge.set_video_source("nobody").await.unwrap_err();
    assert!(nobody.status().is_some(), "{nobody}");
    bridge.add_channel(channel.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    bridge.set_video_source(channel.id()).await?;
    let source = async || {
        let data = bridge.get().await?;
        Ok::<_, Error>(data.video_source_id.map(|id| id.to_string()))
    };
    assert_eq!(source().await?.as_deref(), Some(channel.id()));
    // Asterisk shows the old source until somebody enters or leaves.
    bridge.clear_video_source().await?;
    assert_eq!(source().await?.as_deref(), Some(channel.id()));
    bridge.remove_channel(channel.id()).await?;
    next_of(&mut events, "ChannelLeftBridge").await;
    assert_eq!(source().await?, None);
    channel.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    let gone = bridge.clear_video_source().await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    Ok(())
}

async fn ids_may_be_left_to_asterisk(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let bridge = ari.bridges().create_without_id().name("room").await?;
    assert_eq!(bridge.get().await?.name.as_deref(), Some("room"));
    let playback = ari
        .channels()
        .play_without_id(channel.id(), "sound:hello-world")
        .await?;
    assert!(!playback.id().is_empty());
    within("the end of the prompt", playback.finished()).await?;
    bridge.add_channel(channel.id()).await?;
    next_of(&mut events, "ChannelEnteredBridge").await;
    let playback = ari
        .bridges()
        .play_without_id(bridge.id(), "sound:hello-world")
        .await?;
    within("the end of the prompt", playback.finished()).await?;
    let snoop = ari
        .channels()
        .snoop_channel_without_id(channel.id(), fixture.application())
        .spy(SnoopDirection::In)
        .await?;
    assert!(!snoop.id().is_empty());
    until("the snoop to be there", || async { snoop.get().await.ok() }).await;
    snoop.hangup().await?;
    let id = ari_core::fresh_id();
    let called = ari
        .channels()
        .originate_with_id(&id, fixture.endpoint("answers"))
        .app(fixture.application())
        .await?;
    assert_eq!(called.id(), id);
    let twice = ari
        .channels()
        .originate_with_id(&id, fixture.endpoint("answers"))
        .await
        .unwrap_err();
    assert_eq!(twice.status(), Some(409), "{twice}");
    called.hangup().await?;
    channel.hangup().await?;
    rest(&mut events).await;
    bridge.destroy().await?;
    Ok(())
}

async fn what_asterisk_would_name_is_refused_too(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    let odd = ari.bridges().create_without_id().bridge_type("odd").await;
    assert_eq!(odd.unwrap_err().status(), Some(500));
    for (operation, error) in [
        (
            "play on a channel",
            ari.channels()
                .play_without_id("nobody", "sound:beep")
                .await
                .unwrap_err(),
        ),
        (
            "play on a bridge",
            ari.bridges()
                .play_without_id("nobody", "sound:beep")
                .await
                .unwrap_err(),
        ),
        (
            "snoop",
            ari.channels()
                .snoop_channel_without_id("nobody", fixture.application())
                .spy(SnoopDirection::In)
                .await
                .unwrap_err(),
        ),
    ] {
        assert!(error.is_not_found(), "{operation}: {error}");
    }
    Ok(())
}
