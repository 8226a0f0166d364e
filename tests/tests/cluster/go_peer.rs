//! A client of ours with a server such as the Go proxy: keys only, no numbers, no extensions.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use ari_core::{Ari, Error};
use ari_tests::{NatsServer, next_of, within};
use async_nats::{Client, Message};
use futures::{StreamExt, stream};
use serde_json::{Value, json};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

const APPLICATION: &str = "shop";
const NODE: &str = "00:11:22:33:44:55";

/// A server that answers as the Go proxy does, for the few kinds that this test sends.
struct GoServer {
    seen: Arc<Mutex<Vec<Value>>>,
    _stop: DropGuard,
}

impl GoServer {
    async fn start(nats: Client) -> Self {
        let mut subscriptions = vec![nats.subscribe("ari.ping").await.unwrap()];
        for class in ["get", "data", "command", "create"] {
            for subject in [
                format!("ari.{class}"),
                format!("ari.{class}.{APPLICATION}"),
                format!("ari.{class}.{APPLICATION}.{NODE}"),
            ] {
                subscriptions.push(match class {
                    "create" => nats
                        .queue_subscribe(subject, "ariproxy".into())
                        .await
                        .unwrap(),
                    _ => nats.subscribe(subject).await.unwrap(),
                });
            }
        }
        nats.flush().await.unwrap();
        let seen: Arc<Mutex<Vec<Value>>> = Arc::default();
        let stop = CancellationToken::new();
        let serve = {
            let seen = Arc::clone(&seen);
            async move {
                let mut messages = stream::select_all(subscriptions);
                while let Some(message) = messages.next().await {
                    serve(&nats, message, &seen).await;
                }
            }
        };
        TaskTracker::new().spawn(stop.clone().run_until_cancelled_owned(serve));
        Self {
            seen,
            _stop: stop.drop_guard(),
        }
    }

    /// The kinds that were asked for, in order.
    fn kinds(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|request| request["kind"].as_str().unwrap().to_owned())
            .collect()
    }

    fn last(&self) -> Value {
        self.seen.lock().unwrap().last().unwrap().clone()
    }
}

async fn serve(nats: &Client, message: Message, seen: &Mutex<Vec<Value>>) {
    if &*message.subject == "ari.ping" {
        let announcement = json!({"node": NODE, "application": APPLICATION});
        nats.publish("ari.announce", announcement.to_string().into())
            .await
            .unwrap();
        return;
    }
    let request: Value = serde_json::from_slice(&message.payload).unwrap();
    let key =
        |kind: &str, id: &str| json!({"kind": kind, "id": id, "node": NODE, "app": APPLICATION});
    let id = request["key"]["id"].as_str().unwrap_or_default().to_owned();
    let answer = match request["kind"].as_str().unwrap_or_default() {
        "ChannelList" => {
            json!({"error": "", "keys": [key("channel", "c-1"), key("channel", "c-2")]})
        }
        "ChannelData" if id == "c-1" => json!({"error": "", "data": {"channel": {
            "key": key("channel", "c-1"), "id": "c-1", "name": "PJSIP/alice-1", "state": "Up",
            "creationtime": "2026-11-21T12:00:00.000+0000", "dialplan": null,
        }}}),
        "ChannelData" => json!({"error": format!(
            "failed to get data: Error getting data for channel '{id}': Non-2XX response: 404 Not Found"
        )}),
        "ChannelGet" => json!({"error": "", "key": key("channel", &id)}),
        "ChannelOriginate" => {
            let id = &request["channel_originate"]["originate_request"]["channelId"];
            json!({"error": "", "key": key("channel", id.as_str().unwrap())})
        }
        "ChannelPlay" => {
            let id = &request["channel_play"]["playback_id"];
            json!({"error": "", "key": key("playback", id.as_str().unwrap())})
        }
        "ChannelAnswer" | "ChannelHangup" | "BridgeUnsubscribe" | "ChannelSubscribe" => {
            json!({"error": ""})
        }
        _ => json!({"error": "Not implemented"}),
    };
    if request["kind"] != "BridgeUnsubscribe" {
        seen.lock().unwrap().push(request);
    }
    if let Some(reply) = message.reply {
        nats.publish(reply, answer.to_string().into())
            .await
            .unwrap();
    }
}

