//! A simulated Asterisk connects to the program, through pipes in memory and in virtual time.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use ari_core::{
    Ari, ConnectionState, End, Error, IncomingCall, Metadata, Request, StreamItem,
    operations::applications,
};
use ari_sim::{Fault, MemoryListener, Outbound, OutboundSocket, Simulator, WorldOptions};
use futures::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep, timeout};

use super::next;
use crate::{Accepted, Listener, connector::BoxIo, listen, listener::Incoming};

pub(super) const URI: &str = "ws://program/ari";
const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8765);
const PATIENCE: Duration = Duration::from_mins(1);

struct Pipes(MemoryListener);

impl Incoming for Pipes {
    async fn accept(&mut self) -> io::Result<(BoxIo, SocketAddr)> {
        match self.0.accept().await {
            Some(pipe) => Ok((Box::new(pipe), ADDRESS)),
            None => pending().await,
        }
    }
}

pub(super) fn simulator() -> Simulator {
    let options = WorldOptions::default()
        .extension("1000", "Stasis(desk,1)")
        .every_sound(Duration::from_millis(200));
    Simulator::builder()
        .options(options)
        .user("user", "secret")
        .seed(1)
        .start()
}

/// Lets the simulator connect to a listener.
pub(super) async fn dialed(
    simulator: &Simulator,
    outbound: Outbound,
) -> (Listener, OutboundSocket) {
    let outbound = outbound.credentials("user", "secret");
    let (socket, pipes) = simulator.dial_in_memory(outbound).unwrap();
    let builder = listen(ADDRESS).credentials("user", "secret");
    let entrance = builder.entrance().await.unwrap();
    (builder.serve(entrance, Pipes(pipes), ADDRESS), socket)
}

pub(super) async fn within<T>(what: impl Future<Output = T>) -> T {
    timeout(PATIENCE, what).await.expect("it takes too long")
}

pub(super) async fn application(listener: &mut Listener) -> Ari {
    match within(listener.accept()).await {
        Some(Accepted::Application(ari)) => ari,
        other => panic!("{other:?} is no application"),
    }
}

pub(super) async fn call(listener: &mut Listener) -> (Ari, IncomingCall) {
    match within(listener.accept()).await {
        Some(Accepted::Call(ari, call)) => (ari, call),
        other => panic!("{other:?} is no call"),
    }
}

/// What all streams give up to something.
async fn up_to(events: &mut ari_core::Events, last: &str) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let item = within(next(events)).await;
        if item.starts_with(last) {
            return seen;
        }
        assert!(!item.starts_with("end"), "{item} after {seen:?}");
        seen.push(item);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_of_its_own_is_served_to_its_end() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::per_call(URI, ["desk"])).await;
    let caller = simulator.call("1000").caller_id("Alice <100>").await;
    let (ari, call) = call(&mut listener).await;
    assert_eq!(call.channel().id(), caller.channel_id());
    assert_eq!(call.event().kind(), "StasisStart");
    let name = ari.identity().application.unwrap();
    assert!(name.starts_with("desk:"), "{name}");
    let mut all = ari.events().await.unwrap();
    let (channel, mut events) = call.into_parts();
    channel.answer().await.unwrap();
    within(caller.answered()).await.unwrap();
    let playback = channel.play("sound:menu").await.unwrap();
    within(caller.hears_to_end("sound:menu")).await.unwrap();
    within(playback.finished()).await.unwrap();
    caller.press("7").await.unwrap();
    let seen = up_to(&mut events, "ChannelDtmfReceived").await;
    assert!(seen.contains(&"PlaybackFinished".to_owned()), "{seen:?}");
    channel.hangup().await.unwrap();
    within(caller.ended()).await.unwrap();
    up_to(&mut events, "StasisEnd").await;
    // Asterisk closes the socket 3 s later, and that is the end: nothing was lost.
    let ended = Instant::now();
    let mut rest = Vec::new();
    while let Some(item) = within(all.next()).await {
        rest.push(item);
    }
    assert!(
        rest.iter().all(|item| matches!(item, StreamItem::Event(_))),
        "{rest:?}"
    );
    assert!(
        ended.elapsed() < Duration::from_secs(4),
        "{:?}",
        ended.elapsed()
    );
    assert_eq!(ari.state(), ConnectionState::Closed);
    let error = channel.answer().await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    assert_eq!(simulator.websocket_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn two_calls_at_once_have_nothing_of_each_other() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::per_call(URI, ["desk"])).await;
    let mut calls = Vec::new();
    for _ in 0..2 {
        let caller = simulator.call("1000").await;
        let (ari, call) = call(&mut listener).await;
        assert_eq!(call.channel().id(), caller.channel_id());
        let (channel, events) = call.into_parts();
        calls.push((caller, ari, channel, events));
    }
    let [
        (first, ari, channel, _),
        (second, other_ari, other, mut others),
    ] = <[_; 2]>::try_from(calls).ok().unwrap();
    assert_ne!(ari.identity().application, other_ari.identity().application);
    channel.hangup().await.unwrap();
    within(first.ended()).await.unwrap();
    let mut all = ari.events().await.unwrap();
    while within(all.next()).await.is_some() {}
    // The other one has noticed nothing.
    assert_eq!(other_ari.state(), ConnectionState::Connected);
    assert!(others.next().now_or_never().is_none());
    other.answer().await.unwrap();
    within(second.answered()).await.unwrap();
    second.hang_up().unwrap();
    up_to(&mut others, "StasisEnd").await;
}

