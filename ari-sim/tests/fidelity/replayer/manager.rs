//! The manager interface (AMI) and the console.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    door::{self, Asked},
    outside,
    replay::Replay,
    trace::Line,
    values,
};

impl Replay<'_> {
    /// Does an action of the manager interface.
    pub(super) fn manager(&mut self, line: &Line) {
        let action = self.names.to_send(&line.value["ami"]["action"]);
        let text = |name: &str| action[name].as_str().unwrap_or_default().to_owned();
        let channel = self.channel_named(&text("Channel")).unwrap_or_default();
        match action["Action"].as_str().unwrap_or_default() {
            "PlayDTMF" => {
                let digit = text("Digit").chars().next().unwrap_or('?');
                let millis = text("Duration").parse().unwrap_or(100);
                let duration = Duration::from_millis(millis);
                self.world.press(self.now, &channel, digit, duration);
            }
            "Redirect" => {
                let (context, exten) = (text("Context"), text("Exten"));
                let priority = text("Priority").parse().unwrap_or(1);
                self.world
                    .redirect_channel(self.now, &channel, &context, &exten, priority);
            }
            "Hangup" => {
                let cause = text("Cause").parse().ok();
                self.world.hang_up_channel(self.now, &channel, cause);
            }
            "BlindTransfer" => {
                let (context, exten) = (text("Context"), text("Exten"));
                self.world
                    .blind_transfer(self.now, &channel, &context, &exten);
            }
            "Originate" if !text("Exten").is_empty() => self.originate(&action),
            _ => self.cannot(line, "this action is not known"),
        }
    }

    /// Calls somebody who then goes through the dialplan.
    fn originate(&mut self, action: &Value) {
        let mut query = serde_json::Map::new();
        for (theirs, ours) in [
            ("Channel", "endpoint"),
            ("Exten", "extension"),
            ("Context", "context"),
            ("Priority", "priority"),
            ("CallerID", "callerId"),
            ("ChannelId", "channelId"),
            ("OtherChannelId", "otherChannelId"),
        ] {
            if let Some(value) = action[theirs].as_str() {
                query.insert(ours.to_owned(), value.into());
            }
        }
        let millis = action["Timeout"]
            .as_str()
            .and_then(|text| text.parse::<u64>().ok());
        if let Some(millis) = millis {
            query.insert("timeout".to_owned(), (millis / 1_000).to_string().into());
        }
        let variables = match &action["Variable"] {
            Value::Array(items) => items.clone(),
            Value::Null => Vec::new(),
            one => vec![one.clone()],
        };
        let variables = variables.iter().filter_map(|item| {
            let (name, value) = item.as_str()?.split_once('=')?;
            Some((name.to_owned(), Value::from(value)))
        });
        let variables: serde_json::Map<_, _> = variables.collect();
        let http = json!({
            "method": "POST", "path": "/ari/channels", "query": query,
            "body": {"variables": variables},
        });
        door::ask(&mut self.world, self.now, &self.config, &http);
    }

    /// Does a command of the console.
    pub(super) fn console(&mut self, line: &Line) {
        let command = line.value["cli"]["command"].as_str().unwrap_or_default();
        let words: Vec<&str> = command.split_whitespace().collect();
        match words[..] {
            // The dialplan has it from the beginning.
            ["dialplan", "add", ..] if outside::added(command).is_some() => {}
            ["channel", "request", "hangup", name] | ["hangup", "request", name] => {
                let channel = self.channel_named(name).unwrap_or_default();
                self.world.hang_up_channel(self.now, &channel, None);
            }
            ["channel", "redirect", name, place] => {
                let channel = self.channel_named(name).unwrap_or_default();
                let fields: Vec<&str> = place.split(',').collect();
                let (context, exten, priority) = match fields[..] {
                    [context, exten, priority] => (context, exten, priority),
                    [exten, priority] => ("default", exten, priority),
                    _ => ("default", place, "1"),
                };
                let priority = priority.parse().unwrap_or(1);
                self.world
                    .redirect_channel(self.now, &channel, context, exten, priority);
            }
            ["module", what @ ("load" | "unload" | "reload"), name] => {
                let method = match what {
                    "load" => "POST",
                    "unload" => "DELETE",
                    _ => "PUT",
                };
                let path = format!("/ari/asterisk/modules/{name}");
                let http = json!({"method": method, "path": path});
                door::ask(&mut self.world, self.now, &self.config, &http);
            }
            ["core", "show", ..] => {}
            _ => self.cannot(line, "this command is not known"),
        }
    }

    /// The id of the channel of this name in the world, whose names have other numbers.
    fn channel_named(&mut self, name: &str) -> Option<String> {
        let list = json!({"method": "GET", "path": "/ari/channels"});
        let Asked::Now(answer) = door::ask(&mut self.world, self.now, &self.config, &list) else {
            return None;
        };
        let channels: Vec<Value> = serde_json::from_slice(&answer.body).ok()?;
        let text = |channel: &Value, member: &str| channel[member].as_str().map(str::to_owned);
        let lines = || self.scenario.lines.iter().map(|line| &line.value);
        let id_of = |name: &str| {
            let id = lines().find_map(|line| id_of(line, name))?;
            text(&self.names.to_send(&json!({"id": id})), "id")
        };
        if let Some(id) = id_of(name) {
            return Some(id);
        }
        // Nothing tells of it: it may be the other half of one that something tells of.
        let other = other_half(name).and_then(|other| id_of(&other));
        let other = other.and_then(|id| {
            let half = channels.iter().find(|channel| channel["id"] == *id)?;
            let wanted = other_half(half["name"].as_str()?)?;
            let half = channels.iter().find(|channel| channel["name"] == *wanted)?;
            text(half, "id")
        });
        let oldest = || {
            let wanted = values::plain(name);
            let same = channels.iter().filter(|channel| {
                channel["name"].as_str().map(values::plain).as_ref() == Some(&wanted)
            });
            text(
                same.min_by_key(|channel| channel["name"].to_string())?,
                "id",
            )
        };
        other.or_else(oldest)
    }
}

/// The name of the other half of a Local channel.
fn other_half(name: &str) -> Option<String> {
    match name.rsplit_once(';')? {
        (name, "1") => Some(format!("{name};2")),
        (name, "2") => Some(format!("{name};1")),
        _ => None,
    }
}

/// The id of the channel of this name, where something tells of it.
fn id_of(value: &Value, name: &str) -> Option<String> {
    match value {
        Value::Object(members) => {
            let id = members.get("id").and_then(Value::as_str);
            if let (Some(id), true) = (id, members.get("name").is_some_and(|known| known == name)) {
                return Some(id.to_owned());
            }
            members.values().find_map(|member| id_of(member, name))
        }
        Value::Array(items) => items.iter().find_map(|item| id_of(item, name)),
        _ => None,
    }
}
