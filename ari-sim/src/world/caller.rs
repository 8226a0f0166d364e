//! The other side of the phone: calls that phones place and receive, from their beginning to their end.
//!
//! What is done at the phone is in `phone`, by script and by hand alike; what is heard there in `hearing`.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use super::{
    Timer, World,
    arena::{Arena, Key},
    call_record::{CallRecord, CallTotals, HangupParty},
    channel::{ChannelKey, Party, State, Tech},
    options::Phone,
    phone::CallId,
    script::{CallScript, Cue},
    time::{SimTime, TimerKey},
};

pub(crate) type CallKey = Key<Call>;

/// Received calls that ended and that nobody has taken; older ones are forgotten.
const MAX_MISSED: usize = 100;

/// On which side of the call the phone is.
#[derive(Debug)]
pub(crate) enum Side {
    Calling,
    /// What the phone does by itself is what was set when the call came.
    Called(Option<Phone>),
}

/// A call, as the phone sees it.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) record: CallRecord,
    pub(crate) script: Arc<CallScript>,
    pub(crate) side: Side,
    /// None where the dialplan has no such extension.
    pub(crate) channel: Option<ChannelKey>,
    /// Which steps were begun.
    pub(crate) begun: Vec<bool>,
    /// Steps to come.
    pub(crate) timers: Vec<TimerKey>,
    /// Giving up, then the limit.
    pub(crate) patience: Option<TimerKey>,
    /// Until when somebody talks.
    pub(crate) talks_until: Option<TimerKey>,
    /// When the next digit can be pressed.
    pub(crate) keys_free: SimTime,
    /// Somebody has the phone in hand: the call is kept after its end.
    pub(crate) held: bool,
    /// It is in the queue of those that changed.
    pub(crate) changed: bool,
}

impl Call {
    pub(crate) const fn is_over(&self) -> bool {
        self.record.ended_at_ms.is_some()
    }

    pub(crate) const fn is_called(&self) -> bool {
        matches!(self.side, Side::Called(_))
    }
}

/// What happens to a call at a point in time.
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
    /// Somebody falls silent.
    Silence(CallKey),
}

/// Calls that are still to be placed.
#[derive(Debug)]
pub(crate) struct Batch {
    script: Arc<CallScript>,
    /// `None`: they have no end.
    left: Option<u64>,
    interval: Duration,
}

/// All calls of a world.
#[derive(Debug)]
pub(crate) struct Calls {
    /// Those that go on, and those that ended while somebody had the phone in hand.
    pub(crate) known: Arena<Call>,
    ended: VecDeque<CallRecord>,
    kept: usize,
    totals: CallTotals,
    pub(crate) received: u64,
    missed: VecDeque<CallKey>,
    /// Held calls that changed since somebody looked.
    pub(crate) changed: VecDeque<CallId>,
    /// Script of those that do nothing by themselves.
    idle: Arc<CallScript>,
}

impl Calls {
    pub(crate) fn new(kept: usize) -> Self {
        Self {
            known: Arena::default(),
            ended: VecDeque::new(),
            kept,
            totals: CallTotals::default(),
            received: 0,
            missed: VecDeque::new(),
            changed: VecDeque::new(),
            idle: Arc::default(),
        }
    }
}

impl World {
    /// Lets a caller call who follows a script; gives the number of the call.
    pub fn place_call(&mut self, now: SimTime, script: impl Into<Arc<CallScript>>) -> u64 {
        self.advance(now);
        self.place(&script.into(), false);
        self.calls.totals.placed
    }

    /// Lets so many callers call, one after the other; `None`: without end, a millisecond apart at least.
    pub fn place_calls(
        &mut self,
        now: SimTime,
        script: impl Into<Arc<CallScript>>,
        count: impl Into<Option<u64>>,
        interval: Duration,
    ) {
        self.advance(now);
        let left = count.into();
        let waiting = left.unwrap_or(1);
        self.calls.totals.waiting = self.calls.totals.waiting.saturating_add(waiting);
        let interval = match left {
            Some(_) => interval,
            None => interval.max(Duration::from_millis(1)),
        };
        self.place_next(Batch {
            script: script.into(),
            left,
            interval,
        });
    }

    /// What became of all calls that phones placed.
    pub const fn call_totals(&self) -> CallTotals {
        self.calls.totals
    }

    /// The records of placed calls that ended, oldest first, then of those that go on.
    pub fn call_records(&self) -> impl Iterator<Item = &CallRecord> {
        let active = |call: &&Call| !call.is_over() && !call.is_called();
        let known = self.calls.known.iter().map(|(_, call)| call);
        let active = known.filter(active).map(|call| &call.record);
        self.calls.ended.iter().chain(active)
    }

