#![doc = include_str!("../README.md")]

mod options;

pub use self::options::{DEFAULT_URL, Link, LinkEvent, NatsOptions, without_secrets};
