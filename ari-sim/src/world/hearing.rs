//! What is heard at the phone.

use std::sync::Arc;

use super::{
    World,
    call_record::Heard,
    caller::CallKey,
    channel::{Channel, ChannelKey},
    events::MediaTarget,
    script::Cue,
};

/// Things heard that a record keeps; a call that goes on for ever does not grow for ever.
const MAX_HEARD: usize = 1_000;

impl World {
    /// Something is to be played on the channel of a call, while it is `busy` or not.
    pub(crate) fn call_played_to(&mut self, key: CallKey, busy: bool) {
        if let Some(call) = self.calls.known.get_mut(key) {
            call.record.plays += 1;
            call.record.overlaps += u32::from(busy);
        }
    }

    fn listeners(&self, target: MediaTarget) -> Vec<CallKey> {
        let call = |key: &ChannelKey| self.channels.get(*key).and_then(Channel::call);
        match target {
            MediaTarget::Channel(key) => call(&key).into_iter().collect(),
            MediaTarget::Bridge(key) => {
                let bridge = self.bridges.get(key);
                bridge
                    .map(|bridge| bridge.members.iter().filter_map(call).collect())
                    .unwrap_or_default()
            }
        }
    }

    pub(crate) fn callers_hear(&mut self, target: MediaTarget, media: &str) {
        let at_ms = self.now.millis();
        for key in self.listeners(target) {
            if let Some(call) = self
                .calls
                .known
                .get_mut(key)
                .filter(|call| call.record.heard.len() < MAX_HEARD)
            {
                call.record.heard.push(Heard {
                    media: media.to_owned(),
                    at_ms,
                    until_ms: None,
                    to_end: false,
                });
            }
            self.call_cue(key, Cue::Hearing, Some(media));
        }
    }

    pub(crate) fn callers_heard_to_end(&mut self, target: MediaTarget, media: &str) {
        self.callers_stop_hearing(target, media, true);
    }

    /// Media is over, at its end or before.
    pub(crate) fn callers_stop_hearing(&mut self, target: MediaTarget, media: &str, to_end: bool) {
        let now = self.now.millis();
        for key in self.listeners(target) {
            let Some(call) = self.calls.known.get_mut(key) else {
                continue;
            };
            let heard = call
                .record
                .heard
                .iter_mut()
                .rev()
                .find(|heard| heard.until_ms.is_none() && heard.media == media);
            // Who came into the bridge in the middle of it has not heard it.
            let Some(heard) = heard else { continue };
            heard.until_ms = Some(now);
            heard.to_end = to_end;
            if to_end {
                self.call_cue(key, Cue::Heard, Some(media));
            } else {
                self.call_changed(key);
            }
        }
    }

    /// Something happened that steps of the script may wait for.
    pub(crate) fn call_cue(&mut self, key: CallKey, cue: Cue, media: Option<&str>) {
        self.call_changed(key);
        let Some(call) = self.calls.known.get(key) else {
            return;
        };
        if call.script.steps.is_empty() {
            return;
        }
        let script = Arc::clone(&call.script);
        for (place, step) in script.steps.iter().enumerate() {
            let wanted = step
                .media
                .as_deref()
                .is_none_or(|wanted| media == Some(wanted));
            self.step_cued(key, place, step.on == cue && wanted, step.after);
        }
    }
}
