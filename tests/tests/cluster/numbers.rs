//! The numbers of events: what is missing is told, what comes twice is dropped.

use ari_core::{Gap, GapCause, StreamItem};
use ari_proxy_proto::{Numbering, numbered};
use ari_tests::{
    cluster::{APPLICATION, Cluster},
    next_event, next_of, within,
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_is_left_out_is_a_gap() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let raw = cluster.raw().await;
    let mut events = ari.events().await.unwrap();
    // A server of its own, whose events this test publishes.
    let subject = format!("ari.event.{APPLICATION}.hand-made");
    let publish = async |boot: &str, number: u64| {
        let event = json!({
            "type": "Numbered", "application": APPLICATION, "asterisk_id": "hand-made", "number": number,
        });
        let numbers = Numbering {
            boot,
            node: number,
            subject: number,
        };
        let message = numbered(&Bytes::from(event.to_string()), numbers);
        raw.publish(subject.clone(), message).await.unwrap();
        raw.flush().await.unwrap();
    };
    for (boot, number) in [
        ("a", 5),
        ("a", 6),
        ("a", 6),
        ("a", 4),
        ("a", 10),
        ("b", 1),
        ("b", 2),
    ] {
        publish(boot, number).await;
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&json!(2)) {
        match within("an event", events.next()).await.unwrap() {
            StreamItem::Event(event) => seen.push(event.to_value().unwrap()["number"].clone()),
            StreamItem::Gap(gap) => {
                assert_eq!(gap.cause, GapCause::Upstream);
                seen.push(json!({ "missed": gap.missed }));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        json!(seen),
        json!([5, 6, {"missed": 3}, 10, {"missed": null}, 1, 2])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_asterisk_lost_is_told_by_the_numbers() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let mut events = ari.events().await.unwrap();
    let node = &cluster.nodes[0];
    node.simulated
        .inject(APPLICATION, &json!({"type": "First"}));
    next_of(&mut events, "First").await;
    // The router of what the proxy stands on is told of a loss as a transport would tell it.
    let upstream = node.upstream.as_ref().unwrap();
    upstream
        .router()
        .gap_everywhere(Gap::new(Some(7), GapCause::Overflow));
    node.simulated
        .inject(APPLICATION, &json!({"type": "Second"}));
    match within("the gap", events.next()).await.unwrap() {
        StreamItem::Gap(gap) => assert_eq!(gap, Gap::new(Some(7), GapCause::Upstream)),
        other => panic!("{other:?}"),
    }
    next_of(&mut events, "Second").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_and_its_copy_for_a_dialog_are_one() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let dialog = ari.dialog("order-1").unwrap();
    let mut of_dialog = dialog.events().await.unwrap();
    let mut of_all = ari.events().await.unwrap();
    let staged = dialog
        .channels()
        .originate("Local/answers@ari-test")
        .staged();
    let (channel, mut of_channel) = staged.await.unwrap().send().await.unwrap();
    channel.hangup().await.unwrap();
    for events in [&mut of_dialog, &mut of_all, &mut of_channel] {
        let mut starts = 0;
        loop {
            let event = next_event(events).await;
            starts += usize::from(event.kind() == "StasisStart");
            if event.kind() == "ChannelDestroyed"
                && event.is_about(ari_core::EntityKind::Channel, channel.id())
            {
                break;
            }
        }
        assert_eq!(starts, 1);
    }
    assert!(of_channel.next().now_or_never().flatten().is_none());
}
