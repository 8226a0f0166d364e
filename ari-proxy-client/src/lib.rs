#![doc = include_str!("../README.md")]

mod ask;
mod builder;
mod client;
mod control;
mod groups;
mod inbox;
mod locations;
mod members;
mod numbers;
mod reader;
mod shared;

pub use self::builder::{Builder, Placement, builder, connect};
pub use ari_nats::NatsOptions;
