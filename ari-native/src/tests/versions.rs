//! What an older Asterisk does not have.

use ari_core::{Error, Version};

use super::{
    connected, next,
    server::{Reply, Server},
    to,
};

const PROGRESS: &str = "POST /channels/c1/progress";

#[tokio::test(start_paused = true)]
async fn what_this_asterisk_does_not_have_is_not_sent() {
    let server = Server::new();
    let ari = to(server.install("22.5.2")).connect().await.unwrap();
    let channel = ari.channels().handle("c1");
    let error = channel.progress().await.unwrap_err();
    let Error::Unsupported {
        operation, since, ..
    } = &error
    else {
        panic!("{error:?}");
    };
    assert_eq!(operation, "POST /channels/{channelId}/progress");
    let releases = [(20, 16), (21, 11), (22, 6)];
    assert_eq!(
        *since,
        releases.map(|(major, minor)| Version::new(major, minor, 0))
    );
    assert!(error.to_string().ends_with("and this is 22.5.2"), "{error}");
    let set = channel.set_variable("A", "1").report_events(true);
    assert!(matches!(set.await, Err(Error::Unsupported { .. })));
    assert!(server.seen().is_empty());

    server.on(
        "POST /channels/c1/variable",
        Reply::Answer("204 No Content", ""),
    );
    channel.set_variable("A", "1").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_version_that_nobody_knows_refuses_nothing() {
    for version in ["GIT-22-6c1f1a4", "certified-20.7-cert3", ""] {
        let server = Server::new();
        let ari = to(server.install(version)).connect().await.unwrap();
        server.on(PROGRESS, Reply::Answer("204 No Content", ""));
        ari.channels().handle("c1").progress().await.unwrap();
        assert_eq!(server.seen().len(), 1, "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_version_is_read_anew_with_each_connection() {
    let (ari, mut server) = connected().await;
    let channel = ari.channels().handle("c1");
    let mut events = ari.events().await.unwrap();
    let mut socket = server.socket().await;
    for (version, supported) in [("18.26.4", false), ("23.0.0", true)] {
        server.install(version);
        drop(socket);
        assert_eq!(next(&mut events).await, "Gap Reconnected None");
        assert_eq!(next(&mut events).await, "Resynced");
        socket = server.socket().await;
        server.on(PROGRESS, Reply::Answer("204 No Content", ""));
        assert_eq!(channel.progress().await.is_ok(), supported, "{version}");
    }
}
