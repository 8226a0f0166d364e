//! What became of the calls, in figures.

use std::fmt::Write as _;

use super::{
    cluster::GREETING,
    nodes::{self, Heard, Record},
};

/// What `welcome` plays in the bridge: the number of its desk, after this.
const DESK: &str = "number:";

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// One worker took it, from answer to hangup.
    Handled,
    /// More than one worker took it.
    Twice,
    /// Anything else.
    Lost,
}

/// The figures of some calls.
#[derive(Clone, Debug, Default)]
struct Row {
    name: String,
    calls: u64,
    handled: u64,
    twice: u64,
    lost: u64,
    /// Milliseconds to the answer, sorted.
    answers: Vec<u64>,
}

/// The figures of the demo.
#[derive(Debug)]
pub(super) struct Figures {
    nodes: Vec<Row>,
    workers: Vec<Row>,
    total: Row,
    pub(super) leftover_channels: u64,
    pub(super) leftover_subscriptions: u64,
    /// What did not end in good order.
    pub(super) complaints: Vec<anyhow::Error>,
}

impl Figures {
    /// Counts the calls of each node.
    pub(super) fn new(calls: &[Vec<Record>]) -> Self {
        let mut figures = Self {
            nodes: (1..)
                .zip(calls)
                .map(|(number, records)| Row::of(nodes::name(number), records))
                .collect(),
            workers: Vec::new(),
            total: Row::of("all".to_owned(), calls.iter().flatten()),
            leftover_channels: 0,
            leftover_subscriptions: 0,
            complaints: Vec::new(),
        };
        let mut desks: Vec<u32> = calls.iter().flatten().flat_map(desks).collect();
        desks.sort_unstable();
        desks.dedup();
        for desk in desks {
            let records = calls.iter().flatten();
            let records = records.filter(|record| self::desks(record).any(|other| other == desk));
            figures
                .workers
                .push(Row::of(format!("worker-{desk}"), records));
        }
        figures
    }

    /// Whether every call was carried, once, and nothing is left of it.
    pub(super) fn are_clean(&self, calls: u32) -> bool {
        self.total.handled == u64::from(calls)
            && self.total.calls == u64::from(calls)
            && self.leftover_channels == 0
            && self.leftover_subscriptions == 0
            && self.complaints.is_empty()
    }

    /// The one line of it.
    pub(super) fn line(&self, calls: u32) -> String {
        let Row { handled, twice, .. } = self.total;
        // A call of which nothing is known is lost as well.
        let lost = u64::from(calls).saturating_sub(handled + twice);
        format!(
            "demo: calls={calls} handled={handled} twice={twice} lost={lost} leftover_channels={} leftover_subscriptions={}",
            self.leftover_channels, self.leftover_subscriptions
        )
    }

    /// Calls per node and per worker.
    pub(super) fn table(&self) -> String {
        let mut table = String::new();
        let heads = [
            "",
            "calls",
            "handled",
            "twice",
            "lost",
            "answer p50",
            "answer p99",
        ];
        line(&mut table, heads.map(str::to_owned));
        for row in self.nodes.iter().chain(&self.workers).chain([&self.total]) {
            line(&mut table, row.cells());
        }
        table
    }
}

fn line(table: &mut String, row: [String; 7]) {
    let [name, calls, handled, twice, lost, p50, p99] = row;
    // Writing to a text cannot fail.
    let _ = writeln!(
        table,
        "{name:<12}{calls:>8}{handled:>9}{twice:>7}{lost:>6}{p50:>12}{p99:>12}"
    );
}

impl Row {
    fn of<'a>(name: String, records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut row = Self {
            name,
            ..Self::default()
        };
        for record in records {
            row.calls += 1;
            match outcome(record) {
                Outcome::Handled => row.handled += 1,
                Outcome::Twice => row.twice += 1,
                Outcome::Lost => row.lost += 1,
            }
            let answered = record.answered_at_ms;
            row.answers
                .extend(answered.map(|at| at.saturating_sub(record.placed_at_ms)));
        }
        row.answers.sort_unstable();
        row
    }

    fn cells(&self) -> [String; 7] {
        let latency = |percent| match percentile(&self.answers, percent) {
            Some(millis) => format!("{millis} ms"),
            None => "-".to_owned(),
        };
        [
            self.name.clone(),
            self.calls.to_string(),
            self.handled.to_string(),
            self.twice.to_string(),
            self.lost.to_string(),
            latency(50),
            latency(99),
        ]
    }
}

