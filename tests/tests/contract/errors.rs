//! The classes of errors: what a caller can conclude is the same on every transport.

use std::time::Duration;

use ari_core::{ConnectionState, Error, Operation, Request, operations};
use ari_tests::{Fixture, Outcome, next_of, rest, until, until_true, within};
use futures::FutureExt;

ari_tests::scenarios! { "errors":
    a_refusal_says_what_and_why
    a_name_that_forges_a_subject_is_refused
    a_request_that_cannot_be_right_is_refused
    what_is_no_operation_is_unsupported
    an_answer_that_does_not_come_is_timed_out
    a_connection_that_breaks_leaves_the_outcome_open
    without_a_connection_nothing_is_sent
    another_asterisk_is_not_there
    ids_may_hold_anything
}

async fn a_refusal_says_what_and_why(fixture: &Fixture) -> Outcome {
    let refused = fixture.ari().channels().answer("nobody").await.unwrap_err();
    assert!(refused.is_not_found());
    assert!(!refused.is_retryable() && !refused.outcome_unknown());
    let Error::Refused(refusal) = &refused else {
        panic!("{refused:?}");
    };
    assert_eq!(refusal.status, 404);
    assert_eq!(&*refusal.message, "Channel not found");
    assert_eq!(
        (refusal.method, refusal.path),
        ("POST", "/channels/{channelId}/answer")
    );
    assert_eq!(
        refused.to_string().to_lowercase(),
        "post /channels/{channelid}/answer was refused: 404 not found: channel not found"
    );
    Ok(())
}

async fn a_name_that_forges_a_subject_is_refused(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    for name in [
        "",
        "a b",
        "a.*",
        "a.>",
        ">",
        "a..b",
        ".a",
        "a.",
        "a\r\nPUB x 0",
        "*",
    ] {
        for outcome in [
            ari.dialog(name),
            ari.for_application(name),
            ari.for_node(name),
        ] {
            assert!(
                matches!(outcome, Err(Error::InvalidName(_))),
                "{name:?}: {outcome:?}"
            );
        }
    }
    assert!(ari.dialog("x".repeat(1_000)).is_err());
    Ok(())
}

async fn a_request_that_cannot_be_right_is_refused(fixture: &Fixture) -> Outcome {
    let nameless = fixture.ari().channels().get("").await.unwrap_err();
    assert!(matches!(nameless, Error::InvalidRequest(_)), "{nameless:?}");
    for dots in [".", ".."] {
        let outside = fixture.ari().channels().get(dots).await.unwrap_err();
        assert!(
            matches!(outside, Error::InvalidRequest(_)) || outside.status().is_some(),
            "{outside:?}"
        );
    }
    Ok(())
}

async fn what_is_no_operation_is_unsupported(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    let socket =
        Request::new(&operations::events::EVENT_WEBSOCKET, ari.target().clone()).with("app", "x");
    let error = ari.request(socket).await.unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
    Ok(())
}

async fn an_answer_that_does_not_come_is_timed_out(fixture: &Fixture) -> Outcome {
    fixture.hold_answers()?;
    let limit = Duration::from_millis(200);
    let get = fixture.ari().asterisk().get_info().timeout_after(limit);
    let error = within("the timeout", get.into_future()).await.unwrap_err();
    let Error::TimedOut { operation, after } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(operation, "GET /asterisk/info");
    assert_eq!(*after, limit);
    assert!(error.outcome_unknown() && !error.is_retryable());
    let list = fixture.ari().channels().list().timeout_after(limit);
    match within("the timeout", list.into_future()).await {
        Ok(gathered) => {
            assert_eq!(gathered.items.len(), 0);
            assert_eq!(gathered.missing.len(), 1, "{gathered:?}");
            assert_eq!(
                gathered.missing[0].source.asterisk_id.as_deref(),
                Some(&*fixture.node())
            );
        }
        Err(error) => assert!(matches!(error, Error::TimedOut { .. }), "{error:?}"),
    }
    fixture.release_answers();
    within(
        "an answer",
        fixture.ari().asterisk().get_info().into_future(),
    )
    .await?;
    Ok(())
}

