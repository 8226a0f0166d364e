//! Stasis applications: who is connected as what, and what each is subscribed to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{World, arena::Key, bridge::BridgeKey, channel::ChannelKey, json::Json};

pub(crate) type AppKey = Key<Application>;

/// A connection over which events go out, to be named in [`World::register`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub(crate) u64);

/// Types of events that an application wants, or does not want.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) allowed: Vec<String>,
    pub(crate) disallowed: Vec<String>,
    /// The lists as they were set.
    pub(crate) allowed_json: String,
    pub(crate) disallowed_json: String,
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

    pub(crate) const fn add(&mut self, kind: u8) {
        self.0 |= kind;
    }

    pub(crate) const fn remove(&mut self, kind: u8) {
        self.0 &= !kind;
    }
}

#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) name: Arc<str>,
    pub(crate) session: Option<SessionId>,
    /// Kinds of which it hears everything.
    pub(crate) all: Kinds,
    pub(crate) channels: BTreeMap<Arc<str>, (ChannelKey, u32)>,
    pub(crate) bridges: BTreeMap<Arc<str>, (BridgeKey, u32)>,
    pub(crate) endpoints: BTreeMap<String, u32>,
    /// Devices are subscribed to or not: nothing is counted.
    pub(crate) devices: BTreeSet<String>,
    pub(crate) filter: EventFilter,
}

impl Application {
    fn new(name: &str) -> Self {
        Self {
            name: Arc::from(name),
            session: None,
            all: Kinds(0),
            channels: BTreeMap::new(),
            bridges: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            devices: BTreeSet::new(),
            filter: EventFilter::default(),
        }
    }

    /// Whether something keeps it alive while nobody is connected; devices do not.
    fn has_subscriptions(&self) -> bool {
        self.all
            .has(Kinds::CHANNELS | Kinds::BRIDGES | Kinds::ENDPOINTS)
            || !self.channels.is_empty()
            || !self.bridges.is_empty()
            || !self.endpoints.is_empty()
    }

    pub(crate) fn write(&self, json: &mut Json) {
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
        let devices = self.devices.iter().map(String::as_str);
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
            let mut app = Application::new(application);
            if let Some(devices) = self.system.device_subscriptions.remove(application) {
                app.devices = devices;
            }
            let key = self.apps.insert(app);
            self.app_names.insert(Arc::from(application), key);
            if subscribe_all && let Some(app) = self.apps.get_mut(key) {
                app.all =
                    Kinds(Kinds::CHANNELS | Kinds::BRIDGES | Kinds::ENDPOINTS | Kinds::DEVICES);
            }
            self.find_broad_apps();
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

    /// Ends a session. Its applications stay as long as they are subscribed to a channel, a bridge or an endpoint.
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
            // Subscriptions to all of a kind end with the socket, whoever asked for them.
            app.all = Kinds(0);
            self.forget_unused(key);
        }
        self.find_broad_apps();
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

    pub(crate) fn forget_unused(&mut self, key: AppKey) {
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
        if !app.devices.is_empty() {
            let name = Arc::clone(&app.name);
            self.system.device_subscriptions.insert(name, app.devices);
        }
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
    pub(crate) fn find_broad_apps(&mut self) {
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
        if self.device_apps.is_empty() && !devices.is_empty() {
            self.note_phone_states();
        }
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
        if app.all.has(Kinds::CHANNELS) {
            return;
        }
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
        if app.all.has(Kinds::BRIDGES) {
            return;
        }
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

    /// Ends all subscriptions to an endpoint that is gone.
    pub(crate) fn end_endpoint_subscriptions(&mut self, name: &str) {
        let keys: Vec<_> = self
            .apps
            .iter()
            .filter(|(_, app)| app.endpoints.contains_key(name))
            .map(|(key, _)| key)
            .collect();
        for key in keys {
            if let Some(app) = self.apps.get_mut(key) {
                app.endpoints.remove(name);
            }
            self.forget_unused(key);
        }
        self.find_broad_apps();
    }
}
