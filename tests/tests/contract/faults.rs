//! Every fault of the simulator: what the application sees of it.

use std::{
    error::Error as _,
    fmt,
    time::{Duration, Instant},
};

use ari_core::{ConnectionState, End, Error, Events, Gap, GapCause, Operation, Result, StreamItem};
use ari_sim::{Fault, FaultKind, FaultRule};
use ari_tests::{Failure, Fixture, Outcome, PATIENCE, Transport, rest, until, until_true, within};
use futures::StreamExt;
use serde_json::json;

use crate::shown;

ari_tests::scenarios! { "faults":
    an_answer_that_goes_wrong_is_told
    an_event_that_goes_wrong_is_told
    a_connection_that_goes_wrong_is_told
    an_asterisk_that_goes_away_is_told
    another_asterisk_in_its_place_is_told
}

/// How long the answer to a request is waited for that a fault strikes.
const LIMIT: Duration = Duration::from_millis(400);

/// Type of the events that are numbered.
const NUMBERED: &str = "Numbered";

/// What the application must see.
enum Must {
    /// A request ends like this.
    Answer(Class),
    /// Of events 1 to 3, the first of which is struck, this comes.
    Events(fn(&[Item]) -> bool),
    /// Where the connection is lost, a gap until it is back; requests meanwhile end as one of these.
    Connection(&'static [Class]),
    /// The same; what there was in Asterisk is gone.
    Restart(&'static [Class]),
    /// The same where the client connects. Where Asterisk does, another one is a client of its own.
    Another(&'static [Class]),
    /// The events end, and that is told; requests are answered as before. A proxy ends with its events, and so
    /// does a client that has nothing but the socket.
    Replaced,
}

/// How a request may end while Asterisk restarts.
const GONE: &[Class] = &[Class::NotSent, Class::Unknown, Class::Refused(503)];

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Done,
    /// It takes as long as the fault says.
    Late,
    Refused(u16),
    NotSent,
    Unknown,
    TimedOut,
    Undecodable,
}

/// What must be seen of a fault; a new one has to be given its line here.
fn must(fault: &Fault, transport: Transport) -> Must {
    match fault {
        // Half of a frame does not say whose answer it is.
        Fault::TruncatedJson { honest: false }
            if matches!(transport, Transport::RestWs | Transport::Outbound) =>
        {
            Must::Answer(Class::TimedOut)
        }
        Fault::Status { code } | Fault::HtmlPage { code } => Must::Answer(Class::Refused(*code)),
        Fault::SlowAnswers { .. } => Must::Answer(Class::Late),
        Fault::NoAnswer => Must::Answer(Class::TimedOut),
        Fault::Reset | Fault::TruncatedJson { honest: false } => Must::Answer(Class::Unknown),
        Fault::MalformedJson | Fault::TruncatedJson { honest: true } => {
            Must::Answer(Class::Undecodable)
        }
        Fault::EventTwice => Must::Events(|seen| seen == numbers([1, 1, 2, 3])),
        Fault::EventsReordered { .. } => Must::Events(|seen| {
            seen.len() == 3 && numbers([1, 2, 3]).iter().all(|item| seen.contains(item))
        }),
        Fault::EventMalformed | Fault::EventTruncated => Must::Events(|seen| {
            matches!(seen, [Item::Gap(gap), rest @ ..]
                if gap.missed == Some(1) && rest == numbers([2, 3]))
        }),
        Fault::EventUnknown => Must::Events(
            |seen| matches!(seen, [Item::Unknown(1), rest @ ..] if rest == numbers([2, 3])),
        ),
        // Nobody can know of what Asterisk never sent.
        Fault::EventLost => Must::Events(|seen| seen == numbers([2, 3])),
        Fault::HalfOpen | Fault::StallReads => Must::Connection(&[Class::TimedOut]),
        // What is open goes on. Before the simulator there is a relay: it takes connections, and drops them.
        Fault::RefuseConnections | Fault::DropSockets => {
            Must::Connection(&[Class::Done, Class::NotSent, Class::Unknown])
        }
        Fault::ReplaceApplication => Must::Replaced,
        Fault::Restart { .. } => Must::Restart(GONE),
        Fault::ChangeEntityId { .. } => Must::Another(GONE),
        other => panic!("nobody said what must be seen of {}", other.name()),
    }
}

async fn an_answer_that_goes_wrong_is_told(fixture: &Fixture) -> Outcome {
    each(fixture, |fault, _| fault.kind() == FaultKind::Answer).await
}

async fn an_event_that_goes_wrong_is_told(fixture: &Fixture) -> Outcome {
    each(fixture, |fault, _| fault.kind() == FaultKind::Event).await
}

async fn a_connection_that_goes_wrong_is_told(fixture: &Fixture) -> Outcome {
    each(fixture, |fault, _| fault.kind() == FaultKind::Connection).await
}

async fn an_asterisk_that_goes_away_is_told(fixture: &Fixture) -> Outcome {
    each(fixture, |fault, must| {
        fault.kind() == FaultKind::Act && !matches!(must, Must::Another(_))
    })
    .await
}

async fn another_asterisk_in_its_place_is_told(fixture: &Fixture) -> Outcome {
    each(fixture, |_, must| matches!(must, Must::Another(_))).await
}

/// Goes through the faults that are of this scenario.
async fn each(fixture: &Fixture, is_here: fn(&Fault, &Must) -> bool) -> Outcome {
    let must = |fault: &Fault| must(fault, fixture.transport());
    let mut faults = Fault::all();
    faults.retain(|fault| is_here(fault, &must(fault)));
    // The last is after which no events come any more.
    faults.sort_by_key(|fault| matches!(must(fault), Must::Replaced));
    for fault in faults {
        match must(&fault) {
            Must::Answer(class) => answer(fixture, &fault, class).await?,
            Must::Events(are_right) => events(fixture, &fault, are_right).await?,
            Must::Connection(classes) => connection(fixture, &fault, classes).await?,
            Must::Another(classes) if fixture.transport() == Transport::Outbound => {
                gone(fixture, &fault, classes).await?;
            }
            Must::Restart(classes) | Must::Another(classes) => {
                restart(fixture, &fault, classes).await?;
            }
            Must::Replaced => replaced(fixture, &fault).await?,
        }
        shown::note(fixture.transport(), &fault);
    }
    Ok(())
}

/// One thing that the stream gave.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Number(u64),
    /// A numbered event of a type that nobody knows.
    Unknown(u64),
    Gap(Gap),
    Resynced,
    Replaced,
    End(Option<End>),
}

fn numbers<const N: usize>(numbers: [u64; N]) -> [Item; N] {
    numbers.map(Item::Number)
}

/// Numbered events, and what a stream gives of them.
struct Watch<'f> {
    fixture: &'f Fixture,
    events: Events,
    told: u64,
    seen: Vec<Item>,
}

