//! Record and replay: what passes a recorder is written down, and served again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod client;
mod driver;
#[path = "../program/mod.rs"]
mod program;
mod record;
mod replay;
