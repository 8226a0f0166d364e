//! What a header can tell only when all is over.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use serde_json::Value;

use super::recording::Header;
use crate::trace::query::decode;

/// Members that hold the id of something.
const IDS: &[&str] = &["id", "channel_ids", "bridge_ids", "channels"];

/// Replaces the header of a trace.
pub(super) fn complete(path: &Path) -> io::Result<()> {
    let mut lines = BufReader::new(File::open(path)?).lines();
    let Some(first) = lines.next() else {
        return Ok(());
    };
    let mut header: Header = serde_json::from_str(&first?)?;
    let mut ids = Ids::default();
    for line in lines {
        ids.line(&serde_json::from_str(&line?)?);
    }
    if header.app.is_empty() {
        header.app.clone_from(&ids.app);
    }
    if ids.over_websocket {
        "websocket".clone_into(&mut header.transport);
    }
    for (number, id) in (1..).zip(ids.made()) {
        header
            .generated_ids
            .insert(format!("generated-{number}"), id.into());
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    let replaced = replace(path, Path::new(&name), &header);
    if replaced.is_err() {
        drop(fs::remove_file(&name));
    }
    replaced
}

fn replace(path: &Path, part: &Path, header: &Header) -> io::Result<()> {
    let mut old = BufReader::new(File::open(path)?);
    old.skip_until(b'\n')?;
    let mut new = BufWriter::new(File::create(part)?);
    writeln!(new, "{}", header.line())?;
    io::copy(&mut old, &mut new)?;
    new.into_inner()?.sync_all()?;
    fs::rename(part, path)
}

/// Finds the ids that Asterisk made: those that it told before the client did.
#[derive(Default)]
struct Ids {
    app: String,
    over_websocket: bool,
    /// What the client named, and when it did so first.
    named: HashMap<String, f64>,
    /// The ids that Asterisk told, and when it did so first.
    told: Vec<(String, f64)>,
    known: HashSet<String>,
}

impl Ids {
    fn line(&mut self, line: &Value) {
        let at = line["t_ms"].as_f64().unwrap_or_default();
        let sent = line["t_sent_ms"].as_f64().unwrap_or(at);
        if let Some(http) = line.get("http") {
            self.target(&http["path"], sent);
            self.texts(&http["query"], sent);
            self.texts(&http["body"], sent);
            // The ids of sounds are names of files.
            let path = http["path"].as_str().unwrap_or_default();
            if !path.starts_with("/ari/sounds") {
                self.answer(&http["response"], "", at);
            }
        } else if let Some(event) = line.get("event") {
            self.answer(event, "", at);
        } else if let Some(request) = line["rest"].get("request") {
            self.over_websocket = true;
            self.target(&request["uri"], at);
            self.texts(&request["query_strings"], at);
            let body = request["message_body"].as_str().unwrap_or_default();
            let body = serde_json::from_str(body).unwrap_or_else(|_| body.into());
            self.texts(&body, at);
        } else if let Some(response) = line["rest"].get("response") {
            let body = response["message_body"].as_str().unwrap_or_default();
            self.answer(&serde_json::from_str(body).unwrap_or_default(), "", at);
        } else if let Some(app) = line["socket"]["query"]["app"].as_str()
            && self.app.is_empty()
        {
            app.split(',')
                .next()
                .unwrap_or_default()
                .clone_into(&mut self.app);
        }
    }

    fn name(&mut self, text: String, at: f64) {
        let first = self.named.entry(text).or_insert(at);
        *first = first.min(at);
    }

    /// What the client names in a path and its query.
    fn target(&mut self, target: &Value, at: f64) {
        for part in target.as_str().unwrap_or_default().split(['/', '?', '&']) {
            let value = part.split_once('=').map_or(part, |(_, value)| value);
            self.name(decode(value), at);
        }
    }

    fn texts(&mut self, value: &Value, at: f64) {
        match value {
            Value::String(text) => {
                // A form names as well.
                for item in text.split([',', '=', '&']) {
                    let id = item.split_once(':').map_or(item, |(_, id)| id);
                    self.name(id.to_owned(), at);
                    self.name(item.to_owned(), at);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.texts(item, at)),
            Value::Object(members) => members.values().for_each(|value| self.texts(value, at)),
            _ => {}
        }
    }

    fn answer(&mut self, value: &Value, member: &str, at: f64) {
        match value {
            Value::String(id)
                if IDS.contains(&member)
                    && !id.is_empty()
                    && !id.starts_with("__AST")
                    && self.known.insert(id.clone()) =>
            {
                self.told.push((id.clone(), at));
            }
            Value::Array(items) => items.iter().for_each(|item| self.answer(item, member, at)),
            Value::Object(members) => members
                .iter()
                .for_each(|(name, value)| self.answer(value, name, at)),
            _ => {}
        }
    }

    /// The ids that Asterisk made, in the order in which it told them.
    fn made(&self) -> impl Iterator<Item = &str> {
        let made = |(id, at): &&(String, f64)| {
            // The far half of a Local channel has its id from the near one.
            let near = id
                .strip_suffix(";1")
                .or_else(|| id.strip_suffix(";2"))
                .unwrap_or(id);
            [near, id.as_str()]
                .iter()
                .all(|name| self.named.get(*name).is_none_or(|named| named > at))
        };
        self.told.iter().filter(made).map(|(id, _)| id.as_str())
    }
}
