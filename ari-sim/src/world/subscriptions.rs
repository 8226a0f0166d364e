//! What applications ask of their own: lists, subscriptions, event filters.

use serde_json::Value;

use super::{
    World,
    application::{AppKey, EventFilter, Kinds},
    json::{array, object},
    params::Params,
    reply::{Outcome, Refused, ok, refuse},
};

/// Reads a list of types of a filter: the types, and the list as it is shown.
fn read_types(value: &Value) -> Option<(Vec<String>, String)> {
    let items = value.as_array()?;
    let names = items.iter().map(|item| {
        let name = item.get("type")?.as_str()?;
        (!name.is_empty()).then(|| name.to_owned())
    });
    Some((names.collect::<Option<_>>()?, value.to_string()))
}

/// Reads `channel:ID` and its like; an empty id means all of the kind.
fn read_source(uri: &str) -> Result<(u8, &str), Refused> {
    let parts = uri.split_once(':').and_then(|(scheme, id)| {
        let kind = match scheme {
            "channel" => Kinds::CHANNELS,
            "bridge" => Kinds::BRIDGES,
            "endpoint" => Kinds::ENDPOINTS,
            "deviceState" => Kinds::DEVICES,
            _ => return None,
        };
        Some((kind, id))
    });
    parts.ok_or_else(|| refuse(400, "Invalid event source URI scheme"))
}

fn sources(params: Params<'_>) -> Result<Vec<String>, Refused> {
    if !params.has("eventSource") {
        return Err(refuse(400, "Missing parameter eventSource"));
    }
    let mut uris = params.list("eventSource");
    if uris.is_empty() {
        uris.push(String::new());
    }
    Ok(uris)
}

impl World {
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

    /// Subscribes to one source after the other: what comes before one that is refused stays.
    pub(crate) fn subscribe(&mut self, params: Params<'_>) -> Outcome {
        let uris = sources(params)?;
        let key = self.named_app(params)?;
        for uri in &uris {
            let done = read_source(uri).and_then(|(kind, id)| self.subscribe_to(key, kind, id));
            if let Err(refusal) = done {
                self.find_broad_apps();
                return Err(refusal);
            }
        }
        self.find_broad_apps();
        ok(self.application_json(key))
    }

    fn subscribe_to(&mut self, key: AppKey, kind: u8, id: &str) -> Result<(), Refused> {
        let missing = || refuse(422, "Event source does not exist");
        match kind {
            _ if id.is_empty() => {
                if let Some(app) = self.apps.get_mut(key) {
                    app.all.add(kind);
                }
            }
            Kinds::CHANNELS => {
                let channel = self.channel_ids.get(id).copied().ok_or_else(missing)?;
                self.watch_channel(key, channel);
            }
            Kinds::BRIDGES => {
                let bridge = self.bridge_ids.get(id).copied().ok_or_else(missing)?;
                if self.bridges.get(bridge).is_some_and(|bridge| bridge.dialed) {
                    return Err(missing());
                }
                self.watch_bridge(key, bridge);
            }
            Kinds::ENDPOINTS => {
                if !self.endpoint_exists(id) {
                    return Err(missing());
                }
                if let Some(app) = self.apps.get_mut(key).filter(|app| !app.all.has(kind)) {
                    *app.endpoints.entry(id.to_owned()).or_default() += 1;
                }
            }
            _ => {
                if let Some(app) = self.apps.get_mut(key).filter(|app| !app.all.has(kind)) {
                    app.devices.insert(id.to_owned());
                }
            }
        }
        Ok(())
    }

    pub(crate) fn unsubscribe(&mut self, params: Params<'_>) -> Outcome {
        let uris = sources(params)?;
        let key = self.named_app(params)?;
        let mut left = self.application_json(key);
        for uri in &uris {
            let done = read_source(uri).and_then(|(kind, id)| self.unsubscribe_from(key, kind, id));
            if self.apps.get(key).is_some() {
                left = self.application_json(key);
            }
            if let Err(refusal) = done {
                self.find_broad_apps();
                return Err(refusal);
            }
        }
        self.find_broad_apps();
        ok(left)
    }

    fn unsubscribe_from(&mut self, key: AppKey, kind: u8, id: &str) -> Result<(), Refused> {
        let not_subscribed = || refuse(422, "Event source was not subscribed to");
        let app = self.apps.get_mut(key).ok_or_else(not_subscribed)?;
        let was = match kind {
            Kinds::DEVICES => {
                if id.is_empty() {
                    app.all.remove(kind);
                }
                app.devices.remove(id);
                true
            }
            // Asterisk finds the subscription to all of a kind, and cannot take it back.
            _ if id.is_empty() && app.all.has(kind) => {
                return Err(refuse(501, "Method not implemented"));
            }
            Kinds::CHANNELS => self.unwatch_channel(key, id),
            Kinds::BRIDGES => self.unwatch_bridge(key, id),
            _ => match app.endpoints.get_mut(id) {
                Some(count) => {
                    *count -= 1;
                    if *count == 0 {
                        app.endpoints.remove(id);
                        self.forget_unused(key);
                    }
                    true
                }
                None => false,
            },
        };
        if was { Ok(()) } else { Err(not_subscribed()) }
    }

    /// Sets what an application wants to hear: first what not, then what, as far as both can be read.
    pub(crate) fn filter_events(&mut self, params: Params<'_>) -> Outcome {
        let key = self.named_app(params)?;
        let invalid = || refuse(400, "Invalid format definition");
        let app = self.apps.get_mut(key).ok_or_else(invalid)?;
        let members = match params.value("filter") {
            None | Some(Value::Null) => None,
            Some(Value::Object(members)) if members.is_empty() => None,
            Some(Value::Object(members)) => Some(members),
            Some(_) => return Err(invalid()),
        };
        match members {
            None => app.filter = EventFilter::default(),
            Some(members) => {
                if let Some(value) = members.get("disallowed") {
                    (app.filter.disallowed, app.filter.disallowed_json) =
                        read_types(value).ok_or_else(invalid)?;
                }
                if let Some(value) = members.get("allowed") {
                    (app.filter.allowed, app.filter.allowed_json) =
                        read_types(value).ok_or_else(invalid)?;
                }
            }
        }
        ok(self.application_json(key))
    }
}
