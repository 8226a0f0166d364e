//! A simulated Asterisk: the program `ari-sim`, steered over its admin API.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    http,
    process::POLL,
    programs::Programs,
    simulator::{PASSWORD, Simulator, USERNAME},
};

use super::{
    cluster::{APPLICATION, GREETING, LIMIT, PATIENCE},
    nodes::{AsteriskUrl, Record},
};

/// How long channels may take to go after the last call.
const SETTLE: Duration = Duration::from_secs(5);

/// A running simulator.
#[derive(Debug)]
pub(super) struct Simulated(Simulator);

impl Simulated {
    /// Starts a simulator; it may not listen yet.
    pub(super) fn spawn(name: &str, programs: &Programs, logs: &Path) -> Result<Self> {
        Simulator::spawn(name, &["--asterisk-id", name], programs, logs).map(Self)
    }

    /// Waits until it listens.
    pub(super) async fn ready(&mut self) -> Result<()> {
        self.0.ready().await
    }

    pub(super) fn url(&self) -> AsteriskUrl {
        AsteriskUrl::new(&format!("{}/ari", self.0.base()), USERNAME, PASSWORD)
    }

    pub(super) fn check(&mut self) -> Result<()> {
        self.0.check()
    }

    /// Lets callers call who press a digit when they have heard the greeting to its end.
    pub(super) async fn place_calls(&self, calls: u32, interval: Duration) -> Result<()> {
        let order = json!({
            "count": calls,
            "rate": 1.0 / interval.as_secs_f64(),
            "script": {
                "application": APPLICATION,
                "give_up_after_ms": millis(PATIENCE),
                "limit_ms": millis(LIMIT),
                "steps": [{"on": "heard", "media": GREETING, "after_ms": 200, "press": "5"}],
            },
        });
        http::post(self.0.base(), "/sim/calls", &order).await?;
        Ok(())
    }

    /// How many calls have ended.
    pub(super) async fn ended(&self) -> Result<u64> {
        let totals = http::get(self.0.base(), "/sim/totals").await?;
        totals
            .get("ended")
            .and_then(Value::as_u64)
            .context("ari-sim does not tell how many calls have ended")
    }

    /// What became of the calls.
    pub(super) async fn records(&self) -> Result<Vec<Record>> {
        let records = http::get(self.0.base(), "/sim/calls").await?;
        serde_json::from_value(records).context("cannot understand the call records of ari-sim")
    }

    /// How many channels there are; they may take a moment to go.
    pub(super) async fn leftover_channels(&self) -> Result<u64> {
        let begun = Instant::now();
        let target = format!("/ari/channels?api_key={USERNAME}:{PASSWORD}");
        loop {
            let channels = http::get(self.0.base(), &target).await?;
            let channels = channels.as_array().context("ari-sim lists no channels")?;
            if channels.is_empty() || begun.elapsed() > SETTLE {
                return Ok(u64::try_from(channels.len()).unwrap_or(u64::MAX));
            }
            sleep(POLL).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
