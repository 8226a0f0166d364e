#![doc = include_str!("../README.md")]

mod answering;
mod asterisk;
mod event_decode;
mod sim_frame;
mod sim_http;
mod ws_frame;

pub use self::{
    event_decode::event_decode, sim_frame::sim_frame, sim_http::sim_http, ws_frame::ws_frame,
};

/// A target by its name.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("sim_http", sim_http),
    ("sim_frame", sim_frame),
    ("event_decode", event_decode),
    ("ws_frame", ws_frame),
];
