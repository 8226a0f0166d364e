//! What goes wrong on demand, as clients see it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "faults/acts.rs"]
mod acts;
#[path = "faults/answers.rs"]
mod answers;
#[path = "faults/client.rs"]
mod client;
#[path = "faults/connections.rs"]
mod connections;
#[path = "faults/control.rs"]
mod control;
#[path = "faults/events.rs"]
mod events;
#[path = "faults/frames.rs"]
mod frames;
#[path = "faults/local.rs"]
mod local;
mod program;
