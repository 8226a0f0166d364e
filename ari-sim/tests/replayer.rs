//! The replayer of the traces: it names what differs, and bears whatever is in a file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "fidelity/replayer/mod.rs"]
#[allow(
    dead_code,
    reason = "the measurement uses all of it, these tests a part"
)]
mod replayer;

use std::{fs, path::Path, sync::OnceLock};

use replayer::{
    listed,
    replay::{Difference, replay},
    trace::{self, TraceFile},
};
use serde_json::{Value, json};

/// Every third scenario, where it matches, with its name.
fn matching() -> &'static [(String, String)] {
    static MATCHING: OnceLock<Vec<(String, String)>> = OnceLock::new();
    MATCHING.get_or_init(|| {
        let all = scenarios().into_iter().step_by(3);
        all.filter(|(file, text)| differences(text, file).is_empty())
            .collect()
    })
}

/// The texts of all scenarios, with their names.
fn scenarios() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/traces");
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.starts_with("ari-") {
            texts.push((name, fs::read_to_string(path).unwrap()));
        }
    }
    texts.sort();
    texts
}

fn differences(text: &str, file: &str) -> Vec<Difference> {
    let read = trace::parse(text, file).unwrap();
    let Some(TraceFile::Scenario(scenario)) = read else {
        unreachable!("{file} is no scenario");
    };
    replay(&scenario).differences
}

/// A trace whose lines can be changed: the text, in which members keep their order, and what it says.
struct Lines {
    texts: Vec<String>,
    values: Vec<Value>,
}

impl Lines {
    fn of(text: &str) -> Self {
        let texts: Vec<_> = text.lines().map(str::to_owned).collect();
        let values = texts.iter().map(|line| serde_json::from_str(line).unwrap());
        Self {
            values: values.collect(),
            texts,
        }
    }

    /// The number of the first line that has this, from 0.
    fn find(&self, wanted: impl Fn(&Value) -> bool) -> Option<usize> {
        self.values.iter().position(wanted)
    }

    /// Changes a text in a line, behind another one.
    fn change(&mut self, place: usize, behind: &str, from: &str, to: &str) -> Option<usize> {
        let line = &self.texts[place];
        let (before, after) = line.split_at(line.find(behind)?);
        after.contains(from).then_some(())?;
        self.texts[place] = format!("{before}{}", after.replacen(from, to, 1));
        Some(place)
    }

    fn text(&self) -> String {
        self.texts.join("\n")
    }
}

/// Changes each scenario that matches in one way; says where nothing was named at the line that was changed.
fn unnoticed(change: impl Fn(&mut Lines) -> Option<usize>) -> Vec<String> {
    let mut out = Vec::new();
    let mut changed = 0;
    for (file, text) in matching() {
        let mut lines = Lines::of(text);
        let Some(place) = change(&mut lines) else {
            continue;
        };
        changed += 1;
        let mut named = differences(&lines.text(), file).into_iter();
        if !named.any(|difference| difference.line == place + 1) {
            out.push(format!("{file}:{}", place + 1));
        }
    }
    assert!(changed > 8, "only {changed} scenarios could be changed");
    out
}

#[test]
fn a_changed_status_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["http"]["status"] == 204)?;
        lines.change(place, "\"status\"", "204", "299")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_changed_message_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["http"]["response"]["message"].is_string())?;
        lines.change(place, "\"response\"", "message\":\"", "message\":\"no ")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_changed_value_of_an_event_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["channel"]["state"] == "Up")?;
        lines.change(
            place,
            "\"channel\"",
            "\"state\":\"Up\"",
            "\"state\":\"Busy\"",
        )
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_member_that_is_not_there_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["channel"]["language"].is_string())?;
        lines.change(place, "\"channel\"", "\"language\"", "\"tongue\"")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn members_in_another_order_are_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["type"] == "StasisStart")?;
        let event = lines.values[place]["event"].to_string();
        let line = &lines.values[place];
        let (at, socket) = (&line["t_ms"], &line["socket"]);
        let text = format!("{{\"t_ms\":{at},\"event\":{event},\"socket\":{socket}}}");
        lines.texts[place] = text;
        Some(place)
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_changed_type_of_an_event_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["type"] == "StasisStart")?;
        lines.change(place, "\"event\"", "StasisStart", "StasisBegin")
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_event_too_many_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["type"] == "StasisEnd")?;
        lines.texts.insert(place + 1, lines.texts[place].clone());
        Some(place + 1)
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_event_too_few_is_named() {
    for (file, text) in matching() {
        let mut lines = Lines::of(text);
        let Some(place) = lines.find(|line| line["event"]["type"] == "StasisEnd") else {
            continue;
        };
        lines.texts.remove(place);
        let after = differences(&lines.text(), file);
        let named = after.iter().any(|difference| {
            difference.at.contains("StasisEnd") && difference.text.contains("no such event")
        });
        assert!(named, "{file}:{}", place + 1);
    }
}

#[test]
fn events_in_another_order_are_named() {
    assert_eq!(unnoticed(swap_hangup), Vec::<String>::new());
}

