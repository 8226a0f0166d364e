//! Live recordings.

use std::{sync::Arc, time::Duration};

use super::{
    Timer, World,
    arena::Key,
    channel::{ChannelKey, State as ChannelState},
    events::MediaTarget,
    json::{Json, object},
    params::Params,
    queue::{Command, Doing},
    reply::{Outcome, Refused, created, no_content, ok, refuse},
    sound::Sound,
    stored::Stored,
    time::{SimTime, TimerKey},
};

pub(crate) type RecordingKey = Key<Recording>;

/// Formats that Asterisk writes.
const FORMATS: &[&str] = &[
    "wav", "wav16", "WAV", "wav49", "gsm", "ulaw", "alaw", "sln", "sln16", "g722", "ogg",
];

/// Without audio Asterisk sees only after so long that its time is over.
const SILENT_END: Duration = Duration::from_secs(4);

/// Longest name that a file can have.
const MAX_FILE_NAME: usize = 250;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Queued,
    Recording,
    Paused,
    Done,
    Failed,
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
    since: SimTime,
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
        let format = params.text("format");
        if params
            .number("maxDurationSeconds")
            .is_some_and(|seconds| seconds < 0)
        {
            return Err(refuse(400, "max_duration_seconds cannot be negative"));
        }
        if params
            .number("maxSilenceSeconds")
            .is_some_and(|seconds| seconds < 0)
        {
            return Err(refuse(400, "max_silence_seconds cannot be negative"));
        }
        let terminate_on = params.text("terminateOn").into_owned();
        if !matches!(terminate_on.as_str(), "" | "none" | "any" | "*" | "#") {
            return Err(refuse(400, "terminateOn invalid"));
        }
        let if_exists = params.text("ifExists");
        if !matches!(&*if_exists, "" | "fail" | "overwrite" | "append") {
            return Err(refuse(400, "ifExists invalid"));
        }
        if !FORMATS.contains(&&*format) {
            return Err(refuse(422, "specified format is unknown on this system"));
        }
        let name = params.text("name");
        if name.is_empty() || name.split('/').any(|part| part == "..") {
            return Err(refuse(500, "Error parsing request"));
        }
        let taken = matches!(&*if_exists, "" | "fail") && self.stored.contains_key(&*name);
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
            since: self.now,
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
        if let MediaTarget::Channel(channel) = target {
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

    /// Sets when a recording is over, as things are.
    fn set_recording_timer(&mut self, key: RecordingKey) {
        let now = self.now;
        let Some(recording) = self.recordings.get_mut(key) else {
            return;
        };
        let by_length = recording
            .max_duration
            .map(|limit| match recording.hears_since {
                Some(since) => since.max(recording.since) + limit.saturating_sub(recording.heard),
                None => recording.since.max(now) + limit.max(SILENT_END),
            });
        let by_silence = match (recording.max_silence, recording.hears_since) {
            (None, _) => None,
            (Some(limit), None) => Some(recording.since.max(now) + limit.max(SILENT_END)),
            (Some(limit), Some(_)) => recording
                .silent_since
                .map(|since| since.max(recording.since) + limit),
        };
        let end = by_length.into_iter().chain(by_silence).min();
        let old = recording.timer.take();
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

    /// The channel ended before the recording began: an answered one leaves an empty file.
    pub(crate) fn record_nothing(&mut self, channel: ChannelKey, key: RecordingKey) {
        let up = self
            .channels
            .get(channel)
            .is_some_and(|channel| channel.state == ChannelState::Up);
        if !up {
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
        let audible = |key| {
            self.channels
                .get(key)
                .is_some_and(|channel| channel.audible_since.is_some())
        };
        match target {
            MediaTarget::Channel(key) => audible(key),
            MediaTarget::Bridge(key) => self
                .bridges
                .get(key)
                .is_some_and(|bridge| bridge.members.iter().any(|key| audible(*key))),
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
        for key in running {
            if self.recordings.get(key).is_some_and(ends) {
                self.end_recording(key, true);
            }
        }
    }

    fn live(&self, params: Params<'_>) -> Result<RecordingKey, Refused> {
        let key = self
            .recording_names
            .get(&*params.text("recordingName"))
            .copied();
        key.ok_or_else(|| refuse(404, "Recording not found"))
    }

    pub(crate) fn get_live(&self, params: Params<'_>) -> Outcome {
        ok(self.recording_json(self.live(params)?))
    }

    pub(crate) fn stop_live(&mut self, params: Params<'_>) -> Outcome {
        self.stop_recording(self.live(params)?, true)
    }

    pub(crate) fn discard_live(&mut self, params: Params<'_>) -> Outcome {
        self.stop_recording(self.live(params)?, false)
    }

    fn stop_recording(&mut self, key: RecordingKey, keep: bool) -> Outcome {
        if self.recordings.get(key).is_some_and(Recording::is_running) {
            self.end_recording(key, keep);
        } else {
            // Its place in the queue stays; nothing is left to be recorded there.
            self.drop_recording(key);
        }
        no_content()
    }

    pub(crate) fn pause_live(&mut self, params: Params<'_>, pause: bool) -> Outcome {
        let key = self.live(params)?;
        let now = self.now;
        let target = self.recordings.get(key).map(|recording| recording.target);
        let audible = target.is_some_and(|target| self.is_audible(target));
        let talks = target.is_some_and(|target| self.is_talking(target));
        if let Some(recording) = self
            .recordings
            .get_mut(key)
            .filter(|recording| recording.is_running())
        {
            if pause {
                recording.pause_hearing(now);
                recording.state = State::Paused;
            } else {
                recording.state = State::Recording;
                recording.hears_since = audible.then_some(now);
                recording.silent_since = recording.hears_since.filter(|_| !talks);
            }
            self.set_recording_timer(key);
        }
        no_content()
    }

    pub(crate) fn mute_live(&self, params: Params<'_>) -> Outcome {
        self.live(params)?;
        no_content()
    }
}
