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
mod tests;
