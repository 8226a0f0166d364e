//! Bridges: what is known of each.

use std::{collections::VecDeque, sync::Arc};

use super::{
    World, application::AppKey, arena::Key, channel::ChannelKey, json::Json, playback::PlaybackKey,
    recording::RecordingKey, variables::Variables,
};

pub(crate) type BridgeKey = Key<Bridge>;

/// How many parties make Asterisk mix instead of passing audio through.
const MIXED_FROM: usize = 3;

/// What a bridge is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BridgeKind {
    pub(crate) holding: bool,
    /// It mixes, however few take part.
    always_mixes: bool,
    pub(crate) video_mode: &'static str,
}

impl BridgeKind {
    /// A bridge that the dialplan makes between two channels.
    pub(crate) const DIALED: Self = Self {
        holding: false,
        always_mixes: false,
        video_mode: "none",
    };

    /// Reads the parameter `type`; `None` where no bridge can be all of it, or nothing is left of it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mut mixing, mut holding, mut video_mode) = (text.is_empty(), false, "talker");
        for attribute in text.split(',') {
            match attribute.trim() {
                "mixing" => mixing = true,
                "holding" => holding = true,
                "video_sfu" => video_mode = "sfu",
                "video_single" => video_mode = "single",
                _ => {}
            }
        }
        let always_mixes = video_mode == "sfu";
        if always_mixes {
            (mixing, holding) = (true, false);
        }
        (mixing != holding).then_some(Self {
            holding,
            always_mixes,
            video_mode,
        })
    }

    pub(crate) fn technology(self, parties: usize) -> &'static str {
        if self.holding {
            "holding_bridge"
        } else if self.always_mixes || parties >= MIXED_FROM {
            "softmix"
        } else {
            "simple_bridge"
        }
    }
}

/// What is asked of a channel that enters a bridge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Membership {
    /// Its digits are not passed on.
    pub(crate) absorbs_dtmf: bool,
    /// It is not heard.
    pub(crate) muted: bool,
    /// The others do not learn who it is.
    pub(crate) is_anonymous: bool,
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
    /// The dialplan made it: applications see it, and can ask nothing of it.
    pub(crate) dialed: bool,
    pub(crate) video_source: Option<ChannelKey>,
    /// There is no source any more, which shows when somebody enters or leaves.
    pub(crate) video_cleared: bool,
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
    pub(crate) fn new(
        id: Arc<str>,
        name: String,
        serial: u64,
        kind: BridgeKind,
        dialed: bool,
        created: Arc<str>,
    ) -> Self {
        Self {
            id,
            name,
            serial,
            kind,
            dialed,
            video_source: None,
            video_cleared: false,
            technology: kind.technology(0),
            created,
            members: Vec::new(),
            parties: Vec::new(),
            watchers: Vec::new(),
            variables: Variables::default(),
            music: None,
            announcer: None,
            recorders: Vec::new(),
        }
    }

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
        let (class, creator) = if self.dialed {
            ("basic", "")
        } else {
            ("stasis", "Stasis")
        };
        json.text("bridge_class", class)
            .text("creator", creator)
            .text("name", &self.name);
        json.texts("channels", members)
            .text("creationtime", &self.created)
            .text("video_mode", self.kind.video_mode);
        if let Some(source) = self.video_source.and_then(|key| world.channels.get(key)) {
            json.text("video_source_id", &source.id);
        }
        self.variables.write_reported("bridgevars", json);
    }
}

#[cfg(test)]
mod tests {
    use super::BridgeKind;

    #[test]
    fn types_are_read_as_asterisk_reads_them() {
        let technology = |text: &str| BridgeKind::parse(text).map(|kind| kind.technology(2));
        for (text, expected) in [
            ("", Some("simple_bridge")),
            ("mixing", Some("simple_bridge")),
            (" mixing , dtmf_events", Some("simple_bridge")),
            ("mixing,nonsense", Some("simple_bridge")),
            ("holding", Some("holding_bridge")),
            ("video_sfu", Some("softmix")),
            ("holding,video_sfu", Some("softmix")),
            ("holding,mixing", None),
            ("dtmf_events", None),
            ("video_single", None),
            ("nonsense", None),
        ] {
            assert_eq!(technology(text), expected, "{text}");
        }
    }
}
