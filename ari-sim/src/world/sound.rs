//! What comes in from the far sides of channels: nothing, silence or voice.
//!
//! No audio flows here. What is kept is what Asterisk concludes from audio: whether frames come at all, which
//! recordings count and `Answer()` waits for, and whether somebody is heard, which talk detection tells.

use super::{
    World,
    bridge::BridgeKey,
    channel::{ChannelKey, Tech},
    time::SimTime,
};

/// Channels that a sound passes at most, so that no circle of bridges passes it for ever.
pub(crate) const MAX_HOPS: u8 = 16;

/// What a channel sends or hears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sound {
    /// No frames.
    #[default]
    Nothing,
    /// Frames in which nothing is to be heard.
    Silence,
    Voice,
}

/// What the dialplan of a channel sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    #[default]
    Nothing,
    Voice,
    /// What comes in.
    Echo,
}

/// What Asterisk sends to the far side of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) dialplan: Source,
    pub(crate) playback: bool,
    pub(crate) silence: bool,
    pub(crate) music: bool,
}

impl Sent {
    fn sound(self, hears: Sound) -> Sound {
        let own = if self.playback || self.music {
            Sound::Voice
        } else if self.silence {
            Sound::Silence
        } else {
            Sound::Nothing
        };
        own.max(match self.dialplan {
            Source::Nothing => Sound::Nothing,
            Source::Voice => Sound::Voice,
            Source::Echo => hears.max(Sound::Silence),
        })
    }
}

impl World {
    /// Lets the far side of a channel talk from now on: the phone of a SIP channel, or who sends media to an
    /// external one. Says whether there is such a channel.
    ///
    /// What the half of a Local channel hears is what the other half sends.
    pub fn talk(&mut self, now: SimTime, channel: &str) -> bool {
        self.far_side(now, channel, Sound::Voice)
    }

    /// Lets the far side of a channel be silent from now on. Says whether there is such a channel.
    pub fn fall_silent(&mut self, now: SimTime, channel: &str) -> bool {
        self.far_side(now, channel, Sound::Silence)
    }

    fn far_side(&mut self, now: SimTime, channel: &str, sound: Sound) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        let outside = self
            .channels
            .get(key)
            .is_some_and(|channel| matches!(channel.tech, Tech::Sip { .. } | Tech::Media(_)));
        if outside {
            self.hear(key, sound, MAX_HOPS);
        }
        outside
    }

    /// A phone that is up sends frames, whether anybody talks or not.
    pub(crate) fn phone_is_up(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        if matches!(channel.tech, Tech::Sip { .. }) && channel.hears == Sound::Nothing {
            self.hear(key, Sound::Silence, MAX_HOPS);
        }
    }

    /// Changes what Asterisk sends to the far side of a channel.
    pub(crate) fn change_sent(&mut self, key: ChannelKey, change: impl FnOnce(&mut Sent)) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let before = channel.sent;
        change(&mut channel.sent);
        if channel.sent != before {
            self.pass_sound(key, MAX_HOPS);
        }
    }

    /// Who is in a bridge changed, or what is played there.
    pub(crate) fn bridge_sounds_else(&mut self, key: BridgeKey) {
        self.pass_in_bridge(key, None, MAX_HOPS);
    }

    /// All that goes out to the far side of a channel.
    fn sound_sent(&self, key: ChannelKey) -> Sound {
        let Some(channel) = self.channels.get(key).filter(|channel| !channel.ending) else {
            return Sound::Nothing;
        };
        let own = channel.sent.sound(channel.hears);
        let Some(bridge) = channel.bridge.and_then(|bridge| self.bridges.get(bridge)) else {
            return own;
        };
        if bridge.playing().is_some() || bridge.music.is_some() {
            return Sound::Voice;
        }
        if bridge.kind.holding {
            return own;
        }
        let others = bridge.members.iter().filter(|member| **member != key);
        let heard = others.filter_map(|member| self.channels.get(*member));
        heard.map(|member| member.hears).fold(own, Sound::max)
    }

    /// Passes on what a channel sends to where it is heard.
    pub(crate) fn pass_sound(&mut self, key: ChannelKey, hops: u8) {
        let Some(channel) = self.channels.get(key).filter(|_| hops > 0) else {
            return;
        };
        let (peer, snooped) = (channel.peer(), !channel.snoops.is_empty());
        if peer.is_none() && !snooped {
            return;
        }
        let sound = self.sound_sent(key);
        if let Some(peer) = peer {
            self.hear(peer, sound, hops - 1);
        }
        if snooped {
            self.pass_to_snoops(key, hops - 1);
        }
    }

    /// A snoop channel hears what comes in on the channel it spies on, or goes out, or both.
    pub(crate) fn pass_to_snoops(&mut self, key: ChannelKey, hops: u8) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let (snoops, heard) = (channel.snoops.clone(), channel.hears);
        let sent = self.sound_sent(key);
        for snoop in snoops {
            let Some(Tech::Snoop(tech)) = self.channels.get(snoop).map(|snoop| &snoop.tech) else {
                continue;
            };
            let incoming = if tech.spies_in { heard } else { Sound::Nothing };
            let outgoing = if tech.spies_out { sent } else { Sound::Nothing };
            // A snoop that spies on silence hears frames of silence.
            let least = if tech.spies_in || tech.spies_out {
                Sound::Silence
            } else {
                Sound::Nothing
            };
            self.hear(snoop, incoming.max(outgoing).max(least), hops);
        }
    }

    fn pass_in_bridge(&mut self, key: BridgeKey, from: Option<ChannelKey>, hops: u8) {
        let Some(bridge) = self.bridges.get(key) else {
            return;
        };
        // Most bridges have only phones in them, whose far sides are people.
        let passed: Vec<_> = bridge
            .members
            .iter()
            .copied()
            .filter(|member| Some(*member) != from)
            .filter(|member| {
                self.channels
                    .get(*member)
                    .is_some_and(|known| known.peer().is_some() || !known.snoops.is_empty())
            })
            .collect();
        for member in passed {
            self.pass_sound(member, hops);
        }
    }

    /// Something else comes in from the far side of a channel.
    pub(crate) fn hear(&mut self, key: ChannelKey, sound: Sound, hops: u8) {
        let now = self.now;
        let Some(channel) = self
            .channels
            .get_mut(key)
            .filter(|channel| channel.hears != sound)
        else {
            return;
        };
        let before = std::mem::replace(&mut channel.hears, sound);
        let (bridge, snooped, echo) = (
            channel.bridge,
            !channel.snoops.is_empty(),
            channel.sent.dialplan == Source::Echo,
        );
        if (before == Sound::Nothing) != (sound == Sound::Nothing) {
            let begins = before == Sound::Nothing;
            channel.audible_since = begins.then_some(now);
            self.far_side_audible(key, begins);
            if begins {
                self.audio_begins(key);
            }
        }
        if (before == Sound::Voice) != (sound == Sound::Voice) {
            self.recordings_hear_talking(key);
        }
        self.detect_talk(key);
        if before == Sound::Nothing {
            self.may_optimise(key);
        }
        if hops == 0 {
            return;
        }
        if echo {
            self.pass_sound(key, hops);
        } else if snooped {
            self.pass_to_snoops(key, hops - 1);
        }
        if let Some(bridge) = bridge {
            self.pass_in_bridge(bridge, Some(key), hops);
        }
    }
}
