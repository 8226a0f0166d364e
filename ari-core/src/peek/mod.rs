//! One reading of an event for what routing needs: no tree, and no copy of what needs none.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserializer as _;

mod visit;

use self::visit::HeaderVisitor;
use crate::{
    entity::EntityKind,
    error::{Error, Result},
};

/// The member that a proxy of ours appends to each event: boot id, number of the event among those of
/// the node, number among those of the subject.
pub const NUMBERS_MEMBER: &str = "ari_proxy";

/// A text of an event: where it is in the bytes, or a copy where it was escaped there.
#[derive(Debug)]
pub(crate) enum Text {
    Span(u32, u32),
    Owned(Box<str>),
}

impl Text {
    fn new(text: Cow<'_, str>, raw: &[u8]) -> Self {
        let Cow::Borrowed(borrowed) = text else {
            return Self::Owned(text.into());
        };
        let start = borrowed.as_ptr() as usize - raw.as_ptr() as usize;
        match (u32::try_from(start), u32::try_from(start + borrowed.len())) {
            (Ok(start), Ok(end)) => Self::Span(start, end),
            _ => Self::Owned(borrowed.into()),
        }
    }

    pub(crate) fn get<'a>(&'a self, raw: &'a Bytes) -> &'a str {
        match self {
            Self::Owned(text) => text,
            Self::Span(start, end) => {
                std::str::from_utf8(&raw[*start as usize..*end as usize]).unwrap_or_default()
            }
        }
    }
}

/// How an event concerns an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Role {
    /// It is about the entity.
    Subject,
    /// It is about something that plays on, or is recorded from, the entity.
    Target,
    /// It is about a bridge that the channel is a member of.
    Member,
}

/// An entity that an event concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Concern<'a> {
    /// Kind of the entity.
    pub kind: EntityKind,
    /// Id of the entity.
    pub id: &'a str,
    /// How the event concerns it.
    pub role: Role,
}

#[derive(Debug)]
pub(crate) struct StoredConcern {
    kind: EntityKind,
    id: Text,
    role: Role,
}

impl StoredConcern {
    pub(crate) fn get<'a>(&'a self, raw: &'a Bytes) -> Concern<'a> {
        Concern {
            kind: self.kind,
            id: self.id.get(raw),
            role: self.role,
        }
    }
}

/// The numbers that a proxy of ours gives each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Numbers<'a> {
    /// Changes each time the proxy starts.
    pub boot: &'a str,
    /// Number of the event among all of its node.
    pub node: u64,
    /// Number of the event among those of its subject.
    pub subject: u64,
}

#[derive(Debug)]
pub(crate) struct StoredNumbers {
    boot: Text,
    node: u64,
    subject: u64,
}

impl StoredNumbers {
    pub(crate) fn get<'a>(&'a self, raw: &'a Bytes) -> Numbers<'a> {
        Numbers {
            boot: self.boot.get(raw),
            node: self.node,
            subject: self.subject,
        }
    }
}

/// What routing needs of an event.
#[derive(Debug)]
pub(crate) struct Header {
    pub(crate) kind: Text,
    pub(crate) application: Option<Text>,
    pub(crate) asterisk_id: Option<Text>,
    pub(crate) dialog: Option<Text>,
    pub(crate) timestamp: Option<Text>,
    pub(crate) concerns: Vec<StoredConcern>,
    pub(crate) numbers: Option<StoredNumbers>,
}

pub(crate) fn peek(raw: &Bytes) -> Result<Header> {
    let undecodable = |source: crate::error::Source| Error::Decode {
        what: "an event".to_owned(),
        path: String::new(),
        sample: crate::error::sample(raw),
        source,
    };
    let text = std::str::from_utf8(raw).map_err(|error| undecodable(error.into()))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let mut header = (&mut deserializer)
        .deserialize_map(HeaderVisitor { raw })
        .map_err(|error| undecodable(error.into()))?;
    deserializer
        .end()
        .map_err(|error| undecodable(error.into()))?;
    dedup(&mut header.concerns, raw);
    Ok(header)
}

/// Each entity once, in its most direct role.
fn dedup(concerns: &mut Vec<StoredConcern>, raw: &Bytes) {
    let mut kept = 0;
    for next in 0..concerns.len() {
        let (before, rest) = concerns.split_at_mut(next);
        let concern = &rest[0];
        let same = before[..kept]
            .iter_mut()
            .find(|known| known.kind == concern.kind && known.id.get(raw) == concern.id.get(raw));
        if let Some(known) = same {
            if (concern.role as u8) < known.role as u8 {
                known.role = concern.role;
            }
        } else {
            concerns.swap(kept, next);
            kept += 1;
        }
    }
    concerns.truncate(kept);
}

#[cfg(test)]
mod tests;
