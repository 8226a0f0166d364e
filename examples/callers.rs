//! The other side of the phone on a real Asterisk: places calls into a Stasis application of others, and
//! tells what each caller saw, one JSON object a line. `cargo xtask demo --asterisk` counts by it.
//!
//! It is an application of its own that is subscribed to everything, so it needs nothing of the
//! workers. The answer of a call is when the first prompt begins, since a channel that an endpoint
//! answered is up before the application has it.
#![expect(
    clippy::print_stdout,
    reason = "what it finds out goes to standard output"
)]

use std::{
    collections::HashMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use ari_core::{
    Ari, ChannelHandle, Event, StreamItem, events::EventBody, fresh_id, models::Playback,
};
use clap::Parser;
use futures::StreamExt as _;
use serde::Serialize;
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{interval, sleep, sleep_until},
};

/// How long a call may take, and how long its channels may take to go.
const LIMIT: Duration = Duration::from_secs(70);
const SETTLE: Duration = Duration::from_secs(5);

/// Places calls and tells what the callers see.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many calls to place
    #[arg(long, default_value_t = 1)]
    calls: usize,
    /// Milliseconds between two calls
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    interval_ms: u64,
    /// Whom the calls come from
    #[arg(long, default_value = "Local/answer@ari-demo")]
    endpoint: String,
    /// Context that the calls go to
    #[arg(long, default_value = "ari-demo")]
    context: String,
    /// Extension that the calls go to
    #[arg(long)]
    extension: String,
    /// URL of the ARI
    #[arg(long, env = "ARI_HTTP_URL", hide_env_values = true)]
    url: String,
    /// Stasis application to be while calling
    #[arg(long, env = "ARI_APPLICATION", default_value = "callers")]
    application: String,
    /// User of the ARI
    #[arg(long, env = "ARI_USERNAME")]
    username: String,
    /// Password of that user
    #[arg(long, env = "ARI_PASSWORD", hide_env_values = true)]
    password: String,
}

/// What became of a call, in the words of the records of ari-sim.
#[derive(Debug, Default, Serialize)]
struct Record {
    channel_id: String,
    placed_at_ms: u64,
    answered_at_ms: Option<u64>,
    answers: usize,
    heard: Vec<Heard>,
    digits_taken: String,
    bridged: u32,
    hung_up_by: Option<&'static str>,
    ended_at_ms: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Heard {
    /// Which playback it is.
    #[serde(skip)]
    id: String,
    media: String,
    to_end: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    ari_examples::start_log();
    ari_examples::report("callers", run(Arguments::parse()).await)
}

async fn run(arguments: Arguments) -> Result<()> {
    let ari = ari_native::builder(&arguments.url)
        .application(&arguments.application)
        .credentials(&arguments.username, &arguments.password)
        .subscribe_all(true)
        .connect()
        .await?;
    let run = format!("{}-{}", arguments.application, fresh_id());
    let mut events = ari.events().await?;
    let mut callers = Callers::default();
    let mut placing = JoinSet::new();
    let mut ticks = interval(Duration::from_millis(arguments.interval_ms));
    let mut placed = 0;
    let mut deadline = tokio::time::Instant::now() + LIMIT;
    while callers.ended < arguments.calls {
        tokio::select! {
            item = events.next() => match item.context("Asterisk is gone")? {
                StreamItem::Event(event) => callers.see(&event)?,
                StreamItem::Gap(gap) => eprintln!("callers: events are missing ({:?})", gap.cause),
                _ => {}
            },
            _ = ticks.tick(), if placed < arguments.calls => {
                placed += 1;
                deadline = tokio::time::Instant::now() + LIMIT;
                let id = format!("{run}-{placed}");
                callers.expect(&id);
                placing.spawn(place(ari.clone(), arguments.endpoint.clone(), arguments.context.clone(), arguments.extension.clone(), id));
            }
            Some(outcome) = placing.join_next() => {
                outcome?.context("Asterisk did not take the call")?;
            }
            () = sleep_until(deadline) => break,
        }
    }
    println!(
        "{}",
        json!({"leftover_channels": leftover(&ari, &run).await?})
    );
    Ok(ari.close().await?)
}

async fn place(
    ari: Ari,
    endpoint: String,
    context: String,
    extension: String,
    id: String,
) -> ari_core::Result<ChannelHandle> {
    let call = ari.channels().originate(endpoint).channel_id(id);
    call.context(context).extension(extension).priority(1).await
}

/// How many channels of these calls there still are; what is left is hung up.
async fn leftover(ari: &Ari, run: &str) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let mut channels = ari.channels().list().await?.items;
        channels.retain(|channel| channel.id().starts_with(run));
        if channels.is_empty() || begun.elapsed() > SETTLE {
            for channel in &channels {
                let _ = channel.hangup().await;
            }
            return Ok(channels.len());
        }
        sleep(Duration::from_millis(100)).await;
    }
}

