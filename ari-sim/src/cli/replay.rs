//! `ari-sim replay`: serves what was recorded.

use std::{net::IpAddr, path::PathBuf};

use anyhow::Result;
use ari_sim::{Replay, Speed, Trace};

use super::{interrupted, listening, say};

/// Serves what was recorded, as if Asterisk did it again.
///
/// A request gets the answer that was recorded for it; an event comes as long after the last request
/// before it as it did, and never before that request. What is not in the trace is refused, and told on
/// stderr. Credentials are not looked at. SIGTERM or SIGINT (Ctrl-C) ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Trace that `ari-sim record` wrote.
    #[arg(value_name = "FILE")]
    trace: PathBuf,

    /// Port to listen on; 0 takes a free one.
    #[arg(long, default_value_t = 8088)]
    port: u16,

    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1")]
    bind: IpAddr,

    /// How many times as fast as it was recorded, or `max`: as fast as possible.
    #[arg(long, value_name = "N|max", default_value = "1")]
    speed: Speed,

    /// Exits when all of the trace was asked, answered and told.
    #[arg(long)]
    exit_at_end: bool,
}

pub(super) async fn run(args: Args) -> Result<()> {
    let trace = Trace::read(&args.trace)?;
    let (scenario, count) = (trace.scenario().to_owned(), trace.len());
    let interrupted = interrupted()?;
    let replay = Replay::new(trace, args.speed);
    let server = replay.serve((args.bind, args.port)).await;
    let server = listening(server, args.bind, args.port)?;
    say(&format!("ari-sim replays {scenario} on {}", server.url())).await?;
    tokio::pin!(interrupted);
    let over = tokio::select! {
        () = &mut interrupted => false,
        () = server.over() => true,
    };
    if over {
        say(&format!(
            "{scenario} is over: all {count} lines were served"
        ))
        .await?;
        if !args.exit_at_end {
            interrupted.await;
        }
    } else if let Some(next) = server.expected().first() {
        tracing::warn!("{scenario} is not over: next would be {next}");
    }
    server.stop().await;
    Ok(())
}
