//! Who is in the cluster: coming, leaving, and taking itself for another.

use std::{sync::Arc, time::Instant};

use ari_core::Error;
use ari_proxy::Options;
use ari_proxy_client::Placement;
use ari_tests::{
    NatsServer,
    asterisk::Simulated,
    cluster::{APPLICATION, Cluster, Node, serve},
    log, until, until_true, within,
};

#[tokio::test(flavor = "multi_thread")]
async fn who_says_goodbye_is_gone_at_once() {
    let mut cluster = Cluster::start(3).await;
    let ari = cluster.client().await;
    cluster.nodes[2].leave().await;
    // The goodbye was sent before the proxy ended; nothing is waited for that cannot come.
    until("the goodbye", || async {
        let begun = Instant::now();
        let listed = ari.channels().list().await.unwrap();
        assert!(begun.elapsed().as_secs() < 5 || listed.is_complete());
        listed.is_complete().then_some(())
    })
    .await;
    let gone = ari.for_node(&*cluster.nodes[2].id).unwrap();
    let error = gone.channels().get("x").await.unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error:?}");
    assert!(error.to_string().contains(&cluster.nodes[2].id), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_under_one_name_are_told_loudly() {
    log::remember_errors();
    let mut cluster = Cluster::start(1).await;
    let _ari = cluster.client().await;
    let node = "twin-of-itself";
    let options = || {
        let mut options = Options::default();
        options.node_id = Some(node.to_owned());
        options
    };
    let url = cluster.nats.url().to_owned();
    cluster.nodes[0].server = None;
    let simulated = &cluster.nodes[0].simulated;
    let _one = serve(simulated.client("one"), &url, options()).await;
    assert!(!log::was_logged(&[node]));
    let other = Node::start(2).await;
    let _two = serve(other.simulated.client("one"), &url, options()).await;
    until_true("the server to say so", || {
        log::was_logged(&["ari_proxy::", "another proxy announces the same node", node])
    })
    .await;
    until_true("the client to say so", || {
        log::was_logged(&[
            "ari_proxy_client::",
            "two proxies announce the same Asterisk",
            node,
        ])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn creations_are_placed_as_it_was_said() {
    let mut cluster = Cluster::start(3).await;
    let ids: Vec<Arc<str>> = cluster
        .nodes
        .iter()
        .map(|node| (&*node.id).into())
        .collect();
    let place = async |ari: &ari_core::Ari| {
        let bridge = ari.bridges().create().await.unwrap();
        bridge.entity().metadata.asterisk_id.clone().unwrap()
    };
    let spread = cluster.client().await;
    let mut used = Vec::new();
    for _ in 0..6 {
        used.push(place(&spread).await);
    }
    for id in &ids {
        assert_eq!(
            used.iter().filter(|used| *used == id).count(),
            2,
            "{used:?}"
        );
    }
    let connect = async |placement| {
        let builder = cluster.builder().placement(placement);
        builder.connect().await.unwrap()
    };
    let prefer = connect(Placement::Prefer(Arc::clone(&ids[1]))).await;
    let pin = connect(Placement::Pin(Arc::clone(&ids[1]))).await;
    for _ in 0..3 {
        assert_eq!(place(&prefer).await, ids[1]);
        assert_eq!(place(&pin).await, ids[1]);
    }
    let narrowed = spread.for_node(&*ids[2]).unwrap();
    assert_eq!(place(&narrowed).await, ids[2]);
    // Nobody listens there any more, and nobody has said so: the next one is taken.
    cluster.nodes[1].kill();
    until("the connection of the proxy to end", || async {
        let subjects = cluster
            .subjects(&format!("ari-proxy {APPLICATION}@{}", ids[1]))
            .await;
        subjects.is_empty().then_some(())
    })
    .await;
    assert_ne!(place(&prefer).await, ids[1]);
    for _ in 0..6 {
        assert_ne!(place(&spread).await, ids[1]);
    }
    let error = pin.bridges().create().await.unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_of_two_nodes_are_not_bridged() {
    let cluster = Cluster::start(2).await;
    let ari = cluster.client().await;
    let on = |node: usize| ari.for_node(&*cluster.nodes[node].id).unwrap();
    let bridge = on(0).bridges().create().await.unwrap();
    let channel = on(1)
        .channels()
        .originate("Local/answers@ari-test")
        .await
        .unwrap();
    for error in [
        bridge.add_channel(channel.id()).await.unwrap_err(),
        ari.bridges()
            .add_channel(bridge.id(), channel.id())
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::InvalidRequest(_)), "{error:?}");
        for node in &cluster.nodes {
            assert!(error.to_string().contains(&node.id), "{error}");
        }
        assert!(error.to_string().contains(channel.id()), "{error}");
    }
    let near = on(0)
        .channels()
        .originate("Local/answers@ari-test")
        .staged()
        .await
        .unwrap();
    let (near, mut events) = near.send().await.unwrap();
    ari_tests::next_of(&mut events, "StasisStart").await;
    bridge.add_channel(near.id()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_whose_application_is_taken_over_ends() {
    let nats = NatsServer::start().await;
    let simulated = Simulated::start("02:00:00:00:01:01").await;
    let url = format!("http://{}/ari", simulated.address());
    let connect = || {
        ari_native::builder(&url)
            .application(APPLICATION)
            .credentials(Simulated::USER, Simulated::PASSWORD)
            .build_client()
    };
    let server = serve(connect().await.unwrap(), nats.url(), Options::default()).await;
    let other = connect().await.unwrap();
    within("the proxy to end", server.stopped()).await;
    within("the end", server.shutdown()).await.unwrap();
    other.close().await.unwrap();
}
