//! How many events have come.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::Sender,
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use crate::Result;

/// How often it is looked whether events still come.
const LOOK: Duration = Duration::from_millis(20);

/// Nothing comes any more after so many looks without an event.
const LOOKS: u32 = 50;

/// Counts the events of one run.
#[derive(Clone)]
pub struct Progress(Arc<Shared>);

struct Shared {
    total: u64,
    came: AtomicU64,
    complete: Notify,
}

/// What a run gave.
#[derive(Clone, Copy)]
pub struct Run {
    pub per_second: f64,
    /// Events that never came.
    pub lost: u64,
}

impl Progress {
    pub fn new(total: u64) -> Self {
        Self(Arc::new(Shared {
            total,
            came: AtomicU64::new(0),
            complete: Notify::new(),
        }))
    }

    /// An event has come.
    pub fn count(&self) {
        let came = self.0.came.fetch_add(1, Ordering::Relaxed) + 1;
        if came == self.0.total {
            self.0.complete.notify_one();
        }
    }

    /// Has the events come, and waits until all have or no more do.
    pub async fn measure(&self, go: &Sender<()>) -> Result<Run> {
        let start = Instant::now();
        go.send(())?;
        let (mut known, mut last, mut quiet) = (0, start, 0);
        while quiet < LOOKS {
            let complete = timeout(LOOK, self.0.complete.notified()).await.is_ok();
            let came = self.0.came.load(Ordering::Relaxed);
            quiet += 1;
            if came > known {
                (known, last, quiet) = (came, Instant::now(), 0);
            }
            if complete {
                break;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let per_second = known as f64 / (last - start).as_secs_f64();
        Ok(Run {
            per_second,
            lost: self.0.total - known,
        })
    }
}
