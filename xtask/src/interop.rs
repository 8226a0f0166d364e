//! Clients that others wrote, each with a call on the simulator.

mod call;
mod client;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::Path,
    process::{Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::{
    process::{Interrupted, interrupted},
    programs::Programs,
};

use call::{Failure, Success};
use client::Client;

/// Which clients are to call.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Clients to be run; all of them if none is named.
    #[arg(value_enum)]
    names: Vec<Client>,
}

impl Arguments {
    /// Each client once.
    fn clients(&self) -> Vec<Client> {
        let all = Client::ALL.iter().copied();
        all.filter(|client| self.names.is_empty() || self.names.contains(client))
            .collect()
    }
}

/// What came of a client.
#[derive(Debug)]
struct Row {
    client: Client,
    outcome: Result<Success, Failure>,
    took: Duration,
}

/// Runs the clients.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let (programs, clients) = prepare(&arguments.clients())?;
    let logs = tempfile::Builder::new()
        .prefix("ari-interop-")
        .tempdir()
        .context("cannot make a folder for the logs")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let rows = runtime.block_on(async {
        tokio::select! {
            // A child that ended by the same Ctrl-C is not what is wrong.
            biased;
            error = interrupted() => Err(error),
            rows = call_all(clients, &programs, logs.path()) => Ok(rows),
        }
    });
    let rows = match rows {
        Ok(rows) => rows,
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => bail!("{error:#} (logs are in {})", logs.keep().display()),
    };
    let mut out = io::stdout().lock();
    write!(out, "{}", report(&rows))?;
    let agree = rows.iter().all(|row| row.outcome.is_ok());
    if agree {
        Ok(ExitCode::SUCCESS)
    } else {
        eprintln!("interop: logs are in {}", logs.keep().display());
        Ok(ExitCode::FAILURE)
    }
}

/// A client, and the command that makes its calls. One that cannot be installed does not keep the others
/// from theirs.
type Installed = (Client, Result<Command>);

/// Builds the simulator and installs the clients, all at once.
fn prepare(clients: &[Client]) -> Result<(Programs, Vec<Installed>)> {
    thread::scope(|scope| {
        let installing: Vec<_> = clients
            .iter()
            .map(|client| (*client, scope.spawn(|| client.install())))
            .collect();
        eprintln!("interop: building ari-sim, and installing the clients");
        let programs = Programs::build(&["-p", "ari-sim"]);
        let commands = installing.into_iter().map(|(client, thread)| {
            let command = thread.join();
            let command = command.unwrap_or_else(|_| Err(anyhow!("the installation panicked")));
            (client, command)
        });
        let commands = commands.collect();
        Ok((programs?, commands))
    })
}

async fn call_all(clients: Vec<Installed>, programs: &Programs, logs: &Path) -> Vec<Row> {
    let mut rows = Vec::new();
    for (client, command) in clients {
        let begun = Instant::now();
        let outcome = match command {
            Ok(command) => call::run(client, command, programs, logs).await,
            Err(error) => Err(Failure::new(error.context("it cannot be installed"))),
        };
        rows.push(Row {
            client,
            outcome,
            took: begun.elapsed(),
        });
    }
    rows
}

/// What failed, then a table, then one line of it all.
fn report(rows: &[Row]) -> String {
    let mut report = String::new();
    // Writing to a text cannot fail.
    for row in rows {
        if let Err(failure) = &row.outcome {
            let name = row.client.name();
            let _ = writeln!(report, "interop {name}: {:#}", failure.reason);
            for line in failure.output.lines() {
                let _ = writeln!(report, "  | {line}");
            }
        }
    }
    let _ = writeln!(
        report,
        "{:<30}{:>7}{:>8}{:>10}",
        "client", "calls", "checks", "seconds"
    );
    for row in rows {
        let client = format!("{} ({})", row.client.package(), row.client.name());
        let (calls, checks) = match &row.outcome {
            Ok(success) => (success.calls.to_string(), success.checks.to_string()),
            Err(_) => ("-".to_owned(), "failed".to_owned()),
        };
        let seconds = row.took.as_secs_f64();
        let _ = writeln!(report, "{client:<30}{calls:>7}{checks:>8}{seconds:>10.1}");
    }
    let agree = rows.iter().filter(|row| row.outcome.is_ok()).count();
    let _ = writeln!(report, "interop: {agree} of {} agree", rows.len());
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_shown_and_not_counted() {
        let row = |client, outcome| Row {
            client,
            outcome,
            took: Duration::from_millis(1_250),
        };
        let failure = Failure {
            reason: anyhow!("it ended badly"),
            output: "first\nsecond\n".to_owned(),
        };
        let rows = [
            row(
                Client::Node,
                Ok(Success {
                    calls: 1,
                    checks: 38,
                }),
            ),
            row(Client::Python, Err(failure)),
        ];
        assert_eq!(
            report(&rows),
            "\
interop python: it ended badly
  | first
  | second
client                          calls  checks   seconds
ari-client 2.2.0 (node)             1      38       1.2
asyncari 0.20.6 (python)            -  failed       1.2
interop: 1 of 2 agree
"
        );
    }

    #[test]
    fn each_client_is_run_once() {
        let of = |names| Arguments { names }.clients();
        assert_eq!(of(vec![]), Client::ALL);
        assert_eq!(
            of(vec![Client::Rust, Client::Node, Client::Rust]),
            [Client::Node, Client::Rust]
        );
    }
}