/// The value that so many percent of the sorted values do not exceed.
fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// Judges a call by what the caller saw.
fn outcome(record: &Record) -> Outcome {
    let times =
        |wanted: fn(&Heard) -> bool| record.heard.iter().filter(|heard| wanted(heard)).count();
    let greetings = times(|heard| heard.media == GREETING);
    let announcements = times(|heard| heard.media.starts_with(DESK));
    if record.answers > 1 || record.bridged > 1 || greetings > 1 || announcements > 1 {
        return Outcome::Twice;
    }
    let whole = record.answers == 1
        && record.answered_at_ms.is_some()
        && record.bridged == 1
        && greetings == 1
        && announcements == 1
        && record.heard.iter().all(|heard| heard.to_end)
        && !record.digits_taken.is_empty()
        && record.hung_up_by.as_deref() == Some("application");
    if whole {
        Outcome::Handled
    } else {
        Outcome::Lost
    }
}

/// The workers that a caller heard of.
fn desks(record: &Record) -> impl Iterator<Item = u32> {
    let media = record.heard.iter().map(|heard| &heard.media);
    media.filter_map(|media| media.strip_prefix(DESK)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(media: &str) -> Heard {
        Heard {
            media: media.to_owned(),
            to_end: true,
        }
    }

    fn handled(desk: u32) -> Record {
        Record {
            placed_at_ms: 100,
            answered_at_ms: Some(110),
            answers: 1,
            heard: vec![heard(GREETING), heard(&format!("number:{desk}"))],
            digits_taken: "5".to_owned(),
            bridged: 1,
            hung_up_by: Some("application".to_owned()),
            ended_at_ms: Some(900),
        }
    }

    type Change = fn(&mut Record);

    #[test]
    fn a_call_counts_only_when_all_of_it_happened_once() {
        assert_eq!(outcome(&handled(1)), Outcome::Handled);
        let changes: [(Change, Outcome); 8] = [
            (|record| record.answers = 2, Outcome::Twice),
            (|record| record.bridged = 2, Outcome::Twice),
            (|record| record.heard.push(heard(GREETING)), Outcome::Twice),
            (|record| record.answers = 0, Outcome::Lost),
            (|record| record.heard[0].to_end = false, Outcome::Lost),
            (|record| record.digits_taken.clear(), Outcome::Lost),
            (|record| record.bridged = 0, Outcome::Lost),
            (
                |record| record.hung_up_by = Some("limit".to_owned()),
                Outcome::Lost,
            ),
        ];
        for (number, (change, expected)) in (1..).zip(changes) {
            let mut record = handled(1);
            change(&mut record);
            assert_eq!(outcome(&record), expected, "change {number}");
        }
    }

    #[test]
    fn the_line_counts_calls_that_nothing_is_known_of_as_lost() {
        let figures = Figures::new(&[vec![handled(1), handled(2)], vec![handled(1)]]);
        assert!(figures.are_clean(3));
        assert!(!figures.are_clean(4));
        assert_eq!(
            figures.line(4),
            "demo: calls=4 handled=3 twice=0 lost=1 leftover_channels=0 leftover_subscriptions=0"
        );
        let table = figures.table();
        let row = |name: &str| {
            table
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap()
                .to_owned()
        };
        assert!(row("node-1").contains(" 2"), "{table}");
        assert!(row("worker-1").contains("10 ms"), "{table}");
        assert_eq!(table.lines().count(), 1 + 2 + 2 + 1);
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let values: Vec<u64> = (1..=200).collect();
        assert_eq!(percentile(&values, 50), Some(100));
        assert_eq!(percentile(&values, 99), Some(198));
        assert_eq!(percentile(&[7], 99), Some(7));
        assert_eq!(percentile(&[], 50), None);
    }
}
