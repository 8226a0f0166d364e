//! The nats-server of the demo, and what it tells about subscriptions.

use std::{
    collections::HashMap,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tokio::time::sleep;

use crate::{
    http,
    process::{POLL, Process},
};

/// How long subscriptions may take to go after the last call.
const SETTLE: Duration = Duration::from_secs(5);

/// More connections than any demo makes.
const CONNECTIONS: usize = 4_096;

/// A nats-server on free ports.
#[derive(Debug)]
pub(super) struct NatsServer {
    pub(super) process: Process,
    pub(super) url: String,
    monitoring: String,
}

/// How many subscriptions each connection has, by its number.
#[derive(Debug)]
pub(super) struct Subscriptions(HashMap<u64, u64>);

#[derive(Deserialize)]
struct Ports {
    nats: Vec<String>,
    monitoring: Vec<String>,
}

#[derive(Deserialize)]
struct Connections {
    connections: Vec<Connection>,
}

#[derive(Deserialize)]
struct Connection {
    cid: u64,
    subscriptions: u64,
}

impl NatsServer {
    /// Starts it and waits until it listens.
    pub(super) async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["-a", "127.0.0.1", "-p", "-1", "-m", "-1"])
            .arg("--ports_file_dir")
            .arg(folder);
        let mut process = Process::spawn("nats-server", command, folder)?;
        let id = process.id().context("nats-server has ended at once")?;
        let file = folder.join(format!("nats-server_{id}.ports"));
        let read = |_: &Process| {
            let ports: Ports = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            Some((
                ports.nats.first()?.clone(),
                ports.monitoring.first()?.clone(),
            ))
        };
        let (url, monitoring) = process.wait_for(read).await?;
        Ok(Self {
            process,
            url,
            monitoring,
        })
    }

    /// Counts the subscriptions of each connection.
    pub(super) async fn subscriptions(&self) -> Result<Subscriptions> {
        let target = format!("/connz?subs=1&limit={CONNECTIONS}");
        let answer = http::get(&self.monitoring, &target).await?;
        let answer: Connections = serde_json::from_value(answer)
            .context("cannot understand what nats-server monitors")?;
        Ok(Subscriptions(
            answer
                .connections
                .into_iter()
                .map(|connection| (connection.cid, connection.subscriptions))
                .collect(),
        ))
    }

    /// Counts the subscriptions that are more than each connection had before; they may take a moment
    /// to go.
    pub(super) async fn leftover(&self, before: &Subscriptions) -> Result<u64> {
        let begun = Instant::now();
        loop {
            let left = self.subscriptions().await?.more_than(before);
            if left == 0 || begun.elapsed() > SETTLE {
                return Ok(left);
            }
            sleep(POLL).await;
        }
    }
}

impl Subscriptions {
    fn more_than(&self, before: &Self) -> u64 {
        let more = |(cid, now): (&u64, &u64)| {
            now.saturating_sub(before.0.get(cid).copied().unwrap_or_default())
        };
        self.0.iter().map(more).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_baseline_of_each_connection_is_left_over() {
        let of = |counts: &[(u64, u64)]| Subscriptions(counts.iter().copied().collect());
        let before = of(&[(1, 5), (2, 7)]);
        assert_eq!(of(&[(1, 5), (2, 7)]).more_than(&before), 0);
        // One connection's fewer do not make up for another's more.
        assert_eq!(of(&[(1, 2), (2, 9)]).more_than(&before), 2);
        assert_eq!(of(&[(1, 5), (3, 4)]).more_than(&before), 4);
    }
}
