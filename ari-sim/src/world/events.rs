//! Telling applications what happened.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;

use super::{
    World,
    application::{AppKey, Kinds, SessionId},
    bridge::BridgeKey,
    channel::{Channel, ChannelKey, Tech},
    json::Json,
};

/// An event on its way to an application.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Delivery {
    /// Connection that it goes to.
    pub session: SessionId,
    /// Application that it is for.
    pub application: Arc<str>,
    /// The event, as JSON.
    pub event: Bytes,
}

/// Events that nobody has fetched yet.
pub(crate) type Outbox = VecDeque<Delivery>;

impl World {
    /// The next event, in the order in which they happened.
    pub fn poll_event(&mut self) -> Option<Delivery> {
        self.outbox.pop_front()
    }

    /// Sends an event as it is to an application; says whether the application is connected.
    pub fn inject_event(&mut self, application: &str, event: impl Into<Bytes>) -> bool {
        let app = self
            .app_by_name(application)
            .and_then(|key| self.apps.get(key));
        let Some((session, name)) = app.and_then(|app| Some((app.session?, Arc::clone(&app.name))))
        else {
            return false;
        };
        self.outbox.push_back(Delivery {
            session,
            application: name,
            event: event.into(),
        });
        true
    }

    pub(crate) fn tell_replaced(&mut self, old: SessionId, application: &str) {
        let mut json = Json::new();
        json.text("type", "ApplicationReplaced")
            .text("timestamp", self.stamp.text());
        json.text("application", application)
            .text("asterisk_id", &self.options.asterisk_id);
        let event = Bytes::from(json.finish());
        self.outbox.push_back(Delivery {
            session: old,
            application: Arc::from(application),
            event,
        });
    }

    /// Begins an event with its type and time.
    pub(crate) fn head(&self, json: &mut Json, kind: &str) {
        json.text("type", kind).text("timestamp", self.stamp.text());
    }

    /// Sends an event to applications; `write` writes all but the last two members.
    pub(crate) fn send(&mut self, to: &[AppKey], kind: &str, write: impl FnOnce(&Self, &mut Json)) {
        let wanted = |key: &AppKey| {
            self.apps
                .get(*key)
                .is_some_and(|app| app.session.is_some() && app.filter.passes(kind))
        };
        if !to.iter().any(wanted) {
            return;
        }
        let mut json = Json::in_place_of(std::mem::take(&mut self.scratch));
        write(self, &mut json);
        json.text("asterisk_id", &self.options.asterisk_id);
        let mut event = json.into_open();
        let body = event.len();
        for &key in to {
            let Some(app) = self.apps.get(key) else {
                continue;
            };
            let Some(session) = app.session.filter(|_| app.filter.passes(kind)) else {
                continue;
            };
            event.truncate(body);
            event.push_str(",\"application\":");
            super::json::push_text(&mut event, &app.name);
            event.push('}');
            let application = Arc::clone(&app.name);
            self.outbox.push_back(Delivery {
                session,
                application,
                event: Bytes::copy_from_slice(event.as_bytes()),
            });
        }
        self.scratch = event;
    }

    /// Sends an event to one application; `write` writes all of it.
    pub(crate) fn send_whole(
        &mut self,
        to: AppKey,
        kind: &str,
        write: impl FnOnce(&Self, &str, &mut Json),
    ) {
        let Some(app) = self.apps.get(to).filter(|app| app.filter.passes(kind)) else {
            return;
        };
        let Some(session) = app.session else { return };
        let application = Arc::clone(&app.name);
        let mut json = Json::new();
        write(self, &application, &mut json);
        self.outbox.push_back(Delivery {
            session,
            application,
            event: Bytes::from(json.finish()),
        });
    }

    /// Who hears of a channel: once for the subscription to it, once for one to all channels, and once more for
    /// each subscription to its endpoint.
    pub(crate) fn channel_audience(&self, channel: &Channel) -> Vec<AppKey> {
        let mut audience = channel.watchers.clone();
        audience.extend(&self.all_channel_apps);
        if let Tech::Sip { endpoint, .. } = &channel.tech {
            audience.extend(self.endpoint_audience(endpoint));
        }
        audience
    }

    /// Applications subscribed to a SIP endpoint, or to its technology.
    pub(crate) fn endpoint_audience(&self, endpoint: &str) -> Vec<AppKey> {
        let mut audience = Vec::new();
        for &key in &self.endpoint_apps {
            let Some(app) = self.apps.get(key) else {
                continue;
            };
            let own = app
                .endpoints
                .keys()
                .any(|name| name.strip_prefix("PJSIP/") == Some(endpoint));
            let tech = app.endpoints.contains_key("PJSIP");
            audience.extend([own, tech].into_iter().filter(|hears| *hears).map(|_| key));
        }
        audience
    }

    /// Those, and applications subscribed to all endpoints: these hear whether phones can be reached and what they
    /// send, and nothing else of them.
    pub(crate) fn status_audience(&self, endpoint: &str) -> Vec<AppKey> {
        let mut audience = self.endpoint_audience(endpoint);
        let all = |key: &AppKey| {
            self.apps
                .get(*key)
                .is_some_and(|app| app.all.has(Kinds::ENDPOINTS))
        };
        audience.extend(self.endpoint_apps.iter().copied().filter(all));
        audience
    }

    /// Who hears of a bridge: as with channels, a subscription to all bridges and one to this one are two.
    pub(crate) fn bridge_audience(&self, key: BridgeKey) -> Vec<AppKey> {
        let mut audience = self
            .bridges
            .get(key)
            .map(|bridge| bridge.watchers.clone())
            .unwrap_or_default();
        audience.extend(&self.all_bridge_apps);
        audience
    }

