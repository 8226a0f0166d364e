//! A call from its first event to its last.

use std::collections::HashMap;

use asterisk_rs_ari::{
    AriClient, AriEvent,
    resources::{
        asterisk, bridge,
        bridge::BridgeHandle,
        channel::{self, ChannelHandle, OriginateParams},
        recording,
    },
};

use crate::{Result, checks::Checks, events::Events};

const GREETING: &str = "sound:hello-world";

/// Takes a call, calls a second leg, lets both talk and hangs up.
pub async fn run(ari: &AriClient, application: &str, checks: &mut Checks) -> Result<()> {
    let mut events = Events::new(ari);
    refusals(ari, application, checks).await?;
    println!("ready");
    let caller = incoming(ari, &mut events, checks).await?;
    greeting(&caller, &mut events, checks).await?;
    let agent = second_leg(ari, application, &mut events, checks).await?;
    let bridge = talk(ari, [&caller, &agent], &mut events, checks).await?;
    end(ari, [&caller, &agent], &bridge, &mut events, checks).await
}

/// Refusals, as this client's errors.
async fn refusals(ari: &AriClient, application: &str, checks: &mut Checks) -> Result<()> {
    let unknown = channel::get(ari, "nobody").await;
    checks.refused("an unknown channel", unknown, 404, "Channel not found")?;
    let unknown = bridge::get(ari, "nowhere").await;
    checks.refused("an unknown bridge", unknown, 404, "Bridge not found")?;
    let nobody = OriginateParams::new("SIP/nobody").app(application);
    let unknown = channel::originate(ari, &nobody).await;
    checks.refused("an unknown technology", unknown, 500, "Allocation failed")?;
    let info = asterisk::info(ari, Some("system")).await?;
    let system = info.system.unwrap_or_default();
    let version = system["version"].as_str().unwrap_or_default();
    checks.equal("the version of Asterisk", version.starts_with("22."), true)
}

/// Somebody calls, and is answered.
async fn incoming(
    ari: &AriClient,
    events: &mut Events,
    checks: &mut Checks,
) -> Result<ChannelHandle> {
    let (channel, args) = events
        .find(checks, "StasisStart", |event| match event {
            AriEvent::StasisStart { channel, args, .. } => Some((channel.clone(), args.clone())),
            _ => None,
        })
        .await?;
    checks.equal("arguments", args, ["sales", "2"])?;
    let found = (channel.caller.name.as_str(), channel.caller.number.as_str());
    checks.equal("the caller", found, ("Ann", "5551"))?;
    checks.equal("the state of a new call", channel.state, "Ring")?;
    let caller = ChannelHandle::new(channel.id, ari.clone());
    caller.answer().await?;
    let state = events
        .find(checks, "ChannelStateChange", |event| match event {
            AriEvent::ChannelStateChange { channel } if channel.id == caller.id() => {
                Some(channel.state.clone())
            }
            _ => None,
        })
        .await?;
    checks.equal("the state of an answered call", state, "Up")?;
    caller.set_variable("DESK", "seven").await?;
    let variable = caller.get_variable("DESK").await?;
    checks.equal("a variable", variable.value, "seven")?;
    Ok(caller)
}

/// A sound to its end, and a digit.
async fn greeting(caller: &ChannelHandle, events: &mut Events, checks: &mut Checks) -> Result<()> {
    let playback = caller.play_handle(GREETING).await?;
    events
        .find(checks, "PlaybackStarted", |event| match event {
            AriEvent::PlaybackStarted { playback: found } => {
                (found.id == playback.id()).then_some(())
            }
            _ => None,
        })
        .await?;
    let heard = events
        .find(checks, "PlaybackFinished", |event| match event {
            AriEvent::PlaybackFinished { playback: found } if found.id == playback.id() => {
                Some(found.clone())
            }
            _ => None,
        })
        .await?;
    let found = (heard.state.as_str(), heard.media_uri.as_str());
    checks.equal("the finished playback", found, ("done", GREETING))?;
    let digit = events
        .find(checks, "ChannelDtmfReceived", |event| match event {
            AriEvent::ChannelDtmfReceived { channel, digit, .. } if channel.id == caller.id() => {
                Some(digit.clone())
            }
            _ => None,
        })
        .await?;
    checks.equal("the digit", digit, "5")
}

