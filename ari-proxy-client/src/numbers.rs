//! The numbers of events: what came twice, and what is missing.

use std::{
    collections::{HashMap, hash_map::RandomState},
    hash::BuildHasher,
};

use ari_core::{Gap, GapCause, Numbers};

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

/// The numbers last seen on each subject.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    subjects: HashMap<Box<str>, Counter>,
    /// What came last on the subjects of dialogs, without numbers.
    last: HashMap<Box<str>, u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Counter {
    boot: Box<str>,
    last: u64,
    /// How often the connection had been made.
    connects: u64,
}

impl Counters {
    /// Takes an event in, that came while the connection had been made so many times.
    ///
    /// Where a subject is heard for the first time, nothing can be missing; where the connection broke
    /// since, what is missing has been told.
    pub(crate) fn see(&mut self, subject: &str, numbers: Numbers<'_>, connects: u64) -> Verdict {
        let anew = || Counter {
            boot: numbers.boot.into(),
            last: numbers.subject,
            connects,
        };
        let Some(counter) = self.subjects.get_mut(subject) else {
            self.subjects.insert(subject.into(), anew());
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
    pub(crate) fn repeats(&mut self, subject: &str, event: &[u8]) -> bool {
        let hash = self.hasher.hash_one(event);
        if let Some(last) = self.last.get_mut(subject) {
            return std::mem::replace(last, hash) == hash;
        }
        self.last.insert(subject.into(), hash);
        false
    }

    /// Forgets the subjects that begin like this.
    pub(crate) fn forget(&mut self, subject: &str) {
        self.last.remove(subject);
        if self.last.capacity() > 64 && self.last.len() < self.last.capacity() / 4 {
            self.last.shrink_to_fit();
        }
        let wildcard = subject.strip_suffix('>');
        self.subjects.retain(|known, _| match wildcard {
            Some(prefix) => !known.starts_with(prefix),
            None => **known != *subject,
        });
        if self.subjects.capacity() > 64 && self.subjects.len() < self.subjects.capacity() / 4 {
            self.subjects.shrink_to_fit();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.subjects.len()
    }
}

#[cfg(test)]
mod tests {
    use ari_core::Event;

    use super::*;

    fn see(counters: &mut Counters, subject: &str, boot: &str, number: u64) -> Verdict {
        let raw = format!(r#"{{"type":"X","ari_proxy":["{boot}",{number},{number}]}}"#);
        counters.see(subject, Event::parse(raw).unwrap().numbers().unwrap(), 1)
    }

    #[test]
    fn what_a_broken_connection_lost_is_not_told_again() {
        let mut counters = Counters::default();
        let mut see = |boot: &str, number: u64, connects: u64| {
            let raw = format!(r#"{{"type":"X","ari_proxy":["{boot}",{number},{number}]}}"#);
            let event = Event::parse(raw).unwrap();
            counters.see("s", event.numbers().unwrap(), connects)
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
        let mut repeats = |subject: &str, event: &str| counters.repeats(subject, event.as_bytes());
        assert!(!repeats("d1", "entered") && !repeats("d2", "entered"));
        assert!(repeats("d1", "entered") && repeats("d1", "entered"));
        assert!(!repeats("d1", "left") && !repeats("d1", "entered"));
        assert!(repeats("d2", "entered"));
        counters.forget("d2");
        assert!(!counters.repeats("d2", b"entered"));
    }

    #[test]
    fn what_is_no_longer_listened_to_is_forgotten() {
        let mut counters = Counters::default();
        for subject in ["ari.event.demo.a", "ari.event.demo.b", "ari.dialogevent.x"] {
            see(&mut counters, subject, "b", 1);
        }
        counters.forget("ari.event.demo.>");
        assert_eq!(counters.len(), 1);
        counters.forget("ari.dialogevent.x");
        assert_eq!(counters.len(), 0);
    }
}