    /// Forgets the records of calls that ended, and gives them.
    pub fn take_call_records(&mut self) -> Vec<CallRecord> {
        std::mem::take(&mut self.calls.ended).into()
    }

    /// Places calls until the next one has to wait.
    fn place_next(&mut self, mut batch: Batch) {
        while batch.left != Some(0) {
            if let Some(left) = &mut batch.left {
                *left -= 1;
                self.calls.totals.waiting -= 1;
            }
            let script = Arc::clone(&batch.script);
            self.place(&script, false);
            if !batch.interval.is_zero() && batch.left != Some(0) {
                let at = self.now + batch.interval;
                self.timers.set(at, Timer::Call(CallTimer::Place(batch)));
                return;
            }
        }
    }

    fn add_call(&mut self, script: &Arc<CallScript>, side: Side, record: CallRecord) -> CallKey {
        let record = CallRecord {
            placed_at_ms: self.now.millis(),
            ..record
        };
        self.calls.known.insert(Call {
            record,
            script: Arc::clone(script),
            side,
            channel: None,
            begun: vec![false; script.steps.len()],
            timers: Vec::new(),
            patience: None,
            talks_until: None,
            keys_free: self.now,
            held: false,
            changed: false,
        })
    }

    /// Places a call; one that somebody holds is kept after its end.
    pub(crate) fn place(&mut self, script: &Arc<CallScript>, held: bool) -> CallKey {
        self.calls.totals.placed += 1;
        self.calls.totals.active += 1;
        let extension = if script.extension.is_empty() {
            format!("app-{}", script.application)
        } else {
            script.extension.clone()
        };
        let record = CallRecord {
            number: self.calls.totals.placed,
            application: script.application.clone(),
            dialed: extension.clone(),
            ..CallRecord::default()
        };
        let key = self.add_call(script, Side::Calling, record);
        if let Some(call) = self.calls.known.get_mut(key) {
            call.held = held;
        }
        let straight = script.extension.is_empty();
        if !straight && !self.options.dialplan.exists(&script.context, &extension) {
            // Asterisk refuses such a call before there is a channel.
            self.call_hung_up(key, HangupParty::Dialplan);
            self.call_ended(key, 1);
            return key;
        }
        let id: Arc<str> = self.unique_id().into();
        let channel = self.make_sip_channel(Arc::clone(&id), &script.endpoint, State::Ring);
        self.tie(key, channel, &id);
        if let Some(data) = self.channels.get_mut(channel) {
            data.caller = Party::parse(&script.caller_id);
            data.place.context.clone_from(&script.context);
            data.place.exten.clone_from(&extension);
            data.has_dialplan = true;
        }
        let patience = self.call_timer_in(script.give_up_after, CallTimer::GiveUp(key));
        if let Some(call) = self.calls.known.get_mut(key) {
            call.patience = Some(patience);
        }
        self.call_cue(key, Cue::Placed, None);
        if !straight {
            self.run_dialplan(channel, &script.context, &extension, 1);
            return key;
        }
        let args = script.args.join(",");
        self.show_stasis(channel, &script.application, &args);
        self.tell_dialplan(channel);
        if !self.enter_stasis(channel, &script.application, &args) {
            if let Some(data) = self.channels.get_mut(channel) {
                data.cause = 16;
            }
            self.call_hung_up(key, HangupParty::Dialplan);
            self.end_channel(channel);
        }
        key
    }

    /// A phone is called: it does what was set for it, or what is done by hand.
    pub(crate) fn call_comes(&mut self, channel: ChannelKey, endpoint: &str) {
        let Some(id) = self.channels.get(channel).map(|data| Arc::clone(&data.id)) else {
            return;
        };
        self.calls.received += 1;
        let record = CallRecord {
            number: self.calls.received,
            dialed: endpoint.to_owned(),
            ..CallRecord::default()
        };
        let phone = self.options.phones.get(endpoint).cloned();
        let idle = Arc::clone(&self.calls.idle);
        let key = self.add_call(&idle, Side::Called(phone), record);
        self.tie(key, channel, &id);
    }

    /// Ties a call and its channel together.
    fn tie(&mut self, key: CallKey, channel: ChannelKey, id: &str) {
        if let Some(call) = self.calls.known.get_mut(key) {
            call.channel = Some(channel);
            id.clone_into(&mut call.record.channel_id);
        }
        if let Some(data) = self.channels.get_mut(channel)
            && let Tech::Sip { call, .. } = &mut data.tech
        {
            *call = Some(key);
        }
    }

    pub(crate) fn call_timer_in(&mut self, after: Duration, timer: CallTimer) -> TimerKey {
        self.timers.set(self.now + after, Timer::Call(timer))
    }

