//! Creations: ids, latches and events are there before anything is sent.

use ari_core::{
    BridgeHandle, ChannelHandle, Entity, EntityKind, Error, Metadata, Request, Response, Result,
    operations, testing::Fake,
};
use serde_json::{Value, json};

use crate::support::{
    Hooked, NODE, NOTHING, ORIGINATE, PLAY, Task, Verdict, asked, fake, held, now, on_channel,
    on_playback, read,
};

fn nobody() -> Error {
    Error::NobodyThere {
        subject: "ari.command.demo".to_owned(),
    }
}

/// The Asterisks that the requests for an operation went to.
fn nodes(requests: &[Request]) -> Vec<Option<String>> {
    let node = |request: &Request| request.target.asterisk_id.as_deref().map(str::to_owned);
    requests.iter().map(node).collect()
}

#[test]
fn what_is_created_has_an_id_of_the_client_and_a_place() {
    let fake = fake();
    let ari = fake.ari();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let request = &fake.requests()[0];
    assert_eq!(request.operation.to_string(), ORIGINATE);
    assert_eq!(request.parameters.text("channelId").unwrap(), channel.id());
    assert_eq!(channel.id().len(), 32);
    // It comes to the application that asked for it, unless it is to go elsewhere.
    assert_eq!(request.parameters.text("app").unwrap(), "demo");
    assert_eq!(request.target, ari.identity());
    assert_eq!(channel.entity().metadata, ari.identity());
    assert!(channel.snapshot().is_none());
    let builders = [
        ari.channels().originate("PJSIP/alice").context("default"),
        ari.channels().originate("PJSIP/alice").extension("100"),
    ];
    for builder in builders {
        now(builder).unwrap();
        assert_eq!(fake.requests().last().unwrap().parameters.get("app"), None);
    }
}

#[test]
fn a_handle_knows_what_the_answer_told() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(
        ORIGINATE,
        200,
        &json!({ "id": "given", "name": "PJSIP/alice-1", "state": "Down" }),
    );
    let channel = now(ari.channels().originate("PJSIP/alice").channel_id("asked")).unwrap();
    assert_eq!(channel.id(), "given");
    assert_eq!(
        channel.snapshot().unwrap().name.as_deref(),
        Some("PJSIP/alice-1")
    );
    fake.answer(ORIGINATE, 200, &json!({ "id": "staged", "state": "Down" }));
    let originate = ari.channels().originate("PJSIP/alice").channel_id("staged");
    let staged = now(originate.staged()).unwrap();
    assert!(staged.handle().snapshot().is_none());
    let (channel, _events) = now(staged.send()).unwrap();
    assert_eq!(channel.id(), "staged");
    assert!(channel.snapshot().is_some());
}

#[test]
fn an_answer_of_keys_gives_the_same_handle() {
    let keys = Response::new(200, "OK", "").with_entities(vec![
        Entity::new(EntityKind::Playback, "p", Metadata::default()),
        Entity::new(
            EntityKind::Channel,
            "c",
            Metadata {
                asterisk_id: Some("02:00:00:00:00:07".into()),
                ..Metadata::default()
            },
        ),
    ]);
    let ari = answering(keys);
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    assert_eq!(channel.id(), "c");
    assert_eq!(
        channel.entity().metadata.asterisk_id.as_deref(),
        Some("02:00:00:00:00:07")
    );
    assert_eq!(
        channel.entity().metadata.application.as_deref(),
        Some("demo")
    );
}

/// A client that gives this answer to everything.
fn answering(response: Response) -> ari_core::Ari {
    answering_all(vec![response])
}

