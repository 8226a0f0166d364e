//! The other side of the phone: calls that scripted callers place.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Timer, World,
    arena::{Arena, Key},
    channel::{ChannelKey, Party, State, Tech},
    events::MediaTarget,
    script::{CallRecord, CallScript, CallTotals, Cue, HangupParty, Heard},
    time::{SimTime, TimerKey},
};

pub(crate) type CallKey = Key<Call>;

/// How long a digit is pressed, and how long it is until the next.
const DIGIT: u32 = 100;

/// Things heard that a record keeps; a call that goes on for ever does not grow for ever.
const MAX_HEARD: usize = 1_000;

/// A call that goes on.
#[derive(Debug)]
pub(crate) struct Call {
    record: CallRecord,
    script: Arc<CallScript>,
    channel: ChannelKey,
    /// Which steps were begun.
    begun: Vec<bool>,
    /// Giving up, the limit, and steps to come.
    timers: Vec<TimerKey>,
}

/// What a caller does at a point in time.
#[derive(Debug)]
pub(crate) enum CallTimer {
    /// The next call of a batch is placed.
    Place(Batch),
    /// Nobody answered.
    GiveUp(CallKey),
    /// The call lasted too long.
    Limit(CallKey),
    /// A step of the script.
    Step(CallKey, usize),
}

/// Calls that are still to be placed.
#[derive(Debug)]
pub(crate) struct Batch {
    script: Arc<CallScript>,
    left: u64,
    interval: Duration,
}

/// All calls of a world.
#[derive(Debug)]
pub(crate) struct Calls {
    active: Arena<Call>,
    ended: VecDeque<CallRecord>,
    kept: usize,
    totals: CallTotals,
}

impl Calls {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            active: Arena::default(),
            ended: VecDeque::new(),
            kept,
            totals: CallTotals::default(),
        }
    }
}

impl World {
    /// Lets a caller call; gives the number of the call.
    pub fn place_call(&mut self, now: SimTime, script: impl Into<Arc<CallScript>>) -> u64 {
        self.advance(now);
        self.place(&script.into())
    }

    /// Lets so many callers call, one after the other.
    pub fn place_calls(
        &mut self,
        now: SimTime,
        script: impl Into<Arc<CallScript>>,
        count: u64,
        interval: Duration,
    ) {
        self.advance(now);
        self.calls.totals.waiting = self.calls.totals.waiting.saturating_add(count);
        self.place_next(Batch {
            script: script.into(),
            left: count,
            interval,
        });
    }

    /// What became of all calls.
    pub fn call_totals(&self) -> CallTotals {
        let active = u64::try_from(self.calls.active.len()).unwrap_or(u64::MAX);
        CallTotals {
            active,
            ..self.calls.totals
        }
    }

    /// The records of calls that ended, oldest first, then of those that go on.
    pub fn call_records(&self) -> impl Iterator<Item = &CallRecord> {
        self.calls
            .ended
            .iter()
            .chain(self.calls.active.iter().map(|(_, call)| &call.record))
    }

    /// Forgets the records of calls that ended, and gives them.
    pub fn take_call_records(&mut self) -> Vec<CallRecord> {
        std::mem::take(&mut self.calls.ended).into()
    }

    /// Places calls until the next one has to wait.
    fn place_next(&mut self, mut batch: Batch) {
        while batch.left > 0 {
            batch.left -= 1;
            self.calls.totals.waiting -= 1;
            let script = Arc::clone(&batch.script);
            self.place(&script);
            if !batch.interval.is_zero() && batch.left > 0 {
                let at = self.now + batch.interval;
                self.timers.set(at, Timer::Call(CallTimer::Place(batch)));
                return;
            }
        }
    }

