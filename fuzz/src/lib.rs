#![doc = include_str!("../README.md")]

mod asterisk;
mod sim_frame;
mod sim_http;

pub use self::{sim_frame::sim_frame, sim_http::sim_http};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[("sim_http", sim_http), ("sim_frame", sim_frame)];
