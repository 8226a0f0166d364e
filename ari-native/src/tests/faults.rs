//! Every fault of the simulator, in virtual time: no event is missing without a gap.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use ari_core::{
    Ari, ConnectionState, Events, Gap, GapCause, Metadata, Request, StreamItem,
    operations::events::USER_EVENT,
};
use ari_sim::{Fault, FaultKind, FaultRule, MemoryServer, Simulator};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::{sleep, timeout};

use super::URL;
use crate::{
    Builder, WhenReplaced,
    address::Peer,
    builder,
    connector::{BoxIo, Connector, DialError},
};

/// How many numbered events there are, one every 200 ms.
const EVENTS: usize = 600;
/// When the fault strikes, and when it is over.
const STRIKES: usize = 25;
const OVER: usize = 150;

struct Pipes(MemoryServer);

impl Connector for Pipes {
    fn connect(&self, _: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        let pipe = self.0.connect().map_err(DialError::Refused);
        async move { Ok(Box::new(pipe?) as BoxIo) }.boxed()
    }
}

fn to(simulator: &Simulator) -> Builder {
    builder(URL)
        .application("demo")
        .credentials("user", "secret")
        .when_replaced(WhenReplaced::TakeBack)
        .connector(Arc::new(Pipes(simulator.serve_in_memory())))
}

#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Number(usize),
    Other,
    Gap(Gap),
    Resynced,
    End,
}

/// What a stream of all events of an application gives while a fault comes and goes.
pub(super) async fn observe(
    simulator: &Simulator,
    events: &mut Events,
    application: &str,
    fault: &Fault,
) -> Vec<Seen> {
    let rule = FaultRule::from(fault.clone());
    // What strikes answers alone is there while the client connects again; events are struck now and then.
    let (rule, cut) = match fault.kind() {
        FaultKind::Event => (rule.probability(0.3), false),
        FaultKind::Answer => (rule, true),
        _ => (rule, *fault == Fault::RefuseConnections),
    };
    let mut seen = Vec::new();
    for number in 0..EVENTS {
        if number == STRIKES {
            simulator.inject(rule.clone()).unwrap();
            if cut {
                simulator.inject(Fault::DropSockets).unwrap();
            }
        }
        if number == OVER {
            simulator.clear_faults();
        }
        let request = Request::new(&USER_EVENT, Metadata::default())
            .with("eventName", number.to_string())
            .with("application", application);
        simulator.request(&request).await;
        sleep(Duration::from_millis(200)).await;
        while let Some(item) = events.next().now_or_never() {
            seen.push(match item {
                None => {
                    seen.push(Seen::End);
                    return seen;
                }
                // What Asterisk says of the connection stands for no other event.
                Some(StreamItem::Event(event)) if event.kind().starts_with("Application") => {
                    continue;
                }
                Some(StreamItem::Event(event)) => {
                    let body: serde_json::Value = serde_json::from_slice(event.raw()).unwrap();
                    let number = body
                        .get("eventname")
                        .and_then(|name| name.as_str()?.parse().ok());
                    number.map_or(Seen::Other, Seen::Number)
                }
                Some(StreamItem::Gap(gap)) => Seen::Gap(gap),
                Some(_) => Seen::Resynced,
            });
        }
    }
    seen
}

/// The numbers that are missing although no gap stands where they would have been.
pub(super) fn untold(seen: &[Seen]) -> Vec<usize> {
    let place = |number: usize| seen.iter().position(|item| *item == Seen::Number(number));
    let mut untold = Vec::new();
    let mut last = 0;
    for number in 0..EVENTS {
        if let Some(place) = place(number) {
            last = last.max(place);
            continue;
        }
        let next = (number..EVENTS).find_map(place).unwrap_or(seen.len());
        let between = seen.get(last..next).unwrap_or_default();
        if !between.iter().any(|item| matches!(item, Seen::Gap(_))) {
            untold.push(number);
        }
    }
    untold
}

