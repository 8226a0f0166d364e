#![doc = include_str!("../README.md")]

mod discovery;
mod publisher;
mod responder;
mod server;
pub mod settings;

pub use self::server::{Options, Server};
