//! Connecting as the environment says; the environment of the tests itself is never touched.

use std::ffi::OsString;

use ari_core::Error;

use super::server::{Reply, Server};
use crate::Builder;

fn from(variables: &[(&str, &str)]) -> Result<Builder, Error> {
    Builder::from_variables(|name| {
        let set = variables.iter().find(|(set, _)| *set == name)?;
        Some(OsString::from(set.1))
    })
}

#[tokio::test(start_paused = true)]
async fn every_variable_is_used() {
    let server = Server::new();
    let builder = from(&[
        ("ARI_URL", "http://pbx:8088/ari"),
        ("ARI_WSURL", "ws://events:8088/ari/ws"),
        ("ARI_APPLICATION", "demo, other"),
        ("ARI_USERNAME", "user"),
        ("ARI_PASSWORD", "secret"),
    ])
    .unwrap();
    assert!(!format!("{builder:?}").contains("secret"));
    server.on("GET /ws", Reply::Answer("404 Not Found", ""));
    let error = builder.connector(server.connector()).connect().await;
    let said = error.unwrap_err().to_string();
    assert!(
        said.starts_with("Asterisk at events:8088 has no WebSocket at /ari/ws"),
        "{said}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_set_has_the_defaults_of_go_or_is_set_on_the_builder() {
    let server = Server::new();
    let ari = from(&[("ARI_APPLICATION", "demo,demo"), ("ARI_WSURL", "")])
        .unwrap()
        .application("more")
        .application("demo")
        .credentials("user", "secret")
        .connector(server.connector())
        .connect()
        .await
        .unwrap();
    let upgrade = server.upgrade();
    assert_eq!(upgrade.line, "GET /ari/events?app=demo%2Cmore");
    assert_eq!(upgrade.headers["host"], "localhost:8088");
    assert_eq!(ari.identity().application.as_deref(), Some("demo"));
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_in_the_end_names_the_variables() {
    let error = from(&[]).unwrap().connect().await.unwrap_err();
    assert!(error.to_string().contains("ARI_APPLICATION"), "{error}");
    let error = from(&[("ARI_APPLICATION", "demo")]).unwrap();
    let error = error.connect().await.unwrap_err();
    assert!(
        error.to_string().contains("ARI_USERNAME and ARI_PASSWORD"),
        "{error}"
    );
}

#[test]
fn what_is_wrong_names_its_variable_and_shows_no_secret() {
    let cases: [(&[(&str, &str)], &str); 8] = [
        (
            &[("ARI_URL", "secret")],
            "ARI_URL: the URL of ARI cannot be read",
        ),
        (
            &[("ARI_URL", "ftp://user:secret@pbx")],
            "ARI_URL: the URL of ARI is neither http nor https",
        ),
        (
            &[("ARI_WSURL", "mqtt://user:secret@pbx")],
            "ARI_WSURL: the URL of the WebSocket is neither ws nor wss",
        ),
        (&[("ARI_APPLICATION", "my app")], "ARI_APPLICATION: "),
        (&[("ARI_APPLICATION", "demo,,other")], "ARI_APPLICATION: "),
        (
            &[("ARI_USERNAME", "user")],
            "ARI_PASSWORD: it is not set, but ARI_USERNAME is",
        ),
        (
            &[("ARI_PASSWORD", "secret")],
            "ARI_USERNAME: it is not set, but ARI_PASSWORD is",
        ),
        (
            &[("ARI_USERNAME", "a:b"), ("ARI_PASSWORD", "secret")],
            "ARI_USERNAME: it has a colon",
        ),
    ];
    for (variables, said) in cases {
        let error = from(variables).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(error.to_string().starts_with(said), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}

#[cfg(unix)]
#[test]
fn what_is_not_unicode_names_its_variable() {
    use std::os::unix::ffi::OsStringExt;

    for name in [
        "ARI_URL",
        "ARI_WSURL",
        "ARI_APPLICATION",
        "ARI_USERNAME",
        "ARI_PASSWORD",
    ] {
        let only = |asked: &str| (asked == name).then(|| OsString::from_vec(vec![0xff]));
        let error = Builder::from_variables(only).unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: it is not Unicode"));
    }
}
