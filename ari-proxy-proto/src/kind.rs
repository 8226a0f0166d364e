//! What a row of the table of kinds says.

use std::{collections::HashMap, sync::LazyLock};

use ari_core::{EntityKind, OperationSpec};

use crate::{subject::Class, table};

/// One kind of request: what it is called on the wire, and how it stands to an ARI operation.
///
/// All of them are rows of one table, from which clients encode and servers decode.
#[derive(Debug)]
pub struct Kind {
    pub(crate) name: &'static str,
    pub(crate) class: Class,
    pub(crate) collects: bool,
    pub(crate) operation: (&'static str, &'static str),
    /// Other operations of the resource that differ only in where a parameter goes.
    pub(crate) aliases: &'static [&'static str],
    /// Whether clients use it for its operation; otherwise it must be asked for by name.
    pub(crate) primary: bool,
    pub(crate) key: KeyUse,
    pub(crate) payload: Option<Payload>,
    /// A parameter that the kind itself stands for.
    pub(crate) fixed: Option<(&'static str, &'static str)>,
    pub(crate) run: Run,
    pub(crate) answer: Answer,
    pub(crate) binds: (When, &'static [Bind]),
    pub(crate) failure: Failure,
    /// Error for a key without an id, where it is not the usual one.
    pub(crate) unnamed: Option<&'static str>,
}

/// What the key of a request names.
#[derive(Clone, Copy, Debug)]
pub(crate) enum KeyUse {
    /// Only whom the request is for.
    Target,
    /// An entity whose id is this parameter.
    Entity(EntityKind, &'static str),
    /// An entity whose id is these parameters, joined by slashes.
    Path(EntityKind, &'static [&'static str]),
    /// A new entity; without an id the server makes one with this suffix.
    New(EntityKind, &'static str, &'static str),
    /// The channel that stands behind a new one, if there is any.
    Originator,
    /// The channel that a user event is about; the application of the key is the event's.
    Source,
}

/// The payload object of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Payload {
    /// Name in the envelope.
    pub(crate) name: &'static str,
    /// Object below it that holds all fields.
    pub(crate) below: Option<&'static str>,
    pub(crate) fields: &'static [Field],
    /// Error of a request without it; the Go server crashes where there is none.
    pub(crate) missing: Option<&'static str>,
}

/// A field of a payload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Name in the payload.
    pub(crate) name: &'static str,
    /// Name in ARI.
    pub(crate) parameter: &'static str,
    pub(crate) form: Form,
    /// Object within the payload that holds it, where it is not the payload itself.
    pub(crate) within: Option<&'static str>,
    /// Left out of the payload when it is empty.
    pub(crate) optional: bool,
    /// ARI gets it even if it is empty or zero.
    pub(crate) always: bool,
    /// What an empty one says.
    pub(crate) empty: Empty,
    /// What the server takes for an empty one.
    pub(crate) default: FieldDefault,
}

/// What an empty value in the payload says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Empty {
    /// That there is none, which is the same to ARI.
    Absent,
    /// That there is none, where ARI tells zero from absent.
    Ambiguous,
    /// Nothing that Go takes, though ARI does.
    Refused,
}

