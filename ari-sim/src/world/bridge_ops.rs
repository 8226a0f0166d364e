//! What applications ask of bridges.

use std::sync::Arc;

use serde_json::Value;

use super::{
    World,
    bridge::{Announcer, Bridge, BridgeKey, BridgeKind, Membership, Party},
    channel::{Channel, ChannelKey},
    events::MediaTarget,
    json::{array, object},
    params::Params,
    playback::PlaybackKey,
    queue::Command,
    reply::{Outcome, Refused, no_content, ok, refuse, refuse_as},
    variables::read_settings,
};

/// How many values a list may have.
const MAX_CHANNELS: usize = 127;

impl World {
    /// The bridge of a request.
    pub(crate) fn bridge_of(&self, params: Params<'_>) -> Result<BridgeKey, Refused> {
        let key = self.bridge_ids.get(&*params.text("bridgeId")).copied();
        // Asterisk spells the reason differently here than for GET.
        let key = key.ok_or_else(|| refuse_as(404, "Not found", "Bridge not found"))?;
        if self.bridges.get(key).is_some_and(|bridge| bridge.dialed) {
            return Err(refuse(409, "Bridge not in Stasis application"));
        }
        Ok(key)
    }

    pub(crate) fn create_bridge(&mut self, params: Params<'_>) -> Outcome {
        // Without an id in the path the body is the variables themselves, and may name parameters as well.
        let by_path = params.0.operation.path.ends_with("{bridgeId}");
        let body = params.value("variables");
        let from_body = |name: &str| match body {
            Some(Value::Object(members)) => {
                members.get(name).and_then(Value::as_str).map(str::to_owned)
            }
            _ => None,
        };
        let text = |name: &str| {
            params
                .given(name)
                .map(std::borrow::Cow::into_owned)
                .or_else(|| from_body(name))
        };
        let id = text("bridgeId").filter(|id| !id.is_empty());
        if let Some(id) = id.as_deref().filter(|id| self.bridge_ids.contains_key(*id)) {
            return Err(refuse(
                409,
                &format!("Bridge with id '{id}' already exists"),
            ));
        }
        let Some(kind) = BridgeKind::parse(&text("type").unwrap_or_default()) else {
            let id = id.as_deref().unwrap_or("(null)");
            let message = if by_path {
                "Unable to create bridge".to_owned()
            } else {
                format!("Unable to create bridge. Possible duplicate bridge id '{id}'")
            };
            return Err(refuse_as(500, "Internal Error", &message));
        };
        let id: Arc<str> = match id {
            Some(id) => id.into(),
            None => self.generated_id().into(),
        };
        let key = self.add_bridge(id, text("name").unwrap_or_default(), kind, false);
        // Refused variables do not take the bridge back.
        let settings = read_settings(body)?;
        self.write_bridge_variables(key, &settings);
        ok(self.bridge_json(key))
    }

    /// Makes a bridge and tells it.
    pub(crate) fn add_bridge(
        &mut self,
        id: Arc<str>,
        name: String,
        kind: BridgeKind,
        dialed: bool,
    ) -> BridgeKey {
        let serial = self.next_serial();
        let created = Arc::clone(self.stamp.text());
        let bridge = Bridge::new(Arc::clone(&id), name, serial, kind, dialed, created);
        let key = self.bridges.insert(bridge);
        self.bridge_ids.insert(id, key);
        self.tell_bridge(key, "BridgeCreated");
        key
    }

    fn bridge_json(&self, key: BridgeKey) -> String {
        object(|json| {
            if let Some(bridge) = self.bridges.get(key) {
                bridge.write(self, json);
            }
        })
    }

    pub(crate) fn list_bridges(&self) -> Outcome {
        let mut bridges: Vec<_> = self
            .bridges
            .iter()
            .map(|(key, bridge)| (bridge.serial, key))
            .collect();
        bridges.sort_by_key(|(serial, _)| *serial);
        ok(array(
            bridges.into_iter().map(|(_, key)| self.bridge_json(key)),
        ))
    }

    pub(crate) fn get_bridge(&self, params: Params<'_>) -> Outcome {
        let key = self.bridge_ids.get(&*params.text("bridgeId")).copied();
        let key = key.ok_or_else(|| refuse(404, "Bridge not found"))?;
        ok(self.bridge_json(key))
    }

    pub(crate) fn destroy_bridge(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        self.empty_bridge(key);
        self.abort_media(MediaTarget::Bridge(key));
        self.drop_bridge(key);
        no_content()
    }

    /// Takes an empty bridge away and tells it.
    pub(crate) fn drop_bridge(&mut self, key: BridgeKey) {
        self.tell_bridge(key, "BridgeDestroyed");
        if let Some(bridge) = self.bridges.remove(key) {
            self.bridge_ids.remove(&bridge.id);
            self.end_bridge_subscriptions(&bridge.watchers, &bridge.id);
            let waiting = bridge
                .announcer
                .map(|announcer| announcer.queue)
                .unwrap_or_default();
            for playback in waiting {
                self.drop_playback(playback);
            }
        }
    }

    /// The channel of this id, if it is in Stasis.
    pub(crate) fn controlled_channel(&self, id: &str) -> Result<ChannelKey, Refused> {
        let key = self.channel_ids.get(id).copied();
        let key = key.ok_or_else(|| refuse(400, "Channel not found"))?;
        let in_stasis = |channel: &Channel| channel.stasis().is_some();
        if self.channels.get(key).is_some_and(in_stasis) {
            Ok(key)
        } else {
            Err(refuse(422, "Channel not in Stasis application"))
        }
    }

