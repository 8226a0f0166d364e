//! What is done at a phone, by a script or by hand, and looking at a call by hand.

use std::{sync::Arc, time::Duration};

use super::{
    Timer, World,
    call_record::{CallRecord, HangupParty},
    caller::{CallKey, CallTimer, Side},
    channel::{ChannelKey, State},
    options::Phone,
    script::{Act, ActError, CallScript, is_digit},
    time::SimTime,
};

/// A call that somebody has in hand, of a phone that called or was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(CallKey);

impl World {
    /// Lets somebody call who has the phone in hand: the call is known until it is
    /// [released](Self::release_call), also after its end.
    pub fn start_call(&mut self, now: SimTime, script: impl Into<Arc<CallScript>>) -> CallId {
        self.advance(now);
        CallId(self.place(&script.into(), true))
    }

    /// How many calls phones have received.
    pub const fn received_calls(&self) -> u64 {
        self.calls.received
    }

    /// Takes the first call to an endpoint in hand that nobody has, of those that go on and those that came after
    /// the first `since` calls were received.
    pub fn take_call(&mut self, now: SimTime, endpoint: &str, since: u64) -> Option<CallId> {
        self.advance(now);
        let calls = self.calls.known.iter().filter(|(_, call)| {
            call.is_called()
                && !call.held
                && call.record.dialed == endpoint
                && (!call.is_over() || call.record.number > since)
        });
        let (key, _) = calls.min_by_key(|(_, call)| call.record.number)?;
        self.calls.known.get_mut(key)?.held = true;
        Some(CallId(key))
    }

    /// What was seen of a call that somebody has in hand.
    pub fn held_call(&self, id: CallId) -> Option<&CallRecord> {
        let call = self.calls.known.get(id.0).filter(|call| call.held)?;
        Some(&call.record)
    }

    /// The next of the calls in hand of which something new was seen.
    pub fn poll_call(&mut self) -> Option<CallId> {
        let id = self.calls.changed.pop_front()?;
        if let Some(call) = self.calls.known.get_mut(id.0) {
            call.changed = false;
        }
        Some(id)
    }

    /// Lets a call go that somebody had in hand: it is hung up, unless it is over.
    pub fn release_call(&mut self, now: SimTime, id: CallId) {
        self.advance(now);
        let Some(call) = self.calls.known.get_mut(id.0).filter(|call| call.held) else {
            return;
        };
        call.held = false;
        if call.is_over() {
            self.calls.known.remove(id.0);
            return;
        }
        // Nobody is left who could take it up again.
        let called = call.is_called();
        self.hang_up_by_hand(id.0, None);
        if called {
            self.calls.known.remove(id.0);
        }
    }

    /// Sets what the phone at `PJSIP/<name>` does with the calls to come; there is one from now on.
    pub fn set_phone(&mut self, name: impl Into<String>, phone: Phone) {
        self.options.phones.insert(name.into(), phone);
    }

    /// Does something at a phone; says when it is done.
    ///
    /// # Errors
    /// The call is over, or a phone cannot do it.
    pub fn act(&mut self, now: SimTime, id: CallId, act: Act) -> Result<SimTime, ActError> {
        self.advance(now);
        if self.held_call(id).is_none() {
            return Err(ActError::Over);
        }
        self.act_at_phone(id.0, act)
    }

    fn act_at_phone(&mut self, key: CallKey, act: Act) -> Result<SimTime, ActError> {
        let call = self.calls.known.get(key).ok_or(ActError::Over)?;
        let channel = call.channel.ok_or(ActError::Over)?;
        let called = call.is_called();
        match act {
            Act::Press {
                digits,
                digit,
                pause,
            } => return self.press_keys(key, channel, &digits, digit, pause),
            Act::Talk(length) => {
                self.phone_talks(key, true);
                if let Some(length) = length {
                    let timer = self.call_timer_in(length, CallTimer::Silence(key));
                    if let Some(call) = self.calls.known.get_mut(key) {
                        call.talks_until = Some(timer);
                    }
                    return Ok(self.now + length);
                }
            }
            Act::FallSilent => self.phone_talks(key, false),
            Act::Hold => self.far_side_holds(channel, true),
            Act::Unhold => self.far_side_holds(channel, false),
            Act::Answer if called => self.called_party_answers(channel),
            Act::Answer => return Err(ActError::NotCalled),
            Act::HangUp(cause) => self.hang_up_by_hand(key, cause),
        }
        Ok(self.now)
    }

