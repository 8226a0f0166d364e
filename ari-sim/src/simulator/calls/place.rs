//! Placing a call.

use std::{future::IntoFuture, sync::Arc, time::Duration};

use futures::{FutureExt, future::BoxFuture};

use super::{PATIENCE, PhoneCall};
use crate::{simulator::Runtime, world::CallScript};

/// A call that is placed when it is awaited; it gives the caller's [`PhoneCall`].
///
/// It cannot fail: a call that nobody takes is over at once, and says so.
#[derive(Clone, Debug)]
#[must_use = "a call is placed when it is awaited"]
pub struct PlaceCall {
    runtime: Arc<Runtime>,
    script: CallScript,
    wait: Duration,
}

impl PlaceCall {
    pub(in crate::simulator) fn new(runtime: &Arc<Runtime>, script: CallScript) -> Self {
        Self {
            runtime: Arc::clone(runtime),
            // Who has the phone in hand hangs up by hand.
            script: script.give_up_after(PATIENCE).limit(Duration::MAX),
            wait: PATIENCE,
        }
    }

    /// Sets the caller id, as in `Alice <100>`.
    pub fn caller_id(mut self, caller_id: impl Into<String>) -> Self {
        self.script = self.script.caller_id(caller_id);
        self
    }

    /// Sets the arguments of `Stasis()`, where the call goes straight to an application.
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.script.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the context of the extension, `default` unless it is set.
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.script.context = context.into();
        self
    }

    /// Sets the name of the SIP endpoint that calls, `phone` unless it is set.
    pub fn from_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.script.endpoint = endpoint.into();
        self
    }

    /// Sets after how long without an answer the caller gives up, 30 s unless it is set.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.script = self.script.give_up_after(patience);
        self
    }

    /// Sets how long each wait of the caller may last, 30 s unless it is set; past it there is an error.
    pub const fn wait_at_most(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }
}

impl IntoFuture for PlaceCall {
    type Output = PhoneCall;
    type IntoFuture = BoxFuture<'static, PhoneCall>;

    fn into_future(self) -> Self::IntoFuture {
        async move {
            let call = self.runtime.start_call(self.script);
            PhoneCall::new(&self.runtime, call, self.wait, false)
        }
        .boxed()
    }
}
