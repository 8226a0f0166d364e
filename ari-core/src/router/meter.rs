//! What is counted, by the `metrics` facade: whoever wants it installs a recorder.

use metrics::{Counter, counter};

use super::GapCause;

const GAPS: &str = "ari_core_gaps_total";
const DROPPED: &str = "ari_core_events_dropped_total";

/// The counter of losses that streams are told of.
pub(crate) fn gaps(cause: GapCause) -> Counter {
    match cause {
        GapCause::Overflow => counter!(GAPS, "cause" => "overflow"),
        GapCause::Reconnected => counter!(GAPS, "cause" => "reconnected"),
        GapCause::Replaced => counter!(GAPS, "cause" => "replaced"),
        GapCause::Upstream => counter!(GAPS, "cause" => "upstream"),
        GapCause::Undecodable => counter!(GAPS, "cause" => "undecodable"),
    }
}

/// The counter of events for which a stream had no room.
pub(crate) fn dropped() -> Counter {
    counter!(DROPPED)
}
