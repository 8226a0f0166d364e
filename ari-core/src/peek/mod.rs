//! One reading of an event for what routing needs: no tree, and no copy of what needs none.

use std::collections::HashMap;

use smallvec::SmallVec;

mod header;
mod scan;
mod special;

use crate::{
    endings::Finality,
    entity::EntityKind,
    error::{self, Error, Result, Source},
};

/// The member that a proxy of ours appends to each event: boot id, number of the event among those of
/// the node, number among those of the subject.
pub const NUMBERS_MEMBER: &str = "ari_proxy";

/// A text of an event: where it is in the bytes, or a copy where it was escaped there.
#[derive(Debug)]
pub(crate) enum Text {
    Span(usize, usize),
    Owned(Box<str>),
}

impl Text {
    pub(crate) fn get<'a>(&'a self, json: &'a str) -> &'a str {
        match self {
            Self::Owned(text) => text,
            Self::Span(start, end) => json.get(*start..*end).unwrap_or_default(),
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

/// Most events concern one or two entities.
pub(crate) type Concerns = SmallVec<[StoredConcern; 2]>;

impl StoredConcern {
    pub(crate) fn get<'a>(&'a self, json: &'a str) -> Concern<'a> {
        Concern {
            kind: self.kind,
            id: self.id.get(json),
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
    pub(crate) fn get<'a>(&'a self, json: &'a str) -> Numbers<'a> {
        Numbers {
            boot: self.boot.get(json),
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
    pub(crate) concerns: Concerns,
    pub(crate) numbers: Option<StoredNumbers>,
    /// Of what kind the entity is that it may end, and what it means for its life.
    pub(crate) finality: Option<(EntityKind, Finality)>,
}

/// Reads what routing needs of an event.
pub(crate) fn peek(json: &str) -> Result<Header> {
    let mut header =
        header::read(json).map_err(|flaw| undecodable(json.as_bytes(), flaw.into()))?;
    dedup(&mut header.concerns, json);
    Ok(header)
}

pub(crate) fn undecodable(raw: &[u8], source: Source) -> Error {
    Error::Decode {
        what: "an event".to_owned(),
        path: String::new(),
        sample: error::sample(raw),
        source,
    }
}

/// Most entities that are compared with one another.
const FEW: usize = 16;

/// Each entity once, in its most direct role.
fn dedup(concerns: &mut Concerns, json: &str) {
    if concerns.len() > FEW {
        return dedup_many(concerns, json);
    }
    let mut kept = 0;
    for next in 0..concerns.len() {
        let (before, rest) = concerns.split_at_mut(next);
        let concern = &rest[0];
        let same = before[..kept]
            .iter_mut()
            .find(|known| known.kind == concern.kind && known.id.get(json) == concern.id.get(json));
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

/// The same in a time that grows with their number alone.
#[cold]
fn dedup_many(concerns: &mut Concerns, json: &str) {
    let mut places = HashMap::new();
    let mut kept: Vec<(usize, Role)> = Vec::new();
    for (place, concern) in concerns.iter().enumerate() {
        let known = *places
            .entry((concern.kind, concern.id.get(json)))
            .or_insert(kept.len());
        match kept.get_mut(known) {
            Some((_, role)) if (concern.role as u8) < *role as u8 => *role = concern.role,
            Some(_) => {}
            None => kept.push((place, concern.role)),
        }
    }
    drop(places);
    for (place, (from, role)) in kept.iter().enumerate() {
        concerns.swap(place, *from);
        concerns[place].role = *role;
    }
    concerns.truncate(kept.len());
}

#[cfg(test)]
mod tests;
