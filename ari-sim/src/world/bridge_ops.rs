//! What applications ask of bridges.

use std::sync::Arc;

use serde_json::Value;

use super::{
    World,
    bridge::{Announcer, Bridge, BridgeKey, BridgeKind, Party},
    channel::ChannelKey,
    events::MediaTarget,
    json::{array, object},
    params::Params,
    playback::PlaybackKey,
    queue::Command,
    reply::{Outcome, Refused, no_content, ok, refuse, refuse_as},
    variables::{Variables, read_settings},
};

/// How many values a list may have.
const MAX_CHANNELS: usize = 127;

impl World {
    /// The bridge of a request.
    pub(crate) fn bridge_of(&self, params: Params<'_>) -> Result<BridgeKey, Refused> {
        let key = self.bridge_ids.get(&*params.text("bridgeId")).copied();
        // Asterisk spells the reason differently here than for GET.
        key.ok_or_else(|| refuse_as(404, "Not found", "Bridge not found"))
    }

    pub(crate) fn create_bridge(&mut self, params: Params<'_>) -> Outcome {
        // The body of this operation is the variables themselves, and may name parameters as well.
        let from_body = |name: &str| match params.value("variables") {
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
        let id = text("bridgeId");
        if let Some(id) = id.as_deref().filter(|id| self.bridge_ids.contains_key(*id)) {
            return Err(refuse(
                409,
                &format!("Bridge with id '{id}' already exists"),
            ));
        }
        let attributes: Vec<_> = text("type")
            .unwrap_or_default()
            .split(',')
            .map(str::to_owned)
            .collect();
        let Some(kind) = BridgeKind::parse(&attributes) else {
            let id = id.as_deref().unwrap_or("(null)");
            let message = format!("Unable to create bridge. Possible duplicate bridge id '{id}'");
            return Err(refuse_as(500, "Internal Error", &message));
        };
        let id: Arc<str> = match id {
            Some(id) => id.into(),
            None => self.generated_id().into(),
        };
        let bridge = Bridge {
            id: Arc::clone(&id),
            name: text("name").unwrap_or_default(),
            serial: self.next_serial(),
            kind,
            technology: kind.technology(0),
            created: Arc::clone(self.stamp.text()),
            members: Vec::new(),
            parties: Vec::new(),
            watchers: Vec::new(),
            variables: Variables::default(),
            music: None,
            announcer: None,
            recorders: Vec::new(),
        };
        let key = self.bridges.insert(bridge);
        self.bridge_ids.insert(id, key);
        self.tell_bridge(key, "BridgeCreated");
        // Refused variables do not take the bridge back.
        let settings = read_settings(params.value("variables"))?;
        self.write_bridge_variables(key, &settings);
        ok(self.bridge_json(key))
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
        let key = self
            .bridge_of(params)
            .map_err(|_| refuse(404, "Bridge not found"))?;
        ok(self.bridge_json(key))
    }

    pub(crate) fn destroy_bridge(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        self.empty_bridge(key);
        self.abort_media(MediaTarget::Bridge(key));
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
        no_content()
    }

    pub(crate) fn add_channels(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let ids: Vec<_> = params
            .list("channel")
            .into_iter()
            .filter(|id| !id.is_empty())
            .collect();
        if ids.is_empty() {
            return Err(refuse(400, "Missing parameter channel"));
        }
        if ids.len() > MAX_CHANNELS {
            return Err(refuse(500, "Too many values for channel"));
        }
        let mut channels = Vec::with_capacity(ids.len());
        for id in &ids {
            let channel = self
                .channel_ids
                .get(&**id)
                .copied()
                .ok_or_else(|| refuse(400, "Channel not found"))?;
            channels.push(channel);
        }
        for &channel in &channels {
            let Some(data) = self.channels.get(channel) else {
                continue;
            };
            if data.stasis().is_none() {
                return Err(refuse(422, "Channel not in Stasis application"));
            }
        }
        // One after the other: the next one waits for what the one before is doing.
        let first = channels.remove(0);
        if self.is_recording(first) {
            return Err(self.currently_recording(first));
        }
        self.ask(first, Command::Join(key, channels))
    }

    pub(crate) fn currently_recording(&self, key: ChannelKey) -> Refused {
        let id = self.channels.get(key).map_or("", |channel| &*channel.id);
        refuse(409, &format!("Channel {id} currently recording"))
    }

    pub(crate) fn remove_channels(&mut self, params: Params<'_>) -> Outcome {
        let key = self.bridge_of(params)?;
        let ids: Vec<_> = params
            .list("channel")
            .into_iter()
            .filter(|id| !id.is_empty())
            .collect();
        if ids.is_empty() {
            return Err(refuse(400, "Missing parameter channel"));
        }
        if ids.len() > MAX_CHANNELS {
            return Err(refuse(500, "Too many values for channel"));
        }
        let mut channels = Vec::with_capacity(ids.len());
        for id in &ids {
            channels.push(
                self.channel_ids
                    .get(&**id)
                    .copied()
                    .ok_or_else(|| refuse(400, "Channel not found"))?,
            );
        }
        for channel in &channels {
            if self
                .channels
                .get(*channel)
                .is_none_or(|channel| channel.bridge != Some(key))
            {
                return Err(refuse(422, "Channel not in this bridge"));
            }
        }
        let first = channels.remove(0);
        self.ask(first, Command::Leave(key, channels))
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
