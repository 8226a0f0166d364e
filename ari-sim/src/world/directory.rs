//! Mailboxes and sounds, and from resources to what does their operations.

use std::collections::BTreeSet;

use ari_core::Method;

use super::{
    World,
    json::{array, object},
    params::Params,
    reply::{Outcome, no_content, ok, refuse},
    sounds::{self, Formats, USUAL},
};

/// The language of all sounds.
const LANGUAGE: &str = "en";

fn mailbox_json(name: &str, (old, new): (i64, i64)) -> String {
    object(|json| {
        json.text("name", name)
            .plain("old_messages", old)
            .plain("new_messages", new);
    })
}

/// A sound in the formats that are wanted; `None`: it is in none of them.
fn sound_json(name: &str, formats: Formats, format: Option<&str>) -> Option<String> {
    let formats: Vec<_> = formats
        .into_iter()
        .filter(|known| format.is_none_or(|wanted| wanted == *known))
        .map(|format| {
            object(|json| {
                json.text("language", LANGUAGE).text("format", format);
            })
        })
        .collect();
    (!formats.is_empty()).then(|| {
        object(|json| {
            json.text("id", name).raw("formats", &array(formats));
        })
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
            (Method::Get, "/deviceStates") => self.list_devices(),
            (Method::Get, "/deviceStates/{deviceName}") => self.get_device(params),
            (method, "/deviceStates/{deviceName}") => self.change_device(method, params),
            (Method::Get, "/mailboxes") => ok(array(
                self.system
                    .mailboxes
                    .iter()
                    .map(|(name, counts)| mailbox_json(name, *counts)),
            )),
            (method, "/mailboxes/{mailboxName}") => self.mailbox_operation(method, params),
            (Method::Get, "/endpoints") => self.list_endpoints(),
            (Method::Get, "/endpoints/{tech}") => self.list_endpoints_of(params),
            (Method::Get, "/endpoints/{tech}/{resource}") => self.get_endpoint(params),
            (_, "/endpoints/sendMessage" | "/endpoints/{tech}/{resource}/sendMessage") => {
                self.send_message(params)
            }
            (_, "/endpoints/refer" | "/endpoints/{tech}/{resource}/refer") => {
                self.send_refer(params)
            }
            (Method::Get, "/sounds") => self.list_sounds(params),
            (Method::Get, "/sounds/{soundId}") => self.get_sound(params),
            _ => Err(refuse(404, "Resource not found")),
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

    fn list_sounds(&self, params: Params<'_>) -> Outcome {
        let format = params.given("format");
        let wanted = params.given("lang").is_none_or(|lang| lang == LANGUAGE);
        let known: BTreeSet<&str> = sounds::names().map(|(name, _)| name).collect();
        let sounds = &self.options.sounds;
        let added = sounds
            .keys()
            .map(String::as_str)
            .filter(|name| !known.contains::<str>(name))
            .map(|name| (name, USUAL));
        let standard = sounds::names().filter(|(name, _)| sounds.contains_key(*name));
        let mut all: Vec<(&str, Formats)> = standard.collect();
        all.extend(added);
        let listed: Vec<_> = all
            .into_iter()
            .filter(|_| wanted)
            .filter_map(|(name, formats)| sound_json(name, formats, format.as_deref()))
            .collect();
        if listed.is_empty() {
            return Err(refuse(404, "No sounds found that matched the query"));
        }
        ok(array(listed))
    }

    fn get_sound(&self, params: Params<'_>) -> Outcome {
        let name = params.text("soundId");
        if !self.options.sounds.contains_key(&*name) {
            return Err(refuse(404, "Sound not found"));
        }
        let formats = sounds::names()
            .find(|(known, _)| *known == name)
            .map_or(USUAL, |(_, formats)| formats);
        ok(sound_json(&name, formats, None).unwrap_or_default())
    }
}
