//! What people do at the far side of a channel: they talk, fall silent, hold.

use super::{
    World,
    channel::ChannelKey,
    sound::{MAX_HOPS, Sound},
};

/// The music that a phone suggests to whoever it puts on hold.
const SUGGESTED_MUSIC: &str = "default";

impl World {
    /// Somebody at the far side of a channel talks, or falls silent.
    pub(crate) fn far_side_talks(&mut self, key: ChannelKey, talks: bool) {
        let sound = if talks { Sound::Voice } else { Sound::Silence };
        self.hear(key, sound, MAX_HOPS);
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