async fn setting() -> (NatsServer, Client, GoServer, Ari) {
    let nats = NatsServer::start().await;
    let raw = async_nats::connect(nats.url()).await.unwrap();
    let server = GoServer::start(raw.clone()).await;
    let ari = ari_proxy_client::builder(nats.url())
        .application(APPLICATION)
        .request_timeout(Duration::from_secs(5))
        .connect()
        .await
        .unwrap();
    (nats, raw, server, ari)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_go_proxy_has_is_had() {
    let (_nats, _raw, server, ari) = setting().await;
    let listed = ari.channels().list().await.unwrap();
    assert!(listed.is_complete());
    let ids: Vec<_> = listed
        .items
        .iter()
        .map(|channel| channel.id().to_owned())
        .collect();
    assert_eq!(ids, ["c-1", "c-2"]);
    let channel = &listed.items[0];
    assert!(channel.snapshot().is_none());
    assert_eq!(channel.entity().metadata.asterisk_id.as_deref(), Some(NODE));
    let data = channel.get().await.unwrap();
    assert_eq!(data.name.as_deref(), Some("PJSIP/alice-1"));
    let gone = listed.items[1].get().await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    channel.answer().await.unwrap();
    let placed = ari.channels().originate("PJSIP/alice").await.unwrap();
    assert_eq!(placed.entity().metadata.asterisk_id.as_deref(), Some(NODE));
    let sent = server.last();
    assert_eq!(
        sent["channel_originate"]["originate_request"]["app"],
        APPLICATION
    );
    assert_eq!(
        sent["channel_originate"]["originate_request"]["channelId"],
        placed.id()
    );
    let playback = placed.play("sound:hello-world").await.unwrap();
    assert_eq!(server.last()["channel_play"]["playback_id"], playback.id());
    placed.hangup().await.unwrap();
    assert_eq!(
        server.kinds(),
        [
            "ChannelList",
            "ChannelData",
            "ChannelData",
            "ChannelAnswer",
            "ChannelOriginate",
            "ChannelPlay",
            "ChannelHangup"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_go_proxy_has_not_is_unsupported() {
    let (_nats, _raw, server, ari) = setting().await;
    let here = ari.for_node(NODE).unwrap();
    for error in [
        // No kind at all, a kind that the server lacks, a parameter that the kind lacks.
        here.asterisk().ping().await.unwrap_err(),
        here.mailboxes().get("x").await.unwrap_err(),
        here.channels()
            .hangup("c-1")
            .reason_code("17")
            .await
            .unwrap_err(),
        ari.asterisk().ping().await.unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
        assert!(!error.is_retryable() && !error.outcome_unknown());
    }
    // What the server is known not to have is not even sent.
    assert!(!server.kinds().contains(&"ChannelHangup".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_without_numbers_are_heard() {
    let (_nats, raw, _server, ari) = setting().await;
    let mut calls = ari.calls().await.unwrap();
    let subject = format!("ari.event.{APPLICATION}.{NODE}");
    let publish = async |event: Value| {
        raw.publish(subject.clone(), event.to_string().into())
            .await
            .unwrap();
    };
    // As Go publishes it: keys of its own, a zero time, objects that stand for none.
    let on = |kind: &str| {
        json!({
            "type": kind, "application": APPLICATION, "node": NODE, "asterisk_id": NODE, "dialog": "",
            "timestamp": "2026-11-21T12:00:00.000+0000",
            "channel": {"id": "c-1", "name": "PJSIP/alice-1", "state": "Ring",
                "creationtime": "0001-01-01T00:00:00.000+0000"},
            "replace_channel": {"id": "", "name": ""},
            "args": [],
        })
    };
    publish(on("StasisStart")).await;
    let call = within("the call", calls.next()).await.unwrap();
    let (channel, mut events) = call.into_parts();
    assert_eq!(channel.entity().metadata.asterisk_id.as_deref(), Some(NODE));
    channel.answer().await.unwrap();
    // The same event twice is two events, where no number tells.
    publish(on("ChannelStateChange")).await;
    publish(on("ChannelStateChange")).await;
    next_of(&mut events, "ChannelStateChange").await;
    next_of(&mut events, "ChannelStateChange").await;
    publish(on("ChannelDestroyed")).await;
    next_of(&mut events, "ChannelDestroyed").await;
    within("the end", channel.until_hungup()).await.unwrap();
}
