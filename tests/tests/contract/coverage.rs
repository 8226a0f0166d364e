//! Whether every operation that a kind of request stands for was accepted and refused on every transport.

use std::collections::BTreeSet;

use ari_proxy_proto::Kind;
use ari_tests::{Ground, Transport, Went};

/// The kinds of requests that the suite has to show.
const KINDS: &[&str] = &[
    "ApplicationList",
    "ApplicationGet",
    "ApplicationData",
    "AsteriskInfo",
    "AsteriskVariableGet",
    "AsteriskVariableSet",
    "BridgeCreate",
    "BridgeStageCreate",
    "BridgeGet",
    "BridgeData",
    "BridgeList",
    "BridgeAddChannel",
    "BridgeRemoveChannel",
    "BridgeDelete",
    "BridgePlay",
    "BridgeSubscribe",
    "ChannelGet",
    "ChannelData",
    "ChannelList",
    "ChannelCreate",
    "ChannelOriginate",
    "ChannelDial",
    "ChannelAnswer",
    "ChannelHangup",
    "ChannelRing",
    "ChannelStopRing",
    "ChannelPlay",
    "ChannelStagePlay",
    "ChannelRecord",
    "ChannelSendDTMF",
    "ChannelVariableGet",
    "ChannelVariableSet",
    "ChannelHold",
    "ChannelStopHold",
    "ChannelMOH",
    "ChannelStopMOH",
    "ChannelMute",
    "ChannelUnmute",
    "ChannelContinue",
    "ChannelSubscribe",
    "ChannelUserEvent",
    "PlaybackGet",
    "PlaybackData",
    "PlaybackControl",
    "PlaybackStop",
    "PlaybackSubscribe",
    "RecordingStoredList",
    "RecordingStoredData",
    "RecordingStoredDelete",
    "RecordingLiveStop",
];

/// Operations that Asterisk does not refuse, whatever they are asked.
const NEVER_REFUSED: &[&str] = &[
    "GET /applications",
    "GET /asterisk/info",
    "GET /asterisk/variable",
    "POST /asterisk/variable",
    "GET /bridges",
    "GET /channels",
    "GET /recordings/stored",
];

/// What was not seen.
pub(crate) fn gaps(ground: &Ground, transports: &[Transport]) -> Vec<String> {
    let operations: BTreeSet<String> = KINDS
        .iter()
        .map(|name| {
            let kind = Kind::named(name).unwrap_or_else(|| panic!("there is no kind {name}"));
            kind.operation().unwrap().to_string()
        })
        .collect();
    let mut gaps = Vec::new();
    for transport in transports {
        for operation in &operations {
            for went in [Went::Accepted, Went::Refused] {
                let owed = went == Went::Accepted || !NEVER_REFUSED.contains(&operation.as_str());
                if owed && !ground.seen(*transport).has(operation, went) {
                    gaps.push(format!("{operation} {went:?} on {}", transport.name()));
                }
            }
        }
    }
    gaps
}
