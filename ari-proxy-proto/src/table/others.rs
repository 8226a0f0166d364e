//! Device states, endpoints, mailboxes, playbacks, recordings, sounds.

use ari_core::EntityKind::{
    DeviceState, Endpoint, LiveRecording, Mailbox, Playback, Sound, StoredRecording,
};

use crate::kind::{Answer, Bind, Failure, Field, Form, KeyId, KeyUse, Kind, Shape, When};

const ENDPOINT: KeyUse = KeyUse::Path(Endpoint, &["tech", "resource"]);

/// A command on a live recording.
const fn recording(name: &'static str, operation: &'static str) -> Kind {
    Kind::command(name, "recordings", operation).on(LiveRecording, "recordingName")
}

pub(super) const KINDS: &[Kind] = &[
    Kind::data(
        "DeviceStateData",
        "deviceStates",
        "get",
        "device_state",
        Shape::Keyed,
    )
    .on(DeviceState, "deviceName")
    .fails(Failure::Data("deviceState")),
    Kind::get("DeviceStateGet", "deviceStates", "get")
        .on(DeviceState, "deviceName")
        .fails(Failure::Data("deviceState")),
    Kind::list(
        "DeviceStateList",
        "deviceStates",
        "list",
        DeviceState,
        KeyId::Member("name"),
    ),
    Kind::command("DeviceStateUpdate", "deviceStates", "update")
        .on(DeviceState, "deviceName")
        .payload(
            "device_state_update",
            &[Field::text("state", "deviceState")],
        ),
    Kind::command("DeviceStateDelete", "deviceStates", "delete").on(DeviceState, "deviceName"),
    Kind::data("EndpointData", "endpoints", "get", "endpoint", Shape::Keyed)
        .key(ENDPOINT)
        .fails(Failure::Data("endpoint")),
    Kind::get("EndpointGet", "endpoints", "get")
        .key(ENDPOINT)
        .fails(Failure::Data("endpoint")),
    Kind::list(
        "EndpointList",
        "endpoints",
        "list",
        Endpoint,
        KeyId::Endpoint,
    ),
    Kind::list(
        "EndpointListByTech",
        "endpoints",
        "listByTech",
        Endpoint,
        KeyId::Endpoint,
    )
    .payload(
        "endpoint_list_by_tech",
        &[Field::text("tech", "tech").or_refuse("tech is mandatory")],
    )
    .answers(Answer::MatchingKeys(Endpoint, KeyId::Endpoint)),
    Kind::data("MailboxData", "mailboxes", "get", "mailbox", Shape::Keyed)
        .on(Mailbox, "mailboxName")
        .fails(Failure::Data("mailbox")),
    Kind::get("MailboxGet", "mailboxes", "get")
        .on(Mailbox, "mailboxName")
        .fails(Failure::Data("mailbox")),
    Kind::list(
        "MailboxList",
        "mailboxes",
        "list",
        Mailbox,
        KeyId::Member("name"),
    ),
    Kind::command("MailboxUpdate", "mailboxes", "update")
        .on(Mailbox, "mailboxName")
        .payload(
            "mailbox_update",
            &[
                Field::integer("new", "newMessages").always(),
                Field::integer("old", "oldMessages").always(),
            ],
        ),
    Kind::command("MailboxDelete", "mailboxes", "delete").on(Mailbox, "mailboxName"),
    Kind::data("PlaybackData", "playbacks", "get", "playback", Shape::Keyed)
        .on(Playback, "playbackId")
        .fails(Failure::Data("playback")),
    Kind::get("PlaybackGet", "playbacks", "get")
        .on(Playback, "playbackId")
        .fails(Failure::Data("playback")),
    Kind::command("PlaybackControl", "playbacks", "control")
        .on(Playback, "playbackId")
        .payload("playback_control", &[Field::text("command", "operation")]),
    Kind::command("PlaybackStop", "playbacks", "stop").on(Playback, "playbackId"),
    Kind::command("PlaybackSubscribe", "playbacks", "get")
        .on(Playback, "playbackId")
        .binds(When::Before, &[Bind::Parameter(Playback, "playbackId")])
        .only_binds(),
    Kind::data(
        "RecordingStoredData",
        "recordings",
        "getStored",
        "stored_recording",
        Shape::Keyed,
    )
    .on(StoredRecording, "recordingName")
    .fails(Failure::Data("storedRecording")),
    Kind::get("RecordingStoredGet", "recordings", "getStored")
        .on(StoredRecording, "recordingName")
        .fails(Failure::Data("storedRecording")),
    Kind::list(
        "RecordingStoredList",
        "recordings",
        "listStored",
        StoredRecording,
        KeyId::Member("name"),
    ),
    Kind::command("RecordingStoredCopy", "recordings", "copyStored")
        .on(StoredRecording, "recordingName")
        .payload(
            "recording_stored_copy",
            &[Field::text("destination", "destinationRecordingName")],
        )
        .answers(Answer::NewKey(StoredRecording, "destinationRecordingName")),
    Kind::command("RecordingStoredDelete", "recordings", "deleteStored")
        .on(StoredRecording, "recordingName"),
    Kind::data(
        "RecordingLiveData",
        "recordings",
        "getLive",
        "live_recording",
        Shape::Keyed,
    )
    .on(LiveRecording, "recordingName")
    .fails(Failure::Data("liveRecording")),
    Kind::get("RecordingLiveGet", "recordings", "getLive")
        .on(LiveRecording, "recordingName")
        .fails(Failure::Data("liveRecording")),
    recording("RecordingLiveStop", "stop"),
    recording("RecordingLivePause", "pause"),
    recording("RecordingLiveResume", "unpause"),
    recording("RecordingLiveMute", "mute"),
    recording("RecordingLiveUnmute", "unmute"),
    recording("RecordingLiveScrap", "cancel"),
    recording("RecordingLiveSubscribe", "getLive")
        .binds(
            When::Before,
            &[Bind::Parameter(LiveRecording, "recordingName")],
        )
        .only_binds(),
    Kind::data("SoundData", "sounds", "get", "sound", Shape::Keyed)
        .on(Sound, "soundId")
        .fails(Failure::Data("sound")),
    Kind::list("SoundList", "sounds", "list", Sound, KeyId::Member("id"))
        .payload(
            "sound_list",
            &[Field::of(
                "filters",
                "",
                Form::Parameters(&["format", "lang"]),
            )],
        )
        .answers(Answer::MatchingKeys(Sound, KeyId::Member("id"))),
];
