//! Faults as a client in process meets them, in virtual time.

use std::time::Duration;

use ari_core::{Ari, ConnectionState, End, Error, Events, Gap, GapCause, StreamItem};
use ari_sim::{Fault, Simulator};
use futures::StreamExt;
use tokio::time::{Instant, timeout};

use super::client::inject;

async fn start() -> (Simulator, Ari, Events) {
    let simulator = Simulator::builder().start();
    let ari = simulator.connect("a").unwrap();
    let events = ari.events().await.unwrap();
    (simulator, ari, events)
}

/// The next item of a stream, or its end; the time is virtual.
async fn item(events: &mut Events) -> Option<StreamItem> {
    timeout(Duration::from_hours(1), events.next())
        .await
        .unwrap()
}

async fn next(events: &mut Events) -> Result<String, Gap> {
    loop {
        match item(events).await.unwrap() {
            StreamItem::Event(event) => return Ok(event.kind().to_owned()),
            StreamItem::Gap(gap) => return Err(gap),
            StreamItem::Resynced => {}
            other => panic!("{other:?}"),
        }
    }
}

const LOST: Gap = Gap::new(None, GapCause::Reconnected);

/// Waits until a link is there again; the time is virtual.
async fn reconnected(ari: &Ari) {
    assert_eq!(ari.state(), ConnectionState::Connecting);
    let again = async {
        while ari.state() != ConnectionState::Connected {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_mins(1), again).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_link_is_a_gap_and_comes_back() {
    let (simulator, ari, mut events) = start().await;
    simulator.inject(Fault::DropSockets).unwrap();
    assert!(!simulator.inject_event("a", "{\"type\":\"Missed\"}"));
    assert_eq!(next(&mut events).await, Err(LOST));
    // Only the socket is cut.
    ari.asterisk().ping().await.unwrap();
    reconnected(&ari).await;
    inject(&simulator, "a", "After");
    assert_eq!(next(&mut events).await, Ok("After".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn links_are_dropped_every_so_often() {
    let (simulator, _ari, mut events) = start().await;
    let begun = Instant::now();
    let rule = Fault::DropSockets.times(2).every(Duration::from_secs(1));
    simulator.inject(rule).unwrap();
    for seconds in [1, 2] {
        assert_eq!(next(&mut events).await, Err(LOST));
        assert_eq!(begun.elapsed(), Duration::from_secs(seconds));
    }
    let third = timeout(Duration::from_mins(1), next(&mut events)).await;
    assert!(third.is_err(), "{third:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_refuses_then_boots_then_is_another() {
    let (simulator, ari, mut events) = start().await;
    ari.asterisk().set_global_var("X", "1").await.unwrap();
    let fault = Fault::ChangeEntityId {
        asterisk_id: "new".into(),
        down_ms: 1_000,
        booting_ms: 1_000,
    };
    let begun = Instant::now();
    simulator.inject(fault).unwrap();
    assert_eq!(next(&mut events).await, Err(LOST));
    let error = ari.asterisk().get_info().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error:?}");
    // Half of the time in which it boots, which is virtual.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let error = ari.asterisk().get_info().await.unwrap_err();
    assert_eq!(error.status(), Some(503));
    reconnected(&ari).await;
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(ari.client().identity().asterisk_id.as_deref(), Some("new"));
    let variable = ari.asterisk().get_global_var("X").await.unwrap();
    assert_eq!(variable.value.as_deref().unwrap_or_default(), "");
    inject(&simulator, "a", "After");
    assert_eq!(next(&mut events).await, Ok("After".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn outcomes_are_unknown_where_they_are() {
    let (simulator, ari, _events) = start().await;
    for fault in [Fault::Reset, Fault::TruncatedJson { honest: false }] {
        simulator.inject(fault.once()).unwrap();
        let error = ari.asterisk().get_info().await.unwrap_err();
        assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    }
    for fault in [Fault::MalformedJson, Fault::TruncatedJson { honest: true }] {
        simulator.inject(fault.once()).unwrap();
        let error = ari.asterisk().get_info().await.unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
    }
    let page = Fault::HtmlPage { code: 502 };
    simulator.inject(page.once()).unwrap();
    let error = ari.asterisk().get_info().await.unwrap_err();
    assert_eq!(error.status(), Some(502));
    let begun = Instant::now();
    let slow = Fault::slow_answers(Duration::from_secs(3));
    simulator.inject(slow.once()).unwrap();
    ari.asterisk().get_info().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[tokio::test(start_paused = true)]
async fn a_dead_link_is_silent_until_it_breaks() {
    let (simulator, ari, mut events) = start().await;
    let rule = Fault::HalfOpen.rule().lasting(Duration::from_secs(5));
    simulator.inject(rule).unwrap();
    inject(&simulator, "a", "Lost");
    assert_eq!(ari.state(), ConnectionState::Connected);
    let begun = Instant::now();
    let error = ari.asterisk().get_info().await.unwrap_err();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    assert_eq!(next(&mut events).await, Err(LOST));
    reconnected(&ari).await;
    ari.asterisk().get_info().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stalled_link_does_what_is_asked_later() {
    let (simulator, ari, mut events) = start().await;
    let rule = Fault::StallReads.rule().lasting(Duration::from_secs(2));
    simulator.inject(rule).unwrap();
    inject(&simulator, "a", "Seen");
    assert_eq!(next(&mut events).await, Ok("Seen".to_owned()));
    let begun = Instant::now();
    ari.asterisk().ping().await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn events_are_damaged_or_taken() {
    let (simulator, _ari, mut events) = start().await;
    simulator.inject(Fault::EventTruncated.once()).unwrap();
    inject(&simulator, "a", "A");
    assert_eq!(
        next(&mut events).await,
        Err(Gap::new(Some(1), GapCause::Undecodable))
    );
    simulator.inject(Fault::EventTwice.once()).unwrap();
    inject(&simulator, "a", "A");
    for _ in 0..2 {
        assert_eq!(next(&mut events).await, Ok("A".to_owned()));
    }
    simulator.inject(Fault::ReplaceApplication).unwrap();
    assert_eq!(
        next(&mut events).await,
        Ok("ApplicationReplaced".to_owned())
    );
    inject(&simulator, "a", "Taken");
    assert_eq!(
        next(&mut events).await,
        Err(Gap::new(None, GapCause::Replaced))
    );
    assert!(item(&mut events).await.is_none());
    assert_eq!(events.end(), Some(End::Replaced));
}

#[tokio::test(start_paused = true)]
async fn who_was_replaced_yields_and_is_answered() {
    let (simulator, ari, mut events) = start().await;
    let other = simulator.connect("a").unwrap();
    let mut taken = other.events().await.unwrap();
    assert_eq!(
        next(&mut events).await,
        Ok("ApplicationReplaced".to_owned())
    );
    assert_eq!(
        next(&mut events).await,
        Err(Gap::new(None, GapCause::Replaced))
    );
    assert!(item(&mut events).await.is_none());
    assert_eq!(ari.state(), ConnectionState::Replaced);
    ari.asterisk().ping().await.unwrap();
    inject(&simulator, "a", "Here");
    assert_eq!(next(&mut taken).await, Ok("Here".to_owned()));

    // It does not take the application back when its link is made anew.
    simulator.inject(Fault::DropSockets).unwrap();
    assert_eq!(next(&mut taken).await, Err(LOST));
    reconnected(&other).await;
    assert_eq!(ari.state(), ConnectionState::Replaced);
    ari.asterisk().ping().await.unwrap();
    inject(&simulator, "a", "Again");
    assert_eq!(next(&mut taken).await, Ok("Again".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_behind() {
    let (simulator, ari, _events) = start().await;
    simulator.inject(Fault::RefuseConnections).unwrap();
    simulator.inject(Fault::DropSockets).unwrap();
    let late = simulator.client("late").unwrap();
    assert_eq!(late.state(), ConnectionState::Connecting);
    late.close().await.unwrap();
    assert_eq!(late.state(), ConnectionState::Closed);
    drop(ari);
    // The tasks that would have made the connections again end with the simulator.
    simulator.stop().await;
}
