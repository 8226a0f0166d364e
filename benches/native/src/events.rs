//! Events a second, from the socket to the streams of channels.

use std::{borrow::Cow, hint::black_box};

use ari_core::{Events, StreamItem, View, events::ChannelDtmfReceived};
use asterisk_rs_ari::{AriClient, AriEvent};
use asterisk_rs_core::event::EventReceive;
use futures::StreamExt;
use serde::Deserialize;
use tokio::task::JoinSet;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use crate::{
    Result, asterisk_rs,
    progress::{Progress, Run},
    simulator::{APPLICATION, PASSWORD, Sample, USER},
    source::Source,
};

/// Who reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// tokio-tungstenite alone, which finds the type of each event.
    Bare,
    /// The same, which reads of each event what routing needs.
    Peek,
    /// The same, which then decodes the event.
    Decode,
    /// ari-native, a stream of events for each channel, whose fields nobody looks at.
    Whole,
    /// ari-native, a stream of one type of event for each channel.
    Typed,
    /// asterisk-rs-ari, a filtered subscription for each channel.
    AsteriskRs,
}

/// One run: each of these events, this often, with the HTTP of ari-native at this URL. The source ends once the
/// runtime does.
pub async fn run(
    reader: Reader,
    url: &str,
    events: &[Sample],
    laps: usize,
) -> Result<(Run, Source)> {
    let source = Source::open(events, laps)?;
    let progress = Progress::new(u64::try_from(events.len() * laps)?);
    let mut channels: Vec<&str> = events.iter().map(|event| &*event.channel).collect();
    channels.dedup();
    let run = match reader {
        Reader::Bare => bare(&source, &progress, is_digit_by_type).await,
        Reader::Peek => bare(&source, &progress, is_digit_by_peek).await,
        Reader::Decode => bare(&source, &progress, is_digit_decoded).await,
        Reader::Whole | Reader::Typed => native(reader, url, &channels, &source, &progress).await,
        Reader::AsteriskRs => others(&channels, &source, &progress).await,
    }?;
    Ok((run, source))
}

#[derive(Deserialize)]
struct Type<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "it is read, and then nobody routes by it")]
struct Peek<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    application: Option<&'a str>,
    asterisk_id: Option<&'a str>,
    channel: Option<Channel<'a>>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "as above")]
struct Channel<'a> {
    id: &'a str,
}

fn is_digit_by_type(text: &str) -> bool {
    let event = serde_json::from_str::<Type>(text);
    event.is_ok_and(|event| black_box(event).kind == "ChannelDtmfReceived")
}

fn is_digit_by_peek(text: &str) -> bool {
    let event = serde_json::from_str::<Peek>(text);
    event.is_ok_and(|event| black_box(event).kind == "ChannelDtmfReceived")
}

fn is_digit_decoded(text: &str) -> bool {
    is_digit_by_peek(text)
        && serde_json::from_str::<ChannelDtmfReceived>(text)
            .is_ok_and(|event| black_box(event).digit.is_some())
}

async fn bare(source: &Source, progress: &Progress, is_digit: fn(&str) -> bool) -> Result<Run> {
    let url = format!("ws://{}/ari/events", source.address);
    let (mut socket, _) = connect_async(url).await?;
    let counted = progress.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Some(Ok(message)) = socket.next().await {
            if let Message::Text(text) = message
                && is_digit(&text)
            {
                counted.count();
            }
        }
    });
    progress.measure(&source.go).await
}

async fn native(
    reader: Reader,
    url: &str,
    channels: &[&str],
    source: &Source,
    progress: &Progress,
) -> Result<Run> {
    let ari = ari_native::builder(url)
        .application(APPLICATION)
        .credentials(USER, PASSWORD)
        .websocket_url(format!("ws://{}/ari/events", source.address))
        .connect()
        .await?;
    let mut tasks = JoinSet::new();
    for id in channels {
        let channel = ari.channels().handle(*id);
        if reader == Reader::Typed {
            let events = channel.events_of::<ChannelDtmfReceived>().await?;
            tasks.spawn(read(events, progress.clone(), |event| {
                event.digit.as_ref().map_or(0, String::len)
            }));
        } else {
            let events = channel.events().await?;
            tasks.spawn(read(events, progress.clone(), |event| event.kind().len()));
        }
    }
    let run = progress.measure(&source.go).await?;
    ari.close().await?;
    Ok(run)
}

async fn read<V: View>(mut events: Events<V>, progress: Progress, look: fn(&V) -> usize) {
    while let Some(item) = events.next().await {
        if let StreamItem::Event(event) = item {
            black_box(look(&event));
            progress.count();
        }
    }
}

async fn others(channels: &[&str], source: &Source, progress: &Progress) -> Result<Run> {
    let ari = AriClient::connect(asterisk_rs::config(source.address.port())?).await?;
    let mut tasks = JoinSet::new();
    for id in channels {
        let id = (*id).to_owned();
        let mut events = ari.subscribe_filtered(move |message| {
            matches!(&message.event, AriEvent::ChannelDtmfReceived { channel, .. } if channel.id == id)
        });
        let progress = progress.clone();
        tasks.spawn(async move {
            loop {
                match events.recv().await {
                    EventReceive::Event(message) => {
                        black_box(message);
                        progress.count();
                    }
                    // What was for this channel shows as missing in the end.
                    EventReceive::Lagged(_) => {}
                    EventReceive::Closed => return,
                }
            }
        });
    }
    let run = progress.measure(&source.go).await?;
    ari.disconnect_and_wait().await;
    Ok(run)
}