    /// The channels that a request names.
    fn listed_channels(&self, params: Params<'_>) -> Result<Vec<ChannelKey>, Refused> {
        let ids = params.list("channel");
        if ids.len() > MAX_CHANNELS {
            return Err(refuse(400, "Too many values for channel"));
        }
        let channels = ids
            .into_iter()
            .filter(|id| !id.is_empty())
            .map(|id| self.controlled_channel(&id))
            .collect::<Result<Vec<_>, _>>()?;
        if channels.is_empty() {
            return Err(refuse(400, "Missing parameter channel"));
        }
        Ok(channels)
    }

    pub(crate) fn add_channels(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let channels = self.listed_channels(params)?;
        let membership = Membership {
            absorbs_dtmf: params.truth("absorbDTMF"),
            muted: params.truth("mute"),
            is_anonymous: params.truth("inhibitConnectedLineUpdates"),
        };
        for &channel in &channels {
            if let Some(channel) = self.channels.get_mut(channel) {
                channel.membership = membership;
            }
        }
        self.one_after_the_other(channels, |rest| Command::Join(key, rest))
    }

    fn one_after_the_other(
        &mut self,
        mut channels: Vec<ChannelKey>,
        command: impl FnOnce(Vec<ChannelKey>) -> Command,
    ) -> Outcome {
        let first = channels.remove(0);
        let command = command(channels);
        if matches!(command, Command::Join(..)) && self.is_recording(first) {
            return Err(self.currently_recording(first));
        }
        // The next one waits for what the one before is doing.
        self.ask(first, command)
    }

    pub(crate) fn currently_recording(&self, key: ChannelKey) -> Refused {
        let id = self.channels.get(key).map_or("", |channel| &*channel.id);
        refuse(409, &format!("Channel {id} currently recording"))
    }

    pub(crate) fn remove_channels(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let channels = self.listed_channels(params)?;
        for channel in &channels {
            if self
                .channels
                .get(*channel)
                .is_none_or(|channel| channel.bridge != Some(key))
            {
                return Err(refuse(422, "Channel not in this bridge"));
            }
        }
        self.one_after_the_other(channels, |rest| Command::Leave(key, rest))
    }

    pub(crate) fn start_bridge_music(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        if self
            .bridges
            .get(key)
            .is_some_and(|bridge| bridge.music.is_none())
        {
            let helper = self.add_helper(key, "Announcer/ARI_MOH");
            if let Some(bridge) = self.bridges.get_mut(key) {
                bridge.music = Some(helper);
            }
        }
        no_content()
    }

    pub(crate) fn stop_bridge_music(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let music = self
            .bridges
            .get_mut(key)
            .and_then(|bridge| bridge.music.take());
        let helper = music.ok_or_else(|| refuse(409, "Bridge isn't playing music"))?;
        self.remove_helper(key, &helper);
        no_content()
    }

    /// Puts a channel of Asterisk's own into a bridge: one that plays, or records.
    pub(crate) fn add_helper(&mut self, key: BridgeKey, kind: &str) -> Arc<str> {
        let name: Arc<str> = format!("{kind}-{:08x};2", self.local_names).into();
        self.local_names += 1;
        self.party_enters(key, Party::Helper(Arc::clone(&name)));
        self.settle_technology(key);
        name
    }

    pub(crate) fn remove_helper(&mut self, key: BridgeKey, name: &Arc<str>) {
        self.party_leaves(key, &Party::Helper(Arc::clone(name)));
        self.settle_technology(key);
    }

    pub(crate) fn ensure_announcer(&mut self, key: BridgeKey) {
        if self
            .bridges
            .get(key)
            .is_some_and(|bridge| bridge.announcer.is_none())
        {
            let helper = self.add_helper(key, "Announcer/ARI");
            if let Some(bridge) = self.bridges.get_mut(key) {
                bridge.announcer = Some(Announcer {
                    helper,
                    playing: None,
                    queue: std::collections::VecDeque::new(),
                });
            }
        }
    }

    /// Queues a playback on a bridge.
    pub(crate) fn announce(&mut self, key: BridgeKey, playback: PlaybackKey) {
        let Some(announcer) = self
            .bridges
            .get_mut(key)
            .and_then(|bridge| bridge.announcer.as_mut())
        else {
            return;
        };
        announcer.queue.push_back(playback);
        if announcer.playing.is_none() {
            self.next_announcement(key);
        }
    }

    /// Plays what is next on a bridge; with nothing left the announcer leaves.
    pub(crate) fn next_announcement(&mut self, key: BridgeKey) {
        loop {
            let Some(bridge) = self.bridges.get_mut(key) else {
                return;
            };
            let Some(announcer) = &mut bridge.announcer else {
                return;
            };
            announcer.playing = announcer.queue.pop_front();
            let Some(playback) = announcer.playing else {
                let helper = Arc::clone(&announcer.helper);
                bridge.announcer = None;
                self.remove_helper(key, &helper);
                return;
            };
            if self.run_items(playback) {
                return;
            }
        }
    }

    /// The channel that recorded a bridge leaves it.
    pub(crate) fn recorder_leaves(
        &mut self,
        key: BridgeKey,
        recording: super::recording::RecordingKey,
    ) {
        let Some(bridge) = self.bridges.get_mut(key) else {
            return;
        };
        let Some(place) = bridge
            .recorders
            .iter()
            .position(|(known, _)| *known == recording)
        else {
            return;
        };
        let (_, helper) = bridge.recorders.remove(place);
        self.remove_helper(key, &helper);
    }
}
