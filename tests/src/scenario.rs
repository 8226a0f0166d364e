//! Scenarios: what is written once and runs on every transport.

use std::panic::Location;

use futures::future::BoxFuture;

use crate::fixture::Fixture;

/// How a scenario ends.
pub type Outcome = Result<(), Failure>;

/// Why a scenario did not run to its end.
#[derive(Debug)]
pub enum Failure {
    /// It failed.
    Failed(String),
    /// This transport cannot show it, for this reason.
    NotHere(&'static str),
}

impl<E: std::error::Error> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::Failed(format!("{}: {error}", Location::caller()))
    }
}

/// One scenario.
#[derive(Clone, Copy)]
pub struct Scenario {
    /// What it is about.
    pub area: &'static str,
    /// What it shows.
    pub name: &'static str,
    /// Runs it.
    pub run: for<'f> fn(&'f Fixture) -> BoxFuture<'f, Outcome>,
}

impl std::fmt::Debug for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}::{}", self.area, self.name)
    }
}

/// Lists functions `async fn(&Fixture) -> Outcome` as the scenarios of a module.
#[macro_export]
macro_rules! scenarios {
    ($area:literal: $($name:ident)*) => {
        pub(crate) const SCENARIOS: &[$crate::Scenario] = &[$($crate::Scenario {
            area: $area,
            name: stringify!($name),
            run: |fixture| Box::pin($name(fixture)),
        },)*];
    };
}