impl<'f> Watch<'f> {
    async fn start(fixture: &'f Fixture) -> Result<Self> {
        Ok(Self {
            fixture,
            events: fixture.ari().events().await?,
            told: 0,
            seen: Vec::new(),
        })
    }

    /// Tells the next event; it is lost where nobody is connected.
    fn tell(&mut self) {
        let event = json!({"type": NUMBERED, "number": self.told});
        self.told += 1;
        let _ = self.fixture.try_inject(&event);
    }

    async fn read(&mut self) {
        let Some(item) = self.events.next().await else {
            return self.seen.push(Item::End(self.events.end()));
        };
        let item = match item {
            StreamItem::Gap(gap) => Item::Gap(gap),
            StreamItem::Event(event) => {
                let number = event.to_value().ok();
                let number = number.and_then(|value| value["number"].as_u64());
                match (event.kind(), number) {
                    (NUMBERED, Some(number)) => Item::Number(number),
                    (_, Some(number)) => Item::Unknown(number),
                    ("ApplicationReplaced", None) => Item::Replaced,
                    _ => return,
                }
            }
            _ => Item::Resynced,
        };
        self.seen.push(item);
    }

    /// Reads until this has come.
    async fn until(&mut self, what: &str, come: impl Fn(&[Item]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !come(&self.seen) {
            let read = tokio::time::timeout_at(deadline.into(), self.read());
            let read = read.await.is_ok() && !matches!(self.seen.last(), Some(Item::End(_)));
            assert!(read || come(&self.seen), "{what}: {:?}", self.seen);
        }
    }

    /// Tells an event, and reads up to it.
    async fn follow(&mut self) {
        self.tell();
        let last = Item::Number(self.told - 1);
        self.until("the last event", |seen| seen.contains(&last))
            .await;
    }

    /// Tells events until they come again, and the connection is as it was.
    async fn flows(&mut self) {
        let (deadline, first) = (Instant::now() + PATIENCE, self.told);
        let flows = |seen: &[Item]| {
            seen.iter()
                .any(|item| matches!(item, Item::Number(number) if *number >= first))
        };
        while !(flows(&self.seen) && self.is_restored()) {
            let seen = &self.seen;
            assert!(Instant::now() < deadline, "no events come again: {seen:?}");
            self.tell();
            let _ = tokio::time::timeout(Duration::from_millis(20), self.read()).await;
        }
        self.follow().await;
    }

    /// Whether no lost connection is left of which nobody said that it is back.
    fn is_restored(&self) -> bool {
        let last = |is: fn(&Item) -> bool| self.seen.iter().rposition(is);
        let loss =
            |item: &Item| matches!(item, Item::Gap(gap) if gap.cause == GapCause::Reconnected);
        last(loss) <= last(|item| *item == Item::Resynced)
    }

    fn has_gap(&self) -> bool {
        self.seen.iter().any(|item| matches!(item, Item::Gap(_)))
    }

    /// No event is missing where no gap stands in its place.
    fn assert_all_told(&self, fault: &Fault) {
        let place = |number| {
            let is_it = |item: &Item| *item == Item::Number(number);
            self.seen.iter().position(is_it)
        };
        let mut last = 0;
        for number in 0..self.told {
            if let Some(place) = place(number) {
                last = last.max(place);
                continue;
            }
            let next = (number..self.told).find_map(place);
            let between = &self.seen[last..next.unwrap_or(self.seen.len()).max(last)];
            assert!(
                between.iter().any(|item| matches!(item, Item::Gap(_))),
                "{fault:?}: {number} is missing without a gap: {:?}",
                self.seen
            );
        }
    }
}

/// Asks for something that is there to see once it is done; gives how the request ended.
async fn ask(fixture: &Fixture, fault: &Fault) -> Class {
    let application = fixture.application().replace('-', "_");
    let name = format!("FAULT_{}_{application}", fault.name());
    let asterisk = fixture.ari().asterisk();
    let set = asterisk.set_global_var(&name, "yes").timeout_after(LIMIT);
    let ended = within("the end of the request", set.into_future()).await;
    let class = class(&ended, "POST /asterisk/variable");
    let done = fixture.global(&name).await.as_deref() == Some("yes");
    match class {
        Class::Done | Class::Late | Class::Undecodable => assert!(done, "{fault:?}: {ended:?}"),
        Class::Refused(_) | Class::NotSent => assert!(!done, "{fault:?}: {ended:?}"),
        Class::Unknown | Class::TimedOut => {}
    }
    class
}

/// How a request ended; an error names the operation.
fn class<T: fmt::Debug>(ended: &Result<T>, operation: &str) -> Class {
    let Err(error) = ended else {
        return Class::Done;
    };
    let told = error.to_string();
    assert!(
        told.to_lowercase().contains(&operation.to_lowercase()),
        "{operation} is not named: {told}"
    );
    let class = match error {
        Error::Refused(refusal) => Class::Refused(refusal.status),
        Error::NotSent { .. } => Class::NotSent,
        Error::OutcomeUnknown { .. } => Class::Unknown,
        Error::TimedOut { .. } => Class::TimedOut,
        Error::Decode { .. } => Class::Undecodable,
        other => panic!("{other:?}"),
    };
    let open = matches!(class, Class::Unknown | Class::TimedOut);
    assert_eq!(error.outcome_unknown(), open, "{error:?}");
    let again = matches!(class, Class::NotSent | Class::Refused(503));
    assert_eq!(error.is_retryable(), again, "{error:?}");
    class
}

async fn answer(fixture: &Fixture, fault: &Fault, wanted: Class) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let mut watch = Watch::start(fixture).await?;
    watch.follow().await;
    // An answer that is empty has nothing that could be damaged.
    let begun = Instant::now();
    simulator.inject(fault.clone().once().on("POST", "/asterisk/variable"))?;
    let got = ask(fixture, fault).await;
    let empty = matches!(fault, Fault::MalformedJson | Fault::TruncatedJson { .. });
    let fits = match wanted {
        Class::Late => got == Class::Done && begun.elapsed() >= Duration::from_millis(200),
        _ => got == wanted || (empty && got == Class::Done),
    };
    assert!(fits, "{fault:?}: {got:?}");
    watch.tell();
    simulator.clear_faults();
    watch.flows().await;
    // One that is not empty.
    // It may be asked twice: it changes nothing.
    simulator.inject(fault.clone().rule().on("GET", "/asterisk/info"))?;
    let get = fixture.ari().asterisk().get_info().timeout_after(LIMIT);
    let ended = within("the end of the request", get.into_future()).await;
    let got = class(&ended, "GET /asterisk/info");
    let wanted = Some(wanted).filter(|wanted| *wanted != Class::Late);
    assert_eq!(got, wanted.unwrap_or(Class::Done), "{fault:?}: {ended:?}");
    match ended {
        Err(error @ Error::Decode { .. }) => {
            assert!(error.source().is_some(), "{fault:?}: {error}");
        }
        Err(Error::Refused(refusal)) if matches!(fault, Fault::Status { .. }) => {
            assert_eq!(&*refusal.message, "Simulated fault");
        }
        _ => {}
    }
    watch.tell();
    simulator.clear_faults();
    watch.flows().await;
    watch.assert_all_told(fault);
    within(
        "an answer",
        fixture.ari().asterisk().get_info().into_future(),
    )
    .await?;
    Ok(())
}

