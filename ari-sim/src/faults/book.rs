//! Which faults there are, and whom they strike: decided here, and nowhere else.

use std::{collections::BTreeMap, fmt, time::Duration};

use ari_core::Event;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Asked, Fault, FaultError, FaultKind, FaultRule, FaultScope,
    damage::{malformed, truncated, unknown},
    dice::Dice,
};
use crate::world::{SessionId, SimTime};

/// Faults that are remembered, those that are over included.
const MAX_FAULTS: usize = 1_000;

/// How long an event may be held back to be mixed with others.
const REORDER_HOLD: Duration = Duration::from_millis(50);

/// Names a fault that was injected.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct FaultId(u64);

impl FaultId {
    /// The fault of this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fault that was injected, and what it did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultStatus {
    /// Name.
    pub id: FaultId,
    /// How often it struck.
    pub struck: u64,
    /// Whether it may strike again.
    pub active: bool,
    /// The fault and when it strikes.
    #[serde(flatten)]
    pub rule: FaultRule,
}

/// What is to be done with an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How much later it comes.
    pub(crate) delay: Duration,
    /// What else goes wrong with it.
    pub(crate) fault: Option<(FaultId, Fault)>,
}

/// What somebody else has to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Consequence {
    /// An act is to be done.
    Act(FaultId, Fault, FaultScope),
    /// A fault is over: what it held is to be let go.
    Ended(FaultId, Fault),
    /// Events that were held back go to their session.
    Release(SessionId, Vec<Bytes>),
}

/// Up to where the rules were asked about a connection, so that each is asked once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judged {
    all: FaultId,
    of_applications: FaultId,
}

#[derive(Debug)]
struct Entry {
    id: FaultId,
    rule: FaultRule,
    left: Option<u64>,
    until: Option<SimTime>,
    due: Option<SimTime>,
    struck: u64,
    ended: bool,
}

impl Entry {
    fn is_active(&self) -> bool {
        !self.ended && self.left != Some(0)
    }

    fn is(&self, kind: FaultKind) -> bool {
        self.is_active() && self.rule.fault.kind() == kind
    }

    /// Draws whether it strikes, and counts it.
    fn strikes(&mut self, dice: &mut Dice) -> bool {
        let strikes = self.is_active() && dice.happens(self.rule.probability);
        if strikes {
            self.struck += 1;
            self.left = self.left.map(|left| left - 1);
        }
        strikes
    }

    fn act(&self) -> Consequence {
        Consequence::Act(self.id, self.rule.fault.clone(), self.rule.on.clone())
    }
}

#[derive(Debug)]
struct Window {
    events: Vec<Bytes>,
    size: usize,
    due: SimTime,
}

/// All faults of a simulator; without IO, and with time passed in.
#[derive(Debug)]
pub(crate) struct FaultBook {
    entries: Vec<Entry>,
    last: u64,
    dice: Dice,
    windows: BTreeMap<(FaultId, SessionId), Window>,
    consequences: Vec<Consequence>,
}

impl FaultBook {
    pub(crate) const fn new(seed: u64) -> Self {
        Self {
            entries: Vec::new(),
            last: 0,
            dice: Dice::new(seed),
            windows: BTreeMap::new(),
            consequences: Vec::new(),
        }
    }

    /// Takes a rule up; an act that nothing else brings about is done at once.
    pub(crate) fn inject(&mut self, now: SimTime, rule: FaultRule) -> Result<FaultId, FaultError> {
        rule.check()?;
        self.advance(now);
        if self.entries.len() >= MAX_FAULTS {
            let over = self.entries.iter().position(|entry| !entry.is_active());
            let over = over.ok_or_else(|| {
                FaultError::new(format!("there are {MAX_FAULTS} faults already: clear some"))
            })?;
            let id = self.entries[over].id;
            self.clear(id);
        }
        self.last += 1;
        let id = FaultId(self.last);
        let immediate = rule.is_immediate();
        let after = |millis: Option<u64>| millis.map(|millis| now + Duration::from_millis(millis));
        let mut entry = Entry {
            id,
            left: if immediate {
                Some(rule.times.unwrap_or(1))
            } else {
                rule.times
            },
            until: after(rule.for_ms),
            due: after(rule.every_ms),
            struck: 0,
            ended: false,
            rule,
        };
        if immediate && entry.strikes(&mut self.dice) {
            self.consequences.push(entry.act());
        }
        self.entries.push(entry);
        Ok(id)
    }

