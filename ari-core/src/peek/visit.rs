//! The visitors that read an event: every JSON type is taken everywhere, and what is of no use skipped.

use std::borrow::Cow;

use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::{Header, NUMBERS_MEMBER, Role, StoredConcern, StoredNumbers, Text};
use crate::{entity::EntityKind, model::Borrowed};

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

pub(super) struct HeaderVisitor<'r> {
    pub(super) raw: &'r [u8],
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
        while let Some(Borrowed(member)) = members.next_key()? {
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
        while let Some(Borrowed(member)) = members.next_key()? {
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
        while let Some(Borrowed(member)) = members.next_key()? {
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