    fn place(&mut self, script: &Arc<CallScript>) -> u64 {
        self.calls.totals.placed += 1;
        let number = self.calls.totals.placed;
        let id: Arc<str> = self.unique_id().into();
        let channel = self.make_sip_channel(Arc::clone(&id), &script.endpoint, State::Ring);
        let record = CallRecord {
            number,
            channel_id: id.to_string(),
            application: script.application.clone(),
            placed_at_ms: self.now.millis(),
            ..CallRecord::default()
        };
        let begun = vec![false; script.steps.len()];
        let call = self.calls.active.insert(Call {
            record,
            script: Arc::clone(script),
            channel,
            begun,
            timers: Vec::new(),
        });
        let args = script.args.join(",");
        if let Some(data) = self.channels.get_mut(channel) {
            data.tech = Tech::Sip {
                endpoint: script.endpoint.clone(),
                call: Some(call),
            };
            data.caller = Party::parse(&script.caller_id);
            data.place.exten = format!("app-{}", script.application);
            data.has_dialplan = true;
        }
        self.set_call_timer(call, script.give_up_after, CallTimer::GiveUp(call));
        self.call_cue(call, Cue::Placed, None);
        self.show_stasis(channel, &script.application, &args);
        self.tell_dialplan(channel);
        if !self.enter_stasis(channel, &script.application, &args) {
            if let Some(data) = self.channels.get_mut(channel) {
                data.cause = 16;
            }
            self.call_hung_up(call, HangupParty::Dialplan);
            self.end_channel(channel);
        }
        number
    }

    fn set_call_timer(&mut self, key: CallKey, after: Duration, timer: CallTimer) {
        let timer = self.timers.set(self.now + after, Timer::Call(timer));
        if let Some(call) = self.calls.active.get_mut(key) {
            call.timers.push(timer);
        }
    }

    pub(crate) fn call_timer(&mut self, timer: CallTimer) {
        match timer {
            CallTimer::Place(batch) => self.place_next(batch),
            CallTimer::GiveUp(key) => self.caller_hangs_up(key, HangupParty::GaveUp),
            CallTimer::Limit(key) => self.caller_hangs_up(key, HangupParty::Limit),
            CallTimer::Step(key, step) => self.call_step(key, step),
        }
    }

    /// Something happened that steps of the script may wait for.
    fn call_cue(&mut self, key: CallKey, cue: Cue, media: Option<&str>) {
        let Some(call) = self.calls.active.get_mut(key) else {
            return;
        };
        let script = Arc::clone(&call.script);
        for (place, step) in script.steps.iter().enumerate() {
            let wanted = step
                .media
                .as_deref()
                .is_none_or(|wanted| media == Some(wanted));
            let Some(call) = self.calls.active.get_mut(key) else {
                return;
            };
            if step.on == cue && wanted && !call.begun[place] {
                call.begun[place] = true;
                self.set_call_timer(key, step.after, CallTimer::Step(key, place));
            }
        }
    }

    fn call_step(&mut self, key: CallKey, place: usize) {
        let Some(call) = self.calls.active.get_mut(key) else {
            return;
        };
        let Some(step) = call.script.steps.get(place).cloned() else {
            return;
        };
        let channel = call.channel;
        if let Some(digits) = step.press {
            call.record.digits_pressed.push_str(&digits);
            let mut after = Duration::ZERO;
            for digit in digits.chars() {
                after += Duration::from_millis(u64::from(DIGIT));
                self.timers
                    .set(self.now + after, Timer::Digit(channel, digit, DIGIT));
                after += Duration::from_millis(u64::from(DIGIT));
            }
        }
        if step.hang_up {
            self.caller_hangs_up(key, HangupParty::Caller);
        }
    }

    fn caller_hangs_up(&mut self, key: CallKey, why: HangupParty) {
        let Some(call) = self.calls.active.get(key) else {
            return;
        };
        let channel = call.channel;
        self.call_hung_up(key, why);
        self.far_side_hangs_up(channel);
    }

    pub(crate) fn call_answer_requested(&mut self, key: CallKey) {
        if let Some(call) = self.calls.active.get_mut(key) {
            call.record.answers += 1;
        }
    }

