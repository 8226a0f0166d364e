//! The table: the 111 kinds of the Go proxy, and the few of our own.

mod applications;
mod asterisk;
mod bridges;
mod channels;
mod create;
mod others;
mod rows;

use crate::kind::{Field, Kind, Run};

/// The kinds of the Go proxy, by resource.
pub(crate) static TABLE: &[&[Kind]] = &[
    applications::KINDS,
    asterisk::KINDS,
    bridges::KINDS,
    channels::KINDS,
    create::KINDS,
    others::KINDS,
];

/// Our own kinds; a Go server answers them with `Not implemented`.
pub(crate) static OWN: &[Kind] = &[
    Kind::command("AriRequest", "", "")
        .secondary()
        .runs(Run::Extension),
    Kind::command("AriDialogRelease", "", "")
        .secondary()
        .runs(Run::Release),
];

const RECORDING_OPTIONS: &str = "options";

/// What recording a channel and recording a bridge have in common.
const RECORD: &[Field] = &[
    Field::text("name", "name").or_id("rc"),
    Field::text("Format", "format")
        .within(RECORDING_OPTIONS)
        .always(),
    Field::seconds("MaxDuration", "maxDurationSeconds").within(RECORDING_OPTIONS),
    Field::seconds("MaxSilence", "maxSilenceSeconds").within(RECORDING_OPTIONS),
    Field::text("Exists", "ifExists").within(RECORDING_OPTIONS),
    Field::boolean("Beep", "beep").within(RECORDING_OPTIONS),
    Field::text("Terminate", "terminateOn").within(RECORDING_OPTIONS),
];

/// What playing on a channel and playing on a bridge have in common.
const PLAY: &[Field] = &[
    Field::text("playback_id", "playbackId").or_id("pb"),
    Field::item("media_uri", "media"),
];

#[cfg(test)]
mod tests;
