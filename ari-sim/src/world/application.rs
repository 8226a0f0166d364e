//! Stasis applications: who is connected as what, and what each is subscribed to.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    World,
    arena::Key,
    bridge::BridgeKey,
    channel::ChannelKey,
    json::{Json, array, object},
    params::Params,
    reply::{Outcome, Refused, ok, refuse},
};

pub(crate) type AppKey = Key<Application>;

/// A connection over which events go out, to be named in [`World::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) u64);

/// Types of events that an application wants, or does not want.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    allowed: Vec<String>,
    disallowed: Vec<String>,
    /// The lists as they were set.
    allowed_json: String,
    disallowed_json: String,
}

impl EventFilter {
    pub(crate) fn passes(&self, kind: &str) -> bool {
        let named = |list: &[String]| list.iter().any(|known| known == kind);
        (self.allowed.is_empty() || named(&self.allowed)) && !named(&self.disallowed)
    }
}

/// A set of kinds of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const CHANNELS: u8 = 1;
    pub(crate) const BRIDGES: u8 = 2;
    pub(crate) const ENDPOINTS: u8 = 4;
    pub(crate) const DEVICES: u8 = 8;

    pub(crate) const fn has(self, kind: u8) -> bool {
        self.0 & kind != 0
    }

    const fn add(&mut self, kind: u8) {
        self.0 |= kind;
    }
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) name: Arc<str>,
    pub(crate) session: Option<SessionId>,
    /// It was registered with subscribeAll.
    subscribe_all: bool,
    /// Kinds of which it hears everything.
    pub(crate) all: Kinds,
    pub(crate) channels: BTreeMap<Arc<str>, (ChannelKey, u32)>,
    pub(crate) bridges: BTreeMap<Arc<str>, (BridgeKey, u32)>,
    pub(crate) endpoints: BTreeMap<String, u32>,
    pub(crate) devices: BTreeMap<String, u32>,
    pub(crate) filter: EventFilter,
}

impl Application {
    fn new(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            session: None,
            subscribe_all: false,
            all: Kinds(0),
            channels: BTreeMap::new(),
            bridges: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            devices: BTreeMap::new(),
            filter: EventFilter::default(),
        }
    }

    fn has_subscriptions(&self) -> bool {
        self.all != Kinds(0)
            || !self.channels.is_empty()
            || !self.bridges.is_empty()
            || !self.endpoints.is_empty()
            || !self.devices.is_empty()
    }

    fn write(&self, json: &mut Json) {
        fn ids<'a>(all: bool, topic: &'a str, ids: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
            all.then_some(topic).into_iter().chain(ids).collect()
        }
        json.text("name", &self.name);
        let channels = self.channels.keys().map(|id| &**id);
        json.texts(
            "channel_ids",
            ids(
                self.all.has(Kinds::CHANNELS),
                "__AST_CHANNEL_ALL_TOPIC",
                channels,
            ),
        );
        let bridges = self.bridges.keys().map(|id| &**id);
        json.texts(
            "bridge_ids",
            ids(
                self.all.has(Kinds::BRIDGES),
                "__AST_BRIDGE_ALL_TOPIC",
                bridges,
            ),
        );
        let endpoints = self.endpoints.keys().map(String::as_str);
        json.texts(
            "endpoint_ids",
            ids(
                self.all.has(Kinds::ENDPOINTS),
                "__AST_ENDPOINT_ALL_TOPIC",
                endpoints,
            ),
        );
        let devices = self.devices.keys().map(String::as_str);
        json.texts(
            "device_names",
            ids(
                self.all.has(Kinds::DEVICES),
                "__AST_DEVICE_STATE_ALL_TOPIC",
                devices,
            ),
        );
        let list = |text: &str| {
            if text.is_empty() {
                "[]".to_owned()
            } else {
                text.to_owned()
            }
        };
        json.raw("events_allowed", &list(&self.filter.allowed_json));
        json.raw("events_disallowed", &list(&self.filter.disallowed_json));
    }
}

/// Something that events come from.
enum Source {
    Channel(ChannelKey),
    Bridge(BridgeKey),
    Endpoint(String),
    Device(String),
    AllChannels,
    AllBridges,
    AllEndpoints,
    AllDevices,
}

impl World {
    /// Opens a connection for events; applications are then put on it with [`register`](Self::register).
    pub fn open_session(&mut self) -> SessionId {
        self.sessions += 1;
        SessionId(self.sessions)
    }

