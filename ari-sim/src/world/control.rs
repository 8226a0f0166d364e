//! What applications ask of channels: answer, ring, hold, music and the like.

use super::{
    World,
    channel::{Channel, ChannelKey, State, Tech},
    params::Params,
    queue::Command,
    reply::{Outcome, Refused, no_content, refuse},
};

/// Digits that a channel sends.
#[derive(Clone, Debug)]
pub(crate) struct Digits {
    pub(crate) text: String,
    pub(crate) before: u32,
    pub(crate) between: u32,
    pub(crate) duration: u32,
    pub(crate) after: u32,
}

impl World {
    /// The channel of a request, if it is in Stasis and not one that is still being called.
    pub(crate) fn ready_channel(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.stasis_channel(params)?;
        match self.channels.get(key).map(|channel| channel.state) {
            Some(State::Down | State::Ringing) => Err(refuse(412, "Channel in invalid state")),
            _ => Ok(key),
        }
    }

    pub(crate) fn answer(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        if let Some(call) = self.channels.get(key).and_then(Channel::call) {
            self.call_answer_requested(call);
        }
        self.ask(key, Command::Answer)
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
        let (peer, call) = (channel.peer(), channel.call());
        self.tell_channel_plain(key, "ChannelStateChange");
        self.tell_device_of(key, "INUSE");
        self.phone_is_up(key);
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
        let key = self.ready_channel(params)?;
        self.order(key, Command::Ring)
    }

    pub(crate) fn indicate_ringing(&mut self, key: ChannelKey) {
        let unanswered = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.state == State::Ring);
        if let Some(peer) = self.peer_of(key).filter(|_| unanswered) {
            self.called_party_rings(peer);
        }
    }

    pub(crate) fn progress(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        self.order(key, Command::Progress)
    }

    /// Tells the calling side that there is something to be heard before the answer.
    pub(crate) fn indicate_progress(&mut self, key: ChannelKey) {
        let now = self.now;
        if let Some(channel) = self.channels.get_mut(key)
            && matches!(channel.tech, Tech::Sip { .. })
        {
            channel.early_media.get_or_insert(now);
        }
        let peer = self
            .peer_of(key)
            .and_then(|peer| Some((peer, self.channels.get(peer)?.dialing.as_ref()?)));
        if let Some((peer, dialstring)) =
            peer.map(|(peer, dialing)| (peer, dialing.dialstring.clone()))
        {
            self.tell_dial(peer, "PROGRESS", &dialstring);
        }
    }

    /// What is to be heard on a channel that nobody answered is preceded by progress.
    pub(crate) fn open_early_media(&mut self, key: ChannelKey) {
        let unanswered = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.state != State::Up);
        if unanswered {
            self.indicate_progress(key);
        }
    }

    /// What is done, but seen by nobody: hold, and the end of ringing.
    pub(crate) fn without_effect(&self, params: Params<'_>) -> Outcome {
        self.ready_channel(params)?;
        no_content()
    }

    pub(crate) fn silence(&mut self, params: Params<'_>, starts: bool) -> Outcome {
        let key = self.ready_channel(params)?;
        self.order(key, Command::Silence(starts))
    }

    pub(crate) fn send_silence(&mut self, key: ChannelKey, starts: bool) {
        if starts {
            self.open_early_media(key);
        }
        self.change_sent(key, |sent| sent.silence = starts);
    }

    pub(crate) fn music(&mut self, params: Params<'_>, starts: bool) -> Outcome {
        let key = self.ready_channel(params)?;
        self.order(key, Command::Music(starts))
    }

    pub(crate) fn send_music(&mut self, key: ChannelKey, starts: bool) {
        if starts {
            self.open_early_media(key);
        }
        self.change_sent(key, |sent| sent.music = starts);
    }

    pub(crate) fn mute(&self, params: Params<'_>) -> Outcome {
        self.ready_channel(params)?;
        let direction = params
            .given("direction")
            .ok_or_else(|| refuse(400, "Direction is required"))?;
        if matches!(&*direction, "in" | "out" | "both") {
            no_content()
        } else {
            Err(refuse(400, "Invalid direction specified"))
        }
    }
}