async fn a_connection_that_breaks_leaves_the_outcome_open(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    fixture.hold_answers()?;
    let asterisk = fixture.ari().asterisk();
    let name = format!("BROKEN_{}", fixture.application().replace('-', "_"));
    let mut set = Box::pin(asterisk.set_global_var(&name, "yes").into_future());
    assert!((&mut set).now_or_never().is_none());
    // It has arrived when its effect is there.
    until("the request to arrive", || async {
        fixture.global(&name).await.filter(|value| value == "yes")
    })
    .await;
    assert!((&mut set).now_or_never().is_none());
    link.relay.cut().await;
    let error = within("the error", set).await.unwrap_err();
    fixture.release_answers();
    link.restore().await;
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    assert!(error.outcome_unknown() && !error.is_retryable());
    let side = other_side(fixture);
    assert!(error.to_string().contains(side), "{error}");
    connected(fixture).await;
    let read = asterisk.get_global_var(&name).await?;
    assert_eq!(read.value.as_deref(), Some("yes"));
    Ok(())
}

/// Who is at the other end of the connection.
fn other_side(fixture: &Fixture) -> &'static str {
    if fixture.transport().is_cluster() {
        "NATS at "
    } else {
        "Asterisk at "
    }
}

async fn connected(fixture: &Fixture) {
    until_true("the connection to be back", || {
        fixture.ari().state() == ConnectionState::Connected
    })
    .await;
}

async fn without_a_connection_nothing_is_sent(fixture: &Fixture) -> Outcome {
    let link = fixture.link()?;
    link.relay.cut().await;
    until_true("the loss to be noticed", || {
        fixture.ari().state() == ConnectionState::Connecting
    })
    .await;
    // What goes out on a connection of which nobody knows yet that it is lost may have arrived.
    until("every lost connection to be known", || async {
        let error = fixture.ari().channels().answer("x").await.err()?;
        matches!(error, Error::NotSent { .. }).then_some(())
    })
    .await;
    for error in [
        fixture.ari().channels().answer("x").await.unwrap_err(),
        fixture.ari().channels().list().await.unwrap_err(),
        fixture
            .ari()
            .channels()
            .originate(fixture.endpoint("answers"))
            .await
            .unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
        assert!(error.is_retryable() && !error.outcome_unknown());
        assert!(error.to_string().contains(other_side(fixture)), "{error}");
    }
    link.restore().await;
    connected(fixture).await;
    fixture.ari().channels().list().await?;
    Ok(())
}

async fn another_asterisk_is_not_there(fixture: &Fixture) -> Outcome {
    let elsewhere = fixture.ari().for_node("02:00:00:00:00:99")?;
    let error = within("the error", elsewhere.channels().get("x").into_future())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NobodyThere { .. }), "{error:?}");
    assert!(error.to_string().contains("02:00:00:00:00:99"), "{error}");
    assert!(error.is_retryable());
    Ok(())
}

async fn ids_may_hold_anything(fixture: &Fixture) -> Outcome {
    for id in ["a/b", "a b", "a?b=c", "a%2Fb", "näme", "a.b.>", "*"] {
        let id = format!("{id}-{}", ari_core::fresh_id());
        let (channel, mut events) = fixture
            .ari()
            .channels()
            .originate(fixture.endpoint("answers"))
            .channel_id(&id)
            .staged()
            .await?
            .send()
            .await?;
        next_of(&mut events, "StasisStart").await;
        assert_eq!(channel.get().await?.id, *id);
        channel.set_variable("MOOD", "fine").await?;
        channel.hangup().await?;
        rest(&mut events).await;
        let gone = channel.get().await.unwrap_err();
        assert!(gone.is_not_found(), "{id}: {gone}");
    }
    Ok(())
}
