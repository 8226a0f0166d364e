//! Channels in Stasis: how they enter it, leave it, and change the application.

use super::{
    World,
    channel::{ChannelKey, Run},
    params::Params,
    reply::{Outcome, no_content, refuse},
};

/// The arguments of an application as its `StasisStart` lists them.
fn arguments(args: &str) -> Vec<&str> {
    if args.is_empty() {
        Vec::new()
    } else {
        args.split(',').collect()
    }
}

impl World {
    /// Shows on the channel that it runs `Stasis(app,args)`.
    pub(crate) fn show_stasis(&mut self, key: ChannelKey, app: &str, args: &str) {
        if let Some(channel) = self.channels.get_mut(key) {
            "Stasis".clone_into(&mut channel.place.app);
            channel.place.data = if args.is_empty() {
                app.to_owned()
            } else {
                format!("{app},{args}")
            };
        }
    }

    /// Gives a channel to an application; says whether the application is there to take it.
    pub(crate) fn enter_stasis(&mut self, key: ChannelKey, app: &str, args: &str) -> bool {
        self.write_variable(key, "STASISSTATUS", Some(""), false);
        let Some(app) = self.active_app(app) else {
            self.write_variable(key, "STASISSTATUS", Some("FAILED"), false);
            return false;
        };
        self.start_stasis(key, app, args);
        true
    }

    fn start_stasis(&mut self, key: ChannelKey, app: super::application::AppKey, args: &str) {
        self.watch_channel(app, key);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.run = Run::Stasis { app };
        }
        self.tell_app(app, "StasisStart", |world, json| {
            json.texts("args", arguments(args));
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
            }
        });
    }

    /// Takes a channel out of its application, which hears `StasisEnd` and is unsubscribed.
    fn end_stasis(&mut self, key: ChannelKey) -> bool {
        let Some(channel) = self.channels.get_mut(key) else {
            return false;
        };
        let Some(app) = channel.stasis() else {
            return false;
        };
        channel.run = Run::Nothing;
        let id = std::sync::Arc::clone(&channel.id);
        self.tell_app(app, "StasisEnd", |world, json| {
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
            }
        });
        self.unwatch_channel(app, &id);
        true
    }

    /// Takes a channel out of Stasis for good.
    pub(crate) fn finish_stasis(&mut self, key: ChannelKey) {
        if self.end_stasis(key) {
            self.write_variable(key, "STASISSTATUS", Some("SUCCESS"), false);
        }
    }

    pub(crate) fn move_channel(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let name = params
            .given("app")
            .ok_or_else(|| refuse(400, "app is required"))?;
        let args = params.text("appArgs");
        let old = self
            .channels
            .get(key)
            .and_then(super::channel::Channel::stasis);
        let Some(new) = self.active_app(&name) else {
            if let Some(old) = old {
                self.tell_app(old, "ApplicationMoveFailed", |world, json| {
                    if let Some(channel) = world.channels.get(key) {
                        json.object("channel", |json| channel.write(json));
                    }
                    json.text("destination", &name)
                        .texts("args", arguments(&args));
                });
            }
            return no_content();
        };
        self.end_stasis(key);
        self.start_stasis(key, new, &args);
        no_content()
    }

    pub(crate) fn continue_in_dialplan(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let Some(place) = self.channels.get(key).map(|channel| channel.place.clone()) else {
            return Err(refuse(404, "Channel not found"));
        };
        let elsewhere = ["context", "extension", "priority", "label"]
            .iter()
            .any(|name| params.given(name).is_some());
        let context = params
            .given("context")
            .map_or(place.context, std::borrow::Cow::into_owned);
        let exten = params
            .given("extension")
            .map_or(place.exten, std::borrow::Cow::into_owned);
        let priority = match self.priority_of(params, &context, &exten)? {
            Some(priority) => priority,
            None if elsewhere && !params.has("priority") => 1,
            None => place.priority + 1,
        };
        self.leave_bridge(key, true);
        match self.channels.get_mut(key) {
            // Stasis was called by no dialplan: the one that begins now runs inside of it.
            Some(channel) if !channel.has_dialplan => {
                channel.inside_stasis = true;
                self.end_stasis(key);
            }
            _ => self.finish_stasis(key),
        }
        self.run_dialplan(key, &context, &exten, priority);
        no_content()
    }
}
