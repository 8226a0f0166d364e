//! How faithful the simulator is: the replayer of ari-sim, on the traces of the project or on others.

use std::{
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, root};

/// Which traces to replay.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Folders with traces (`*.jsonl`, searched with the folders in them); without, those of the project.
    folders: Vec<PathBuf>,
}

/// Replays the traces; the outcome is that of the replayer.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let mut command = Command::new(cargo());
    command
        .args([
            "test", "--quiet", "-p", "ari-sim", "--test", "fidelity", "--",
        ])
        .current_dir(root());
    for folder in &arguments.folders {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("no such folder: {}", folder.display()))?;
        if !folder.is_dir() {
            bail!("{} is no folder", folder.display());
        }
        command.arg(folder);
    }
    let status = command.status().context("cannot run cargo")?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
