//! Variables of channels, of bridges, and global ones.

use std::borrow::Cow;

use ari_core::Response;
use serde_json::Value;

use super::{
    World,
    bridge::BridgeKey,
    channel::{Channel, ChannelKey, Party, Tech, Transfers},
    json::{Json, object},
    params::Params,
    queue::Command,
    reply::{Outcome, Refused, done, no_content, ok, refuse, refuse_as},
};

/// A variable, and whether events show it.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    value: String,
    reported: bool,
}

/// Variables in the order in which they were set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Variables(Vec<Variable>);

impl Variables {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let same =
            |known: &&Variable| known.name.trim_start_matches('_') == name.trim_start_matches('_');
        self.0.iter().find(same).map(|known| &*known.value)
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|known| known.name == name) {
            Some(known) => value.clone_into(&mut known.value),
            None => self.push(name, value, false),
        }
    }

    /// Sets a variable of a bridge, whose events show it or no longer; one that is empty is none.
    fn replace(&mut self, name: &str, value: &str, reported: bool) {
        self.remove(name);
        if !value.is_empty() {
            self.push(name, value, reported);
        }
    }

    fn push(&mut self, name: &str, value: &str, reported: bool) {
        self.0.push(Variable {
            name: name.to_owned(),
            value: value.to_owned(),
            reported,
        });
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|known| known.name != name);
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> {
        self.0.iter().map(|known| (&*known.name, &*known.value))
    }

    pub(crate) fn write_reported(&self, member: &str, json: &mut Json) {
        if self.0.iter().any(|known| known.reported) {
            json.object(member, |json| {
                for known in self.0.iter().filter(|known| known.reported) {
                    json.entry(&known.name, &known.value);
                }
            });
        }
    }
}

/// A variable that a request sets: name, value, whether events show it.
pub(crate) type Setting = (String, String, bool);

impl Channel {
    /// The value of a variable of the channel, or of its place in the dialplan.
    fn variable(&self, name: &str) -> Option<Cow<'_, str>> {
        if let Some(value) = self.variables.get(name) {
            return Some(Cow::Borrowed(value));
        }
        Some(match name {
            "CHANNEL" => Cow::Borrowed(&*self.name),
            "UNIQUEID" => Cow::Borrowed(&*self.id),
            "EXTEN" => Cow::Borrowed(&*self.place.exten),
            "CONTEXT" => Cow::Borrowed(&*self.place.context),
            "PRIORITY" => Cow::Owned(self.place.priority.to_string()),
            "HANGUPCAUSE" => Cow::Owned(self.cause.to_string()),
            "BRIDGEPEER" if !self.bridge_peer.is_empty() => Cow::Borrowed(&*self.bridge_peer),
            _ => return None,
        })
    }

    fn read_function(&self, function: &str, argument: &str) -> Option<String> {
        let party = |party: &Party| match argument {
            "num" | "number" => Some(party.number.clone()),
            "name" => Some(party.name.clone()),
            "all" => Some(format!("\"{}\" <{}>", party.name, party.number)),
            _ => None,
        };
        match function {
            "CALLERID" => party(&self.caller),
            "CONNECTEDLINE" => party(&self.connected),
            "CHANNEL" => Some(match argument {
                "state" => self.state.as_str().to_owned(),
                "name" => self.name.to_string(),
                "uniqueid" | "linkedid" => self.id.to_string(),
                "language" => self.language.to_string(),
                "accountcode" => self.account.clone(),
                "channeltype" => self.tech_name().to_owned(),
                "pjsip,call-id" if !self.protocol_id.is_empty() => self.protocol_id.clone(),
                _ => return None,
            }),
            _ => None,
        }
    }

    /// Writes the variables and functions that events about the channel show.
    pub(crate) fn write_reported(&self, json: &mut Json) {
        if self.reported.is_empty() {
            return;
        }
        json.object("channelvars", |json| {
            for name in &self.reported {
                let value = match name.strip_suffix(')').and_then(|name| name.split_once('(')) {
                    Some((function, argument)) => {
                        self.read_function(function, argument).map(Cow::Owned)
                    }
                    None => self.variable(name),
                };
                json.entry(name, value.as_deref().unwrap_or_default());
            }
        });
    }
}