    /// Makes a session the one that gets an application's events; the one before is told that it was replaced.
    ///
    /// As in Asterisk, `subscribe_all` is ignored for an application that still exists.
    pub fn register(&mut self, session: SessionId, application: &str, subscribe_all: bool) {
        let key = if let Some(key) = self.app_by_name(application) {
            key
        } else {
            let key = self.apps.insert(Application::new(application));
            self.app_names.insert(Arc::from(application), key);
            if subscribe_all {
                self.subscribe_to_all(key);
            }
            key
        };
        let old = self
            .apps
            .get_mut(key)
            .and_then(|app| app.session.replace(session));
        let replaced = old.filter(|old| *old != session);
        if let Some(old) =
            replaced.filter(|_| self.lets_through(application, "ApplicationReplaced"))
        {
            self.tell_replaced(old, application);
        }
    }

    fn subscribe_to_all(&mut self, key: AppKey) {
        if let Some(app) = self.apps.get_mut(key) {
            app.subscribe_all = true;
            app.all = Kinds(Kinds::CHANNELS | Kinds::BRIDGES | Kinds::ENDPOINTS | Kinds::DEVICES);
        }
        self.find_broad_apps();
    }

    /// Ends a session. Its applications stay as long as they are subscribed to something.
    pub fn close_session(&mut self, session: SessionId) {
        let keys: Vec<_> = self
            .apps
            .iter()
            .filter(|(_, app)| app.session == Some(session))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            let Some(app) = self.apps.get_mut(key) else {
                continue;
            };
            app.session = None;
            if app.subscribe_all {
                // The subscription to everything ends with its socket, and the application with it.
                self.remove_app(key);
            } else {
                self.forget_unused(key);
            }
        }
    }

    /// The applications of a session, by name.
    pub(crate) fn applications_of(&self, session: SessionId) -> Vec<Arc<str>> {
        let own = self
            .apps
            .iter()
            .filter(|(_, app)| app.session == Some(session));
        let mut names: Vec<_> = own.map(|(_, app)| Arc::clone(&app.name)).collect();
        names.sort();
        names
    }

    /// Whether an application is connected.
    pub fn is_connected(&self, application: &str) -> bool {
        let app = self
            .app_by_name(application)
            .and_then(|key| self.apps.get(key));
        app.is_some_and(|app| app.session.is_some())
    }

    /// Whether events of a type go to an application: it exists, and its event filter lets them through.
    pub fn lets_through(&self, application: &str, kind: &str) -> bool {
        let app = self
            .app_by_name(application)
            .and_then(|key| self.apps.get(key));
        app.is_some_and(|app| app.filter.passes(kind))
    }

    pub(crate) fn app_by_name(&self, name: &str) -> Option<AppKey> {
        self.app_names.get(name).copied()
    }

    /// The application, if it is connected.
    pub(crate) fn active_app(&self, name: &str) -> Option<AppKey> {
        let key = self.app_by_name(name)?;
        self.apps.get(key)?.session.map(|_| key)
    }

    fn forget_unused(&mut self, key: AppKey) {
        if self
            .apps
            .get(key)
            .is_some_and(|app| app.session.is_none() && !app.has_subscriptions())
        {
            self.remove_app(key);
        }
    }

    fn remove_app(&mut self, key: AppKey) {
        let Some(app) = self.apps.remove(key) else {
            return;
        };
        self.app_names.remove(&app.name);
        for (channel, _) in app.channels.into_values() {
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.watchers.retain(|watcher| *watcher != key);
            }
        }
        for (bridge, _) in app.bridges.into_values() {
            if let Some(bridge) = self.bridges.get_mut(bridge) {
                bridge.watchers.retain(|watcher| *watcher != key);
            }
        }
        self.find_broad_apps();
    }

    /// Applications that hear of everything of a kind, or of endpoints: few, so that nobody else looks them up.
    fn find_broad_apps(&mut self) {
        let keys = |wanted: fn(&Application) -> bool| -> Vec<AppKey> {
            self.apps
                .iter()
                .filter(|(_, app)| wanted(app))
                .map(|(key, _)| key)
                .collect()
        };
        let channels = keys(|app| app.all.has(Kinds::CHANNELS));
        let bridges = keys(|app| app.all.has(Kinds::BRIDGES));
        let endpoints = keys(|app| app.all.has(Kinds::ENDPOINTS) || !app.endpoints.is_empty());
        let devices = keys(|app| app.all.has(Kinds::DEVICES) || !app.devices.is_empty());
        self.device_apps = devices;
        self.all_channel_apps = channels;
        self.all_bridge_apps = bridges;
        self.endpoint_apps = endpoints;
    }

    pub(crate) fn watch_channel(&mut self, key: AppKey, channel: ChannelKey) {
        let (Some(app), Some(data)) = (self.apps.get_mut(key), self.channels.get_mut(channel))
        else {
            return;
        };
        app.channels
            .entry(Arc::clone(&data.id))
            .or_insert((channel, 0))
            .1 += 1;
        if !data.watchers.contains(&key) {
            data.watchers.push(key);
        }
    }

    /// Takes back one subscription; says whether there was one.
    pub(crate) fn unwatch_channel(&mut self, key: AppKey, id: &str) -> bool {
        let Some(app) = self.apps.get_mut(key) else {
            return false;
        };
        let Some((channel, count)) = app.channels.get_mut(id) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            let channel = *channel;
            app.channels.remove(id);
            if let Some(data) = self.channels.get_mut(channel) {
                data.watchers.retain(|watcher| *watcher != key);
            }
            self.forget_unused(key);
        }
        true
    }

    pub(crate) fn watch_bridge(&mut self, key: AppKey, bridge: BridgeKey) {
        let (Some(app), Some(data)) = (self.apps.get_mut(key), self.bridges.get_mut(bridge)) else {
            return;
        };
        app.bridges
            .entry(Arc::clone(&data.id))
            .or_insert((bridge, 0))
            .1 += 1;
        if !data.watchers.contains(&key) {
            data.watchers.push(key);
        }
    }

    pub(crate) fn unwatch_bridge(&mut self, key: AppKey, id: &str) -> bool {
        let Some(app) = self.apps.get_mut(key) else {
            return false;
        };
        let Some((bridge, count)) = app.bridges.get_mut(id) else {
            return false;
        };
        *count -= 1;
        if *count == 0 {
            let bridge = *bridge;
            app.bridges.remove(id);
            if let Some(data) = self.bridges.get_mut(bridge) {
                data.watchers.retain(|watcher| *watcher != key);
            }
            self.forget_unused(key);
        }
        true
    }

    /// Ends all subscriptions to a channel that is gone.
    pub(crate) fn end_channel_subscriptions(&mut self, watchers: &[AppKey], id: &str) {
        for &key in watchers {
            if let Some(app) = self.apps.get_mut(key) {
                app.channels.remove(id);
            }
            self.forget_unused(key);
        }
    }

    /// Ends all subscriptions to a bridge that is gone.
    pub(crate) fn end_bridge_subscriptions(&mut self, watchers: &[AppKey], id: &str) {
        for &key in watchers {
            if let Some(app) = self.apps.get_mut(key) {
                app.bridges.remove(id);
            }
            self.forget_unused(key);
        }
    }

    pub(crate) fn list_applications(&self) -> Outcome {
        ok(array(
            self.apps
                .iter()
                .map(|(_, app)| object(|json| app.write(json))),
        ))
    }

    pub(crate) fn get_application(&self, params: Params<'_>) -> Outcome {
        let key = self.named_app(params)?;
        ok(self.application_json(key))
    }

    fn named_app(&self, params: Params<'_>) -> Result<AppKey, Refused> {
        self.app_by_name(&params.text("applicationName"))
            .ok_or_else(|| refuse(404, "Application not found"))
    }

    fn application_json(&self, key: AppKey) -> String {
        object(|json| {
            if let Some(app) = self.apps.get(key) {
                app.write(json);
            }
        })
    }

    pub(crate) fn subscribe(&mut self, params: Params<'_>) -> Outcome {
        if !params.has("eventSource") {
            return Err(refuse(400, "Missing parameter eventSource"));
        }
        let key = self.named_app(params)?;
        let mut sources = Vec::new();
        for uri in params.list("eventSource") {
            sources.push(
                self.source(&uri)?
                    .ok_or_else(|| refuse(422, "Event source does not exist"))?,
            );
        }
        if sources.is_empty() {
            return Err(refuse(400, "Invalid event source URI scheme"));
        }
        for source in sources {
            match source {
                Source::Channel(channel) => self.watch_channel(key, channel),
                Source::Bridge(bridge) => self.watch_bridge(key, bridge),
                other => {
                    if let Some(app) = self.apps.get_mut(key) {
                        match other {
                            Source::Endpoint(name) => *app.endpoints.entry(name).or_default() += 1,
                            Source::Device(name) => *app.devices.entry(name).or_default() += 1,
                            Source::AllChannels => app.all.add(Kinds::CHANNELS),
                            Source::AllBridges => app.all.add(Kinds::BRIDGES),
                            Source::AllEndpoints => app.all.add(Kinds::ENDPOINTS),
                            Source::AllDevices => app.all.add(Kinds::DEVICES),
                            Source::Channel(_) | Source::Bridge(_) => {}
                        }
                    }
                }
            }
        }
        self.find_broad_apps();
        ok(self.application_json(key))
    }

    /// The source that a URI names; `None`: it does not exist.
    fn source(&self, uri: &str) -> Result<Option<Source>, Refused> {
        let refused = || refuse(400, "Invalid event source URI scheme");
        let (scheme, name) = uri.split_once(':').ok_or_else(refused)?;
        Ok(match scheme {
            "channel" if name.is_empty() => Some(Source::AllChannels),
            "bridge" if name.is_empty() => Some(Source::AllBridges),
            "endpoint" if name.is_empty() => Some(Source::AllEndpoints),
            "deviceState" if name.is_empty() => Some(Source::AllDevices),
            "channel" => self.channel_ids.get(name).copied().map(Source::Channel),
            "bridge" => self.bridge_ids.get(name).copied().map(Source::Bridge),
            "endpoint" => self
                .endpoint_exists(name)
                .then(|| Source::Endpoint(name.to_owned())),
            "deviceState" => Some(Source::Device(name.to_owned())),
            _ => return Err(refused()),
        })
    }

    pub(crate) fn unsubscribe(&mut self, params: Params<'_>) -> Outcome {
        if !params.has("eventSource") {
            return Err(refuse(400, "Missing parameter eventSource"));
        }
        let key = self.named_app(params)?;
        let uris = params.list("eventSource");
        let not_subscribed = || refuse(422, "Event source was not subscribed to");
        if uris.is_empty() {
            return Err(refuse(400, "Invalid event source URI scheme"));
        }
        for uri in &uris {
            let refused = || refuse(400, "Invalid event source URI scheme");
            let (scheme, name) = uri.split_once(':').ok_or_else(refused)?;
            let app = self.apps.get(key).ok_or_else(not_subscribed)?;
            let subscribed = match (scheme, name.is_empty()) {
                ("channel" | "bridge" | "endpoint", true) => {
                    return Err(refuse(501, "Method not implemented"));
                }
                ("channel", _) => app.channels.contains_key(name),
                ("bridge", _) => app.bridges.contains_key(name),
                ("endpoint", _) => app.endpoints.contains_key(name),
                ("deviceState", _) => true,
                _ => return Err(refused()),
            };
            if !subscribed {
                return Err(not_subscribed());
            }
        }
        let mut left = self.application_json(key);
        for uri in &uris {
            let Some((scheme, name)) = uri.split_once(':') else {
                continue;
            };
            match scheme {
                "channel" => drop(self.unwatch_channel(key, name)),
                "bridge" => drop(self.unwatch_bridge(key, name)),
                _ => {
                    if let Some(app) = self.apps.get_mut(key) {
                        let counts = if scheme == "endpoint" {
                            &mut app.endpoints
                        } else {
                            &mut app.devices
                        };
                        release(counts, name);
                    }
                    self.forget_unused(key);
                }
            }
            if self.apps.get(key).is_some() {
                left = self.application_json(key);
            }
        }
        self.find_broad_apps();
        ok(left)
    }

    pub(crate) fn filter_events(&mut self, params: Params<'_>) -> Outcome {
        let key = self.named_app(params)?;
        let invalid = || refuse(400, "Invalid format definition");
        let mut filter = self
            .apps
            .get(key)
            .map(|app| app.filter.clone())
            .unwrap_or_default();
        let body = match params.value("filter") {
            None | Some(Value::Null) => None,
            Some(Value::Object(members)) => Some(members),
            Some(_) => return Err(invalid()),
        };
        let list = |value: &Value| -> Option<(Vec<String>, String)> {
            let items = value.as_array()?;
            let names = items
                .iter()
                .map(|item| item.get("type")?.as_str().map(str::to_owned));
            Some((names.collect::<Option<_>>()?, value.to_string()))
        };
        match body.filter(|members| !members.is_empty()) {
            None => filter = EventFilter::default(),
            Some(members) => {
                if let Some(value) = members.get("allowed") {
                    (filter.allowed, filter.allowed_json) = list(value).ok_or_else(invalid)?;
                }
                if let Some(value) = members.get("disallowed") {
                    (filter.disallowed, filter.disallowed_json) =
                        list(value).ok_or_else(invalid)?;
                }
            }
        }
        if let Some(app) = self.apps.get_mut(key) {
            app.filter = filter;
        }
        ok(self.application_json(key))
    }
}

fn release(counts: &mut BTreeMap<String, u32>, name: &str) {
    if let Some(count) = counts.get_mut(name) {
        *count -= 1;
        if *count == 0 {
            counts.remove(name);
        }
    }
}
