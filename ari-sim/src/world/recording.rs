//! Live recordings.

mod live;

use std::{sync::Arc, time::Duration};

use super::{
    Timer, World,
    arena::Key,
    channel::{ChannelKey, State as ChannelState},
    events::MediaTarget,
    formats::{format_named, is_file_format},
    json::{Json, object},
    params::Params,
    queue::{Command, Doing},
    reply::{Outcome, Refused, created, refuse},
    sound::Sound,
    stored::Stored,
    time::{SimTime, TimerKey},
};

pub(crate) type RecordingKey = Key<Recording>;

/// Without anything from the far side for so long, Asterisk takes the recording to be over.
const NOTHING_COMES: Duration = Duration::from_secs(4);

/// How long after the turn of a second the next frame of audio comes.
const FRAME: Duration = Duration::from_millis(10);

/// Longest name that a file can have.
const MAX_FILE_NAME: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Recording,
    Paused,
    Done,
    Failed,
    /// It was stopped before it began, and begins all the same when its turn comes.
    Canceled,
}

#[derive(Debug)]
pub(crate) struct Recording {
    name: Arc<str>,
    format: String,
    pub(crate) target: MediaTarget,
    target_uri: String,
    state: State,
    max_duration: Option<Duration>,
    max_silence: Option<Duration>,
    append: bool,
    beep: bool,
    terminate_on: String,
    muted: bool,
    since: SimTime,
    /// When the far side last sent something.
    last_frame: SimTime,
    /// Since when it is paused, and how many turns of a second it was paused before that.
    paused_since: Option<SimTime>,
    paused_seconds: u64,
    /// How much audio it has, and since when audio comes in.
    heard: Duration,
    hears_since: Option<SimTime>,
    /// How much of it is silence, and since when nobody talks.
    silence: Duration,
    silent_since: Option<SimTime>,
    duration: Option<u64>,
    talking: u64,
    cause: Option<&'static str>,
    timer: Option<TimerKey>,
}

impl Recording {
    pub(crate) const fn is_running(&self) -> bool {
        matches!(self.state, State::Recording | State::Paused)
    }

    /// Counts the audio that came in until now.
    fn pause_hearing(&mut self, now: SimTime) {
        if let Some(since) = self.hears_since.take() {
            self.heard += now.since(since);
        }
        self.end_silence(now);
    }

    /// Counts the silence until now; gives how long it lasted.
    fn end_silence(&mut self, now: SimTime) -> Duration {
        let since = self.silent_since.take();
        let lasted = since.map_or(Duration::ZERO, |since| now.since(since));
        self.silence += lasted;
        lasted
    }

    fn write(&self, json: &mut Json) {
        let state = match self.state {
            State::Queued => "queued",
            State::Recording => "recording",
            State::Paused => "paused",
            State::Done => "done",
            State::Failed => "failed",
            State::Canceled => "canceled",
        };
        json.text("name", &self.name)
            .text("format", &self.format)
            .text("state", state);
        json.text("target_uri", &self.target_uri);
        if let Some(cause) = self.cause {
            json.text("cause", cause);
        }
        if let Some(duration) = self.duration {
            json.plain("duration", duration);
            if self.max_silence.is_some() {
                json.plain("talking_duration", self.talking)
                    .plain("silence_duration", duration.saturating_sub(self.talking));
            }
        }
    }
}

impl World {
    pub(crate) fn record_channel(&mut self, params: Params<'_>) -> Outcome {
        for (name, shown) in [
            ("maxDurationSeconds", "max_duration_seconds"),
            ("maxSilenceSeconds", "max_silence_seconds"),
        ] {
            if params.number(name).is_some_and(|seconds| seconds < 0) {
                return Err(refuse(400, &format!("{shown} cannot be negative")));
            }
        }
        let key = self.stasis_channel(params)?;
        let uri = self
            .channels
            .get(key)
            .map(|channel| format!("channel:{}", channel.id))
            .unwrap_or_default();
        let recording = self.new_recording(MediaTarget::Channel(key), uri, params)?;
        let answer = created(self.recording_json(recording));
        if self
            .channels
            .get(key)
            .is_some_and(|channel| channel.bridge.is_some())
        {
            self.fail_recording(recording, "Cannot record channel while in bridge");
        } else {
            self.enqueue(key, Command::Record(recording), None);
        }
        answer
    }

