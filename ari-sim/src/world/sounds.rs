//! The sounds that come with Asterisk.

use std::{collections::BTreeMap, time::Duration};

/// The English core set, in the order in which Asterisk lists it; a star where `slin` is its first format.
const TABLE: &str = include_str!("data/sounds.txt");

/// Those whose length was measured on Asterisk 22.10.1, in milliseconds.
const MEASURED: &[(&str, u64)] = &[
    ("hello-world", 1_402),
    ("beep", 424),
    ("tt-monkeys", 16_500),
    ("vm-goodbye", 862),
];

/// The formats that there are of a sound, in the order in which Asterisk names them.
pub(crate) type Formats = [&'static str; 2];

/// The formats of a sound that is not in the table.
pub(crate) const USUAL: Formats = ["gsm", "slin"];

/// The names of all sounds with their formats.
pub(crate) fn names() -> impl Iterator<Item = (&'static str, Formats)> {
    TABLE.lines().map(|line| match line.strip_prefix('*') {
        Some(name) => (name, ["slin", "gsm"]),
        None => (line, USUAL),
    })
}

/// How long a sound is: silence as long as its name says, others one second where it was not measured.
fn length_of(name: &str) -> Duration {
    let silence = name
        .strip_prefix("silence/")
        .and_then(|seconds| seconds.parse().ok());
    let measured = MEASURED
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, millis)| Duration::from_millis(*millis));
    silence
        .map(Duration::from_secs)
        .or(measured)
        .unwrap_or(Duration::from_secs(1))
}

/// The standard sounds with their lengths.
pub(crate) fn standard() -> BTreeMap<String, Duration> {
    names()
        .map(|(name, _)| (name.to_owned(), length_of(name)))
        .collect()
}
