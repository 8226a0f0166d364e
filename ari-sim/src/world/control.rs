//! What applications ask of channels: answer, ring, digits and the like.

use std::time::Duration;

use super::{
    Timer, World,
    channel::{ChannelKey, State, Tech},
    events::MediaTarget,
    json::object,
    params::Params,
    queue::Job,
    reply::{Outcome, Reply, no_content, ok, refuse, refuse_as},
    time::SimTime,
};

impl World {
    pub(crate) fn answer(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        if let Some(call) = self
            .channels
            .get(key)
            .and_then(super::channel::Channel::call)
        {
            self.call_answer_requested(call);
        }
        if self.is_busy(key) {
            let ticket = self.ticket(1);
            self.enqueue(key, Job::Answer(ticket));
            return Ok(Reply::Later(ticket));
        }
        self.answer_channel(key);
        no_content()
    }

    /// Answers a channel; the other half learns it.
    pub(crate) fn answer_channel(&mut self, key: ChannelKey) {
        let Some(channel) = self
            .channels
            .get_mut(key)
            .filter(|channel| channel.state != State::Up)
        else {
            return;
        };
        channel.state = State::Up;
        if matches!(channel.tech, Tech::Sip { .. }) {
            self.phone_sends_audio(key);
        }
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let (peer, call) = (channel.peer(), channel.call());
        self.tell_channel_plain(key, "ChannelStateChange");
        self.tell_device_of(key, "INUSE");
        if let Some(peer) = peer.filter(|peer| {
            self.channels
                .get(*peer)
                .is_some_and(|peer| peer.dialing.is_some())
        }) {
            self.called_party_answers(peer);
        }
        if let Some(call) = call {
            self.call_answered(call);
        }
    }

