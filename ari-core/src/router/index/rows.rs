//! The subscriptions of one entity.

use std::collections::BTreeSet;

use smallvec::SmallVec;

use crate::{entity::EntityKind, router::feeds::FeedNo};

/// Feed, kind of the entity, and slot of a subscription.
pub(super) type Row = (FeedNo, EntityKind, u32);

/// Most entities have a stream and a wait for their end: these two stay where the table of entities is. More are
/// kept in order, so that ten thousand of them are dropped as fast as others.
pub(super) enum Rows {
    Few(SmallVec<[Row; 2]>),
    Many(BTreeSet<Row>),
}

impl Default for Rows {
    fn default() -> Self {
        Self::Few(SmallVec::new())
    }
}

impl Rows {
    pub(super) fn insert(&mut self, row: Row) {
        match self {
            Self::Few(rows) if rows.len() < rows.inline_size() => rows.push(row),
            Self::Few(rows) => {
                let mut many: BTreeSet<Row> = rows.drain(..).collect();
                many.insert(row);
                *self = Self::Many(many);
            }
            Self::Many(rows) => {
                rows.insert(row);
            }
        }
    }

    pub(super) fn remove(&mut self, row: Row) {
        match self {
            Self::Few(rows) => rows.retain(|known| *known != row),
            Self::Many(rows) => {
                rows.remove(&row);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Few(rows) => rows.is_empty(),
            Self::Many(rows) => rows.is_empty(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Row> {
        let (few, many) = match self {
            Self::Few(rows) => (Some(rows), None),
            Self::Many(rows) => (None, Some(rows)),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// The slots of the subscriptions that hang on a feed, and are interested in an entity of a kind.
    pub(super) fn of(&self, feed: FeedNo, kind: EntityKind) -> impl Iterator<Item = u32> {
        let (few, many) = match self {
            Self::Few(rows) => (Some(rows), None),
            Self::Many(rows) => (
                None,
                Some(rows.range((feed, kind, 0)..=(feed, kind, u32::MAX))),
            ),
        };
        let few = few.into_iter().flatten();
        few.filter(move |row| (row.0, row.1) == (feed, kind))
            .chain(many.into_iter().flatten())
            .map(|row| row.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_feed_and_kind_however_many_there_are() {
        for count in [1, 2, 3, 100] {
            let mut rows = Rows::default();
            for slot in 0..count {
                rows.insert((1, EntityKind::Channel, slot));
                assert_eq!(rows.iter().count(), slot as usize + 1);
            }
            let of = |rows: &Rows, feed, kind| rows.of(feed, kind).collect::<Vec<_>>();
            let all: Vec<u32> = (0..count).collect();
            assert_eq!(of(&rows, 1, EntityKind::Channel), all);
            assert!(of(&rows, 2, EntityKind::Channel).is_empty());
            assert!(of(&rows, 1, EntityKind::Bridge).is_empty());
            for slot in 0..count {
                assert!(!rows.is_empty());
                rows.remove((1, EntityKind::Channel, slot));
                assert_eq!(of(&rows, 1, EntityKind::Channel), all[slot as usize + 1..]);
            }
            assert!(rows.is_empty());
        }
    }
}
