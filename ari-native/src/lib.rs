#![doc = include_str!("../README.md")]

mod address;
mod backoff;
mod builder;
mod client;
mod connector;
mod desk;
mod driver;
mod environment;
mod error;
mod exchange;
mod frame;
mod greeting;
mod link;
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

#[cfg(test)]
mod tests;

pub use self::{
    builder::{Builder, builder, connect},
    replaced::WhenReplaced,
};
