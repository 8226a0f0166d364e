//! Device states: of applications, of phones, of Local channels.

use ari_core::Method;

use super::{
    World,
    application::{Application, Kinds},
    channel::{ChannelKey, State, Tech},
    json::{array, object},
    params::Params,
    reply::{Outcome, no_content, ok, refuse},
};

/// What the names of devices that applications make begin with.
const SCHEME: &str = "Stasis:";

/// States that a device can be given.
const STATES: &[&str] = &[
    "NOT_INUSE",
    "INUSE",
    "BUSY",
    "INVALID",
    "UNAVAILABLE",
    "RINGING",
    "RINGINUSE",
    "ONHOLD",
];

fn device_json(name: &str, state: &str) -> String {
    object(|json| {
        json.text("name", name).text("state", state);
    })
}

/// The name of a device of an application, as Asterisk spells it.
fn controlled(name: &str) -> Option<String> {
    let start = name.get(..SCHEME.len())?;
    start
        .eq_ignore_ascii_case(SCHEME)
        .then(|| format!("{SCHEME}{}", &name[SCHEME.len()..]))
}

impl World {
    pub(crate) fn list_devices(&self) -> Outcome {
        ok(array(
            self.system
                .device_states
                .iter()
                .map(|(name, state)| device_json(name, state)),
        ))
    }

    pub(crate) fn get_device(&self, params: Params<'_>) -> Outcome {
        let name = params.text("deviceName");
        ok(device_json(&name, self.device_state(&name)))
    }

    fn device_state(&self, name: &str) -> &str {
        if let Some(name) = controlled(name) {
            return self
                .system
                .device_states
                .get(&name)
                .map_or("UNKNOWN", String::as_str);
        }
        match name.split_once([':', '/']) {
            Some(("PJSIP", phone)) if self.options.phones.contains_key(phone) => {
                self.phone_state(phone)
            }
            Some(("Local", resource)) => self.local_state(name, resource),
            Some(("PJSIP", _)) | None => "INVALID",
            Some(_) => "UNKNOWN",
        }
    }

    /// The state of a phone: that of its channels together.
    fn phone_state(&self, name: &str) -> &'static str {
        let states: Vec<_> = self
            .channels
            .iter()
            .filter_map(|(_, channel)| match &channel.tech {
                Tech::Sip { endpoint, .. } if endpoint == name => Some(channel.state),
                _ => None,
            })
            .collect();
        let any = |wanted: &[State]| states.iter().any(|state| wanted.contains(state));
        match (any(&[State::Ringing]), any(&[State::Ring, State::Up])) {
            (true, true) => "RINGINUSE",
            (true, false) => "RINGING",
            (false, true) => "INUSE",
            (false, false) if any(&[State::Busy]) => "BUSY",
            _ if self.is_reachable(name) => "NOT_INUSE",
            _ => "UNAVAILABLE",
        }
    }

    fn local_state(&self, name: &str, resource: &str) -> &'static str {
        let (exten, context) = resource.split_once('@').unwrap_or((resource, "default"));
        let runs = self.channels.iter().any(|(_, channel)| {
            channel
                .name
                .rsplit_once('-')
                .is_some_and(|(device, _)| device == name)
        });
        match (self.options.dialplan.exists(context, exten), runs) {
            (false, _) => "INVALID",
            (true, true) => "INUSE",
            (true, false) => "NOT_INUSE",
        }
    }

    pub(crate) fn change_device(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = controlled(&params.text("deviceName"))
            .ok_or_else(|| refuse(409, "Uncontrolled device specified"))?;
        if name == SCHEME {
            return Err(refuse(404, "Device name is missing"));
        }
        if method == Method::Delete {
            self.system.device_states.remove(&name);
            return no_content();
        }
        let state = params.text("deviceState").to_ascii_uppercase();
        if !STATES.contains(&&*state) {
            return Err(refuse(500, "Unknown device"));
        }
        let old = self
            .system
            .device_states
            .insert(name.clone(), state.clone());
        if old.as_deref() != Some(&*state) {
            self.tell_device(&name, &state);
        }
        no_content()
    }

    /// The device of a channel is in use, or not any more: told each time of a Local channel, once of a phone.
    pub(crate) fn tell_device_of(&mut self, key: ChannelKey, state: &str) {
        if self.device_apps.is_empty() {
            return;
        }
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        if let Tech::Sip { endpoint, .. } = &channel.tech {
            let endpoint = endpoint.clone();
            self.settle_phone_state(&endpoint);
        } else if let Some((name, _)) = channel.name.rsplit_once('-') {
            let name = name.to_owned();
            self.tell_device(&name, state);
        }
    }

    /// Somebody begins to hear of devices: what changes from now on is told.
    pub(crate) fn note_phone_states(&mut self) {
        let names: Vec<_> = self.options.phones.keys().cloned().collect();
        for name in names {
            let state = self.phone_state(&name);
            self.system.told_devices.insert(name, state);
        }
    }

    /// Tells the state of a phone if it is another one than before.
    pub(crate) fn settle_phone_state(&mut self, phone: &str) {
        if self.device_apps.is_empty() {
            return;
        }
        let state = self.phone_state(phone);
        let old = self.system.told_devices.insert(phone.to_owned(), state);
        if old != Some(state) {
            self.tell_device(&format!("PJSIP/{phone}"), state);
        }
    }

    fn tell_device(&mut self, name: &str, state: &str) {
        // A subscription to all devices and one to this one are two.
        let hears = |app: &Application| {
            usize::from(app.all.has(Kinds::DEVICES)) + usize::from(app.devices.contains(name))
        };
        let audience: Vec<_> = self
            .device_apps
            .iter()
            .flat_map(|key| {
                let times = self.apps.get(*key).map_or(0, hears);
                std::iter::repeat_n(*key, times)
            })
            .collect();
        for key in audience {
            // The only event that names its application in the middle.
            self.send_whole(key, "DeviceStateChanged", |world, app, json| {
                json.text("type", "DeviceStateChanged")
                    .text("application", app)
                    .text("timestamp", world.stamp.text());
                json.raw("device_state", &device_json(name, state));
                json.text("asterisk_id", &world.options.asterisk_id);
            });
        }
    }
}
