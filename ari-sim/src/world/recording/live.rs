//! What applications ask of recordings that are being made.

use super::{Recording, RecordingKey, State};
use crate::world::{
    World,
    params::Params,
    reply::{Outcome, Refused, no_content, ok, refuse},
};

impl World {
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
        match self.recordings.get_mut(key).map(|known| &mut known.state) {
            Some(state @ State::Queued) => *state = State::Canceled,
            Some(State::Recording | State::Paused) => self.end_recording(key, keep),
            _ => return Err(not_in_session()),
        }
        no_content()
    }

    pub(crate) fn pause_live(&mut self, params: Params<'_>, pause: bool) -> Outcome {
        let key = self.running(params)?;
        let (now, seconds) = (self.now, self.clock_seconds(self.now));
        let target = self.recordings.get(key).map(|recording| recording.target);
        let audible = target.is_some_and(|target| self.is_audible(target));
        let talks = target.is_some_and(|target| self.is_talking(target));
        let began = self
            .recordings
            .get(key)
            .and_then(|recording| recording.paused_since)
            .map(|since| self.clock_seconds(since));
        let Some(recording) = self.recordings.get_mut(key) else {
            return no_content();
        };
        match (pause, began) {
            (true, None) => {
                recording.pause_hearing(now);
                recording.paused_since = Some(now);
                recording.state = State::Paused;
            }
            (false, Some(began)) => {
                recording.paused_seconds += seconds - began;
                recording.paused_since = None;
                recording.state = State::Recording;
                recording.hears_since = audible.then_some(now);
                recording.silent_since = recording.hears_since.filter(|_| !talks);
            }
            _ => return no_content(),
        }
        recording.last_frame = now;
        self.set_recording_timer(key);
        no_content()
    }

    /// Mutes a recording, or not any more: it goes on, and holds silence for as long.
    pub(crate) fn mute_live(&mut self, params: Params<'_>, mute: bool) -> Outcome {
        let key = self.running(params)?;
        let now = self.now;
        if let Some(recording) = self
            .recordings
            .get_mut(key)
            .filter(|recording| recording.muted != mute)
        {
            recording.muted = mute;
            recording.last_frame = now;
            self.set_recording_timer(key);
        }
        no_content()
    }

    fn running(&self, params: Params<'_>) -> Result<RecordingKey, Refused> {
        let key = self.live(params)?;
        if self.recordings.get(key).is_some_and(Recording::is_running) {
            Ok(key)
        } else {
            Err(not_in_session())
        }
    }
}

fn not_in_session() -> Refused {
    refuse(409, "Recording not in session")
}
