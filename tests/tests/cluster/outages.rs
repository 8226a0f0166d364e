//! NATS goes away and comes back.

use std::time::Duration;

use ari_core::{ConnectionState, Error, GapCause, StreamItem};
use ari_tests::{
    NatsServer, Relay,
    cluster::{APPLICATION, Node},
    next_of, rest, until, until_true, within,
};
use futures::StreamExt;

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_after_nats_was_restarted() {
    let nats = NatsServer::start().await;
    let relay = Relay::start(nats.address()).await;
    let url = format!("nats://{}", relay.address());
    let mut node = Node::start(1).await;
    node.serve(APPLICATION, &url).await;
    let ari = ari_proxy_client::builder(&url)
        .application(APPLICATION)
        .request_timeout(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    let mut all = ari.events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    node.call_in(APPLICATION, "waits").await;
    let call = within("the call", calls.next()).await.unwrap();
    let (channel, mut events) = call.into_parts();
    channel.answer().await.unwrap();
    let dialog = ari.dialog("order-4711").unwrap();
    let mut of_dialog = dialog.events().await.unwrap();

    nats.kill();
    relay.cut().await;
    until_true("the loss to be noticed", || {
        ari.state() == ConnectionState::Connecting
    })
    .await;
    let error = channel.get().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    assert!(error.to_string().contains("NATS at nats://"), "{error}");

    let nats = NatsServer::start().await;
    relay.restore(nats.address()).await;
    for events in [&mut all, &mut of_dialog, &mut events] {
        let mut told = Vec::new();
        while told.last() != Some(&"resynced") {
            match within("the news", events.next()).await.unwrap() {
                StreamItem::Gap(gap) => {
                    assert_eq!((gap.missed, gap.cause), (None, GapCause::Reconnected));
                    told.push("gap");
                }
                StreamItem::Resynced => told.push("resynced"),
                _ => {}
            }
        }
        assert_eq!(told[0], "gap");
    }
    // The call that was there goes on, new ones come, and the dialog is heard.
    until("the channel to be reached", || async {
        channel.get().await.ok()
    })
    .await;
    channel.set_variable("MOOD", "fine").await.unwrap();
    next_of(&mut all, "ChannelVarset").await;
    channel.hangup().await.unwrap();
    rest(&mut events).await;
    node.call_in(APPLICATION, "waits").await;
    let call = within("the next call", calls.next()).await.unwrap();
    call.channel().hangup().await.unwrap();
    dialog
        .channels()
        .originate("Local/answers@ari-test")
        .await
        .unwrap();
    next_of(&mut of_dialog, "StasisStart").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_starts_again_is_taken_for_a_loss() {
    let nats = NatsServer::start().await;
    let mut node = Node::start(1).await;
    node.serve(APPLICATION, nats.url()).await;
    let ari = ari_proxy_client::connect(nats.url(), APPLICATION)
        .await
        .unwrap();
    let mut events = ari.events().await.unwrap();
    node.simulated
        .inject(APPLICATION, &serde_json::json!({"type": "Before"}));
    next_of(&mut events, "Before").await;
    node.leave().await;
    node.serve(APPLICATION, nats.url()).await;
    node.simulated
        .inject(APPLICATION, &serde_json::json!({"type": "After"}));
    match within("the gap", events.next()).await.unwrap() {
        StreamItem::Gap(gap) => assert_eq!((gap.missed, gap.cause), (None, GapCause::Upstream)),
        other => panic!("{other:?}"),
    }
    next_of(&mut events, "After").await;
    let listed = within("the list", ari.channels().list().into_future())
        .await
        .unwrap();
    assert!(listed.is_complete(), "{:?}", listed.missing);
}
