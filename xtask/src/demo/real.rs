//! A real Asterisk: the program `callers` places calls on it, and tells what the other side sees.

use std::{path::Path, time::Duration};

use anyhow::Result;
use serde::Deserialize;

use crate::{process::Process, programs::Programs};

use super::{
    cluster::APPLICATION,
    nodes::{AsteriskUrl, Record},
};

/// A real Asterisk.
#[derive(Debug)]
pub(super) struct Real {
    name: String,
    url: AsteriskUrl,
    callers: Option<Process>,
}

/// The last line of `callers`.
#[derive(Deserialize)]
struct Rest {
    leftover_channels: u64,
}

impl Real {
    pub(super) const fn new(name: String, url: AsteriskUrl) -> Self {
        Self {
            name,
            url,
            callers: None,
        }
    }

    pub(super) fn url(&self) -> AsteriskUrl {
        self.url.clone()
    }

    /// Starts the callers.
    pub(super) fn place_calls(
        &mut self,
        calls: u32,
        interval: Duration,
        endpoint: &str,
        programs: &Programs,
        logs: &Path,
    ) -> Result<()> {
        let mut command = programs.command("callers")?;
        self.url.tell(&mut command);
        command
            .args(["--calls", &calls.to_string()])
            .args(["--interval-ms", &interval.as_millis().to_string()])
            .args(["--endpoint", endpoint, "--extension"])
            .arg(format!("app-{APPLICATION}"));
        let name = format!("callers-{}", self.name);
        self.callers = Some(Process::spawn(name, command, logs)?);
        Ok(())
    }

    fn lines<T: for<'a> Deserialize<'a>>(&self) -> Vec<T> {
        let output = self
            .callers
            .as_ref()
            .map(Process::output)
            .unwrap_or_default();
        output
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// How many calls have ended.
    pub(super) fn ended(&self) -> u64 {
        u64::try_from(self.records().len()).unwrap_or(u64::MAX)
    }

    /// What became of the calls.
    pub(super) fn records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.lines();
        records.retain(|record| record.ended_at_ms.is_some());
        records
    }

    /// How many channels the callers could not get rid of.
    pub(super) async fn leftover_channels(&mut self) -> Result<u64> {
        if let Some(callers) = &mut self.callers {
            callers.ended().await?;
        }
        let rest: Vec<Rest> = self.lines();
        Ok(rest.iter().map(|rest| rest.leftover_channels).sum())
    }

    /// Fails if the callers have ended badly.
    pub(super) fn check(&mut self) -> Result<()> {
        match &mut self.callers {
            Some(callers) => callers.check_success(),
            None => Ok(()),
        }
    }
}