/// A client of a cluster in which each gives its answer to everything.
fn answering_all(responses: Vec<Response>) -> ari_core::Ari {
    #[derive(Debug)]
    struct Answering(Fake, Vec<Response>);

    impl ari_core::AriClient for Answering {
        fn identity(&self) -> Metadata {
            self.0.identity()
        }
        fn state(&self) -> ari_core::ConnectionState {
            self.0.state()
        }
        fn call(&self, _: Request) -> futures::future::BoxFuture<'_, Result<Response>> {
            Box::pin(futures::future::ready(Ok(self.1[0].clone())))
        }
        fn gather(
            &self,
            _: Request,
        ) -> futures::future::BoxFuture<'_, Result<ari_core::Gathered<Response>>> {
            let gathered = ari_core::Gathered::new(self.1.clone(), Vec::new());
            Box::pin(futures::future::ready(Ok(gathered)))
        }
        fn feed(&self, target: &Metadata) -> ari_core::router::Feed {
            self.0.feed(target)
        }
        fn router(&self) -> &ari_core::router::Router {
            self.0.router()
        }
        fn sleep(&self, pause: std::time::Duration) -> futures::future::BoxFuture<'static, ()> {
            self.0.sleep(pause)
        }
        fn release_dialog(&self, dialog: &str) {
            self.0.release_dialog(dialog);
        }
        fn close(&self) -> futures::future::BoxFuture<'_, Result<()>> {
            self.0.close()
        }
        fn abandon(&self) {
            self.0.abandon();
        }
    }

    ari_core::Ari::new(std::sync::Arc::new(Answering(fake(), responses)))
}

#[test]
fn an_answer_that_is_no_channel_is_an_error() {
    let fake = fake();
    let ari = fake.ari();
    for body in [
        json!([]),
        json!({ "id": 7 }),
        json!({}),
        json!({ "id": "" }),
        json!("c"),
    ] {
        fake.answer(ORIGINATE, 200, &body);
        let error = now(ari.channels().originate("PJSIP/alice")).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{body}: {error}");
    }
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn a_refused_creation_leaves_nothing() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(
        ORIGINATE,
        409,
        &json!({ "message": "Channel with given unique ID already exists" }),
    );
    let error = now(ari.channels().originate("PJSIP/alice")).unwrap_err();
    assert_eq!(error.status(), Some(409));
    fake.answer(ORIGINATE, 500, &json!({ "error": "Allocation failed" }));
    let staged = now(ari.channels().originate("PJSIP/nobody").staged()).unwrap();
    assert_eq!(now(staged.send()).unwrap_err().status(), Some(500));
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn a_creation_that_is_answered_with_nothing_that_was_created_fails_and_leaves_nothing() {
    let fake = fake();
    let ari = fake.ari();
    for answer in [json!({}), json!({ "id": "" }), json!([])] {
        fake.answer(ORIGINATE, 200, &answer);
        let plain = now(ari.channels().originate("PJSIP/alice")).unwrap_err();
        fake.answer(ORIGINATE, 200, &answer);
        let staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
        let staged = now(staged.send()).unwrap_err();
        assert!(matches!(staged, Error::Decode { .. }), "{staged}");
        assert_eq!(
            staged.to_string(),
            format!("cannot decode the answer to {ORIGINATE}: {answer}")
        );
        assert_eq!(plain.to_string(), staged.to_string());
    }
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn nothing_is_sent_before_a_staged_creation_is() {
    let fake = fake();
    let ari = fake.ari();
    let mut staged = now(ari.channels().originate("PJSIP/alice").staged()).unwrap();
    let id = staged.handle().id().to_owned();
    assert_eq!(staged.handle().entity().metadata, ari.identity());
    assert_eq!(fake.requests().len(), 0);
    // Its events flow already; those of others do not.
    fake.emit(&on_channel("ChannelCreated", "other")).unwrap();
    fake.emit(&on_channel("ChannelCreated", &id)).unwrap();
    assert_eq!(read(staged.events()), ["ChannelCreated"]);
    fake.emit(&on_channel("StasisStart", &id)).unwrap();
    let (channel, mut events): (ChannelHandle, _) = now(staged.send()).unwrap();
    fake.emit(&on_channel("ChannelDestroyed", &id)).unwrap();
    assert_eq!(channel.id(), id);
    assert_eq!(
        read(&mut events),
        ["StasisStart", "ChannelDestroyed", "end Ended"]
    );
    assert_eq!(
        now(channel.until_hungup()).unwrap().event().unwrap().kind(),
        "ChannelDestroyed"
    );
    let requests = fake.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].parameters.text("channelId").unwrap(), id);
    drop((channel, events));
    assert_eq!(held(&ari), NOTHING);
}

#[test]
fn a_staged_creation_that_is_dropped_leaves_nothing() {
    let fake = fake();
    let ari = fake.ari();
    let staged = now(ari.bridges().create().staged()).unwrap();
    let _: &BridgeHandle = staged.handle();
    assert_ne!(held(&ari), NOTHING);
    drop(staged);
    assert_eq!(held(&ari), NOTHING);
    assert_eq!(fake.requests().len(), 0);
}

