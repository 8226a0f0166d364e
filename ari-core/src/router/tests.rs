//! Tests of the router alone; what needs a client is in the crate's tests.
