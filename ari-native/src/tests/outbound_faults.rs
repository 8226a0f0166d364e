//! Every fault of the simulator on the sockets that it opens, in virtual time: no event is missing without a gap.

use std::time::Duration;

use ari_core::{ConnectionState, End, Error};
use ari_sim::{Fault, Outbound};
use futures::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::{
    faults::{RECONNECTED, REPLACED, Seen, judge, observe, untold},
    next,
    outbound::{URI, application, call, dialed, simulator, within},
};

#[tokio::test(start_paused = true)]
async fn no_event_is_missing_without_a_gap() {
    let others = |fault: &Fault| {
        !matches!(
            fault,
            Fault::ReplaceApplication | Fault::ChangeEntityId { .. }
        )
    };
    for fault in Fault::all().into_iter().filter(others) {
        let simulator = simulator();
        let outbound = Outbound::persistent(URI, ["demo"]);
        let (mut listener, _socket) = dialed(&simulator, outbound).await;
        let ari = application(&mut listener).await;
        let mut events = ari.events().await.unwrap();
        let seen = observe(&simulator, &mut events, "demo", &fault).await;
        judge(&fault, &seen, &ari);
        // It is one client all the time.
        assert!(listener.accept().now_or_never().is_none(), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_of_a_call_is_missing_without_a_gap() {
    for fault in Fault::all() {
        let simulator = simulator();
        let (mut listener, _socket) = dialed(&simulator, Outbound::per_call(URI, ["desk"])).await;
        let placed = simulator.call("1000").patience(Duration::from_hours(1));
        let caller = placed.await;
        let (ari, _call) = call(&mut listener).await;
        let mut events = ari.events().await.unwrap();
        let name = ari.identity().application.unwrap();
        let seen = observe(&simulator, &mut events, &name, &fault).await;
        if seen.last() == Some(&Seen::End) {
            assert_eq!(untold(&seen), [0; 0], "{fault:?}: {seen:?}");
            assert_eq!(ari.state(), ConnectionState::Closed, "{fault:?}");
            // A call that nobody serves any more does not wait for ever.
            simulator.clear_faults();
            within(caller.ended()).await.unwrap();
        } else {
            judge(&fault, &seen, &ari);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_application_over_ends_the_streams_after_a_gap() {
    let simulator = simulator();
    let (mut listener, _socket) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let seen = observe(&simulator, &mut events, "demo", &Fault::ReplaceApplication).await;
    assert_eq!(untold(&seen), [0; 0]);
    assert_eq!(seen[seen.len() - 2..], [Seen::Gap(REPLACED), Seen::End]);
    assert_eq!(events.end(), Some(End::Replaced));
    assert_eq!(ari.state(), ConnectionState::Closed);
    application(&mut listener).await;
}

#[tokio::test(start_paused = true)]
async fn an_asterisk_that_has_become_another_one_has_another_client() {
    let simulator = simulator();
    let (mut listener, _socket) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let start = Instant::now();
    let fault = Fault::change_entity_id("02:00:00:00:00:99");
    let seen = observe(&simulator, &mut events, "demo", &fault).await;
    assert_eq!(untold(&seen), [0; 0]);
    assert_eq!(seen.last(), Some(&Seen::Gap(RECONNECTED)));
    let error = ari.channels().list().await.unwrap_err();
    assert!(matches!(error, Error::NotSent { .. }), "{error}");
    let other = application(&mut listener).await;
    let id = other.identity().asterisk_id.unwrap();
    assert_eq!(&*id, "02:00:00:00:00:99");
    assert!(other.channels().list().await.unwrap().items.is_empty());
    // The one before never comes back, and is not waited for for ever.
    while events.next().await.is_some() {}
    assert_eq!(ari.state(), ConnectionState::Closed);
    assert!(start.elapsed() > Duration::from_mins(10));
    assert_eq!(other.state(), ConnectionState::Connected);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_long_costs_the_connection_and_a_gap() {
    let simulator = simulator();
    let (mut listener, _socket) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let long = format!(
        r#"{{"type":"Long","application":"demo","text":"{}"}}"#,
        "x".repeat(33 << 20)
    );
    simulator.inject_event("demo", long);
    simulator.inject_event("demo", r#"{"type":"After","application":"demo"}"#);
    assert_eq!(next(&mut events).await, "Gap Reconnected None");
    while next(&mut events).await != "Resynced" {}
    simulator.inject_event("demo", r#"{"type":"Last","application":"demo"}"#);
    while next(&mut events).await != "Last" {}
    assert_eq!(ari.state(), ConnectionState::Connected);
    assert!(listener.accept().now_or_never().is_none());
}
