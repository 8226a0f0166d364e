//! Asking everybody, and finding the one who knows.

use std::time::{Duration, Instant};

use ari_core::Operation;
use ari_tests::{
    cluster::{APPLICATION, Cluster},
    within,
};

#[tokio::test(flavor = "multi_thread")]
async fn everybody_answers_and_who_was_killed_is_named() {
    let mut cluster = Cluster::start(3).await;
    for node in &cluster.nodes {
        node.channel().await;
    }
    let ari = cluster.client().await;
    let listed = ari.channels().list().await.unwrap();
    assert!(listed.is_complete(), "{:?}", listed.missing);
    for node in &cluster.nodes {
        let here = listed
            .items
            .iter()
            .filter(|channel| channel.entity().metadata.asterisk_id.as_deref() == Some(&*node.id));
        // Both halves of the Local channel.
        assert_eq!(here.count(), 2, "{}", node.id);
    }

    cluster.nodes[1].kill();
    let patience = Duration::from_millis(500);
    let list = || ari.channels().list().timeout_after(patience).into_future();
    let listed = list().await.unwrap();
    assert_eq!(listed.items.len(), 4);
    let missing: Vec<_> = listed
        .missing
        .iter()
        .map(|missing| missing.source.asterisk_id.as_deref().unwrap())
        .collect();
    assert_eq!(missing, [&*cluster.nodes[1].id]);
    // It is no longer waited for.
    let begun = Instant::now();
    let listed = list().await.unwrap();
    assert!(begun.elapsed() < patience / 2, "{:?}", begun.elapsed());
    assert_eq!((listed.items.len(), listed.missing.len()), (4, 0));
    // It is waited for again once it is back.
    let url = cluster.nats.url().to_owned();
    cluster.nodes[1].serve(APPLICATION, &url).await;
    ari_tests::until("the node to be known again", || async {
        let listed = list().await.unwrap();
        (listed.items.len() == 6).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_gathers_are_complete() {
    let cluster = Cluster::start(3).await;
    for node in &cluster.nodes {
        node.channel().await;
    }
    let ari = cluster.client().await;
    let gathers = (0..100).map(|_| ari.channels().list().into_future());
    for gathered in within("all gathers", futures::future::join_all(gathers)).await {
        let gathered = gathered.unwrap();
        assert_eq!((gathered.items.len(), gathered.missing.len()), (6, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_several_applications_list_is_listed_once() {
    let cluster = Cluster::start(2).await;
    let mut others = Vec::new();
    for node in &cluster.nodes {
        node.channel().await;
        let client = node.simulated.client("other");
        others.push(
            ari_tests::cluster::serve(client, cluster.nats.url(), ari_proxy::Options::default())
                .await,
        );
    }
    let ari = ari_proxy_client::builder(cluster.nats.url())
        .connect()
        .await
        .unwrap();
    let listed = ari.channels().list().await.unwrap();
    assert!(listed.is_complete());
    assert_eq!(listed.items.len(), 4);
    let applications = ari.applications().list().await.unwrap();
    let mut names: Vec<_> = applications
        .items
        .iter()
        .filter(|handle| handle.id() != "control")
        .map(|handle| handle.id().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["other", "other", APPLICATION, APPLICATION]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_is_found_whichever_node_it_is_on() {
    let cluster = Cluster::start(3).await;
    let mut channels = Vec::new();
    for number in 0..100 {
        let node = &cluster.nodes[number % 3];
        channels.push((node.id.clone(), node.channel().await.id().to_owned()));
    }
    // It has seen none of them.
    let ari = cluster.client().await;
    let gets = channels
        .iter()
        .map(|(_, id)| ari.channels().get(id).into_future());
    let found = within("all channels", futures::future::join_all(gets)).await;
    for ((_, id), found) in channels.iter().zip(found) {
        assert_eq!(found.unwrap().id, **id);
    }
    // What changes something goes to the right one, too.
    for (_, id) in &channels {
        ari.channels().hangup(id).await.unwrap();
    }
    for node in &cluster.nodes {
        let left = node
            .simulated
            .simulator()
            .with_world(|world, _| world.channel_count());
        assert_eq!(left, 0, "{}", node.id);
    }
    let gone = ari.channels().get(&channels[0].1).await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
}
