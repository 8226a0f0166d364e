//! `Dial()` in the dialplan: a call from one channel to another, and the bridge between the two.

use std::{sync::Arc, time::Duration};

use super::{
    Timer, World,
    bridge::{BridgeKey, BridgeKind, Party},
    channel::{Channel, ChannelKey, State, Tech, Then},
    pbx::Next,
    sound::Sound,
    time::SimTime,
};

/// What `Dial()` clears before it calls.
const CLEARED: &[&str] = &[
    "DIALSTATUS",
    "DIALEDPEERNUMBER",
    "DIALEDPEERNAME",
    "ANSWEREDTIME",
    "ANSWEREDTIME_MS",
    "DIALEDTIME",
    "DIALEDTIME_MS",
    "RINGTIME",
    "RINGTIME_MS",
    "PROGRESSTIME",
    "PROGRESSTIME_MS",
];

/// How long audio flows through a Local channel until it is taken out of the way.
const OPTIMISED_AFTER: Duration = Duration::from_millis(60);

/// Calls of the dialplan that may lead from one to the other; more are one that calls itself.
const MAX_DIALS: usize = 16;

/// A call that the dialplan of a channel makes.
#[derive(Clone, Debug)]
pub(crate) struct Dials {
    called: ChannelKey,
    since: SimTime,
    answered: Option<SimTime>,
    /// The dialplan goes on when the called party hangs up.
    goes_on: bool,
    /// `Dial()` has only begun to call: it goes on by itself if the call is over by then.
    begins: bool,
}

/// What `Dial()` makes of the cause with which a call failed.
const fn status_of(cause: u16) -> &'static str {
    match cause {
        17 => "BUSY",
        34 => "CONGESTION",
        0 | 16 | 19 => "NOANSWER",
        _ => "CHANUNAVAIL",
    }
}

