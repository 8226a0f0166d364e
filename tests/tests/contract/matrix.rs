//! Scenario by transport.

use std::fmt;

use ari_tests::{NO_ASTERISK, Scenario, Transport};

/// How a scenario went on a transport.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    /// It did not come to an end.
    Open,
    Passed,
    Failed(String),
    /// The transport cannot show it, for this reason.
    Empty(&'static str),
}

/// All cells.
pub(crate) struct Matrix {
    scenarios: Vec<Scenario>,
    transports: Vec<Transport>,
    cells: Vec<Cell>,
}

impl Matrix {
    pub(crate) fn new(scenarios: &[Scenario], transports: &[Transport]) -> Self {
        Self {
            scenarios: scenarios.to_vec(),
            transports: transports.to_vec(),
            cells: vec![Cell::Open; scenarios.len() * transports.len()],
        }
    }

    /// All places, row by row.
    pub(crate) fn places(&self) -> Vec<(Scenario, Transport)> {
        self.scenarios
            .iter()
            .flat_map(|scenario| {
                self.transports
                    .iter()
                    .map(|transport| (*scenario, *transport))
            })
            .collect()
    }

    pub(crate) fn set(&mut self, scenario: Scenario, transport: Transport, cell: Cell) {
        let row = self
            .scenarios
            .iter()
            .position(|known| (known.area, known.name) == (scenario.area, scenario.name));
        let column = self.transports.iter().position(|known| *known == transport);
        if let (Some(row), Some(column)) = (row, column) {
            self.cells[row * self.transports.len() + column] = cell;
        }
    }

    pub(crate) fn passed(&self) -> usize {
        self.count(|cell| matches!(cell, Cell::Passed))
    }

    pub(crate) fn failed(&self) -> usize {
        self.count(|cell| matches!(cell, Cell::Failed(_) | Cell::Open))
    }

    fn count(&self, which: impl Fn(&Cell) -> bool) -> usize {
        self.cells.iter().filter(|cell| which(cell)).count()
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |scenario: &Scenario| format!("{}: {}", scenario.area, scenario.name.replace('_', " "));
        let wide = self
            .scenarios
            .iter()
            .map(|scenario| name(scenario).len())
            .max()
            .unwrap_or_default();
        let mut reasons: Vec<&str> = Vec::new();
        write!(f, "\n{:wide$}", "")?;
        for transport in &self.transports {
            write!(f, "  {:>10}", transport.name())?;
        }
        for (scenario, row) in self
            .scenarios
            .iter()
            .zip(self.cells.chunks(self.transports.len().max(1)))
        {
            write!(f, "\n{:wide$}", name(scenario))?;
            for (transport, cell) in self.transports.iter().zip(row) {
                let text = match cell {
                    Cell::Open => "open".to_owned(),
                    Cell::Passed => "ok".to_owned(),
                    Cell::Failed(_) => "FAILED".to_owned(),
                    Cell::Empty(reason) => {
                        let known = reasons.iter().position(|known| known == reason);
                        let number = known.unwrap_or_else(|| {
                            reasons.push(reason);
                            reasons.len() - 1
                        });
                        format!("[{}]", number + 1)
                    }
                };
                let column = transport.name().len().max(10);
                write!(f, "  {text:>column$}")?;
            }
        }
        writeln!(f)?;
        for (number, reason) in (1..).zip(&reasons) {
            writeln!(f, "[{number}] {reason}")?;
        }
        for transport in Transport::ALL {
            if !self.transports.contains(&transport) {
                writeln!(f, "no column {}: {NO_ASTERISK}", transport.name())?;
            }
        }
        Ok(())
    }
}
