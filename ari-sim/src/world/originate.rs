//! Calls that the application makes: originate, and create with dial.

use std::sync::Arc;

use super::{
    World,
    arena::Key,
    channel::{Channel, ChannelKey, Party, State, Tech, Then},
    json::object,
    params::Params,
    reply::{Outcome, Refused, allocation_failed, no_content, ok, refuse},
    variables::{Setting, read_settings},
};

/// Longest id that Asterisk takes.
const MAX_ID: usize = 149;

/// How long an originated call rings when no timeout was asked for.
const DEFAULT_TIMEOUT: i64 = 30;

/// Codecs that channels may be asked to have.
const FORMATS: &[&str] = &[
    "ulaw", "alaw", "slin", "slin16", "slin48", "gsm", "g722", "g726", "g729", "opus", "speex",
    "ilbc", "h264", "vp8",
];

/// An endpoint that a call goes to.
pub(crate) enum Endpoint {
    Local { exten: String, context: String },
    Sip { name: String },
}

impl World {
    pub(crate) fn originate(&mut self, params: Params<'_>) -> Outcome {
        let endpoint_text = endpoint_text(params)?;
        if !params.has("app") && !params.has("extension") {
            return Err(refuse(400, "Application or extension must be specified"));
        }
        let settings = read_settings(params.value("variables"))?;
        self.check_formats(params, true)?;
        let (context, exten) = (params.given("context"), params.text("extension"));
        let then = if let Some(app) = params.given("app") {
            Then::Stasis {
                app: app.into_owned(),
                args: params.text("appArgs").into_owned(),
            }
        } else {
            let context = context.unwrap_or_else(|| "default".into()).into_owned();
            let priority = self.priority_of(params, &context, &exten)?.unwrap_or(1);
            Then::Dialplan {
                context,
                exten: exten.into_owned(),
                priority,
            }
        };
        let endpoint = self.endpoint(&endpoint_text)?;
        let key = self.make_called_channel(&endpoint, params, &settings)?;
        let dialstring = endpoint_text
            .split_once('/')
            .map_or("", |(_, resource)| resource)
            .to_owned();

        let caller = params.given("callerId").map(|text| Party::parse(&text));
        if let Some(channel) = self.channels.get_mut(key) {
            channel.home = ("AppDial2", "(Outgoing Line)");
            (channel.place.app, channel.place.data) =
                ("AppDial2".to_owned(), "(Outgoing Line)".to_owned());
        }
        self.tell_dialplan(key);
        if let Some(party) = caller {
            if let Some(channel) = self.channels.get_mut(key) {
                channel.caller = party.clone();
            }
            self.tell_caller_id(key);
            if let Some(channel) = self.channels.get_mut(key) {
                channel.connected = party;
            }
            self.tell_channel_plain(key, "ChannelConnectedLine");
        }
        let answer = ok(self.channel_json(key));

        if let Then::Stasis { app, .. } = &then
            && let Some(app) = self.app_by_name(app)
        {
            self.watch_channel(app, key);
            if let Some(peer) = self.peer_of(key) {
                self.watch_channel(app, peer);
            }
        }
        let seconds = params
            .number("timeout")
            .filter(|seconds| *seconds > 0)
            .unwrap_or(DEFAULT_TIMEOUT);
        self.start_dialing(key, &endpoint, dialstring, then, Some(seconds));
        answer
    }

    pub(crate) fn create_channel(&mut self, params: Params<'_>) -> Outcome {
        let endpoint_text = endpoint_text(params)?;
        let settings = read_settings(params.value("variables"))?;
        self.check_formats(params, false)?;
        let endpoint = self.endpoint(&endpoint_text)?;
        let key = self.make_called_channel(&endpoint, params, &[])?;
        let app_name = params.text("app");
        let app = self.active_app(&app_name);
        if let Some(app) = app {
            self.watch_channel(app, key);
            if let Some(originator) = params.given("originator")
                && let Some(&originator) = self.channel_ids.get(&*originator)
            {
                self.watch_channel(app, originator);
            }
        }
        for (name, value, reported) in &settings {
            self.write_variable(key, name, Some(value), *reported);
        }
        let answer = ok(self.channel_json(key));
        if app.is_none() {
            self.end_channel(key);
            return answer;
        }
        self.show_stasis(key, &app_name, &params.text("appArgs"));
        self.tell_dialplan(key);
        self.enter_stasis(key, &app_name, &params.text("appArgs"));
        answer
    }