impl World {
    /// `Dial(Tech/resource,timeout,options)`: calls the first of the destinations.
    pub(crate) fn run_dial(&mut self, key: ChannelKey, data: &str) -> Next {
        if let Some(first) = self.endless_dialer(key) {
            self.end_channel(first);
            return Next::Gone;
        }
        let mut fields = data.split(',');
        let target = fields.next().unwrap_or_default();
        let target = target.split('&').next().unwrap_or_default().to_owned();
        let timeout = fields.next().and_then(|text| text.trim().parse().ok());
        let goes_on = fields.next().is_some_and(|options| options.contains('g'));
        for name in CLEARED {
            self.write_variable(key, name, Some(""), false);
        }
        let Some((tech, resource)) = target.split_once('/') else {
            self.write_variable(key, "DIALSTATUS", Some("CHANUNAVAIL"), false);
            return Next::Now;
        };
        let called = self.endpoint(tech, resource).and_then(|endpoint| {
            let called = self.make_called_channel(&endpoint, (None, None), None)?;
            Ok((endpoint, called))
        });
        let Ok((endpoint, called)) = called else {
            self.write_variable(key, "DIALSTATUS", Some("CHANUNAVAIL"), false);
            return Next::Now;
        };
        self.write_variable(called, "DIALEDPEERNUMBER", Some(resource), false);
        self.show_called(key, called);
        let since = self.now;
        if let Some(channel) = self.channels.get_mut(key) {
            channel.outgoing = Some(Box::new(Dials {
                called,
                since,
                answered: None,
                goes_on,
                begins: true,
            }));
        }
        let then = Then::Bridge { caller: key };
        self.start_dialing(called, &endpoint, resource.to_owned(), then, timeout);
        let dials = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.outgoing.as_mut());
        match dials {
            Some(dials) => {
                dials.begins = false;
                Next::Never
            }
            None => Next::Now,
        }
    }

    /// The first of too many channels that call one another through Local channels: they would do so for ever.
    fn endless_dialer(&self, key: ChannelKey) -> Option<ChannelKey> {
        let mut dialer = key;
        for _ in 0..MAX_DIALS {
            let called = self.channels.get(self.peer_of(dialer)?)?;
            dialer = called.dialed_by?;
        }
        Some(dialer)
    }

    /// The channel called shows who calls: the number that was dialed, and the place in the dialplan.
    fn show_called(&mut self, key: ChannelKey, called: ChannelKey) {
        let Some(data) = self.channels.get(key) else {
            return;
        };
        let (party, place) = (data.caller.clone(), data.place.clone());
        let Some(channel) = self.channels.get_mut(called) else {
            return;
        };
        channel.dialed_by = Some(key);
        channel.home = ("AppDial", "(Outgoing Line)");
        channel.caller.number.clone_from(&place.exten);
        channel.connected = party;
        channel.place = place;
        channel.place.priority = 1;
        (channel.place.app, channel.place.data) =
            ("AppDial".to_owned(), "(Outgoing Line)".to_owned());
        self.tell_dialplan(called);
        self.tell_caller_id(called);
    }

    /// The party called answers: the caller is answered as well, and both enter a bridge of their own.
    pub(crate) fn dial_answered(&mut self, called: ChannelKey, dialer: ChannelKey) {
        let now = self.now;
        let Some((name, number)) = self.channels.get(called).map(|channel| {
            let number = channel.variables.get("DIALEDPEERNUMBER");
            (
                channel.name.to_string(),
                number.unwrap_or_default().to_owned(),
            )
        }) else {
            return;
        };
        let Some(dials) = self
            .channels
            .get_mut(dialer)
            .filter(|channel| !channel.ending)
            .and_then(|channel| channel.outgoing.as_mut())
        else {
            self.end_channel(called);
            return;
        };
        dials.answered = Some(now);
        self.write_variable(dialer, "DIALSTATUS", Some("ANSWER"), false);
        self.write_variable(dialer, "DIALEDPEERNAME", Some(&name), false);
        self.write_variable(dialer, "DIALEDPEERNUMBER", Some(&number), false);
        if let Some(channel) = self.channels.get_mut(called) {
            channel.place.exten.clear();
        }
        self.tell_dial(called, "ANSWER", "");
        self.answer_channel(dialer);
        let id: Arc<str> = self.generated_id().into();
        let bridge = self.add_bridge(id, String::new(), BridgeKind::DIALED, true);
        self.tell_dialplan(called);
        for channel in [called, dialer] {
            self.enter_dialed(channel, bridge);
        }
        self.name_parties(bridge);
        self.bridge_sounds_else(bridge);
        for channel in [called, dialer] {
            self.may_optimise(channel);
        }
    }

    pub(crate) fn enter_dialed(&mut self, key: ChannelKey, bridge: BridgeKey) {
        let Some(channel) = self.channels.get_mut(key).filter(|known| !known.ending) else {
            return;
        };
        channel.bridge = Some(bridge);
        if let Some(bridge) = self.bridges.get_mut(bridge) {
            bridge.members.push(key);
            bridge.parties.push(Party::Member(key));
        }
        self.tell_member(bridge, key, "ChannelEnteredBridge");
    }

    /// The bridge between two parties of which a channel is one.
    pub(crate) fn dialed_bridge(&self, key: ChannelKey) -> Option<BridgeKey> {
        let bridge = self.channels.get(key)?.bridge?;
        self.bridges.get(bridge)?.dialed.then_some(bridge)
    }

    /// A channel that ends leaves the bridge of its call; both sides are alone then.
    pub(crate) fn leave_dialed_bridge(&mut self, key: ChannelKey) -> Option<BridgeKey> {
        let bridge = self.dialed_bridge(key)?;
        let others = self.bridges.get(bridge)?.members.clone();
        self.clear_bridge_peer(key);
        // Where more than one is left, they go on with each other.
        let others: Vec<_> = others.into_iter().filter(|other| *other != key).collect();
        if let [other] = others[..] {
            self.clear_bridge_peer(other);
        }
        self.take_out(key, bridge);
        if let Some(bridge) = self.bridges.get_mut(bridge) {
            bridge.parties.retain(|party| *party != Party::Member(key));
        }
        Some(bridge)
    }

    /// The call of a channel is over: how long it took, and what became of it.
    pub(crate) fn finish_dial(&mut self, key: ChannelKey) {
        let now = self.now;
        let dials = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.outgoing.take());
        let Some(dials) = dials else { return };
        let times = [
            ("ANSWEREDTIME", dials.answered.map(|at| now.since(at))),
            ("DIALEDTIME", Some(now.since(dials.since))),
        ];
        for (name, time) in times {
            let Some(time) = time else { continue };
            self.write_variable(key, name, Some(&time.as_secs().to_string()), false);
            let millis = time.as_millis().to_string();
            self.write_variable(key, &format!("{name}_MS"), Some(&millis), false);
        }
        if dials.answered.is_some() {
            self.write_variable(key, "DIALSTATUS", Some("ANSWER"), false);
        } else {
            self.write_variable(key, "DIALSTATUS", Some("CANCEL"), false);
            self.end_channel(dials.called);
        }
    }

    /// One of two parties has left: the other goes on in its dialplan, or ends with the bridge.
    pub(crate) fn dissolve(&mut self, bridge: BridgeKey) {
        let others = self
            .bridges
            .get(bridge)
            .map(|bridge| bridge.members.clone())
            .unwrap_or_default();
        if others.len() > 1 {
            self.settle_technology(bridge);
            self.name_parties(bridge);
            return;
        }
        for &other in &others {
            self.take_out(other, bridge);
        }
        self.drop_bridge(bridge);
        for other in others {
            let dials = self
                .channels
                .get(other)
                .and_then(|channel| channel.outgoing.as_ref())
                .filter(|dials| dials.goes_on);
            if let Some(begins) = dials.map(|dials| dials.begins) {
                self.finish_dial(other);
                if !begins {
                    self.next_priority(other);
                }
                continue;
            }
            if let Some(channel) = self
                .channels
                .get_mut(other)
                .filter(|known| known.cause == 0)
            {
                channel.cause = 16;
            }
            self.end_channel(other);
        }
    }

    /// A channel that was called ends before it answered: its caller goes on in its dialplan.
    pub(crate) fn called_party_gone(&mut self, dialer: ChannelKey, called: ChannelKey, cause: u16) {
        let now = self.now;
        let Some(channel) = self.channels.get_mut(dialer).filter(|known| !known.ending) else {
            return;
        };
        let Some(dials) = channel
            .outgoing
            .take_if(|dials| dials.called == called && dials.answered.is_none())
        else {
            return;
        };
        let time = now.since(dials.since);
        self.write_variable(
            dialer,
            "DIALEDTIME",
            Some(&time.as_secs().to_string()),
            false,
        );
        let millis = time.as_millis().to_string();
        self.write_variable(dialer, "DIALEDTIME_MS", Some(&millis), false);
        self.write_variable(dialer, "DIALSTATUS", Some(status_of(cause)), false);
        if !dials.begins {
            self.next_priority(dialer);
        }
    }

    /// Takes a Local channel out of the way after a while, if both of its halves are in calls of the dialplan
    /// and audio flows between them.
    pub(crate) fn may_optimise(&mut self, key: ChannelKey) {
        if self.optimisable(key).is_some() {
            self.timers
                .set(self.now + OPTIMISED_AFTER, Timer::Optimise(key));
        }
    }

    /// The halves of a Local channel that can be taken out of the way, and the bridge of each.
    fn optimisable(&self, key: ChannelKey) -> Option<[(ChannelKey, BridgeKey); 2]> {
        let channel = self.channels.get(key)?;
        let Tech::Local { peer: Some(peer) } = channel.tech else {
            return None;
        };
        let other = self.channels.get(peer)?;
        let heard = |channel: &Channel| channel.hears != Sound::Nothing;
        let up = channel.state == State::Up && other.state == State::Up;
        if !up || !(heard(channel) || heard(other)) {
            return None;
        }
        // The first half is the one that was called.
        let [near, far] = if channel.name.ends_with(";1") {
            [key, peer]
        } else {
            [peer, key]
        };
        Some([
            (near, self.dialed_bridge(near)?),
            (far, self.dialed_bridge(far)?),
        ])
    }

    /// Moves who talks to the first half of a Local channel to the bridge of the other half, in its place.
    pub(crate) fn optimise(&mut self, key: ChannelKey) {
        let Some([(near, from), (far, to)]) = self.optimisable(key) else {
            return;
        };
        let mover = match self.bridges.get(from).map(|bridge| &bridge.members[..]) {
            Some(&[mover, other] | &[other, mover]) if other == near => mover,
            // More than two stay where they are.
            _ => return,
        };
        self.take_out(mover, from);
        if let Some(bridge) = self.bridges.get_mut(from) {
            bridge
                .parties
                .retain(|party| *party != Party::Member(mover));
        }
        self.clear_bridge_peer(far);
        self.take_out(far, to);
        if let Some(bridge) = self.bridges.get_mut(to) {
            bridge.parties.retain(|party| *party != Party::Member(far));
        }
        self.enter_dialed(mover, to);
        self.name_parties(to);
        self.bridge_sounds_else(to);
        self.clear_bridge_peer(near);
        for half in [near, far] {
            if let Some(channel) = self.channels.get_mut(half) {
                channel.cause = 16;
            }
        }
        // The dialplan of the half that called is over, and the half that was called with it.
        self.finish_dial(far);
        self.leave_dialed_bridge(near);
        if let Some(channel) = self.channels.get_mut(far) {
            channel.has_dialplan = false;
            self.tell_hangup_request(far, Some(16), true);
        }
        self.drop_bridge(from);
        self.end_channel(near);
        self.may_optimise(mover);
    }
}
