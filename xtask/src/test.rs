//! All tests: those of the workspace, the contract suite, and the check of the generated code.

use std::{
    env, fs,
    io::{self, Write as _},
    process::{Command, ExitCode},
};

use anyhow::{Context as _, Result, bail};

use crate::{cargo, codegen, nats, root};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Go on after a test has failed, and name all that fail.
    #[arg(long)]
    no_fail_fast: bool,
}

/// Where the generators of the property tests begin unless the environment says otherwise: a run says
/// something about the change that is tested, and not about luck.
const SEED: (&str, &str) = ("PROPTEST_RNG_SEED", "1");

/// Runs the tests.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    let server = nats::find_or_fetch()?;
    eprintln!("xtask: tests run with {}", server.display());
    let folder = tempfile::tempdir()?;
    let matrix = folder.path().join("matrix.txt");
    let mut command = Command::new(cargo());
    command
        .args(["test", "--workspace"])
        .current_dir(root())
        .env(nats::VARIABLE, &server)
        .env("ARI_TEST_MATRIX", &matrix);
    if env::var_os(SEED.0).is_none() {
        command.env(SEED.0, SEED.1);
    }
    if arguments.no_fail_fast {
        command.arg("--no-fail-fast");
    }
    let status = command.status().context("cannot run cargo")?;
    if let Ok(matrix) = fs::read_to_string(&matrix) {
        // It was printed somewhere in the middle.
        writeln!(io::stdout().lock(), "{matrix}")?;
    }
    if !status.success() {
        bail!("tests have failed ({status})");
    }
    eprintln!("xtask: all tests have passed; checking the generated code");
    codegen::check_workspace()
}
