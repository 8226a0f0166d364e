//! Requests over the event socket: one at a time, each with its deadline.

use std::time::Duration;

use ari_core::{Error, Operation};
use futures::FutureExt;
use tokio::time::{Instant, sleep};

use super::{
    next,
    rest::{Far, INFO, connected},
};

#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_in_order_each_with_its_deadline() {
    let (ari, _server, mut far) = connected().await;
    let calls = ["a", "b", "c"].map(|id| ari.channels().handle(id).answer().into_future());
    let [mut a, mut b, mut c] = calls;
    for call in [&mut a, &mut b, &mut c] {
        assert!(call.now_or_never().is_none());
    }
    let first = far.asked().await;
    assert_eq!(first["uri"], "channels/a/answer");
    assert!(far.is_idle().await, "the others wait for their turn");
    let hasty = ari.channels().handle("d").answer();
    let start = Instant::now();
    let error = hasty
        .timeout_after(Duration::from_secs(2))
        .await
        .unwrap_err();
    assert_eq!(start.elapsed().as_secs(), 2);
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    assert!(
        error.to_string().contains("its turn on the WebSocket"),
        "{error}"
    );
    // What nobody waits for any more is not sent.
    drop(b);
    far.answer(&first, 204, "").await;
    let (last, asked) = tokio::join!(c, far.serve(204, ""));
    last.unwrap();
    assert_eq!(asked["uri"], "channels/c/answer");
    assert!(far.is_idle().await);
    a.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_stops_polling_or_goes_away_holds_nobody_up() {
    let (ari, _server, mut far) = connected().await;
    let answer = |id: &str| ari.channels().handle(id).answer().into_future();
    let mut unpolled = answer("a");
    assert!((&mut unpolled).now_or_never().is_none());
    far.serve(204, "").await;
    let (next, _) = tokio::join!(answer("b"), far.serve(204, ""));
    next.unwrap();
    unpolled.await.unwrap();

    let mut dropped = answer("c");
    assert!((&mut dropped).now_or_never().is_none());
    far.asked().await;
    drop(dropped);
    let start = Instant::now();
    let patient = ari.channels().handle("d").answer();
    let patient = patient.timeout_after(Duration::from_mins(1));
    let (next, asked) = tokio::join!(patient.into_future(), far.serve(204, ""));
    next.unwrap();
    assert_eq!(asked["uri"], "channels/d/answer");
    assert_eq!(start.elapsed().as_secs(), 10, "its answer was waited for");
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded() {
    let (ari, _server, mut far) = connected().await;
    let answer = || ari.channels().handle("a").answer().into_future();
    let mut first = answer();
    assert!((&mut first).now_or_never().is_none());
    far.asked().await;
    let mut waiting: Vec<_> = (0..1024).map(|_| answer()).collect();
    for call in &mut waiting {
        assert!(call.now_or_never().is_none());
    }
    let error = answer().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    assert!(error.to_string().contains("1024 requests wait"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_does_not_come_holds_the_others_up_until_its_deadline() {
    let (ari, _server, mut far) = connected().await;
    let channel = ari.channels().handle("c1");
    let slow = channel.answer().timeout_after(Duration::from_secs(3));
    let (error, asked) = tokio::join!(slow.into_future(), far.asked());
    assert!(matches!(error, Err(Error::TimedOut { after, .. }) if after.as_secs() == 3));
    let script = async {
        let other = far.asked().await;
        // It comes late, and is an answer to nothing else.
        far.answer(&asked, 500, "").await;
        far.answer(&other, 204, "").await;
    };
    let (answered, ()) = tokio::join!(channel.answer().into_future(), script);
    answered.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_ping_that_waits_behind_a_request_is_not_unanswered() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let answer = |limit| {
        let answer = ari.channels().handle("c1").answer();
        answer.timeout_after(limit).into_future()
    };
    let script = async {
        let asked = far.asked().await;
        // Nothing is read meanwhile, not even a ping.
        sleep(Duration::from_secs(50)).await;
        far.answer(&asked, 204, "").await;
    };
    let (answered, ()) = tokio::join!(answer(Duration::from_mins(1)), script);
    answered.unwrap();
    assert!(next(&mut events).now_or_never().is_none());

    // The request that the ping waits behind counts, for twice its time, and not later ones.
    let start = Instant::now();
    let mut first = answer(Duration::from_secs(30));
    let mut later = answer(Duration::from_hours(1));
    for call in [&mut first, &mut later] {
        assert!(call.now_or_never().is_none());
    }
    far.asked().await;
    assert!(matches!(first.await, Err(Error::TimedOut { .. })));
    let error = later.await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error}");
    assert_eq!(start.elapsed().as_secs(), 65);
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
}

/// Asterisk may be at it still.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_given_up_holds_up_the_next_one_for_a_while() {
    let (ari, _server, mut far) = connected().await;
    let answer = || {
        let answer = ari.channels().handle("c1").answer();
        answer.timeout_after(Duration::from_hours(1)).into_future()
    };
    let mut given_up = answer();
    assert!((&mut given_up).now_or_never().is_none());
    far.asked().await;
    drop(given_up);
    let start = Instant::now();
    let mut later = answer();
    assert!((&mut later).now_or_never().is_none());
    far.asked().await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn what_restores_goes_before_the_calls_that_wait() {
    let (ari, mut server, far) = connected().await;
    let mut events = ari.channels().handle("c").events().await.unwrap();
    drop(far);
    let mut far = Far(server.socket().await);
    let greeting = far.asked().await;
    let answer = |_| ari.channels().handle("a").answer().into_future();
    let mut waiting: Vec<_> = (0..1024).map(answer).collect();
    for call in &mut waiting {
        assert!(call.now_or_never().is_none());
    }
    far.answer(&greeting, 200, INFO).await;
    let mut before = 0;
    loop {
        let asked = far.asked().await;
        if asked["uri"] == "channels" {
            far.answer(&asked, 200, r#"[{"id":"c"}]"#).await;
            break;
        }
        before += 1;
        assert!(before <= 1, "it has not waited for its turn");
        far.answer(&asked, 204, "").await;
    }
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    assert_eq!(next(&mut events).await, "Resynced");
}

/// As adding a channel that plays an endless tone to a bridge, which takes Asterisk more than 30 s.
#[tokio::test(start_paused = true)]
async fn what_asterisk_does_for_longer_than_its_deadline_does_not_cost_the_socket() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let script = async {
        let asked = far.asked().await;
        // Nothing is read meanwhile, not even a ping.
        sleep(Duration::from_secs(20)).await;
        far.say(r#"{"type":"Done","application":"demo"}"#).await;
        far.answer(&asked, 204, "").await;
        far
    };
    let channel = ari.channels().handle("c1");
    let (answered, _far) = tokio::join!(channel.answer().into_future(), script);
    assert!(matches!(answered, Err(Error::TimedOut { .. })));
    assert_eq!(next(&mut events).await, "Done");
}

/// Asterisk is at the first request still when the second is given up.
#[tokio::test(start_paused = true)]
async fn a_hasty_request_does_not_shorten_the_time_of_the_one_before() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let (slow, hasty) = (ari.channels().handle("c1"), ari.channels().handle("c2"));
    let slow = slow.answer().timeout_after(Duration::from_secs(9));
    let calls = async {
        let slow = slow.into_future().await;
        let hasty = hasty.answer().timeout_after(Duration::from_millis(100));
        (slow, hasty.into_future().await)
    };
    let script = async {
        let asked = far.asked().await;
        // Nothing is read meanwhile, not even a ping: twice the time of the first request, less a second.
        sleep(Duration::from_secs(17)).await;
        far.say(r#"{"type":"Done","application":"demo"}"#).await;
        far.answer(&asked, 204, "").await;
        far
    };
    let ((slow, hasty), _far) = tokio::join!(calls, script);
    assert!(matches!(slow, Err(Error::TimedOut { .. })));
    assert!(matches!(hasty, Err(Error::TimedOut { .. })));
    assert_eq!(next(&mut events).await, "Done");
}

/// It may do so for as long again as it was given, whoever notices first that the time is up.
#[tokio::test(start_paused = true)]
async fn a_long_request_that_timed_out_has_as_long_again() {
    let (ari, _server, mut far) = connected().await;
    let mut events = ari.events().await.unwrap();
    let slow = ari.channels().handle("c1");
    let slow = slow.answer().timeout_after(Duration::from_secs(30));
    let script = async {
        let asked = far.asked().await;
        // The ping is sent after the request was given up.
        sleep(Duration::from_secs(25)).await;
        far.say(r#"{"type":"Still","application":"demo"}"#).await;
        sleep(Duration::from_secs(33)).await;
        far.say(r#"{"type":"Done","application":"demo"}"#).await;
        far.answer(&asked, 204, "").await;
        far
    };
    let (slow, _far) = tokio::join!(slow.into_future(), script);
    assert!(matches!(slow, Err(Error::TimedOut { .. })));
    assert_eq!(next(&mut events).await, "Still");
    assert_eq!(next(&mut events).await, "Done");
}
