//! Reading the arguments: folders of traces, among what a test harness would be given.

use std::path::{Path, PathBuf};

/// Flags of the test harness that are followed by a value.
const WITH_VALUE: &[&str] = &[
    "--color",
    "--format",
    "--logfile",
    "--shuffle-seed",
    "--skip",
    "--test-threads",
    "-Z",
];

/// The folders to be replayed; `None`: other tests were asked for.
pub(crate) fn folders(
    arguments: impl Iterator<Item = String>,
    package: &Path,
) -> Option<Vec<PathBuf>> {
    let mut folders = Vec::new();
    let mut filters = Vec::new();
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--list" | "--ignored" => return None,
            flag if WITH_VALUE.contains(&flag) => drop(arguments.next()),
            flag if flag.starts_with('-') => {}
            path if Path::new(path).is_absolute() => folders.push(PathBuf::from(path)),
            _ => filters.push(argument),
        }
    }
    let is_meant = filters.is_empty() || filters.iter().any(|filter| "fidelity".contains(filter));
    if folders.is_empty() {
        folders.push(package.join("tests/fixtures/traces"));
    }
    is_meant.then_some(folders)
}
