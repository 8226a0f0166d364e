//! `StasisBroadcast`: a call that is offered to all applications, for the first one that claims it.

use std::time::Duration;

use super::{
    World,
    application::AppKey,
    channel::ChannelKey,
    detect::scanned,
    params::Params,
    pattern::Pattern,
    pbx::Next,
    reply::{Outcome, no_content, refuse},
};

/// How long a call is offered unless the dialplan says otherwise, and how long at most.
const TIMEOUT: i32 = 500;
const MAX_TIMEOUT: i32 = 60_000;

/// Most arguments that the winner is given.
const MAX_ARGS: usize = 128;

/// A call that is, or was, offered.
#[derive(Debug)]
pub(crate) struct Broadcast {
    filter: Option<Pattern>,
    args: Vec<String>,
    tells_claim: bool,
    winner: Option<String>,
}

impl World {
    /// `StasisBroadcast(timeout,filter,arguments,notify)`.
    pub(crate) fn run_broadcast(&mut self, key: ChannelKey, data: &str) -> Next {
        self.write_variable(key, "STASISSTATUS", Some(""), false);
        let mut fields = data.split(',').map(str::trim);
        let mut field = || fields.next().unwrap_or_default();
        let timeout = scanned(field())
            .filter(|millis| (0..=MAX_TIMEOUT).contains(millis))
            .unwrap_or(TIMEOUT);
        let filter = field();
        let args = field();
        let tells_claim = matches!(
            field().to_ascii_lowercase().as_str(),
            "yes" | "true" | "y" | "t" | "1" | "on"
        );
        let broadcast = Broadcast {
            // What is no pattern filters nothing.
            filter: Pattern::parse(filter),
            args: if args.is_empty() {
                Vec::new()
            } else {
                args.split(':').take(MAX_ARGS).map(str::to_owned).collect()
            },
            tells_claim,
            winner: None,
        };
        let audience = self.matching_apps(&broadcast);
        self.send(&audience, "CallBroadcast", |world, json| {
            world.head(json, "CallBroadcast");
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
                json.text("caller", &channel.caller.number)
                    .text("called", &channel.place.exten);
            }
        });
        if let Some(channel) = self.channels.get_mut(key) {
            channel.broadcast = Some(Box::new(broadcast));
        }
        Next::After(Duration::from_millis(u64::try_from(timeout).unwrap_or(0)))
    }

    fn matching_apps(&self, broadcast: &Broadcast) -> Vec<AppKey> {
        let filter = broadcast.filter.as_ref();
        self.apps
            .iter()
            .filter(|(_, app)| filter.is_none_or(|filter| filter.matches(&app.name)))
            .map(|(key, _)| key)
            .collect()
    }

    /// The time in which a call could be claimed is over.
    pub(crate) fn broadcast_ends(&mut self, key: ChannelKey) {
        let offered = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.broadcast.take());
        if offered.is_some() {
            self.write_variable(key, "STASISSTATUS", Some("TIMEOUT"), false);
        }
    }

    pub(crate) fn claim(&mut self, params: Params<'_>) -> Outcome {
        let id = params
            .given("channelId")
            .ok_or_else(|| refuse(400, "channelId parameter is required"))?;
        let app = params
            .given("application")
            .ok_or_else(|| refuse(400, "application parameter is required"))?;
        let key = self.channel_ids.get(&*id).copied();
        let offered = key.and_then(|key| {
            let broadcast = self.channels.get_mut(key)?.broadcast.as_mut()?;
            Some((key, broadcast))
        });
        let Some((key, broadcast)) = offered else {
            return Err(refuse(404, "Channel not found or not in broadcast state"));
        };
        if broadcast.winner.is_some() {
            return Err(refuse(
                409,
                "Channel has already been claimed by another application",
            ));
        }
        broadcast.winner = Some(app.clone().into_owned());
        let (args, tells_claim) = (std::mem::take(&mut broadcast.args), broadcast.tells_claim);
        if tells_claim {
            self.tell_claimed(key, &app);
        }
        self.stop_dialplan(key);
        if let Some(winner) = self.active_app(&app) {
            self.start_stasis(key, winner, args.iter().map(String::as_str));
        } else {
            if let Some(channel) = self.channels.get_mut(key) {
                channel.broadcast = None;
            }
            self.write_variable(key, "STASISSTATUS", Some("FAILED"), false);
            self.next_priority(key);
        }
        no_content()
    }

    fn tell_claimed(&mut self, key: ChannelKey, app: &str) {
        let Some(broadcast) = self
            .channels
            .get(key)
            .and_then(|channel| channel.broadcast.as_deref())
        else {
            return;
        };
        let audience = self.matching_apps(broadcast);
        self.send(&audience, "CallClaimed", |world, json| {
            world.head(json, "CallClaimed");
            if let Some(channel) = world.channels.get(key) {
                json.object("channel", |json| channel.write(json));
            }
            json.text("winner_app", app);
        });
    }
}
