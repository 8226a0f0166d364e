//! Subscriptions whose subjects overlap, and subjects that several proxies publish to.

use ari_core::{Ari, Events, StreamItem};
use ari_tests::{
    cluster::{APPLICATION, Cluster},
    until_true, within,
};
use futures::{StreamExt, stream::select};
use serde_json::json;

const EVENTS: usize = 10;

/// What comes up to the last of the events, in short.
async fn read(events: &mut Events) -> Vec<String> {
    let mut seen = Vec::new();
    let last = format!("E{}", EVENTS - 1);
    while seen.last() != Some(&last) {
        match within("the next event", events.next()).await {
            Some(StreamItem::Event(event)) => seen.push(event.kind().to_owned()),
            other => seen.push(format!("{other:?}")),
        }
    }
    seen
}

fn all() -> Vec<String> {
    (0..EVENTS).map(|n| format!("E{n}")).collect()
}

async fn nameless(cluster: &Cluster) -> Ari {
    let builder = ari_proxy_client::builder(cluster.nats.url());
    builder.connect().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_has_all_events_whatever_else_hears_them() {
    let cluster = Cluster::start(1).await;
    let (ari, nameless) = (cluster.client().await, nameless(&cluster).await);
    let node = &cluster.nodes[0];
    // Each one's feed is narrower, or wider, than that of the one before.
    let mut streams = [
        ari.for_node(&*node.id).unwrap().events().await.unwrap(),
        ari.events().await.unwrap(),
        nameless.events().await.unwrap(),
        nameless
            .for_application(APPLICATION)
            .unwrap()
            .events()
            .await
            .unwrap(),
    ];
    for kind in all() {
        node.simulated.inject(APPLICATION, &json!({ "type": kind }));
    }
    for stream in &mut streams {
        assert_eq!(read(stream).await, all());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_channel_ends_although_calls_are_taken_afterwards() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let staged = ari.channels().originate("Local/answers@ari-test").staged();
    let (channel, mut events) = staged.await.unwrap().send().await.unwrap();
    let _calls = ari.calls().await.unwrap();
    channel.hangup().await.unwrap();
    let mut last = String::new();
    while let Some(item) = within("the next event", events.next()).await {
        match item {
            StreamItem::Event(event) => event.kind().clone_into(&mut last),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(last, "ChannelDestroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_on_two_asterisks_has_no_gaps() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let dialog = ari.dialog("order-1").unwrap();
    let mut events = dialog.events().await.unwrap();
    let mut ids = Vec::new();
    for node in &cluster.nodes {
        let id = node.call_in(APPLICATION, "waits").await;
        let narrow = dialog.for_node(&*node.id).unwrap();
        narrow
            .channels()
            .handle(id.as_str())
            .answer()
            .await
            .unwrap();
        ids.push(id);
    }
    for (n, kind) in all().into_iter().enumerate() {
        let (node, id) = (&cluster.nodes[n % 2], &ids[n % 2]);
        let event = json!({ "type": kind, "channel": { "id": id } });
        node.simulated.inject(APPLICATION, &event);
    }
    let mut seen = read(&mut events).await;
    seen.retain(|kind| kind != "ChannelStateChange");
    let gaps = seen.iter().filter(|item| !item.starts_with('E')).count();
    assert_eq!(gaps, 0, "{seen:?}");
}

/// The last scope of a dialog ends, and another one of the same name begins at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_that_begins_again_keeps_its_bindings() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let node = &cluster.nodes[0];
    let server = node.server.as_ref().unwrap();
    let id = node.call_in(APPLICATION, "waits").await;
    for n in 0..20 {
        let name = format!("order-{n}");
        let one = ari.dialog(name.clone()).unwrap();
        let answer = |ari: &Ari| ari.channels().handle(id.as_str()).answer();
        answer(&one).await.unwrap();
        drop(one);
        let again = ari.dialog(name).unwrap();
        answer(&again).await.unwrap();
        // Whatever was on its way to the server is there before the answer to this.
        ari.asterisk().ping().await.unwrap();
        assert_eq!(server.bindings(), 1, "{n}");
        drop(again);
        until_true("the binding to be gone", || server.bindings() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_takes_the_calls_of_one_asterisk_takes_no_others() {
    let cluster = Cluster::start(2).await;
    let (one, all) = (cluster.client().await, cluster.client().await);
    let narrow = one.for_node(&*cluster.nodes[0].id).unwrap();
    let mut of_one = narrow.calls().await.unwrap();
    let mut of_all = all.calls().await.unwrap();
    let mut placed = Vec::new();
    for _ in 0..20 {
        placed.push(cluster.nodes[1].call_in(APPLICATION, "waits").await);
    }
    for id in placed {
        let call = within("a call", of_all.next()).await.unwrap();
        assert_eq!(call.channel().id(), id);
    }
    // Those of its own Asterisk go to both, each to one of them.
    for _ in 0..20 {
        let id = cluster.nodes[0].call_in(APPLICATION, "waits").await;
        let call = within("a call", select(&mut of_one, &mut of_all).next()).await;
        assert_eq!(call.unwrap().channel().id(), id);
    }
}