#[tokio::test(start_paused = true)]
async fn a_call_whose_socket_breaks_goes_on_over_the_next_one() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::per_call(URI, ["desk"])).await;
    let caller = simulator.call("1000").await;
    let (ari, call) = call(&mut listener).await;
    let (channel, mut events) = call.into_parts();
    simulator.inject(Fault::DropSockets).unwrap();
    assert_eq!(within(next(&mut events)).await, "Gap Reconnected None");
    assert_eq!(within(next(&mut events)).await, "Resynced");
    channel.answer().await.unwrap();
    within(caller.answered()).await.unwrap();
    assert!(within(listener.accept()).now_or_never().is_none());
    // Nobody listens any more: the call goes back to the dialplan, and its client ends.
    within(listener.close()).await;
    simulator.inject(Fault::DropSockets).unwrap();
    assert_eq!(
        within(next(&mut events)).await.split(' ').next(),
        Some("ChannelStateChange")
    );
    assert_eq!(within(next(&mut events)).await, "Gap Reconnected None");
    while within(events.next()).await.is_some() {}
    assert_eq!(ari.state(), ConnectionState::Closed);
    within(caller.ended()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn each_application_of_a_socket_has_its_own_calls_and_events() {
    let simulator = simulator();
    let outbound = Outbound::persistent(URI, ["zebra", "ape"]);
    let (mut listener, _dialed) = dialed(&simulator, outbound).await;
    let ari = application(&mut listener).await;
    assert_eq!(ari.identity().application.as_deref(), Some("zebra"));
    let ape = ari.for_application("ape").unwrap();
    let mut events = ari.events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    let mut ape_events = ape.events().await.unwrap();
    let mut ape_calls = ape.calls().await.unwrap();
    for _ in 0..2 {
        let first = simulator.call_app("zebra").await;
        let second = simulator.call_app("ape").await;
        let call = within(calls.next()).await.unwrap();
        assert_eq!(call.channel().id(), first.channel_id());
        let other = within(ape_calls.next()).await.unwrap();
        assert_eq!(other.channel().id(), second.channel_id());
        up_to(&mut events, "StasisStart").await;
        loop {
            let Some(StreamItem::Event(event)) = within(ape_events.next()).await else {
                panic!("no event")
            };
            assert_eq!(event.application(), Some("ape"));
            if event.kind() == "StasisStart" {
                break;
            }
        }
        call.channel().answer().await.unwrap();
        other.channel().answer().await.unwrap();
        // Asterisk tells of them in another order when it connects again.
        simulator.inject(Fault::DropSockets).unwrap();
        up_to(&mut events, "Resynced").await;
        up_to(&mut ape_events, "Resynced").await;
    }
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test(start_paused = true)]
async fn subscriptions_of_every_application_of_a_socket_are_restored() {
    let simulator = simulator();
    let outbound = Outbound::persistent(URI, ["zebra", "ape"]);
    let (mut listener, _dialed) = dialed(&simulator, outbound).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    for name in ["zebra", "ape"] {
        let subscribe = Request::new(&applications::SUBSCRIBE, Metadata::default())
            .with("applicationName", name)
            .with("eventSource", vec!["deviceState:Stasis:door"]);
        assert!(ari.client().call(subscribe).await.unwrap().is_success());
    }
    // Asterisk has forgotten all about them.
    simulator
        .inject(Fault::restart(Duration::ZERO, Duration::ZERO))
        .unwrap();
    up_to(&mut events, "Resynced").await;
    for name in ["zebra", "ape"] {
        let get =
            Request::new(&applications::GET, Metadata::default()).with("applicationName", name);
        let answer = ari.client().call(get).await.unwrap();
        let known: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            known["device_names"],
            serde_json::json!(["Stasis:door"]),
            "{name}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_takeover_of_one_application_leaves_the_other() {
    let simulator = simulator();
    let outbound = Outbound::persistent(URI, ["zebra", "ape"]);
    let (mut listener, _dialed) = dialed(&simulator, outbound).await;
    let ari = application(&mut listener).await;
    let ape = ari.for_application("ape").unwrap();
    let mut events = ari.events().await.unwrap();
    let mut ape_calls = ape.calls().await.unwrap();
    let _thief = simulator.connect("zebra").unwrap();
    up_to(&mut events, "Gap Replaced None").await;
    assert_eq!(ari.state(), ConnectionState::Connected);
    let caller = simulator.call_app("ape").await;
    let call = within(ape_calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), caller.channel_id());
    call.channel().answer().await.unwrap();
    // Now the other one goes, too.
    let _thief = simulator.connect("ape").unwrap();
    up_to(&mut events, "Gap Replaced None").await;
    assert_eq!(within(next(&mut events)).await, "end Some(Replaced)");
    assert!(within(ape_calls.next()).await.is_none());
    assert_eq!(ari.state(), ConnectionState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_client_whose_application_is_taken_over_yields_to_the_next_connection() {
    let simulator = simulator();
    let (mut listener, dialed) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let mut of_channel = ari.channels().handle("c").events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    let thief = simulator.connect("demo").unwrap();
    up_to(&mut events, "ApplicationReplaced").await;
    for stream in [&mut events, &mut of_channel] {
        assert_eq!(within(next(stream)).await, "Gap Replaced None");
        assert_eq!(within(next(stream)).await, "end Some(Replaced)");
        assert_eq!(stream.end(), Some(End::Replaced));
    }
    assert!(within(calls.next()).await.is_none());
    assert_eq!(ari.state(), ConnectionState::Closed);
    let error = ari.channels().list().await.unwrap_err();
    assert!(matches!(error, Error::Closed), "{error}");
    // Asterisk connects again, as it does when it was told to read its configuration again: that is a new
    // client, which has what Asterisk gives it.
    let again = application(&mut listener).await;
    assert!(again.channels().list().await.unwrap().items.is_empty());
    drop((thief, again));
    // What Asterisk takes off the socket itself is over for good.
    drop(dialed);
    assert!(timeout(PATIENCE, listener.accept()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_application_that_is_unregistered_is_over() {
    let simulator = simulator();
    let (mut listener, dialed) = dialed(&simulator, Outbound::persistent(URI, ["a", "b"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    drop(dialed);
    assert!(within(calls.next()).await.is_none());
    let mut seen = Vec::new();
    loop {
        let item = within(next(&mut events)).await;
        if item.starts_with("end") {
            break;
        }
        seen.push(item);
    }
    seen.retain(|item| item != "ApplicationRegistered");
    let told = ["ApplicationUnregistered", "Gap Replaced None"];
    assert_eq!(seen, [told, told].as_flattened());
    assert_eq!(events.end(), Some(End::Closed));
    assert_eq!(ari.state(), ConnectionState::Closed);
    sleep(PATIENCE).await;
    assert_eq!(simulator.websocket_count(), 0);
}

/// What Asterisk sends at once is there before the program has its client.
#[tokio::test(start_paused = true)]
async fn a_call_that_came_before_the_program_has_its_client_is_its_first() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let caller = simulator.call_app("demo").await;
    sleep(Duration::from_secs(1)).await;
    let ari = application(&mut listener).await;
    let mut calls = ari.calls().await.unwrap();
    let mut call = within(calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), caller.channel_id());
    caller.hang_up().unwrap();
    up_to(call.events(), "StasisEnd").await;
}

#[tokio::test(start_paused = true)]
async fn what_asterisk_kept_while_nobody_listened_comes_before_the_end_of_the_gap() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    simulator.inject(Fault::RefuseConnections).unwrap();
    simulator.inject(Fault::DropSockets).unwrap();
    up_to(&mut events, "Gap").await;
    // More than one would read before it is said whose socket it is.
    for _ in 0..300 {
        simulator.inject_event("demo", r#"{"type":"Kept","application":"demo"}"#);
    }
    let caller = simulator.call_app("demo").await;
    sleep(Duration::from_secs(5)).await;
    simulator.clear_faults();
    let kept = up_to(&mut events, "Resynced").await;
    assert_eq!(kept.iter().filter(|item| *item == "Kept").count(), 300);
    let call = within(calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), caller.channel_id());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_moved_between_applications_of_a_client_is_a_new_call() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::persistent(URI, ["a", "b"])).await;
    let ari = application(&mut listener).await;
    let mut ivr = ari.for_application("a").unwrap().calls().await.unwrap();
    let mut agents = ari.for_application("b").unwrap().calls().await.unwrap();
    let caller = simulator.call_app("a").await;
    let call = within(ivr.next()).await.unwrap();
    call.channel().answer().await.unwrap();
    call.channel().move_to("b").await.unwrap();
    let moved = within(agents.next()).await.unwrap();
    assert_eq!(moved.channel().id(), caller.channel_id());
}

/// Asterisk registers all applications of the socket anew when it opens it again, the one that was taken over as well,
/// and answers in the name of the first.
#[tokio::test(start_paused = true)]
async fn a_client_whose_first_application_was_taken_over_goes_on_with_the_next_socket() {
    let simulator = simulator();
    let outbound = Outbound::persistent(URI, ["zebra", "ape"]);
    let (mut listener, _dialed) = dialed(&simulator, outbound).await;
    let ari = application(&mut listener).await;
    let ape = ari.for_application("ape").unwrap();
    let mut ape_events = ape.events().await.unwrap();
    let mut ape_calls = ape.calls().await.unwrap();
    let mut events = ari.events().await.unwrap();
    let _thief = simulator.connect("zebra").unwrap();
    up_to(&mut events, "Gap Replaced None").await;
    up_to(&mut ape_events, "Gap Replaced None").await;
    simulator.inject(Fault::DropSockets).unwrap();
    up_to(&mut ape_events, "Gap Reconnected None").await;
    up_to(&mut ape_events, "Resynced").await;
    let caller = simulator.call_app("ape").await;
    let call = within(ape_calls.next()).await.unwrap();
    assert_eq!(call.channel().id(), caller.channel_id());
}

/// The dialplan has the application twice, and the program wants few events.
#[tokio::test(start_paused = true)]
async fn a_call_that_enters_its_application_again_is_a_call_again() {
    let options = WorldOptions::default()
        .extension("1000", "Stasis(desk,1)")
        .extension("1001", "Stasis(desk,2)");
    let simulator = Simulator::builder()
        .options(options)
        .user("user", "secret")
        .seed(1)
        .start();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::per_call(URI, ["desk"])).await;
    let caller = simulator.call("1000").await;
    let (ari, first) = call(&mut listener).await;
    let name = ari.identity().application.unwrap();
    let types = ["StasisStart", "StasisEnd"].map(|kind| serde_json::json!({ "type": kind }));
    let filter = ari.applications().filter(&*name);
    let filter = filter.filter(serde_json::json!({ "allowed": types }));
    filter.await.unwrap();
    first
        .channel()
        .continue_in_dialplan()
        .extension("1001")
        .priority(1)
        .await
        .unwrap();
    drop(first);
    let (_again, second) = call(&mut listener).await;
    assert_eq!(second.channel().id(), caller.channel_id());
    assert_eq!(second.args(), ["2"]);
}

/// Asterisk applies the filter of an application to what it says of a takeover, too.
#[tokio::test(start_paused = true)]
async fn a_takeover_is_told_whatever_the_event_filter_allows() {
    let simulator = simulator();
    let (mut listener, _dialed) = dialed(&simulator, Outbound::persistent(URI, ["demo"])).await;
    let ari = application(&mut listener).await;
    let mut events = ari.events().await.unwrap();
    let filter = serde_json::json!({ "allowed": [{ "type": "StasisStart" }] });
    let filter = ari.applications().filter("demo").filter(filter);
    filter.await.unwrap();
    let _thief = simulator.connect("demo").unwrap();
    // What happens now goes to the other program.
    let _caller = simulator.call_app("demo").await;
    up_to(&mut events, "Gap Replaced None").await;
    assert_eq!(within(next(&mut events)).await, "end Some(Replaced)");
}