    pub(crate) fn record_bridge(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let uri = self
            .bridges
            .get(key)
            .map(|bridge| format!("bridge:{}", bridge.id))
            .unwrap_or_default();
        check_format(params)?;
        if let Some(format) = params.given("recorder_format")
            && format_named(&format).is_none()
        {
            let message = "specified recorder_format is unknown on this system";
            return Err(refuse(422, message));
        }
        // The recorder enters before the rest of the request is looked at.
        let helper = self.add_helper(key, "Recorder/ARI");
        let recording = match self.new_recording(MediaTarget::Bridge(key), uri, params) {
            Ok(recording) => recording,
            Err(refusal) => {
                self.remove_helper(key, &helper);
                return Err(refusal);
            }
        };
        if let Some(bridge) = self.bridges.get_mut(key) {
            bridge.recorders.push((recording, helper));
        }
        let answer = created(self.recording_json(recording));
        self.start_recording(recording);
        answer
    }

    fn new_recording(
        &mut self,
        target: MediaTarget,
        target_uri: String,
        params: Params<'_>,
    ) -> Result<RecordingKey, Refused> {
        let terminate_on = params.text("terminateOn").to_ascii_lowercase();
        if !matches!(terminate_on.as_str(), "" | "none" | "any" | "*" | "#") {
            return Err(refuse(400, "terminateOn invalid"));
        }
        let if_exists = params.text("ifExists").to_ascii_lowercase();
        if !matches!(if_exists.as_str(), "" | "fail" | "overwrite" | "append") {
            return Err(refuse(400, "ifExists invalid"));
        }
        check_format(params)?;
        let format = params.text("format");
        let name = params.text("name");
        let negative = ["maxDurationSeconds", "maxSilenceSeconds"]
            .iter()
            .any(|name| params.number(name).is_some_and(|seconds| seconds < 0));
        if negative || name.is_empty() || name.split('/').any(|part| part == "..") {
            return Err(refuse(500, "Error parsing request"));
        }
        let taken = matches!(if_exists.as_str(), "" | "fail") && self.stored.contains_key(&*name);
        if taken || self.recording_names.contains_key(&*name) {
            return Err(refuse(
                409,
                &format!("Recording '{name}' already exists and can not be overwritten"),
            ));
        }
        let seconds = |name| {
            let seconds = params
                .number(name)
                .and_then(|seconds| u64::try_from(seconds).ok());
            seconds
                .filter(|seconds| *seconds > 0)
                .map(Duration::from_secs)
        };
        let name: Arc<str> = name.into();
        let recording = Recording {
            name: Arc::clone(&name),
            format: format.into_owned(),
            target,
            target_uri,
            state: State::Queued,
            max_duration: seconds("maxDurationSeconds"),
            max_silence: seconds("maxSilenceSeconds"),
            append: if_exists == "append",
            beep: params.truth("beep"),
            terminate_on,
            muted: false,
            since: self.now,
            last_frame: self.now,
            paused_since: None,
            paused_seconds: 0,
            heard: Duration::ZERO,
            hears_since: None,
            silence: Duration::ZERO,
            silent_since: None,
            duration: None,
            talking: 0,
            cause: None,
            timer: None,
        };
        let key = self.recordings.insert(recording);
        self.recording_names.insert(name, key);
        Ok(key)
    }

    fn recording_json(&self, key: RecordingKey) -> String {
        object(|json| {
            if let Some(recording) = self.recordings.get(key) {
                recording.write(json);
            }
        })
    }

    fn tell_recording(&mut self, key: RecordingKey, kind: &str) {
        let Some(target) = self.recordings.get(key).map(|recording| recording.target) else {
            return;
        };
        self.tell_media(target, kind, |world, json| {
            if let Some(recording) = world.recordings.get(key) {
                json.object("recording", |json| recording.write(json));
            }
        });
    }

    /// Begins to record; says whether it does.
    pub(crate) fn start_recording(&mut self, key: RecordingKey) -> bool {
        let Some(target) = self.recordings.get(key).map(|recording| recording.target) else {
            return false;
        };
        if let MediaTarget::Channel(channel) = target
            && self.is_unanswered(channel)
        {
            self.answer_channel(channel);
        }
        let (audible, talks) = (self.is_audible(target), self.is_talking(target));
        let beep = self.options.sounds.get("beep").copied().unwrap_or_default();
        let now = self.now;
        let Some(recording) = self.recordings.get_mut(key) else {
            return false;
        };
        recording.state = State::Recording;
        recording.since = if recording.beep { now + beep } else { now };
        recording.last_frame = recording.since;
        recording.hears_since = audible.then_some(recording.since);
        recording.silent_since = recording.hears_since.filter(|_| !talks);
        let no_file = recording
            .name
            .split('/')
            .any(|part| part.len() > MAX_FILE_NAME);
        self.tell_recording(key, "RecordingStarted");
        if no_file {
            // The file cannot be opened: it ends at once, and nothing is kept.
            self.finish_recording(key, false);
            return false;
        }
        self.set_recording_timer(key);
        true
    }

