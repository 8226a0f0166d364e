//! The program `ari-proxy`.

use std::{io::IsTerminal as _, process::ExitCode};

use anyhow::{Result, ensure};
use ari_proxy::{
    Server,
    settings::{Flags, Settings},
};
use clap::Parser as _;
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let outcome = match Settings::load(flags) {
        Ok(settings) => run(settings).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ari-proxy: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(settings: &Settings) {
    let default = if settings.verbose { "debug" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    if settings.log_json {
        log.json().init();
    } else {
        log.init();
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn run(settings: Settings) -> Result<()> {
    start_log(&settings);
    let mut signals = Signals::new()?;
    let server = tokio::select! {
        server = start(&settings) => server?,
        () = signals.next() => return Ok(()),
    };
    let place = server.place();
    tracing::info!(
        application = place.application.as_deref().unwrap_or_default(),
        node = place.asterisk_id.as_deref().unwrap_or_default(),
        nats = settings.nats.servers(),
        "serving"
    );
    let asked = tokio::select! {
        () = signals.next() => {
            tracing::info!("stopping; a second signal stops at once");
            true
        }
        () = server.stopped() => false,
    };
    tokio::select! {
        outcome = server.shutdown() => outcome?,
        () = signals.next() => {}
    }
    tracing::info!("stopped");
    ensure!(
        asked,
        "no events come from Asterisk any more: has another program connected as this application?"
    );
    Ok(())
}

async fn start(settings: &Settings) -> Result<Server> {
    let mut builder = ari_native::builder(&settings.http_url)
        .application(&settings.application)
        .credentials(&settings.username, settings.password.expose_secret())
        .retry_connect(settings.wait);
    if let Some(url) = &settings.websocket_url {
        builder = builder.websocket_url(url);
    }
    let client = builder.build_client().await?;
    Ok(Server::start(client, &settings.nats, settings.server.clone()).await?)
}
