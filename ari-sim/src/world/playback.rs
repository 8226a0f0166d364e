//! Playbacks: media that takes its time on a channel or a bridge.

use std::{sync::Arc, time::Duration};

use super::{
    Timer, World,
    arena::Key,
    events::MediaTarget,
    formats::format_named,
    json::{Json, object},
    params::Params,
    queue::Command,
    reply::{Outcome, Refused, allocation_failed, created, no_content, ok, refuse},
    time::{SimTime, TimerKey},
};

pub(crate) type PlaybackKey = Key<Playback>;

/// How far `forward` and `reverse` go unless `skipms` says otherwise.
const DEFAULT_SKIP: Duration = Duration::from_secs(3);

/// How long a spoken digit or character is.
const SPOKEN: Duration = Duration::from_millis(825);

/// Names of tones that an indications file has.
const TONES: &[&str] = &[
    "dial",
    "busy",
    "ring",
    "congestion",
    "callwaiting",
    "dialrecall",
    "record",
    "info",
    "stutter",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Playing,
    Paused,
    Continuing,
    /// It was stopped while it plays what cannot be stopped.
    Stopped,
    Done,
    Failed,
    /// It was stopped before it began.
    Canceled,
}

/// What an item is, as far as its end is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Ends after so long, and can be paused, wound and stopped.
    Sound(Duration),
    /// Ends after so long, whatever is asked of it.
    Spoken(Duration),
    /// Goes on until it is stopped.
    Tone,
    /// Cannot be played.
    Missing,
    /// Is passed over: it begins, and its end is never told.
    Lost,
}

#[derive(Debug)]
pub(crate) struct Playback {
    id: Arc<str>,
    pub(crate) target: MediaTarget,
    target_uri: String,
    language: Arc<str>,
    medias: Vec<String>,
    index: usize,
    state: State,
    kind: Kind,
    /// An item was played that can be controlled; what follows is treated as if it could be as well.
    controllable: bool,
    skip: Duration,
    offset: Duration,
    /// How far the item was when it last began to run.
    position: Duration,
    since: SimTime,
    timer: Option<TimerKey>,
}

impl Playback {
    fn media(&self) -> &str {
        self.medias.get(self.index).map_or("", String::as_str)
    }

    fn write(&self, json: &mut Json) {
        let state = match self.state {
            State::Queued => "queued",
            State::Playing => "playing",
            State::Paused => "paused",
            State::Continuing => "continuing",
            State::Done | State::Stopped | State::Canceled => "done",
            State::Failed => "failed",
        };
        json.text("id", &self.id).text("media_uri", self.media());
        if let Some(next) = self.medias.get(self.index + 1) {
            json.text("next_media_uri", next);
        }
        json.text("target_uri", &self.target_uri)
            .text("language", &self.language)
            .text("state", state);
    }
}

impl World {
    pub(crate) fn play_on_channel(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        let busy = self.is_busy(key);
        if let Some(call) = self
            .channels
            .get(key)
            .and_then(super::channel::Channel::call)
        {
            self.call_played_to(call, busy);
        }
        let medias = params.list("media");
        check_skips(params)?;
        if medias.is_empty() || medias.iter().any(String::is_empty) {
            return Err(refuse(500, "Failed to queue media for playback"));
        }
        let (uri, language) = match self.channels.get(key) {
            Some(channel) => (
                format!("channel:{}", channel.id),
                Arc::clone(&channel.language),
            ),
            None => return Err(refuse(404, "Channel not found")),
        };
        let playback = self.add_playback(MediaTarget::Channel(key), uri, language, medias, params);
        let answer = created(self.playback_json(playback));
        self.enqueue(key, Command::Play(playback), None);
        answer
    }

    pub(crate) fn play_on_bridge(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let medias = params.list("media");
        let has_announcer = self
            .bridges
            .get(key)
            .is_some_and(|bridge| bridge.announcer.is_some());
        // Who plays already goes on in the format that it has.
        if let Some(format) = params.given("announcer_format")
            && !has_announcer
            && format_named(&format).is_none()
        {
            let message = "specified announcer_format is unknown on this system";
            return Err(refuse(422, message));
        }
        self.ensure_announcer(key);
        let refused = check_skips(params).is_err()
            || medias.is_empty()
            || medias.iter().any(String::is_empty);
        if refused {
            if !has_announcer {
                self.next_announcement(key);
            }
            return Err(allocation_failed());
        }
        let uri = self
            .bridges
            .get(key)
            .map(|bridge| format!("bridge:{}", bridge.id))
            .unwrap_or_default();
        let playback = self.add_playback(
            MediaTarget::Bridge(key),
            uri,
            Arc::from("en"),
            medias,
            params,
        );
        let answer = created(self.playback_json(playback));
        self.announce(key, playback);
        answer
    }

