//! Calls that the application makes: originate, and create with dial.

use std::{borrow::Cow, sync::Arc};

use super::{
    World,
    arena::Key,
    channel::{Channel, ChannelKey, Party, State, Tech, Then},
    detect::scanned,
    external::MediaEndpoint,
    formats::format_named,
    json::object,
    params::Params,
    queue::Command,
    reply::{Outcome, Refused, allocation_failed, ok, refuse},
    variables::{Setting, read_loose_settings},
};

/// Longest id that Asterisk takes.
pub(crate) const MAX_ID: usize = 149;

/// How long an originated call rings when no timeout was asked for.
const DEFAULT_TIMEOUT: i64 = 30;

/// An endpoint that a call goes to.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    Local { exten: String, context: String },
    Sip { name: String },
    Media(MediaEndpoint),
}

/// A call that is to be made.
#[derive(Debug)]
pub(crate) struct Origination {
    endpoint: String,
    then: Then,
    caller_id: Option<String>,
    /// Seconds that it rings; `None`: for ever.
    timeout: Option<i64>,
    pub(crate) channel_id: Option<String>,
    other_channel_id: Option<String>,
    originator: Option<String>,
    pub(crate) formats: Option<String>,
}

impl Origination {
    pub(crate) fn into_application(endpoint: String, app: String, args: String) -> Self {
        Self {
            endpoint,
            then: Then::Stasis { app, args },
            caller_id: None,
            timeout: Some(DEFAULT_TIMEOUT),
            channel_id: None,
            other_channel_id: None,
            originator: None,
            formats: None,
        }
    }

    /// What is called, without the technology.
    fn dialstring(&self) -> &str {
        self.endpoint
            .split_once('/')
            .map_or("", |(_, resource)| resource)
    }
}

impl World {
    pub(crate) fn originate(&mut self, params: Params<'_>) -> Outcome {
        let settings = read_loose_settings(params.value("variables"))?;
        let origination = self.read_origination(params)?;
        let key = self.make_call(&origination, &settings)?;
        let answer = ok(self.channel_json(key));
        self.call_out(key, origination);
        answer
    }

    fn read_origination(&self, params: Params<'_>) -> Result<Origination, Refused> {
        let owned = |name: &str| params.given(name).map(Cow::into_owned);
        let (channel_id, other_channel_id) = (owned("channelId"), owned("otherChannelId"));
        check_ids([channel_id.as_deref(), other_channel_id.as_deref()])?;
        let endpoint = endpoint_text(params)?;
        check_originator(params)?;
        split_endpoint(&endpoint)?;
        let then = if let Some(app) = owned("app") {
            Then::Stasis {
                app,
                args: params.text("appArgs").into_owned(),
            }
        } else if let Some(exten) = owned("extension") {
            let context = owned("context").unwrap_or_else(|| "default".to_owned());
            let priority = self.priority_of(params, &context, &exten)?.unwrap_or(1);
            Then::Dialplan {
                context,
                exten,
                priority,
            }
        } else {
            return Err(refuse(400, "Application or extension must be specified"));
        };
        let timeout = match params.number("timeout") {
            Some(-1) => None,
            Some(seconds) if seconds > 0 => Some(seconds),
            _ => Some(DEFAULT_TIMEOUT),
        };
        Ok(Origination {
            endpoint,
            then,
            caller_id: owned("callerId"),
            timeout,
            channel_id,
            other_channel_id,
            originator: owned("originator"),
            formats: owned("formats"),
        })
    }

