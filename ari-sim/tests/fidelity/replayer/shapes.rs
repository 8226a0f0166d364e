//! Shapes of JSON: which members there are, and of which type.

use std::collections::BTreeSet;

use serde_json::Value;

use super::values::kind;

/// Members whose own members are named by whoever set them.
const FREE: &[&str] = &["channelvars", "bridgevars", "variables", "userevent"];

/// The paths of all members of a value, each with its type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape(BTreeSet<(String, &'static str)>);

impl Shape {
    pub(crate) fn of(value: &Value) -> Self {
        let mut shape = Self::default();
        shape.add("", value);
        shape
    }

    fn add(&mut self, path: &str, value: &Value) {
        self.0.insert((path.to_owned(), kind(value)));
        match value {
            Value::Array(items) => {
                for item in items {
                    self.add(&format!("{path}[]"), item);
                }
            }
            Value::Object(members) => {
                let last = path.rsplit('.').next().unwrap_or_default();
                for (name, member) in members {
                    let name = if FREE.contains(&last) { "*" } else { name };
                    self.add(&format!("{path}.{name}"), member);
                }
            }
            _ => {}
        }
    }

    fn has(&self, path: &str) -> bool {
        self.0.iter().any(|(known, _)| known == path)
    }

    /// Says where this is not as the samples are: what none of them has, what all of them have.
    pub(crate) fn differences(&self, samples: &[Self]) -> Vec<String> {
        let mut out = Vec::new();
        let all: BTreeSet<_> = samples.iter().flat_map(|sample| &sample.0).collect();
        let types = |path: &str| {
            let known = all.iter().filter(|(known, _)| known == path);
            known
                .map(|(_, kind)| *kind)
                .collect::<Vec<_>>()
                .join(" or ")
        };
        for (path, kind) in &self.0 {
            // Whether an empty list was seen says nothing of its items.
            let unseen_item = path.contains("[]") && types(item_of(path)).is_empty();
            if !all.contains(&(path.clone(), *kind)) && !unseen_item {
                let expected = types(path);
                let expected = if expected.is_empty() {
                    "nothing"
                } else {
                    &expected
                };
                out.push(format!("{}: {expected} expected, {kind} came", shown(path)));
            }
        }
        let paths: BTreeSet<&str> = all.iter().map(|(path, _)| path.as_str()).collect();
        for path in paths {
            let Some((parent, _)) = path.rsplit_once('.') else {
                continue;
            };
            let always = samples
                .iter()
                .filter(|sample| sample.has(parent))
                .all(|sample| sample.has(path));
            if always && !path.ends_with(".*") && self.has(parent) && !self.has(path) {
                out.push(format!(
                    "{}: {} expected, nothing came",
                    shown(path),
                    types(path)
                ));
            }
        }
        out
    }
}

/// The path of the items of the outermost list in a path.
fn item_of(path: &str) -> &str {
    path.find("[]").map_or(path, |place| &path[..place + 2])
}

fn shown(path: &str) -> &str {
    let path = path.trim_start_matches('.');
    if path.is_empty() { "all of it" } else { path }
}
