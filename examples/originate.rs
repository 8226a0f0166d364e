//! Calls an endpoint of one Asterisk, plays something to who answers, and hangs up.
//!
//! ```console
//! $ export ARI_HTTP_URL=http://127.0.0.1:8088/ari ARI_USERNAME=asterisk ARI_PASSWORD=secret
//! $ cargo run -p ari-examples --bin originate -- PJSIP/alice
//! ```
#![expect(clippy::print_stdout, reason = "it talks to whoever started it")]

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, bail};
use ari_core::{Events, StreamItem};
use clap::Parser;
use futures::StreamExt as _;

/// Calls an endpoint and plays a sound to it.
#[derive(Debug, Parser)]
struct Arguments {
    /// Whom to call
    #[arg(default_value = "Local/answer@ari-demo")]
    endpoint: String,
    /// What to play
    #[arg(long, default_value = "sound:hello-world")]
    media: String,
    /// URL of the ARI
    #[arg(
        long,
        env = "ARI_HTTP_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8088/ari"
    )]
    url: String,
    /// Stasis application to be while calling
    #[arg(long, env = "ARI_APPLICATION", default_value = "originate")]
    application: String,
    /// User of the ARI (ari.conf)
    #[arg(long, env = "ARI_USERNAME", default_value = "asterisk")]
    username: String,
    /// Password of that user; given by the environment, which `ps` does not show
    #[arg(
        long,
        env = "ARI_PASSWORD",
        hide_env_values = true,
        hide = true,
        default_value = "asterisk"
    )]
    password: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    ari_examples::start_log();
    ari_examples::report("originate", run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<()> {
    let Arguments {
        url,
        application,
        username,
        password,
        ..
    } = arguments;
    let ari = ari_native::connect(url, &application, username, password).await?;
    let call = ari
        .channels()
        .originate(&arguments.endpoint)
        .app(&application)
        .caller_id("Example <100>")
        .timeout(Duration::from_secs(30));

    // The client gives the channel its id, so its events flow before Asterisk hears of it.
    let (channel, mut events) = call.staged().await?.send().await?;
    println!("calling {} on channel {}", arguments.endpoint, channel.id());
    answered(&mut events).await?;

    println!("playing {}", arguments.media);
    channel.play(arguments.media).await?.finished().await?;
    channel.hangup().await?;
    channel.until_hungup().await?;
    println!("done");
    Ok(ari.close().await?)
}

/// Waits until the channel enters the application, which it does when it is answered.
async fn answered(events: &mut Events) -> Result<()> {
    while let Some(item) = events.next().await {
        if let StreamItem::Event(event) = item
            && event.kind() == "StasisStart"
        {
            return Ok(());
        }
    }
    bail!("nobody answered")
}
