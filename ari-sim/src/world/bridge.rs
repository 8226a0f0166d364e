//! Bridges: what is known of each.

use std::{collections::VecDeque, sync::Arc};

use super::{
    World, application::AppKey, arena::Key, channel::ChannelKey, json::Json, playback::PlaybackKey,
    recording::RecordingKey, variables::Variables,
};

pub(crate) type BridgeKey = Key<Bridge>;

/// How many parties make Asterisk mix instead of passing audio through.
const MIXED_FROM: usize = 3;

/// The kinds of bridges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BridgeKind {
    pub(crate) holding: bool,
    pub(crate) video_mode: &'static str,
}

impl BridgeKind {
    /// Reads the parameter `type`; `None` where no bridge can be all of it.
    pub(crate) fn parse(attributes: &[String]) -> Option<Self> {
        let mut kind = Self {
            holding: false,
            video_mode: "talker",
        };
        for attribute in attributes {
            match attribute.trim() {
                "" | "mixing" | "dtmf_events" | "proxy_media" | "sdp_label" => {}
                "holding" => kind.holding = true,
                "video_sfu" => kind.video_mode = "sfu",
                "video_single" => kind.video_mode = "single",
                _ => return None,
            }
        }
        Some(kind)
    }

    pub(crate) fn technology(self, parties: usize) -> &'static str {
        match (self.holding, self.video_mode) {
            (true, _) => "holding_bridge",
            (false, "sfu") => "softmix",
            (false, _) if parties >= MIXED_FROM => "softmix",
            _ => "simple_bridge",
        }
    }
}

/// Who takes part in a bridge, from the point of view of `BRIDGEPEER`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Party {
    Member(ChannelKey),
    /// A channel of Asterisk's own that plays or records.
    Helper(Arc<str>),
}

/// The channel that plays to a bridge, and what it has to play.
#[derive(Debug)]
pub(crate) struct Announcer {
    pub(crate) helper: Arc<str>,
    pub(crate) playing: Option<PlaybackKey>,
    pub(crate) queue: VecDeque<PlaybackKey>,
}

#[derive(Debug)]
pub(crate) struct Bridge {
    pub(crate) id: Arc<str>,
    pub(crate) name: String,
    pub(crate) serial: u64,
    pub(crate) kind: BridgeKind,
    pub(crate) technology: &'static str,
    pub(crate) created: Arc<str>,
    pub(crate) members: Vec<ChannelKey>,
    pub(crate) parties: Vec<Party>,
    pub(crate) watchers: Vec<AppKey>,
    pub(crate) variables: Variables,
    pub(crate) music: Option<Arc<str>>,
    pub(crate) announcer: Option<Announcer>,
    pub(crate) recorders: Vec<(RecordingKey, Arc<str>)>,
}

impl Bridge {
    pub(crate) fn playing(&self) -> Option<PlaybackKey> {
        self.announcer
            .as_ref()
            .and_then(|announcer| announcer.playing)
    }

    pub(crate) fn write(&self, world: &World, json: &mut Json) {
        let mut members: Vec<_> = self
            .members
            .iter()
            .filter_map(|key| world.channels.get(*key))
            .map(|channel| &*channel.id)
            .collect();
        members.sort_unstable();
        json.text("id", &self.id)
            .text("technology", self.technology);
        json.text(
            "bridge_type",
            if self.kind.holding {
                "holding"
            } else {
                "mixing"
            },
        );
        json.text("bridge_class", "stasis")
            .text("creator", "Stasis")
            .text("name", &self.name);
        json.texts("channels", members)
            .text("creationtime", &self.created)
            .text("video_mode", self.kind.video_mode);
        self.variables.write_reported("bridgevars", json);
    }
}
