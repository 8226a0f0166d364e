//! Device states, mailboxes, endpoints and sounds.

use ari_core::{Method, Response};

use super::{
    World,
    application::{Application, Kinds},
    channel::ChannelKey,
    json::{Json, array, object},
    params::Params,
    reply::{Outcome, Refused, Reply, no_content, ok, refuse},
};

/// States that a device can be in.
const DEVICE_STATES: &[&str] = &[
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

fn mailbox_json(name: &str, (old, new): (i64, i64)) -> String {
    object(|json| {
        json.text("name", name)
            .plain("old_messages", old)
            .plain("new_messages", new);
    })
}

fn sound_json(name: &str, format: Option<&str>) -> String {
    object(|json| {
        let formats = ["gsm", "slin"]
            .into_iter()
            .filter(|known| format.is_none_or(|wanted| wanted == *known));
        let formats = formats.map(|format| {
            object(|json| {
                json.text("language", "en").text("format", format);
            })
        });
        json.text("id", name).raw("formats", &array(formats));
    })
}

impl World {
    pub(crate) fn directory_operation(
        &mut self,
        method: Method,
        path: &str,
        params: Params<'_>,
    ) -> Outcome {
        match (method, path) {
            (Method::Get, "/deviceStates") => ok(array(
                self.system
                    .device_states
                    .iter()
                    .map(|(name, state)| device_json(name, state)),
            )),
            (Method::Get, "/deviceStates/{deviceName}") => {
                let name = params.text("deviceName");
                ok(device_json(&name, self.device_state(&name)))
            }
            (method, "/deviceStates/{deviceName}") => self.change_device(method, params),
            (Method::Get, "/mailboxes") => ok(array(
                self.system
                    .mailboxes
                    .iter()
                    .map(|(name, counts)| mailbox_json(name, *counts)),
            )),
            (method, "/mailboxes/{mailboxName}") => self.mailbox_operation(method, params),
            (Method::Get, "/endpoints") => self.list_endpoints(),
            (Method::Get, "/endpoints/{tech}") => match &*params.text("tech") {
                "PJSIP" => self.list_endpoints(),
                tech => Err(refuse(
                    404,
                    &format!("No Endpoints found - invalid tech {tech}"),
                )),
            },
            (Method::Get, "/endpoints/{tech}/{resource}") => {
                let name = self.named_endpoint(params)?;
                ok(object(|json| self.write_endpoint(&name, json)))
            }
            (
                _,
                "/endpoints/{tech}/{resource}/sendMessage" | "/endpoints/{tech}/{resource}/refer",
            ) => {
                self.named_endpoint(params)?;
                Ok(Reply::Now(Response::new(202, "Accepted", "")))
            }
            (_, "/endpoints/sendMessage" | "/endpoints/refer") => {
                let to = params
                    .given("to")
                    .ok_or_else(|| refuse(400, "To must be specified"))?;
                let known = to.split_once(':').is_some_and(|(scheme, name)| {
                    scheme.eq_ignore_ascii_case("pjsip") && self.options.phones.contains_key(name)
                });
                if known {
                    Ok(Reply::Now(Response::new(202, "Accepted", "")))
                } else {
                    Err(refuse(404, "Endpoint not found"))
                }
            }
            (Method::Get, "/sounds") => self.list_sounds(params),
            (Method::Get, "/sounds/{soundId}") => {
                let name = params.text("soundId");
                if self.options.sounds.contains_key(&*name) {
                    ok(sound_json(&name, None))
                } else {
                    Err(refuse(404, "Sound not found"))
                }
            }
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn device_state(&self, name: &str) -> &str {
        if let Some(state) = self.system.device_states.get(name) {
            return state;
        }
        match name.split_once([':', '/']) {
            Some(("PJSIP", phone)) if self.options.phones.contains_key(phone) => {
                if self.endpoint_channels(phone).is_empty() {
                    "NOT_INUSE"
                } else {
                    "INUSE"
                }
            }
            Some(_) => "UNKNOWN",
            None => "INVALID",
        }
    }

    fn change_device(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = params.text("deviceName").into_owned();
        if !name.starts_with("Stasis:") {
            return Err(refuse(409, "Uncontrolled device specified"));
        }
        if method == Method::Delete {
            self.system.device_states.remove(&name);
            return no_content();
        }
        let state = params.text("deviceState").into_owned();
        if !DEVICE_STATES.contains(&&*state) {
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

    /// The device of a Local channel is in use, or not any more.
    pub(crate) fn tell_device_of(&mut self, key: ChannelKey, state: &str) {
        if self.device_apps.is_empty() {
            return;
        }
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        if let Some((name, _)) = channel
            .name
            .rsplit_once('-')
            .filter(|(name, _)| name.starts_with("Local/"))
        {
            let name = name.to_owned();
            self.tell_device(&name, state);
        }
    }

    fn tell_device(&mut self, name: &str, state: &str) {
        let hears =
            |app: &Application| app.all.has(Kinds::DEVICES) || app.devices.contains_key(name);
        let audience: Vec<_> = self
            .device_apps
            .iter()
            .copied()
            .filter(|key| self.apps.get(*key).is_some_and(hears))
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

    fn mailbox_operation(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = params.text("mailboxName").into_owned();
        match method {
            Method::Get => match self.system.mailboxes.get(&name) {
                Some(counts) => ok(mailbox_json(&name, *counts)),
                None => Err(refuse(404, "Mailbox is does not exist")),
            },
            Method::Delete => match self.system.mailboxes.remove(&name) {
                Some(_) => no_content(),
                None => Err(refuse(404, "Mailbox does not exist")),
            },
            Method::Put | Method::Post => {
                let count = |name| params.number(name).unwrap_or(0);
                self.system
                    .mailboxes
                    .insert(name, (count("oldMessages"), count("newMessages")));
                no_content()
            }
        }
    }

    /// Whether there is something that `PJSIP` or `PJSIP/<name>` names.
    pub(crate) fn endpoint_exists(&self, name: &str) -> bool {
        name == "PJSIP"
            || name
                .strip_prefix("PJSIP/")
                .is_some_and(|name| self.options.phones.contains_key(name))
    }

    pub(crate) fn write_endpoint(&self, name: &str, json: &mut Json) {
        let channels = self.endpoint_channels(name);
        json.text("technology", "PJSIP")
            .text("resource", name)
            .text("state", "online");
        json.texts("channel_ids", channels.iter().map(|id| &**id));
    }

    fn named_endpoint(&self, params: Params<'_>) -> Result<String, Refused> {
        let (tech, resource) = (params.text("tech"), params.text("resource"));
        if tech == "PJSIP" && self.options.phones.contains_key(&*resource) {
            Ok(resource.into_owned())
        } else {
            Err(refuse(404, "Endpoint not found"))
        }
    }

    fn list_endpoints(&self) -> Outcome {
        ok(array(self.options.phones.keys().map(|name| {
            object(|json| self.write_endpoint(name, json))
        })))
    }

    fn list_sounds(&self, params: Params<'_>) -> Outcome {
        let format = params.given("format");
        let known_format = format
            .as_deref()
            .is_none_or(|format| matches!(format, "gsm" | "slin"));
        if !known_format || params.given("lang").is_some_and(|lang| lang != "en") {
            return Err(refuse(404, "No sounds found that matched the query"));
        }
        ok(array(
            self.options
                .sounds
                .keys()
                .map(|name| sound_json(name, format.as_deref())),
        ))
    }
}