/// Puts a hangup behind the end of the same channel: they always come in the other order.
fn swap_hangup(lines: &mut Lines) -> Option<usize> {
    let second = lines.find(|line| line["event"]["type"] == "StasisEnd")?;
    let end = lines.values[second].clone();
    let first = lines.values[..second].iter().rposition(|line| {
        line["event"]["type"] == "ChannelHangupRequest"
            && line["event"]["channel"]["id"] == end["event"]["channel"]["id"]
            && line["event"]["application"] == end["event"]["application"]
            && line["socket"] == end["socket"]
    })?;
    let moved = lines.texts.remove(first);
    lines.texts.insert(second, moved);
    Some(second)
}

/// The same scenario as if it had been recorded once, when nothing is known of what differs.
fn single(text: &str) -> Lines {
    let mut lines = Lines::of(text);
    let header = &mut lines.values[0];
    header["runs"] = json!(1);
    for member in ["unordered", "not_always", "varies"] {
        header[member] = json!([]);
    }
    lines.texts[0] = header.to_string();
    lines
}

#[test]
fn one_run_shows_the_order_of_the_events_of_one_channel_only() {
    for file in [
        "bridge-destroy-with-members.jsonl",
        "hangup-reasons-up.jsonl",
        "playback-stop.jsonl",
    ] {
        let mut all = scenarios().into_iter();
        let (_, text) = all.find(|(known, _)| known == file).unwrap();
        let mut lines = single(&text);
        assert_eq!(differences(&lines.text(), file), [], "{file}");
        let place = swap_hangup(&mut lines).unwrap();
        let mut named = differences(&lines.text(), file).into_iter();
        assert!(
            named.any(|difference| difference.line == place + 1),
            "{file}"
        );
    }
}

#[test]
fn an_event_of_another_time_is_named() {
    let found = unnoticed(|lines| {
        let place = lines.find(|line| line["event"]["type"] == "StasisStart")?;
        let step = lines
            .values
            .iter()
            .rposition(|line| line["http"].is_object())?;
        let (at, late) = (&lines.values[place]["t_ms"], &lines.values[step]["t_ms"]);
        let late = late
            .as_f64()
            .filter(|late| *late > at.as_f64().unwrap() + 1_000.0)?;
        let (from, to) = (
            format!("\"t_ms\":{at}"),
            format!("\"t_ms\":{}", late + 900.0),
        );
        lines.change(place, "{", &from, &to)
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn whatever_is_in_a_file_is_borne() {
    let strange = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(""),
        json!("ü;\u{0}-00000000;"),
        json!([[], {}]),
        json!({"name": 5, "action": "open", "status": 101, "query": 7, "role": "uac"}),
    ];
    let members = [
        "t_ms",
        "t_sent_ms",
        "step",
        "http",
        "event",
        "socket",
        "rest",
        "ami",
        "sip",
        "cli",
        "note",
        "method",
        "path",
        "query",
        "body",
        "status",
        "response",
        "headers",
        "auth",
        "action",
        "dialplan",
        "generated_ids",
        "unordered",
        "not_always",
        "varies",
        "request",
    ];
    for (place, (file, text)) in scenarios().into_iter().enumerate() {
        let value = &strange[place % strange.len()];
        for (turn, member) in members.iter().enumerate() {
            if (turn + place) % 5 != 0 {
                continue;
            }
            let mut lines = Lines::of(&text);
            for (line, text) in lines.values.iter_mut().zip(&mut lines.texts) {
                put(line, member, value);
                *text = line.to_string();
            }
            // What comes of it does not matter, that it comes to an end does.
            let _ = trace::parse(&lines.text(), &file).map(|read| match read {
                Some(TraceFile::Scenario(scenario)) => replay(&scenario).differences.len(),
                _ => 0,
            });
        }
    }
}

/// Puts a value in place of every member of this name.
fn put(line: &mut Value, member: &str, value: &Value) {
    match line {
        Value::Object(members) => {
            for (name, inner) in members {
                if name == member {
                    *inner = value.clone();
                } else {
                    put(inner, member, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| put(item, member, value)),
        _ => {}
    }
}

#[test]
fn a_file_that_is_none_is_named() {
    let refused = |text: &str| trace::parse(text, "x.jsonl").err();
    assert_eq!(
        refused("{\"scenario\":\"x\"}\n[1]\n"),
        Some("x.jsonl:2: no JSON object".to_owned())
    );
    let broken = refused("{\"scenario\":\"x\"}\n\n{\"t_ms\":").unwrap();
    assert!(broken.starts_with("x.jsonl:3: no JSON"), "{broken}");
    assert!(trace::parse("", "x.jsonl").unwrap().is_none());
    assert!(
        trace::parse("{\"other\":1}\n", "x.jsonl")
            .unwrap()
            .is_none()
    );
}

#[test]
fn the_readme_shows_the_list_of_differences() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = listed::read(&package.join("tests/fixtures/differences.toml")).unwrap();
    let readme = fs::read_to_string(package.join("README.md")).unwrap();
    let rows: Vec<_> = list
        .iter()
        .map(|entry| format!("| `{}` | {} |\n", entry.shown(), entry.reason))
        .collect();
    let rows = rows.concat();
    let table = format!("| trace | why it differs |\n| --- | --- |\n{rows}\n");
    let text = if rows.is_empty() {
        "There is none.\n"
    } else {
        &table
    };
    let shown = format!("<!-- differences -->\n{text}<!-- /differences -->\n");
    assert!(readme.contains(&shown), "the README has to show:\n{shown}");
}