    /// Sends an event about a channel; `write` writes what stands before it.
    pub(crate) fn tell_channel(
        &mut self,
        key: ChannelKey,
        kind: &str,
        write: impl FnOnce(&Self, &mut Json),
    ) {
        self.tell_about(key, kind, "channel", write);
    }

    fn tell_about(
        &mut self,
        key: ChannelKey,
        kind: &str,
        member: &str,
        write: impl FnOnce(&Self, &mut Json),
    ) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let audience = self.channel_audience(channel);
        self.send(&audience, kind, |world, json| {
            write(world, json);
            if let Some(channel) = world.channels.get(key) {
                json.object(member, |json| channel.write(json));
            }
        });
    }

    /// Sends an event about a channel that has its type, its time and the channel only.
    pub(crate) fn tell_channel_plain(&mut self, key: ChannelKey, kind: &str) {
        self.tell_channel(key, kind, |world, json| world.head(json, kind));
    }

    pub(crate) fn tell_dial(&mut self, key: ChannelKey, status: &str, dialstring: &str) {
        self.tell_about(key, "Dial", "peer", |world, json| {
            world.head(json, "Dial");
            json.text("dialstatus", status)
                .text("forward", "")
                .text("dialstring", dialstring);
            // Only `Dial()` in the dialplan has a caller.
            let caller = world
                .channels
                .get(key)
                .and_then(|peer| world.channels.get(peer.dialed_by?));
            if let Some(caller) = caller {
                json.object("caller", |json| caller.write(json));
            }
        });
    }

    pub(crate) fn tell_varset(&mut self, key: ChannelKey, variable: &str, value: &str) {
        self.tell_channel(key, "ChannelVarset", |world, json| {
            json.text("variable", variable).text("value", value);
            world.head(json, "ChannelVarset");
        });
    }

    pub(crate) fn tell_hangup_request(&mut self, key: ChannelKey, cause: Option<u16>, soft: bool) {
        self.tell_channel(key, "ChannelHangupRequest", |world, json| {
            if let Some(cause) = cause {
                json.plain("cause", cause);
            }
            if soft {
                json.plain("soft", true);
            } else if let Some(status) = world
                .channels
                .get(key)
                .and_then(|channel| channel.tech_cause)
            {
                json.plain("tech_cause", status);
            }
            world.head(json, "ChannelHangupRequest");
        });
    }

    pub(crate) fn tell_dialplan(&mut self, key: ChannelKey) {
        self.tell_channel(key, "ChannelDialplan", |world, json| {
            world.head(json, "ChannelDialplan");
            if let Some(channel) = world.channels.get(key) {
                json.text("dialplan_app", &channel.place.app)
                    .text("dialplan_app_data", &channel.place.data);
            }
        });
    }

    /// Sends an event to one application only: `StasisStart` and its like.
    pub(crate) fn tell_app(
        &mut self,
        app: AppKey,
        kind: &str,
        write: impl FnOnce(&Self, &mut Json),
    ) {
        self.send(&[app], kind, |world, json| {
            world.head(json, kind);
            write(world, json);
        });
    }

    pub(crate) fn tell_bridge(&mut self, key: BridgeKey, kind: &str) {
        let audience = self.bridge_audience(key);
        self.send(&audience, kind, |world, json| {
            world.head(json, kind);
            world.write_bridge(key, json);
        });
    }

    pub(crate) fn tell_video_source(&mut self, key: BridgeKey, old: Option<&str>) {
        let audience = self.bridge_audience(key);
        self.send(&audience, "BridgeVideoSourceChanged", |world, json| {
            world.head(json, "BridgeVideoSourceChanged");
            world.write_bridge(key, json);
            if let Some(old) = old {
                json.text("old_video_source_id", old);
            }
        });
    }

    /// Sends an event about a bridge and one of its members to all who hear of the bridge.
    pub(crate) fn tell_member(&mut self, bridge: BridgeKey, channel: ChannelKey, kind: &str) {
        let audience = self.bridge_audience(bridge);
        self.send(&audience, kind, |world, json| {
            world.head(json, kind);
            world.write_bridge(bridge, json);
            if let Some(data) = world.channels.get(channel) {
                json.object("channel", |json| data.write(json));
            }
        });
    }

    /// Sends an event about something that plays on, or is recorded from, a channel or a bridge.
    pub(crate) fn tell_media(
        &mut self,
        target: MediaTarget,
        kind: &str,
        write: impl FnOnce(&Self, &mut Json),
    ) {
        let audience = match target {
            MediaTarget::Channel(key) => match self.channels.get(key) {
                Some(channel) => self.channel_audience(channel),
                None => return,
            },
            // It is told of the bridge and of the channel that plays to it or records it: whoever is subscribed to
            // all channels and all bridges hears it twice.
            MediaTarget::Bridge(key) => {
                let mut audience = self.bridge_audience(key);
                audience.extend(&self.all_channel_apps);
                audience
            }
        };
        self.send(&audience, kind, |world, json| {
            world.head(json, kind);
            write(world, json);
        });
    }

    fn write_bridge(&self, key: BridgeKey, json: &mut Json) {
        if let Some(bridge) = self.bridges.get(key) {
            json.object("bridge", |json| bridge.write(self, json));
        }
    }
}

/// What media goes to, or comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MediaTarget {
    Channel(ChannelKey),
    Bridge(BridgeKey),
}
