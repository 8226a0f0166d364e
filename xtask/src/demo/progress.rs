//! How far the demo is: a bar on a terminal, lines elsewhere.

use std::{
    io::{self, IsTerminal as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how many calls have ended.
#[derive(Debug)]
pub(super) struct Progress {
    calls: u64,
    bar: Option<ProgressBar>,
    last: (u64, Instant),
}

impl Progress {
    pub(super) fn new(calls: u64) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(calls);
            let style = ProgressStyle::with_template("{elapsed} {wide_bar} {pos} of {len} calls");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar
        });
        Self {
            calls,
            bar,
            last: (0, Instant::now()),
        }
    }

    pub(super) fn show(&mut self, ended: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(ended);
            bar.tick();
            return;
        }
        let (shown, at) = self.last;
        let due = at.elapsed() >= LINE_EVERY || ended >= self.calls;
        if ended != shown && due {
            eprintln!("demo: {ended} of {} calls have ended", self.calls);
            self.last = (ended, Instant::now());
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