    /// Ends a fault and forgets it; says whether there was one.
    pub(crate) fn clear(&mut self, id: FaultId) -> bool {
        let Some(place) = self.entries.iter().position(|entry| entry.id == id) else {
            return false;
        };
        let entry = self.entries.remove(place);
        if !entry.ended {
            self.end(id, entry.rule.fault);
        }
        true
    }

    pub(crate) fn clear_all(&mut self) {
        for entry in std::mem::take(&mut self.entries) {
            if !entry.ended {
                self.end(entry.id, entry.rule.fault);
            }
        }
    }

    fn end(&mut self, id: FaultId, fault: Fault) {
        let held: Vec<_> = self
            .windows
            .keys()
            .filter(|(rule, _)| *rule == id)
            .copied()
            .collect();
        for key in held {
            self.release(key);
        }
        self.consequences.push(Consequence::Ended(id, fault));
    }

    fn release(&mut self, key: (FaultId, SessionId)) {
        if let Some(mut window) = self.windows.remove(&key) {
            self.dice.shuffle(&mut window.events);
            self.consequences
                .push(Consequence::Release(key.1, window.events));
        }
    }

    /// Whether there is nothing to ask for.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.consequences.is_empty()
    }

    /// All faults, oldest first.
    pub(crate) fn list(&self) -> Vec<FaultStatus> {
        let status = |entry: &Entry| FaultStatus {
            id: entry.id,
            struck: entry.struck,
            active: entry.is_active(),
            rule: entry.rule.clone(),
        };
        self.entries.iter().map(status).collect()
    }

    /// Whether what a fault holds is still held.
    pub(crate) fn stands(&self, id: FaultId) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.id == id && !entry.ended)
    }

    /// Whether connections are refused.
    pub(crate) fn refuses_connections(&self) -> bool {
        self.entries
            .iter()
            .any(|entry| !entry.ended && entry.rule.fault == Fault::RefuseConnections)
    }

    /// Lets time pass.
    pub(crate) fn advance(&mut self, now: SimTime) {
        let mut ended = Vec::new();
        for entry in self.entries.iter_mut().filter(|entry| !entry.ended) {
            if let Some(due) = entry.due.filter(|due| *due <= now && entry.is_active()) {
                if entry.strikes(&mut self.dice) {
                    self.consequences.push(entry.act());
                }
                let interval = Duration::from_millis(entry.rule.every_ms.unwrap_or_default());
                entry.due = Some((due + interval).max(now + Duration::from_millis(1)));
            }
            if entry.until.is_some_and(|until| until <= now) {
                entry.ended = true;
                ended.push((entry.id, entry.rule.fault.clone()));
            }
        }
        for (id, fault) in ended {
            self.end(id, fault);
        }
        let due: Vec<_> = self
            .windows
            .iter()
            .filter(|(_, window)| window.due <= now)
            .map(|(key, _)| *key)
            .collect();
        for key in due {
            self.release(key);
        }
    }

    /// When time has to be passed in next.
    pub(crate) fn next_deadline(&self) -> Option<SimTime> {
        let of_entries = self
            .entries
            .iter()
            .filter(|entry| !entry.ended)
            .flat_map(|entry| [entry.until, entry.due.filter(|_| entry.is_active())]);
        let of_windows = self.windows.values().map(|window| Some(window.due));
        of_entries.chain(of_windows).flatten().min()
    }

    /// What others have to do, oldest first.
    pub(crate) fn take_consequences(&mut self) -> Vec<Consequence> {
        std::mem::take(&mut self.consequences)
    }

    /// Decides on a request: delays add up, of the other faults the first counts.
    pub(crate) fn request(&mut self, asked: &Asked<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for entry in &mut self.entries {
            let kind = entry.rule.fault.kind();
            let fits = match kind {
                FaultKind::Answer => true,
                FaultKind::Act => entry.rule.on.names_requests(),
                FaultKind::Event | FaultKind::Connection => false,
            };
            if !fits || !entry.rule.on.fits_request(asked) {
                continue;
            }
            if kind == FaultKind::Act {
                if entry.strikes(&mut self.dice) {
                    self.consequences.push(entry.act());
                }
            } else if let Fault::SlowAnswers { ms } = entry.rule.fault {
                if entry.strikes(&mut self.dice) {
                    verdict.delay = verdict.delay.saturating_add(Duration::from_millis(ms));
                }
            } else if verdict.fault.is_none() && entry.strikes(&mut self.dice) {
                verdict.fault = Some((entry.id, entry.rule.fault.clone()));
            }
        }
        verdict
    }

    /// Decides on a connection, by the rules that were not yet asked about it; `applications` are those
    /// of a socket for events.
    pub(crate) fn connection(
        &mut self,
        judged: &mut Judged,
        applications: &[String],
    ) -> Option<(FaultId, Fault)> {
        let before = *judged;
        let newest = FaultId(self.last);
        judged.all = newest;
        if !applications.is_empty() {
            judged.of_applications = newest;
        }
        for entry in &mut self.entries {
            if !entry.is(FaultKind::Connection) || entry.rule.fault == Fault::RefuseConnections {
                continue;
            }
            let on = &entry.rule.on;
            let meant = if on.application.is_none() {
                entry.id > before.all
            } else {
                entry.id > before.of_applications
                    && applications.iter().any(|name| on.fits_application(name))
            };
            if meant && entry.strikes(&mut self.dice) {
                return Some((entry.id, entry.rule.fault.clone()));
            }
        }
        None
    }

    /// Decides on an event; what becomes of it is added to `out`. The first fault counts.
    pub(crate) fn event(
        &mut self,
        now: SimTime,
        session: SessionId,
        application: &str,
        event: Bytes,
        out: &mut Vec<Bytes>,
    ) {
        let parsed = Event::parse(event.clone());
        let kind = parsed.as_ref().map_or("", |event| event.kind());
        let mut struck = None;
        let mut joined = None;
        for entry in &mut self.entries {
            let on = &entry.rule.on;
            if !on.fits_event(kind) || !on.fits_application(application) {
                continue;
            }
            if entry.is(FaultKind::Act) && on.event.is_some() {
                if entry.strikes(&mut self.dice) {
                    self.consequences.push(entry.act());
                }
                continue;
            }
            if struck.is_some() || joined.is_some() || entry.rule.fault.kind() != FaultKind::Event {
                continue;
            }
            let key = (entry.id, session);
            if self.windows.contains_key(&key) {
                joined = Some(key);
            } else if entry.strikes(&mut self.dice) {
                struck = Some((entry.id, entry.rule.fault.clone()));
            }
        }
        if let Some((id, Fault::EventsReordered { window })) = struck {
            let due = now + REORDER_HOLD;
            let window = Window {
                events: Vec::new(),
                size: window,
                due,
            };
            self.windows.insert((id, session), window);
            joined = Some((id, session));
            struck = None;
        }
        if let Some(window) = joined.and_then(|key| self.windows.get_mut(&key)) {
            window.events.push(event);
            let full = window.events.len() >= window.size;
            if let Some(key) = joined.filter(|_| full)
                && let Some(mut window) = self.windows.remove(&key)
            {
                self.dice.shuffle(&mut window.events);
                out.append(&mut window.events);
            }
            return;
        }
        match struck {
            Some((_, Fault::EventTwice)) => out.extend([event.clone(), event]),
            Some((_, Fault::EventMalformed)) => out.push(malformed(&event)),
            Some((_, Fault::EventTruncated)) => out.push(truncated(&event)),
            Some((_, Fault::EventUnknown)) => out.push(unknown(&event)),
            Some((_, Fault::EventLost)) => {}
            _ => out.push(event),
        }
    }
}

#[cfg(test)]
mod tests {
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
}
