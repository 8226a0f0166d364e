//! The calls of one client: on a simulator of its own, seen from both sides.

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Error, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    http,
    process::{POLL, Process},
    programs::Programs,
    simulator::{PASSWORD, Simulator, USERNAME},
};

use super::client::Client;

/// The Stasis application of the clients.
const APPLICATION: &str = "interop";

/// What each client plays first.
const GREETING: &str = "sound:hello-world";

/// How long a client may take for all its calls.
const DEADLINE: Duration = Duration::from_mins(1);

/// A client that found everything as on Asterisk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Success {
    /// How many calls it took.
    pub(super) calls: usize,
    /// How much it looked at.
    pub(super) checks: u32,
}

/// A client that did not.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: Error,
    /// All that it wrote.
    pub(super) output: String,
}

impl Failure {
    pub(super) fn new(reason: Error) -> Self {
        Self {
            reason,
            output: String::new(),
        }
    }
}

/// Starts a simulator and the client, and gives it a call whenever it is ready for one.
pub(super) async fn run(
    client: Client,
    mut command: Command,
    programs: &Programs,
    logs: &Path,
) -> Result<Success, Failure> {
    let mut simulator =
        Simulator::spawn(client.name(), &[], programs, logs).map_err(Failure::new)?;
    simulator.ready().await.map_err(Failure::new)?;
    let base = simulator.base().to_owned();
    command
        .env("ARI_URL", &base)
        .env("ARI_USERNAME", USERNAME)
        .env("ARI_PASSWORD", PASSWORD)
        .env("ARI_APPLICATION", APPLICATION);
    let mut script = Process::spawn(client.name(), command, logs).map_err(Failure::new)?;
    let outcome = async {
        let calls = serve(&mut script, &base).await?;
        simulator.check()?;
        let checks = checks(client, &script.output())?;
        callers_agree(&base, calls).await?;
        Ok(Success { calls, checks })
    };
    outcome.await.map_err(|reason| Failure {
        reason,
        output: script.output(),
    })
}

/// Places a call for each time that the script says `ready`, until it has ended; gives their number.
async fn serve(script: &mut Process, base: &str) -> Result<usize> {
    let begun = Instant::now();
    let mut calls = 0;
    loop {
        let ended = script.exit_status()?;
        let output = script.output();
        let wanted = output.lines().filter(|line| *line == "ready").count();
        if let Some(status) = ended {
            ensure!(status.success(), "it ended badly ({status})");
            return Ok(calls);
        }
        for _ in calls..wanted {
            place_call(base).await?;
        }
        calls = calls.max(wanted);
        if begun.elapsed() > DEADLINE {
            bail!("it has not ended after {DEADLINE:?}");
        }
        sleep(POLL).await;
    }
}

/// Lets somebody call who presses a digit when the greeting was heard to its end.
async fn place_call(base: &str) -> Result<()> {
    let order = json!({
        "script": {
            "application": APPLICATION,
            "args": ["sales", "2"],
            "caller_id": "\"Ann\" <5551>",
            "steps": [{"on": "heard", "media": GREETING, "after_ms": 100, "press": "5"}],
        },
    });
    http::post(base, "/sim/calls", &order).await?;
    Ok(())
}

/// How much the script says that it has looked at.
fn checks(client: Client, output: &str) -> Result<u32> {
    let prefix = format!("interop {}: ok (", client.name());
    output
        .lines()
        .find_map(|line| {
            let rest = line.strip_prefix(&prefix)?;
            rest.strip_suffix(" checks)")?.parse().ok()
        })
        .context("it does not say that all is well")
}

/// Looks at the same calls from the callers' side.
async fn callers_agree(base: &str, calls: usize) -> Result<()> {
    let records = http::get(base, "/sim/calls").await?;
    let records = records.as_array().context("ari-sim tells of no calls")?;
    ensure!(calls > 0, "it took no call");
    ensure!(
        records.len() == calls,
        "of {calls} calls {} have ended",
        records.len()
    );
    let expected = json!({
        "answers": 1, "bridged": 1, "digits_taken": "5", "hung_up_by": "application",
        "heard": [{"media": GREETING, "to_end": true}],
    });
    for record in records {
        ensure!(
            holds(record, &expected),
            "a caller tells something else than {expected}: {record}"
        );
    }
    Ok(())
}

/// Whether a value has all that is expected, and maybe more.
fn holds(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| holds(found, value))),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len()
                && found
                    .iter()
                    .zip(expected)
                    .all(|(found, value)| holds(found, value))
        }
        _ => found == expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_may_tell_more_than_is_expected() {
        let record = json!({"answers": 1, "heard": [{"media": "a", "to_end": true, "at_ms": 3}]});
        assert!(holds(&record, &json!({"heard": [{"media": "a"}]})));
        assert!(!holds(&record, &json!({"heard": [{"media": "b"}]})));
        assert!(!holds(&record, &json!({"heard": []})));
        assert!(!holds(&record, &json!({"cause": 16})));
    }

    #[test]
    fn only_the_last_word_of_a_script_counts() {
        let output = "ready\ninterop node: ok (38 checks)\n";
        assert_eq!(checks(Client::Node, output).unwrap(), 38);
        assert!(checks(Client::Rust, output).is_err());
        assert!(checks(Client::Node, "ready\n").is_err());
    }
}
