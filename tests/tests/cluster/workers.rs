//! Several workers share the calls.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use ari_core::{Ari, Calls};
use ari_tests::{
    cluster::{APPLICATION, Cluster},
    until_true,
};
use futures::StreamExt;
use tokio_util::task::TaskTracker;

/// How often each call was taken.
type Taken = Arc<Mutex<BTreeMap<String, usize>>>;

/// Takes calls until there are no more, and hangs each of them up.
async fn work(mut calls: Calls, taken: Taken) -> usize {
    let mut count = 0;
    while let Some(call) = calls.next().await {
        let channel = call.channel();
        channel.answer().await.unwrap();
        channel.hangup().await.unwrap();
        count += 1;
        let mut taken = taken.lock().unwrap();
        *taken.entry(channel.id().to_owned()).or_default() += 1;
    }
    count
}

async fn place(cluster: &Cluster, calls: usize) -> Vec<String> {
    let mut placed = Vec::new();
    for number in 0..calls {
        let node = &cluster.nodes[number % cluster.nodes.len()];
        placed.push(node.call_in(APPLICATION, "waits").await);
    }
    placed
}

/// Waits until all calls are taken; each must have been taken once.
async fn each_once(placed: &[String], taken: &Taken) {
    until_true("all calls to be taken", || {
        let taken = taken.lock().unwrap();
        placed.iter().all(|id| taken.contains_key(id))
    })
    .await;
    let taken = taken.lock().unwrap();
    assert_eq!(taken.len(), placed.len());
    assert!(taken.values().all(|count| *count == 1), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_goes_to_one_worker() {
    let cluster = Cluster::start(3).await;
    let workers: Vec<Ari> = vec![cluster.client().await, cluster.client().await];
    let taken = Taken::default();
    let tasks = TaskTracker::new();
    let mut running = Vec::new();
    for worker in &workers {
        let calls = worker.calls().await.unwrap();
        running.push(tasks.spawn(work(calls, Arc::clone(&taken))));
    }
    let placed = place(&cluster, 100).await;
    each_once(&placed, &taken).await;
    for worker in &workers {
        worker.close().await.unwrap();
    }
    let mut counts = Vec::new();
    for worker in running {
        counts.push(worker.await.unwrap());
    }
    assert_eq!(counts.iter().sum::<usize>(), 100);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_leaves_loses_no_call() {
    let cluster = Cluster::start(2).await;
    let (leaving, staying) = (cluster.client().await, cluster.client().await);
    let taken = Taken::default();
    let tasks = TaskTracker::new();
    let staying_calls = staying.calls().await.unwrap();
    tasks.spawn(work(staying_calls, Arc::clone(&taken)));
    let mut placed = Vec::new();
    for _ in 0..4 {
        let calls = leaving.calls().await.unwrap();
        placed.extend(place(&cluster, 15).await);
        // It stops while calls are on their way to it, finishes those that are there, and comes back.
        let (_, more) = tokio::join!(
            async {
                calls.stop();
                work(calls, Arc::clone(&taken)).await
            },
            place(&cluster, 10)
        );
        placed.extend(more);
    }
    each_once(&placed, &taken).await;
    leaving.close().await.unwrap();
    staying.close().await.unwrap();
    tasks.close();
    tasks.wait().await;
}