    /// Makes the channel of a call, without calling yet.
    pub(crate) fn make_call(
        &mut self,
        origination: &Origination,
        settings: &[Setting],
    ) -> Result<ChannelKey, Refused> {
        let caller = origination.caller_id.as_deref().map(Party::parse);
        let originator = match &origination.originator {
            Some(id) => Some(
                self.find_channel(id)
                    .ok_or_else(|| refuse(400, "Provided originator channel was not found"))?,
            ),
            None => None,
        };
        check_formats(origination.formats.as_deref())?;
        let (tech, resource) = split_endpoint(&origination.endpoint)?;
        let endpoint = self.endpoint(tech, resource)?;
        let ids = (
            origination.channel_id.as_deref(),
            origination.other_channel_id.as_deref(),
        );
        let key = self.make_called_channel(&endpoint, ids, origination.formats.as_deref())?;
        if let Some(channel) = self.channels.get_mut(key) {
            channel.home = ("AppDial2", "(Outgoing Line)");
            (channel.place.app, channel.place.data) =
                ("AppDial2".to_owned(), "(Outgoing Line)".to_owned());
        }
        if let Some(originator) = originator {
            self.inherit(originator, key);
        }
        self.tell_dialplan(key);
        if let Some(party) = caller.filter(|party| !party.is_empty()) {
            if let Some(channel) = self.channels.get_mut(key) {
                channel.caller.clone_from(&party);
            }
            self.tell_caller_id(key);
            if let Some(channel) = self.channels.get_mut(key) {
                channel.connected = party;
            }
            self.tell_channel_plain(key, "ChannelConnectedLine");
        }
        for (name, value, reported) in settings {
            self.write_variable(key, name, Some(value), *reported);
        }
        if let Then::Stasis { app, .. } = &origination.then
            && let Some(app) = self.app_by_name(app)
        {
            self.watch_channel(app, key);
            if let Some(peer) = self.peer_of(key) {
                self.watch_channel(app, peer);
            }
        }
        Ok(key)
    }

    /// Calls.
    pub(crate) fn call_out(&mut self, key: ChannelKey, origination: Origination) {
        let dialstring = origination.dialstring().to_owned();
        let endpoint = split_endpoint(&origination.endpoint)
            .and_then(|(tech, resource)| self.endpoint(tech, resource));
        if let Ok(endpoint) = endpoint {
            let timeout = origination.timeout;
            self.start_dialing(key, &endpoint, dialstring, origination.then, timeout);
        }
    }

    /// What a channel that is called takes over from the one that calls.
    fn inherit(&mut self, from: ChannelKey, to: ChannelKey) {
        let Some(caller) = self.channels.get(from) else {
            return;
        };
        let inherited: Vec<_> = caller
            .variables
            .iter()
            .filter_map(|(name, value)| {
                // One underscore is lost on the way, two stay.
                let name = name.strip_prefix('_')?;
                let name = if name.starts_with('_') {
                    format!("_{name}")
                } else {
                    name.to_owned()
                };
                Some((name, value.to_owned()))
            })
            .collect();
        let (party, language) = (caller.caller.clone(), Arc::clone(&caller.language));
        for (name, value) in inherited {
            self.write_variable(to, &name, Some(&value), false);
        }
        let Some(channel) = self.channels.get_mut(to) else {
            return;
        };
        channel.language = language;
        if channel.connected != party {
            channel.connected = party;
            self.tell_channel_plain(to, "ChannelConnectedLine");
        }
    }

    pub(crate) fn create_channel(&mut self, params: Params<'_>) -> Outcome {
        let settings = read_loose_settings(params.value("variables"))?;
        check_originator(params)?;
        let endpoint_text = endpoint_text(params)?;
        let (tech, resource) = split_endpoint(&endpoint_text)?;
        let app_name = params.text("app");
        let originator = params
            .given("originator")
            .and_then(|id| self.find_channel(&id));
        let app = self.app_by_name(&app_name);
        if let Some(originator) = originator {
            if let Some(app) = app {
                self.watch_channel(app, originator);
            }
        } else {
            check_formats(params.given("formats").as_deref())?;
        }
        let ids = (params.given("channelId"), params.given("otherChannelId"));
        let ids = (ids.0.as_deref(), ids.1.as_deref());
        check_ids([ids.0, ids.1])?;
        let endpoint = self.endpoint(tech, resource)?;
        let formats = params.given("formats");
        let key = self.make_called_channel(&endpoint, ids, formats.as_deref())?;
        if let Some(channel) = self.channels.get_mut(key) {
            channel.dials = Some(Box::new((endpoint, resource.to_owned())));
        }
        if let Some(app) = app {
            self.watch_channel(app, key);
        }
        for (name, value, reported) in &settings {
            self.write_variable(key, name, Some(value), *reported);
        }
        let answer = ok(self.channel_json(key));
        self.show_stasis(key, &app_name, &params.text("appArgs"));
        self.tell_dialplan(key);
        if !self.enter_stasis(key, &app_name, &params.text("appArgs")) {
            self.end_channel(key);
        }
        answer
    }

