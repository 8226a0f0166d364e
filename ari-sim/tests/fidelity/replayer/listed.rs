//! The list of differences that remain.

use std::{fs, path::Path};

use serde::Deserialize;

/// One difference that is known, and why it remains.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Name of the file.
    pub(crate) file: String,
    /// The step, the line, or the key of the event.
    pub(crate) at: String,
    /// Why Asterisk's behaviour cannot be had.
    pub(crate) reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    difference: Vec<Entry>,
}

impl Entry {
    pub(crate) fn covers(&self, file: &str, at: &str) -> bool {
        self.file == file && self.at == at
    }

    /// How the list names it.
    pub(crate) fn shown(&self) -> String {
        format!("{}, {}", self.file, self.at)
    }
}

/// Reads the list.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read(path: &Path) -> Result<Vec<Entry>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let list: List =
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(list.difference)
}
