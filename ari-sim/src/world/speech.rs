//! What comes in from the far side of a channel: audio, talking, hold.

use super::{World, channel::ChannelKey};

/// The music that a phone suggests to whoever it puts on hold.
const SUGGESTED_MUSIC: &str = "default";

impl World {
    /// The phone of a channel was answered: audio comes in from now on, with silence in it as well.
    pub(crate) fn phone_sends_audio(&mut self, key: ChannelKey) {
        let now = self.now;
        if let Some(channel) = self.channels.get_mut(key) {
            channel.audible_since = Some(now);
            self.far_side_audible(key, true);
        }
    }

    /// Somebody at the far side of a channel talks, or falls silent.
    pub(crate) fn far_side_talks(&mut self, key: ChannelKey, talks: bool) {
        let now = self.now;
        if let Some(channel) = self.channels.get_mut(key) {
            if talks {
                channel.talking_since.get_or_insert(now);
            } else {
                channel.talking_since = None;
            }
            self.recordings_hear_talking(key);
        }
    }

    /// The far side of a channel puts Asterisk on hold, or takes it from hold.
    pub(crate) fn far_side_holds(&mut self, key: ChannelKey, holds: bool) {
        if !holds {
            self.tell_channel_plain(key, "ChannelUnhold");
            return;
        }
        self.tell_channel(key, "ChannelHold", |world, json| {
            world.head(json, "ChannelHold");
            json.text("musicclass", SUGGESTED_MUSIC);
        });
    }
}
