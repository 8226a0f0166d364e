//! User events.

use serde_json::Value;

use super::{
    World,
    channel::ChannelKey,
    json::Json,
    params::Params,
    reply::{Outcome, Refused, no_content, refuse},
};

impl World {
    pub(crate) fn user_event(&mut self, params: Params<'_>) -> Outcome {
        let name = params
            .given("application")
            .ok_or_else(|| refuse(400, "Missing parameter application"))?;
        let app = self
            .app_by_name(&name)
            .ok_or_else(|| refuse(404, "Application not found"))?;
        let sources = self.event_sources(params)?;
        let event_name = params.text("eventName");
        let mut user_event = Json::new();
        if let Some(Value::Object(members)) = params.value("variables") {
            for (name, value) in members.iter().filter(|(name, _)| *name != "eventname") {
                user_event.raw_entry(name, &value.to_string());
            }
        }
        user_event.text("eventname", &event_name);
        let user_event = user_event.finish();
        self.tell_app(app, "ChannelUserevent", |_, json| {
            json.text("eventname", &event_name)
                .raw("userevent", &user_event);
            for (member, source) in &sources {
                json.raw(member, source);
            }
        });
        no_content()
    }

    /// The dialplan sends a user event of a channel: `UserEvent(name,Key: value,…)`.
    pub(crate) fn tell_dialplan_event(&mut self, key: ChannelKey, data: &str) {
        let mut fields = data.split(',');
        let name = fields.next().unwrap_or_default().to_owned();
        let mut members = Json::new();
        members.text("eventname", &name);
        for field in fields {
            let (key, value) = field.split_once(':').unwrap_or((field, ""));
            members.entry(key.trim(), value.trim());
        }
        let members = members.finish();
        self.tell_channel(key, "ChannelUserevent", |world, json| {
            world.head(json, "ChannelUserevent");
            json.text("eventname", &name).raw("userevent", &members);
        });
    }

    /// The things that a user event is about, as the event shows them.
    fn event_sources(&self, params: Params<'_>) -> Result<Vec<(&'static str, String)>, Refused> {
        let mut sources = Vec::new();
        for uri in params
            .list("source")
            .into_iter()
            .filter(|uri| !uri.is_empty())
        {
            let invalid = || refuse(400, "Invalid event source URI scheme");
            let (scheme, id) = uri.split_once(':').ok_or_else(invalid)?;
            let mut json = Json::new();
            let member = match scheme {
                "channel" => {
                    let channel = self
                        .channel_ids
                        .get(id)
                        .and_then(|key| self.channels.get(*key));
                    channel
                        .map(|channel| channel.write(&mut json))
                        .map(|()| "channel")
                }
                "bridge" => {
                    let bridge = self
                        .bridge_ids
                        .get(id)
                        .and_then(|key| self.bridges.get(*key));
                    bridge
                        .map(|bridge| bridge.write(self, &mut json))
                        .map(|()| "bridge")
                }
                "endpoint" => {
                    let name = id
                        .strip_prefix("PJSIP/")
                        .filter(|name| self.options.phones.contains_key(*name));
                    name.map(|name| self.write_endpoint(name, &mut json))
                        .map(|()| "endpoint")
                }
                _ => return Err(invalid()),
            };
            let member = member.ok_or_else(|| refuse(422, "Event source was not found"))?;
            sources.push((member, json.finish()));
        }
        Ok(sources)
    }
}
