//! How channels end.

use std::sync::Arc;

use super::{
    World,
    call_record::HangupParty,
    channel::{ChannelKey, Dialing, Tech, Then},
    detect::scanned,
    params::Params,
    reply::{Outcome, no_content, refuse, refuse_as},
    time::SimTime,
};

/// The cause of a hangup that an application asks for; the real one is in `ChannelDestroyed`.
const REQUESTED: u16 = 32;

/// The causes that `reason` can name.
fn cause_of(reason: &str) -> Option<u16> {
    Some(match reason {
        "normal" => 16,
        "busy" => 17,
        "congestion" => 34,
        "no_answer" => 19,
        "timeout" => 18,
        "rejected" => 21,
        "unallocated" => 1,
        "normal_unspecified" => 31,
        "number_incomplete" => 28,
        "codec_mismatch" => 58,
        "interworking" => 127,
        "failure" => 38,
        "answered_elsewhere" => 26,
        _ => return None,
    })
}

pub(crate) const fn cause_text(cause: u16) -> &'static str {
    match cause {
        1 => "Unallocated (unassigned) number",
        2 => "No route to specified transmit network",
        3 => "No route to destination",
        5 => "Misdialed trunk prefix",
        6 => "Channel unacceptable",
        7 => "Call awarded and being delivered in an established channel",
        8 => "Pre-empted",
        14 => "Number ported elsewhere",
        16 => "Normal Clearing",
        17 => "User busy",
        18 => "No user responding",
        19 => "User alerting, no answer",
        20 => "Subscriber absent",
        21 => "Call Rejected",
        22 => "Number changed",
        23 => "Redirected to new destination",
        26 => "Answered elsewhere",
        27 => "Destination out of order",
        28 => "Invalid number format",
        29 => "Facility rejected",
        30 => "Response to STATus ENQuiry",
        31 => "Normal, unspecified",
        34 => "Circuit/channel congestion",
        38 => "Network out of order",
        41 => "Temporary failure",
        42 => "Switching equipment congestion",
        43 => "Access information discarded",
        44 => "Requested channel not available",
        50 => "Facility not subscribed",
        52 => "Outgoing call barred",
        54 => "Incoming call barred",
        57 => "Bearer capability not authorized",
        58 => "Bearer capability not available",
        65 => "Bearer capability not implemented",
        66 => "Channel not implemented",
        69 => "Facility not implemented",
        81 => "Invalid call reference value",
        88 => "Incompatible destination",
        95 => "Invalid message unspecified",
        96 => "Mandatory information element is missing",
        97 => "Message type nonexist.",
        98 => "Wrong message",
        99 => "Info. element nonexist or not implemented",
        100 => "Invalid information element contents",
        101 => "Message not compatible with call state",
        102 => "Recover on timer expiry",
        103 => "Mandatory IE length error",
        111 => "Protocol error, unspecified",
        127 => "Interworking, unspecified",
        _ => "Unknown",
    }
}

impl World {
    pub(crate) fn hang_up(&mut self, params: Params<'_>) -> Outcome {
        let key = self.named_channel(params)?;
        let (reason, code) = (params.given("reason"), params.given("reason_code"));
        let cause = match (reason, code) {
            (Some(_), Some(_)) => {
                return Err(refuse(
                    400,
                    "The reason and reason_code can't both be specified",
                ));
            }
            (Some(reason), None) => cause_of(&reason).ok_or_else(|| {
                refuse_as(
                    400,
                    "Invalid Reason",
                    "Invalid reason for hangup reason provided",
                )
            })?,
            (None, Some(code)) => {
                let code = scanned(&code).ok_or_else(|| {
                    refuse_as(
                        400,
                        "Invalid Reason Code",
                        "Invalid reason for hangup reason code provided",
                    )
                })?;
                u16::try_from(code).unwrap_or(u16::MAX)
            }
            (None, None) => 16,
        };
        if let Some(channel) = self.channels.get_mut(key) {
            channel.cause = cause;
            if let Some(call) = channel.call() {
                self.call_hung_up(call, HangupParty::Application);
            }
        }
        self.tell_quality(key);
        self.tell_hangup_request(key, Some(REQUESTED), true);
        self.end_channel(key);
        no_content()
    }