    /// Seconds of the clock: what Asterisk counts the length of a recording by.
    fn clock_seconds(&self, at: SimTime) -> u64 {
        let millis = self.options.beginning.unsigned_abs() + at.millis();
        millis / 1_000
    }

    /// When the clock shows these seconds.
    fn at_clock_seconds(&self, seconds: u64) -> SimTime {
        let millis = seconds
            .saturating_mul(1_000)
            .saturating_sub(self.options.beginning.unsigned_abs());
        SimTime::after(Duration::from_millis(millis))
    }

    /// Sets when a recording is over, as things are: with audio when the clock shows more seconds than it may have,
    /// without when nothing has come for a while.
    fn set_recording_timer(&mut self, key: RecordingKey) {
        let now = self.now;
        let Some(recording) = self.recordings.get(key) else {
            return;
        };
        let hears = self.is_audible(recording.target);
        let by_length = match recording.max_duration {
            _ if !hears => Some(recording.last_frame.max(now) + NOTHING_COMES),
            Some(limit) if recording.paused_since.is_none() => {
                let last = self.clock_seconds(recording.since)
                    + limit.as_secs()
                    + recording.paused_seconds;
                Some(self.at_clock_seconds(last + 1).max(now) + FRAME)
            }
            _ => None,
        };
        let by_silence = recording
            .max_silence
            .zip(recording.silent_since)
            .filter(|_| hears && recording.paused_since.is_none())
            .map(|(limit, since)| since.max(recording.since) + limit);
        let end = by_length.into_iter().chain(by_silence).min();
        let old = recording.timer;
        self.timers.cancel(old);
        let timer = end.map(|end| self.timers.set(end, Timer::Recording(key)));
        if let Some(recording) = self.recordings.get_mut(key) {
            recording.timer = timer;
        }
    }

    /// What records the far side of a channel, alone or in a bridge.
    fn recordings_of(&self, channel: ChannelKey) -> Vec<RecordingKey> {
        let data = self.channels.get(channel);
        let mut keys = match data.and_then(|data| data.doing) {
            Some(Doing::Recording(recording)) => vec![recording],
            _ => Vec::new(),
        };
        if let Some(bridge) = data
            .and_then(|data| data.bridge)
            .and_then(|bridge| self.bridges.get(bridge))
        {
            keys.extend(bridge.recorders.iter().map(|(key, _)| *key));
        }
        keys
    }

    /// Somebody at the far side of a channel begins to talk, or falls silent.
    pub(crate) fn recordings_hear_talking(&mut self, channel: ChannelKey) {
        let now = self.now;
        for key in self.recordings_of(channel) {
            let target = self.recordings.get(key).map(|recording| recording.target);
            let talks = target.is_some_and(|target| self.is_talking(target));
            let Some(recording) = self
                .recordings
                .get_mut(key)
                .filter(|known| known.hears_since.is_some())
            else {
                continue;
            };
            if talks {
                recording.end_silence(now);
            } else {
                recording.silent_since.get_or_insert(now);
            }
            self.set_recording_timer(key);
        }
    }

    /// Audio begins, or ends, to come in from the far side of a channel.
    pub(crate) fn far_side_audible(&mut self, channel: ChannelKey, audible: bool) {
        let now = self.now;
        for key in self.recordings_of(channel) {
            let target = self.recordings.get(key).map(|recording| recording.target);
            let talks = target.is_some_and(|target| self.is_talking(target));
            let Some(recording) = self
                .recordings
                .get_mut(key)
                .filter(|known| known.state == State::Recording)
            else {
                continue;
            };
            recording.last_frame = now;
            if audible {
                recording.hears_since.get_or_insert(now);
                if !talks {
                    recording.silent_since.get_or_insert(now);
                }
            } else {
                recording.pause_hearing(now);
            }
            self.set_recording_timer(key);
        }
    }

    /// Whether a channel is a call that came in and that nobody answered yet.
    fn is_unanswered(&self, channel: ChannelKey) -> bool {
        self.channels
            .get(channel)
            .is_some_and(|channel| channel.state == ChannelState::Ring)
    }

    /// The channel ended before the recording began: an answered one leaves an empty file.
    pub(crate) fn record_nothing(&mut self, channel: ChannelKey, key: RecordingKey) {
        if self.is_unanswered(channel) {
            self.fail_recording(key, "Failed to answer channel");
            return;
        }
        if let Some(recording) = self.recordings.get_mut(key) {
            recording.state = State::Recording;
            recording.since = SimTime::START;
            self.tell_recording(key, "RecordingStarted");
            self.finish_recording(key, true);
        }
    }

