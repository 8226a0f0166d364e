//! Every fault of the simulator, in virtual time: no event is missing without a gap.

use std::{sync::Arc, time::Duration};

use ari_core::{
    Ari, ConnectionState, Events, Metadata, Request, StreamItem, operations::events::USER_EVENT,
};
use ari_sim::{Fault, FaultKind, FaultRule, MemoryServer, Simulator};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use tokio::time::sleep;

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
    Gap,
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
                Some(StreamItem::Gap(_)) => Seen::Gap,
                Some(_) => Seen::Resynced,
            });
        }
    }
    seen
}

/// The numbers that are missing although nothing stands where they would have been.
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
        // An event of a type that nobody knows came in place of another.
        if !between
            .iter()
            .any(|item| matches!(item, Seen::Gap | Seen::Other))
        {
            untold.push(number);
        }
    }
    untold
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
    let gaps = seen.iter().rposition(|item| *item == Seen::Gap);
    let resynced = seen.iter().rposition(|item| *item == Seen::Resynced);
    if !matches!(fault.kind(), FaultKind::Event) {
        assert!(gaps <= resynced, "{name}: the last gap is closed");
    }
    let harmless = matches!(
        fault,
        Fault::EventTwice
            | Fault::EventsReordered { .. }
            | Fault::EventUnknown
            | Fault::EventLost
            | Fault::StallReads
    );
    assert_eq!(gaps.is_none(), harmless, "{name}");
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