    pub(crate) fn dial(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let not_down = || refuse(409, "Channel is not in the 'Down' state");
        let channel = self
            .channels
            .get(key)
            .filter(|channel| channel.state == State::Down)
            .ok_or_else(not_down)?;
        if channel.dialing.is_some() {
            return Err(not_down());
        }
        let endpoint = match &channel.tech {
            Tech::Local { .. } => Endpoint::Local {
                exten: channel.place.exten.clone(),
                context: channel.place.context.clone(),
            },
            Tech::Sip { endpoint, .. } => Endpoint::Sip {
                name: endpoint.clone(),
            },
        };
        let dialstring = match &endpoint {
            Endpoint::Local { exten, context } => format!("{exten}@{context}"),
            Endpoint::Sip { name } => name.clone(),
        };
        let caller = params
            .given("caller")
            .and_then(|id| self.channel_ids.get(&*id).copied());
        if let Some(party) = caller
            .and_then(|caller| self.channels.get(caller))
            .map(|caller| caller.caller.clone())
            && let Some(channel) = self
                .channels
                .get_mut(key)
                .filter(|channel| channel.connected != party)
        {
            channel.connected = party;
            self.tell_channel_plain(key, "ChannelConnectedLine");
        }
        let timeout = params.number("timeout").filter(|seconds| *seconds > 0);
        self.start_dialing(key, &endpoint, dialstring, Then::Stay, timeout);
        no_content()
    }

    fn check_formats(&self, params: Params<'_>, check_originator: bool) -> Result<(), Refused> {
        let originator = params.given("originator");
        if originator.is_some() && params.given("formats").is_some() {
            return Err(refuse(
                400,
                "Originator and formats can't both be specified",
            ));
        }
        for format in params.list("formats") {
            if !format.is_empty() && !FORMATS.contains(&&*format) {
                return Err(refuse(
                    400,
                    &format!("Provided format ({format}) was not found"),
                ));
            }
        }
        match originator {
            Some(id) if check_originator && !self.channel_ids.contains_key(&*id) => {
                Err(refuse(400, "Provided originator channel was not found"))
            }
            _ => Ok(()),
        }
    }

    /// The priority that `label` or `priority` names.
    pub(crate) fn priority_of(
        &self,
        params: Params<'_>,
        context: &str,
        exten: &str,
    ) -> Result<Option<i64>, Refused> {
        match params.given("label") {
            Some(label) => match self.options.dialplan.label(context, exten, &label) {
                Some(priority) => Ok(Some(priority)),
                None => label
                    .parse()
                    .map(Some)
                    .map_err(|_| refuse(404, "Requested label can not be found")),
            },
            None => Ok(params.number("priority").filter(|priority| *priority > 0)),
        }
    }

    fn endpoint(&self, text: &str) -> Result<Endpoint, Refused> {
        let (tech, resource) = text
            .split_once('/')
            .ok_or_else(|| refuse(400, "Invalid endpoint specified"))?;
        match tech {
            "Local" => {
                let resource = resource.split('/').next().unwrap_or_default();
                let (exten, context) = resource.split_once('@').unwrap_or((resource, "default"));
                Ok(Endpoint::Local {
                    exten: exten.to_owned(),
                    context: context.to_owned(),
                })
            }
            "PJSIP" if self.options.phones.contains_key(resource) => Ok(Endpoint::Sip {
                name: resource.to_owned(),
            }),
            _ => Err(allocation_failed()),
        }
    }

    /// Makes the channel that is called, with its other half.
    fn make_called_channel(
        &mut self,
        endpoint: &Endpoint,
        params: Params<'_>,
        settings: &[Setting],
    ) -> Result<ChannelKey, Refused> {
        let id = params.given("channelId").map(Arc::<str>::from);
        let other = params.given("otherChannelId").map(Arc::<str>::from);
        if [&id, &other]
            .into_iter()
            .flatten()
            .any(|id| id.len() > MAX_ID)
        {
            return Err(refuse(400, "Uniqueid length exceeds maximum of 149"));
        }
        let taken = |id: &Option<Arc<str>>| {
            id.as_ref()
                .is_some_and(|id| self.channel_ids.contains_key(id))
        };
        if taken(&id) || taken(&other) || (id.is_some() && id == other) {
            return Err(refuse(409, "Channel with given unique ID already exists"));
        }
        let generated = id.is_none();
        let id = id.unwrap_or_else(|| self.unique_id().into());
        let key = match endpoint {
            Endpoint::Local { exten, context } => {
                let other = other.unwrap_or_else(|| {
                    if generated {
                        self.unique_id().into()
                    } else {
                        format!("{id};2").into()
                    }
                });
                self.make_local_pair(id, other, exten, context).0
            }
            Endpoint::Sip { name } => self.make_sip_channel(id, name, State::Down),
        };
        if let Some(channel) = self.channels.get_mut(key) {
            for (name, value, reported) in settings {
                match name.as_str() {
                    "CALLERID(name)" => value.clone_into(&mut channel.caller.name),
                    "CALLERID(num)" => value.clone_into(&mut channel.caller.number),
                    _ => channel.variables.set(name, value, *reported),
                }
            }
        }
        Ok(key)
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

    fn add_channel(
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
        ok(self.channel_json(self.channel_of(params)?))
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

    pub(crate) fn channel_of(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.channel_ids.get(&*params.text("channelId")).copied();
        key.ok_or_else(|| refuse(404, "Channel not found"))
    }

    /// The channel of a request, if it is in Stasis.
    pub(crate) fn stasis_channel(&self, params: Params<'_>) -> Result<ChannelKey, Refused> {
        let key = self.channel_of(params)?;
        let in_stasis = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.stasis().is_some());
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
        .map(std::borrow::Cow::into_owned)
        .ok_or_else(|| refuse(400, "Endpoint must be specified"))
}