#[test]
fn only_what_has_an_id_can_be_staged() {
    let ari = fake().ari();
    let builder = ari.channels().play_without_id("c", "sound:hello-world");
    assert!(matches!(
        now(builder.staged()),
        Err(Error::InvalidRequest(_))
    ));
    assert_eq!(held(&ari), NOTHING);
}

/// Asterisk sends the first events before it answers the request.
#[test]
fn what_happens_before_the_answer_is_not_missed() {
    let fake = fake();
    let ari = Hooked::new(&fake, |fake, request| {
        if request.operation.to_string() == PLAY {
            let id = request.parameters.text("playbackId").unwrap();
            for kind in ["PlaybackStarted", "PlaybackFinished"] {
                fake.emit(&on_playback(kind, &id, "channel:c")).unwrap();
            }
        }
        Verdict::Pass
    })
    .ari();
    let channel = ari.channels().handle("c");
    let playback = now(channel.play("sound:hello-world")).unwrap();
    let outcome = now(playback.finished()).unwrap();
    assert_eq!(outcome.event().unwrap().kind(), "PlaybackFinished");
    let staged = now(channel.play("sound:hello-world").staged()).unwrap();
    let (playback, mut events) = now(staged.send()).unwrap();
    assert_eq!(
        read(&mut events),
        ["PlaybackStarted", "PlaybackFinished", "end Ended"]
    );
    assert!(now(playback.finished()).is_ok());
}

/// Where nobody listens nothing was sent, so the next place is as good.
#[test]
fn a_creation_goes_to_the_next_place_where_nobody_is_there() {
    let fake = fake();
    let ari = Hooked::new(&fake, |fake, request| {
        let silent = fake.requests().len() < 2;
        // The fake has what was tried, so that the test can look at it.
        drop(futures::executor::block_on(ari_core::AriClient::call(
            fake,
            request.clone(),
        )));
        if silent {
            Verdict::Fail(nobody())
        } else {
            Verdict::Pass
        }
    })
    .with_places(["one", "two", "three"])
    .ari();
    let channel = now(ari.channels().originate("PJSIP/alice")).unwrap();
    let tried = nodes(&fake.requests());
    assert_eq!(
        tried[..3],
        ["one", "two", "three"].map(|node| Some(node.to_owned()))
    );
    // Its latch is where it is.
    let mut wait = Task::start({
        let channel = channel.clone();
        async move { channel.until_hungup().await }
    });
    let mut event = on_channel("ChannelDestroyed", channel.id());
    event["asterisk_id"] = "one".into();
    fake.emit(&event).unwrap();
    assert!(wait.waits());
    event["asterisk_id"] = "three".into();
    fake.emit(&event).unwrap();
    assert!(matches!(wait.outcome(), Some(Ok(_))));
}

#[test]
fn not_every_place_is_tried() {
    let fake = fake();
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let ari = Hooked::new(&fake, {
        let tries = std::sync::Arc::clone(&tries);
        move |_, _| {
            tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Verdict::Fail(nobody())
        }
    })
    .with_places(["a", "b", "c", "d", "e"])
    .ari();
    let error = now(ari.channels().originate("PJSIP/alice")).unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }) && error.is_retryable());
    assert_eq!(tries.swap(0, std::sync::atomic::Ordering::Relaxed), 3);
    // A place that the caller chose is not changed; other errors are final.
    let there = ari.for_node("b").unwrap();
    now(there.channels().originate("PJSIP/alice")).unwrap_err();
    assert_eq!(tries.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert_eq!(held(&ari), NOTHING);
}