/// A variable that an application sets or, without a value, takes away.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
    pub(crate) reported: bool,
}

/// Reads variables of a body in which they may be anything: what is no object holds none.
pub(crate) fn read_loose_settings(value: Option<&Value>) -> Result<Vec<Setting>, Refused> {
    read_settings(value.filter(|value| value.is_object()))
}

/// Reads `{"A": "1", "B": {"value": "2", "report_events": true}}`.
pub(crate) fn read_settings(value: Option<&Value>) -> Result<Vec<Setting>, Refused> {
    let members = match value {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(members)) => members,
        Some(_) => return Err(refuse(400, "The 'variables' field must be a JSON object")),
    };
    let mut settings = Vec::new();
    for (name, value) in members.iter().filter(|(name, _)| !name.is_empty()) {
        match value {
            Value::String(text) => settings.push((name.clone(), text.clone(), false)),
            Value::Object(inner) => {
                let text = inner.get("value").and_then(Value::as_str).ok_or_else(|| {
                    refuse(
                        400,
                        "Each object value in 'variables' must include string field 'value'",
                    )
                })?;
                let reported = match inner.get("report_events") {
                    None => false,
                    Some(Value::Bool(reported)) => *reported,
                    Some(_) => {
                        let message =
                            "Field 'report_events' in 'variables' entries must be boolean";
                        return Err(refuse(400, message));
                    }
                };
                settings.push((name.clone(), text.to_owned(), reported));
            }
            _ => {
                let message = "Each value in 'variables' must be a string or an object with 'value' and optional \
                               'report_events'";
                return Err(refuse(400, message));
            }
        }
    }
    Ok(settings)
}

fn variable_not_found() -> Refused {
    refuse_as(404, "Variable Not Found", "Provided variable was not found")
}

fn value_json(value: &str) -> String {
    object(|json| {
        json.text("value", value);
    })
}

/// Answers with the values of several variables, each once.
fn values_of(names: &[String], value_of: impl Fn(&str) -> Result<String, Refused>) -> Outcome {
    let mut values: Vec<(&str, String)> = Vec::new();
    for name in names {
        let name = name.trim();
        if name.is_empty() {
            return Err(refuse(400, "Variable names are required"));
        }
        let value = value_of(name)?;
        if !values.iter().any(|(known, _)| *known == name) {
            values.push((name, value));
        }
    }
    ok(object(|json| {
        json.object("variables", |json| {
            for (name, value) in &values {
                json.entry(name, value);
            }
        });
    }))
}

fn name_required() -> Refused {
    refuse(400, "Variable name is required")
}

impl World {
    /// The value of a variable or function, as the channel sees it.
    fn read_variable(&self, key: ChannelKey, name: &str) -> Result<String, Refused> {
        if let Some((function, argument)) =
            name.strip_suffix(')').and_then(|name| name.split_once('('))
        {
            return self.read_function(key, function, argument).ok_or_else(|| {
                refuse_as(
                    500,
                    "Error With Function",
                    "Unable to read provided function",
                )
            });
        }
        self.plain_variable(key, name)
            .ok_or_else(variable_not_found)
    }

    /// The value of a variable without functions: of the channel, of the dialplan, or global.
    pub(crate) fn plain_variable(&self, key: ChannelKey, name: &str) -> Option<String> {
        let own = self.channels.get(key)?.variable(name).map(Cow::into_owned);
        own.or_else(|| self.globals.get(name).cloned())
    }

    fn read_function(&self, key: ChannelKey, function: &str, argument: &str) -> Option<String> {
        let channel = self.channels.get(key)?;
        match function {
            "GLOBAL" => Some(self.globals.get(argument).cloned().unwrap_or_default()),
            "TONE_DETECT" => self.tone_hits(key, argument),
            _ => channel.read_function(function, argument),
        }
    }

