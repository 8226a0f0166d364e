//! What the program deletes ends, whether or not an event tells of it.

use std::time::Duration;

use ari_core::{Events, testing::Fake};
use serde_json::json;

use crate::support::{
    GET_CHANNEL, NODE, NOTHING, OTHER_NODE, asked, fake, held, now, on_channel, read,
};

const DESTROY: &str = "DELETE /bridges/{bridgeId}";
const GET_BRIDGE: &str = "GET /bridges/{bridgeId}";
const HANGUP: &str = "DELETE /channels/{channelId}";

/// Reads a stream while time passes: what came, and when it ended.
fn within(fake: &Fake, events: &mut Events, seconds: u64) -> (Vec<String>, Option<u64>) {
    let mut lines = read(events);
    for second in 0..=seconds {
        if events.end().is_some() {
            return (lines, Some(second));
        }
        fake.advance(Duration::from_secs(1));
        lines.extend(read(events));
    }
    (lines, None)
}

/// Asterisk tells nobody of the end of a bridge that nobody is subscribed to.
#[test]
fn the_stream_of_a_bridge_ends_after_its_destruction() {
    for status in [204, 404] {
        let fake = fake();
        let ari = fake.ari();
        let bridge = now(ari.bridges().create()).unwrap();
        let mut events = now(bridge.events()).unwrap();
        let mut other = now(ari.bridges().handle("other").events()).unwrap();
        fake.answer(DESTROY, status, &json!({}));
        let destroyed = now(bridge.destroy());
        assert_eq!(destroyed.is_ok(), status == 204);
        assert_eq!(
            within(&fake, &mut events, 9),
            (vec!["end Ended".to_owned()], Some(2))
        );
        assert!(read(&mut other).is_empty());
        assert_eq!(asked(&fake, GET_BRIDGE), 1);
        drop((events, other, bridge));
        assert_eq!(held(&ari), NOTHING);
    }
}

#[test]
fn a_channel_that_was_hung_up_ends_by_its_event_and_nobody_asks() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    now(channel.hangup()).unwrap();
    assert!(read(&mut events).is_empty());
    fake.advance(Duration::from_millis(900));
    for kind in ["ChannelHangupRequest", "ChannelDestroyed"] {
        fake.emit(&on_channel(kind, "c")).unwrap();
    }
    let last = ["ChannelHangupRequest", "ChannelDestroyed", "end Ended"];
    assert_eq!(read(&mut events), last);
    fake.advance(Duration::from_mins(1));
    assert_eq!(asked(&fake, GET_CHANNEL), 0);
}

/// Its thread may be busy, so it is asked for until it is gone; what it tells meanwhile is not lost.
#[test]
fn a_channel_that_takes_its_time_to_hang_up_is_asked_for_until_it_is_gone() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    for _ in 0..3 {
        fake.answer(GET_CHANNEL, 200, &json!({ "id": "c" }));
    }
    now(channel.hangup()).unwrap();
    assert!(read(&mut events).is_empty());
    fake.advance(Duration::from_secs(1));
    assert!(read(&mut events).is_empty());
    fake.emit(&on_channel("ChannelHangupRequest", "c")).unwrap();
    let (lines, end) = within(&fake, &mut events, 9);
    assert_eq!(lines, ["ChannelHangupRequest", "end Ended"]);
    assert!(end.is_some());
    assert_eq!(asked(&fake, GET_CHANNEL), 4);
}

#[test]
fn nothing_is_asked_where_nothing_was_deleted() {
    let fake = fake();
    let ari = fake.ari();
    let channel = ari.channels().handle("c");
    let mut events = now(channel.events()).unwrap();
    // Not the channel.
    now(channel.unhold()).unwrap();
    fake.answer(HANGUP, 500, &json!({}));
    now(channel.hangup()).unwrap_err();
    assert_eq!(within(&fake, &mut events, 9), (Vec::new(), None));
    // One of the same id, on another Asterisk.
    let (here, there) = (
        ari.for_node(NODE).unwrap(),
        ari.for_node(OTHER_NODE).unwrap(),
    );
    let mut events = now(here.channels().handle("c").events()).unwrap();
    now(there.channels().handle("c").hangup()).unwrap();
    assert_eq!(within(&fake, &mut events, 9), (Vec::new(), None));
    assert_eq!(asked(&fake, GET_CHANNEL), 0);
}

/// A bridge has a name that the program gives it, and is made again under it.
#[test]
fn what_was_deleted_and_made_again_is_not_asked_for_ever() {
    let fake = fake();
    let ari = fake.ari();
    let create = || now(ari.bridges().create().bridge_id("conference"));
    let bridge = create().unwrap();
    let mut events = now(bridge.events()).unwrap();
    for _ in 0..1000 {
        fake.answer(GET_BRIDGE, 200, &json!({ "id": "conference" }));
    }
    now(bridge.destroy()).unwrap();
    create().unwrap();
    for _ in 0..3_600 {
        read(&mut events);
        fake.advance(Duration::from_secs(1));
    }
    assert!(
        asked(&fake, GET_BRIDGE) < 20,
        "{}",
        asked(&fake, GET_BRIDGE)
    );
}
