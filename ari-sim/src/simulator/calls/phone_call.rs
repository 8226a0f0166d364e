//! A call in somebody's hand.

use std::{
    future::IntoFuture,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{CallEnd, CallError};
use crate::{
    simulator::Runtime,
    world::{Act, ActError, CallId, CallRecord, Heard},
};

/// How long a digit is pressed, and how long it is to the next.
const DIGIT: Duration = Duration::from_millis(100);

/// One side of a call, at the phone: of who [calls](crate::Simulator::call), or of who
/// [is called](crate::Endpoint::next_call).
///
/// What is done at once is a plain method; what takes time, or waits, is awaited. Each wait has a limit and says
/// in its error what came instead. Dropped, the receiver is put down: a call that is not over is hung up.
#[derive(Debug)]
#[must_use = "a call is hung up when it is dropped"]
pub struct PhoneCall {
    runtime: Arc<Runtime>,
    id: CallId,
    changed: Arc<Notify>,
    wait: Duration,
    called: bool,
    /// How much of what was heard, and of the bridges, the waits have seen.
    heard: AtomicUsize,
    heard_out: AtomicUsize,
    bridges: AtomicU32,
}

impl PhoneCall {
    pub(super) fn new(
        runtime: &Arc<Runtime>,
        (id, changed): (CallId, Arc<Notify>),
        wait: Duration,
        called: bool,
    ) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            id,
            changed,
            wait,
            called,
            heard: AtomicUsize::new(0),
            heard_out: AtomicUsize::new(0),
            bridges: AtomicU32::new(0),
        }
    }

    /// Id of the channel in Asterisk; empty where the dialplan has no such extension.
    pub fn channel_id(&self) -> String {
        self.record().channel_id
    }

    /// All that was seen of the call until now.
    pub fn record(&self) -> CallRecord {
        self.look(CallRecord::clone).unwrap_or_default()
    }

    /// What was heard, in the order in which it began.
    pub fn heard(&self) -> Vec<Heard> {
        self.record().heard
    }

    fn look<T>(&self, look: impl FnOnce(&CallRecord) -> T) -> Option<T> {
        self.runtime
            .with_world(|world, _| world.held_call(self.id).map(look))
    }

    /// Answers, at the side that was called; nothing happens where it has answered before.
    ///
    /// # Errors
    /// The call is over, or this is the side that called.
    pub fn answer(&self) -> Result<(), CallError> {
        self.act("answering", Act::Answer).map(drop)
    }

    /// Presses digits: `0` to `9`, `*`, `#`, `A` to `D`. Awaited it is done when the last one is released.
    pub fn press(&self, digits: impl Into<String>) -> Press<'_> {
        Press {
            call: self,
            digits: digits.into(),
            digit: DIGIT,
            pause: DIGIT,
        }
    }

    /// Talks, until [`fall_silent`](Self::fall_silent).
    ///
    /// # Errors
    /// The call is over.
    pub fn talk(&self) -> Result<(), CallError> {
        self.act("talking", Act::Talk(None)).map(drop)
    }

    /// Talks for so long, then falls silent.
    ///
    /// # Errors
    /// The call is over, or ends meanwhile.
    ///
    /// # Cancel safety
    /// Once begun it goes on for so long, also when the future is dropped.
    pub async fn talk_for(&self, length: Duration) -> Result<(), CallError> {
        let length = self.act("talking", Act::Talk(Some(length)))?;
        self.during("talking", length).await
    }

    /// Talks no more.
    ///
    /// # Errors
    /// The call is over.
    pub fn fall_silent(&self) -> Result<(), CallError> {
        self.act("falling silent", Act::FallSilent).map(drop)
    }

    /// Puts the other side on hold.
    ///
    /// # Errors
    /// The call is over.
    pub fn hold(&self) -> Result<(), CallError> {
        self.act("holding", Act::Hold).map(drop)
    }

    /// Takes the other side from hold.
    ///
    /// # Errors
    /// The call is over.
    pub fn unhold(&self) -> Result<(), CallError> {
        self.act("taking from hold", Act::Unhold).map(drop)
    }

    /// Hangs up; where the phone was called and has not answered it declines, with cause 21.
    ///
    /// # Errors
    /// The call was over.
    pub fn hang_up(&self) -> Result<CallEnd, CallError> {
        self.end(None)
    }

    /// Hangs up, or declines, with this cause.
    ///
    /// # Errors
    /// The call was over.
    pub fn hang_up_with(&self, cause: u16) -> Result<CallEnd, CallError> {
        self.end(Some(cause))
    }

    fn end(&self, cause: Option<u16>) -> Result<CallEnd, CallError> {
        self.act("hanging up", Act::HangUp(cause))?;
        self.look(CallEnd::of).flatten().ok_or(CallError::Stopped)
    }

    /// Does something; says how long it takes.
    fn act(&self, wanted: &str, act: Act) -> Result<Duration, CallError> {
        if self.runtime.stopped.is_cancelled() {
            return Err(CallError::Stopped);
        }
        let done = self.runtime.with_world(|world, now| {
            let done = world.act(now, self.id, act)?;
            Ok(done.since(now))
        });
        done.map_err(|error| match (error, self.look(CallRecord::clone)) {
            (ActError::Over, Some(record)) => ended(wanted, &record).unwrap_or(CallError::Stopped),
            (error, _) => CallError::Impossible(error),
        })
    }

    /// Waits until the call is answered; who called waits no longer than their patience.
    ///
    /// # Errors
    /// The call ended first, or was not answered in time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn answered(&self) -> Result<(), CallError> {
        // Who calls gives up, which ends the wait.
        let limit = if self.called {
            self.wait
        } else {
            Duration::MAX
        };
        let answered = |record: &CallRecord| record.answered_at_ms.map(|_| Ok(()));
        self.until("waiting to be answered", limit, answered).await
    }

    /// Waits until the call is in a bridge, or has been in one since this was asked last.
    ///
    /// # Errors
    /// The call ended first, or was not bridged in time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn bridged(&self) -> Result<(), CallError> {
        let bridged = |record: &CallRecord| {
            let new = record.bridged > self.bridges.load(Ordering::Relaxed);
            (new || record.in_bridge).then_some(Ok(record.bridged))
        };
        let seen = self
            .until("waiting to be bridged", self.wait, bridged)
            .await?;
        self.bridges.store(seen, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until this media begins to be heard; what the waits before it were given does not count any more.
    ///
    /// # Errors
    /// The call ended first, or it was not heard in time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn hears(&self, media: &str) -> Result<(), CallError> {
        let begun = |record: &CallRecord| {
            let from = self.heard.load(Ordering::Relaxed);
            find(record, media, from).map(|(place, _)| Ok(place))
        };
        let wanted = format!("waiting to hear {media}");
        let place = self.until(&wanted, self.wait, begun).await?;
        self.heard.store(place + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until this media was heard to its end, the one that [`hears`](Self::hears) was given last included.
    ///
    /// # Errors
    /// It was cut off, the call ended first, or it was not over in time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn hears_to_end(&self, media: &str) -> Result<(), CallError> {
        let over = |record: &CallRecord| {
            let last = self.heard.load(Ordering::Relaxed).saturating_sub(1);
            let from = last.max(self.heard_out.load(Ordering::Relaxed));
            let (place, heard) = find(record, media, from)?;
            heard.until_ms?;
            // The end of the call is what cut it off.
            let ended = record.ended_at_ms.is_some() && record.ended_at_ms == heard.until_ms;
            if heard.to_end {
                Some(Ok((place, None)))
            } else if ended {
                None
            } else {
                Some(Ok((place, Some(heard.clone()))))
            }
        };
        let wanted = format!("waiting to hear {media} to its end");
        let (place, cut_off) = self.until(&wanted, self.wait, over).await?;
        self.heard.fetch_max(place + 1, Ordering::Relaxed);
        self.heard_out.store(place + 1, Ordering::Relaxed);
        match cut_off {
            None => Ok(()),
            Some(heard) => Err(CallError::CutOff { heard }),
        }
    }

    /// Waits until the call is over; says how, and why.
    ///
    /// # Errors
    /// It is not over in time.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    pub async fn ended(&self) -> Result<CallEnd, CallError> {
        let over = |record: &CallRecord| CallEnd::of(record).map(Ok);
        self.until("waiting for the end", self.wait, over).await
    }

    /// Waits until the check gives something; the end of the call, and too long a time, are errors.
    async fn until<T>(
        &self,
        wanted: &str,
        limit: Duration,
        check: impl Fn(&CallRecord) -> Option<Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let mut late = pin!(sleep(limit));
        let mut is_late = false;
        loop {
            let changed = self.changed.notified();
            let state = self.look(|record| {
                check(record)
                    .or_else(|| ended(wanted, record).map(Err))
                    .or_else(|| is_late.then(|| Err(timed_out(wanted, limit, record))))
            });
            match state {
                Some(Some(outcome)) => return outcome,
                Some(None) => {}
                None => return Err(CallError::Stopped),
            }
            tokio::select! {
                () = self.runtime.stopped.cancelled() => return Err(CallError::Stopped),
                () = changed => {}
                () = &mut late => is_late = true,
            }
        }
    }

    /// Waits for so long, unless the call ends meanwhile.
    async fn during(&self, wanted: &str, length: Duration) -> Result<(), CallError> {
        let never = |_: &CallRecord| None;
        timeout(length, self.until(wanted, Duration::MAX, never))
            .await
            .unwrap_or(Ok(()))
    }
}