    pub(crate) fn dial(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let not_down = || refuse(409, "Channel is not in the 'Down' state");
        let channel = self
            .channels
            .get(key)
            .filter(|channel| channel.state == State::Down && channel.dialing.is_none())
            .ok_or_else(not_down)?;
        if channel.dials.is_none() {
            return Err(refuse(409, "Dialing a channel not created by ARI"));
        }
        let caller = params.given("caller").and_then(|id| self.find_channel(&id));
        if let Some(caller) = caller {
            self.inherit(caller, key);
        }
        let timeout = params.number("timeout").filter(|seconds| *seconds > 0);
        self.order(key, Command::Dial(timeout))
    }

    /// Calls the far side of a channel that was created.
    pub(crate) fn dial_now(&mut self, key: ChannelKey, timeout: Option<i64>) {
        let Some(dials) = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.dials.take())
        else {
            return;
        };
        let (endpoint, dialstring) = *dials;
        self.start_dialing(key, &endpoint, dialstring, Then::Stay, timeout);
    }

    /// The priority that `label` or `priority` names.
    pub(crate) fn priority_of(
        &self,
        params: Params<'_>,
        context: &str,
        exten: &str,
    ) -> Result<Option<i64>, Refused> {
        let Some(label) = params.given("label") else {
            return Ok(params.number("priority").filter(|priority| *priority != 0));
        };
        let priority = match scanned(&label) {
            Some(number) => i64::from(number),
            None => self
                .options
                .dialplan
                .label(context, exten, &label)
                .ok_or_else(|| refuse(404, "Requested label can not be found"))?,
        };
        if priority == 0 {
            return Err(refuse(400, "Requested priority is illegal"));
        }
        Ok(Some(priority))
    }

    pub(crate) fn endpoint(&self, tech: &str, resource: &str) -> Result<Endpoint, Refused> {
        if tech.eq_ignore_ascii_case("Local") {
            let resource = resource.split('/').next().unwrap_or_default();
            let (exten, context) = resource.split_once('@').unwrap_or((resource, "default"));
            return Ok(Endpoint::Local {
                exten: exten.to_owned(),
                context: context.to_owned(),
            });
        }
        if tech.eq_ignore_ascii_case("PJSIP")
            && self.options.phones.contains_key(resource)
            && self.is_reachable(resource)
        {
            return Ok(Endpoint::Sip {
                name: resource.to_owned(),
            });
        }
        MediaEndpoint::parse(tech, resource)
            .map(Endpoint::Media)
            .ok_or_else(allocation_failed)
    }

    /// Makes the channel that is called, with its other half.
    pub(crate) fn make_called_channel(
        &mut self,
        endpoint: &Endpoint,
        (id, other): (Option<&str>, Option<&str>),
        formats: Option<&str>,
    ) -> Result<ChannelKey, Refused> {
        // Without an id for the first half, one for the other means nothing.
        let other = id.map(|id| other.map_or_else(|| Cow::Owned(format!("{id};2")), Cow::Borrowed));
        let other = other.filter(|_| matches!(endpoint, Endpoint::Local { .. }));
        let taken = |id: &str| self.channel_ids.contains_key(id);
        if id.is_some_and(taken)
            || other.as_deref().is_some_and(taken)
            || (id.is_some() && id == other.as_deref())
        {
            return Err(refuse(409, "Channel with given unique ID already exists"));
        }
        let id: Arc<str> = id.map_or_else(|| self.unique_id().into(), Arc::from);
        match endpoint {
            Endpoint::Local { exten, context } => {
                let other = other.map_or_else(|| self.unique_id().into(), Arc::from);
                Ok(self.make_local_pair(id, other, exten, context).0)
            }
            Endpoint::Sip { name } => Ok(self.make_sip_channel(id, name, State::Down)),
            Endpoint::Media(media) => self.make_media_channel(id, media, formats),
        }
    }

    fn make_local_pair(
        &mut self,
        id: Arc<str>,
        other: Arc<str>,
        exten: &str,
        context: &str,
    ) -> (ChannelKey, ChannelKey) {
        let number = self.local_names;
        self.local_names += 1;
        let make = |world: &mut Self, id: Arc<str>, half: u8, state: State| {
            let name = format!("Local/{exten}@{context}-{number:08x};{half}");
            let tech = Tech::Local { peer: None };
            let key = world.add_channel(id, name, tech, state);
            if let Some(channel) = world.channels.get_mut(key) {
                (channel.place.context, channel.place.exten) =
                    (context.to_owned(), exten.to_owned());
            }
            key
        };
        let near = make(self, id, 1, State::Down);
        let far = make(self, other, 2, State::Ring);
        for (key, peer) in [(near, far), (far, near)] {
            if let Some(channel) = self.channels.get_mut(key) {
                channel.tech = Tech::Local { peer: Some(peer) };
            }
            self.tell_channel_plain(key, "ChannelCreated");
        }
        (near, far)
    }

    /// Makes the channel of a SIP phone, which calls (`Ring`) or is called (`Down`).
    pub(crate) fn make_sip_channel(
        &mut self,
        id: Arc<str>,
        endpoint: &str,
        state: State,
    ) -> ChannelKey {
        let name = format!("PJSIP/{endpoint}-{:08x}", self.sip_names);
        self.sip_names += 1;
        let tech = Tech::Sip {
            endpoint: endpoint.to_owned(),
            call: None,
        };
        let key = self.add_channel(id, name, tech, state);
        self.tell_endpoint(endpoint);
        self.tell_channel_plain(key, "ChannelCreated");
        let protocol_id = self.generated_id();
        if let Some(channel) = self.channels.get_mut(key) {
            channel.protocol_id = protocol_id;
        }
        key
    }

    pub(crate) fn add_channel(
        &mut self,
        id: Arc<str>,
        name: String,
        tech: Tech,
        state: State,
    ) -> Key<Channel> {
        let serial = self.next_serial();
        let created = Arc::clone(self.stamp.text());
        let key = self.channels.insert(Channel::new(
            Arc::clone(&id),
            name,
            serial,
            tech,
            state,
            created,
        ));
        self.channel_ids.insert(id, key);
        key
    }

    pub(crate) fn list_channels(&self) -> Outcome {
        let mut channels: Vec<_> = self.channels.iter().map(|(_, channel)| channel).collect();
        channels.sort_by_key(|channel| channel.serial);
        let items = channels
            .into_iter()
            .map(|channel| object(|json| channel.write(json)));
        ok(super::json::array(items))
    }

    pub(crate) fn get_channel(&self, params: Params<'_>) -> Outcome {
        let key = self.channel_ids.get(&*params.text("channelId")).copied();
        let key = key.ok_or_else(|| refuse(404, "Channel not found"))?;
        ok(self.channel_json(key))
    }

    pub(crate) fn channel_json(&self, key: ChannelKey) -> String {
        object(|json| {
            if let Some(channel) = self.channels.get(key) {
                channel.write(json);
            }
        })
    }

    pub(crate) fn peer_of(&self, key: ChannelKey) -> Option<ChannelKey> {
        self.channels.get(key)?.peer()
    }

    /// The channel of a request that may name it as well.
    pub(crate) fn named_channel(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.find_channel(&params.text("channelId"));
        key.ok_or_else(|| refuse(404, "Channel not found"))
    }

    /// The channel of a request, if it is in Stasis, where channels are known by their ids only.
    pub(crate) fn stasis_channel(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.named_channel(params)?;
        let id = params.text("channelId");
        let in_stasis = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.stasis().is_some() && *channel.id == *id);
        if in_stasis {
            Ok(key)
        } else {
            Err(refuse(409, "Channel not in Stasis application"))
        }
    }
}