/// How a value of the payload becomes one of ARI.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Text.
    Text,
    /// Text; a list of one in ARI.
    Item,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Nanoseconds; whole seconds in ARI.
    Seconds,
    /// Nanoseconds; whole milliseconds in ARI.
    Milliseconds,
    /// An object of texts, left out if empty.
    Texts,
    /// An object of texts, `null` if empty.
    TextsOrNull,
    /// Pairs of attribute and value.
    Tuples,
    /// An object with these parameters; `null` if there is none.
    Parameters(&'static [&'static str]),
    /// A whole event of which only name and variables count.
    UserEvent,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum FieldDefault {
    None,
    Text(&'static str),
    /// The application of the server.
    Application,
    /// A new id with this suffix.
    Id(&'static str),
    /// There is none: the request is refused with this text.
    Refuse(&'static str),
}

/// What a server does about a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Run {
    /// Makes the call.
    Call,
    /// Looks whether the entity of the key exists, then makes the call.
    CheckAndCall,
    /// Looks whether the entity of the key exists.
    Check,
    /// Makes the call without parameters, and looks for the key in its answer.
    Find,
    /// Only binds.
    Nothing,
    /// Ends the bindings of the dialog.
    Release,
    /// Makes the call that the payload names.
    Extension,
}

/// What a success answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// Nothing.
    Nothing,
    /// The key of the request, at the server.
    RequestKey,
    /// The key of something new, whose id is this parameter.
    NewKey(EntityKind, &'static str),
    /// The same, with the dialog of the request.
    NewKeyInDialog(EntityKind, &'static str),
    /// A key for each item of the list.
    Keys(EntityKind, KeyId),
    /// The same, without those that the request's key does not match.
    MatchingKeys(EntityKind, KeyId),
    /// Data in this member of `data`.
    Data(&'static str, Shape),
}

/// Where an item of a list has its id.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum KeyId {
    Member(&'static str),
    Endpoint,
}

/// How data stand to what ARI answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// ARI's object and the key.
    Keyed,
    /// ARI's object.
    Bare,
    /// The text of a variable.
    Variable,
    /// The fields of a configuration object, and where they are from.
    Config,
    /// The one log channel of the list that the key names.
    Log,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum When {
    /// Before the call, even if that fails.
    Before,
    /// After the check, before the call.
    Checked,
    /// After success.
    After,
}

/// What is bound to the dialog of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bind {
    /// The entity that a parameter names.
    Parameter(EntityKind, &'static str),
    /// The entity of an event source such as `channel:17`.
    EventSource(&'static str),
    /// The channel that the key names.
    Key,
}

/// What a server says before the cause when the call fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Failure {
    /// Nothing.
    Plain,
    /// That data of this type could not be had.
    Data(&'static str),
    /// This.
    Text(&'static str),
    /// That (un)subscribing an application failed.
    Subscription(&'static str),
    /// That a global variable could not be had.
    VariableGet,
    /// That a global variable could not be set.
    VariableSet,
}

impl Kind {
    /// The name on the wire, as in `ChannelAnswer`.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The class of subjects that it is sent to.
    pub const fn class(&self) -> Class {
        self.class
    }

    /// Whether the answers of all servers together are the result.
    pub const fn collects(&self) -> bool {
        self.collects
    }

    /// The ARI operation that it stands for; `None` for our own kinds.
    pub fn operation(&self) -> Option<&'static OperationSpec> {
        ari_core::registry::operation(self.operation.0, self.operation.1)
    }

    /// The kind of this name, our own ones included.
    pub fn named(name: &str) -> Option<&'static Self> {
        INDEX.by_name.get(name).copied()
    }

    /// The kind that clients use for an operation.
    pub fn for_operation(operation: &OperationSpec) -> Option<&'static Self> {
        INDEX
            .by_operation
            .get(&(operation.resource, operation.name))
            .copied()
    }

    /// The kind that binds an entity to a dialog and does nothing else.
    pub fn subscribing(entity: EntityKind) -> Option<&'static Self> {
        Self::named(match entity {
            EntityKind::Bridge => "BridgeSubscribe",
            EntityKind::Channel => "ChannelSubscribe",
            EntityKind::LiveRecording => "RecordingLiveSubscribe",
            EntityKind::Playback => "PlaybackSubscribe",
            _ => return None,
        })
    }

    /// All kinds of the Go proxy.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        table::TABLE.iter().copied().flatten()
    }
}

struct Index {
    by_name: HashMap<&'static str, &'static Kind>,
    by_operation: HashMap<(&'static str, &'static str), &'static Kind>,
}

static INDEX: LazyLock<Index> = LazyLock::new(|| {
    let mut by_operation = HashMap::new();
    for kind in Kind::all().filter(|kind| kind.primary) {
        let (resource, name) = kind.operation;
        for &name in std::iter::once(&name).chain(kind.aliases) {
            by_operation.insert((resource, name), kind);
        }
    }
    let by_name = Kind::all()
        .chain(table::OWN)
        .map(|kind| (kind.name, kind))
        .collect();
    Index {
        by_name,
        by_operation,
    }
});