    pub(crate) fn call_timer(&mut self, timer: CallTimer) {
        match timer {
            CallTimer::Place(batch) => self.place_next(batch),
            CallTimer::GiveUp(key) => self.phone_hangs_up(key, HangupParty::GaveUp, None),
            CallTimer::Limit(key) => self.phone_hangs_up(key, HangupParty::Limit, None),
            CallTimer::Step(key, step) => self.call_step(key, step),
            CallTimer::Silence(key) => self.phone_talks(key, false),
        }
    }

    pub(crate) fn call_answer_requested(&mut self, key: CallKey) {
        if let Some(call) = self.calls.known.get_mut(key) {
            call.record.answers += 1;
        }
    }

    pub(crate) fn call_answered(&mut self, key: CallKey) {
        let now = self.now.millis();
        let Some(call) = self.calls.known.get_mut(key) else {
            return;
        };
        call.record.answered_at_ms = Some(now);
        let limit = (!call.is_called()).then_some(call.script.limit);
        let patience = call.patience.take();
        self.timers.cancel(patience);
        let limit = limit.map(|limit| self.call_timer_in(limit, CallTimer::Limit(key)));
        if let Some(call) = self.calls.known.get_mut(key) {
            call.patience = limit;
        }
        self.call_cue(key, Cue::Answered, None);
    }

    pub(crate) fn call_bridged(&mut self, key: CallKey, entered: bool) {
        if let Some(call) = self.calls.known.get_mut(key) {
            call.record.bridged += u32::from(entered);
            call.record.in_bridge = entered;
        }
        let cue = if entered {
            Cue::Bridged
        } else {
            Cue::Unbridged
        };
        self.call_cue(key, cue, None);
    }

    /// A digit of the phone reached Asterisk, where an application was told of it or not.
    pub(crate) fn call_digit(&mut self, key: CallKey, digit: char, taken: bool) {
        if let Some(call) = self.calls.known.get_mut(key).filter(|_| taken) {
            call.record.digits_taken.push(digit);
        }
    }

    pub(crate) fn call_hung_up(&mut self, key: CallKey, by: HangupParty) {
        if let Some(call) = self.calls.known.get_mut(key) {
            call.record.hung_up_by.get_or_insert(by);
        }
    }

    /// Ends every call that goes on.
    pub(crate) fn cut_calls_off(&mut self, cause: u16) {
        let known: Vec<_> = self.calls.known.iter().map(|(key, _)| key).collect();
        for key in known {
            self.call_ended(key, cause);
        }
    }

    pub(crate) fn call_ended(&mut self, key: CallKey, cause: u16) {
        let now = self.now.millis();
        let Some(call) = self.calls.known.get_mut(key).filter(|call| !call.is_over()) else {
            return;
        };
        for timer in call.timers.drain(..) {
            self.timers.cancel(Some(timer));
        }
        self.timers.cancel(call.patience.take());
        self.timers.cancel(call.talks_until.take());
        call.channel = None;
        let record = &mut call.record;
        for heard in &mut record.heard {
            heard.until_ms.get_or_insert(now);
        }
        record.in_bridge = false;
        record.cause = Some(cause);
        record.ended_at_ms = Some(now);
        record.hung_up_by.get_or_insert(HangupParty::Dialplan);
        let (held, called) = (call.held, call.is_called());
        self.call_changed(key);
        if called {
            if !held {
                self.call_missed(key);
            }
            return;
        }
        let record = if held {
            self.calls.known.get(key).map(|call| call.record.clone())
        } else {
            self.calls.known.remove(key).map(|call| call.record)
        };
        if let Some(record) = record {
            self.calls.count_ended(record);
        }
    }

    /// Nobody has taken a received call in hand: it can still be, for a while.
    fn call_missed(&mut self, key: CallKey) {
        self.calls.missed.push_back(key);
        while self.calls.missed.len() > MAX_MISSED {
            let oldest = self.calls.missed.pop_front();
            if let Some(oldest) = oldest
                && self.calls.known.get(oldest).is_some_and(|call| !call.held)
            {
                self.calls.known.remove(oldest);
            }
        }
    }
}

impl Calls {
    fn count_ended(&mut self, record: CallRecord) {
        let totals = &mut self.totals;
        totals.active -= 1;
        totals.ended += 1;
        totals.answered += u64::from(record.answered_at_ms.is_some());
        totals.lost += u64::from(record.answered_at_ms.is_none());
        totals.answered_twice += u64::from(record.answers > 1);
        totals.bridged += u64::from(record.bridged > 0);
        totals.hung_up_by_application +=
            u64::from(record.hung_up_by == Some(HangupParty::Application));
        if self.ended.len() >= self.kept {
            self.ended.pop_front();
        }
        if self.kept > 0 {
            self.ended.push_back(record);
        }
    }
}
