//! Comparing what was recorded with what came: values that are made anew each time do not count.

use std::collections::BTreeSet;

use serde_json::Value;

use super::names::Names;

/// Members whose value is made anew each time.
const GENERATED: &[&str] = &[
    "timestamp",
    "asterisk_id",
    "entity_id",
    "protocol_id",
    "creationtime",
    "startup_time",
    "last_reload_time",
    "date",
];

/// What need not be the same.
pub(crate) struct Freedom<'a> {
    /// Paths whose values differed between the runs.
    varies: BTreeSet<&'a str>,
    names: &'a Names,
}

impl<'a> Freedom<'a> {
    /// That of `what`, as in `http 2` or `event Dial`.
    pub(crate) fn new(varies: &'a [String], what: &str, names: &'a Names) -> Self {
        let path = |entry: &'a String| entry.strip_prefix(what)?.strip_prefix(": ");
        Self {
            varies: varies.iter().filter_map(path).collect(),
            names,
        }
    }

    fn is_free(&self, path: &str) -> bool {
        let last = path.rsplit('.').next().unwrap_or_default();
        self.varies.contains(path) || GENERATED.contains(&last)
    }
}

/// Says where `got` is not as `expected`: `path: X expected, Y came`.
pub(crate) fn differences(
    expected: &Value,
    got: &Value,
    path: &str,
    freedom: &Freedom<'_>,
) -> Vec<String> {
    let mut out = Vec::new();
    compare(expected, got, path, freedom, &mut out);
    out
}

fn compare(expected: &Value, got: &Value, path: &str, free: &Freedom<'_>, out: &mut Vec<String>) {
    let mut differ = || out.push(said(path, &shown(expected), &shown(got)));
    match (expected, got) {
        _ if free.is_free(path) && !is_plain_word(expected, got, path) => {
            // What is made anew is not empty where it was not.
            let empties = free.varies.contains(path) || (*expected == "") == (*got == "");
            if kind(expected) != kind(got) || !empties {
                differ();
            }
        }
        (Value::Object(expected), Value::Object(got)) => {
            for (name, expected) in expected {
                let path = inside(path, name);
                match got.get(name) {
                    Some(got) => compare(expected, got, &path, free, out),
                    None if free.varies.contains(path.as_str()) => {}
                    None => out.push(said(&path, &shown(expected), "nothing")),
                }
            }
            for (name, got) in got {
                let path = inside(path, name);
                if !expected.contains_key(name) && !free.varies.contains(path.as_str()) {
                    out.push(said(&path, "nothing", &shown(got)));
                }
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            compare_items(expected, got, path, free, out);
        }
        (Value::String(expected), Value::String(got)) => {
            let same = free.names.is_open(expected) || plain(expected) == plain(got);
            if !same {
                differ();
            }
        }
        (Value::Number(a), Value::Number(b)) => {
            // 0 and 0.0 are not the same type.
            if a != b {
                differ();
            }
        }
        _ => {
            if expected != got {
                differ();
            }
        }
    }
}

/// A variable's value that is a word without digits is none that is made anew each time.
fn is_plain_word(expected: &Value, got: &Value, path: &str) -> bool {
    let word = |value: &Value| {
        value
            .as_str()
            .is_some_and(|text| !text.contains(|c: char| c.is_ascii_digit()))
    };
    path == "value" && word(expected) && word(got)
}

/// Lists of entities come in any order; arguments do not.
fn compare_items(
    expected: &[Value],
    got: &[Value],
    path: &str,
    free: &Freedom<'_>,
    out: &mut Vec<String>,
) {
    let item = format!("{path}[]");
    if path.ends_with("args") {
        if expected.len() == got.len() {
            for (expected, got) in expected.iter().zip(got) {
                compare(expected, got, &item, free, out);
            }
        } else {
            out.push(said(path, &shown(&expected.into()), &shown(&got.into())));
        }
        return;
    }
    let mut left: Vec<&Value> = got.iter().collect();
    let mut missing = Vec::new();
    for expected in expected {
        match left
            .iter()
            .position(|got| differences(expected, got, &item, free).is_empty())
        {
            Some(place) => drop(left.remove(place)),
            None => missing.push(expected),
        }
    }
    let mut left = left.into_iter();
    for expected in missing {
        match left.next() {
            Some(got) => compare(expected, got, &item, free, out),
            None => out.push(said(&item, &shown(expected), "nothing")),
        }
    }
    out.extend(left.map(|got| said(&item, "nothing", &shown(got))));
}

/// Of a list only the first items were kept: they have to be among those that came.
pub(crate) fn trimmed_differences(
    expected: &[Value],
    total: Option<u64>,
    got: &[Value],
    path: &str,
    free: &Freedom<'_>,
) -> Vec<String> {
    let item = format!("{path}[]");
    let mut out = Vec::new();
    let count = u64::try_from(got.len()).unwrap_or(u64::MAX);
    if total.is_some_and(|total| total != count) {
        let total = total.unwrap_or_default();
        out.push(format!("{path}: {total} items expected, {count} came"));
    }
    let identity = |value: &Value| {
        let names = ["id", "name", "attribute"];
        names.iter().find_map(|name| value.get(name).cloned())
    };
    for expected in expected {
        if got
            .iter()
            .any(|got| differences(expected, got, &item, free).is_empty())
        {
            continue;
        }
        match got.iter().find(|got| identity(got) == identity(expected)) {
            Some(got) => compare(expected, got, &item, free, &mut out),
            None => out.push(said(&item, &shown(expected), "nothing")),
        }
    }
    out
}

fn inside(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn said(path: &str, expected: &str, came: &str) -> String {
    format!("{path}: {expected} expected, {came} came")
}

pub(crate) fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 160 {
        return text;
    }
    let short: String = text.chars().take(160).collect();
    format!("{short}…")
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "fraction",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A text without the numbers that the names of channels end in.
pub(crate) fn plain(text: &str) -> String {
    let part = |part: &str| {
        let (name, half) = part.split_once(';').unwrap_or((part, ""));
        match name.rsplit_once('-') {
            Some((name, number))
                if number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit()) =>
            {
                format!("{name}-N;{half}")
            }
            _ => part.to_owned(),
        }
    };
    text.split(',').map(part).collect::<Vec<_>>().join(",")
}
