//! ari-native beside a bare hyper client, a bare WebSocket reader and asterisk-rs-ari 0.8, on the program
//! `ari-sim`: they take turns. The best of the rounds is printed, since whatever else the
//! machine does only makes a round slower; the ratios are taken round by round. Each runs on a runtime of one thread, and
//! each reader in a process of its own.

mod alone;
mod asterisk_rs;
mod events;
mod progress;
mod requests;
mod simulator;
mod source;
mod table;

use std::{error::Error, process::ExitCode};

use events::Reader;
use requests::Asker;
use simulator::{Sample, Simulator};
use table::{best, goal, ratio};
use tokio::runtime::Builder;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often each has its turn.
const ROUNDS: usize = 30;

const AT_ONCE: [usize; 3] = [1, 16, 64];

const ASKERS: [(Asker, &str); 3] = [
    (Asker::Bare, "hyper"),
    (Asker::Native, "ari-native"),
    (Asker::AsteriskRs, "asterisk-rs-ari"),
];

/// Who reads, and how often the 1,000 events come with one channel, and with 1,000.
const READERS: [(Reader, &str, [usize; 2]); 6] = [
    (Reader::Bare, "tungstenite, type alone", [30, 30]),
    (Reader::Peek, "tungstenite, peek", [30, 30]),
    (Reader::Decode, "tungstenite, peek and decode", [30, 30]),
    (Reader::Whole, "ari-native, any event", [30, 30]),
    (Reader::Typed, "ari-native, one type", [30, 30]),
    (Reader::AsteriskRs, "asterisk-rs-ari", [20, 1]),
];

const CHANNELS: usize = 1_000;

fn main() -> ExitCode {
    match contest() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("native: {error}");
            ExitCode::FAILURE
        }
    }
}

fn contest() -> Result<()> {
    if alone::is_one()? {
        return Ok(());
    }
    let simulator = Simulator::start()?;
    let many = on_one_thread(simulator.sample(CHANNELS))?;
    let first = many.first().ok_or("no events")?;
    let one: Vec<Sample> = (0..CHANNELS).map(|_| first.clone()).collect();
    let bytes: usize = many.iter().map(|event| event.text.len()).sum();
    println!(
        "{ROUNDS} rounds; events of {} bytes on average\n",
        bytes / many.len()
    );
    // As with any bench, a word picks what is measured.
    let word = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let picked = |name: &str| word.as_deref().is_none_or(|word| name.contains(word));
    if picked("requests") {
        requests(&simulator)?;
    }
    if picked("events") {
        events(&simulator, &one, &many)?;
    }
    Ok(())
}

/// Runs a future on a runtime of its own.
fn on_one_thread<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(work)
}

fn requests(simulator: &Simulator) -> Result<()> {
    let mut rows = vec![
        ["GET /asterisk/ping", "at once", "requests/s", "p99 µs"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut ratios = Vec::new();
    for at_once in AT_ONCE {
        let mut runs = vec![Vec::new(); ASKERS.len()];
        for _ in 0..ROUNDS {
            for ((asker, _), runs) in ASKERS.iter().zip(&mut runs) {
                runs.push(on_one_thread(requests::run(*asker, simulator, at_once))?);
            }
        }
        let mut rates = Vec::new();
        for ((_, name), runs) in ASKERS.iter().zip(&runs) {
            let rate: Vec<f64> = runs.iter().map(|run| run.per_second).collect();
            let p99 = runs.iter().map(|run| run.p99).fold(f64::MAX, f64::min);
            rows.push(vec![
                (*name).to_owned(),
                at_once.to_string(),
                format!("{:.0}", best(&rate)),
                format!("{p99:.0}"),
            ]);
            rates.push(rate);
        }
        ratios.push((at_once, ratio(&rates[1], &rates[0])));
    }
    table::print(&rows);
    for (at_once, ratio) in ratios {
        goal(
            &format!("requests/s of ari-native to hyper's, {at_once} at once"),
            ratio,
            0.9,
        );
    }
    println!();
    Ok(())
}

fn events(simulator: &Simulator, one: &[Sample], many: &[Sample]) -> Result<()> {
    let mut rows = vec![
        ["ChannelDtmfReceived", "channels", "events/s", "lost"]
            .map(str::to_owned)
            .to_vec(),
    ];
    let mut rates = [const { [const { Vec::new() }; READERS.len()] }; 2];
    let mut lost = [[0; READERS.len()]; 2];
    for _ in 0..ROUNDS {
        for (place, events) in [one, many].into_iter().enumerate() {
            for (number, (.., laps)) in READERS.iter().enumerate() {
                let run = alone::run(number, laps[place], &simulator.url(), events)?;
                rates[place][number].push(run.per_second);
                lost[place][number] += run.lost;
            }
        }
    }
    for (place, channels) in ["1", "1,000"].into_iter().enumerate() {
        for (number, (_, name, _)) in READERS.iter().enumerate() {
            rows.push(vec![
                (*name).to_owned(),
                channels.to_owned(),
                format!("{:.0}", best(&rates[place][number])),
                lost[place][number].to_string(),
            ]);
        }
    }
    table::print(&rows);
    let [one, many] = rates;
    for (number, what) in [(3, "any event"), (4, "one type")] {
        println!("events/s of ari-native, {what}:");
        goal(
            "  with 1,000 to asterisk-rs-ari's",
            ratio(&many[number], &many[5]),
            3.0,
        );
        goal(
            "  with 1,000 to those with one",
            ratio(&many[number], &one[number]),
            0.9,
        );
        goal(
            "  with one to those of tungstenite that peeks",
            ratio(&one[number], &one[1]),
            0.8,
        );
    }
    println!(
        "  with one to those of tungstenite that peeks and decodes: {:.2}",
        ratio(&one[4], &one[2])
    );
    // What other texts each time cost whoever reads them.
    println!(
        "events/s of tungstenite, of 1,000 channels to one: {:.2}, where it decodes {:.2}",
        ratio(&many[1], &one[1]),
        ratio(&many[2], &one[2])
    );
    Ok(())
}
