//! What the core promises to applications and to transports, on a scripted client.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod calls;
mod creations;
mod deletions;
mod dialogs;
mod early_calls;
mod endings;
mod errors;
mod gaps;
mod interleavings;
mod public_types;
mod requests;
mod scopes;
mod streams;
mod support;
