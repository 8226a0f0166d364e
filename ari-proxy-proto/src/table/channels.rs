//! Channels that exist.

use ari_core::EntityKind::{Channel, LiveRecording, Playback};

use super::{PLAY, RECORD};
use crate::kind::{Answer, Bind, Failure, Field, Form, KeyId, KeyUse, Kind, Run, Shape, When};

const CHANNEL: Bind = Bind::Parameter(Channel, "channelId");
const PLAYBACK: Bind = Bind::Parameter(Playback, "playbackId");
const RECORDING: Bind = Bind::Parameter(LiveRecording, "name");

const DATA: Failure = Failure::Data("channel");
const HANGUP: &[Field] = &[Field::text("reason", "reason").or("normal")];
const MUTE: &[Field] = &[Field::text("direction", "direction").optional().or("both")];
const DTMF_OPTIONS: &str = "options";

/// A command on a channel; most of them bind nothing.
const fn command(name: &'static str, operation: &'static str) -> Kind {
    Kind::command(name, "channels", operation).on(Channel, "channelId")
}

/// A request of class `get` on a channel.
const fn get(name: &'static str, operation: &'static str) -> Kind {
    Kind::get(name, "channels", operation)
        .on(Channel, "channelId")
        .fails(DATA)
}

pub(super) const KINDS: &[Kind] = &[
    command("ChannelAnswer", "answer").binds(When::Before, &[CHANNEL]),
    command("ChannelBusy", "hangup")
        .with("reason", "busy")
        .binds(When::Before, &[CHANNEL]),
    command("ChannelCongestion", "hangup")
        .with("reason", "congestion")
        .binds(When::Before, &[CHANNEL]),
    command("ChannelContinue", "continueInDialplan").payload(
        "channel_continue",
        &[
            Field::text("context", "context"),
            Field::text("extension", "extension"),
            Field::integer("priority", "priority"),
        ],
    ),
    Kind::data("ChannelData", "channels", "get", "channel", Shape::Keyed)
        .on(Channel, "channelId")
        .fails(DATA),
    command("ChannelDial", "dial").payload(
        "channel_dial",
        &[
            Field::text("caller", "caller"),
            Field::seconds("timeout", "timeout"),
        ],
    ),
    get("ChannelGet", "get"),
    command("ChannelHangup", "hangup").payload("channel_hangup", HANGUP),
    command("ChannelHold", "hold"),
    command("ChannelStopHold", "unhold"),
    Kind::list(
        "ChannelList",
        "channels",
        "list",
        Channel,
        KeyId::Member("id"),
    ),
    command("ChannelMOH", "startMoh").payload("channel_moh", &[Field::text("music", "mohClass")]),
    command("ChannelStopMOH", "stopMoh"),
    command("ChannelMute", "mute").payload("channel_mute", MUTE),
    command("ChannelUnmute", "unmute").payload("channel_mute", MUTE),
    Kind::create("ChannelPlay", "channels", "playWithId")
        .aliases(&["play"])
        .on(Channel, "channelId")
        .payload("channel_play", PLAY)
        .runs(Run::CheckAndCall)
        .answers(Answer::NewKey(Playback, "playbackId"))
        .binds(When::Checked, &[CHANNEL, PLAYBACK]),
    get("ChannelStagePlay", "playWithId")
        .payload("channel_play", PLAY)
        .answers(Answer::NewKey(Playback, "playbackId"))
        .binds(When::After, &[CHANNEL, PLAYBACK])
        .only_checks(),
    Kind::create("ChannelRecord", "channels", "record")
        .on(Channel, "channelId")
        .payload("channel_record", RECORD)
        .answers(Answer::NewKey(LiveRecording, "name"))
        .binds(When::Before, &[CHANNEL, RECORDING]),
    get("ChannelStageRecord", "record")
        .payload("channel_record", RECORD)
        .answers(Answer::NewKeyInDialog(LiveRecording, "name"))
        .binds(When::After, &[CHANNEL, RECORDING])
        .only_checks(),
    command("ChannelRing", "ring"),
    command("ChannelStopRing", "ringStop"),
    command("ChannelSendDTMF", "sendDTMF").payload(
        "channel_send_dtmf",
        &[
            Field::text("dtmf", "dtmf"),
            Field::milliseconds("Before", "before").within(DTMF_OPTIONS),
            Field::milliseconds("Between", "between")
                .within(DTMF_OPTIONS)
                .zero_lost(),
            Field::milliseconds("Duration", "duration")
                .within(DTMF_OPTIONS)
                .zero_lost(),
            Field::milliseconds("After", "after").within(DTMF_OPTIONS),
        ],
    ),
    command("ChannelSilence", "startSilence"),
    command("ChannelStopSilence", "stopSilence"),
    command("ChannelSubscribe", "get")
        .binds(When::Before, &[CHANNEL])
        .only_binds(),
    Kind::data(
        "ChannelVariableGet",
        "channels",
        "getChannelVar",
        "variable",
        Shape::Variable,
    )
    .on(Channel, "channelId")
    .payload("channel_variable", &[Field::text("name", "variable")]),
    command("ChannelVariableSet", "setChannelVar").payload(
        "channel_variable",
        &[
            Field::text("name", "variable"),
            Field::text("value", "value").optional().zero_lost(),
        ],
    ),
    Kind::command("ChannelUserEvent", "events", "userEvent")
        .key(KeyUse::Source)
        .payload(
            "channel_user_event",
            &[Field::of("UserEvent", "", Form::UserEvent)],
        ),
];
