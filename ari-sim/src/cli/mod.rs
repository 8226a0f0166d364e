//! The subcommands.

mod doors;
mod record;
mod replay;

use std::{io, net::IpAddr};

use anyhow::{Context, Result};
use clap::Subcommand;
use tokio::{
    io::AsyncWriteExt,
    signal::unix::{SignalKind, signal},
};

pub(crate) use self::doors::Doors;

/// What the program does instead of simulating an Asterisk.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Record(record::Args),
    Replay(replay::Args),
}

impl Command {
    pub(crate) async fn run(self) -> Result<()> {
        match self {
            Self::Record(args) => record::run(args).await,
            Self::Replay(args) => replay::run(args).await,
        }
    }
}

/// Says of an address that cannot be listened on what can be done.
pub(crate) fn listening<T>(server: io::Result<T>, bind: IpAddr, port: u16) -> Result<T> {
    server
        .with_context(|| format!("cannot listen on {bind}:{port}: choose another --port or --bind"))
}

/// Prints a line; whoever reads it may stop the program at once.
pub(crate) async fn say(line: &str) -> Result<()> {
    let mut out = tokio::io::stdout();
    out.write_all(format!("{line}\n").as_bytes()).await?;
    out.flush().await?;
    Ok(())
}

/// Waits for SIGTERM or SIGINT, from now on.
pub(crate) fn interrupted() -> Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
