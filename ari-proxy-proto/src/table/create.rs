//! New channels.

use ari_core::EntityKind::Channel;

use crate::kind::{Answer, Bind, Failure, Field, Form, KeyUse, Kind, Run, When};

const NEW: Bind = Bind::Parameter(Channel, "channelId");
const OTHER: Bind = Bind::Parameter(Channel, "otherChannelId");
const ORIGINATOR: Bind = Bind::Parameter(Channel, "originator");
const SNOOP: Bind = Bind::Parameter(Channel, "snoopId");

const ORIGINATE_MISSING: Option<&str> = Some("OriginateRequest is mandatory");
const MEDIA_MISSING: Option<&str> = Some("ExternalMediaOptions is required");

const CREATE: &[Field] = &[
    Field::text("endpoint", "endpoint"),
    Field::text("app", "app"),
    Field::text("appArgs", "appArgs").optional(),
    Field::text("channelId", "channelId").optional().or_id("ch"),
    Field::text("otherChannelId", "otherChannelId").optional(),
    Field::text("originator", "originator").optional(),
    Field::text("formats", "formats").optional(),
];

const ORIGINATE: &[Field] = &[
    Field::text("endpoint", "endpoint"),
    Field::integer("timeout", "timeout").optional().zero_lost(),
    Field::text("callerId", "callerId").optional(),
    Field::text("context", "context").optional(),
    Field::text("extension", "extension").optional(),
    Field::integer("priority", "priority").optional(),
    Field::text("label", "label").optional(),
    Field::text("app", "app").optional(),
    Field::text("appArgs", "appArgs").optional(),
    Field::text("formats", "formats").optional(),
    Field::text("channelId", "channelId").optional().or_id("ch"),
    Field::text("otherChannelId", "otherChannelId").optional(),
    Field::text("originator", "originator").optional(),
    Field::of("variables", "variables", Form::Texts).optional(),
];

const SNOOP_OPTIONS: &str = "options";
const SNOOP_FIELDS: &[Field] = &[
    Field::text("snoop_id", "snoopId").or_id("sn"),
    Field::text("app", "app")
        .within(SNOOP_OPTIONS)
        .or_application(),
    Field::text("appArgs", "appArgs")
        .within(SNOOP_OPTIONS)
        .optional(),
    Field::text("spy", "spy").within(SNOOP_OPTIONS).optional(),
    Field::text("whisper", "whisper")
        .within(SNOOP_OPTIONS)
        .optional(),
];

const EXTERNAL_MEDIA: &[Field] = &[
    Field::text("channelId", "channelId").or_id("ch"),
    Field::text("app", "app").or_application(),
    Field::text("external_host", "external_host")
        .needed()
        .or_refuse("ExternalHost is mandatory"),
    Field::text("encapsulation", "encapsulation").or("rtp"),
    Field::text("transport", "transport").or("udp"),
    Field::text("connection_type", "connection_type").or("client"),
    Field::text("format", "format").or_refuse("Format is mandatory"),
    Field::text("direction", "direction").or("both"),
    Field::of("variables", "variables", Form::TextsOrNull),
];

pub(super) const KINDS: &[Kind] = &[
    Kind::create("ChannelCreate", "channels", "create")
        .key(KeyUse::Originator)
        .payload_below("channel_create", "channel_create_request", CREATE, None)
        .answers(Answer::NewKey(Channel, "channelId"))
        .binds(When::Before, &[NEW, OTHER]),
    Kind::create("ChannelOriginate", "channels", "originate")
        .aliases(&["originateWithId"])
        .key(KeyUse::Originator)
        .payload_below(
            "channel_originate",
            "originate_request",
            ORIGINATE,
            ORIGINATE_MISSING,
        )
        .answers(Answer::NewKey(Channel, "channelId"))
        .binds(When::Before, &[NEW, OTHER, ORIGINATOR, Bind::Key]),
    Kind::create("ChannelStageOriginate", "channels", "originate")
        .key(KeyUse::Originator)
        .payload_below(
            "channel_originate",
            "originate_request",
            ORIGINATE,
            ORIGINATE_MISSING,
        )
        .answers(Answer::NewKey(Channel, "channelId"))
        .binds(When::Before, &[NEW, OTHER, ORIGINATOR, Bind::Key])
        .only_binds(),
    Kind::create("ChannelSnoop", "channels", "snoopChannelWithId")
        .aliases(&["snoopChannel"])
        .on(Channel, "channelId")
        .payload("channel_snoop", SNOOP_FIELDS)
        .answers(Answer::NewKey(Channel, "snoopId"))
        .binds(When::Before, &[SNOOP]),
    Kind::get("ChannelStageSnoop", "channels", "snoopChannelWithId")
        .on(Channel, "channelId")
        .payload("channel_snoop", SNOOP_FIELDS)
        .fails(Failure::Data("channel"))
        .answers(Answer::NewKey(Channel, "snoopId"))
        .binds(When::After, &[SNOOP])
        .runs(Run::Check),
    Kind::create("ChannelExternalMedia", "channels", "externalMedia")
        .payload_below(
            "channel_external_media",
            "options",
            EXTERNAL_MEDIA,
            MEDIA_MISSING,
        )
        .answers(Answer::NewKey(Channel, "channelId"))
        .binds(When::Before, &[NEW]),
    Kind::create("ChannelStageExternalMedia", "channels", "externalMedia")
        .payload_below(
            "channel_external_media",
            "options",
            EXTERNAL_MEDIA,
            MEDIA_MISSING,
        )
        .answers(Answer::NewKey(Channel, "channelId"))
        .binds(When::Before, &[NEW])
        .only_binds(),
];
