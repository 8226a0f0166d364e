//! What a request or an event concerns, and where it is.

use std::{fmt, sync::Arc};

/// The kinds of things that ARI addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EntityKind {
    /// A Stasis application.
    Application,
    /// A bridge.
    Bridge,
    /// A channel.
    Channel,
    /// A dynamic configuration object, addressed as `class/type/id`.
    Config,
    /// A device state.
    DeviceState,
    /// An endpoint, addressed as `technology/resource`.
    Endpoint,
    /// A recording that is being made.
    LiveRecording,
    /// A log channel.
    Logging,
    /// A mailbox.
    Mailbox,
    /// A module of Asterisk.
    Module,
    /// A playback.
    Playback,
    /// A sound file.
    Sound,
    /// A recording that was made.
    StoredRecording,
    /// A variable.
    Variable,
}

impl EntityKind {
    /// The kind as the ari-proxy protocol spells it (wire protocol, section 2.2).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Application => "application",
            Self::Bridge => "bridge",
            Self::Channel => "channel",
            Self::Config => "config",
            Self::DeviceState => "devicestate",
            Self::Endpoint => "endpoint",
            Self::LiveRecording => "liverecording",
            Self::Logging => "logging",
            Self::Mailbox => "mailbox",
            Self::Module => "module",
            Self::Playback => "playback",
            Self::Sound => "sound",
            Self::StoredRecording => "storedrecording",
            Self::Variable => "variable",
        }
    }

    /// The kind of this name, in the protocol's spelling or in that of an event source.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "application" => Self::Application,
            "bridge" => Self::Bridge,
            "channel" => Self::Channel,
            "config" => Self::Config,
            "devicestate" | "deviceState" => Self::DeviceState,
            "endpoint" => Self::Endpoint,
            "liverecording" | "recording" => Self::LiveRecording,
            "logging" => Self::Logging,
            "mailbox" => Self::Mailbox,
            "module" => Self::Module,
            "playback" => Self::Playback,
            "sound" => Self::Sound,
            "storedrecording" => Self::StoredRecording,
            "variable" => Self::Variable,
            _ => return None,
        })
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where something is and whose it is: application, Asterisk and dialog.
///
/// As the target of a request it narrows who is asked: with application and Asterisk one server, with
/// neither everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata {
    /// Stasis application.
    pub application: Option<Arc<str>>,
    /// Entity id of the Asterisk, which the cluster calls its node.
    pub asterisk_id: Option<Arc<str>>,
    /// Dialog that the request or the event belongs to.
    pub dialog: Option<Arc<str>>,
}

impl Metadata {
    /// The same with the fields that are missing taken from `other`.
    #[must_use]
    pub fn or(self, other: &Self) -> Self {
        let fill =
            |field: Option<Arc<str>>, other: &Option<Arc<str>>| field.or_else(|| other.clone());
        Self {
            application: fill(self.application, &other.application),
            asterisk_id: fill(self.asterisk_id, &other.asterisk_id),
            dialog: fill(self.dialog, &other.dialog),
        }
    }

    /// Whether application and Asterisk are both known, so that one server is meant.
    pub const fn is_complete(&self) -> bool {
        self.application.is_some() && self.asterisk_id.is_some()
    }
}

/// The address of one thing: kind, id, and where it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Entity {
    /// Kind of the entity.
    pub kind: EntityKind,
    /// Id of the entity.
    pub id: Arc<str>,
    /// Application, Asterisk and dialog of the entity.
    pub metadata: Metadata,
}

impl Entity {
    /// Makes the address of an entity.
    pub fn new(kind: EntityKind, id: impl Into<Arc<str>>, metadata: Metadata) -> Self {
        Self {
            kind,
            id: id.into(),
            metadata,
        }
    }
}

impl fmt::Display for Entity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.id)?;
        match &self.metadata.asterisk_id {
            Some(node) => write!(f, " on {node}"),
            None => Ok(()),
        }
    }
}
