//! The numbers of events: what came twice, and what is missing.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use ari_core::{Event, Gap, GapCause, Numbers};

/// What the numbers of an event say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the next one.
    Next,
    /// It came before.
    Twice,
    /// Events before it are missing.
    After(Gap),
}

/// The numbers last seen of each publisher on each subject of one feed.
///
/// NATS gives what two subscriptions have asked for to both, so each feed has all of its events, and counts them by
/// itself. The subject of a dialog has events of every proxy that carries a part of it, each with numbers of its own.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    seen: HashMap<Source, Counter>,
    /// What came last of a dialog, without numbers.
    last: HashMap<Source, u64>,
    hasher: RandomState,
}

/// A publisher on a subject, by the hash of their names: nobody can choose two names that are one here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Source(u64);

#[derive(Debug)]
struct Counter {
    boot: Box<str>,
    last: u64,
    /// How often the connection had been made.
    connects: u64,
}

impl Counters {
    /// Where an event comes from.
    pub(crate) fn source(&self, subject: &str, event: &Event) -> Source {
        let publisher = (event.application(), event.asterisk_id());
        Source(self.hasher.hash_one((subject, publisher)))
    }

    /// Takes an event in, that came while the connection had been made so many times.
    ///
    /// Where a source is heard for the first time, nothing can be missing; where the connection broke
    /// since, what is missing has been told.
    pub(crate) fn see(&mut self, source: Source, numbers: Numbers<'_>, connects: u64) -> Verdict {
        let anew = || Counter {
            boot: numbers.boot.into(),
            last: numbers.subject,
            connects,
        };
        let Some(counter) = self.seen.get_mut(&source) else {
            self.seen.insert(source, anew());
            return Verdict::Next;
        };
        let told = counter.connects != connects;
        if *counter.boot != *numbers.boot {
            *counter = anew();
            if told {
                return Verdict::Next;
            }
            // The server has started anew: what the earlier one still had to send is gone.
            return Verdict::After(Gap::new(None, GapCause::Upstream));
        }
        let last = counter.last;
        counter.connects = connects;
        counter.last = last.max(numbers.subject);
        if numbers.subject <= last {
            Verdict::Twice
        } else if told || numbers.subject == last + 1 {
            Verdict::Next
        } else {
            Verdict::After(Gap::new(
                Some(numbers.subject - last - 1),
                GapCause::Upstream,
            ))
        }
    }

    /// Whether an event of a dialog, without numbers, is a copy of the one before it.
    ///
    /// A Go server sends an event to a dialog once for each of its entities that is bound there, in a
    /// row and the same to the byte.
    pub(crate) fn repeats(&mut self, source: Source, event: &[u8]) -> bool {
        let hash = self.hasher.hash_one(event);
        self.last.insert(source, hash) == Some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(node: &str, boot: &str, number: u64) -> Event {
        let numbers = format!(r#"["{boot}",{number},{number}]"#);
        let raw = format!(r#"{{"type":"X","asterisk_id":"{node}","ari_proxy":{numbers}}}"#);
        Event::parse(raw).unwrap()
    }

    fn see(counters: &mut Counters, subject: &str, boot: &str, number: u64) -> Verdict {
        let event = event("a", boot, number);
        let source = counters.source(subject, &event);
        counters.see(source, event.numbers().unwrap(), 1)
    }

    #[test]
    fn each_proxy_that_publishes_to_a_subject_counts_by_itself() {
        let mut counters = Counters::default();
        for number in 1..4 {
            for (node, boot) in [("a", "b.1"), ("c", "d.7")] {
                let event = event(node, boot, number);
                let source = counters.source("ari.dialogevent.x", &event);
                let verdict = counters.see(source, event.numbers().unwrap(), 1);
                assert_eq!(verdict, Verdict::Next);
            }
        }
    }

    #[test]
    fn what_a_broken_connection_lost_is_not_told_again() {
        let mut counters = Counters::default();
        let mut see = |boot: &str, number: u64, connects: u64| {
            let event = event("a", boot, number);
            let source = counters.source("s", &event);
            counters.see(source, event.numbers().unwrap(), connects)
        };
        assert_eq!(see("b", 7, 1), Verdict::Next);
        assert_eq!(see("b", 12, 2), Verdict::Next);
        assert_eq!(see("b", 12, 2), Verdict::Twice);
        assert_eq!(
            see("b", 14, 2),
            Verdict::After(Gap::new(Some(1), GapCause::Upstream))
        );
        assert_eq!(see("c", 3, 3), Verdict::Next);
        assert_eq!(see("c", 3, 4), Verdict::Twice);
    }

    #[test]
    fn duplicates_and_losses_are_found() {
        let mut counters = Counters::default();
        assert_eq!(see(&mut counters, "s", "b", 7), Verdict::Next);
        assert_eq!(see(&mut counters, "s", "b", 8), Verdict::Next);
        assert_eq!(see(&mut counters, "s", "b", 8), Verdict::Twice);
        assert_eq!(see(&mut counters, "s", "b", 3), Verdict::Twice);
        assert_eq!(
            see(&mut counters, "s", "b", 12),
            Verdict::After(Gap::new(Some(3), GapCause::Upstream))
        );
        assert_eq!(see(&mut counters, "other", "b", 1), Verdict::Next);
        assert_eq!(see(&mut counters, "s", "b", 13), Verdict::Next);
    }

    #[test]
    fn a_server_that_started_anew_is_a_loss() {
        let mut counters = Counters::default();
        see(&mut counters, "s", "b", 7);
        assert_eq!(
            see(&mut counters, "s", "c", 1),
            Verdict::After(Gap::new(None, GapCause::Upstream))
        );
        assert_eq!(see(&mut counters, "s", "c", 2), Verdict::Next);
    }

    #[test]
    fn copies_of_a_go_server_are_found() {
        let mut counters = Counters::default();
        let mut repeats = |subject: &str, text: &str| {
            let source = counters.source(subject, &event("a", "b", 1));
            counters.repeats(source, text.as_bytes())
        };
        assert!(!repeats("d1", "entered") && !repeats("d2", "entered"));
        assert!(repeats("d1", "entered") && repeats("d1", "entered"));
        assert!(!repeats("d1", "left") && !repeats("d1", "entered"));
        assert!(repeats("d2", "entered"));
    }
}