/// A playback is where its channel is; a place chosen for it would be the wrong one.
#[test]
fn what_works_on_something_goes_where_that_is() {
    let fake = fake();
    let ari = Hooked::new(&fake, |_, _| Verdict::Pass)
        .with_places(["x"; 9])
        .ari();
    let channel = ari.channels().handle("c");
    now(channel.play("sound:hello-world")).unwrap();
    now(channel.record("wav")).unwrap();
    now(channel.snoop("demo")).unwrap();
    now(ari.bridges().handle("b").play("sound:hello-world")).unwrap();
    now(ari.channels().originate("PJSIP/alice").originator("c")).unwrap();
    assert_eq!(nodes(&fake.requests()), [None, None, None, None, None]);
    let channel = ari.for_node(NODE).unwrap().channels().handle("c");
    now(channel.play("sound:hello-world")).unwrap();
    assert_eq!(nodes(&fake.requests())[5..], [Some(NODE.to_owned())]);
    now(ari.bridges().create_with_id("b")).unwrap();
    now(ari
        .channels()
        .originate("Local/1@default")
        .other_channel_id("d"))
    .unwrap();
    assert_eq!(
        nodes(&fake.requests())[6..],
        [Some("x".to_owned()), Some("x".to_owned())]
    );
}

#[test]
fn lists_give_handles_of_data_or_keys_each_entity_once() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(
        "GET /channels",
        200,
        &json!([{ "id": "c", "name": "PJSIP/a" }, { "id": "d" }, { "id": "c" }]),
    );
    let listed = now(ari.channels().list()).unwrap();
    assert!(listed.is_complete());
    let ids: Vec<&str> = listed.items.iter().map(ChannelHandle::id).collect();
    assert_eq!(ids, ["c", "d"]);
    assert_eq!(
        listed.items[0].snapshot().unwrap().name.as_deref(),
        Some("PJSIP/a")
    );
    // Where nobody gave a list, the first answer is the error.
    fake.answer("GET /channels", 500, &json!({ "message": "no" }));
    let refused = now(ari.channels().list()).unwrap_err();
    assert_eq!(refused.status(), Some(500), "{refused}");
    fake.answer("GET /channels", 200, &json!({ "not": "a list" }));
    let unread = now(ari.channels().list()).unwrap_err();
    assert!(matches!(unread, Error::Decode { .. }), "{unread}");
}

#[test]
fn who_refuses_a_list_is_missing_among_others() {
    let from = |node: &str, status, body: &str| {
        let source = Metadata {
            asterisk_id: Some(node.into()),
            ..Metadata::default()
        };
        Response::new(status, "", body.to_owned()).from_source(source)
    };
    let refusal = from("a", 404, r#"{"message":"invalid tech"}"#);
    let list = from("b", 200, r#"[{"technology":"PJSIP","resource":"ann"}]"#);
    let ari = answering_all(vec![refusal.clone(), list]);
    let listed = now(ari.endpoints().list_by_tech("PJSIP")).unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.missing.len(), 1);
    assert_eq!(listed.missing[0].source.asterisk_id.as_deref(), Some("a"));
    assert!(listed.missing[0].reason.contains("invalid tech"));
    let ari = answering_all(vec![refusal, from("b", 500, "")]);
    let refused = now(ari.endpoints().list_by_tech("PJSIP")).unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
}

#[test]
fn a_request_as_it_stands_gives_refusals_as_answers() {
    let fake = fake();
    let ari = fake.ari();
    let operation = <operations::channels::Hangup as ari_core::Operation>::SPEC;
    fake.answer(
        "DELETE /channels/{channelId}",
        404,
        &json!({ "message": "Channel not found" }),
    );
    let request = Request::new(operation, Metadata::default()).with("channelId", "c");
    let response = now(ari.dialog("d").unwrap().request(request)).unwrap();
    assert_eq!((response.status, response.is_success()), (404, false));
    assert_eq!(asked(&fake, "DELETE /channels/{channelId}"), 1);
    assert_eq!(fake.requests()[0].target.dialog.as_deref(), Some("d"));
    let error = response.into_success(operation).unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        "DELETE /channels/{channelId} was refused: 404 Refused: Channel not found"
    );
    fake.answer("DELETE /channels/{channelId}", 204, &Value::Null);
    assert!(now(ari.channels().hangup("c")).is_ok());
}

#[test]
fn what_an_answer_leaves_out_is_fetched() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer(
        "POST /applications/{applicationName}/subscription",
        200,
        &Value::Null,
    )
    .answer(
        "GET /applications/{applicationName}",
        200,
        &json!({ "name": "demo", "channel_ids": ["c"] }),
    );
    let subscribe = ari.applications().subscribe("demo", "channel:c");
    let application = now(subscribe.into_future()).unwrap();
    assert_eq!(application.channel_ids, ["c"]);
    assert_eq!(fake.requests().len(), 2);
}