impl Drop for PhoneCall {
    fn drop(&mut self) {
        self.runtime.release_call(self.id);
    }
}

/// The first of this media from a place on.
fn find<'a>(record: &'a CallRecord, media: &str, from: usize) -> Option<(usize, &'a Heard)> {
    let mut heard = record.heard.iter().enumerate().skip(from);
    heard.find(|(_, heard)| heard.media == media)
}

fn ended(wanted: &str, record: &CallRecord) -> Option<CallError> {
    CallEnd::of(record).map(|end| CallError::Ended {
        wanted: wanted.to_owned(),
        end,
        heard: record.heard.clone(),
    })
}

fn timed_out(wanted: &str, after: Duration, record: &CallRecord) -> CallError {
    CallError::TimedOut {
        wanted: wanted.to_owned(),
        after,
        answered: record.answered_at_ms.is_some(),
        heard: record.heard.clone(),
    }
}

/// Digits that are pressed when it is awaited.
#[derive(Clone, Debug)]
#[must_use = "digits are pressed when it is awaited"]
pub struct Press<'a> {
    call: &'a PhoneCall,
    digits: String,
    digit: Duration,
    pause: Duration,
}

impl Press<'_> {
    /// Sets how long each digit is pressed, 100 ms unless it is set.
    pub const fn each(mut self, length: Duration) -> Self {
        self.digit = length;
        self
    }

    /// Sets how long it is from one digit to the next, 100 ms unless it is set.
    pub const fn pause(mut self, length: Duration) -> Self {
        self.pause = length;
        self
    }
}

impl<'a> IntoFuture for Press<'a> {
    /// An error where the call is over, or ends before the last digit, or where no phone has such a digit.
    type Output = Result<(), CallError>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let wanted = format!("pressing {}", self.digits);
            let act = Act::Press {
                digits: self.digits,
                digit: self.digit,
                pause: self.pause,
            };
            let length = self.call.act(&wanted, act)?;
            self.call.during(&wanted, length).await
        }
        .boxed()
    }
}
