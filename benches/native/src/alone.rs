//! One run of a reader in a process of its own: none finds the heap as another one left it.

use std::{
    env,
    io::{Read, Write},
    process::{Command, Stdio},
};

use crate::{READERS, Result, events, on_one_thread, progress::Run, simulator::Sample};

/// Says to a process that it is to run one reader.
const WORD: &str = "one-reader";

/// Runs a reader in another process.
pub fn run(reader: usize, laps: usize, url: &str, events: &[Sample]) -> Result<Run> {
    let mut child = Command::new(env::current_exe()?)
        .args([WORD, &reader.to_string(), &laps.to_string(), url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = child.stdin.take().ok_or("a reader has no input")?;
    for event in events {
        writeln!(input, "{}\t{}", event.channel, event.text)?;
    }
    drop(input);
    let output = child.wait_with_output()?;
    let said = String::from_utf8(output.stdout)?;
    let (per_second, lost) = said.trim().split_once(' ').ok_or("a reader has failed")?;
    Ok(Run {
        per_second: per_second.parse()?,
        lost: lost.parse()?,
    })
}

/// Is the other process, if this one was begun so; `false` if not.
pub fn is_one() -> Result<bool> {
    let words: Vec<String> = env::args().skip(1).collect();
    let [word, reader, laps, url] = words.as_slice() else {
        return Ok(false);
    };
    if word != WORD {
        return Ok(false);
    }
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input)?;
    let events: Option<Vec<Sample>> = input
        .lines()
        .map(|line| {
            let (channel, text) = line.split_once('\t')?;
            Some(Sample {
                channel: channel.to_owned(),
                text: text.to_owned(),
            })
        })
        .collect();
    let (reader, ..) = READERS
        .get(reader.parse::<usize>()?)
        .ok_or("no such reader")?;
    let events = events.ok_or("no events")?;
    let (run, source) = on_one_thread(events::run(*reader, url, &events, laps.parse()?))?;
    source.finish()?;
    println!("{} {}", run.per_second, run.lost);
    Ok(true)
}
