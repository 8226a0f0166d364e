//! Replaying all files of some folders.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde_json::Value;

use crate::replayer::{
    exchanges,
    listed::{self, Entry},
    replay::{self, Difference, Outcome},
    shapes::Shape,
    stages,
    tally::Tally,
    trace::{self, Scenario, TraceFile},
};

/// Of and among how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) matched: usize,
    pub(crate) of: usize,
}

/// What a run has brought.
#[derive(Default)]
pub(crate) struct Run {
    /// Differences with the file of each, and why it is known to remain.
    pub(crate) differences: Vec<(String, Difference, Option<String>)>,
    /// What could not be read.
    pub(crate) unreadable: Vec<String>,
    /// Entries of the list that do not differ any more.
    pub(crate) stale: Vec<String>,
    pub(crate) tally: Tally,
    pub(crate) scenarios: Part,
    pub(crate) exchanges: Part,
    pub(crate) events: Part,
}

impl Run {
    /// Whether all differences are known, and all that are known differ.
    pub(crate) fn is_faithful(&self) -> bool {
        self.unreadable.is_empty()
            && self.stale.is_empty()
            && self.scenarios.of + self.exchanges.of + self.events.of > 0
            && self
                .differences
                .iter()
                .all(|(_, _, reason)| reason.is_some())
    }
}

/// Replays the traces of these folders.
///
/// # Errors
/// The list of differences, or a folder, cannot be read.
pub(crate) fn run(folders: &[PathBuf], list: &Path) -> Result<Run, String> {
    let entries = listed::read(list)?;
    let mut paths = Vec::new();
    for folder in folders {
        find(folder, &mut paths)?;
    }
    paths.sort();
    paths.dedup();
    let mut run = Run::default();
    let mut files = BTreeSet::new();
    let mut scenarios = Vec::new();
    let mut samples = Vec::new();
    let mut events: Vec<(String, Vec<(usize, Value)>)> = Vec::new();
    for path in &paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match trace::read(path, &name) {
            Ok(None) => continue,
            Ok(Some(TraceFile::Scenario(scenario))) => scenarios.push(scenario),
            Ok(Some(TraceFile::Exchanges(lines))) => {
                samples.push((name.to_string(), lines));
            }
            Ok(Some(TraceFile::Events(lines))) => {
                events.push((name.to_string(), lines));
            }
            Err(error) => run.unreadable.push(error),
        }
        files.insert(name.into_owned());
    }
    let mut found: Vec<(String, Difference)> = Vec::new();
    run.scenarios.of = scenarios.len();
    for (scenario, outcome) in scenarios.iter().zip(replay_all(&scenarios)) {
        run.scenarios.matched += usize::from(outcome.differences.is_empty());
        run.tally.join(outcome.tally);
        let file = |difference| (scenario.file.clone(), difference);
        found.extend(outcome.differences.into_iter().map(file));
    }
    for (file, lines) in &samples {
        let compared = exchanges::compare(lines, &mut run.tally);
        run.exchanges.of += lines.len();
        run.exchanges.matched += compared.matched;
        found.extend(
            compared
                .differences
                .into_iter()
                .map(|difference| (file.clone(), difference)),
        );
    }
    for event in stages::told() {
        run.tally.event(&event);
    }
    let types = event_types(&run.tally, &events);
    run.events.of = types.len();
    for (kind, (file, line, samples)) in types {
        let differences = type_differences(&run.tally, &kind, line, &samples);
        run.events.matched += usize::from(differences.is_empty());
        found.extend(
            differences
                .into_iter()
                .map(|difference| (file.clone(), difference)),
        );
    }
    judge(&mut run, found, &entries, &files);
    Ok(run)
}

/// Finds the files of a folder and of those in it.
fn find(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<(), String> {
    let refuse = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.is_dir() {
            find(&path, paths)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            paths.push(path);
        }
    }
    Ok(())
}

/// Replays all scenarios, several at a time; the outcomes come in the order of the scenarios.
fn replay_all(scenarios: &[Scenario]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(BTreeMap::new());
    let threads = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(scenario) = scenarios.get(place) else {
                        return;
                    };
                    let outcome = replay::replay(scenario);
                    if let Ok(mut outcomes) = outcomes.lock() {
                        outcomes.insert(place, outcome);
                    }
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_default();
    outcomes.into_values().collect()
}

/// All types of events that were recorded: where, and in which shapes.
fn event_types(
    tally: &Tally,
    events: &[(String, Vec<(usize, Value)>)],
) -> BTreeMap<String, (String, usize, Vec<Shape>)> {
    let mut types: BTreeMap<String, (String, usize, Vec<Shape>)> = BTreeMap::new();
    for (file, lines) in events {
        for (line, event) in lines {
            let kind = event["type"].as_str().unwrap_or_default().to_owned();
            let place = types
                .entry(kind)
                .or_insert_with(|| (file.clone(), *line, Vec::new()));
            place.2.push(Shape::of(event));
        }
    }
    for (kind, shapes) in &tally.recorded {
        let place = types
            .entry(kind.clone())
            .or_insert_with(|| ("events".to_owned(), 0, Vec::new()));
        place.2.extend(shapes.iter().cloned());
    }
    types
}

fn type_differences(tally: &Tally, kind: &str, line: usize, samples: &[Shape]) -> Vec<Difference> {
    let Some(told) = tally.told.get(kind).filter(|told| !told.is_empty()) else {
        let text = format!("{kind} expected, no scenario brought it");
        return vec![Difference::new(line, kind, text)];
    };
    let mut texts: Vec<_> = told
        .iter()
        .flat_map(|shape| shape.differences(samples))
        .collect();
    texts.sort();
    texts.dedup();
    let difference = |text| Difference::new(line, kind, format!("{kind}: {text}"));
    texts.into_iter().map(difference).collect()
}

/// Says of each difference whether it is on the list, and of each entry whether it still differs.
fn judge(
    run: &mut Run,
    found: Vec<(String, Difference)>,
    entries: &[Entry],
    files: &BTreeSet<String>,
) {
    let mut used = BTreeSet::new();
    for (file, difference) in found {
        let place = entries
            .iter()
            .position(|entry| entry.covers(&file, &difference.at));
        used.extend(place);
        let reason = place
            .and_then(|place| entries.get(place))
            .map(|entry| entry.reason.clone());
        run.differences.push((file, difference, reason));
    }
    for (place, entry) in entries.iter().enumerate() {
        if files.contains(&entry.file) && !used.contains(&place) {
            run.stale.push(entry.shown());
        }
    }
}
