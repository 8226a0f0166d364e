//! All tests: those of the workspace, the contract suite, and the check of the generated code.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, codegen, nats, root};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Go on after a test has failed, and name all that fail.
    #[arg(long)]
    no_fail_fast: bool,
}

/// Runs the tests.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let server = nats::find_or_fetch()?;
    eprintln!("xtask: tests run with {}", server.display());
    let mut command = Command::new(cargo());
    command
        .args(["test", "--workspace"])
        .current_dir(root())
        .env(nats::VARIABLE, &server);
    if arguments.no_fail_fast {
        command.arg("--no-fail-fast");
    }
    let status = command.status().context("cannot run cargo")?;
    if !status.success() {
        bail!("tests have failed");
    }
    codegen::check_workspace()
}
