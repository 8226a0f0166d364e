//! What the features of the dialplan do with calls that it made: blind transfers, and bridges that are merged.

use super::{
    World,
    application::AppKey,
    bridge::{BridgeKey, Party},
    channel::ChannelKey,
    time::SimTime,
};

impl World {
    /// Lets a party of a call that the dialplan made (`Dial()` with `t` or `T`) send the other one to an extension.
    ///
    /// `channel` is an id or a name. Says whether there is such a call and such an extension; where there is a call,
    /// but no extension, the transfer fails and the call goes on.
    pub fn blind_transfer(
        &mut self,
        now: SimTime,
        channel: &str,
        context: &str,
        exten: &str,
    ) -> bool {
        self.advance(now);
        let Some(sender) = self.find_channel(channel) else {
            return false;
        };
        let Some(bridge) = self.dialed_bridge(sender) else {
            return false;
        };
        let members = self
            .bridges
            .get(bridge)
            .map(|bridge| bridge.members.clone());
        let sent = members
            .unwrap_or_default()
            .into_iter()
            .find(|member| *member != sender);
        let exists = self.options.dialplan.exists(context, exten);
        let result = if exists { "Success" } else { "Invalid" };
        let audience = self.transfer_audience(sender, bridge);
        self.send(&audience, "BridgeBlindTransfer", |world, json| {
            world.head(json, "BridgeBlindTransfer");
            if let Some(channel) = world.channels.get(sender) {
                json.object("channel", |json| channel.write(json));
            }
            json.text("exten", exten)
                .text("context", context)
                .text("result", result)
                .plain("is_external", true);
            if let Some(channel) = sent.and_then(|key| world.channels.get(key)) {
                json.object("transferee", |json| channel.write(json));
            }
            if let Some(bridge) = world.bridges.get(bridge) {
                json.object("bridge", |json| bridge.write(world, json));
            }
        });
        let Some(sent) = sent.filter(|_| exists) else {
            return false;
        };
        self.leave_call(sent);
        self.run_dialplan(sent, context, exten, 1);
        true
    }

    /// Takes a channel out of the call that the dialplan made from it, or to it; the other side is alone then.
    pub(crate) fn leave_call(&mut self, key: ChannelKey) {
        let bridge = self.leave_dialed_bridge(key);
        self.finish_dial(key);
        self.stop_dialplan(key);
        if let Some(channel) = self.channels.get_mut(key) {
            channel.dialed_by = None;
        }
        if let Some(bridge) = bridge {
            self.dissolve(bridge);
        }
    }

    /// Who hears of a transfer: who is subscribed to the channel that asks for it, to the bridge, or to a member.
    fn transfer_audience(&self, sender: ChannelKey, bridge: BridgeKey) -> Vec<AppKey> {
        let mut audience: Vec<AppKey> = Vec::new();
        let members = self.bridges.get(bridge).map(|bridge| &bridge.members[..]);
        let channels = members
            .unwrap_or_default()
            .iter()
            .chain([&sender])
            .filter_map(|key| self.channels.get(*key))
            .flat_map(|channel| &channel.watchers);
        let watchers = self.bridges.get(bridge).map(|bridge| &bridge.watchers[..]);
        for key in channels.chain(watchers.unwrap_or_default()) {
            if !audience.contains(key) {
                audience.push(*key);
            }
        }
        audience.extend(&self.all_bridge_apps);
        audience
    }

    /// Merges the calls of two channels into the bridge of the first, as an attended transfer of the dialplan does.
    ///
    /// Both are ids or names. Says whether both are in calls that the dialplan made.
    pub fn merge_calls(&mut self, now: SimTime, into: &str, from: &str) -> bool {
        self.advance(now);
        let bridge_of = |channel| self.dialed_bridge(self.find_channel(channel)?);
        let (Some(to), Some(from)) = (bridge_of(into), bridge_of(from)) else {
            return false;
        };
        if to == from {
            return false;
        }
        let mut audience: Vec<AppKey> = Vec::new();
        let watchers = [to, from].map(|key| self.bridges.get(key).map(|bridge| &bridge.watchers));
        for key in watchers.into_iter().flatten().flatten() {
            if !audience.contains(key) {
                audience.push(*key);
            }
        }
        audience.extend(&self.all_bridge_apps);
        self.send(&audience, "BridgeMerged", |world, json| {
            world.head(json, "BridgeMerged");
            for (member, key) in [("bridge", to), ("bridge_from", from)] {
                if let Some(bridge) = world.bridges.get(key) {
                    json.object(member, |json| bridge.write(world, json));
                }
            }
        });
        let members = self.bridges.get(from).map(|bridge| bridge.members.clone());
        for member in members.unwrap_or_default() {
            self.take_out(member, from);
            if let Some(bridge) = self.bridges.get_mut(from) {
                bridge
                    .parties
                    .retain(|party| *party != Party::Member(member));
            }
            self.enter_dialed(member, to);
        }
        self.settle_technology(to);
        self.name_parties(to);
        self.drop_bridge(from);
        self.bridge_sounds_else(to);
        true
    }
}
