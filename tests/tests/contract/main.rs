//! The contract suite: each scenario on each transport, printed as a matrix.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "this is a test: a panic is how it fails, and what it prints is its result"
)]

mod administration;
mod bridges;
mod calls;
mod channels;
mod coverage;
mod directory;
mod errors;
mod faults;
mod matrix;
mod media;
mod outages;
mod playbacks;
mod recordings;
mod scopes;
mod shown;
mod skipped;
mod streams;
mod system;
mod transfers;
mod variables;

use std::{
    any::Any,
    cell::RefCell,
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ari_tests::{Failure, Fixture, Ground, ONLY_SIMULATED, Outcome, Scenario, Transport};
use futures::{FutureExt, StreamExt, stream};

use self::{
    coverage::Coverage,
    matrix::{Cell, Matrix},
    shown::Faults,
};

/// How long a scenario may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// Scenarios that run at a time.
const AT_A_TIME: usize = 16;

/// Panics that no scenario had: of tasks of the libraries.
static FOREIGN_PANICS: AtomicUsize = AtomicUsize::new(0);

tokio::task_local! {
    static IN_SCENARIO: ();
}

thread_local! {
    /// What the last panic of a scenario said; it is caught on the thread on which it happened.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn scenarios() -> Vec<Scenario> {
    [
        calls::SCENARIOS,
        channels::SCENARIOS,
        bridges::SCENARIOS,
        playbacks::SCENARIOS,
        recordings::SCENARIOS,
        variables::SCENARIOS,
        transfers::SCENARIOS,
        media::SCENARIOS,
        directory::SCENARIOS,
        administration::SCENARIOS,
        system::SCENARIOS,
        streams::SCENARIOS,
        scopes::SCENARIOS,
        errors::SCENARIOS,
        outages::SCENARIOS,
        faults::SCENARIOS,
    ]
    .concat()
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let mut scenarios = scenarios();
    skipped::check(&scenarios);
    if let Some(filter) = filter {
        scenarios.retain(|scenario| format!("{scenario:?}").contains(filter.as_str()));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for scenario in scenarios {
            println!("{scenario:?}: test");
        }
        return ExitCode::SUCCESS;
    }
    remember_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    if runtime.block_on(run(&scenarios, filter.is_none())) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs the scenarios and prints the matrix; gives whether all is well.
async fn run(scenarios: &[Scenario], whole: bool) -> bool {
    let ground = Arc::new(Ground::prepare().await);
    let transports: Vec<Transport> = Transport::ALL
        .into_iter()
        .filter(|transport| transport.is_available())
        .collect();
    let mut matrix = Matrix::new(scenarios, &transports);
    let tasks = tokio_util::task::TaskTracker::new();
    let mut cells = stream::iter(matrix.places())
        .map(|(scenario, transport)| {
            let ground = Arc::clone(&ground);
            let cell = tasks.spawn(async move { cell(scenario, transport, &ground).await });
            async move { (scenario, transport, cell.await.unwrap()) }
        })
        .buffer_unordered(AT_A_TIME);
    while let Some((scenario, transport, cell)) = cells.next().await {
        if let Cell::Failed(reason) = &cell {
            println!("FAILED {scenario:?} on {}: {reason}", transport.name());
        }
        matrix.set(scenario, transport, cell);
    }
    let coverage = whole.then(|| Coverage::of(&ground, &transports));
    let faults = whole.then(|| Faults::of(&transports));
    let shown = match (&coverage, &faults) {
        (Some(coverage), Some(faults)) => format!("{matrix}\n{faults}\n{coverage}"),
        _ => matrix.to_string(),
    };
    println!("{shown}");
    // `cargo xtask test` shows it again when all else is done.
    if let Some(path) = std::env::var_os("ARI_TEST_MATRIX") {
        std::fs::write(path, shown).unwrap();
    }
    let mut well = matrix.failed() == 0;
    let not_covered = coverage.iter().flat_map(Coverage::gaps);
    for gap in not_covered.chain(faults.iter().flat_map(Faults::gaps)) {
        println!("NOT COVERED {gap}");
        well = false;
    }
    let foreign = FOREIGN_PANICS.load(Ordering::Relaxed);
    if foreign > 0 {
        println!("{foreign} tasks panicked outside of the scenarios");
        well = false;
    }
    println!(
        "contract: {} passed, {} failed",
        matrix.passed(),
        matrix.failed()
    );
    well
}

async fn cell(scenario: Scenario, transport: Transport, ground: &Ground) -> Cell {
    let skipped = skipped::reason(scenario).filter(|_| transport.is_real());
    if let Some(reason) = skipped {
        return Cell::Empty(reason);
    }
    let scene = async {
        let fixture = Fixture::start(transport, ground).await;
        let outcome: Outcome = (scenario.run)(&fixture).await;
        if outcome.is_ok() {
            fixture.finish().await;
        }
        outcome
    };
    let caught = IN_SCENARIO.scope((), AssertUnwindSafe(scene).catch_unwind());
    match tokio::time::timeout(DEADLINE, caught).await {
        Err(_) => Cell::Failed(format!("not over within {DEADLINE:?}")),
        Ok(Err(panic)) => Cell::Failed(said(&*panic)),
        Ok(Ok(Err(Failure::Failed(reason)))) => Cell::Failed(reason),
        Ok(Ok(Err(Failure::NotHere(ONLY_SIMULATED)))) => {
            Cell::Failed(format!("{ONLY_SIMULATED}, and it is not listed as such"))
        }
        Ok(Ok(Err(Failure::NotHere(reason)))) => Cell::Empty(reason),
        Ok(Ok(Ok(()))) => Cell::Passed,
    }
}

fn remember_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if IN_SCENARIO.try_with(|()| ()).is_ok() {
            PANIC.set(Some(info.to_string()));
        } else {
            FOREIGN_PANICS.fetch_add(1, Ordering::Relaxed);
            usual(info);
        }
    }));
}

fn said(panic: &(dyn Any + Send)) -> String {
    PANIC.take().unwrap_or_else(|| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic that says nothing")
            .to_owned()
    })
}
