//! One reading of an event for what routing needs: no tree, and no copy of what needs none.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

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

/// What the object in a member of this name is.
fn object_kind(member: &str) -> Option<EntityKind> {
    Some(match member {
        "channel"
        | "replace_channel"
        | "caller"
        | "peer"
        | "forwarded"
        | "transferee"
        | "transfer_target"
        | "transferer_first_leg"
        | "transferer_second_leg"
        | "destination_link_first_leg"
        | "destination_link_second_leg"
        | "destination_threeway_channel"
        | "source_channel"
        | "destination_channel"
        | "connected_channel" => EntityKind::Channel,
        "bridge"
        | "bridge_from"
        | "transferer_first_leg_bridge"
        | "transferer_second_leg_bridge"
        | "destination_threeway_bridge" => EntityKind::Bridge,
        "playback" => EntityKind::Playback,
        "recording" => EntityKind::LiveRecording,
        "endpoint" => EntityKind::Endpoint,
        "device_state" => EntityKind::DeviceState,
        _ => return None,
    })
}

struct HeaderVisitor<'r> {
    raw: &'r [u8],
}

impl<'de> Visitor<'de> for HeaderVisitor<'_> {
    type Value = Header;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an event object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Header, A::Error> {
        let raw = self.raw;
        let mut kind = None;
        let mut header = Header {
            kind: Text::Span(0, 0),
            application: None,
            asterisk_id: None,
            dialog: None,
            timestamp: None,
            concerns: Vec::new(),
            numbers: None,
        };
        while let Some(Key(member)) = members.next_key::<Key<'de>>()? {
            match &*member {
                "type" => kind = members.next_value_seed(TextSeed { raw })?,
                "application" => header.application = members.next_value_seed(TextSeed { raw })?,
                "asterisk_id" => header.asterisk_id = members.next_value_seed(TextSeed { raw })?,
                "dialog" => header.dialog = members.next_value_seed(TextSeed { raw })?,
                "timestamp" => header.timestamp = members.next_value_seed(TextSeed { raw })?,
                NUMBERS_MEMBER => header.numbers = members.next_value_seed(NumbersSeed { raw })?,
                // ChannelTransfer has its channels one level down.
                "refer_to" | "referred_by" => {
                    members.next_value_seed(NestSeed {
                        raw,
                        concerns: &mut header.concerns,
                    })?;
                }
                _ => match object_kind(&member) {
                    Some(kind) => {
                        members.next_value_seed(ObjectSeed {
                            raw,
                            kind,
                            concerns: &mut header.concerns,
                        })?;
                    }
                    None => {
                        members.next_value::<IgnoredAny>()?;
                    }
                },
            }
        }
        header.kind = kind.ok_or_else(|| A::Error::missing_field("type"))?;
        Ok(header)
    }
}

/// A member's name; serde borrows a `Cow` only as a direct field.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Swallows every JSON value but those that a visitor handles itself.
macro_rules! ignore_scalars {
    ($value:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($value)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($value)
        }
    };
}