    fn add_playback(
        &mut self,
        target: MediaTarget,
        target_uri: String,
        language: Arc<str>,
        medias: Vec<String>,
        params: Params<'_>,
    ) -> PlaybackKey {
        let id: Arc<str> = match params.given("playbackId") {
            Some(id) => id.into(),
            None => self.generated_id().into(),
        };
        let millis = |name| {
            params
                .number(name)
                .and_then(|millis| u64::try_from(millis).ok())
                .map(Duration::from_millis)
        };
        let playback = Playback {
            id: Arc::clone(&id),
            target,
            target_uri,
            language: params.given("lang").map_or(language, Into::into),
            medias,
            index: 0,
            state: State::Queued,
            kind: Kind::Missing,
            controllable: false,
            skip: millis("skipms")
                .filter(|skip| !skip.is_zero())
                .unwrap_or(DEFAULT_SKIP),
            offset: millis("offsetms").unwrap_or_default(),
            position: Duration::ZERO,
            since: self.now,
            timer: None,
        };
        let key = self.playbacks.insert(playback);
        self.playback_ids.insert(id, key);
        key
    }

    fn playback_json(&self, key: PlaybackKey) -> String {
        object(|json| {
            if let Some(playback) = self.playbacks.get(key) {
                playback.write(json);
            }
        })
    }

    fn tell_playback(&mut self, key: PlaybackKey, kind: &str) {
        let Some(target) = self.playbacks.get(key).map(|playback| playback.target) else {
            return;
        };
        self.tell_media(target, kind, |world, json| {
            if let Some(playback) = world.playbacks.get(key) {
                json.object("playback", |json| playback.write(json));
            }
        });
    }

    fn kind_of(&self, uri: &str) -> Kind {
        let Some((scheme, name)) = uri.split_once(':') else {
            return Kind::Lost;
        };
        let spoken = |count: usize| Kind::Spoken(SPOKEN * u32::try_from(count).unwrap_or(u32::MAX));
        match scheme {
            "sound" => {
                let known = self.options.sounds.get(name).copied();
                let other = self.options.other_sounds.filter(|_| !name.is_empty());
                known.or(other).map_or(Kind::Missing, Kind::Sound)
            }
            "recording" => self
                .stored
                .get(name)
                .map_or(Kind::Lost, |stored| Kind::Sound(stored.length)),
            "tone" => {
                let name = name.split(';').next().unwrap_or_default();
                let listed = name
                    .trim_start_matches('!')
                    .starts_with(|first: char| first.is_ascii_digit());
                if listed || TONES.contains(&name) {
                    Kind::Tone
                } else {
                    Kind::Missing
                }
            }
            "number" if !is_number(name) => Kind::Lost,
            "number" | "digits" | "characters" => spoken(name.chars().count()),
            _ => Kind::Lost,
        }
    }

    /// Plays items until one takes time; says whether one does.
    pub(crate) fn run_items(&mut self, key: PlaybackKey) -> bool {
        loop {
            let Some(uri) = self
                .playbacks
                .get(key)
                .map(|playback| playback.media().to_owned())
            else {
                return false;
            };
            let kind = self.kind_of(&uri);
            let now = self.now;
            let Some(playback) = self.playbacks.get_mut(key) else {
                return false;
            };
            if playback.state == State::Canceled {
                self.end_playback(key);
                return false;
            }
            playback.state = State::Playing;
            playback.kind = kind;
            playback.controllable |= matches!(kind, Kind::Sound(_) | Kind::Missing | Kind::Tone);
            playback.position = std::mem::take(&mut playback.offset);
            playback.since = now;
            let target = playback.target;
            self.tell_playback(key, "PlaybackStarted");
            match kind {
                Kind::Sound(length) | Kind::Spoken(length) if !length.is_zero() => {
                    self.set_item_timer(key);
                    self.audio_plays(target, &uri);
                    return self.playbacks.get(key).is_some();
                }
                Kind::Tone => {
                    self.audio_plays(target, &uri);
                    return self.playbacks.get(key).is_some();
                }
                Kind::Sound(_) | Kind::Spoken(_) => {
                    if !self.next_item(key, true) {
                        return false;
                    }
                }
                Kind::Missing => {
                    if !self.next_item(key, false) {
                        return false;
                    }
                }
                Kind::Lost => {
                    let more = self.playbacks.get_mut(key).is_some_and(|playback| {
                        playback.index += 1;
                        playback.index < playback.medias.len()
                    });
                    if !more {
                        self.drop_playback(key);
                        return false;
                    }
                }
            }
        }
    }

