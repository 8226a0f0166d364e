//! Tests of the decisions.

use std::borrow::Cow;

use super::*;

fn at(millis: u64) -> SimTime {
    SimTime::after(Duration::from_millis(millis))
}

fn book() -> FaultBook {
    FaultBook::new(1)
}

fn asked(method: &'static str, path: &'static str, template: &'static str) -> Asked<'static> {
    Asked {
        method,
        path: Cow::Borrowed(path),
        template: Some(template),
    }
}

fn answer() -> Asked<'static> {
    asked("POST", "/channels/1/answer", "/channels/{channelId}/answer")
}

fn names(verdict: &Verdict) -> Option<&'static str> {
    verdict.fault.as_ref().map(|(_, fault)| fault.name())
}

fn told(book: &mut FaultBook, now: u64, session: u64, kind: &str) -> Vec<String> {
    let mut out = Vec::new();
    let event = Bytes::from(format!("{{\"type\":\"{kind}\",\"application\":\"a\"}}"));
    book.event(at(now), SessionId(session), "a", event, &mut out);
    out.iter()
        .map(|event| String::from_utf8_lossy(event).into_owned())
        .collect()
}

#[test]
fn rules_strike_in_their_order_and_as_often_as_they_say() {
    let mut book = book();
    book.inject(at(0), Fault::status(503).times(2)).unwrap();
    book.inject(at(0), Fault::Reset.once()).unwrap();
    let slow = Fault::slow_answers(Duration::from_millis(5));
    book.inject(at(0), slow.clone().rule()).unwrap();
    book.inject(at(0), slow.times(1)).unwrap();
    let struck: Vec<_> = (0..4).map(|_| book.request(&answer())).collect();
    let found: Vec<_> = struck.iter().map(names).collect();
    assert_eq!(found, [Some("status"), Some("status"), Some("reset"), None]);
    let delays: Vec<_> = struck
        .iter()
        .map(|verdict| verdict.delay.as_millis())
        .collect();
    assert_eq!(delays, [10, 5, 5, 5]);
    let counts: Vec<_> = book
        .list()
        .iter()
        .map(|status| (status.struck, status.active))
        .collect();
    assert_eq!(counts, [(2, false), (1, false), (4, true), (1, false)]);
}

#[test]
fn rules_keep_to_their_scope_and_time() {
    let mut book = book();
    let rule = Fault::status(500)
        .rule()
        .on("post", "/channels/{channelId}/answer")
        .lasting(Duration::from_millis(10));
    book.inject(at(0), rule).unwrap();
    assert_eq!(names(&book.request(&answer())), Some("status"));
    let other = asked("POST", "/channels/1/ring", "/channels/{channelId}/ring");
    assert_eq!(names(&book.request(&other)), None);
    assert_eq!(book.next_deadline(), Some(at(10)));
    book.advance(at(10));
    assert_eq!(names(&book.request(&answer())), None);
    assert!(matches!(
        book.take_consequences()[..],
        [Consequence::Ended(..)]
    ));
    assert_eq!(book.next_deadline(), None);
    // A path as it is.
    book.inject(at(10), "reset,path=/channels/1/answer".parse().unwrap())
        .unwrap();
    assert_eq!(names(&book.request(&answer())), Some("reset"));
}

