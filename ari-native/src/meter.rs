//! What is counted and measured, by the `metrics` facade: whoever wants it installs a recorder.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ari_core::{Error, OperationSpec, Response, Result};
use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tokio::time::Instant;

const REQUESTS: &str = "ari_native_requests_total";
const DURATION: &str = "ari_native_request_duration_seconds";
const CONNECTIONS: &str = "ari_native_connections_open";
const RECONNECTS: &str = "ari_native_reconnects_total";
const EVENTS: &str = "ari_native_events_received_total";

/// Says what each metric is.
pub(crate) fn describe() {
    describe_counter!(
        REQUESTS,
        Unit::Count,
        "requests to Asterisk by method, path template and outcome"
    );
    describe_histogram!(
        DURATION,
        Unit::Seconds,
        "time from a call to its outcome, by method and path template"
    );
    describe_gauge!(
        CONNECTIONS,
        Unit::Count,
        "connections to Asterisk that are open, by kind"
    );
    describe_counter!(
        RECONNECTS,
        Unit::Count,
        "WebSockets that were lost and made again"
    );
    describe_counter!(
        EVENTS,
        Unit::Count,
        "texts that came over the WebSocket, answers and those that cannot be decoded included"
    );
}

/// The counter of what comes over the WebSocket.
pub(crate) fn received() -> Counter {
    counter!(EVENTS)
}

/// A WebSocket was made again.
pub(crate) fn reconnected() {
    counter!(RECONNECTS).increment(1);
}

/// A connection that counts as open until this is dropped.
pub(crate) struct Open(Gauge);

impl Open {
    pub(crate) fn http() -> Self {
        Self::of(gauge!(CONNECTIONS, "kind" => "http"))
    }

    pub(crate) fn websocket() -> Self {
        Self::of(gauge!(CONNECTIONS, "kind" => "websocket"))
    }

    fn of(gauge: Gauge) -> Self {
        gauge.increment(1.0);
        Self(gauge)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

/// The metrics of calls, found once for each operation and outcome.
#[derive(Default)]
pub(crate) struct Calls {
    /// By the address of the operation, which is static.
    known: Mutex<BTreeMap<(usize, &'static str), OneKind>>,
}

/// The metrics of the calls of an operation that end in one way.
struct OneKind {
    requests: Counter,
    duration: Histogram,
}

impl OneKind {
    fn new(operation: &'static OperationSpec, outcome: &'static str) -> Self {
        let (method, path) = (
            ("method", operation.method.as_str()),
            ("path", operation.path),
        );
        Self {
            requests: counter!(REQUESTS, &[method, path, ("outcome", outcome)]),
            duration: histogram!(DURATION, &[method, path]),
        }
    }
}

impl Calls {
    fn note(&self, operation: &'static OperationSpec, outcome: &'static str, took: Duration) {
        let address = std::ptr::from_ref(operation).addr();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = known
            .entry((address, outcome))
            .or_insert_with(|| OneKind::new(operation, outcome));
        kind.duration.record(took);
        kind.requests.increment(1);
    }
}

/// A call, measured when this is dropped; cancelled unless its outcome was noted.
pub(crate) struct Measured<'a> {
    calls: &'a Calls,
    operation: &'static OperationSpec,
    since: Instant,
    outcome: &'static str,
}

impl<'a> Measured<'a> {
    pub(crate) fn begin(calls: &'a Calls, operation: &'static OperationSpec) -> Self {
        Self {
            calls,
            operation,
            since: Instant::now(),
            outcome: "cancelled",
        }
    }

    /// Notes what became of it.
    pub(crate) fn end(mut self, answer: &Result<Response>) {
        self.outcome = match answer {
            Ok(response) if response.is_success() => "ok",
            Ok(_) | Err(Error::Refused(_)) => "refused",
            Err(Error::NotSent { .. } | Error::NobodyThere { .. }) => "not_sent",
            Err(Error::OutcomeUnknown { .. }) => "unknown",
            Err(Error::TimedOut { .. }) => "timed_out",
            Err(Error::Decode { .. }) => "undecodable",
            Err(Error::Unsupported { .. } | Error::InvalidRequest(_) | Error::InvalidName(_)) => {
                "invalid"
            }
            Err(Error::Closed) => "closed",
            Err(_) => "failed",
        };
    }
}

impl Drop for Measured<'_> {
    fn drop(&mut self) {
        self.calls
            .note(self.operation, self.outcome, self.since.elapsed());
    }
}