async fn events(fixture: &Fixture, fault: &Fault, are_right: fn(&[Item]) -> bool) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let mut watch = Watch::start(fixture).await?;
    watch.follow().await;
    let rule = fault.clone().once().on_event(NUMBERED);
    simulator.inject(rule.on_application(fixture.application()))?;
    for _ in 1..=3 {
        watch.tell();
    }
    watch.follow().await;
    let seen = &watch.seen;
    let right = matches!(&seen[..], [Item::Number(0), struck @ .., Item::Number(4)]
        if are_right(struck));
    assert!(right, "{fault:?}: {seen:?}");
    if let Some(Item::Gap(gap)) = seen.get(1) {
        // The proxy says how many are missing, not why.
        let cluster = fixture.transport().is_cluster();
        let cause = if cluster {
            GapCause::Upstream
        } else {
            GapCause::Undecodable
        };
        assert_eq!(gap.cause, cause, "{fault:?}");
    }
    simulator.clear_faults();
    fixture.ari().asterisk().get_info().await?;
    Ok(())
}

/// How a fault of connections, or of the Asterisk, is made to strike the client.
fn rules(fixture: &Fixture, fault: &Fault) -> Vec<FaultRule> {
    let drop = || {
        Fault::DropSockets
            .rule()
            .on_application(fixture.application())
    };
    match fault {
        Fault::DropSockets => vec![drop()],
        Fault::RefuseConnections => vec![fault.clone().rule(), drop()],
        _ => vec![fault.clone().rule()],
    }
}

