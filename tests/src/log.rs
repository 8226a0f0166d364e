//! What the libraries log, for tests of what is said loudly.

use std::{
    fmt::{self, Write as _},
    sync::{Mutex, OnceLock, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context, prelude::*};

/// Errors that were logged.
static ERRORS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Remembers what is logged as an error, from now on.
pub fn remember_errors() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        // Somebody else may have set one: then the waits for errors fail.
        let _ = tracing_subscriber::registry().with(Errors).try_init();
    });
}

/// Whether an error was logged that has all of these texts.
pub fn was_logged(texts: &[&str]) -> bool {
    let errors = ERRORS.lock().unwrap_or_else(PoisonError::into_inner);
    errors
        .iter()
        .any(|error| texts.iter().all(|text| error.contains(text)))
}

struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut line = Line(format!("{}:", event.metadata().target()));
            event.record(&mut line);
            ERRORS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(line.0);
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
