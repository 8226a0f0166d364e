//! Requests that go over the event socket, one at a time.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Context,
    time::Duration,
};

use ari_core::{HttpRequest, sample};
use futures::task::AtomicWaker;
use tokio::{
    sync::oneshot,
    time::{Instant, Sleep, sleep_until, timeout_at},
};

use crate::{
    error::{Failure, NotSent},
    exchange::Answer,
    frame,
};

/// How many requests may wait for their turn.
const MAX_WAITING: usize = 1024;

/// How long the answer to a request that was given up holds up the next one, at most.
const GIVEN_UP: Duration = Duration::from_secs(10);

/// Where requests wait until the socket takes them, and for their answers.
///
/// Asterisk does the requests of a socket one after the other. The next one is written when the one before
/// was answered, or its deadline has passed, so that it is known of each whether it was sent. The socket's
/// task sees to that: a caller may stop polling without going away.
#[derive(Debug)]
pub(crate) struct Desk {
    state: Mutex<State>,
    /// The task that has the socket.
    writer: AtomicWaker,
    max_answer: usize,
    /// How many times as long as a request was given Asterisk may still be at it after its deadline, and answer nothing
    /// else.
    overtime: u32,
}

#[derive(Debug, Default)]
struct State {
    /// Transaction ids of this client so far.
    transactions: u64,
    /// Sockets so far.
    seats: u64,
    /// The last of them is open.
    is_open: bool,
    /// It takes no more requests.
    is_held: bool,
    /// There will be no other.
    is_closed: bool,
    waiting: VecDeque<Entry>,
    under_way: Option<Entry>,
    /// The last one that was given up unanswered, and how long Asterisk may still be at it.
    owed: Option<(u64, Instant)>,
}

#[derive(Debug)]
struct Entry {
    transaction: u64,
    text: String,
    deadline: Instant,
    /// How long after its deadline Asterisk may still be at it.
    overtime: Duration,
    reply: oneshot::Sender<Result<Answer, Failure>>,
}

/// The socket's side of a desk. When it is dropped the socket is gone.
#[derive(Debug)]
pub(crate) struct Seat {
    desk: Arc<Desk>,
    number: u64,
    /// The deadline of the request that is under way.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Takes the request of a caller who went away off the desk.
struct Ticket<'a> {
    desk: &'a Desk,
    transaction: u64,
    is_over: bool,
}

impl Desk {
    pub(crate) fn new(max_answer: usize, overtime: u32) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            writer: AtomicWaker::new(),
            max_answer,
            overtime,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request when its turn has come, and waits for the answer.
    ///
    /// It is sent at most once. The deadline holds for the wait for its turn, too. An urgent one is the next,
    /// however many wait.
    ///
    /// # Cancel safety
    /// A request that was not written is not sent any more; any other one may still run.
    pub(crate) async fn exchange(
        &self,
        request: &HttpRequest,
        urgent: bool,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        let (reply, answer) = oneshot::channel();
        let mut ticket = self.enter(request, urgent, deadline, reply)?;
        self.writer.wake();
        match timeout_at(deadline, answer).await {
            Ok(answer) => {
                ticket.is_over = true;
                answer.unwrap_or_else(|_| Err(NotSent::NoSocket.into()))
            }
            Err(_) if ticket.is_waiting() => Err(NotSent::LateTurn.into()),
            Err(_) => {
                // It was given its time: whoever notices first, it is not given up before.
                ticket.is_over = true;
                self.writer.wake();
                Err(Failure::TimedOut)
            }
        }
    }

    fn enter(
        &self,
        request: &HttpRequest,
        urgent: bool,
        deadline: Instant,
        reply: oneshot::Sender<Result<Answer, Failure>>,
    ) -> Result<Ticket<'_>, NotSent> {
        let mut state = self.state();
        if state.is_closed {
            return Err(NotSent::Closed);
        }
        if !state.is_open {
            return Err(NotSent::NoSocket);
        }
        if !urgent && state.waiting.len() >= MAX_WAITING {
            return Err(NotSent::Crowded(MAX_WAITING));
        }
        state.transactions += 1;
        let transaction = state.transactions;
        let entry = Entry {
            transaction,
            text: frame::request(transaction, request)?,
            deadline,
            overtime: (deadline - Instant::now()).saturating_mul(self.overtime),
            reply,
        };
        if urgent {
            state.waiting.push_front(entry);
        } else {
            state.waiting.push_back(entry);
        }
        Ok(Ticket {
            desk: self,
            transaction,
            is_over: false,
        })
    }

    /// How long Asterisk may be at what it was asked for, and answer nothing else.
    pub(crate) fn busy_until(&self) -> Option<Instant> {
        let state = self.state();
        let under_way = state.under_way.as_ref();
        let under_way = under_way.map(Entry::busy_until);
        under_way.max(state.owed.map(|(_, until)| until))
    }

    /// Has the socket take no more requests; gives the deadline of the one that it has.
    pub(crate) fn hold(&self) -> Option<Instant> {
        let mut state = self.state();
        state.is_held = true;
        state.under_way.as_ref().map(|entry| entry.deadline)
    }

    /// Has the socket take requests again.
    pub(crate) fn release(&self) {
        self.state().is_held = false;
        self.writer.wake();
    }

    /// Hands an answer to whom it is for. What is for nobody, or comes a second time, is dropped.
    pub(crate) fn answer(&self, text: &[u8]) {
        let Some((transaction, answer)) = frame::answer(text) else {
            tracing::warn!(
                said = sample(text),
                "an answer over the WebSocket that names no request of this client"
            );
            return;
        };
        let mine = |entry: &mut Entry| entry.transaction == transaction;
        let mut state = self.state();
        // They are answered in the order in which they were sent.
        state.owed.take_if(|(owed, _)| *owed <= transaction);
        let answered = state.under_way.take_if(mine);
        drop(state);
        let Some(entry) = answered else {
            tracing::warn!(
                transaction,
                "an answer over the WebSocket for which nobody waits"
            );
            return;
        };
        let answer = match answer {
            None => Err(Failure::Garbled(sample(text))),
            Some(answer) if answer.body.len() > self.max_answer => Err(Failure::TooLong {
                limit: self.max_answer,
                came: Some(sample(&answer.body)),
            }),
            Some(answer) => Ok(answer),
        };
        entry.end(answer);
        self.writer.wake();
    }

    /// Ends every request, and those to come.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        state.is_closed = true;
        let ended = state.lose();
        drop(state);
        fail(ended);
    }

    /// Takes the place of the socket that was open before, if there is one.
    pub(crate) fn open(self: &Arc<Self>) -> Seat {
        let mut state = self.state();
        let ended = state.lose();
        state.seats += 1;
        (state.is_open, state.is_held) = (true, false);
        let number = state.seats;
        drop(state);
        fail(ended);
        Seat {
            desk: Arc::clone(self),
            number,
            timer: None,
        }
    }
}