/// Somebody is called.
async fn second_leg(
    ari: &AriClient,
    application: &str,
    events: &mut Events,
    checks: &mut Checks,
) -> Result<ChannelHandle> {
    let params = OriginateParams::new("PJSIP/bob")
        .app(application)
        .app_args("dialed")
        .variables(HashMap::from([("LEG".to_owned(), "second".to_owned())]));
    let (agent, _) = ari.pending_channel().originate(params).await?;
    let (state, args) = events
        .find(checks, "StasisStart", |event| match event {
            AriEvent::StasisStart { channel, args, .. } if channel.id == agent.id() => {
                Some((channel.state.clone(), args.clone()))
            }
            _ => None,
        })
        .await?;
    checks.equal("the state of the second leg", state, "Up")?;
    checks.equal("arguments of the second leg", args, ["dialed"])?;
    let variable = agent.get_variable("LEG").await?;
    checks.equal("its variable", variable.value, "second")?;
    Ok(agent)
}

/// Both talk, and are recorded.
async fn talk(
    ari: &AriClient,
    legs: [&ChannelHandle; 2],
    events: &mut Events,
    checks: &mut Checks,
) -> Result<BridgeHandle> {
    let (bridge, _) = ari.pending_bridge().create("mixing").await?;
    for leg in legs {
        bridge.add_channel(leg.id()).await?;
        let entered = events
            .find(checks, "ChannelEnteredBridge", |event| match event {
                AriEvent::ChannelEnteredBridge { bridge, channel } if channel.id == leg.id() => {
                    Some(bridge.id.clone())
                }
                _ => None,
            })
            .await?;
        checks.equal("the bridge entered", entered, bridge.id())?;
    }
    let mut members = bridge::get(ari, bridge.id()).await?.channels;
    members.sort();
    let mut expected = legs.map(ChannelHandle::id);
    expected.sort_unstable();
    checks.equal("the members", members, expected)?;
    // Each transport makes one of its own.
    let name = format!("interop-rust-{}", bridge.id());
    let recording = bridge.record_handle(&name, "wav").await?;
    events
        .find(checks, "RecordingStarted", |event| match event {
            AriEvent::RecordingStarted { recording } => (recording.name == name).then_some(()),
            _ => None,
        })
        .await?;
    recording.stop().await?;
    let recorded = events
        .find(checks, "RecordingFinished", |event| match event {
            AriEvent::RecordingFinished { recording } if recording.name == name => {
                Some(recording.clone())
            }
            _ => None,
        })
        .await?;
    let found = (recorded.state.as_str(), recorded.format.as_str());
    checks.equal("the recording", found, ("done", "wav"))?;
    let stored = recording::list_stored(ari).await?;
    let found = stored.iter().any(|stored| stored.name == name);
    checks.equal("the stored recording", found, true)?;
    Ok(bridge)
}

/// The end of it: the second leg, then the caller, then the bridge.
async fn end(
    ari: &AriClient,
    [caller, agent]: [&ChannelHandle; 2],
    bridge: &BridgeHandle,
    events: &mut Events,
    checks: &mut Checks,
) -> Result<()> {
    agent.hangup(None).await?;
    let cause = events
        .find(checks, "ChannelDestroyed", |event| match event {
            AriEvent::ChannelDestroyed {
                channel,
                cause,
                cause_txt,
            } if channel.id == agent.id() => Some((*cause, cause_txt.clone())),
            _ => None,
        })
        .await?;
    checks.equal("the cause", cause, (16, "Normal Clearing".to_owned()))?;
    caller.hangup(Some("normal")).await?;
    for leg in [agent, caller] {
        events
            .find(checks, "StasisEnd", |event| match event {
                AriEvent::StasisEnd { channel } => (channel.id == leg.id()).then_some(()),
                _ => None,
            })
            .await?;
    }
    let order = [
        "StasisStart",
        "ChannelEnteredBridge",
        "ChannelHangupRequest",
        "ChannelLeftBridge",
        "StasisEnd",
    ];
    events.in_order(checks, agent.id(), &order)?;
    bridge.destroy().await?;
    events
        .find(checks, "BridgeDestroyed", |event| match event {
            AriEvent::BridgeDestroyed { bridge: found } => (found.id == bridge.id()).then_some(()),
            _ => None,
        })
        .await?;
    let gone = caller.answer().await;
    checks.refused("a channel that is gone", gone, 404, "Channel not found")?;
    checks.equal("channels left", channel::list(ari).await?.len(), 0)?;
    checks.equal("bridges left", bridge::list(ari).await?.len(), 0)
}
