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

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Event::parse(bytes);
    }
}
