//! Reading traces: what kind of file it is, its header, its lines.

use std::{collections::BTreeMap, fs, path::Path};

use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

/// Longest time that a trace can take, in milliseconds: a day.
const LONGEST: f64 = 86_400_000.0;

/// A file of a set of traces.
pub(crate) enum TraceFile {
    /// What a client did in one scenario, and all that Asterisk answered and told.
    Scenario(Scenario),
    /// Single HTTP exchanges.
    Exchanges(Vec<(usize, Value)>),
    /// Single events.
    Events(Vec<(usize, Value)>),
}

/// One scenario.
pub(crate) struct Scenario {
    /// Name of the file, as differences show it.
    pub(crate) file: String,
    pub(crate) header: Header,
    pub(crate) lines: Vec<Line>,
}

/// What a scenario says about itself.
#[derive(Default)]
pub(crate) struct Header {
    pub(crate) dialplan: Vec<(String, Vec<String>)>,
    /// Ids that Asterisk made, and the names that keys use for them; longest first.
    pub(crate) generated: Vec<(String, String)>,
    pub(crate) unordered: Vec<(String, String)>,
    /// It was recorded once: nothing is known of what differs between runs.
    pub(crate) is_single: bool,
    pub(crate) not_always: Vec<String>,
    pub(crate) varies: Vec<String>,
}

/// One thing that happened.
pub(crate) struct Line {
    /// Number of the line in the file, from 1.
    pub(crate) number: usize,
    /// Milliseconds at which it arrived at the client.
    pub(crate) arrived: f64,
    /// Milliseconds at which it was sent, for what a client does.
    pub(crate) sent: f64,
    pub(crate) value: Value,
    /// Names of all members of an event, in their order.
    pub(crate) members: Vec<String>,
}

impl Line {
    pub(crate) fn has(&self, kind: &str) -> bool {
        self.value.get(kind).is_some()
    }

    /// How differences name a step.
    pub(crate) fn step(&self) -> String {
        format!("step {}", self.value["step"])
    }

    /// The socket of an event or of a frame.
    pub(crate) fn socket(&self) -> Option<&str> {
        self.value["socket"].as_str()
    }
}

/// Reads a file; `None`: it is none of ours.
///
/// # Errors
/// The file cannot be read, or a line is no JSON object: named by its number.
pub(crate) fn read(path: &Path, file: &str) -> Result<Option<TraceFile>, String> {
    let bytes = fs::read(path).map_err(|error| format!("{file}: cannot be read: {error}"))?;
    parse(&String::from_utf8_lossy(&bytes), file)
}

/// The same of a text.
pub(crate) fn parse(text: &str, file: &str) -> Result<Option<TraceFile>, String> {
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(line)
            .map_err(|error| format!("{file}:{number}: no JSON: {error}"))?;
        if !value.is_object() {
            return Err(format!("{file}:{number}: no JSON object"));
        }
        lines.push((number, value, line));
    }
    let Some((_, first, _)) = lines.first() else {
        return Ok(None);
    };
    let bare = |lines: Vec<(usize, Value, &str)>| {
        let bare = lines.into_iter().map(|(number, value, _)| (number, value));
        bare.collect()
    };
    Ok(if first.get("scenario").is_some() {
        let header = Header::read(first);
        let rest = lines.into_iter().skip(1);
        let lines = rest.map(|(number, value, text)| line(number, value, text));
        Some(TraceFile::Scenario(Scenario {
            file: file.to_owned(),
            header,
            lines: lines.collect(),
        }))
    } else if first.get("path_template").is_some() {
        Some(TraceFile::Exchanges(bare(lines)))
    } else if first.get("type").is_some() {
        Some(TraceFile::Events(bare(lines)))
    } else {
        None
    })
}

fn line(number: usize, value: Value, text: &str) -> Line {
    let time = |name: &str| {
        let millis = value[name].as_f64()?;
        Some(millis.clamp(0.0, LONGEST))
    };
    let arrived = time("t_ms").unwrap_or_default();
    let raw: RawLine<'_> = serde_json::from_str(text).unwrap_or_default();
    let members = raw.event.and_then(|event| members(event.get()));
    Line {
        number,
        arrived,
        sent: time("t_sent_ms").unwrap_or(arrived).min(arrived),
        members: members.unwrap_or_default(),
        value,
    }
}

impl Header {
    fn read(value: &Value) -> Self {
        let dialplan = value["dialplan"].as_object().into_iter().flatten();
        let generated = value["generated_ids"].as_object().into_iter().flatten();
        let mut generated: Vec<_> = generated
            .filter_map(|(name, id)| Some((id.as_str()?.to_owned(), name.clone())))
            .collect();
        generated.sort_by_key(|(id, _)| std::cmp::Reverse(id.len()));
        let pairs = value["unordered"].as_array().into_iter().flatten();
        Self {
            dialplan: dialplan
                .map(|(exten, steps)| (exten.clone(), strings(steps)))
                .collect(),
            generated,
            unordered: pairs
                .filter_map(|pair| Some((pair[0].as_str()?.into(), pair[1].as_str()?.into())))
                .collect(),
            is_single: value["runs"] == 1,
            not_always: strings(&value["not_always"]),
            varies: strings(&value["varies"]),
        }
    }
}

pub(crate) fn strings(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some(item.as_str()?.to_owned()))
        .collect()
}

/// One line of a trace whose event is kept as it was written.
#[derive(Default, Deserialize)]
struct RawLine<'a> {
    #[serde(borrow, default)]
    event: Option<&'a RawValue>,
}

/// The names of all members of a JSON text, in their order; those of the same object together.
pub(crate) fn members(text: &str) -> Option<Vec<String>> {
    let Members(names) = serde_json::from_str(text).ok()?;
    Some(names)
}

struct Members(Vec<String>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Vec<String>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("JSON")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    names.push(name);
                    names.extend(map.next_value::<Members>()?.0);
                }
                Ok(names)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                // Items come in any order: their members count once.
                let mut names = BTreeMap::new();
                while let Some(Members(inner)) = items.next_element()? {
                    names.insert(inner, ());
                }
                Ok(names.into_keys().flatten().collect())
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Vec::new())
            }
        }

        deserializer.deserialize_any(Names).map(Members)
    }
}
