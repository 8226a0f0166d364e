//! What cannot work says so at once, in one sentence that says what to do.

use ari_core::Error;
use ari_tests::{NatsServer, asterisk::Simulated, cluster::Cluster, within};

/// The sentence of an attempt that must fail; it may not show what is secret.
async fn sentence<T: std::fmt::Debug>(
    attempt: impl IntoFuture<Output = ari_core::Result<T>>,
) -> String {
    let error = within("the error", attempt.into_future())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(!text.contains("hush") && !text.contains('\n'), "{text}");
    assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_asterisk_that_cannot_be_made_says_why() {
    let simulated = Simulated::start("02:00:00:00:01:01").await;
    let here = format!("http://{}", simulated.address());
    let connect = |url: String, application: &'static str, password: &'static str| {
        ari_native::connect(url, application, Simulated::USER, password)
    };
    for (url, application, password, expected) in [
        (format!("{here}/ari"), "shop", "hush", "401"),
        (format!("{here}/ira"), "shop", Simulated::PASSWORD, "/ari"),
        (
            "http://127.0.0.1:1/ari".to_owned(),
            "shop",
            "hush",
            "127.0.0.1:1",
        ),
        ("ftp://127.0.0.1/ari".to_owned(), "shop", "hush", "http"),
        (format!("{here}/ari"), "a b", "hush", "white space"),
        (format!("{here}/ari"), "a.*", "hush", "wildcard"),
        (format!("{here}/ari"), "a.>", "hush", "wildcard"),
    ] {
        let said = sentence(connect(url.clone(), application, password)).await;
        assert!(said.contains(expected), "{url} {application}: {said}");
    }
    let nats = NatsServer::start().await;
    let taken = sentence(ari_native::connect(
        format!("http://{}/ari", nats.address()),
        "shop",
        "user",
        "hush",
    ))
    .await;
    assert!(taken.contains(nats.address()), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_to_the_cluster_that_cannot_be_made_says_why() {
    let nats = NatsServer::start().await;
    let connect = |url: &str, application: &str| {
        let builder = ari_proxy_client::builder(url).application(application);
        Box::pin(builder.connect())
    };
    let nobody = sentence(connect("nats://user:hush@127.0.0.1:1", "shop")).await;
    assert!(nobody.contains("NATS at nats://127.0.0.1:1"), "{nobody}");
    let url = sentence(connect("no url at all", "shop")).await;
    assert!(url.contains("NATS URL"), "{url}");
    for application in ["a b", "a.*", "a.>", ">", ""] {
        let outcome = connect(nats.url(), application).await;
        assert!(
            matches!(outcome, Err(Error::InvalidName(_))),
            "{application:?}: {outcome:?}"
        );
    }
    let prefix = ari_proxy_client::builder(nats.url()).prefix("a.*.");
    assert!(prefix.connect().await.is_err());
    // Nobody is there yet: the client is connected, and says so of each request.
    let ari = connect(nats.url(), "shop").await.unwrap();
    let error = within("the error", ari.channels().get("x").into_future())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error:?}");
    let error = within("the error", ari.bridges().create().into_future())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_long_for_nats_is_not_sent() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let id = cluster.nodes[0]
        .call_in(ari_tests::cluster::APPLICATION, "waits")
        .await;
    let value = "x".repeat(2_000_000);
    let error = ari
        .channels()
        .set_channel_var(&id, "LONG", value)
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    assert!(
        error.to_string().len() < 1_000,
        "{} bytes",
        error.to_string().len()
    );
    ari.channels().hangup(&id).await.unwrap();
}
