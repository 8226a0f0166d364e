//! How a program says what is wrong.

use std::{io::IsTerminal as _, process::ExitCode};

/// Logs what the libraries have to say to standard error.
pub fn start_log() {
    tracing_subscriber::fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

/// Ends a program: in one sentence on standard error if it failed.
pub fn report(program: &str, outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
