//! Whether every operation was accepted and refused on every transport.

use std::fmt;

use ari_core::{Answer, OperationSpec, registry::OPERATIONS};
use ari_tests::{Ground, Transport, Went};

use crate::skipped;

/// Operations that Asterisk does not refuse, whatever they are asked.
const NEVER_REFUSED: &[&str] = &[
    "GET /applications",
    "GET /asterisk/info",
    "GET /asterisk/logging",
    "GET /asterisk/modules",
    "GET /asterisk/ping",
    "GET /asterisk/variable",
    "POST /asterisk/variable",
    "GET /bridges",
    "GET /channels",
    "GET /deviceStates",
    "GET /deviceStates/{deviceName}",
    "GET /endpoints",
    "GET /mailboxes",
    "PUT /mailboxes/{mailboxName}",
    "GET /recordings/stored",
];

/// What was seen of each operation on each transport.
pub(crate) struct Coverage {
    transports: Vec<&'static str>,
    rows: Vec<(String, Vec<Cell>)>,
}

/// `None`: it never happens.
struct Cell {
    accepted: Option<bool>,
    refused: Option<bool>,
}

impl Coverage {
    pub(crate) fn of(ground: &Ground, transports: &[Transport]) -> Self {
        // The event socket is how each transport connects.
        let operations = OPERATIONS
            .iter()
            .filter(|operation| operation.answer != Answer::Events);
        let row = |spec: &'static OperationSpec| {
            let operation = spec.to_string();
            let cell = |transport: &Transport| {
                let has = |went| ground.seen(*transport).has(&operation, went);
                let never = NEVER_REFUSED.contains(&operation.as_str());
                let carried = spec.answer != Answer::Binary || transport.has_files();
                let unseen = |went| transport.is_real() && skipped::is_unseen(spec, went);
                let accepted = carried && !unseen(Went::Accepted);
                let refused = carried && !never && !unseen(Went::Refused);
                Cell {
                    accepted: accepted.then(|| has(Went::Accepted)),
                    refused: refused.then(|| has(Went::Refused)),
                }
            };
            let cells = transports.iter().map(cell).collect();
            (operation, cells)
        };
        Self {
            transports: transports
                .iter()
                .map(|transport| transport.name())
                .collect(),
            rows: operations.copied().map(row).collect(),
        }
    }

    /// What was not seen.
    pub(crate) fn gaps(&self) -> Vec<String> {
        let mut gaps = Vec::new();
        for (operation, cells) in &self.rows {
            for (transport, cell) in self.transports.iter().zip(cells) {
                if cell.accepted == Some(false) {
                    gaps.push(format!("{operation} accepted on {transport}"));
                }
                if cell.refused == Some(false) {
                    gaps.push(format!("{operation} refused on {transport}"));
                }
            }
        }
        gaps
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wide = self
            .rows
            .iter()
            .map(|(operation, _)| operation.len())
            .max()
            .unwrap_or_default();
        write!(f, "{:wide$}", "accepted / refused (-: never)")?;
        for transport in &self.transports {
            write!(f, "  {transport:>10}")?;
        }
        for (operation, cells) in &self.rows {
            write!(f, "\n{operation:wide$}")?;
            for (transport, cell) in self.transports.iter().zip(cells) {
                let seen = |seen| match seen {
                    Some(true) => "ok",
                    Some(false) => "NO",
                    None => "-",
                };
                let text = format!("{}/{}", seen(cell.accepted), seen(cell.refused));
                let column = transport.len().max(10);
                write!(f, "  {text:>column$}")?;
            }
        }
        writeln!(f)
    }
}
