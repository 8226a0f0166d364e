//! Requests that nobody should send: the proxy answers with an error, and serves the next one.

use std::time::Duration;

use ari_tests::{
    cluster::{APPLICATION, Cluster},
    next_of, until_true, within,
};
use async_nats::Client;
use futures::StreamExt;
use serde_json::{Value, json};

async fn ask(raw: &Client, subject: &str, message: impl Into<Vec<u8>>) -> Value {
    let answer = raw.request(subject.to_owned(), message.into().into());
    let answer = within("an answer", answer).await.unwrap();
    serde_json::from_slice(&answer.payload).unwrap()
}

/// A request that any proxy serves.
fn good() -> Vec<u8> {
    json!({"kind": "AsteriskInfo", "key": {}})
        .to_string()
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_is_answered_with_an_error() {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw().await;
    let data = format!("ari.data.{APPLICATION}");
    let deep = |open: &str, close: &str| {
        let depth = 20_000;
        format!(
            "{{\"kind\":\"ChannelHangup\",\"key\":{}1{}}}",
            open.repeat(depth),
            close.repeat(depth)
        )
    };
    let bad: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"kind\":\"Channel\xff\"}".to_vec(),
        b"{}".to_vec(),
        json!({"kind": null, "key": null}).to_string().into(),
        json!({"kind": 7}).to_string().into(),
        json!({"kind": "NoSuchKind", "key": {}}).to_string().into(),
        json!({"kind": "ChannelAnswer"}).to_string().into(),
        json!({"kind": "ChannelAnswer", "key": null})
            .to_string()
            .into(),
        json!({"kind": "ChannelAnswer", "key": {"kind": "channel"}})
            .to_string()
            .into(),
        json!({"kind": "ChannelAnswer", "key": "channel"})
            .to_string()
            .into(),
        json!({"kind": "ChannelAnswer", "key": {"id": {"a": 1}}})
            .to_string()
            .into(),
        json!({"kind": "ChannelAnswer", "key": {"kind": "channel", "id": ".."}})
            .to_string()
            .into(),
        json!({"kind": "ChannelOriginate", "key": {}})
            .to_string()
            .into(),
        json!({"kind": "ChannelOriginate", "channel_originate": 1})
            .to_string()
            .into(),
        json!({"kind": "ChannelOriginate",
            "channel_originate": {"originate_request": {"timeout": "soon"}}})
        .to_string()
        .into(),
        json!({"kind": "ChannelPlay", "key": {"id": "x"}, "channel_play": []})
            .to_string()
            .into(),
        json!({"kind": "AriRequest", "key": {}}).to_string().into(),
        json!({"kind": "AriRequest", "key": {}, "ari_request": {"resource": "channels",
            "operation": "explode"}})
        .to_string()
        .into(),
        json!({"kind": "AriRequest", "key": {}, "ari_request": {"resource": "events",
            "operation": "eventWebsocket", "parameters": {"app": "x"}}})
        .to_string()
        .into(),
        deep("[", "]").into(),
        deep("{\"id\":", "}").into(),
        format!(
            "{{\"kind\":\"ChannelAnswer\",\"key\":{{\"id\":\"{}\"}}}}",
            "x".repeat(500_000)
        )
        .into(),
        vec![b' '; 1_000_000],
    ];
    for message in bad {
        let shown = String::from_utf8_lossy(&message[..message.len().min(80)]).into_owned();
        let answer = ask(&raw, &data, message).await;
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(!error.is_empty(), "{shown}: {answer}");
        assert!(error.len() < 2_000, "{shown}: {} bytes", error.len());
        // The next one is served.
        let answer = ask(&raw, &data, good()).await;
        assert_eq!(answer["error"], "", "after {shown}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_no_answer_gets_none() {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw().await;
    let subject = format!("ari.command.{APPLICATION}");
    for message in [&b"garbage"[..], b"{}", br#"{"kind":"ChannelAnswer"}"#] {
        raw.publish(subject.clone(), message.into()).await.unwrap();
    }
    // What it does without an answer is done.
    let set = json!({"kind": "AsteriskVariableSet", "key": {"kind": "variable", "id": "QUIET"},
        "asterisk_variable_set": {"value": "yes"}});
    raw.publish(subject, set.to_string().into()).await.unwrap();
    let asterisk = cluster.nodes[0].control().asterisk();
    ari_tests::until("the variable to be set", || async {
        let read = asterisk.get_global_var("QUIET").await.ok()?;
        (read.value.as_deref() == Some("yes")).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_id_forges_a_subject() {
    let cluster = Cluster::start(1).await;
    let raw = cluster.raw().await;
    let mut everything = raw.subscribe("ari.dialogevent.>").await.unwrap();
    let mut strange = raw.subscribe("forged.>").await.unwrap();
    raw.flush().await.unwrap();
    let create = |dialog: &str, id: &str| {
        json!({"kind": "BridgeCreate", "key": {"kind": "bridge", "id": id, "dialog": dialog},
            "bridge_create": {"type": "mixing"}})
        .to_string()
    };
    let subject = format!("ari.create.{APPLICATION}");
    for dialog in [
        ">",
        "*",
        "a b",
        "a..b",
        ".a",
        "a.",
        "a\r\nPUB forged.x 2\r\n{}",
        "a.*.b",
    ] {
        let answer = ask(&raw, &subject, create(dialog, "b-1")).await;
        assert_ne!(answer["error"], "", "{dialog:?}: {answer}");
    }
    assert_eq!(cluster.nodes[0].server.as_ref().unwrap().bindings(), 0);
    // An id is no part of a subject: it may be anything that Asterisk takes.
    let id = "> a.b\r\nPUB forged.y 2\r\n{}";
    let answer = ask(&raw, &subject, create("order-1", id)).await;
    assert_eq!(answer["error"], "", "{answer}");
    let key = json!({"kind": "bridge", "id": id, "node": "forged.>", "app": "forged.*"});
    let delete = json!({"kind": "BridgeDelete", "key": key}).to_string();
    let answer = ask(&raw, &format!("ari.command.{APPLICATION}"), delete).await;
    assert_eq!(answer["error"], "", "{answer}");
    // The bridge's events went to its dialog, and nothing anywhere else.
    let quiet = tokio::time::timeout(Duration::from_millis(50), strange.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    while let Ok(Some(event)) =
        tokio::time::timeout(Duration::from_millis(50), everything.next()).await
    {
        assert_eq!(&*event.subject, "ari.dialogevent.order-1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_only_bind_bind() {
    let cluster = Cluster::start(1).await;
    let ari = cluster.client().await;
    let raw = cluster.raw().await;
    let node = &cluster.nodes[0];
    let server = node.server.as_ref().unwrap();
    let dialog = ari.dialog("order-1").unwrap();
    let mut events = dialog.events().await.unwrap();
    let id = node.call_in(APPLICATION, "waits").await;
    let subject = |class: &str| format!("ari.{class}.{APPLICATION}.{}", node.id);
    let key = |kind: &str, id: &str| json!({"kind": kind, "id": id, "dialog": "order-1"});
    for (kind, entity, id) in [
        ("ChannelSubscribe", "channel", id.as_str()),
        ("BridgeSubscribe", "bridge", "b-1"),
        ("PlaybackSubscribe", "playback", "p-1"),
    ] {
        let request = json!({"kind": kind, "key": key(entity, id)}).to_string();
        let answer = ask(&raw, &subject("command"), request).await;
        assert_eq!(answer["error"], "", "{kind}: {answer}");
    }
    assert_eq!(server.bindings(), 3);
    ari.channels().answer(&id).await.unwrap();
    next_of(&mut events, "ChannelStateChange").await;
    // What is staged is bound, too, and nothing is created.
    let stage = json!({"kind": "BridgeStageCreate", "key": key("bridge", "b-2"),
        "bridge_create": {"type": "mixing"}});
    let answer = ask(&raw, &subject("create"), stage.to_string()).await;
    assert_eq!(answer["error"], "", "{answer}");
    let stage = json!({"kind": "ChannelStagePlay", "key": key("channel", &id),
        "channel_play": {"playback_id": "p-2", "media_uri": "sound:hello-world"}});
    let answer = ask(&raw, &subject("get"), stage.to_string()).await;
    assert_eq!(answer["error"], "", "{answer}");
    assert_eq!(server.bindings(), 5);
    assert!(ari.bridges().get("b-2").await.unwrap_err().is_not_found());
    let world = node.simulated.simulator();
    assert_eq!(world.with_world(|world, _| world.bridge_count()), 0);
    // What is refused is not bound.
    let originate = json!({"kind": "ChannelOriginate", "key": key("channel", ""),
        "channel_originate": {"originate_request":
            {"endpoint": "Nothing/like-that", "app": APPLICATION, "channelId": "c-2"}}});
    let answer = ask(&raw, &subject("create"), originate.to_string()).await;
    assert_ne!(answer["error"], "", "{answer}");
    assert_eq!(server.bindings(), 5);
    // The end of the dialog's last scope ends them all.
    drop(dialog);
    until_true("the bindings to be gone", || server.bindings() == 0).await;
}
