//! An application that takes calls on a simulated Asterisk, without clock, tasks and sockets.

use std::{fmt, sync::Arc, time::Duration};

use ari_core::{EntityKind, Event, Metadata, OperationSpec, Request, operations::channels};
use ari_sim::{CallScript, SimTime, World, WorldOptions, world::Reply};
use bytes::Bytes;

/// How long the sound is that each caller hears.
const SOUND: Duration = Duration::from_secs(1);

/// Calls that go on at the same time.
const AT_ONCE: u64 = 100;

/// How the application reads events.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    /// Only the type and the channel of those that it acts upon: what is measured is the simulator.
    Glance,
    /// Each one, as a client of `ari-core` does.
    Parse,
}

/// The events that the application acts upon.
enum Kind {
    Start,
    Played,
}

fn glance(event: &[u8]) -> Option<(Kind, String)> {
    let event = std::str::from_utf8(event).ok()?;
    let kind = event.strip_prefix("{\"type\":\"")?;
    let (kind, before) = if kind.starts_with("StasisStart") {
        (Kind::Start, "\"channel\":{\"id\":\"")
    } else if kind.starts_with("PlaybackFinished") {
        (Kind::Played, "\"target_uri\":\"channel:")
    } else {
        return None;
    };
    let (_, channel) = event.split_once(before)?;
    Some((kind, channel.split('"').next()?.to_owned()))
}

fn parse(event: Bytes) -> Option<(Kind, String)> {
    let event = Event::parse(event).ok()?;
    let kind = match event.kind() {
        "StasisStart" => Kind::Start,
        "PlaybackFinished" => Kind::Played,
        _ => return None,
    };
    let channel = event
        .concerns()
        .find(|concern| concern.kind == EntityKind::Channel)?;
    Some((kind, channel.id.to_owned()))
}

/// Answers each call, plays a sound, and hangs up when it is over.
///
/// It is driven by the events that the simulator tells, and sends requests.
pub struct CallCenter {
    world: World,
    now: SimTime,
    script: Arc<CallScript>,
    reading: Reading,
    /// Requests that were refused.
    refused: u64,
}

impl fmt::Debug for CallCenter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCenter")
            .field("refused", &self.refused)
            .finish_non_exhaustive()
    }
}

impl CallCenter {
    /// Opens one on an Asterisk that keeps the records of so many calls.
    pub fn open(kept_calls: usize, reading: Reading) -> Self {
        let mut options = WorldOptions::default().sound("hello-world", SOUND);
        options.kept_calls = kept_calls;
        let mut world = World::new(options);
        let session = world.open_session();
        world.register(session, "center", false);
        Self {
            world,
            now: SimTime::START,
            script: Arc::new(CallScript::new("center")),
            reading,
            refused: 0,
        }
    }

    /// Takes so many calls, from `StasisStart` to the hangup.
    pub fn take_calls(&mut self, calls: u64) {
        let mut left = calls;
        while left > 0 {
            let batch = left.min(AT_ONCE);
            left -= batch;
            self.world
                .place_calls(self.now, Arc::clone(&self.script), batch, Duration::ZERO);
            self.react();
            self.now = self.now + SOUND;
            self.world.advance(self.now);
            self.react();
        }
    }

    /// Calls that were answered, heard the sound, and were hung up by the application.
    pub fn done(&self) -> u64 {
        let totals = self.world.call_totals();
        let heard = |record: &ari_sim::CallRecord| record.heard.iter().all(|heard| heard.to_end);
        let all_well =
            self.refused == 0 && totals.active == 0 && self.world.call_records().all(heard);
        if all_well {
            totals.hung_up_by_application.min(totals.answered)
        } else {
            0
        }
    }

    /// Reads the events until there are none.
    fn react(&mut self) {
        while let Some(delivery) = self.world.poll_event() {
            let Some((kind, channel)) = (match self.reading {
                Reading::Glance => glance(&delivery.event),
                Reading::Parse => parse(delivery.event),
            }) else {
                continue;
            };
            match kind {
                Kind::Start => {
                    self.send(&channels::ANSWER, &channel, None);
                    self.send(&channels::PLAY_WITH_ID, &channel, Some("sound:hello-world"));
                }
                Kind::Played => self.send(&channels::HANGUP, &channel, None),
            }
        }
    }

    fn send(&mut self, operation: &'static OperationSpec, channel: &str, media: Option<&str>) {
        let mut request = Request::new(operation, Metadata::default()).with("channelId", channel);
        if let Some(media) = media {
            let playback = format!("{channel}-greeting");
            request = request.with("media", media).with("playbackId", playback);
        }
        match self.world.request(self.now, &request) {
            Reply::Now(response) if response.is_success() => {}
            _ => self.refused += 1,
        }
    }
}
