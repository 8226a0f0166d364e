//! Traces: what a client did with an Asterisk, and all that it answered and told.

pub(crate) mod json;
