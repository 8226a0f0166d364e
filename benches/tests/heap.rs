//! Calls that are over leave nothing behind: the heap is as large after twice as many.
#![expect(clippy::print_stdout, reason = "it tells what it measured")]

use std::{alloc::System, process::ExitCode};

use ari_benches::{CallCenter, Reading};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Calls after which the heap is measured first; it is measured again after twice as many.
const CALLS: u64 = if cfg!(debug_assertions) {
    10_000
} else {
    500_000
};

/// Largest growth in percent.
const LIMIT: usize = 105;

fn main() -> ExitCode {
    let kept = usize::try_from(CALLS / 5).unwrap_or(usize::MAX);
    let mut center = CallCenter::open(kept, Reading::Glance);
    center.take_calls(CALLS);
    let half = live();
    center.take_calls(CALLS);
    let full = live();
    println!(
        "live heap bytes after {CALLS} calls: {half}, after {}: {full}",
        2 * CALLS
    );
    if center.done() != 2 * CALLS {
        println!("not all calls were taken: {center:?}");
        return ExitCode::FAILURE;
    }
    if full * 100 > half * LIMIT {
        println!("that is more than {LIMIT} %");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn live() -> usize {
    let stats = HEAP.stats();
    stats
        .bytes_allocated
        .saturating_sub(stats.bytes_deallocated)
}