/// All calls that go on, and what is known of them.
#[derive(Debug)]
struct Callers {
    begun: Instant,
    calls: HashMap<String, Record>,
    /// Whom a bridge joins, for what is played to it.
    bridges: HashMap<String, String>,
    ended: usize,
}

impl Default for Callers {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            calls: HashMap::new(),
            bridges: HashMap::new(),
            ended: 0,
        }
    }
}

impl Callers {
    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// A call with this id is placed now.
    fn expect(&mut self, id: &str) {
        let record = Record {
            channel_id: id.to_owned(),
            placed_at_ms: self.now(),
            ..Record::default()
        };
        self.calls.insert(id.to_owned(), record);
    }

    /// The call that an event tells of.
    fn call(&mut self, channel: Option<&ari_core::models::Channel>) -> Option<&mut Record> {
        self.calls.get_mut(channel?.id.as_str())
    }

    fn see(&mut self, event: &Event) -> Result<()> {
        let now = self.now();
        let Ok(body) = event.body() else {
            return Ok(());
        };
        match body {
            // From here on it is the application's turn.
            EventBody::ChannelDialplan(dialplan)
                if dialplan.dialplan_app.as_deref() == Some("Stasis") =>
            {
                if let Some(call) = self.call(dialplan.channel.as_ref()) {
                    call.placed_at_ms = now;
                }
            }
            EventBody::PlaybackStarted(started) => self.hear(started.playback.as_ref(), false),
            EventBody::PlaybackFinished(finished) => self.hear(finished.playback.as_ref(), true),
            EventBody::ChannelDtmfReceived(dtmf) => {
                if let Some(call) = self.call(dtmf.channel.as_ref()) {
                    call.digits_taken
                        .push_str(dtmf.digit.as_deref().unwrap_or_default());
                }
            }
            EventBody::ChannelEnteredBridge(entered) => {
                if let (Some(bridge), Some(call)) =
                    (&entered.bridge, self.call(entered.channel.as_ref()))
                {
                    call.bridged += 1;
                    let id = call.channel_id.clone();
                    self.bridges.insert(bridge.id.to_string(), id);
                }
            }
            EventBody::ChannelHangupRequest(request) => {
                if let Some(call) = self.call(request.channel.as_ref()) {
                    // This is how a DELETE of the channel shows.
                    let by_application = request.soft == Some(true) && request.cause == Some(32);
                    call.hung_up_by.get_or_insert(if by_application {
                        "application"
                    } else {
                        "caller"
                    });
                }
            }
            EventBody::ChannelDestroyed(destroyed) => {
                let id = destroyed
                    .channel
                    .as_ref()
                    .map(|channel| channel.id.to_string());
                if let Some(mut call) = self.calls.remove(&id.unwrap_or_default()) {
                    call.ended_at_ms = Some(now);
                    self.bridges
                        .retain(|_, channel| *channel != call.channel_id);
                    self.ended += 1;
                    println!("{}", serde_json::to_string(&call)?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Something begins to be heard, or has ended.
    fn hear(&mut self, playback: Option<&Playback>, ended: bool) {
        let now = self.now();
        let Some(playback) = playback else { return };
        let target = playback.target_uri.as_deref().unwrap_or_default();
        let channel = match target.split_once(':') {
            Some(("channel", id)) => Some(id),
            Some(("bridge", id)) => self.bridges.get(id).map(String::as_str),
            _ => None,
        };
        let Some(call) = channel.and_then(|id| self.calls.get_mut(id)) else {
            return;
        };
        let id = playback.id.to_string();
        let media = playback.media_uri.clone().unwrap_or_default();
        // Whoever is subscribed to everything is told twice of what is played to a bridge.
        let known = call.heard.iter_mut().find(|heard| heard.id == id);
        if ended {
            let done = playback.state == Some(ari_core::models::PlaybackState::Done);
            if let Some(heard) = known.filter(|_| done) {
                heard.to_end = true;
            }
            return;
        }
        if known.is_some() {
            return;
        }
        // Each worker that takes the call begins with the same prompt.
        let first = call.heard.first().is_none_or(|first| first.media == media);
        call.answers += usize::from(first);
        call.answered_at_ms.get_or_insert(now);
        call.heard.push(Heard {
            id,
            media,
            to_end: false,
        });
    }
}
