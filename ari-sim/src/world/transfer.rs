//! Transfers: those that applications ask of phones, and those that phones ask of applications.

use super::{
    World,
    call_record::HangupParty,
    channel::{ChannelKey, State, Tech, Transfers},
    params::Params,
    queue::Command,
    reply::{Outcome, no_content, refuse, refuse_as},
    time::SimTime,
};

/// What a phone is answered with that is sent elsewhere, and Asterisk's cause of it.
const MOVED: (u16, u16) = (23, 302);

impl World {
    pub(crate) fn redirect(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        let endpoint = params.given("endpoint").ok_or_else(|| {
            refuse_as(
                400,
                "Not Found",
                "Required parameter 'endpoint' not provided.",
            )
        })?;
        let Some((tech, resource)) = endpoint
            .split_once('/')
            .filter(|(tech, _)| !tech.is_empty())
        else {
            let message = format!("Endpoint parameter '{endpoint}' does not contain tech/resource");
            return Err(refuse(422, &message));
        };
        if resource.is_empty() {
            let message = format!("No resource provided in endpoint parameter '{endpoint}'");
            return Err(refuse(422, &message));
        }
        let own = self
            .channels
            .get(key)
            .map_or("", |channel| channel.tech_name());
        // As much of the name as was given has to be the same.
        let same = own
            .get(..tech.len())
            .is_some_and(|own| own.eq_ignore_ascii_case(tech));
        if !same {
            let message =
                format!("Endpoint technology '{tech}' does not match channel technology '{own}'");
            return Err(refuse(422, &message));
        }
        self.order(key, Command::Transfer(resource.to_owned()))
    }

    /// Sends the phone of a channel elsewhere: one that rings here is answered with the new place, one that
    /// talks is asked to call there, which it does. Other channels cannot be transferred.
    pub(crate) fn transfer_far_side(&mut self, key: ChannelKey, target: &str) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if !matches!(channel.tech, Tech::Sip { .. }) {
            return;
        }
        let (call, talks) = (channel.call(), channel.state == State::Up);
        tracing::debug!(channel = %channel.id, target, "the phone is sent elsewhere");
        if !talks {
            (channel.cause, channel.tech_cause) = (MOVED.0, Some(MOVED.1));
        }
        if let Some(call) = call {
            self.call_hung_up(call, HangupParty::Application);
        }
        if talks {
            self.far_side_hangs_up(key, None);
        } else {
            self.tell_quality(key);
            self.tell_hangup_request(key, Some(MOVED.0), false);
            self.end_channel(key);
        }
    }

    pub(crate) fn transfer_progress(&mut self, params: Params<'_>) -> Outcome {
        let key = self.stasis_channel(params)?;
        let states = params
            .given("states")
            .ok_or_else(|| refuse(400, "states must not be empty"))?;
        let (state, ends) = match states.to_ascii_lowercase().as_str() {
            "channel_progress" => ("channel_progress", false),
            "channel_answered" => ("channel_answered", true),
            // Asterisk tells both as declined.
            "channel_unavailable" | "channel_declined" => ("channel_declined", true),
            _ => return Err(refuse(400, "Invalid states value")),
        };
        let Some(channel) = self.channels.get_mut(key) else {
            return no_content();
        };
        let Transfers::Asked(destination) = channel.transfers.clone() else {
            return no_content();
        };
        if ends {
            channel.transfers = Transfers::ByApplication;
        }
        self.tell_transfer(key, &destination, Some(state));
        no_content()
    }

    /// Lets the phone of a channel ask to be transferred to `destination` (SIP's `REFER`), where the
    /// application said that it does transfers (`PJSIP_TRANSFER_HANDLING()` is `ari-only`). `channel` is an id
    /// or a name. Says whether the application is asked.
    pub fn request_transfer(&mut self, now: SimTime, channel: &str, destination: &str) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        let Some(data) = self
            .channels
            .get_mut(key)
            .filter(|data| data.transfers != Transfers::ByAsterisk)
        else {
            return false;
        };
        data.transfers = Transfers::Asked(destination.to_owned());
        self.tell_transfer(key, destination, None);
        true
    }

    fn tell_transfer(&mut self, key: ChannelKey, destination: &str, state: Option<&str>) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let audience = self.channel_audience(channel);
        self.send(&audience, "ChannelTransfer", |world, json| {
            world.head(json, "ChannelTransfer");
            json.object("refer_to", |json| {
                json.object("requested_destination", |json| {
                    json.text("destination", destination);
                });
            });
            json.object("referred_by", |json| {
                let Some(channel) = world.channels.get(key) else {
                    return;
                };
                json.object("source_channel", |json| channel.write(json));
                let Some(bridge) = channel.bridge.and_then(|bridge| world.bridges.get(bridge))
                else {
                    return;
                };
                if let [first, second] = bridge.members[..] {
                    let other = if first == key { second } else { first };
                    if let Some(other) = world.channels.get(other) {
                        json.object("connected_channel", |json| other.write(json));
                    }
                }
                json.object("bridge", |json| bridge.write(world, json));
            });
            if let Some(state) = state {
                json.text("state", state);
            }
        });
    }

    /// Lets the phone of a channel hold the call, or take it back. `channel` is an id or a name. Says
    /// whether there is such a phone.
    pub fn hold_call(&mut self, now: SimTime, channel: &str, holds: bool) -> bool {
        self.advance(now);
        let key = self.find_channel(channel).filter(|key| {
            self.channels
                .get(*key)
                .is_some_and(|channel| matches!(channel.tech, Tech::Sip { .. }))
        });
        let Some(key) = key else { return false };
        self.far_side_holds(key, holds);
        true
    }
}
