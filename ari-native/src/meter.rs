//! What is counted and measured, by the `metrics` facade: whoever wants it installs a recorder.

use ari_core::{Error, OperationSpec, Response, Result};
use metrics::{
    Counter, Gauge, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
    histogram,
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

/// A call, measured when this is dropped; cancelled unless its outcome was noted.
pub(crate) struct Measured {
    operation: &'static OperationSpec,
    since: Instant,
    outcome: &'static str,
}

impl Measured {
    pub(crate) fn begin(operation: &'static OperationSpec) -> Self {
        Self {
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

impl Drop for Measured {
    fn drop(&mut self) {
        let (method, path) = (self.operation.method.as_str(), self.operation.path);
        let labels = [("method", method), ("path", path)];
        histogram!(DURATION, &labels).record(self.since.elapsed());
        let labels = [
            ("method", method),
            ("path", path),
            ("outcome", self.outcome),
        ];
        counter!(REQUESTS, &labels).increment(1);
    }
}
