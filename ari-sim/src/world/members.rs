//! How channels enter and leave bridges.

use std::sync::Arc;

use super::{
    World,
    bridge::{BridgeKey, Party},
    channel::ChannelKey,
};

/// Names that `BRIDGEPEER` has at most.
const MAX_PEERS: usize = 10;

impl World {
    /// Puts a channel into a bridge, out of the one that it is in.
    pub(crate) fn join_bridge(&mut self, channel: ChannelKey, key: BridgeKey) {
        self.leave_bridge(channel, true);
        let Some(data) = self.channels.get_mut(channel).filter(|data| !data.ending) else {
            return;
        };
        let app = data.stasis();
        let call = data.call();
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        data.bridge = Some(key);
        bridge.members.push(channel);
        if let Some(app) = app {
            self.watch_bridge(app, key);
        }
        self.show_video(key);
        self.tell_member(key, channel, "ChannelEnteredBridge");
        self.party_enters(key, Party::Member(channel));
        self.match_connected_lines(key, channel);
        self.settle_technology(key);
        self.bridge_sounds_else(key);
        if let Some(call) = call {
            self.call_bridged(call, true);
        }
    }

    /// Takes a channel out of its bridge. An application that `asked` for it is unsubscribed from the bridge;
    /// a hangup leaves the subscription.
    pub(crate) fn leave_bridge(&mut self, channel: ChannelKey, asked: bool) {
        let Some(data) = self.channels.get(channel) else {
            return;
        };
        let Some(key) = data.bridge else { return };
        let (app, call) = (data.stasis(), data.call());
        self.clear_bridge_peer(channel);
        self.take_out(channel, key);
        self.party_leaves(key, &Party::Member(channel));
        self.settle_technology(key);
        if let (true, Some(app)) = (asked, app)
            && let Some(bridge) = self.bridges.get(key)
        {
            let id = Arc::clone(&bridge.id);
            self.unwatch_bridge(app, &id);
        }
        if let Some(call) = call {
            self.call_bridged(call, false);
        }
    }

    /// Takes all channels out of a bridge that is being destroyed.
    pub(crate) fn empty_bridge(&mut self, key: BridgeKey) {
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        let members = bridge.members.clone();
        bridge.parties.clear();
        for &channel in &members {
            self.clear_bridge_peer(channel);
        }
        for channel in members {
            let Some(data) = self.channels.get(channel) else {
                continue;
            };
            let (app, call) = (data.stasis(), data.call());
            self.take_out(channel, key);
            if let (Some(app), Some(bridge)) = (app, self.bridges.get(key)) {
                let id = Arc::clone(&bridge.id);
                self.unwatch_bridge(app, &id);
            }
            if let Some(call) = call {
                self.call_bridged(call, false);
            }
        }
    }

    pub(crate) fn take_out(&mut self, channel: ChannelKey, key: BridgeKey) {
        if let Some(bridge) = self.bridges.get_mut(key) {
            bridge.members.retain(|member| *member != channel);
        }
        self.show_video(key);
        self.video_source_leaves(key, channel);
        if let Some(data) = self.channels.get_mut(channel) {
            data.bridge = None;
        }
        self.tell_member(key, channel, "ChannelLeftBridge");
        self.pass_sound(channel, super::sound::MAX_HOPS);
        self.bridge_sounds_else(key);
    }

    pub(crate) fn clear_bridge_peer(&mut self, channel: ChannelKey) {
        if self
            .channels
            .get(channel)
            .is_some_and(|data| !data.bridge_peer.is_empty())
        {
            self.set_bridge_peer(channel, "");
        }
    }

    fn set_bridge_peer(&mut self, channel: ChannelKey, names: &str) {
        let Some(data) = self.channels.get_mut(channel) else {
            return;
        };
        names.clone_into(&mut data.bridge_peer);
        self.tell_varset(channel, "BRIDGEPEER", names);
    }

    /// A party enters a mixing bridge: each member is told the names of the others.
    pub(crate) fn party_enters(&mut self, key: BridgeKey, party: Party) {
        let Some(bridge) = self
            .bridges
            .get_mut(key)
            .filter(|bridge| !bridge.kind.holding)
        else {
            return;
        };
        // The order in which Asterisk names them: a third one comes first, a second one last.
        if bridge.parties.len() < 2 {
            bridge.parties.push(party);
        } else {
            bridge.parties.insert(0, party);
        }
        self.name_parties(key);
    }

    pub(crate) fn party_leaves(&mut self, key: BridgeKey, party: &Party) {
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        let before = bridge.parties.len();
        bridge.parties.retain(|known| known != party);
        if bridge.parties.len() < before {
            self.name_parties(key);
        }
    }

    pub(crate) fn name_parties(&mut self, key: BridgeKey) {
        let Some(bridge) = self
            .bridges
            .get(key)
            .filter(|bridge| bridge.parties.len() > 1)
        else {
            return;
        };
        let parties = bridge.parties.clone();
        let name = |party: &Party| match party {
            Party::Helper(name) => Some(Arc::clone(name)),
            Party::Member(channel) => self
                .channels
                .get(*channel)
                .map(|channel| Arc::clone(&channel.name)),
        };
        let names: Vec<_> = parties
            .iter()
            .take(MAX_PEERS + 1)
            .filter_map(name)
            .collect();
        for (place, party) in parties.iter().enumerate() {
            let Party::Member(channel) = party else {
                continue;
            };
            // Who comes after those that are named is told what the last of them is.
            let own = place.min(MAX_PEERS);
            let others: Vec<_> = names
                .iter()
                .enumerate()
                .filter(|(place, _)| *place != own)
                .map(|(_, name)| &**name)
                .collect();
            self.set_bridge_peer(*channel, &others.join(","));
        }
    }

    /// Two members show each other's caller as the party that they are connected to, unless the one that
    /// `entered` is to stay unknown.
    fn match_connected_lines(&mut self, key: BridgeKey, entered: ChannelKey) {
        let Some(bridge) = self.bridges.get(key) else {
            return;
        };
        let &[first, second] = &bridge.members[..] else {
            return;
        };
        if bridge.kind.holding {
            return;
        }
        for (channel, other) in [(first, second), (second, first)] {
            let Some(other) = self
                .channels
                .get(other)
                .filter(|data| !(other == entered && data.membership.is_anonymous))
            else {
                continue;
            };
            let caller = other.caller.clone();
            let Some(data) = self
                .channels
                .get_mut(channel)
                .filter(|data| data.connected != caller)
            else {
                continue;
            };
            data.connected = caller;
            self.tell_channel_plain(channel, "ChannelConnectedLine");
        }
    }

    pub(crate) fn settle_technology(&mut self, key: BridgeKey) {
        if let Some(bridge) = self.bridges.get_mut(key) {
            bridge.technology = bridge.kind.technology(bridge.parties.len());
        }
    }
}