    fn is_audible(&self, target: MediaTarget) -> bool {
        let heard = |key| {
            self.channels
                .get(key)
                .filter(|channel| channel.audible_since.is_some())
        };
        match target {
            MediaTarget::Channel(key) => heard(key).is_some(),
            MediaTarget::Bridge(key) => self.bridges.get(key).is_some_and(|bridge| {
                let mut members = bridge.members.iter().filter_map(|key| heard(*key));
                // What mixes sends audio all the time.
                bridge.technology == "softmix" || members.any(|member| !member.membership.muted)
            }),
        }
    }

    /// Whether somebody talks.
    fn is_talking(&self, target: MediaTarget) -> bool {
        let talks = |key| {
            self.channels
                .get(key)
                .is_some_and(|channel| channel.hears == Sound::Voice)
        };
        match target {
            MediaTarget::Channel(key) => talks(key),
            MediaTarget::Bridge(key) => self
                .bridges
                .get(key)
                .is_some_and(|bridge| bridge.members.iter().any(|key| talks(*key))),
        }
    }

    /// The time of a recording is over.
    pub(crate) fn recording_over(&mut self, key: RecordingKey) {
        if let Some(recording) = self.recordings.get_mut(key) {
            recording.timer = None;
            self.end_recording(key, true);
        }
    }

    fn end_recording(&mut self, key: RecordingKey, keep: bool) {
        let Some(target) = self.recordings.get(key).map(|recording| recording.target) else {
            return;
        };
        self.finish_recording(key, keep);
        if let MediaTarget::Channel(_) = target {
            self.media_over(target);
        }
    }

    /// Ends a recording and tells it, without going on to what waits behind it.
    pub(crate) fn finish_recording(&mut self, key: RecordingKey, keep: bool) {
        let now = self.now;
        let Some(recording) = self.recordings.get_mut(key) else {
            return;
        };
        let trailing = recording.end_silence(now);
        recording.pause_hearing(now);
        let mut length = recording.heard;
        if recording.max_silence.is_some() {
            // The silence at the end is cut off.
            recording.talking = length.saturating_sub(recording.silence).as_secs();
            length = length.saturating_sub(trailing);
        }
        let before = if recording.append {
            self.stored.get(&*recording.name)
        } else {
            None
        };
        let length = length + before.map_or(Duration::ZERO, |stored| stored.length);
        recording.duration = Some(length.as_secs());
        recording.state = State::Done;
        if keep {
            let stored = Stored {
                format: recording.format.clone(),
                length,
            };
            self.stored.insert(recording.name.to_string(), stored);
        }
        self.tell_recording(key, "RecordingFinished");
        self.drop_recording(key);
    }

    fn fail_recording(&mut self, key: RecordingKey, cause: &'static str) {
        if let Some(recording) = self.recordings.get_mut(key) {
            recording.state = State::Failed;
            recording.cause = Some(cause);
        }
        self.tell_recording(key, "RecordingFailed");
        self.drop_recording(key);
    }

    pub(crate) fn drop_recording(&mut self, key: RecordingKey) {
        let Some(recording) = self.recordings.remove(key) else {
            return;
        };
        self.timers.cancel(recording.timer);
        self.recording_names.remove(&recording.name);
        if let MediaTarget::Bridge(bridge) = recording.target {
            self.recorder_leaves(bridge, key);
        }
    }

    /// A digit came from the far side: a recording that waits for it is over.
    pub(crate) fn digit_ends_recording(&mut self, target: MediaTarget, digit: char) {
        let ends = |recording: &Recording| match recording.terminate_on.as_str() {
            "any" => true,
            "" | "none" => false,
            only => only.contains(digit),
        };
        let running: Vec<RecordingKey> = match target {
            MediaTarget::Channel(key) => {
                match self.channels.get(key).and_then(|channel| channel.doing) {
                    Some(Doing::Recording(recording)) => vec![recording],
                    _ => Vec::new(),
                }
            }
            MediaTarget::Bridge(key) => {
                let bridge = self.bridges.get(key);
                bridge
                    .map(|bridge| bridge.recorders.iter().map(|(key, _)| *key).collect())
                    .unwrap_or_default()
            }
        };
        let now = self.now;
        for key in running {
            if self.recordings.get(key).is_some_and(ends) {
                self.end_recording(key, true);
            } else if let Some(recording) = self.recordings.get_mut(key) {
                recording.last_frame = now;
                self.set_recording_timer(key);
            }
        }
    }
}

fn check_format(params: Params<'_>) -> Result<(), Refused> {
    if is_file_format(&params.text("format")) {
        Ok(())
    } else {
        Err(refuse(422, "specified format is unknown on this system"))
    }
}
