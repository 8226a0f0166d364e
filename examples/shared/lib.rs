//! What the examples have in common: logging, and one sentence when something is wrong.

mod report;

pub use report::{report, start_log};

/// The code of the README of the project, compiled as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