    /// Audio goes out to the far side of a target.
    fn audio_plays(&mut self, target: MediaTarget, uri: &str) {
        self.callers_hear(target, uri);
        self.playback_sounds(target, true);
    }

    fn playback_sounds(&mut self, target: MediaTarget, sounds: bool) {
        match target {
            MediaTarget::Channel(key) => self.change_sent(key, |sent| sent.playback = sounds),
            MediaTarget::Bridge(key) => self.bridge_sounds_else(key),
        }
    }

    /// The channel ended before the playback began: it is told to begin, and to fail.
    pub(crate) fn fail_unheard(&mut self, key: PlaybackKey) {
        if let Some(playback) = self.playbacks.get_mut(key) {
            playback.state = State::Playing;
            self.tell_playback(key, "PlaybackStarted");
            self.fail_playback(key);
        }
    }

    fn set_item_timer(&mut self, key: PlaybackKey) {
        let Some(playback) = self.playbacks.get(key) else {
            return;
        };
        let (Kind::Sound(length) | Kind::Spoken(length)) = playback.kind else {
            return;
        };
        let left = length.saturating_sub(playback.position);
        let (old, at) = (playback.timer, self.now + left);
        self.timers.cancel(old);
        let timer = self.timers.set(at, Timer::Playback(key));
        if let Some(playback) = self.playbacks.get_mut(key) {
            playback.timer = Some(timer);
        }
    }

    /// Goes on to the next item, or ends; says whether there is a next one.
    fn next_item(&mut self, key: PlaybackKey, played: bool) -> bool {
        self.stop_hearing(key);
        let Some(playback) = self.playbacks.get_mut(key) else {
            return false;
        };
        if playback.index + 1 < playback.medias.len() {
            playback.state = State::Continuing;
            self.tell_playback(key, "PlaybackContinuing");
            if let Some(playback) = self.playbacks.get_mut(key) {
                playback.index += 1;
            }
            return true;
        }
        playback.state = if played { State::Done } else { State::Failed };
        self.end_playback(key);
        false
    }

    fn end_playback(&mut self, key: PlaybackKey) {
        self.tell_playback(key, "PlaybackFinished");
        self.drop_playback(key);
    }

    /// What plays is not heard any more, if it was heard at all.
    fn stop_hearing(&mut self, key: PlaybackKey) {
        if let Some(playback) = self.playbacks.get(key)
            && playback.state != State::Queued
        {
            let (target, uri) = (playback.target, playback.media().to_owned());
            self.callers_stop_hearing(target, &uri, false);
        }
    }

    pub(crate) fn drop_playback(&mut self, key: PlaybackKey) {
        self.stop_hearing(key);
        let Some(playback) = self.playbacks.remove(key) else {
            return;
        };
        self.timers.cancel(playback.timer);
        if playback.state != State::Queued {
            self.playback_sounds(playback.target, false);
        }
        if self.playback_ids.get(&playback.id) == Some(&key) {
            self.playback_ids.remove(&playback.id);
        }
    }

    /// The channel that it plays on ends.
    pub(crate) fn fail_playback(&mut self, key: PlaybackKey) {
        if let Some(playback) = self.playbacks.get_mut(key) {
            playback.state = State::Failed;
            self.end_playback(key);
        }
    }

    /// The time of an item is over.
    pub(crate) fn item_over(&mut self, key: PlaybackKey) {
        let Some(playback) = self.playbacks.get_mut(key) else {
            return;
        };
        playback.timer = None;
        let (target, uri) = (playback.target, playback.media().to_owned());
        self.callers_heard_to_end(target, &uri);
        self.go_on(key, target);
    }

    fn go_on(&mut self, key: PlaybackKey, target: MediaTarget) {
        if !(self.next_item(key, true) && self.run_items(key)) {
            self.media_over(target);
        }
    }

