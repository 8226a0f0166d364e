//! Events: read once for what routing needs, decoded on demand.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    endings::Finality,
    entity::{EntityKind, Metadata},
    error::{Error, Result},
    events::EventBody,
    peek::{self, Header},
};

pub use crate::peek::{Concern, Numbers, Role};

/// An event, shared by everybody who is interested in it.
///
/// It stays as it came from the wire. What routing needs is read when it arrives; the typed
/// [`body`](Self::body) is decoded when somebody asks for it, and at most once.
#[derive(Clone)]
pub struct Event(Arc<Inner>);

struct Inner {
    json: ByteString,
    header: Header,
    body: OnceLock<Result<EventBody, Arc<Error>>>,
}

impl Event {
    /// Reads an event as it came from the wire.
    ///
    /// # Errors
    /// It is not UTF-8, not JSON, or not an object with a `type`.
    pub fn parse(raw: impl Into<Bytes>) -> Result<Self> {
        let raw = raw.into();
        let json = ByteString::try_from(raw.clone())
            .map_err(|error| peek::undecodable(&raw, error.into()))?;
        Self::parse_text(json)
    }

    /// Reads an event that is known to be text, which need not be looked at for it.
    ///
    /// # Errors
    /// It is not JSON, or not an object with a `type`.
    pub fn parse_text(json: impl Into<ByteString>) -> Result<Self> {
        let json = json.into();
        let header = peek::peek(&json)?;
        Ok(Self(Arc::new(Inner {
            json,
            header,
            body: OnceLock::new(),
        })))
    }

    /// The type, as in `StasisStart`.
    pub fn kind(&self) -> &str {
        self.0.header.kind.get(&self.0.json)
    }

    /// The event as it came.
    pub fn raw(&self) -> &Bytes {
        self.0.json.as_bytes()
    }

    /// The event as a JSON value.
    ///
    /// # Errors
    /// It holds a number or a text that no value can be made of, such as `1e999` or half of a surrogate pair.
    pub fn to_value(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.0.json).map_err(|error| {
            Error::decode::<serde_json::Value>(self.kind(), self.raw(), error.into())
        })
    }

    /// The Stasis application that it is for.
    pub fn application(&self) -> Option<&str> {
        self.text(self.0.header.application.as_ref())
    }

    /// The entity id of the Asterisk that it comes from.
    pub fn asterisk_id(&self) -> Option<&str> {
        self.text(self.0.header.asterisk_id.as_ref())
    }

    /// The dialog that this copy is for.
    pub fn dialog(&self) -> Option<&str> {
        self.text(self.0.header.dialog.as_ref())
    }

    /// When it happened, as Asterisk wrote it.
    pub fn timestamp(&self) -> Option<&str> {
        self.text(self.0.header.timestamp.as_ref())
    }

    /// Application, Asterisk and dialog.
    pub fn metadata(&self) -> Metadata {
        Metadata {
            application: self.application().map(Arc::from),
            asterisk_id: self.asterisk_id().map(Arc::from),
            dialog: self.dialog().map(Arc::from),
        }
    }

    /// The entities that it concerns.
    pub fn concerns(&self) -> impl Iterator<Item = Concern<'_>> {
        self.0
            .header
            .concerns
            .iter()
            .map(|concern| concern.get(&self.0.json))
    }

    /// Whether it concerns this entity.
    pub fn is_about(&self, kind: EntityKind, id: &str) -> bool {
        self.concerns()
            .any(|concern| concern.kind == kind && concern.id == id)
    }

    /// The numbers that the proxy gave it.
    pub fn numbers(&self) -> Option<Numbers<'_>> {
        self.0
            .header
            .numbers
            .as_ref()
            .map(|numbers| numbers.get(&self.0.json))
    }

    /// The event with its type's own fields; decoded at the first call.
    ///
    /// A type that this version does not know is [`EventBody::Unknown`].
    ///
    /// # Errors
    /// A field has a value of the wrong type. The event stays readable by [`raw`](Self::raw).
    pub fn body(&self) -> Result<&EventBody, Arc<Error>> {
        self.0
            .body
            .get_or_init(|| EventBody::decode(self.kind(), &self.0.json).map_err(Arc::new))
            .as_ref()
            .map_err(Arc::clone)
    }

    /// Of what kind the entity is that it may end, and what it means for its life.
    pub(crate) fn finality(&self) -> Option<(EntityKind, Finality)> {
        self.0.header.finality
    }

    fn text<'a>(&'a self, text: Option<&'a peek::Text>) -> Option<&'a str> {
        text.map(|text| text.get(&self.0.json))
            .filter(|text| !text.is_empty())
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("kind", &self.kind())
            .field("asterisk_id", &self.asterisk_id())
            .field("concerns", &self.concerns().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