    /// Sets a variable or function of a channel and tells it.
    pub(crate) fn write_variable(
        &mut self,
        key: ChannelKey,
        name: &str,
        value: Option<&str>,
        reported: bool,
    ) {
        if reported {
            self.report_variable(key, name, true);
        }
        if let Some((function, argument)) =
            name.strip_suffix(')').and_then(|name| name.split_once('('))
        {
            self.write_function(key, function, argument, value.unwrap_or_default());
            return;
        }
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        match value {
            Some(value) => {
                channel.variables.set(name, value);
                self.tell_varset(key, name, value);
            }
            None => channel.variables.remove(name),
        }
    }

    fn write_function(&mut self, key: ChannelKey, function: &str, argument: &str, value: &str) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        match function {
            "CALLERID" => {
                set_party(&mut channel.caller, argument, value);
                self.tell_caller_id(key);
            }
            "CONNECTEDLINE" => {
                set_party(&mut channel.connected, argument, value);
                let (peer, party) = (channel.peer(), channel.connected.clone());
                self.tell_channel_plain(key, "ChannelConnectedLine");
                if let Some(peer) = peer
                    && let Some(data) = self.channels.get_mut(peer)
                {
                    data.caller = party;
                    self.tell_caller_id(peer);
                }
            }
            "CHANNEL" => match argument {
                "accountcode" => value.clone_into(&mut channel.account),
                "language" => channel.language = value.into(),
                _ => {}
            },
            "TALK_DETECT" => self.set_talk_detection(key, argument, value),
            "TONE_DETECT" => self.set_tone_detection(key, argument),
            "PJSIP_TRANSFER_HANDLING" if matches!(channel.tech, Tech::Sip { .. }) => {
                channel.transfers = if value == "ari-only" {
                    Transfers::ByApplication
                } else {
                    Transfers::ByAsterisk
                };
            }
            "GLOBAL" => drop(self.globals.insert(argument.to_owned(), value.to_owned())),
            _ => {}
        }
    }

    pub(crate) fn tell_caller_id(&mut self, key: ChannelKey) {
        self.tell_channel(key, "ChannelCallerId", |world, json| {
            world.head(json, "ChannelCallerId");
            json.plain("caller_presentation", 0);
            json.text(
                "caller_presentation_txt",
                "Presentation Allowed, Not Screened",
            );
        });
    }

    pub(crate) fn get_channel_variable(&self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        ok(value_json(
            &self.read_variable(self.provided_channel(params)?, &name)?,
        ))
    }

    pub(crate) fn provided_channel(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.find_channel(&params.text("channelId"));
        key.ok_or_else(|| refuse_as(404, "Channel Not Found", "Provided channel was not found"))
    }

    pub(crate) fn get_channel_variables(&self, params: Params<'_>) -> Outcome {
        let names = variable_names(params)?;
        let key = self.provided_channel(params)?;
        values_of(&names, |name| self.read_variable(key, name))
    }

    pub(crate) fn set_channel_variable(&mut self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        let key = self.stasis_channel(params)?;
        let change = Change {
            name: name.into_owned(),
            value: params.0.parameters.text("value").map(Cow::into_owned),
            reported: params.truth("report_events"),
        };
        self.ask(key, Command::SetVariables(vec![change]))
    }

    pub(crate) fn set_channel_variables(&mut self, params: Params<'_>) -> Outcome {
        check_body(params)?;
        let key = self.provided_channel(params)?;
        self.stasis_channel(params)?;
        let settings = required_settings(params)?;
        let changes = settings.into_iter().map(|(name, value, reported)| Change {
            name: name.trim().to_owned(),
            value: Some(value),
            reported,
        });
        let changes = changes.collect();
        self.ask(key, Command::SetVariables(changes))
    }

    pub(crate) fn change_variables(&mut self, key: ChannelKey, changes: Vec<Change>) -> Response {
        for Change {
            name,
            value,
            reported,
        } in changes
        {
            self.report_variable(key, &name, reported);
            self.write_variable(key, &name, value.as_deref(), reported);
        }
        done()
    }

    /// Lets events about a channel show a variable or function, or no longer.
    fn report_variable(&mut self, key: ChannelKey, name: &str, reported: bool) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let known = channel.reported.iter().position(|known| known == name);
        match (known, reported) {
            (None, true) => channel.reported.push(name.to_owned()),
            (Some(place), false) => drop(channel.reported.remove(place)),
            _ => {}
        }
    }

    pub(crate) fn get_bridge_variable(&self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        let key = self.bridge_of(params)?;
        let value = self.bridge_variable(key, &name);
        ok(value_json(&value.ok_or_else(|| {
            refuse(404, "Provided variable was not found")
        })?))
    }

    fn bridge_variable(&self, key: BridgeKey, name: &str) -> Option<String> {
        self.bridges
            .get(key)?
            .variables
            .get(name)
            .map(str::to_owned)
    }

    pub(crate) fn get_bridge_variables(&self, params: Params<'_>) -> Outcome {
        let names = variable_names(params)?;
        let key = self.provided_bridge(params)?;
        values_of(&names, |name| {
            self.bridge_variable(key, name)
                .ok_or_else(variable_not_found)
        })
    }

    fn provided_bridge(&self, params: Params<'_>) -> Result<BridgeKey, Refused> {
        self.bridge_of(params)
            .map_err(|_| refuse_as(404, "Bridge Not Found", "Provided bridge was not found"))
    }

    pub(crate) fn set_bridge_variable(&mut self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        let key = self.bridge_of(params)?;
        let settings = [(
            name.trim().to_owned(),
            params.text("value").into_owned(),
            params.truth("report_events"),
        )];
        self.write_bridge_variables(key, &settings);
        no_content()
    }

    pub(crate) fn set_bridge_variables(&mut self, params: Params<'_>) -> Outcome {
        check_body(params)?;
        let key = self.provided_bridge(params)?;
        let settings = required_settings(params)?;
        self.write_bridge_variables(key, &settings);
        no_content()
    }

    pub(crate) fn write_bridge_variables(&mut self, key: BridgeKey, settings: &[Setting]) {
        if let Some(bridge) = self.bridges.get_mut(key) {
            for (name, value, reported) in settings {
                bridge.variables.replace(name.trim(), value, *reported);
            }
        }
    }

    pub(crate) fn get_global_variable(&self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        let name = name
            .strip_prefix("GLOBAL(")
            .and_then(|name| name.strip_suffix(')'))
            .unwrap_or(&name);
        ok(value_json(
            self.globals.get(name).map_or("", String::as_str),
        ))
    }

    pub(crate) fn set_global_variable(&mut self, params: Params<'_>) -> Outcome {
        let name = params.given("variable").ok_or_else(name_required)?;
        let name = name
            .strip_prefix("GLOBAL(")
            .and_then(|name| name.strip_suffix(')'))
            .unwrap_or(&name);
        if !name.contains('(') {
            self.globals
                .insert(name.to_owned(), params.text("value").into_owned());
        }
        no_content()
    }
}

fn variable_names(params: Params<'_>) -> Result<Vec<String>, Refused> {
    let names = params.list("variables");
    if names.is_empty() {
        Err(refuse(400, "At least one variable name is required"))
    } else {
        Ok(names)
    }
}

/// A request that sets variables has a JSON body, whatever is in it.
fn check_body(params: Params<'_>) -> Result<(), Refused> {
    let known = |name: &str| params.0.operation.parameter(name).is_some();
    let mut names = params.0.parameters.iter().map(|(name, _)| name);
    if names.any(|name| name == "variables" || !known(name)) {
        Ok(())
    } else {
        Err(refuse(400, "The 'variables' field is required"))
    }
}

fn required_settings(params: Params<'_>) -> Result<Vec<Setting>, Refused> {
    match params.value("variables") {
        members @ Some(Value::Object(_)) => read_settings(members),
        _ => Err(refuse(400, "The 'variables' field must be a JSON object")),
    }
}

fn set_party(party: &mut Party, argument: &str, value: &str) {
    match argument {
        "num" | "number" => value.clone_into(&mut party.number),
        "name" => value.clone_into(&mut party.name),
        "all" => *party = Party::parse(value),
        _ => {}
    }
}