    pub(crate) fn call_answered(&mut self, key: CallKey) {
        let now = self.now.millis();
        let Some(call) = self.calls.active.get_mut(key) else {
            return;
        };
        call.record.answered_at_ms = Some(now);
        let limit = call.script.limit;
        // The first timer is the one of giving up.
        let patience = (!call.timers.is_empty()).then(|| call.timers.remove(0));
        self.timers.cancel(patience);
        self.set_call_timer(key, limit, CallTimer::Limit(key));
        self.call_cue(key, Cue::Answered, None);
    }

    /// Something is to be played on the channel of a call, while it is `busy` or not.
    pub(crate) fn call_played_to(&mut self, key: CallKey, busy: bool) {
        if let Some(call) = self.calls.active.get_mut(key) {
            call.record.plays += 1;
            call.record.overlaps += u32::from(busy);
        }
    }

    fn listeners(&self, target: MediaTarget) -> Vec<CallKey> {
        let call = |key: &ChannelKey| {
            self.channels
                .get(*key)
                .and_then(super::channel::Channel::call)
        };
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
                .active
                .get_mut(key)
                .filter(|call| call.record.heard.len() < MAX_HEARD)
            {
                call.record.heard.push(Heard {
                    media: media.to_owned(),
                    at_ms,
                    to_end: false,
                });
            }
            self.call_cue(key, Cue::Hearing, Some(media));
        }
    }

    pub(crate) fn callers_heard_to_end(&mut self, target: MediaTarget, media: &str) {
        for key in self.listeners(target) {
            let Some(call) = self.calls.active.get_mut(key) else {
                continue;
            };
            let heard = call
                .record
                .heard
                .iter_mut()
                .rev()
                .find(|heard| heard.media == media && !heard.to_end);
            // Who came into the bridge in the middle of it has not heard it.
            let Some(heard) = heard else { continue };
            heard.to_end = true;
            self.call_cue(key, Cue::Heard, Some(media));
        }
    }

    pub(crate) fn call_bridged(&mut self, key: CallKey, entered: bool) {
        if entered && let Some(call) = self.calls.active.get_mut(key) {
            call.record.bridged += 1;
        }
        self.call_cue(
            key,
            if entered {
                Cue::Bridged
            } else {
                Cue::Unbridged
            },
            None,
        );
    }

    /// A digit of the caller reached Asterisk, where an application was told of it or not.
    pub(crate) fn call_digit(&mut self, key: CallKey, digit: char, taken: bool) {
        if let Some(call) = self.calls.active.get_mut(key).filter(|_| taken) {
            call.record.digits_taken.push(digit);
        }
    }

    pub(crate) fn call_hung_up(&mut self, key: CallKey, by: HangupParty) {
        if let Some(call) = self.calls.active.get_mut(key) {
            call.record.hung_up_by.get_or_insert(by);
        }
    }

    pub(crate) fn call_ended(&mut self, key: CallKey, cause: u16) {
        let Some(mut call) = self.calls.active.remove(key) else {
            return;
        };
        for timer in call.timers.drain(..) {
            self.timers.cancel(Some(timer));
        }
        let mut record = call.record;
        record.cause = Some(cause);
        record.ended_at_ms = Some(self.now.millis());
        record.hung_up_by.get_or_insert(HangupParty::Dialplan);
        let totals = &mut self.calls.totals;
        totals.ended += 1;
        totals.answered += u64::from(record.answered_at_ms.is_some());
        totals.lost += u64::from(record.answered_at_ms.is_none());
        totals.answered_twice += u64::from(record.answers > 1);
        totals.bridged += u64::from(record.bridged > 0);
        totals.hung_up_by_application +=
            u64::from(record.hung_up_by == Some(HangupParty::Application));
        if self.calls.ended.len() >= self.calls.kept {
            self.calls.ended.pop_front();
        }
        if self.calls.kept > 0 {
            self.calls.ended.push_back(record);
        }
    }
}
