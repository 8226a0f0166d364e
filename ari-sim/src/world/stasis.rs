//! Channels in Stasis: how they enter it, leave it, and change the application.

use std::{borrow::Cow, sync::Arc};

use super::{
    World,
    application::AppKey,
    channel::{Channel, ChannelKey, Run},
    params::Params,
    queue::Command,
    reply::{Outcome, refuse},
    time::SimTime,
};

/// Where a channel goes once it did what it was asked before.
#[derive(Clone, Debug)]
pub(crate) enum Departure {
    /// Back to the dialplan.
    Continue {
        context: String,
        exten: String,
        priority: i64,
    },
    /// To another application.
    Move { app: String, args: String },
}

impl Departure {
    /// Who is to go back to the dialplan goes nowhere else.
    pub(crate) fn add_to(self, planned: &mut Option<Self>) {
        if !matches!(planned, Some(Self::Continue { .. })) {
            *planned = Some(self);
        }
    }
}

/// The arguments of an application as its `StasisStart` lists them.
pub(crate) fn arguments(args: &str) -> Vec<&str> {
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
            if self.begin_per_call(key, app, args) {
                return true;
            }
            self.write_variable(key, "STASISSTATUS", Some("FAILED"), false);
            return false;
        };
        self.start_stasis(key, app, arguments(args));
        true
    }

    pub(crate) fn start_stasis<'a>(
        &mut self,
        key: ChannelKey,
        app: AppKey,
        args: impl IntoIterator<Item = &'a str>,
    ) {
        self.watch_channel(app, key);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.run = Run::Stasis { app };
        }
        self.tell_app(app, "StasisStart", |world, json| {
            json.texts("args", args);
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
            }
        });
    }

    /// Takes a channel out of its application, which hears `StasisEnd` and is unsubscribed.
    pub(crate) fn end_stasis(&mut self, key: ChannelKey) -> bool {
        let Some(channel) = self.channels.get_mut(key) else {
            return false;
        };
        let Some(app) = channel.stasis() else {
            return false;
        };
        channel.run = Run::Nothing;
        let id = Arc::clone(&channel.id);
        self.tell_app(app, "StasisEnd", |world, json| {
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
            }
        });
        let session = self.apps.get(app).and_then(|app| app.session);
        self.unwatch_channel(app, &id);
        self.stasis_ended(key, session);
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
        let app = params
            .given("app")
            .ok_or_else(|| refuse(400, "app is required"))?
            .into_owned();
        let args = params.text("appArgs").into_owned();
        self.order(key, Command::Depart(Departure::Move { app, args }))
    }

    pub(crate) fn continue_in_dialplan(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        let Some(place) = self.channels.get(key).map(|channel| channel.place.clone()) else {
            return Err(refuse(404, "Channel not found"));
        };
        let extension = params.given("extension").map(Cow::into_owned);
        let anywhere = extension.is_some() || params.given("context").is_some();
        let (context, exten) = match params.given("context") {
            Some(context) => (
                context.into_owned(),
                extension.unwrap_or_else(|| "s".to_owned()),
            ),
            None => (place.context, extension.unwrap_or(place.exten)),
        };
        let priority = match self.priority_of(params, &context, &exten)? {
            Some(priority) if priority > 0 => priority,
            None if anywhere => 1,
            // A negative one means the one that is there.
            _ => place.priority + 1,
        };
        let departure = Departure::Continue {
            context,
            exten,
            priority,
        };
        self.order(key, Command::Depart(departure))
    }

    /// Nothing is left to be done by a channel: it goes where it was sent.
    pub(crate) fn depart(&mut self, key: ChannelKey) {
        let departure = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.departure.take());
        match departure {
            Some(Departure::Continue {
                context,
                exten,
                priority,
            }) => self.leave_for_dialplan(key, &context, &exten, priority),
            Some(Departure::Move { app, args }) => self.change_application(key, &app, &args),
            None => {}
        }
    }

    fn leave_for_dialplan(&mut self, key: ChannelKey, context: &str, exten: &str, priority: i64) {
        self.leave_bridge(key, true);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.broadcast = None;
        }
        match self.channels.get_mut(key) {
            // Stasis was called by no dialplan: the one that begins now runs inside of it.
            Some(channel) if !channel.has_dialplan => {
                channel.inside_stasis = true;
                self.end_stasis(key);
            }
            _ => self.finish_stasis(key),
        }
        self.run_dialplan(key, context, exten, priority);
    }

    fn change_application(&mut self, key: ChannelKey, name: &str, args: &str) {
        // Empty arguments are lost on the way.
        let args = || args.split(',').filter(|argument| !argument.is_empty());
        if let Some(new) = self.active_app(name) {
            self.end_stasis(key);
            self.start_stasis(key, new, args());
        } else if let Some(old) = self.channels.get(key).and_then(Channel::stasis) {
            self.tell_app(old, "ApplicationMoveFailed", |world, json| {
                if let Some(channel) = world.channels.get(key) {
                    json.object("channel", |json| channel.write(json));
                }
                json.text("destination", name).texts("args", args());
            });
        }
    }

    /// Sends a channel to another place of the dialplan, as AMI's `Redirect` does: out of its bridge and its
    /// application. `channel` is an id or a name. Says whether there is such a channel.
    pub fn redirect_channel(
        &mut self,
        now: SimTime,
        channel: &str,
        context: &str,
        exten: &str,
        priority: i64,
    ) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        self.abort_jobs(key);
        self.leave_call(key);
        self.leave_for_dialplan(key, context, exten, priority.max(1));
        true
    }
}
