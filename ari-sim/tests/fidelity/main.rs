//! Measures how faithful the world is to traces of a real Asterisk: `cargo xtask fidelity [DIR…]`.

mod arguments;
mod replayer;
mod report;
mod run;

use std::{
    io::{self, Write as _},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Some(folders) = arguments::folders(std::env::args().skip(1), package) else {
        return ExitCode::SUCCESS;
    };
    let list = package.join("tests/fixtures/differences.toml");
    let (text, faithful) = match run::run(&folders, &list) {
        Ok(run) => (report::text(&run), run.is_faithful()),
        Err(error) => (format!("fidelity: {error}\n"), false),
    };
    let written = io::stdout().lock().write_all(text.as_bytes());
    if faithful && written.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