    fn press_keys(
        &mut self,
        key: CallKey,
        channel: ChannelKey,
        digits: &str,
        digit: Duration,
        pause: Duration,
    ) -> Result<SimTime, ActError> {
        if let Some(other) = digits.chars().find(|digit| !is_digit(*digit)) {
            return Err(ActError::NoDigit(other));
        }
        let call = self.calls.known.get_mut(key).ok_or(ActError::Over)?;
        call.record.digits_pressed.push_str(digits);
        let mut free = call.keys_free.max(self.now);
        let mut done = self.now;
        let millis = u32::try_from(digit.as_millis()).unwrap_or(u32::MAX);
        for key in digits.chars() {
            done = free + digit;
            free = done + pause;
            self.timers.set(done, Timer::Digit(channel, key, millis));
        }
        call.keys_free = free;
        Ok(done)
    }

    /// Somebody at the phone talks, or falls silent.
    pub(crate) fn phone_talks(&mut self, key: CallKey, talks: bool) {
        let Some(call) = self.calls.known.get_mut(key) else {
            return;
        };
        let (timer, channel) = (call.talks_until.take(), call.channel);
        self.timers.cancel(timer);
        if let Some(channel) = channel {
            self.far_side_talks(channel, talks);
        }
    }

    fn hang_up_by_hand(&mut self, key: CallKey, cause: Option<u16>) {
        let Some(call) = self.calls.known.get(key) else {
            return;
        };
        let by = match call.side {
            Side::Calling => HangupParty::Caller,
            Side::Called(_) => HangupParty::Called,
        };
        self.phone_hangs_up(key, by, cause);
    }

    pub(crate) fn phone_hangs_up(&mut self, key: CallKey, by: HangupParty, cause: Option<u16>) {
        let Some(call) = self.calls.known.get(key) else {
            return;
        };
        let Some(channel) = call.channel else { return };
        let called = call.is_called();
        self.call_hung_up(key, by);
        let answered = self
            .channels
            .get(channel)
            .is_some_and(|data| data.state == State::Up);
        if called && !answered {
            self.called_party_refuses(channel, cause.unwrap_or(DECLINED));
        } else {
            self.far_side_hangs_up(channel, cause);
        }
    }

    /// A step of the script waits for what happened.
    pub(crate) fn step_cued(&mut self, key: CallKey, place: usize, cued: bool, after: Duration) {
        let Some(call) = self.calls.known.get_mut(key).filter(|_| cued) else {
            return;
        };
        if let Some(begun) = call.begun.get_mut(place).filter(|begun| !**begun) {
            *begun = true;
            let timer = self.call_timer_in(after, CallTimer::Step(key, place));
            if let Some(call) = self.calls.known.get_mut(key) {
                call.timers.push(timer);
            }
        }
    }

    pub(crate) fn call_step(&mut self, key: CallKey, place: usize) {
        let script = self
            .calls
            .known
            .get(key)
            .map(|call| Arc::clone(&call.script));
        let step = script.as_ref().and_then(|script| script.steps.get(place));
        for act in step.map(super::script::Step::acts).unwrap_or_default() {
            // What no phone can do was refused when the script was given.
            let _ = self.act_at_phone(key, act);
        }
    }

    /// What the phone that is called does by itself.
    pub(crate) fn phone_of(&self, channel: ChannelKey) -> Option<Phone> {
        let key = self.channels.get(channel)?.call()?;
        match &self.calls.known.get(key)?.side {
            Side::Called(phone) => phone.clone(),
            Side::Calling => None,
        }
    }

    /// Something new was seen of a call.
    pub(crate) fn call_changed(&mut self, key: CallKey) {
        if let Some(call) = self
            .calls
            .known
            .get_mut(key)
            .filter(|call| call.held && !call.changed)
        {
            call.changed = true;
            self.calls.changed.push_back(CallId(key));
        }
    }
}

/// Cause with which a phone refuses a call that somebody declines.
const DECLINED: u16 = 21;
