//! What the connections of a recorder share: the recording, and the way to its file.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::mpsc::{self, OwnedPermit},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::recording::{Facts, Recording, Step};

/// Lines that may wait for a slow file; then whoever makes one waits too.
const QUEUE: usize = 4_096;

/// The recorder's end: nothing more can be recorded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopped;

#[derive(Debug)]
pub(crate) struct Tap {
    recording: Mutex<Recording>,
    lines: mpsc::Sender<String>,
    start: Instant,
}

impl Tap {
    /// Makes one, and the queue of its lines.
    pub(crate) fn new(facts: Facts) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (lines, queue) = mpsc::channel(QUEUE);
        let tap = Self {
            recording: Mutex::new(Recording::new(facts)),
            lines,
            start: Instant::now(),
        };
        (Arc::new(tap), queue)
    }

    fn recording(&self) -> MutexGuard<'_, Recording> {
        self.recording
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the recording, or changes it, without a line.
    pub(crate) fn with<R>(&self, action: impl FnOnce(&mut Recording, Duration) -> R) -> R {
        let mut recording = self.recording();
        action(&mut recording, self.start.elapsed())
    }

    /// Waits until there is room for a line: whatever is passed on has one before.
    ///
    /// # Errors
    /// The file cannot be written to.
    pub(crate) async fn slot(self: &Arc<Self>) -> Result<Slot, Stopped> {
        match self.lines.clone().reserve_owned().await {
            Ok(permit) => Ok(Slot {
                tap: Arc::clone(self),
                permit,
            }),
            Err(_) => Err(Stopped),
        }
    }
}

/// Room for one line.
#[derive(Debug)]
pub(crate) struct Slot {
    tap: Arc<Tap>,
    permit: OwnedPermit<String>,
}

impl Slot {
    /// The client begins with something.
    pub(crate) fn begin(&self) -> Step {
        self.tap.with(Recording::begin)
    }

    /// Writes a line; never waits.
    pub(crate) fn write(self, line: impl FnOnce(&mut Recording, Duration) -> String) {
        let Self { tap, permit } = self;
        // Under the lock, so that the lines are in the order of their times.
        tap.with(|recording, now| drop(permit.send(line(recording, now))));
    }

    pub(crate) fn note(self, note: &str) {
        self.write(|recording, now| recording.note(now, note));
    }
}

/// Writes the lines to the file until all that make some are gone; `failed` tells of an error at once.
pub(crate) fn write_lines(
    mut queue: mpsc::Receiver<String>,
    mut file: impl Write,
    failed: &CancellationToken,
) -> io::Result<()> {
    let _failed = failed.clone().drop_guard();
    while let Some(line) = queue.blocking_recv() {
        file.write_all(line.as_bytes())?;
        file.flush()?;
    }
    Ok(())
}