pub(super) const RECONNECTED: Gap = Gap::new(None, GapCause::Reconnected);
pub(super) const REPLACED: Gap = Gap::new(None, GapCause::Replaced);
const UNDECODABLE: Gap = Gap::new(Some(1), GapCause::Undecodable);

/// The gaps that a fault may leave: one of them at least, if there are any, and no other.
fn gaps_of(fault: &Fault) -> &'static [Gap] {
    match fault {
        Fault::EventTwice
        | Fault::EventsReordered { .. }
        | Fault::EventUnknown
        | Fault::EventLost
        | Fault::StallReads => &[],
        Fault::EventMalformed | Fault::EventTruncated => &[UNDECODABLE],
        Fault::ReplaceApplication => &[REPLACED],
        // Over the WebSocket, half of an answer is a frame that nobody can read.
        Fault::TruncatedJson { honest: false } => &[RECONNECTED, UNDECODABLE],
        _ => &[RECONNECTED],
    }
}

/// Holds what a stream gave to what it has to give.
pub(super) fn judge(fault: &Fault, seen: &[Seen], ari: &Ari) {
    let name = format!("{fault:?}");
    let untold = untold(seen);
    if *fault == Fault::EventLost {
        assert!(
            !untold.is_empty(),
            "nobody can know of what Asterisk never sent"
        );
    } else {
        assert_eq!(untold, [0; 0], "{name}: {seen:?}");
    }
    assert_eq!(seen.last(), Some(&Seen::Number(EVENTS - 1)), "{name}");
    assert_eq!(ari.state(), ConnectionState::Connected, "{name}");
    let last = |is: fn(&Seen) -> bool| seen.iter().rposition(is);
    let loss = last(|item| matches!(item, Seen::Gap(gap) if *gap != UNDECODABLE));
    let resynced = last(|item| *item == Seen::Resynced);
    assert!(
        loss <= resynced,
        "{name}: the last loss is not over: {seen:?}"
    );
    let gaps = seen.iter().filter_map(|item| match item {
        Seen::Gap(gap) => Some(gap),
        _ => None,
    });
    let gaps: Vec<_> = gaps.collect();
    let known = gaps_of(fault);
    assert_eq!(gaps.is_empty(), known.is_empty(), "{name}");
    assert!(
        gaps.iter().all(|gap| known.contains(gap)),
        "{name}: {gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_event_is_missing_without_a_gap() {
    for fault in Fault::all() {
        let simulator = Simulator::builder().user("user", "secret").seed(1).start();
        let ari = to(&simulator).connect().await.unwrap();
        let mut events = ari.events().await.unwrap();
        let seen = observe(&simulator, &mut events, "demo", &fault).await;
        judge(&fault, &seen, &ari);
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_is_missing_without_a_gap_where_requests_go_over_the_socket() {
    for fault in Fault::all() {
        let simulator = Simulator::builder().user("user", "secret").seed(1).start();
        let builder = to(&simulator).rest_over_websocket();
        let ari = builder.connect().await.unwrap();
        let mut events = ari.events().await.unwrap();
        let seen = observe(&simulator, &mut events, "demo", &fault).await;
        judge(&fault, &seen, &ari);
    }
}

/// An application that has outlived its connection, since it is subscribed to something, is there when the client that
/// wants everything connects; Asterisk passes over `subscribeAll` then.
#[tokio::test(start_paused = true)]
async fn subscribed_to_everything_an_application_that_was_there_before_hears_everything() {
    for was_there_before in [false, true] {
        let simulator = Simulator::builder().user("user", "secret").start();
        if was_there_before {
            let before = to(&simulator).connect().await.unwrap();
            let subscribe = before
                .applications()
                .subscribe("demo", "endpoint:PJSIP/bob");
            subscribe.await.unwrap();
            before.close().await.unwrap();
        }
        let builder = to(&simulator).subscribe_all(true);
        let ari = builder.connect().await.unwrap();
        let mut events = ari.events().await.unwrap();
        let door = ari.device_states().update("Stasis:door", "INUSE");
        door.await.unwrap();
        let heard = timeout(Duration::from_mins(1), events.next()).await;
        assert!(
            matches!(&heard, Ok(Some(StreamItem::Event(event))) if event.kind() == "DeviceStateChanged"),
            "was there before: {was_there_before}, heard: {heard:?}"
        );
    }
}

/// Asterisk answers in the name of the first application of a socket as long as the socket lasts, and not at all once
/// there is no such application.
#[tokio::test(start_paused = true)]
async fn requests_over_the_socket_are_answered_although_its_first_application_is_another_programs()
{
    let simulator = Simulator::builder().user("user", "secret").start();
    let builder = to(&simulator).when_replaced(WhenReplaced::Yield);
    let builder = builder.application("other").rest_over_websocket();
    let ari = builder.connect().await.unwrap();
    ari.channels().list().await.unwrap();
    let thief = simulator.connect("demo").unwrap();
    sleep(Duration::from_secs(1)).await;
    ari.channels().list().await.unwrap();
    // The other program ends, and the application with it.
    thief.close().await.unwrap();
    let answered = timeout(Duration::from_mins(10), async {
        while ari.channels().list().await.is_err() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(answered.await.is_ok(), "no request is answered any more");
    assert_eq!(ari.state(), ConnectionState::Connected);
}

/// A way to the simulator that is shut now and then.
struct Gate(Pipes, Arc<AtomicBool>);

impl Connector for Gate {
    fn connect(&self, peer: &Peer) -> BoxFuture<'static, Result<BoxIo, DialError>> {
        if self.1.load(Relaxed) {
            let refused = std::io::ErrorKind::ConnectionRefused.into();
            return async { Err(DialError::Refused(refused)) }.boxed();
        }
        self.0.connect(peer)
    }
}

/// What moves it, or the dialplan, gives it to the application of another program, which hears of its end alone.
#[tokio::test(start_paused = true)]
async fn a_call_that_another_program_took_during_an_outage_has_an_end() {
    let simulator = Simulator::builder().user("user", "secret").start();
    let shut = Arc::new(AtomicBool::new(false));
    let gate = Gate(Pipes(simulator.serve_in_memory()), Arc::clone(&shut));
    let connecting = to(&simulator).connector(Arc::new(gate)).connect();
    let ari = connecting.await.unwrap();
    let mut calls = ari.calls().await.unwrap();
    let caller = simulator.call_app("demo").await;
    let mut call = calls.next().await.unwrap();
    shut.store(true, Relaxed);
    simulator.inject(Fault::DropSockets).unwrap();
    sleep(Duration::from_secs(1)).await;
    let other = simulator.connect("other").unwrap();
    let moving = other
        .channels()
        .handle(caller.channel_id())
        .move_to("other");
    moving.await.unwrap();
    sleep(Duration::from_secs(1)).await;
    shut.store(false, Relaxed);
    let mut gone = false;
    let end = async {
        while let Some(item) = call.events().next().await {
            if matches!(item, StreamItem::Resynced) && !std::mem::replace(&mut gone, true) {
                caller.hang_up().unwrap();
            }
        }
    };
    let end = timeout(Duration::from_mins(10), end).await;
    assert!(gone, "it was never resynced");
    assert!(
        end.is_ok(),
        "the stream of a channel that is gone never ends"
    );
}

/// Asterisk does not tell the creator of a bridge of its end, unless somebody has entered it.
#[tokio::test(start_paused = true)]
async fn the_stream_of_a_bridge_that_was_destroyed_ends() {
    let simulator = Simulator::builder().user("user", "secret").start();
    let ari = to(&simulator).connect().await.unwrap();
    let bridge = ari.bridges().create().await.unwrap();
    let mut events = bridge.events().await.unwrap();
    bridge.destroy().await.unwrap();
    let end = async { while events.next().await.is_some() {} };
    let end = timeout(Duration::from_mins(10), end).await;
    assert!(
        end.is_ok(),
        "the stream of a bridge that is gone never ends"
    );
}
