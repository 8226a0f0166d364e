//! The data that the operations and models were generated from, as JSON.
//!
//! It says more than the [`registry`](crate::registry): allowed values, statuses of refusals, types of
//! fields. The simulator makes the documents of `/ari/api-docs` from it.

/// All operations: an array of objects with `resource`, `method`, `path`, `nickname`, `params`,
/// `response_type`, `errors` and `added_in`.
pub const OPERATIONS: &str = include_str!("../spec/operations.json");

/// All models and events: an array of objects with `name`, `kind`, `resource`, `fields` and `added_in`.
pub const MODELS: &str = include_str!("../spec/models.json");
