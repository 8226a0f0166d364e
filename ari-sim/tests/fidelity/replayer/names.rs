//! Ids that Asterisk made: those of the trace, those of the world, and the names that stand for both.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::trace::{Header, Line};

/// Which id of the world is which id of the trace.
pub(crate) struct Names {
    /// Ids of the trace with their names, longest first.
    recorded: Vec<(String, String)>,
    /// Name, then id of the world.
    ours: HashMap<String, String>,
    /// Ids that clients have chosen: they are the same in the world.
    chosen: HashSet<String>,
}

impl Names {
    pub(crate) fn new(header: &Header, lines: &[Line]) -> Self {
        let mut chosen = HashSet::new();
        for line in lines {
            note_ids(&line.value, &mut chosen);
        }
        for (id, _) in &header.generated {
            chosen.remove(id);
        }
        Self {
            recorded: header.generated.clone(),
            ours: HashMap::new(),
            chosen,
        }
    }

    /// What the trace has, with names in place of ids.
    pub(crate) fn recorded(&self, value: &Value) -> Value {
        if self.recorded.is_empty() {
            return value.clone();
        }
        replaced(value, &self.recorded)
    }

    /// What the world has, with names in place of ids.
    pub(crate) fn ours(&self, value: &Value) -> Value {
        if self.ours.is_empty() {
            return value.clone();
        }
        let known = self
            .ours
            .iter()
            .map(|(name, id)| (id.clone(), name.clone()));
        replaced(value, &known.collect::<Vec<_>>())
    }

    /// What a client of the trace sent, with the ids of the world.
    pub(crate) fn to_send(&self, value: &Value) -> Value {
        if self.ours.is_empty() {
            return value.clone();
        }
        let known = self.recorded.iter().filter_map(|(id, name)| {
            let ours = self.ours.get(name)?;
            Some((id.clone(), ours.clone()))
        });
        replaced(value, &known.collect::<Vec<_>>())
    }

    /// Whether a text of the trace is a name whose id in the world is not known yet.
    pub(crate) fn is_open(&self, text: &str) -> bool {
        !self.ours.contains_key(text) && self.recorded.iter().any(|(_, name)| name == text)
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.ours.len() == self.recorded.len()
    }

    /// Whether an id of the world has a name, or was chosen by a client.
    pub(crate) fn is_known(&self, id: &str) -> bool {
        self.chosen.contains(id) || self.ours.values().any(|known| known == id)
    }

    /// Whether names without an id occur in what the trace has.
    pub(crate) fn mentions_open(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => self.is_open(text),
            Value::Array(items) => items.iter().any(|item| self.mentions_open(item)),
            Value::Object(members) => members.values().any(|member| self.mentions_open(member)),
            _ => false,
        }
    }

    /// Learns ids from two values that mean the same.
    pub(crate) fn learn(&mut self, expected: &Value, got: &Value) {
        match (expected, got) {
            (Value::String(name), Value::String(id))
                if self.is_open(name) && !self.is_known(id) =>
            {
                self.ours.insert(name.clone(), id.clone());
            }
            (Value::Object(expected), Value::Object(got)) => {
                for (name, expected) in expected {
                    if let Some(got) = got.get(name) {
                        self.learn(expected, got);
                    }
                }
            }
            (Value::Array(expected), Value::Array(got)) => {
                // Lists come in any order: an item stands for another where there is no choice.
                if let ([expected], [got]) = (&expected[..], &got[..]) {
                    self.learn(expected, got);
                }
            }
            _ => {}
        }
    }
}

/// Collects the ids of all that a value tells of.
fn note_ids(value: &Value, ids: &mut HashSet<String>) {
    match value {
        Value::Object(members) => {
            ids.extend(members.get("id").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| note_ids(member, ids));
        }
        Value::Array(items) => items.iter().for_each(|item| note_ids(item, ids)),
        _ => {}
    }
}

fn replaced(value: &Value, pairs: &[(String, String)]) -> Value {
    match value {
        Value::String(text) => Value::String(replace_all(text, pairs)),
        Value::Array(items) => items.iter().map(|item| replaced(item, pairs)).collect(),
        Value::Object(members) => {
            let members = members
                .iter()
                .map(|(name, value)| (name.clone(), replaced(value, pairs)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

/// Puts one text in place of another wherever it stands by itself.
fn replace_all(text: &str, pairs: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in pairs {
        if from.is_empty() || !text.contains(from.as_str()) {
            continue;
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(place) = rest.find(from.as_str()) {
            let (before, after) = (&rest[..place], &rest[place + from.len()..]);
            let alone = !before.ends_with(|c: char| c.is_ascii_alphanumeric())
                && !after.starts_with(|c: char| c.is_ascii_alphanumeric());
            out.push_str(before);
            out.push_str(if alone { to } else { from });
            rest = after;
        }
        out.push_str(rest);
        text = out;
    }
    text
}