    pub(crate) fn ring(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let unanswered = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.state == State::Ring);
        if let Some(peer) = self.peer_of(key).filter(|_| unanswered) {
            self.called_party_rings(peer);
        }
        no_content()
    }

    pub(crate) fn progress(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let peer = self
            .peer_of(key)
            .and_then(|peer| Some((peer, self.channels.get(peer)?.dialing.as_ref()?)));
        if let Some((peer, dialstring)) =
            peer.map(|(peer, dialing)| (peer, dialing.dialstring.clone()))
        {
            self.tell_dial(peer, "PROGRESS", &dialstring);
        }
        no_content()
    }

    /// What is done, but seen by nobody: hold, music, silence, the end of ringing.
    pub(crate) fn without_effect(&self, params: Params<'_>) -> Outcome {
        self.stasis_channel(params)?;
        no_content()
    }

    pub(crate) fn mute(&self, params: Params<'_>) -> Outcome {
        self.stasis_channel(params)?;
        let direction = params
            .given("direction")
            .ok_or_else(|| refuse(400, "Direction is required"))?;
        if matches!(&*direction, "in" | "out" | "both") {
            no_content()
        } else {
            Err(refuse(400, "Invalid direction specified"))
        }
    }

    pub(crate) fn send_dtmf(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let digits = params
            .given("dtmf")
            .ok_or_else(|| refuse(400, "DTMF is required"))?;
        let millis = |name, default| {
            params
                .number(name)
                .and_then(|millis| u32::try_from(millis).ok())
                .unwrap_or(default)
        };
        let (before, between, duration) = (
            millis("before", 0),
            millis("between", 100),
            millis("duration", 100),
        );
        self.press_digits(key, &digits, before, between, duration);
        no_content()
    }

    /// Sends digits out of a channel to the other half; says how long that takes.
    pub(crate) fn press_digits(
        &mut self,
        key: ChannelKey,
        digits: &str,
        before: u32,
        between: u32,
        duration: u32,
    ) -> Duration {
        let mut after = Duration::from_millis(u64::from(before));
        let each = Duration::from_millis(u64::from(between) + u64::from(duration));
        let peer = self.peer_of(key);
        for digit in digits.chars() {
            after += each;
            if let Some(peer) = peer {
                self.timers
                    .set(self.now + after, Timer::Digit(peer, digit, duration));
            }
        }
        after
    }

    /// Lets the far side of a channel press a digit: the phone of a SIP channel, or the half of a Local
    /// channel that is named.
    ///
    /// It arrives when it is released, after `duration`. Says whether there is such a channel.
    pub fn press(&mut self, now: SimTime, channel: &str, digit: char, duration: Duration) -> bool {
        self.advance(now);
        let named = |name: &str| {
            self.channels
                .iter()
                .find(|(_, known)| &*known.name == name)
                .map(|(key, _)| key)
        };
        let Some(key) = self
            .channel_ids
            .get(channel)
            .copied()
            .or_else(|| named(channel))
        else {
            return false;
        };
        let receiver = self.peer_of(key).unwrap_or(key);
        let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.timers
            .set(now + duration, Timer::Digit(receiver, digit, millis));
        true
    }

    /// A digit comes in on a channel.
    pub(crate) fn digit_arrives(&mut self, key: ChannelKey, digit: char, millis: u32) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let bridge = channel.bridge;
        if let Some(call) = channel.call() {
            let app = channel.stasis().and_then(|app| self.apps.get(app));
            let heard = app.is_some_and(|app| app.session.is_some());
            self.call_digit(call, digit, heard);
        }
        self.tell_digit(key, digit, millis);
        self.digit_ends_recording(MediaTarget::Channel(key), digit);
        let Some(bridge) = bridge else { return };
        self.digit_ends_recording(MediaTarget::Bridge(bridge), digit);
        // A bridge passes digits on to the far sides of its other members.
        let members = self
            .bridges
            .get(bridge)
            .map(|bridge| bridge.members.clone())
            .unwrap_or_default();
        for member in members.into_iter().filter(|member| *member != key) {
            if let Some(far) = self.peer_of(member) {
                self.tell_digit(far, digit, millis);
            }
        }
    }

    fn tell_digit(&mut self, key: ChannelKey, digit: char, millis: u32) {
        self.tell_channel(key, "ChannelDtmfReceived", |world, json| {
            world.head(json, "ChannelDtmfReceived");
            json.text("digit", digit.encode_utf8(&mut [0; 4]))
                .plain("duration_ms", millis);
        });
    }

    pub(crate) fn redirect(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let missing = || {
            refuse_as(
                400,
                "Not Found",
                "Required parameter 'endpoint' not provided.",
            )
        };
        let endpoint = params.given("endpoint").ok_or_else(missing)?;
        let Some((tech, _)) = endpoint.split_once('/') else {
            let message = format!("Endpoint parameter '{endpoint}' does not contain tech/resource");
            return Err(refuse(422, &message));
        };
        let own = self.channels.get(key).map(|channel| {
            channel
                .name
                .split('/')
                .next()
                .unwrap_or_default()
                .to_owned()
        });
        match own {
            Some(own) if own != tech => {
                let message = format!(
                    "Endpoint technology '{tech}' does not match channel technology '{own}'"
                );
                Err(refuse(422, &message))
            }
            _ => no_content(),
        }
    }

    pub(crate) fn rtp_statistics(&self, params: Params<'_>) -> Outcome {
        let key = self.channel_of(params)?;
        let Some(channel) = self.channels.get(key) else {
            return Err(refuse(404, "Channel not found"));
        };
        if matches!(channel.tech, Tech::Local { .. }) {
            return Err(refuse(403, "Unsupported channel type"));
        }
        ok(object(|json| {
            for counter in [
                "txcount",
                "rxcount",
                "txploss",
                "rxploss",
                "local_ssrc",
                "remote_ssrc",
                "txoctetcount",
                "rxoctetcount",
            ] {
                json.plain(counter, 0);
            }
            json.text("channel_uniqueid", &channel.id);
            for measure in [
                "txjitter",
                "rxjitter",
                "remote_maxjitter",
                "remote_minjitter",
                "remote_normdevjitter",
                "remote_stdevjitter",
                "local_maxjitter",
                "local_minjitter",
                "local_normdevjitter",
                "local_stdevjitter",
            ] {
                json.raw(measure, "0.0");
            }
        }))
    }

    pub(crate) fn transfer_progress(&self, params: Params<'_>) -> Outcome {
        self.stasis_channel(params)?;
        let states = params
            .given("states")
            .ok_or_else(|| refuse(400, "states must not be empty"))?;
        match &*states {
            "channel_progress"
            | "channel_answered"
            | "channel_unavailable"
            | "channel_declined" => no_content(),
            _ => Err(refuse(400, "Invalid states value")),
        }
    }
}