#[test]
fn chance_comes_out_the_same_for_the_same_seed() {
    let run = |seed| {
        let mut book = FaultBook::new(seed);
        book.inject(at(0), Fault::Reset.rule().probability(0.3))
            .unwrap();
        (0..50)
            .map(|_| names(&book.request(&answer())))
            .collect::<Vec<_>>()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
    assert!(run(3).contains(&None) && run(3).contains(&Some("reset")));
}

#[test]
fn events_are_doubled_damaged_lost() {
    let mut book = book();
    for fault in [Fault::EventTwice, Fault::EventLost, Fault::EventUnknown] {
        book.inject(at(0), fault.once().on_event("A")).unwrap();
    }
    book.inject(at(0), Fault::EventLost.once().on_application("b"))
        .unwrap();
    assert_eq!(told(&mut book, 0, 1, "B").len(), 1);
    assert_eq!(told(&mut book, 0, 1, "A").len(), 2);
    assert_eq!(told(&mut book, 0, 1, "A").len(), 0);
    assert!(told(&mut book, 0, 1, "A")[0].contains("SimulatedUnknown"));
    assert_eq!(told(&mut book, 0, 1, "A").len(), 1);
}

#[test]
fn events_change_places_within_their_window_and_session() {
    let mut book = book();
    book.inject(at(0), Fault::EventsReordered { window: 3 }.once())
        .unwrap();
    assert!(told(&mut book, 0, 1, "A").is_empty());
    // Another session's; the rule strikes once.
    assert_eq!(told(&mut book, 0, 2, "X").len(), 1);
    assert!(told(&mut book, 1, 1, "B").is_empty());
    let mixed = told(&mut book, 2, 1, "C");
    assert_eq!(mixed.len(), 3);
    assert!(!mixed[0].contains("\"A\""), "{mixed:?}");
    assert_eq!(told(&mut book, 3, 1, "D").len(), 1);
    // What does not fill its window is let go after a while, or when the fault is cleared.
    let id = book
        .inject(at(10), Fault::EventsReordered { window: 9 }.rule())
        .unwrap();
    told(&mut book, 10, 1, "E");
    assert_eq!(book.next_deadline(), Some(at(60)));
    book.advance(at(60));
    assert!(
        matches!(&book.take_consequences()[..], [Consequence::Release(_, events)] if events.len() == 1)
    );
    told(&mut book, 70, 1, "F");
    assert!(book.clear(id) && !book.clear(id));
    assert!(matches!(
        &book.take_consequences()[..],
        [Consequence::Release(..), Consequence::Ended(..)]
    ));
    assert_eq!(book.list().len(), 1);
    book.clear_all();
    book.take_consequences();
    assert!(book.is_empty());
}

#[test]
fn acts_come_at_once_or_by_time_or_by_what_happens() {
    let acts = |book: &mut FaultBook| book.take_consequences().len();
    let mut book = book();
    book.inject(at(0), Fault::DropSockets.rule()).unwrap();
    assert_eq!(acts(&mut book), 1);
    let every = Fault::DropSockets.times(2).every(Duration::from_millis(10));
    book.inject(at(0), every).unwrap();
    for (now, expected) in [(9, 0), (10, 1), (15, 0), (20, 1), (30, 0)] {
        book.advance(at(now));
        assert_eq!(acts(&mut book), expected, "{now}");
    }
    assert_eq!(book.next_deadline(), None);
    book.inject(at(30), Fault::DropSockets.once().on_event("StasisStart"))
        .unwrap();
    book.inject(at(30), Fault::DropSockets.rule().on("POST", "/channels"))
        .unwrap();
    told(&mut book, 30, 1, "Other");
    book.request(&answer());
    assert_eq!(acts(&mut book), 0);
    told(&mut book, 30, 1, "StasisStart");
    told(&mut book, 30, 1, "StasisStart");
    book.request(&asked("POST", "/channels", "/channels"));
    assert_eq!(acts(&mut book), 2);
}

#[test]
fn each_rule_is_asked_once_about_a_connection() {
    let mut book = book();
    let (mut rest, mut socket) = (Judged::default(), Judged::default());
    let apps = ["a".to_owned(), "b".to_owned()];
    book.inject(at(0), Fault::HalfOpen.rule().on_application("b"))
        .unwrap();
    assert!(book.connection(&mut rest, &[]).is_none());
    assert!(book.connection(&mut socket, &apps).is_some());
    assert!(book.connection(&mut socket, &apps).is_none());
    // It becomes a socket.
    assert!(book.connection(&mut rest, &apps).is_some());
    book.inject(at(0), Fault::StallReads.once()).unwrap();
    assert!(book.connection(&mut rest, &[]).is_some());
    assert!(book.connection(&mut socket, &apps).is_none());
    assert!(!book.refuses_connections());
    let id = book.inject(at(0), Fault::RefuseConnections.rule()).unwrap();
    assert!(book.refuses_connections() && book.stands(id));
    book.clear_all();
    assert!(!book.refuses_connections() && !book.stands(id));
}

#[test]
fn only_so_many_are_remembered() {
    let mut book = book();
    for _ in 0..2 * MAX_FAULTS {
        book.inject(at(0), Fault::DropSockets.rule()).unwrap();
    }
    assert_eq!(book.list().len(), MAX_FAULTS);
    book.clear_all();
    for _ in 0..MAX_FAULTS {
        book.inject(at(0), Fault::Reset.rule()).unwrap();
    }
    assert!(book.inject(at(0), Fault::Reset.rule()).is_err());
}
