//! Proxies that go and come back, and those whose Asterisk is away.

use std::sync::Arc;

use ari_core::{ConnectionState, GapCause, StreamItem};
use ari_proxy::Options;
use ari_tests::{
    Relay,
    asterisk::Simulated,
    cluster::{APPLICATION, Cluster, Node, serve},
    next_of, until_true, within,
};
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_is_told_that_its_proxy_was_away() {
    let mut cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let dialog = ari.dialog("order-1").unwrap();
    let mut of_dialog = dialog.events().await.unwrap();
    let id = cluster.nodes[0].call_in(APPLICATION, "waits").await;
    let narrow = dialog.for_node(&*cluster.nodes[0].id).unwrap();
    let channel = narrow.channels().handle(id.as_str());
    let mut of_channel = channel.events().await.unwrap();
    channel.answer().await.unwrap();
    next_of(&mut of_dialog, "ChannelStateChange").await;
    next_of(&mut of_channel, "ChannelStateChange").await;
    let url = cluster.nats.url().to_owned();
    let node = &mut cluster.nodes[0];
    node.leave().await;
    // The caller hangs up while there is no proxy.
    let channels = node.control().channels();
    channels.handle(id.as_str()).hangup().await.unwrap();
    node.serve(APPLICATION, &url).await;
    let item = within("the gap", of_dialog.next()).await;
    assert!(matches!(item, Some(StreamItem::Gap(gap)) if gap.cause == GapCause::Upstream));
    while within("the end of the channel", of_channel.next())
        .await
        .is_some()
    {}
}

/// A proxy whose Asterisk is away does not announce itself, and answers all the same.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_expected_answers_for_nobody_else() {
    let cluster = Cluster::start(2).await;
    let away = Node::start(3).await;
    let relay = Relay::start(away.simulated.address()).await;
    let url = format!("http://{}/ari", relay.address());
    let client = ari_native::builder(&url)
        .application(APPLICATION)
        .credentials(Simulated::USER, Simulated::PASSWORD)
        .build_client()
        .await
        .unwrap();
    let _server = serve(Arc::clone(&client), cluster.nats.url(), Options::default()).await;
    let known = cluster.client().await;
    let mut ids = Vec::new();
    for node in &cluster.nodes {
        ids.push(node.call_in(APPLICATION, "waits").await);
    }
    relay.cut().await;
    until_true("the loss to be noticed", || {
        client.state() != ConnectionState::Connected
    })
    .await;
    for _ in 0..5 {
        let ari = cluster.client().await;
        let listed = ari.channels().list().await.unwrap();
        for id in &ids {
            let found = listed.items.iter().any(|channel| channel.id() == id);
            assert!(found, "{listed:?}");
            // Nobody knows yet where it is: all are asked.
            let fresh = cluster.client().await;
            fresh.channels().handle(id.as_str()).ring().await.unwrap();
        }
    }
    // What is created goes to those whose Asterisk is there, whoever else was announced before.
    for _ in 0..10 {
        known.bridges().create().await.unwrap();
    }
}
