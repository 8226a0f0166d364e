//! Tasks of the project, run by `cargo xtask <task>`.

mod codegen;
mod demo;
mod fidelity;
mod http;
mod interop;
mod nats;
mod process;
mod programs;
mod simulator;
mod test;
mod wheels;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Tasks of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Write the generated half of ari-core anew from ari-core/spec.
    Codegen(codegen::Arguments),
    /// Carry calls across a cluster: nats-server, an ari-proxy for each Asterisk, workers; and count
    /// what became of the calls.
    Demo(demo::Arguments),
    /// Measure how faithful ari-sim is to recorded traces of a real Asterisk: those of the project, or
    /// those in other folders.
    Fidelity(fidelity::Arguments),
    /// Let clients that others wrote take calls on the simulator.
    Interop(interop::Arguments),
    /// Run all tests, with a nats-server that is fetched if there is none.
    Test(test::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Codegen(arguments) => codegen::run(&arguments),
        Task::Demo(arguments) => demo::run(&arguments),
        Task::Fidelity(arguments) => fidelity::run(&arguments),
        Task::Interop(arguments) => interop::run(&arguments),
        Task::Test(arguments) => test::run(&arguments),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

/// The folder of the workspace.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

/// The cargo that runs this.
fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
