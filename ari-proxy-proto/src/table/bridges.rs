//! Bridges.

use ari_core::EntityKind::{Bridge, Channel, LiveRecording, Playback};

use super::{PLAY, RECORD};
use crate::kind::{Answer, Bind, Failure, Field, KeyId, KeyUse, Kind, Run, Shape, When};

const BRIDGE: Bind = Bind::Parameter(Bridge, "bridgeId");
const PLAYBACK: Bind = Bind::Parameter(Playback, "playbackId");
const RECORDING: Bind = Bind::Parameter(LiveRecording, "name");
const MEMBER: &[Bind] = &[BRIDGE, Bind::Parameter(Channel, "channel")];

const DATA: Failure = Failure::Data("bridge");
const CREATE: &[Field] = &[
    Field::text("type", "type"),
    Field::text("name", "name").optional(),
];

/// A command on a bridge.
const fn command(name: &'static str, operation: &'static str) -> Kind {
    Kind::command(name, "bridges", operation)
        .on(Bridge, "bridgeId")
        .binds(When::Before, &[BRIDGE])
}

/// A request of class `get` on a bridge.
const fn get(name: &'static str, operation: &'static str) -> Kind {
    Kind::get(name, "bridges", operation)
        .on(Bridge, "bridgeId")
        .fails(DATA)
}

pub(super) const KINDS: &[Kind] = &[
    command("BridgeAddChannel", "addChannel")
        .payload(
            "bridge_add_channel",
            &[
                Field::item("channel", "channel"),
                Field::boolean("absorbDTMF", "absorbDTMF").optional(),
                Field::boolean("mute", "mute").optional(),
                Field::text("role", "role").optional(),
            ],
        )
        .binds(When::Before, MEMBER),
    Kind::create("BridgeCreate", "bridges", "createWithId")
        .aliases(&["create"])
        .key(KeyUse::New(Bridge, "bridgeId", "br"))
        .payload("bridge_create", CREATE)
        .answers(Answer::RequestKey)
        .binds(When::Before, &[BRIDGE]),
    Kind::create("BridgeStageCreate", "bridges", "createWithId")
        .on(Bridge, "bridgeId")
        .payload("bridge_create", CREATE)
        .answers(Answer::RequestKey)
        .binds(When::Before, &[BRIDGE])
        .only_binds(),
    Kind::data("BridgeData", "bridges", "get", "bridge", Shape::Keyed)
        .on(Bridge, "bridgeId")
        .fails(DATA),
    command("BridgeDelete", "destroy"),
    get("BridgeGet", "get").binds(When::After, &[BRIDGE]),
    Kind::list("BridgeList", "bridges", "list", Bridge, KeyId::Member("id")),
    command("BridgeMOH", "startMoh").payload("bridge_moh", &[Field::text("class", "mohClass")]),
    command("BridgeStopMOH", "stopMoh"),
    Kind::create("BridgePlay", "bridges", "playWithId")
        .aliases(&["play"])
        .on(Bridge, "bridgeId")
        .payload("bridge_play", PLAY)
        .answers(Answer::NewKey(Playback, "playbackId"))
        .binds(When::Before, &[BRIDGE, PLAYBACK]),
    get("BridgeStagePlay", "playWithId")
        .payload("bridge_play", PLAY)
        .answers(Answer::NewKey(Playback, "playbackId"))
        .binds(When::After, &[BRIDGE, PLAYBACK])
        .only_checks(),
    Kind::create("BridgeRecord", "bridges", "record")
        .on(Bridge, "bridgeId")
        .payload("bridge_record", RECORD)
        .runs(Run::CheckAndCall)
        .answers(Answer::NewKey(LiveRecording, "name"))
        .binds(When::Checked, &[BRIDGE, RECORDING]),
    get("BridgeStageRecord", "record")
        .payload("bridge_record", RECORD)
        .answers(Answer::NewKeyInDialog(LiveRecording, "name"))
        .binds(When::After, &[BRIDGE, RECORDING])
        .only_checks(),
    command("BridgeRemoveChannel", "removeChannel")
        .payload(
            "bridge_remove_channel",
            &[Field::item("channel", "channel")],
        )
        .binds(When::Before, MEMBER),
    command("BridgeSubscribe", "get").only_binds(),
    command("BridgeUnsubscribe", "get")
        .binds(When::Before, &[])
        .only_binds(),
    command("BridgeVideoSource", "setVideoSource")
        .payload(
            "bridge_video_source",
            &[Field::text("channel", "channelId").or_refuse("channel is mandatory")],
        )
        .binds(
            When::Before,
            &[BRIDGE, Bind::Parameter(Channel, "channelId")],
        ),
    command("BridgeVideoSourceDelete", "clearVideoSource"),
];
