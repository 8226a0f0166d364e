//! The contract suite: what every transport of ARI has to do, written once.
//!
//! A scenario is an `async fn(&Fixture) -> Outcome` that knows nothing but [`ari_core::Ari`] and what the
//! [`Fixture`] lets happen on the other side: callers, faults, a connection that breaks. The target
//! `contract` runs each of them on each transport and prints a matrix; the target `cluster` tests what
//! only a cluster has, on real nats-servers.
//!
//! `cargo test -p ari-tests --test contract -- FILTER` runs the scenarios whose name contains the filter.
//! With `ARI_TEST_URL`, `ARI_TEST_USERNAME` and `ARI_TEST_PASSWORD` set, the suite also runs on a real
//! Asterisk that is configured as in `tests/asterisk`: over HTTP and WebSocket, with REST over
//! WebSocket, and behind our proxy. An outbound WebSocket would have to be in its `ari.conf`, with an address
//! that is there before the suite is. What a real Asterisk cannot show is named in one list, with its reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    reason = "this is a test: a panic is how it fails"
)]

pub mod asterisk;
pub mod cluster;
mod fixture;
mod frames;
pub mod log;
pub mod monitor;
mod nats;
mod recorder;
mod relay;
mod scenario;
mod transport;
mod until;

pub use self::{
    fixture::{Fixture, Ground, Incoming, Link, ONLY_SIMULATED, REQUEST_TIMEOUT},
    nats::NatsServer,
    recorder::{Seen, Went},
    relay::Relay,
    scenario::{Failure, Outcome, Scenario},
    transport::{NO_ASTERISK, Transport},
    until::{PATIENCE, next_event, next_of, rest, until, until_true, within},
};