async fn connected(fixture: &Fixture) {
    until_true("the connection to be back", || {
        fixture.ari().state() == ConnectionState::Connected
    })
    .await;
}

/// What is seen once the fault has struck, and a request has ended as one of these.
async fn struck<'f>(
    fixture: &'f Fixture,
    fault: &Fault,
    classes: &[Class],
) -> std::result::Result<Watch<'f>, Failure> {
    let simulator = fixture.simulated()?.simulator();
    let mut watch = Watch::start(fixture).await?;
    watch.follow().await;
    for rule in rules(fixture, fault) {
        simulator.inject(rule)?;
    }
    watch.tell();
    let got = ask(fixture, fault).await;
    assert!(classes.contains(&got), "{fault:?}: {got:?}");
    watch.tell();
    Ok(watch)
}

async fn connection(fixture: &Fixture, fault: &Fault, classes: &[Class]) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let (_calls, channel, mut of_channel) = fixture.answered("waits").await;
    let mut watch = struck(fixture, fault, classes).await?;
    let pings = matches!(
        fixture.transport(),
        Transport::Native | Transport::RestWs | Transport::Outbound
    );
    if *fault == Fault::HalfOpen && pings {
        // Nothing but the silence says that it is dead.
        watch
            .until("the silence to be noticed", |seen| {
                matches!(seen.last(), Some(Item::Gap(_)))
            })
            .await;
    }
    simulator.clear_faults();
    watch.flows().await;
    watch.assert_all_told(fault);
    let harmless = *fault == Fault::StallReads;
    assert_eq!(watch.has_gap(), !harmless, "{fault:?}: {:?}", watch.seen);
    connected(fixture).await;
    // The channel lived through it.
    until("the channel to be reached", || async {
        channel.set_variable("MOOD", "fine").await.ok()
    })
    .await;
    channel.hangup().await?;
    within("the end of the channel", channel.until_hungup()).await?;
    while within("the end of the stream", of_channel.next())
        .await
        .is_some()
    {}
    Ok(())
}

