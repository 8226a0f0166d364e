//! What to do with the WebSocket and when: no I/O, and no clock but the one that is passed in.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::backoff::Backoff;

/// How long a connection has to hold until an earlier series of failures is forgotten.
const HEALTHY_AFTER: Duration = Duration::from_secs(10);

/// How long an application has to be held until an earlier series of takeovers is forgotten: whoever took
/// it may be waiting for its own turn to take it back.
const SETTLED_AFTER: Duration = Duration::from_mins(5);

/// How to find out that nobody is there any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keepalive {
    /// Silence after which a ping is sent.
    pub(crate) interval: Duration,
    /// How long an answer to it is waited for; whatever comes is one.
    pub(crate) deadline: Duration,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Send a ping.
    Ping,
    /// Let the connection go, and tell of the loss.
    Lost(Cause),
    /// Try to connect; the outcome is reported by `handle_opened` or `handle_failed`.
    Connect,
    /// Tell that the connection is back.
    Returned,
}

/// Why a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It broke.
    Broken,
    /// No answer to a ping.
    Silent,
    /// Another program took the application over, and it is to be taken back.
    Replaced,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Open {
        since: Instant,
        heard: Instant,
        /// When the answer to a ping is overdue that was sent.
        overdue: Option<Instant>,
    },
    Waiting {
        until: Instant,
    },
    Connecting,
    /// Nothing is connected any more.
    Retired,
}

/// The life of a WebSocket that is made again when it is lost.
///
/// After every `handle_…`, take the outputs by [`poll_output`](Self::poll_output), then call
/// [`handle_timeout`](Self::handle_timeout) at the time that [`poll_timeout`](Self::poll_timeout) says.
#[derive(Debug)]
pub(crate) struct Session {
    keepalive: Keepalive,
    backoff: Backoff,
    /// How long to wait before the application is taken back.
    rivalry: Backoff,
    state: State,
    outputs: VecDeque<Output>,
}

impl Session {
    /// Begins with an open connection.
    pub(crate) fn open(keepalive: Keepalive, mut random: fastrand::Rng, now: Instant) -> Self {
        Self {
            keepalive,
            rivalry: Backoff::new(random.fork()),
            backoff: Backoff::new(random),
            state: State::Open {
                since: now,
                heard: now,
                overdue: None,
            },
            outputs: VecDeque::new(),
        }
    }

    /// The same where the other side opens the connections: they are never waited with.
    pub(crate) fn accepting(mut self) -> Self {
        self.backoff = self.backoff.none();
        self
    }

    /// Something came.
    pub(crate) const fn handle_heard(&mut self, now: Instant) {
        if let State::Open { heard, overdue, .. } = &mut self.state {
            *heard = now;
            *overdue = None;
        }
    }

    /// The connection broke.
    pub(crate) fn handle_broken(&mut self, now: Instant) {
        self.lose(now, Cause::Broken);
    }

    /// Another program took the application over, and it is to be taken back.
    pub(crate) fn handle_replaced(&mut self, now: Instant) {
        self.lose(now, Cause::Replaced);
    }

    /// There is nothing to connect for any more.
    pub(crate) fn retire(&mut self) {
        self.outputs.clear();
        self.state = State::Retired;
    }

    /// An attempt succeeded.
    pub(crate) fn handle_opened(&mut self, now: Instant) {
        if matches!(self.state, State::Connecting) {
            self.state = State::Open {
                since: now,
                heard: now,
                overdue: None,
            };
            self.outputs.push_back(Output::Returned);
        }
    }

    /// An attempt failed.
    pub(crate) fn handle_failed(&mut self, now: Instant) {
        if matches!(self.state, State::Connecting) {
            self.state = State::Waiting {
                until: now + self.backoff.next_wait(),
            };
        }
    }

    /// Time has passed. The other side answers a ping once it has done the request that is under way, which
    /// is waited for until its deadline.
    pub(crate) fn handle_timeout(&mut self, now: Instant, busy_until: Option<Instant>) {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        match &mut self.state {
            State::Open {
                overdue: overdue @ None,
                ..
            } if due => {
                let read = busy_until.map_or(now, |until| until.max(now));
                *overdue = Some(read + self.keepalive.deadline);
                self.outputs.push_back(Output::Ping);
            }
            State::Open { .. } if due => self.lose(now, Cause::Silent),
            State::Waiting { .. } if due => {
                self.state = State::Connecting;
                self.outputs.push_back(Output::Connect);
            }
            _ => {}
        }
    }

