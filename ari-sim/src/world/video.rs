//! The source of video of a bridge.

use std::sync::Arc;

use super::{
    World,
    bridge::BridgeKey,
    channel::ChannelKey,
    params::Params,
    reply::{Outcome, no_content, refuse},
};

impl World {
    /// Shows one member to all.
    pub(crate) fn set_video_source(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let channel = self.controlled_channel(&params.text("channelId"))?;
        if self
            .channels
            .get(channel)
            .is_none_or(|channel| channel.bridge != Some(key))
        {
            return Err(refuse(422, "Channel not in this bridge"));
        }
        self.change_video(key, "single", Some(channel));
        no_content()
    }

    /// Shows whoever talks; the bridge is described anew when somebody enters or leaves.
    pub(crate) fn clear_video_source(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        if let Some(bridge) = self.bridges.get_mut(key) {
            bridge.video_cleared = true;
        }
        no_content()
    }

    /// A bridge is described anew.
    pub(crate) fn show_video(&mut self, key: BridgeKey) {
        let bridge = self.bridges.get(key);
        if bridge.is_some_and(|bridge| bridge.video_cleared) {
            self.change_video(key, "talker", None);
        }
    }

    /// A member leaves that was shown to all: nobody is, until somebody else is chosen.
    pub(crate) fn video_source_leaves(&mut self, key: BridgeKey, channel: ChannelKey) {
        if let Some(bridge) = self
            .bridges
            .get(key)
            .filter(|bridge| bridge.video_source == Some(channel))
        {
            let mode = bridge.kind.video_mode;
            self.change_video(key, mode, None);
        }
    }

    fn change_video(&mut self, key: BridgeKey, mode: &'static str, source: Option<ChannelKey>) {
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        bridge.video_cleared = false;
        bridge.kind.video_mode = mode;
        let old = std::mem::replace(&mut bridge.video_source, source);
        if old == source {
            return;
        }
        let old = old.and_then(|old| self.channels.get(old));
        let old = old.map(|old| Arc::clone(&old.id));
        self.tell_video_source(key, old.as_deref());
    }
}
