#![doc = include_str!("../README.md")]

mod accept;
mod address;
mod backoff;
mod builder;
mod client;
mod connector;
mod desk;
mod door;
mod driver;
mod environment;
mod error;
mod exchange;
mod filter;
mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod greeting;
mod link;
mod listener;
mod lobby;
mod meter;
mod pool;
mod reconcile;
mod repair;
mod replaced;
mod restore;
mod session;
mod socket;
mod tap;
mod tls;
mod upgrade;

#[cfg(test)]
mod tests;

pub use self::{
    builder::{Builder, builder, connect},
    listener::{Accepted, Listener, ListenerBuilder, listen},
    replaced::WhenReplaced,
};
