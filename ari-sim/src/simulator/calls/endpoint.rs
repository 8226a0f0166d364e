//! A phone that is called.

use std::{sync::Arc, time::Duration};

use tokio::time::timeout;

use super::{CallError, PATIENCE, PhoneCall};
use crate::{
    simulator::Runtime,
    world::{Phone, PhoneOutcome},
};

/// The phone at a SIP endpoint: what it does with the calls that come, and those calls.
///
/// What is set holds for the calls to come, until it is set anew. Where there was no such endpoint, there is one
/// from then on.
#[derive(Debug)]
pub struct Endpoint {
    runtime: Arc<Runtime>,
    name: String,
    wait: Duration,
    /// How many calls phones had received when it was asked for.
    since: u64,
}

impl Endpoint {
    pub(in crate::simulator) fn new(runtime: &Arc<Runtime>, name: &str) -> Self {
        let since = runtime.with_world(|world, _| world.received_calls());
        Self {
            runtime: Arc::clone(runtime),
            name: name.strip_prefix("PJSIP/").unwrap_or(name).to_owned(),
            wait: PATIENCE,
            since,
        }
    }

    /// Sets how long [`next_call`](Self::next_call), and each wait of its calls, may last: 30 s unless it is set.
    #[must_use]
    pub const fn wait_at_most(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    fn set(&self, phone: Phone) {
        self.runtime
            .with_world(|world, _| world.set_phone(self.name.as_str(), phone));
    }

    /// It rings, and answers so long after the call.
    pub fn answers_after(&self, delay: Duration) {
        self.set(Phone::answers_after(delay));
    }

    /// It is busy: it refuses each call at once, with cause 17.
    pub fn busy(&self) {
        self.set(Phone::busy());
    }

    /// It rings, and refuses each call at once with this cause.
    pub fn rejects(&self, cause: u16) {
        self.set(Phone::refuses(cause));
    }

    /// It rings until the caller gives up, or until somebody who has the [call](Self::next_call) in hand answers.
    pub fn does_not_answer(&self) {
        self.set(Phone::rings());
    }

    /// It rings for so long, then says that nobody is there: cause 19.
    pub fn rings_for(&self, limit: Duration) {
        self.set(Phone {
            outcome: PhoneOutcome::Refuses(19, limit),
            ..Phone::rings()
        });
    }

    /// Waits for a call to this phone that nobody has in hand, and takes it in hand.
    ///
    /// It is the first of those that go on, or that came since the endpoint was asked for (these also if they are
    /// over already).
    ///
    /// # Errors
    /// No call came in time, or the simulator was stopped.
    ///
    /// # Cancel safety
    /// No call is lost when the future is dropped.
    pub async fn next_call(&self) -> Result<PhoneCall, CallError> {
        let runtime = &self.runtime;
        let taken = timeout(self.wait, async {
            loop {
                let received = runtime.call_received();
                if let Some(call) = runtime.take_call(&self.name, self.since) {
                    return PhoneCall::new(runtime, call, self.wait, true);
                }
                received.await;
            }
        });
        let call = runtime
            .stopped
            .run_until_cancelled(taken)
            .await
            .ok_or(CallError::Stopped)?;
        call.map_err(|_| CallError::NoCall {
            endpoint: self.name.clone(),
            after: self.wait,
        })
    }
}