fn skip_items<'de, A: SeqAccess<'de>>(mut items: A) -> Result<(), A::Error> {
    while items.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_members<'de, A: MapAccess<'de>>(mut members: A) -> Result<(), A::Error> {
    while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A text, or `None` for a value of any other type.
#[derive(Clone, Copy)]
struct TextSeed<'r> {
    raw: &'r [u8],
}

impl<'de> DeserializeSeed<'de> for TextSeed<'_> {
    type Value = Option<Text>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextSeed<'_> {
    type Value = Option<Text>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Some(Text::new(Cow::Borrowed(text), self.raw)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(Text::Owned(text.into())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        skip_items(items).map(|()| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        skip_members(members).map(|()| None)
    }

    ignore_scalars!(None);
}

/// An object that has an identity.
struct ObjectSeed<'r, 'c> {
    raw: &'r [u8],
    kind: EntityKind,
    concerns: &'c mut Vec<StoredConcern>,
}

impl<'de> DeserializeSeed<'de> for ObjectSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ObjectSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        skip_items(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self {
            raw,
            kind,
            concerns,
        } = self;
        let text = TextSeed { raw };
        let (mut id, mut name, mut technology, mut resource) = (None, None, None, None);
        while let Some(Key(member)) = members.next_key::<Key<'de>>()? {
            match (&*member, kind) {
                ("id", EntityKind::Channel | EntityKind::Bridge | EntityKind::Playback) => {
                    id = members.next_value_seed(text)?;
                }
                ("name", EntityKind::LiveRecording | EntityKind::DeviceState) => {
                    name = members.next_value_seed(text)?;
                }
                ("technology", EntityKind::Endpoint) => {
                    technology = members.next_value_seed(text)?;
                }
                ("resource", EntityKind::Endpoint) => resource = members.next_value_seed(text)?,
                ("channels", EntityKind::Bridge) | ("channel_ids", EntityKind::Endpoint) => {
                    members.next_value_seed(MembersSeed { raw, concerns })?;
                }
                ("target_uri", EntityKind::Playback | EntityKind::LiveRecording) => {
                    if let Some(uri) = members.next_value_seed(text)? {
                        concerns.extend(target(&uri, raw));
                    }
                }
                _ => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        let id = match (technology, resource) {
            (Some(technology), Some(resource)) => {
                let (technology, resource) = (span(&technology, raw), span(&resource, raw));
                (!technology.is_empty())
                    .then(|| Text::Owned(format!("{technology}/{resource}").into()))
            }
            _ => id.or(name).filter(|id| !span(id, raw).is_empty()),
        };
        if let Some(id) = id {
            concerns.push(StoredConcern {
                kind,
                id,
                role: Role::Subject,
            });
        }
        Ok(())
    }

    ignore_scalars!(());
}

fn span<'a>(text: &'a Text, raw: &'a [u8]) -> &'a str {
    match text {
        Text::Owned(text) => text,
        Text::Span(start, end) => {
            std::str::from_utf8(&raw[*start as usize..*end as usize]).unwrap_or_default()
        }
    }
}

/// The channel or bridge that a playback or recording is on: `channel:ID` or `bridge:ID`.
fn target(uri: &Text, raw: &[u8]) -> Option<StoredConcern> {
    let text = span(uri, raw);
    let (scheme, id) = text.split_once(':')?;
    let kind = match scheme {
        "channel" => EntityKind::Channel,
        "bridge" => EntityKind::Bridge,
        _ => return None,
    };
    let id = match uri {
        _ if id.is_empty() => return None,
        Text::Span(start, end) => Text::Span(start + u32::try_from(scheme.len() + 1).ok()?, *end),
        Text::Owned(_) => Text::Owned(id.into()),
    };
    Some(StoredConcern {
        kind,
        id,
        role: Role::Target,
    })
}

/// The channels in a bridge or of an endpoint.
struct MembersSeed<'r, 'c> {
    raw: &'r [u8],
    concerns: &'c mut Vec<StoredConcern>,
}

impl<'de> DeserializeSeed<'de> for MembersSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MembersSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while let Some(id) = items.next_element_seed(TextSeed { raw: self.raw })? {
            if let Some(id) = id.filter(|id| !span(id, self.raw).is_empty()) {
                self.concerns.push(StoredConcern {
                    kind: EntityKind::Channel,
                    id,
                    role: Role::Member,
                });
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<(), A::Error> {
        skip_members(members)
    }

    ignore_scalars!(());
}

/// An object whose members have identities.
struct NestSeed<'r, 'c> {
    raw: &'r [u8],
    concerns: &'c mut Vec<StoredConcern>,
}

impl<'de> DeserializeSeed<'de> for NestSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NestSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        skip_items(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(Key(member)) = members.next_key::<Key<'de>>()? {
            match object_kind(&member) {
                Some(kind) => {
                    members.next_value_seed(ObjectSeed {
                        raw: self.raw,
                        kind,
                        concerns: self.concerns,
                    })?;
                }
                None => {
                    members.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }

    ignore_scalars!(());
}

/// `[boot, node, subject]`, or `None` for anything else.
struct NumbersSeed<'r> {
    raw: &'r [u8],
}

impl<'de> DeserializeSeed<'de> for NumbersSeed<'_> {
    type Value = Option<StoredNumbers>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NumbersSeed<'_> {
    type Value = Option<StoredNumbers>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let boot = items
            .next_element_seed(TextSeed { raw: self.raw })?
            .flatten();
        let node = items
            .next_element::<serde_json::Value>()?
            .and_then(|number| number.as_u64());
        let subject = items
            .next_element::<serde_json::Value>()?
            .and_then(|number| number.as_u64());
        skip_items(items)?;
        Ok(match (boot, node, subject) {
            (Some(boot), Some(node), Some(subject)) => Some(StoredNumbers {
                boot,
                node,
                subject,
            }),
            _ => None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        skip_members(members).map(|()| None)
    }

    ignore_scalars!(None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Event;

    fn concerns(json: &str) -> Vec<String> {
        let event = Event::parse(json.to_owned()).unwrap();
        event
            .concerns()
            .map(|c| format!("{}:{}:{:?}", c.kind, c.id, c.role))
            .collect()
    }

    #[test]
    fn the_header_is_read_wherever_it_stands() {
        let event = Event::parse(
            r#"{"cause":32,"type":"StasisStart","channel":{"dialplan":{"id":"x"},"id":"a\u0041"},"asterisk_id":"02:00","application":"demo","dialog":"d","ari_proxy":["b7",12,3]}"#,
        )
        .unwrap();
        assert_eq!(event.kind(), "StasisStart");
        assert_eq!(event.application(), Some("demo"));
        assert_eq!(event.asterisk_id(), Some("02:00"));
        assert_eq!(event.dialog(), Some("d"));
        assert_eq!(event.timestamp(), None);
        assert!(event.is_about(EntityKind::Channel, "aA"));
        assert_eq!(
            event.numbers(),
            Some(Numbers {
                boot: "b7",
                node: 12,
                subject: 3
            })
        );
    }

    #[test]
    fn a_playback_concerns_its_channel() {
        assert_eq!(
            concerns(
                r#"{"type":"PlaybackStarted","playback":{"id":"p","target_uri":"channel:c:1"}}"#
            ),
            ["channel:c:1:Target", "playback:p:Subject"]
        );
    }

    #[test]
    fn a_bridge_concerns_its_members_and_each_entity_comes_once() {
        assert_eq!(
            concerns(
                r#"{"type":"ChannelEnteredBridge","bridge":{"channels":["c","d"],"id":"b"},"channel":{"id":"c"}}"#
            ),
            ["channel:c:Subject", "channel:d:Member", "bridge:b:Subject"]
        );
    }

    #[test]
    fn zero_objects_and_strange_types_concern_nobody() {
        assert_eq!(
            concerns(r#"{"type":"Dial","caller":{"id":""},"peer":{"id":"p"},"forwarded":null}"#),
            ["channel:p:Subject"]
        );
        assert_eq!(
            concerns(
                r#"{"type":"PeerStatusChange","peer":{"peer_status":"x"},"endpoint":{"technology":"PJSIP","resource":"a"}}"#
            ),
            ["endpoint:PJSIP/a:Subject"]
        );
        for value in [
            "1",
            "-1.5",
            "true",
            "null",
            "\"x\"",
            "[1,{}]",
            "{\"id\":7}",
            "{\"id\":{}}",
        ] {
            for member in [
                "channel",
                "bridge",
                "playback",
                "recording",
                "endpoint",
                "device_state",
                "refer_to",
                "asterisk_id",
                "ari_proxy",
            ] {
                assert_eq!(
                    concerns(&format!(r#"{{"type":"X","{member}":{value}}}"#)),
                    Vec::<String>::new()
                );
            }
        }
    }

    #[test]
    fn a_transfer_concerns_the_channels_one_level_down() {
        assert_eq!(
            concerns(
                r#"{"type":"ChannelTransfer","refer_to":{"requested_destination":{"destination":"1"},"bridge":{"id":"b","channels":[]}},"referred_by":{"source_channel":{"id":"s"}}}"#
            ),
            ["bridge:b:Subject", "channel:s:Subject"]
        );
    }

    #[test]
    fn what_is_no_event_is_an_error() {
        for raw in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"X""#,
            r#"{"type":"X"} x"#,
            "\u{7f}",
        ] {
            assert!(Event::parse(raw.to_owned()).is_err(), "{raw}");
        }
        assert!(Event::parse(b"{\"type\":\"\xff\"}".to_vec()).is_err());
    }

    proptest::proptest! {
        #[test]
        fn nothing_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Event::parse(bytes);
        }
    }
}