    /// What to do next.
    pub(crate) fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call `handle_timeout`.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Open {
                overdue: Some(overdue),
                ..
            } => Some(overdue),
            State::Open { heard, .. } => Some(heard + self.keepalive.interval),
            State::Waiting { until } => Some(until),
            State::Connecting | State::Retired => None,
        }
    }

    fn lose(&mut self, now: Instant, cause: Cause) {
        let State::Open { since, .. } = self.state else {
            return;
        };
        let held = now.saturating_duration_since(since);
        if held >= HEALTHY_AFTER {
            self.backoff.reset();
        }
        if held >= SETTLED_AFTER {
            self.rivalry.reset();
        }
        let wait = match cause {
            Cause::Replaced => self.rivalry.next_wait(),
            Cause::Broken | Cause::Silent => self.backoff.next_wait(),
        };
        // A ping that was due is of no use any more.
        self.outputs.clear();
        self.outputs.push_back(Output::Lost(cause));
        self.state = State::Waiting { until: now + wait };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEPALIVE: Keepalive = Keepalive {
        interval: Duration::from_secs(15),
        deadline: Duration::from_secs(10),
    };

    fn session() -> (Session, Instant) {
        let now = Instant::now();
        (
            Session::open(KEEPALIVE, fastrand::Rng::with_seed(7), now),
            now,
        )
    }

    fn outputs(session: &mut Session) -> Vec<Output> {
        std::iter::from_fn(|| session.poll_output()).collect()
    }

    /// Moves to the next timeout and gives its time.
    fn pass(session: &mut Session) -> Instant {
        let at = session.poll_timeout().unwrap();
        session.handle_timeout(at, None);
        at
    }

    #[test]
    fn silence_is_pinged_and_then_lost() {
        let (mut session, start) = session();
        session.handle_timeout(start + Duration::from_secs(14), None);
        assert_eq!(outputs(&mut session), []);
        assert_eq!(pass(&mut session), start + Duration::from_secs(15));
        assert_eq!(outputs(&mut session), [Output::Ping]);
        assert_eq!(pass(&mut session), start + Duration::from_secs(25));
        assert_eq!(outputs(&mut session), [Output::Lost(Cause::Silent)]);
        assert!(session.poll_timeout().unwrap() <= start + Duration::from_millis(25_250));
    }

    #[test]
    fn a_pong_waits_behind_the_request_that_was_under_way() {
        for (busy_until, lost) in [(40, 50), (15, 25), (3, 25)] {
            let (mut session, start) = session();
            let after = |seconds| start + Duration::from_secs(seconds);
            session.handle_timeout(after(15), Some(after(busy_until)));
            assert_eq!(outputs(&mut session), [Output::Ping]);
            // Later requests count for nothing.
            session.handle_timeout(after(lost - 1), Some(after(90)));
            assert_eq!(outputs(&mut session), []);
            session.handle_timeout(after(lost), Some(after(90)));
            assert_eq!(outputs(&mut session), [Output::Lost(Cause::Silent)]);
        }
    }

    #[test]
    fn whatever_is_heard_answers_a_ping() {
        let (mut session, start) = session();
        pass(&mut session);
        let heard = start + Duration::from_secs(20);
        session.handle_heard(heard);
        assert_eq!(session.poll_timeout(), Some(heard + KEEPALIVE.interval));
        assert_eq!(outputs(&mut session), [Output::Ping]);
    }

    #[test]
    fn a_loss_is_told_before_anything_else_and_the_return_once() {
        let (mut session, start) = session();
        pass(&mut session);
        session.handle_broken(start + Duration::from_secs(16));
        session.handle_broken(start + Duration::from_secs(16));
        assert_eq!(outputs(&mut session), [Output::Lost(Cause::Broken)]);
        let at = pass(&mut session);
        assert_eq!(outputs(&mut session), [Output::Connect]);
        assert_eq!(
            session.poll_timeout(),
            None,
            "the attempt has a deadline of its own"
        );
        session.handle_failed(at);
        let at = pass(&mut session);
        assert_eq!(outputs(&mut session), [Output::Connect]);
        session.handle_opened(at);
        session.handle_opened(at);
        assert_eq!(outputs(&mut session), [Output::Returned]);
        assert_eq!(session.poll_timeout(), Some(at + KEEPALIVE.interval));
    }

    /// The longest of the next waits of a session that keeps failing.
    fn longest_wait(
        session: &mut Session,
        mut now: Instant,
        losses: u32,
        hold: Duration,
    ) -> Duration {
        let mut longest = Duration::ZERO;
        for _ in 0..losses {
            session.handle_broken(now);
            let at = pass(session);
            longest = longest.max(at - now);
            session.handle_opened(at);
            now = at + hold;
        }
        longest
    }

    #[test]
    fn a_connection_that_does_not_hold_is_tried_less_and_less() {
        let (mut session, now) = session();
        assert!(
            longest_wait(&mut session, now, 12, Duration::from_millis(1)) > Duration::from_secs(4)
        );
    }

    #[test]
    fn clients_that_take_from_each_other_do_so_less_and_less() {
        let (mut session, mut now) = session();
        let mut longest = Duration::ZERO;
        for _ in 0..30 {
            session.handle_replaced(now);
            let at = pass(&mut session);
            longest = longest.max(at - now);
            session.handle_opened(at);
            // The other one waited that long.
            now = at + HEALTHY_AFTER;
        }
        assert!(longest > Duration::from_secs(8), "{longest:?}");
        now += SETTLED_AFTER;
        session.handle_replaced(now);
        assert!(pass(&mut session) - now <= Duration::from_millis(250));
    }

    #[test]
    fn what_is_retired_connects_no_more() {
        let (mut session, now) = session();
        session.retire();
        session.handle_broken(now);
        session.handle_opened(now);
        assert_eq!(outputs(&mut session), []);
        assert_eq!(session.poll_timeout(), None);
    }

    #[test]
    fn a_connection_that_held_starts_over() {
        let (mut session, now) = session();
        assert!(
            longest_wait(&mut session, now + HEALTHY_AFTER, 12, HEALTHY_AFTER)
                <= Duration::from_millis(250)
        );
    }

    #[test]
    fn inputs_of_another_state_change_nothing() {
        let (mut session, now) = session();
        session.handle_opened(now);
        session.handle_failed(now);
        assert_eq!(outputs(&mut session), []);
        session.handle_broken(now);
        session.handle_heard(now);
        session.handle_opened(now);
        assert_eq!(outputs(&mut session), [Output::Lost(Cause::Broken)]);
    }
}