async fn restart(fixture: &Fixture, fault: &Fault, classes: &[Class]) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let (_calls, channel, mut of_channel) = fixture.answered("waits").await;
    let mut watch = struck(fixture, fault, classes).await?;
    watch.flows().await;
    watch.assert_all_told(fault);
    assert!(watch.has_gap(), "{fault:?}: {:?}", watch.seen);
    connected(fixture).await;
    // The channel is gone, and nothing waits for it.
    while within("the end of the stream", of_channel.next())
        .await
        .is_some()
    {}
    assert_eq!(of_channel.end(), Some(End::Lost), "{fault:?}");
    within("the end of the channel", channel.until_hungup()).await?;
    let info = fixture.ari().asterisk().get_info().await?;
    let id = info.system.and_then(|system| system.entity_id);
    assert_eq!(id, Some(simulator.asterisk_id()), "{fault:?}");
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

/// The Asterisk does not come back to this client.
async fn gone(fixture: &Fixture, fault: &Fault, classes: &[Class]) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let mut watch = Watch::start(fixture).await?;
    watch.follow().await;
    simulator.inject(fault.clone())?;
    let got = ask(fixture, fault).await;
    assert!(classes.contains(&got), "{fault:?}: {got:?}");
    let gap = Gap::new(None, GapCause::Reconnected);
    watch
        .until("the gap", |seen| seen == [Item::Number(0), Item::Gap(gap)])
        .await;
    assert_eq!(fixture.ari().state(), ConnectionState::Connecting);
    assert_eq!(ask(fixture, fault).await, Class::NotSent);
    Ok(())
}

async fn replaced(fixture: &Fixture, fault: &Fault) -> Outcome {
    let simulator = fixture.simulated()?.simulator();
    let mut watch = Watch::start(fixture).await?;
    watch.follow().await;
    let rule = fault.clone().rule();
    simulator.inject(rule.on_application(fixture.application()))?;
    watch.tell();
    if fixture.transport().is_cluster() {
        watch
            .until("the sign", |seen| seen == [Item::Number(0), Item::Replaced])
            .await;
        until("the proxy to be gone", || async {
            let error = fixture.ari().asterisk().get_info().await.err()?;
            matches!(error, Error::NotSent { .. } | Error::NobodyThere { .. }).then_some(())
        })
        .await;
        return Ok(());
    }
    watch
        .until("the end of the events", |seen| {
            matches!(seen.last(), Some(Item::End(_)))
        })
        .await;
    let gap = Gap::new(None, GapCause::Replaced);
    assert_eq!(
        watch.seen,
        [
            Item::Number(0),
            Item::Replaced,
            Item::Gap(gap),
            Item::End(Some(End::Replaced))
        ]
    );
    if fixture.transport() == Transport::Outbound {
        // There is no other way to the Asterisk than the socket that somebody else has now.
        until_true("the client to be closed", || {
            fixture.ari().state() == ConnectionState::Closed
        })
        .await;
        return Ok(());
    }
    assert_eq!(fixture.ari().state(), ConnectionState::Replaced);
    assert_eq!(ask(fixture, fault).await, Class::Done);
    Ok(())
}
