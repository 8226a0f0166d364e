//! "Subscribed" means that no event is missed.

use std::time::Duration;

use ari_core::Ari;
use ari_tests::{
    NatsServer,
    cluster::{APPLICATION, Cluster, Node},
    next_event, next_of, within,
};
use serde_json::json;

const ROUNDS: usize = 500;

/// Subscribes again and again; the node publishes as soon as the subscription is there.
async fn subscribe_and_publish(ari: &Ari, nodes: &[Node]) {
    for round in 0..ROUNDS {
        let node = &nodes[round % nodes.len()];
        let mut events = ari.events().await.unwrap();
        node.simulated
            .inject(APPLICATION, &json!({"type": "Round", "round": round}));
        let event = within("the event", next_event(&mut events)).await;
        assert_eq!(event.to_value().unwrap()["round"], round);
        // The end of the last stream gives the subscription up: the next round makes a new one.
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_on_one_nats_server() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    subscribe_and_publish(&ari, &cluster.nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_missed_on_a_cluster_of_nats_servers() {
    let nats = NatsServer::start_cluster(3).await;
    let mut nodes = Vec::new();
    for (number, server) in nats[1..].iter().enumerate() {
        let mut node = Node::start(number).await;
        node.serve(APPLICATION, server.url()).await;
        nodes.push(node);
    }
    let ari = ari_proxy_client::builder(nats[0].url())
        .application(APPLICATION)
        .connect()
        .await
        .unwrap();
    let listed = ari.channels().list().await.unwrap();
    assert!(listed.is_complete());
    subscribe_and_publish(&ari, &nodes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_dialog_is_missed_on_a_cluster_of_nats_servers() {
    let nats = NatsServer::start_cluster(3).await;
    let mut node = Node::start(1).await;
    node.serve(APPLICATION, nats[1].url()).await;
    let ari = ari_proxy_client::builder(nats[0].url())
        .application(APPLICATION)
        .request_timeout(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    for round in 0..50 {
        let dialog = ari.dialog(format!("order-{round}")).unwrap();
        let mut events = dialog.events().await.unwrap();
        let bridge = dialog.bridges().create().await.unwrap();
        let channel = dialog
            .channels()
            .originate("Local/answers@ari-test")
            .await
            .unwrap();
        next_of(&mut events, "StasisStart").await;
        bridge.add_channel(channel.id()).await.unwrap();
        next_of(&mut events, "ChannelEnteredBridge").await;
        channel.hangup().await.unwrap();
        next_of(&mut events, "ChannelDestroyed").await;
        bridge.destroy().await.unwrap();
    }
}