fn endpoint_text(params: Params<'_>) -> Result<String, Refused> {
    params
        .given("endpoint")
        .map(Cow::into_owned)
        .ok_or_else(|| refuse(400, "Endpoint must be specified"))
}

fn split_endpoint(text: &str) -> Result<(&str, &str), Refused> {
    text.split_once('/')
        .filter(|(tech, resource)| !tech.is_empty() && !resource.is_empty())
        .ok_or_else(|| refuse(400, "Invalid endpoint specified"))
}

pub(crate) fn check_ids(ids: [Option<&str>; 2]) -> Result<(), Refused> {
    if ids.into_iter().flatten().any(|id| id.len() > MAX_ID) {
        return Err(refuse(400, "Uniqueid length exceeds maximum of 149"));
    }
    Ok(())
}

fn check_originator(params: Params<'_>) -> Result<(), Refused> {
    if params.given("originator").is_some() && params.given("formats").is_some() {
        return Err(refuse(
            400,
            "Originator and formats can't both be specified",
        ));
    }
    Ok(())
}

fn check_formats(formats: Option<&str>) -> Result<(), Refused> {
    for format in formats.into_iter().flat_map(|list| list.split(',')) {
        let format = format.trim();
        if format_named(format).is_none() {
            return Err(refuse(
                400,
                &format!("Provided format ({format}) was not found"),
            ));
        }
    }
    Ok(())
}
