//! Calling: how the side that is called rings, answers, refuses, or does nothing.

use std::time::Duration;

use super::{
    Timer, World,
    call_record::HangupParty,
    channel::{Channel, ChannelKey, Dialing, Run, State, Tech, Then},
    options::Outcome as PhoneOutcome,
    originate::Endpoint,
};

impl World {
    /// Begins to call: the far half runs the dialplan, the phone rings.
    pub(crate) fn start_dialing(
        &mut self,
        key: ChannelKey,
        endpoint: &Endpoint,
        dialstring: String,
        then: Then,
        timeout: Option<i64>,
    ) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let far = channel.peer();
        if let (Endpoint::Local { exten, context }, Some(far)) = (endpoint, far) {
            self.pass_to_far_half(key, far);
            if !self.options.dialplan.exists(context, exten) {
                self.destroy_channel(far);
                self.end_channel(key);
                return;
            }
        }
        let timeout = timeout.map(|seconds| {
            let after = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
            self.timers.set(self.now + after, Timer::DialTimeout(key))
        });
        self.tell_dial(key, "", &dialstring);
        // Once it is answered, a channel that was created names no dial string any more.
        let dialstring = if matches!(then, Then::Stay) {
            String::new()
        } else {
            dialstring
        };
        let dialing = Dialing {
            dialstring,
            then,
            timeout,
            phone: None,
        };
        if let Some(channel) = self.channels.get_mut(key) {
            channel.dialing = Some(dialing);
        }
        match (endpoint, far) {
            (Endpoint::Local { exten, context }, Some(far)) => {
                self.run_dialplan(far, context, exten, 1);
            }
            (Endpoint::Sip { name }, _) => {
                self.call_comes(key, name);
                let first = self.phone_of(key).and_then(|phone| {
                    phone.rings_after.or(match phone.outcome {
                        PhoneOutcome::Answers(after) | PhoneOutcome::Refuses(_, after) => {
                            Some(after)
                        }
                        PhoneOutcome::Silent | PhoneOutcome::Unreachable => None,
                    })
                });
                self.set_phone_timer(key, first);
            }
            (Endpoint::Media(media), _) => self.call_media(key, media),
            (Endpoint::Local { .. }, None) => {}
        }
    }

    fn set_phone_timer(&mut self, key: ChannelKey, after: Option<Duration>) {
        let timer = after.map(|after| self.timers.set(self.now + after, Timer::Phone(key)));
        if let Some(dialing) = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.dialing.as_mut())
        {
            dialing.phone = timer;
        }
    }

    /// The phone that is called rings, then does what it does in the end.
    pub(crate) fn phone_acts(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let Some(phone) = self.phone_of(key) else {
            return;
        };
        if channel.state == State::Down && phone.rings_after.is_some() {
            self.called_party_rings(key);
            let rang = phone.rings_after.unwrap_or_default();
            let next = match phone.outcome {
                PhoneOutcome::Answers(after) | PhoneOutcome::Refuses(_, after) => {
                    Some(after.saturating_sub(rang))
                }
                PhoneOutcome::Silent | PhoneOutcome::Unreachable => None,
            };
            self.set_phone_timer(key, next);
            return;
        }
        match phone.outcome {
            PhoneOutcome::Answers(_) => self.called_party_answers(key),
            PhoneOutcome::Refuses(cause, _) => {
                if let Some(call) = self.channels.get(key).and_then(Channel::call) {
                    self.call_hung_up(call, HangupParty::Called);
                }
                self.called_party_refuses(key, cause);
            }
            PhoneOutcome::Silent | PhoneOutcome::Unreachable => {}
        }
    }

    /// What the near half has goes to the far half: variables, and the two parties crossed over.
    fn pass_to_far_half(&mut self, key: ChannelKey, far: ChannelKey) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let variables = channel.variables.clone();
        let (caller, connected) = (channel.caller.clone(), channel.connected.clone());
        for (name, value) in variables.iter().rev() {
            self.write_variable(far, name, Some(value), false);
        }
        if let Some(far) = self.channels.get_mut(far) {
            (far.caller, far.connected) = (connected.clone(), caller.clone());
        }
        if !connected.is_empty() {
            self.tell_caller_id(far);
        }
        if !caller.is_empty() {
            self.tell_channel_plain(far, "ChannelConnectedLine");
        }
    }

    pub(crate) fn called_party_rings(&mut self, key: ChannelKey) {
        let Some(channel) = self
            .channels
            .get_mut(key)
            .filter(|channel| channel.state == State::Down)
        else {
            return;
        };
        channel.state = State::Ringing;
        let dialstring = channel
            .dialing
            .as_ref()
            .map(|dialing| dialing.dialstring.clone());
        self.tell_channel_plain(key, "ChannelStateChange");
        self.tell_device_of(key, "INUSE");
        if let Some(dialstring) = dialstring {
            self.tell_dial(key, "RINGING", &dialstring);
        }
    }

    pub(crate) fn called_party_answers(&mut self, key: ChannelKey) {
        let Some(channel) = self
            .channels
            .get_mut(key)
            .filter(|channel| channel.state != State::Up)
        else {
            return;
        };
        channel.state = State::Up;
        let (dialing, call) = (channel.dialing.take(), channel.call());
        self.tell_channel_plain(key, "ChannelStateChange");
        self.tell_device_of(key, "INUSE");
        self.phone_is_up(key);
        if let Some(call) = call {
            self.call_answered(call);
        }
        let Some(dialing) = dialing else { return };
        self.timers.cancel(dialing.timeout);
        self.timers.cancel(dialing.phone);
        if let Then::Bridge { caller } = dialing.then {
            self.dial_answered(key, caller);
            return;
        }
        self.tell_dial(key, "ANSWER", &dialing.dialstring);
        match dialing.then {
            Then::Stay | Then::Bridge { .. } => {}
            Then::Stasis { app, args } => {
                self.show_stasis(key, &app, &args);
                if !self.enter_stasis(key, &app, &args) {
                    self.end_channel(key);
                }
            }
            Then::Dialplan {
                context,
                exten,
                priority,
            } => self.run_dialplan(key, &context, &exten, priority),
        }
    }

    /// The far side refuses the call: busy, congestion, or any other cause.
    pub(crate) fn called_party_refuses(&mut self, key: ChannelKey, cause: u16) {
        let status = match cause {
            17 => "BUSY",
            34 => "CONGESTION",
            _ => "",
        };
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let stays = matches!(
            channel.dialing,
            Some(Dialing {
                then: Then::Stay,
                ..
            })
        );
        let is_sip = matches!(channel.tech, Tech::Sip { .. });
        if channel.dialed_by.is_some() {
            channel.cause = cause;
        }
        if is_sip {
            channel.cause = cause;
            channel.tech_cause = Some(sip_status(cause));
        }
        if !status.is_empty() {
            let dialstring = channel
                .dialing
                .as_ref()
                .map(|dialing| dialing.dialstring.clone())
                .unwrap_or_default();
            self.tell_dial(key, status, &dialstring);
        }
        if stays && !is_sip {
            // The far half stays for as long as its dialplan says.
            self.drop_dialing(key);
            return;
        }
        if !status.is_empty() {
            self.drop_dialing(key);
        }
        if stays {
            self.tell_hangup_request(key, Some(cause), false);
        }
        self.end_channel(key);
    }

    pub(crate) fn drop_dialing(&mut self, key: ChannelKey) {
        let dialing = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.dialing.take());
        if let Some(dialing) = dialing {
            self.timers.cancel(dialing.timeout);
            self.timers.cancel(dialing.phone);
        }
    }

    pub(crate) fn dial_timed_out(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        channel.cause = 19;
        let call = channel.call();
        let stays = matches!(channel.run, Run::Stasis { .. });
        if channel.dialed_by.is_some() {
            self.tell_dial(key, "NOANSWER", "");
        }
        self.drop_dialing(key);
        if let Some(call) = call {
            self.call_hung_up(call, HangupParty::GaveUp);
        }
        if stays {
            self.tell_hangup_request(key, Some(32), true);
        }
        self.end_channel(key);
    }
}

/// The SIP status with which a phone refuses a call.
const fn sip_status(cause: u16) -> u16 {
    match cause {
        1 => 404,
        17 => 486,
        18 => 408,
        19 | 20 => 480,
        34 => 503,
        _ => 603,
    }
}