    /// Hangs a channel up from outside of ARI, as AMI's `Hangup` does. `channel` is an id or a name. Says
    /// whether there is such a channel.
    pub fn hang_up_channel(&mut self, now: SimTime, channel: &str, cause: Option<u16>) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        if let Some(channel) = self.channels.get_mut(key) {
            channel.cause = cause.unwrap_or(channel.cause);
            if let Some(call) = channel.call() {
                self.call_hung_up(call, HangupParty::Dialplan);
            }
        }
        self.tell_hangup_request(key, Some(REQUESTED), true);
        self.end_channel(key);
        true
    }

    /// Ends a channel and what hangs on it: its media, its membership, its application, its other half.
    pub(crate) fn end_channel(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if channel.ending {
            return;
        }
        channel.ending = true;
        let talk = channel.talk.take().and_then(|talk| talk.into_timer());
        self.timers.cancel(talk);
        self.stop_dialplan(key);
        self.abort_jobs(key);
        let dialed = self.leave_dialed_bridge(key);
        self.leave_bridge(key, false);
        self.finish_stasis(key);
        self.finish_dial(key);
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if channel.inside_stasis {
            self.write_variable(key, "STASISSTATUS", Some("SUCCESS"), false);
        } else if channel.has_dialplan {
            if channel.place.app == "Playback" {
                self.write_variable(key, "PLAYBACKSTATUS", Some("SUCCESS"), false);
            }
            self.tell_hangup_request(key, Some(16), true);
        }
        let dialing = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.dialing.take());
        if let Some(Dialing {
            dialstring,
            then,
            timeout,
            phone,
        }) = dialing
        {
            self.timers.cancel(timeout);
            self.timers.cancel(phone);
            if !matches!(then, Then::Stay) {
                let given_up = matches!(then, Then::Bridge { caller }
                    if self.channels.get(caller).is_none_or(|caller| caller.ending));
                let status = match self.channels.get(key).map(|channel| channel.cause) {
                    _ if given_up => "CANCEL",
                    Some(17) => "BUSY",
                    Some(34) => "CONGESTION",
                    _ => "NOANSWER",
                };
                self.tell_dial(key, status, &dialstring);
            }
        }
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let (peer, cause) = (channel.peer(), channel.cause);
        let snooped = !channel.snoops.is_empty();
        let caller = channel.dialed_by;
        if let Some(peer) =
            peer.filter(|peer| self.channels.get(*peer).is_some_and(|peer| !peer.ending))
        {
            if cause != 0
                && let Some(other) = self.channels.get_mut(peer)
            {
                other.cause = cause;
            }
            self.tell_hangup_request(peer, Some(cause), false);
        }
        // Taking the listeners off takes longer than the other half needs to end.
        if snooped && let Some(peer) = peer {
            self.end_channel(peer);
        }
        self.destroy_channel(key);
        if let Some(bridge) = dialed {
            self.dissolve(bridge);
        }
        if let Some(peer) = peer {
            self.end_channel(peer);
        }
        if let Some(caller) = caller {
            self.called_party_gone(caller, key, cause);
        }
    }

    /// Takes a channel away, after those that listen to it, and tells that it is gone.
    pub(crate) fn destroy_channel(&mut self, key: ChannelKey) {
        self.end_snoops(key);
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let home = channel.home;
        (channel.place.app, channel.place.data) = (home.0.to_owned(), home.1.to_owned());
        let (cause, tech_cause) = (channel.cause, channel.tech_cause);
        self.tell_channel(key, "ChannelDestroyed", |world, json| {
            world.head(json, "ChannelDestroyed");
            json.plain("cause", cause)
                .text("cause_txt", cause_text(cause));
            if let Some(tech_cause) = tech_cause {
                json.plain("tech_cause", tech_cause);
            }
        });
        self.tell_device_of(key, "NOT_INUSE");
        let Some(channel) = self.channels.remove(key) else {
            return;
        };
        self.channel_ids.remove(&channel.id);
        self.end_channel_subscriptions(&channel.watchers, &channel.id);
        match channel.tech {
            Tech::Local { peer } => {
                if let Some(peer) = peer.and_then(|peer| self.channels.get_mut(peer)) {
                    peer.tech = Tech::Local { peer: None };
                }
            }
            Tech::Sip { endpoint, call } => {
                self.tell_endpoint(&endpoint);
                if let Some(call) = call {
                    self.call_ended(call, cause);
                }
            }
            Tech::Snoop(snoop) => self.stop_snooping(snoop, key),
            Tech::Media(_) => {}
        }
    }

    /// The far side of a SIP channel hangs up, with a cause if it names one.
    pub(crate) fn far_side_hangs_up(&mut self, key: ChannelKey, cause: Option<u16>) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let answered = channel.state == super::channel::State::Up;
        if answered {
            channel.cause = cause.unwrap_or(16);
            self.tell_quality(key);
            self.tell_hangup_request(key, cause, false);
        } else {
            let cause = cause.unwrap_or(127);
            (channel.cause, channel.tech_cause) = (cause, Some(487));
            self.tell_hangup_request(key, Some(cause), false);
        }
        self.end_channel(key);
    }

    /// The ids of the channels of a SIP endpoint, in the order in which they came.
    pub(crate) fn endpoint_channels(&self, endpoint: &str) -> Vec<Arc<str>> {
        let mut channels: Vec<_> = self
            .channels
            .iter()
            .filter(|(_, channel)| matches!(&channel.tech, Tech::Sip { endpoint: name, .. } if name == endpoint))
            .map(|(_, channel)| (channel.serial, Arc::clone(&channel.id)))
            .collect();
        channels.sort();
        channels.into_iter().map(|(_, id)| id).collect()
    }
}
