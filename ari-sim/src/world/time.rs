//! Time in the world: passed in, never read from a clock.

use std::{
    collections::BTreeMap,
    fmt,
    ops::{Add, Sub},
    time::Duration,
};

use ari_core::Timestamp;

/// A point in time of a [`World`](super::World): how long after its beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SimTime(Duration);

impl SimTime {
    /// The beginning of the world.
    pub const START: Self = Self(Duration::ZERO);

    /// So long after the beginning.
    pub const fn after(elapsed: Duration) -> Self {
        Self(elapsed)
    }

    /// How long after the beginning.
    pub const fn elapsed(self) -> Duration {
        self.0
    }

    /// Whole milliseconds after the beginning.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }

    /// How long after `earlier`; nothing where that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for SimTime {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

impl Sub<Duration> for SimTime {
    type Output = Self;

    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(earlier))
    }
}

impl fmt::Display for SimTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}

/// The key of a timer that has not fired.
pub(crate) type TimerKey = (SimTime, u64);

/// What happens later, in order; what is due at the same time, in the order in which it was set.
#[derive(Debug)]
pub(crate) struct Timers<T> {
    queue: BTreeMap<TimerKey, T>,
    count: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self {
            queue: BTreeMap::new(),
            count: 0,
        }
    }
}

impl<T> Timers<T> {
    pub(crate) fn set(&mut self, at: SimTime, timer: T) -> TimerKey {
        self.count += 1;
        let key = (at, self.count);
        self.queue.insert(key, timer);
        key
    }

    pub(crate) fn cancel(&mut self, key: Option<TimerKey>) {
        if let Some(key) = key {
            self.queue.remove(&key);
        }
    }

    pub(crate) fn next(&self) -> Option<SimTime> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the next one out, whenever it is due.
    pub(crate) fn pop(&mut self) -> Option<(SimTime, T)> {
        let ((at, _), timer) = self.queue.pop_first()?;
        Some((at, timer))
    }

    pub(crate) fn pop_due(&mut self, now: SimTime) -> Option<(SimTime, T)> {
        let entry = self
            .queue
            .first_entry()
            .filter(|entry| entry.key().0 <= now)?;
        let ((at, _), timer) = entry.remove_entry();
        Some((at, timer))
    }
}

/// The time of day as ARI writes it, formatted once per millisecond.
#[derive(Debug)]
pub(crate) struct Stamp {
    base_millis: i64,
    millis: u64,
    text: std::sync::Arc<str>,
}

impl Stamp {
    pub(crate) fn new(base_millis: i64) -> Self {
        Self {
            base_millis,
            millis: 0,
            text: write_stamp(base_millis).into(),
        }
    }

    pub(crate) fn move_to(&mut self, now: SimTime) {
        let millis = now.millis();
        if millis != self.millis {
            self.millis = millis;
            let since = i64::try_from(millis).unwrap_or(i64::MAX);
            self.text = write_stamp(self.base_millis.saturating_add(since)).into();
        }
    }

    pub(crate) const fn text(&self) -> &std::sync::Arc<str> {
        &self.text
    }

    /// Seconds since 1970, as the ids that Asterisk makes begin with.
    pub(crate) fn seconds(&self) -> i64 {
        self.base_millis
            .saturating_add(i64::try_from(self.millis).unwrap_or(i64::MAX))
            / 1_000
    }
}

fn write_stamp(millis: i64) -> String {
    Timestamp::from_unix_millis(millis)
        .map(|stamp| stamp.to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_fire_in_order_and_not_when_cancelled() {
        let mut timers = Timers::default();
        let at = |millis| SimTime::after(Duration::from_millis(millis));
        timers.set(at(20), "late");
        timers.set(at(10), "first");
        timers.set(at(10), "second");
        let cancelled = timers.set(at(15), "never");
        timers.cancel(Some(cancelled));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(30)), Some((at(10), "first")));
        assert_eq!(timers.pop_due(at(30)), Some((at(10), "second")));
        assert_eq!(timers.pop_due(at(30)), Some((at(20), "late")));
        assert_eq!(timers.next(), None);
    }

    #[test]
    fn a_stamp_is_written_as_asterisk_does() {
        let mut stamp = Stamp::new(1_795_246_564_000);
        stamp.move_to(SimTime::after(Duration::from_millis(830)));
        assert_eq!(&**stamp.text(), "2026-11-21T07:36:04.830+0000");
    }
}