impl State {
    /// Takes everything that the socket, which is lost, was to carry.
    fn lose(&mut self) -> (Option<Entry>, VecDeque<Entry>) {
        self.is_open = false;
        self.owed = None;
        (self.under_way.take(), std::mem::take(&mut self.waiting))
    }

    /// Ends what is overdue; gives the deadline of what is under way.
    fn expire(&mut self, now: Instant) -> Option<Instant> {
        if let Some(entry) = self.under_way.take_if(|entry| entry.deadline <= now) {
            // Asterisk may be at the one before still, for longer than at this one.
            let before = self.owed.map(|(_, until)| until);
            let until = before.max(Some(entry.busy_until()));
            self.owed = until.map(|until| (entry.transaction, until));
            entry.end(Err(Failure::TimedOut));
        }
        while let Some(entry) = self.waiting.pop_front_if(|entry| entry.deadline <= now) {
            entry.end(Err(NotSent::LateTurn.into()));
        }
        self.under_way.as_ref().map(|entry| entry.deadline)
    }
}

fn fail((under_way, waiting): (Option<Entry>, VecDeque<Entry>)) {
    if let Some(entry) = under_way {
        entry.end(Err(Failure::SocketLost));
    }
    for entry in waiting {
        entry.end(Err(NotSent::NoSocket.into()));
    }
}

impl Entry {
    /// How long Asterisk may be at it.
    fn busy_until(&self) -> Instant {
        let until = self.deadline.checked_add(self.overtime);
        until.unwrap_or(self.deadline)
    }

    fn end(self, answer: Result<Answer, Failure>) {
        // Whoever has stopped waiting does not want it.
        let _ = self.reply.send(answer);
    }
}

impl Seat {
    /// Says whether there is something to write; has the task woken when this changes.
    pub(crate) fn poll_wants_to_write(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            self.desk.writer.register(context.waker());
            let mut state = self.desk.state();
            let Some(deadline) = state.expire(Instant::now()) else {
                self.timer = None;
                return !state.is_held && !state.waiting.is_empty();
            };
            drop(state);
            let timer = match &mut self.timer {
                Some(timer) if timer.deadline() == deadline => timer,
                timer => timer.insert(Box::pin(sleep_until(deadline))),
            };
            if timer.as_mut().poll(context).is_pending() {
                return false;
            }
        }
    }

    /// Takes what is to be written; from now on it counts as sent.
    pub(crate) fn take(&self) -> Option<String> {
        let mut state = self.desk.state();
        let mut entry = state.waiting.pop_front()?;
        let text = std::mem::take(&mut entry.text);
        state.under_way = Some(entry);
        Some(text)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        if state.seats == self.number {
            let ended = state.lose();
            drop(state);
            fail(ended);
        }
    }
}

impl Ticket<'_> {
    /// Whether the request still waits for its turn; then it is not sent any more.
    fn is_waiting(&self) -> bool {
        let mut state = self.desk.state();
        let place = state
            .waiting
            .iter()
            .position(|entry| entry.transaction == self.transaction);
        place
            .and_then(|place| state.waiting.remove(place))
            .is_some()
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if self.is_over || self.is_waiting() {
            return;
        }
        let mut state = self.desk.state();
        if let Some(entry) = &mut state.under_way
            && entry.transaction == self.transaction
        {
            entry.deadline = entry.deadline.min(Instant::now() + GIVEN_UP);
            entry.overtime = entry.overtime.min(GIVEN_UP * self.desk.overtime);
            drop(state);
            self.desk.writer.wake();
        }
    }
}
