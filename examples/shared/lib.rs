//! What the examples have in common: logging, and one sentence when something is wrong.

mod report;

pub use report::{report, start_log};
