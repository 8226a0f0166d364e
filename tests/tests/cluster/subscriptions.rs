//! What a client holds at NATS and at the proxies, and that it is given up.

use std::time::Duration;

use ari_core::{Error, Operation};
use ari_sim::{Fault, Simulator};
use ari_tests::{
    cluster::{APPLICATION, Cluster},
    next_of, rest, until, within,
};
use futures::FutureExt;

/// Connections of clients.
const CLIENT: &str = "ari-proxy-client";

async fn settle(cluster: &Cluster, expected: &[String]) {
    until("the subscriptions to be as expected", || async {
        (cluster.subjects(CLIENT).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_children_cost_one_subscription() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let baseline = cluster.subjects(CLIENT).await;
    assert_eq!(baseline.len(), 2, "{baseline:?}");
    let mut children = Vec::new();
    let mut streams = Vec::new();
    for number in 0..1_000 {
        let child = ari.child();
        let handle = child.channels().handle(format!("channel-{number}"));
        for _ in 0..5 {
            streams.push(handle.events().await.unwrap());
        }
        children.push(child);
    }
    let mut expected = baseline.clone();
    expected.push(format!("ari.event.{APPLICATION}.>"));
    expected.sort();
    assert_eq!(cluster.subjects(CLIENT).await, expected);
    // Their scopes end, the streams are still held by somebody, and the connection is open.
    drop(children);
    settle(&cluster, &baseline).await;
    drop(streams);
    ari.asterisk().get_info().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn private_dialogs_share_a_subscription() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let baseline = cluster.subjects(CLIENT).await;
    let mut dialogs = Vec::new();
    for _ in 0..200 {
        let dialog = ari.private_dialog();
        let events = dialog.events().await.unwrap();
        dialogs.push((dialog, events));
    }
    let now = cluster.subjects(CLIENT).await;
    assert_eq!(now.len(), baseline.len() + 1, "{now:?}");
    // Each has its own events, from whichever Asterisk.
    let mut channels = Vec::new();
    for (dialog, events) in dialogs.iter_mut().take(10) {
        let channel = dialog
            .channels()
            .originate("Local/answers@ari-test")
            .await
            .unwrap();
        let start = next_of(events, "StasisStart").await.to_value().unwrap();
        assert_eq!(start["channel"]["id"], channel.id());
        channels.push(channel);
    }
    let bound = || {
        let servers = cluster.nodes.iter().filter_map(|node| node.server.as_ref());
        servers.map(ari_proxy::Server::bindings).sum::<usize>()
    };
    assert!(bound() >= 10);
    for channel in &channels {
        cluster
            .node(channel.entity().metadata.asterisk_id.as_deref().unwrap())
            .control()
            .channels()
            .hangup(channel.id())
            .await
            .unwrap();
    }
    for (_, events) in dialogs.iter_mut().take(10) {
        next_of(events, "ChannelDestroyed").await;
    }
    drop(dialogs);
    settle(&cluster, &baseline).await;
    ari_tests::until_true("the bindings to be gone", || bound() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_named_dialog_has_a_subscription_and_bindings_that_end() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let baseline = cluster.subjects(CLIENT).await;
    let server = cluster.nodes[0].server.as_ref().unwrap();
    let one = ari.dialog("order-4711").unwrap();
    let two = ari.dialog("order-4711").unwrap();
    let (events, _more) = (one.events().await.unwrap(), two.events().await.unwrap());
    let subject = "ari.dialogevent.order-4711".to_owned();
    let mut expected = [baseline.clone(), vec![subject]].concat();
    expected.sort();
    settle(&cluster, &expected).await;
    let bridge = one.bridges().create().await.unwrap();
    assert_eq!(server.bindings(), 1);
    drop((one, events));
    settle(&cluster, &expected).await;
    assert_eq!(server.bindings(), 1);
    // The last scope of the dialog lets it go, although the bridge goes on.
    drop(two);
    settle(&cluster, &baseline).await;
    ari_tests::until_true("the binding to be gone", || server.bindings() == 0).await;
    ari.bridges().destroy(bridge.id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_leave_nothing() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let baseline = cluster.subjects(CLIENT).await;
    let mut calls = ari.calls().await.unwrap();
    let subject = format!("ari.event.{APPLICATION}.>");
    let now = cluster.subjects(CLIENT).await;
    assert_eq!(now.iter().filter(|known| **known == subject).count(), 2);
    for node in &cluster.nodes {
        node.call_in(APPLICATION, "waits").await;
        let call = within("the call", futures::StreamExt::next(&mut calls))
            .await
            .unwrap();
        let (channel, mut events) = call.into_parts();
        channel.answer().await.unwrap();
        channel
            .play("sound:hello-world")
            .await
            .unwrap()
            .finished()
            .await
            .unwrap();
        channel.hangup().await.unwrap();
        rest(&mut events).await;
    }
    assert_eq!(cluster.subjects(CLIENT).await, now);
    drop(calls);
    settle(&cluster, &baseline).await;
    assert_eq!(ari.client().router().counts().subscriptions, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_end_early_leave_no_place_for_answers() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let waiting = || format!("{:?}", ari.client()).contains("requests: 0,");
    assert!(waiting());
    let simulators = cluster.nodes.iter().map(|node| node.simulated.simulator());
    simulators.clone().for_each(|simulator| {
        simulator.inject(Fault::NoAnswer).unwrap();
    });
    for _ in 0..100 {
        // One is cancelled under way, one times out.
        let mut cancelled = Box::pin(ari.asterisk().get_info().into_future());
        assert!((&mut cancelled).now_or_never().is_none());
        drop(cancelled);
        let limit = Duration::from_millis(1);
        let late = ari.asterisk().get_info().timeout_after(limit).await;
        assert!(matches!(late, Err(Error::TimedOut { .. })), "{late:?}");
        let list = ari.channels().list().timeout_after(limit).await;
        assert!(list.is_ok_and(|listed| listed.items.is_empty()));
    }
    assert!(waiting(), "{:?}", ari.client());
    simulators.for_each(Simulator::clear_faults);
    until("an answer", || async {
        ari.asterisk().get_info().await.ok()
    })
    .await;
    assert!(waiting(), "{:?}", ari.client());
    // Where too many wait, the next is not sent.
    let few = cluster
        .builder()
        .requests_in_flight(2)
        .connect()
        .await
        .unwrap();
    let simulators = cluster.nodes.iter().map(|node| node.simulated.simulator());
    simulators.clone().for_each(|simulator| {
        simulator.inject(Fault::NoAnswer).unwrap();
    });
    let mut held: Vec<_> = (0..2)
        .map(|_| Box::pin(few.asterisk().get_info().into_future()))
        .collect();
    for request in &mut held {
        assert!(request.now_or_never().is_none());
    }
    let refused = few.asterisk().get_info().await.unwrap_err();
    assert!(matches!(refused, Error::NotSent { .. }), "{refused:?}");
    simulators.for_each(Simulator::clear_faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_has_the_subscriptions_of_the_protocol() {
    let cluster = Cluster::start(1).await;
    let id = &cluster.nodes[0].id;
    let mut expected = vec!["ari.announce".to_owned(), "ari.ping".to_owned()];
    for class in ["get", "data", "command", "create"] {
        expected.push(format!("ari.{class}"));
        expected.push(format!("ari.{class}.{APPLICATION}"));
        expected.push(format!("ari.{class}.{APPLICATION}.{id}"));
    }
    expected.sort();
    let name = format!("ari-proxy {APPLICATION}@{id}");
    until("the subscriptions", || async {
        (cluster.subjects(&name).await == expected).then_some(())
    })
    .await;
}
