//! A worker of a cluster: greets each caller, asks for a digit, says goodbye from a bridge, hangs up.
//!
//! Start as many as you like, anywhere: each call reaches exactly one of them.
//!
//! ```console
//! $ NATS_URL=nats://127.0.0.1:4222 cargo run -p ari-examples --bin welcome -- --desk 7
//! ```
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{process::ExitCode, time::Duration};

use anyhow::{Context as _, Result, bail};
use ari_core::{
    Ari, ChannelHandle, Events, StreamItem,
    events::{EventBody, StasisStart},
};
use clap::Parser;
use futures::StreamExt as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::timeout,
};
use tokio_util::task::TaskTracker;

const GREETING: &str = "sound:hello-world";

/// How long a caller may think about the digit.
const THINKING: Duration = Duration::from_secs(10);

/// Welcomes the callers of a Stasis application.
#[derive(Debug, Parser)]
struct Arguments {
    /// NATS servers of the cluster
    #[arg(
        long,
        env = "NATS_URL",
        hide_env_values = true,
        default_value = "nats://127.0.0.1:4222"
    )]
    nats_url: String,
    /// Stasis application whose calls to take
    #[arg(long, env = "ARI_APPLICATION", default_value = "welcome")]
    application: String,
    /// Number of this desk, which callers are told
    #[arg(long, default_value_t = 1)]
    desk: u32,
    /// Take every call, also those of other workers
    #[arg(long, hide = true)]
    sabotage: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    ari_examples::start_log();
    ari_examples::report("welcome", run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let builder =
        ari_proxy_client::builder(&arguments.nats_url).application(&arguments.application);
    let ari = builder.connect().await?;
    let tasks = TaskTracker::new();
    if arguments.sabotage {
        tokio::select! {
            outcome = sabotage(&ari, &tasks, arguments.desk) => outcome?,
            _ = terminate.recv() => {}
        }
    } else {
        let mut calls = ari.calls().await?;
        println!("ready for the calls of {}", arguments.application);
        loop {
            tokio::select! {
                call = calls.next() => {
                    let Some(call) = call else { break };
                    let (channel, events) = call.into_parts();
                    tasks.spawn(serve(ari.clone(), channel, events, arguments.desk));
                }
                // Takes no more calls; those that were taken already still come.
                _ = terminate.recv() => calls.stop(),
                _ = interrupt.recv() => calls.stop(),
            }
        }
    }
    tasks.close();
    tasks.wait().await;
    Ok(ari.close().await?)
}

/// One call, from the answer to the hangup.
async fn serve(ari: Ari, channel: ChannelHandle, mut events: Events, desk: u32) {
    if let Err(error) = welcome(&ari, &channel, &mut events, desk).await {
        eprintln!("the call {} ended early: {error:#}", channel.id());
        // A caller who is still there is not left in silence.
        let _ = channel.hangup().await;
    }
}

async fn welcome(ari: &Ari, channel: &ChannelHandle, events: &mut Events, desk: u32) -> Result<()> {
    channel.answer().await?;
    channel.play(GREETING).await?.finished().await?;
    let digit = timeout(THINKING, digit(events)).await;
    let digit = digit.context("the caller pressed nothing")??;
    println!("{} pressed {digit}", channel.id());

    // A bridge joins channels of one Asterisk: it is made where the channel is.
    let node = channel.entity().metadata.asterisk_id.clone();
    let node = node.context("nobody knows where the channel is")?;
    let bridge = ari.for_node(node)?.bridges().create().await?;
    let goodbye = async {
        bridge.add_channel(channel.id()).await?;
        let announcement = bridge.play(format!("number:{desk}")).await?;
        announcement.finished().await?;
        channel.hangup().await
    };
    let outcome = goodbye.await;
    bridge.destroy().await?;
    Ok(outcome?)
}

/// Waits for a digit; the events have flowed since the call came in, so none is missed.
async fn digit(events: &mut Events) -> Result<String> {
    while let Some(item) = events.next().await {
        if let StreamItem::Event(event) = item
            && let Ok(EventBody::ChannelDtmfReceived(dtmf)) = event.body()
            && let Some(digit) = &dtmf.digit
        {
            return Ok(digit.clone());
        }
    }
    bail!("the caller hung up")
}

/// What `calls()` is for: events reach every worker, so every call is answered by all of them.
async fn sabotage(ari: &Ari, tasks: &TaskTracker, desk: u32) -> Result<()> {
    let mut starts = ari.events_of::<StasisStart>().await?.ignoring_gaps();
    println!("ready to answer the calls of others");
    while let Some(start) = starts.next().await {
        if let (Some(channel), Some(node)) = (&start.channel, start.event().asterisk_id()) {
            let channel = ari.for_node(node)?.channels().handle(&channel.id);
            let events = channel.events().await?;
            tasks.spawn(serve(ari.clone(), channel, events, desk));
        }
    }
    Ok(())
}