    fn playback_of(&self, params: Params<'_>) -> Result<PlaybackKey, Refused> {
        let key = self.playback_ids.get(&*params.text("playbackId")).copied();
        key.ok_or_else(|| refuse(404, "Playback not found"))
    }

    pub(crate) fn get_playback(&self, params: Params<'_>) -> Outcome {
        ok(self.playback_json(self.playback_of(params)?))
    }

    pub(crate) fn stop_playback(&mut self, params: Params<'_>) -> Outcome {
        let key = self.playback_of(params)?;
        let Some(playback) = self.playbacks.get_mut(key) else {
            return no_content();
        };
        let (target, kind) = (playback.target, playback.kind);
        match playback.state {
            // It keeps its place in the queue, and ends when its turn comes.
            State::Queued => playback.state = State::Canceled,
            State::Playing | State::Paused | State::Continuing if !playback.controllable => {
                return Err(refuse(500, "Could not stop playback"));
            }
            State::Playing | State::Paused | State::Continuing => match kind {
                Kind::Spoken(_) => playback.state = State::Stopped,
                Kind::Tone => self.go_on(key, target),
                Kind::Sound(_) | Kind::Missing | Kind::Lost => {
                    let timer = playback.timer.take();
                    self.timers.cancel(timer);
                    playback.state = State::Done;
                    self.end_playback(key);
                    self.media_over(target);
                }
            },
            State::Stopped | State::Done | State::Failed | State::Canceled => {}
        }
        no_content()
    }

    pub(crate) fn control_playback(&mut self, params: Params<'_>) -> Outcome {
        if !params.has("operation") {
            return Err(refuse(400, "Missing operation"));
        }
        let operation = params.text("operation");
        let now = self.now;
        if !matches!(
            &*operation,
            "restart" | "pause" | "unpause" | "reverse" | "forward"
        ) {
            return Err(refuse(400, &format!("Invalid operation {operation}")));
        }
        let key = self.playback_of(params)?;
        let Some(playback) = self.playbacks.get_mut(key) else {
            return no_content();
        };
        match (playback.state, &*operation) {
            (State::Queued, "restart")
            | (State::Playing | State::Continuing, "unpause")
            | (State::Paused, "pause") => return no_content(),
            (State::Playing | State::Continuing, _) | (State::Paused, "unpause") => {}
            _ => {
                let message = format!("Can only {operation} while media is playing");
                return Err(refuse(409, &message));
            }
        }
        if !playback.controllable {
            return Err(refuse(500, &format!("Could not {operation} playback")));
        }
        if matches!(playback.kind, Kind::Spoken(_)) {
            // It is told to do so, and does not.
            match &*operation {
                "pause" => playback.state = State::Paused,
                "unpause" => {
                    playback.state = State::Playing;
                    self.tell_playback(key, "PlaybackStarted");
                }
                _ => {}
            }
            return no_content();
        }
        let length = if let Kind::Sound(length) = playback.kind {
            length
        } else {
            Duration::MAX
        };
        let running = playback.state == State::Playing;
        if running {
            playback.position = playback
                .position
                .saturating_add(now.since(playback.since))
                .min(length);
            playback.since = now;
        }
        match &*operation {
            "restart" => playback.position = Duration::ZERO,
            "forward" => {
                playback.position = playback.position.saturating_add(playback.skip).min(length);
            }
            "reverse" => playback.position = playback.position.saturating_sub(playback.skip),
            "pause" => {
                playback.state = State::Paused;
                let timer = playback.timer.take();
                self.timers.cancel(timer);
                return no_content();
            }
            _ => {
                playback.state = State::Playing;
                playback.since = now;
                self.tell_playback(key, "PlaybackStarted");
            }
        }
        if self
            .playbacks
            .get(key)
            .is_some_and(|playback| playback.state == State::Playing)
        {
            self.set_item_timer(key);
        }
        no_content()
    }
}

/// Whether a text begins with a number.
fn is_number(text: &str) -> bool {
    let text = text.trim_start();
    text.strip_prefix(['-', '+'])
        .unwrap_or(text)
        .starts_with(|first: char| first.is_ascii_digit())
}

fn check_skips(params: Params<'_>) -> Result<(), Refused> {
    for name in ["skipms", "offsetms"] {
        if params.number(name).is_some_and(|millis| millis < 0) {
            return Err(refuse(400, &format!("{name} cannot be negative")));
        }
    }
    Ok(())
}
