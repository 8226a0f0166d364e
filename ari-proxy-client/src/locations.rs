//! Where entities are, learned from events and answers.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use ari_core::{Entity, EntityKind, Event, Role, ended_by};

use crate::members::Member;

/// Entities whose place is remembered; the oldest are forgotten first.
const LIMIT: usize = 65_536;

type Key = (EntityKind, Arc<str>);

/// The places of entities.
///
/// Asterisks number their channels by the time, so several may have channels of one id: an id can have
/// several places, the latest last.
#[derive(Debug, Default)]
pub(crate) struct Locations {
    places: HashMap<Key, Vec<Member>>,
    order: VecDeque<Key>,
}

impl Locations {
    /// Learns where an entity is from its address.
    pub(crate) fn learn(&mut self, entity: &Entity) {
        if let (Some(application), Some(node)) =
            (&entity.metadata.application, &entity.metadata.asterisk_id)
        {
            let member = Member {
                application: Arc::clone(application),
                node: Arc::clone(node),
            };
            self.insert((entity.kind, Arc::clone(&entity.id)), member);
        }
    }

    /// Learns from an event that begins or ends the life of an entity.
    pub(crate) fn see(&mut self, event: &Event) {
        if let Some((kind, id)) = ended_by(event) {
            if let Some(node) = event.asterisk_id() {
                self.forget(kind, id, node);
            }
            return;
        }
        let kind = match event.kind() {
            "StasisStart" | "ChannelCreated" => EntityKind::Channel,
            "BridgeCreated" | "ChannelEnteredBridge" => EntityKind::Bridge,
            "PlaybackStarted" => EntityKind::Playback,
            "RecordingStarted" => EntityKind::LiveRecording,
            _ => return,
        };
        let (Some(application), Some(node)) = (event.application(), event.asterisk_id()) else {
            return;
        };
        if let Some(concern) = event
            .concerns()
            .find(|concern| concern.kind == kind && concern.role == Role::Subject)
        {
            let member = Member {
                application: application.into(),
                node: node.into(),
            };
            self.insert((kind, concern.id.into()), member);
        }
    }

    fn insert(&mut self, key: Key, member: Member) {
        let places = self.places.entry(key.clone()).or_default();
        if places.is_empty() {
            self.order.push_back(key);
        }
        places.retain(|place| *place != member);
        places.push(member);
        while self.order.len() > LIMIT {
            if let Some(oldest) = self.order.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }

    /// Where entities of this id are, the latest last.
    pub(crate) fn find(&self, kind: EntityKind, id: &str) -> &[Member] {
        self.places
            .get(&(kind, Arc::from(id)))
            .map_or(&[], Vec::as_slice)
    }

    /// Forgets an entity: it is gone, or not where it was.
    pub(crate) fn forget(&mut self, kind: EntityKind, id: &str, node: &str) {
        let key: Key = (kind, id.into());
        let Some(places) = self.places.get_mut(&key) else {
            return;
        };
        places.retain(|place| *place.node != *node);
        if places.is_empty() {
            self.places.remove(&key);
            // The order keeps stale keys until they are as many as the places that are left.
            if self.order.len() > 2 * self.places.len() + 64 {
                let places = &self.places;
                self.order.retain(|key| places.contains_key(key));
                self.order.shrink_to_fit();
                self.places.shrink_to_fit();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(json: &str) -> Event {
        Event::parse(json.to_owned()).unwrap()
    }

    fn nodes<'l>(locations: &'l Locations, id: &str) -> Vec<&'l str> {
        let places = locations.find(EntityKind::Channel, id);
        places.iter().map(|place| &*place.node).collect()
    }

    #[test]
    fn a_channel_is_known_from_its_start_to_its_end() {
        let mut locations = Locations::default();
        locations.see(&event(r#"{"type":"StasisStart","application":"demo","asterisk_id":"n1","channel":{"id":"c"}}"#));
        assert_eq!(nodes(&locations, "c"), ["n1"]);
        locations.see(&event(r#"{"type":"ChannelDestroyed","application":"demo","asterisk_id":"n1","channel":{"id":"c"}}"#));
        assert!(nodes(&locations, "c").is_empty());
    }

    #[test]
    fn channels_of_one_id_on_several_asterisks_are_told_apart() {
        let mut locations = Locations::default();
        for node in ["n1", "n2", "n1"] {
            locations.see(&event(&format!(
                r#"{{"type":"StasisStart","application":"demo","asterisk_id":"{node}","channel":{{"id":"1700000000.1"}}}}"#
            )));
        }
        assert_eq!(nodes(&locations, "1700000000.1"), ["n2", "n1"]);
        locations.see(&event(r#"{"type":"ChannelDestroyed","application":"demo","asterisk_id":"n1","channel":{"id":"1700000000.1"}}"#));
        assert_eq!(nodes(&locations, "1700000000.1"), ["n2"]);
    }

    #[test]
    fn the_places_are_bounded() {
        let mut locations = Locations::default();
        for n in 0..LIMIT + 10 {
            locations.see(&event(&format!(
                r#"{{"type":"StasisStart","application":"demo","asterisk_id":"n1","channel":{{"id":"c{n}"}}}}"#
            )));
        }
        assert_eq!(locations.places.len(), LIMIT);
        assert!(nodes(&locations, "c0").is_empty());
        for n in 0..LIMIT + 10 {
            locations.forget(EntityKind::Channel, &format!("c{n}"), "n1");
        }
        assert!(locations.order.len() <= 64, "{}", locations.order.len());
    }
}
