//! Rules of channels that no recorded trace shows: what waits for what, what parameters do, who hears what.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod asterisk;
mod broadcast;
mod calls;
mod detection;
mod external;
mod queue;
mod snoop;
mod transfer;
