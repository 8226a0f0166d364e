//! What only a cluster has, on real nats-servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "this is a test: a panic is how it fails"
)]

mod bad_requests;
mod barrier;
mod connect;
mod feeds;
mod gather;
mod go_peer;
mod losses;
mod members;
mod numbers;
mod outages;
mod subscriptions;
mod workers;
