use std::{collections::VecDeque, fmt, fs, path::Path};

use proptest::{prelude::*, sample::Index};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

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
        concerns(r#"{"type":"PlaybackStarted","playback":{"id":"p","target_uri":"channel:c:1"}}"#),
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

fn assert_flaw(json: &str, flaw: &str) {
    let error = Event::parse(json.to_owned()).unwrap_err();
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), flaw, "{json}");
}

#[test]
fn what_is_no_json_is_an_error_that_says_where() {
    for (value, flaw) in [
        ("", "expected a value at byte 16"),
        ("truth", "expected true at byte 16"),
        ("nullo", "expected `,` or `}` at byte 20"),
        ("tru", "expected true at byte 16"),
        ("-", "expected a digit at byte 17"),
        ("01", "expected `,` or `}` at byte 17"),
        ("1.", "expected a digit at byte 18"),
        ("1e+", "expected a digit at byte 19"),
        ("[1,]", "expected a value at byte 19"),
        ("[1}", "expected `,` or `]` at byte 18"),
        (r#"{"a":1,}"#, "expected a text at byte 23"),
        (r#"{"a" 1}"#, "expected `:` at byte 21"),
        ("{1:2}", "expected a text at byte 17"),
        (r#"{"a":[{}]"#, "expected `,` or `}` at byte 26"),
        (
            "\"\n\"",
            "expected no control character in a text at byte 17",
        ),
        (r#""\x""#, "expected an escape sequence at byte 17"),
        (r#""\u12g4""#, "expected an escape sequence at byte 17"),
        ("\"", "expected the end of a text at byte 18"),
    ] {
        assert_flaw(&format!(r#"{{"type":"X","a":{value}}}"#), flaw);
    }
    // Those whose members are read.
    for (json, flaw) in [
        (r#"{"type":"X",}"#, "expected a text at byte 12"),
        (r#"{"type":"X" "a":1}"#, "expected `,` or `}` at byte 12"),
        (r#"{"type" "X"}"#, "expected `:` at byte 8"),
        (r#"{"type":"X"} x"#, "expected the end at byte 13"),
        (
            r#"{"type":"X","channel":{"id":"c",}}"#,
            "expected a text at byte 32",
        ),
        (
            r#"{"type":"X","bridge":{"channels":["c",]}}"#,
            "expected a value at byte 38",
        ),
        (
            r#"{"type":"X","bridge":{"channels":["c"}}"#,
            "expected `,` or `]` at byte 37",
        ),
        (r#"{"type":1}"#, "the event has no type that is a text"),
        ("null", "the event has no type that is a text"),
    ] {
        assert_flaw(json, flaw);
    }
    // Half of a surrogate pair is no text.
    assert!(Event::parse(r#"{"type":"\ud800"}"#).is_err());
    assert!(Event::parse(r#"{"\ud800":1,"type":"X"}"#).is_err());
}

#[test]
fn nesting_is_limited_as_serde_json_does() {
    for (depth, is_taken) in [(126, true), (127, false), (100_000, false)] {
        let nested = |open: &str, close: &str| {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            format!(r#"{{"type":"X","a":{value}}}"#)
        };
        for json in [nested("[", "]"), nested(r#"{"a":"#, "}")] {
            assert_eq!(serde_json::from_str::<Value>(&json).is_ok(), is_taken);
            assert_eq!(Event::parse(json).is_ok(), is_taken, "{depth}");
        }
    }
}

/// A JSON value as `serde_json` reads it, with members that come twice.
enum Tree {
    Text(String),
    Number(Option<u64>),
    Items(Vec<Self>),
    Members(Vec<(String, Self)>),
    Other,
}

impl Tree {
    fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        }
    }

    fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Members(members) => members,
            _ => &[],
        }
    }

    fn items(&self) -> &[Self] {
        match self {
            Self::Items(items) => items,
            _ => &[],
        }
    }

    /// The text in the last member of this name.
    fn get(&self, name: &str) -> Option<String> {
        let of_name = |(member, _): &&(String, Self)| member == name;
        self.members().iter().rfind(of_name)?.1.text()
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_bool<E>(self, _: bool) -> Result<Tree, E> {
                Ok(Tree::Other)
            }

            fn visit_unit<E>(self) -> Result<Tree, E> {
                Ok(Tree::Other)
            }

            fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
                Ok(Tree::Number(Some(number)))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Tree, E> {
                Ok(Tree::Number(None))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Tree, E> {
                Ok(Tree::Number(None))
            }

            fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
                Ok(Tree::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::Items(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Tree::Members(members))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

/// The entities that an event concerns, as its tree has them.
fn concerns_in(event: &Tree) -> Vec<String> {
    let mut seen: Vec<(EntityKind, String, Role)> = Vec::new();
    let mut add = |kind, id: Option<String>, role| {
        let Some(id) = id.filter(|id| !id.is_empty()) else {
            return;
        };
        match seen.iter_mut().find(|(k, i, _)| *k == kind && *i == id) {
            Some(known) if (role as u8) < known.2 as u8 => known.2 = role,
            Some(_) => {}
            None => seen.push((kind, id, role)),
        }
    };
    let nested = event.members().iter().flat_map(|(name, value)| {
        let is_nest = matches!(&**name, "refer_to" | "referred_by");
        let itself = std::slice::from_ref(value).iter().map(move |v| (name, v));
        let members = value.members().iter().map(|(name, value)| (name, value));
        itself
            .filter(move |_| !is_nest)
            .chain(members.filter(move |_| is_nest))
    });
    // The channel that an event is about comes first.
    let mut ordered = VecDeque::new();
    for member in nested {
        match &**member.0 {
            "channel" => ordered.push_front(member),
            _ => ordered.push_back(member),
        }
    }
    for (name, value) in ordered {
        let Some(kind) = header::object_kind(name.as_bytes()) else {
            continue;
        };
        for (name, member) in value.members() {
            match (&**name, kind) {
                ("channels", EntityKind::Bridge) | ("channel_ids", EntityKind::Endpoint) => {
                    for id in member.items() {
                        add(EntityKind::Channel, id.text(), Role::Member);
                    }
                }
                ("target_uri", EntityKind::Playback | EntityKind::LiveRecording) => {
                    let uri = member.text().unwrap_or_default();
                    match uri.split_once(':') {
                        Some(("channel", id)) => {
                            add(EntityKind::Channel, Some(id.to_owned()), Role::Target);
                        }
                        Some(("bridge", id)) => {
                            add(EntityKind::Bridge, Some(id.to_owned()), Role::Target);
                        }
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        let id = match kind {
            EntityKind::Channel | EntityKind::Bridge | EntityKind::Playback => value.get("id"),
            EntityKind::Endpoint => value
                .get("technology")
                .filter(|technology| !technology.is_empty())
                .zip(value.get("resource"))
                .map(|(technology, resource)| format!("{technology}/{resource}")),
            _ => value.get("name"),
        };
        add(kind, id, Role::Subject);
    }
    seen.iter()
        .map(|(kind, id, role)| format!("{kind}:{id}:{role:?}"))
        .collect()
}

/// What an event says is what `serde_json` reads of it, and what `serde_json` refuses is refused.
fn assert_read_as_serde_does(json: &str) {
    let event = Event::parse(json.to_owned());
    if serde_json::from_str::<IgnoredAny>(json).is_err() {
        assert!(event.is_err(), "no JSON is taken: {json}");
        return;
    }
    // What cannot be made a value of may be skipped all the same: half of a surrogate pair, a huge number.
    let Ok(tree) = serde_json::from_str::<Tree>(json) else {
        return;
    };
    let Some(kind) = tree.get("type") else {
        assert!(event.is_err(), "an event without a type is taken: {json}");
        return;
    };
    let event = event.unwrap_or_else(|error| panic!("{error:?}: {json}"));
    let text = |name| tree.get(name).filter(|text| !text.is_empty());
    assert_eq!(event.kind(), kind, "{json}");
    assert_eq!(
        event.application(),
        text("application").as_deref(),
        "{json}"
    );
    assert_eq!(
        event.asterisk_id(),
        text("asterisk_id").as_deref(),
        "{json}"
    );
    assert_eq!(event.dialog(), text("dialog").as_deref(), "{json}");
    assert_eq!(event.timestamp(), text("timestamp").as_deref(), "{json}");
    assert_eq!(concerns(json), concerns_in(&tree), "{json}");
    let last = |(name, _): &&(String, Tree)| name == NUMBERS_MEMBER;
    let numbers = match tree.members().iter().rfind(last).map(|(_, v)| v.items()) {
        Some(
            [
                Tree::Text(boot),
                Tree::Number(Some(node)),
                Tree::Number(Some(subject)),
                ..,
            ],
        ) => Some(Numbers {
            boot,
            node: *node,
            subject: *subject,
        }),
        _ => None,
    };
    assert_eq!(event.numbers(), numbers, "{json}");
}

fn fixtures() -> Vec<String> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut events = Vec::new();
    for file in ["asterisk-events.jsonl", "go-events.jsonl"] {
        let lines = fs::read_to_string(fixtures.join(file)).unwrap();
        events.extend(lines.lines().map(str::to_owned));
    }
    events.push(
        r#"{"type":"ChannelTransfer","refer_to":{"bridge":{"id":"b","channels":["c","d"]}},"referred_by":{"source_channel":{"id":"s"}},"endpoint":{"technology":"PJSIP","resource":"a","channel_ids":["c"]},"recording":{"name":"r","target_uri":"bridge:b"},"playback":{"id":"p","target_uri":"channel:c:1"},"ari_proxy":["b7",12,3]}"#
            .to_owned(),
    );
    events
}

#[test]
fn what_asterisk_sends_is_read_as_serde_does() {
    let events = fixtures();
    assert!(events.len() > 100, "{}", events.len());
    for event in events {
        assert_read_as_serde_does(&event);
    }
}

#[test]
fn each_of_many_entities_comes_once_in_its_most_direct_role() {
    for count in [15, 16, 17, 100] {
        let members: Vec<_> = (0..count)
            .chain(0..count / 2)
            .map(|n| format!("\"c{n}\""))
            .collect();
        let members = members.join(",");
        assert_read_as_serde_does(&format!(
            r#"{{"type":"T","bridge":{{"id":"b","channels":[{members}]}},"channel":{{"id":"c7"}},"peer":{{"id":"x"}},"playback":{{"target_uri":"channel:c9","id":"p"}}}}"#
        ));
    }
}

#[test]
fn a_text_is_read_to_its_end_wherever_that_is() {
    let special = ["\"", "\\", "\\\"", "\\\\", "\\u0041", "\0", "\u{1f}"];
    let plain = ["", " ", "!", "#", "[", "]", "\u{7f}", "\u{80}", "ü", "😀"];
    for length in 0..200 {
        for last in special.into_iter().chain(plain) {
            let text = "x".repeat(length) + last;
            assert_read_as_serde_does(&format!(
                r#"{{"type":"{text}","{text}":"{text}","channel":{{"id":"{text}"}}}}"#
            ));
            let unfinished = format!(r#"{{"type":"{text}"#);
            assert!(Event::parse(unfinished).is_err(), "{length} {last:?}");
        }
    }
}

/// Where a text is changed, and how.
fn mutation() -> impl Strategy<Value = (Index, Index, &'static str)> {
    let pieces = [
        "",
        "",
        "\"",
        "\\",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        " ",
        "\n",
        "\u{1}",
        "ü",
        "-",
        ".",
        "e",
        "0",
        "7",
        "null",
        "true",
        "1.5e3",
        "\"id\":",
        "\"type\":\"X\",",
        "\\u0041",
        "\\ud83d\\ude00",
        "\\n",
        "\\\"",
        "{}",
        "[]",
        "\"channel\":{\"id\":\"c\"},",
        "\"ari_proxy\":[\"b\",1,2],",
    ];
    (
        any::<Index>(),
        any::<Index>(),
        prop::sample::select(pieces.to_vec()),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Event::parse(bytes);
    }

    #[test]
    fn what_is_mutated_is_read_as_serde_does(
        event in prop::sample::select(fixtures()),
        mutations in prop::collection::vec(mutation(), 1..6),
    ) {
        let mut json: Vec<char> = event.chars().collect();
        for (at, length, piece) in mutations {
            let at = at.index(json.len() + 1);
            // Mostly a small part is replaced.
            let length = length.index(8).min(json.len() - at);
            json.splice(at..at + length, piece.chars());
        }
        assert_read_as_serde_does(&json.into_iter().collect::<String>());
    }
}
