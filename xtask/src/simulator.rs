//! The program `ari-sim`, which tasks steer over HTTP.

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{process::Process, programs::Programs};

// What ari-sim takes unless it is told otherwise.
pub(crate) const USERNAME: &str = "asterisk";
pub(crate) const PASSWORD: &str = "asterisk";

/// A running simulator.
#[derive(Debug)]
pub(crate) struct Simulator {
    process: Process,
    /// As in `http://127.0.0.1:8088`.
    base: String,
}

impl Simulator {
    /// Starts a simulator on a free port; it may not listen yet.
    pub(crate) fn spawn(
        name: &str,
        arguments: &[&str],
        programs: &Programs,
        logs: &Path,
    ) -> Result<Self> {
        let mut command = programs.command("ari-sim")?;
        command.args(["--port", "0"]).args(arguments);
        Ok(Self {
            process: Process::spawn(format!("ari-sim-{name}"), command, logs)?,
            base: String::new(),
        })
    }

    /// Waits until it listens.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        let line = self.process.line_with("http://").await?;
        let host = line
            .split_once("http://")
            .and_then(|(_, rest)| rest.split('/').next())
            .context("ari-sim does not say where it listens")?;
        self.base = format!("http://{host}");
        Ok(())
    }

    /// Where it listens, once it is ready.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.process.check()
    }
}
