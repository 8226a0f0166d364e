//! The recorded events and announcements of the Go server against ours.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of tests fails by panicking"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
mod support;

use ari_core::Event;
use ari_proxy_proto::{
    Announcement, EventSubject, Numbering, PING, Subjects, dialog_copy, numbered, publishable,
};
use serde_json::Value;
use support::{lines, same};

const EVENTS: &str = include_str!("fixtures/events.jsonl");
const ANNOUNCEMENTS: &str = include_str!("fixtures/announcements.jsonl");

#[test]
fn our_events_are_those_of_the_go_server_after_decoding() {
    let subjects = Subjects::default();
    let numbers = Numbering {
        boot: "b1",
        node: 7,
        subject: 5,
    };
    let (mut canonical, mut dialogs, mut unpublished) = (0, 0, 0);
    for vector in lines(EVENTS) {
        let event = Event::parse(vector["asterisk_raw"].as_str().unwrap().to_owned()).unwrap();
        let node = event.asterisk_id().unwrap().to_owned();
        let base = publishable(&event, "test", &node);
        let Some(subject) = vector["subject"].as_str() else {
            // Go keeps from everybody that the application was taken over; ours does not.
            assert_eq!(event.kind(), "ApplicationReplaced");
            unpublished += 1;
            continue;
        };
        let message = if let EventSubject::Dialog(dialog) = subjects.event(subject).unwrap() {
            dialogs += 1;
            assert_eq!(subjects.dialog_events(dialog).unwrap(), subject);
            dialog_copy(&base, dialog, numbers)
        } else {
            canonical += 1;
            assert_eq!(subjects.events("test", &node).unwrap(), subject);
            numbered(&base, numbers)
        };
        let go: Value = serde_json::from_str(vector["raw"].as_str().unwrap()).unwrap();
        let ours: Value = serde_json::from_slice(&message).unwrap();
        assert!(same(&go, &ours), "go: {go}\nours: {ours}");
        assert_eq!(Event::parse(message).unwrap().numbers().unwrap().node, 7);
    }
    assert_eq!((canonical, dialogs, unpublished), (108, 33, 1));
}

#[test]
fn announcements_of_the_go_server_are_ours() {
    let (mut pings, mut announcements) = (0, 0);
    for vector in lines(ANNOUNCEMENTS) {
        let raw = vector["raw"].as_str().unwrap();
        if vector["subject"] == Subjects::default().announce() {
            assert_eq!(Announcement::decode(raw.as_bytes()).unwrap().encode(), raw);
            announcements += 1;
        } else {
            assert_eq!(vector["subject"], Subjects::default().ping());
            assert!(
                raw == PING || vector["note"].as_str().unwrap().starts_with("raw"),
                "{raw}"
            );
            pings += 1;
        }
    }
    assert_eq!((pings, announcements), (3, 15));
}
