//! What is read of the members of an event: every JSON type is taken everywhere, and what is of no use skipped.

use super::{
    Concerns, Header, NUMBERS_MEMBER, Role, StoredConcern, StoredNumbers, Text,
    scan::{Flaw, Scan, Scanner},
};
use crate::{endings::Finality, entity::EntityKind};

/// What the object in a member of this name is.
pub(super) fn object_kind(member: &[u8]) -> Option<EntityKind> {
    Some(match member {
        b"channel"
        | b"replace_channel"
        | b"caller"
        | b"peer"
        | b"forwarded"
        | b"transferee"
        | b"transfer_target"
        | b"transferer_first_leg"
        | b"transferer_second_leg"
        | b"destination_link_first_leg"
        | b"destination_link_second_leg"
        | b"destination_threeway_channel"
        | b"source_channel"
        | b"destination_channel"
        | b"connected_channel" => EntityKind::Channel,
        b"bridge"
        | b"bridge_from"
        | b"transferer_first_leg_bridge"
        | b"transferer_second_leg_bridge"
        | b"destination_threeway_bridge" => EntityKind::Bridge,
        b"playback" => EntityKind::Playback,
        b"recording" => EntityKind::LiveRecording,
        b"endpoint" => EntityKind::Endpoint,
        b"device_state" => EntityKind::DeviceState,
        _ => return None,
    })
}

/// Reads an event.
pub(super) fn read(json: &str) -> Scan<Header> {
    let mut kind = None;
    let mut header = Header {
        kind: Text::Span(0, 0),
        application: None,
        asterisk_id: None,
        dialog: None,
        timestamp: None,
        concerns: Concerns::new(),
        numbers: None,
        finality: None,
    };
    let mut scanner = Scanner::new(json);
    scanner.members(|scanner, member| {
        match member {
            b"type" => kind = text(scanner)?,
            b"application" => header.application = text(scanner)?,
            b"asterisk_id" => header.asterisk_id = text(scanner)?,
            b"dialog" => header.dialog = text(scanner)?,
            b"timestamp" => header.timestamp = text(scanner)?,
            _ if member == NUMBERS_MEMBER.as_bytes() => header.numbers = numbers(scanner)?,
            // ChannelTransfer has its channels one level down.
            b"refer_to" | b"referred_by" => scanner
                .members(|scanner, member| concern(scanner, member, json, &mut header.concerns))?,
            _ => concern(scanner, member, json, &mut header.concerns)?,
        }
        Ok(())
    })?;
    scanner.end()?;
    header.kind = kind.ok_or_else(|| Box::new(Flaw::NoType))?;
    header.finality = Finality::of_type(header.kind.get(json));
    Ok(header)
}

/// A text, or `None` for a value of any other type.
#[inline]
fn text(scanner: &mut Scanner<'_>) -> Scan<Option<Text>> {
    let Some(quoted) = scanner.quoted()? else {
        return Ok(None);
    };
    Ok(Some(match scanner.unescape(quoted)? {
        Some(text) => Text::Owned(text.into()),
        None => Text::Span(quoted.start, quoted.end),
    }))
}

/// A member that may be an object with an identity.
fn concern(
    scanner: &mut Scanner<'_>,
    member: &[u8],
    json: &str,
    concerns: &mut Concerns,
) -> Scan<()> {
    let Some(kind) = object_kind(member) else {
        return scanner.skip();
    };
    let before = concerns.len();
    object(scanner, kind, json, concerns)?;
    // Members have no order, and the channel that an event is about is the first of its concerns.
    if member == b"channel" {
        let its = concerns.len() - before;
        concerns.rotate_right(its);
    }
    Ok(())
}

/// An object that has an identity.
fn object(
    scanner: &mut Scanner<'_>,
    kind: EntityKind,
    json: &str,
    concerns: &mut Concerns,
) -> Scan<()> {
    let (mut id, mut technology, mut resource) = (None, None, None);
    scanner.members(|scanner, member| {
        match (member, kind) {
            (b"id", EntityKind::Channel | EntityKind::Bridge | EntityKind::Playback)
            | (b"name", EntityKind::LiveRecording | EntityKind::DeviceState) => id = text(scanner)?,
            (b"technology", EntityKind::Endpoint) => technology = text(scanner)?,
            (b"resource", EntityKind::Endpoint) => resource = text(scanner)?,
            (b"channels", EntityKind::Bridge) | (b"channel_ids", EntityKind::Endpoint) => {
                scanner.items(|scanner| {
                    let id = text(scanner)?.filter(|id| !id.get(json).is_empty());
                    concerns.extend(id.map(|id| StoredConcern {
                        kind: EntityKind::Channel,
                        id,
                        role: Role::Member,
                    }));
                    Ok(())
                })?;
            }
            (b"target_uri", EntityKind::Playback | EntityKind::LiveRecording) => {
                let uri = text(scanner)?;
                concerns.extend(uri.and_then(|uri| target(&uri, json)));
            }
            _ => scanner.skip()?,
        }
        Ok(())
    })?;
    if let (Some(technology), Some(resource)) = (&technology, &resource) {
        let (technology, resource) = (technology.get(json), resource.get(json));
        if !technology.is_empty() {
            id = Some(Text::Owned(format!("{technology}/{resource}").into()));
        }
    }
    let id = id.filter(|id| !id.get(json).is_empty());
    concerns.extend(id.map(|id| StoredConcern {
        kind,
        id,
        role: Role::Subject,
    }));
    Ok(())
}

/// The channel or bridge that a playback or recording is on: `channel:ID` or `bridge:ID`.
fn target(uri: &Text, json: &str) -> Option<StoredConcern> {
    let (scheme, id) = uri.get(json).split_once(':')?;
    let kind = match scheme {
        "channel" => EntityKind::Channel,
        "bridge" => EntityKind::Bridge,
        _ => return None,
    };
    let id = match uri {
        _ if id.is_empty() => return None,
        Text::Span(start, end) => Text::Span(start + scheme.len() + 1, *end),
        Text::Owned(_) => Text::Owned(id.into()),
    };
    Some(StoredConcern {
        kind,
        id,
        role: Role::Target,
    })
}

/// `[boot, node, subject]`, or `None` for anything else.
fn numbers(scanner: &mut Scanner<'_>) -> Scan<Option<StoredNumbers>> {
    let (mut boot, mut numbers, mut place) = (None, [None; 2], 0);
    scanner.items(|scanner| {
        match place {
            0 => boot = text(scanner)?,
            1 | 2 => numbers[place - 1] = scanner.unsigned()?,
            _ => scanner.skip()?,
        }
        place += 1;
        Ok(())
    })?;
    Ok(match (boot, numbers) {
        (Some(boot), [Some(node), Some(subject)]) => Some(StoredNumbers {
            boot,
            node,
            subject,
        }),
        _ => None,
    })
}
