//! How many calls a simulated Asterisk carries on one core.
#![allow(missing_docs, reason = "criterion makes a public function")]

use ari_benches::{CallCenter, Reading};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Calls of one round.
const CALLS: u64 = 1_000;

fn calls(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulator");
    group.throughput(Throughput::Elements(CALLS));
    for (name, reading) in [
        ("calls", Reading::Glance),
        ("calls, each event parsed", Reading::Parse),
    ] {
        let mut center = CallCenter::open(1_000, reading);
        center.take_calls(CALLS);
        assert_eq!(center.done(), CALLS, "{center:?}");
        group.bench_function(name, |bencher| bencher.iter(|| center.take_calls(CALLS)));
    }
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
