//! Replays what a real Asterisk did, step by step, and compares answers and events.

pub(crate) mod answers;
pub(crate) mod door;
pub(crate) mod events;
pub(crate) mod exchanges;
pub(crate) mod frames;
pub(crate) mod listed;
pub(crate) mod manager;
pub(crate) mod names;
pub(crate) mod outside;
pub(crate) mod replay;
pub(crate) mod shapes;
pub(crate) mod stages;
pub(crate) mod tally;
pub(crate) mod trace;
pub(crate) mod values;
