//! Whether every fault was shown on every simulated transport.

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Mutex, PoisonError},
};

use ari_sim::Fault;
use ari_tests::Transport;

/// The faults that were shown on each transport.
static SHOWN: Mutex<BTreeSet<(Transport, &str)>> = Mutex::new(BTreeSet::new());

/// Notes that a fault was shown.
pub(crate) fn note(transport: Transport, fault: &Fault) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    shown.insert((transport, fault.name()));
}

/// What was shown of each fault on each simulated transport.
pub(crate) struct Faults {
    transports: Vec<Transport>,
    shown: BTreeSet<(Transport, &'static str)>,
}

impl Faults {
    pub(crate) fn of(transports: &[Transport]) -> Self {
        let simulated = transports.iter().filter(|transport| !transport.is_real());
        Self {
            transports: simulated.copied().collect(),
            shown: SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn names() -> BTreeSet<&'static str> {
        Fault::all().iter().map(Fault::name).collect()
    }

    /// What was not shown.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for name in Self::names() {
            for transport in &self.transports {
                if !self.shown.contains(&(*transport, name)) {
                    gaps.push(format!("fault {name} on {}", transport.name()));
                }
            }
        }
        gaps
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:20}", "faults")?;
        for transport in &self.transports {
            write!(f, "  {:>10}", transport.name())?;
        }
        for name in Self::names() {
            write!(f, "\n{name:20}")?;
            for transport in &self.transports {
                let shown = self.shown.contains(&(*transport, name));
                write!(f, "  {:>10}", if shown { "ok" } else { "NO" })?;
            }
        }
        writeln!(f)
    }
}
