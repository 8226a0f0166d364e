//! Asterisk itself: info, ping, modules, log channels, configuration.

use std::sync::Arc;

use ari_core::Method;

use super::{
    World,
    json::{Json, array, object},
    options::WorldOptions,
    params::Params,
    reply::{Outcome, no_content, ok, refuse},
};

/// Modules that are loaded: name, description, and whether each can be loaded again.
const MODULES: &[(&str, &str, bool)] = &[
    ("acl", "Named ACL system", true),
    (
        "app_milliwatt.so",
        "Digital Milliwatt (mu-law) Test Application",
        false,
    ),
    ("chan_pjsip.so", "PJSIP Channel Driver", true),
    ("pbx_config.so", "Text Extension Configuration", true),
    ("res_ari.so", "Asterisk RESTful Interface", true),
    (
        "res_ari_channels.so",
        "RESTful API module - Channel resources",
        false,
    ),
    ("res_musiconhold.so", "Music On Hold Resource", true),
    ("res_stasis.so", "Stasis application support", true),
];

#[derive(Debug)]
struct LogChannel {
    name: String,
    configuration: String,
}

/// State of Asterisk that has nothing to do with calls.
#[derive(Debug)]
pub(crate) struct System {
    started: Arc<str>,
    /// Which of the modules are loaded.
    loaded: Vec<bool>,
    logs: Vec<LogChannel>,
    pub(crate) device_states: std::collections::BTreeMap<String, String>,
    pub(crate) mailboxes: std::collections::BTreeMap<String, (i64, i64)>,
}

impl System {
    pub(crate) fn new(_options: &WorldOptions, started: &Arc<str>) -> Self {
        Self {
            started: Arc::clone(started),
            loaded: vec![true; MODULES.len()],
            logs: vec![LogChannel {
                name: "console".to_owned(),
                configuration: "NOTICE,WARNING,ERROR".to_owned(),
            }],
            device_states: std::collections::BTreeMap::new(),
            mailboxes: std::collections::BTreeMap::new(),
        }
    }
}

fn module_json((name, description, _): &(&str, &str, bool)) -> String {
    object(|json| {
        json.text("name", name)
            .text("description", description)
            .plain("use_count", 0);
        json.text("status", "Running").text("support_level", "core");
    })
}

impl World {
    pub(crate) fn asterisk_operation(
        &mut self,
        method: Method,
        path: &str,
        params: Params<'_>,
    ) -> Outcome {
        match (method, path) {
            (_, "/asterisk/info") => self.asterisk_info(params),
            (_, "/asterisk/ping") => ok(object(|json| {
                json.text("ping", "pong")
                    .text("timestamp", self.stamp.text());
                json.text("asterisk_id", &self.options.asterisk_id);
            })),
            (Method::Get, "/asterisk/variable") => self.get_global_variable(params),
            (Method::Post, "/asterisk/variable") => self.set_global_variable(params),
            (Method::Get, "/asterisk/modules") => {
                let loaded = MODULES
                    .iter()
                    .zip(&self.system.loaded)
                    .filter(|(_, loaded)| **loaded);
                ok(array(loaded.map(|(module, _)| module_json(module))))
            }
            (method, "/asterisk/modules/{moduleName}") => self.module_operation(method, params),
            (Method::Get, "/asterisk/logging") => ok(array(self.system.logs.iter().map(|log| {
                object(|json| {
                    json.text("channel", &log.name)
                        .text("type", "File")
                        .text("status", "Enabled");
                    json.text("configuration", &log.configuration);
                })
            }))),
            (
                method,
                "/asterisk/logging/{logChannelName}" | "/asterisk/logging/{logChannelName}/rotate",
            ) => self.log_operation(method, params),
            (_, "/asterisk/config/dynamic/{configClass}/{objectType}/{id}") => Err(refuse(
                404,
                &format!("configClass '{}' not found", params.text("configClass")),
            )),
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn asterisk_info(&self, params: Params<'_>) -> Outcome {
        let only = params.list("only");
        let wanted = |section: &str| only.is_empty() || only.iter().any(|name| name == section);
        ok(object(|json| {
            if wanted("build") {
                json.object("build", |json| {
                    json.text("os", "Linux")
                        .text("kernel", "6.1.0")
                        .text("machine", "x86_64");
                    json.text("options", "OPTIONAL_API")
                        .text("date", "2026-01-01 00:00:00 UTC")
                        .text("user", "root");
                });
            }
            if wanted("system") {
                json.object("system", |json| {
                    json.text("version", &self.options.version)
                        .text("entity_id", &self.options.asterisk_id);
                });
            }
            if wanted("config") {
                json.object("config", |json| {
                    json.text("name", "").text("default_language", "en");
                    json.object("setid", |json: &mut Json| {
                        json.text("user", "").text("group", "");
                    });
                });
            }
            if wanted("status") {
                json.object("status", |json| {
                    json.text("startup_time", &self.system.started)
                        .text("last_reload_time", &self.system.started);
                });
            }
        }))
    }

    fn module_operation(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = params.text("moduleName");
        let found = MODULES.iter().position(|(known, ..)| *known == name);
        let place = found.filter(|place| self.system.loaded.get(*place) == Some(&true));
        let not_running = || refuse(404, "Module not found in running modules");
        match (method, found, place) {
            (Method::Get, _, Some(place)) => ok(module_json(&MODULES[place])),
            (Method::Get, _, None) => {
                Err(refuse(404, "Module could not be found in running modules"))
            }
            (Method::Post, _, Some(_)) => Err(refuse(409, "Module is already loaded")),
            (Method::Post, None, _) => Err(refuse(409, "Module load declined")),
            (Method::Post, Some(place), None) => self.set_loaded(place, true),
            (Method::Delete, _, Some(place)) => self.set_loaded(place, false),
            (Method::Put, _, Some(place)) if MODULES[place].2 => no_content(),
            (Method::Put, _, Some(_)) => Err(refuse(409, "Module does not support reloading")),
            (Method::Delete | Method::Put, _, None) => Err(not_running()),
        }
    }

    fn set_loaded(&mut self, place: usize, loaded: bool) -> Outcome {
        if let Some(module) = self.system.loaded.get_mut(place) {
            *module = loaded;
        }
        no_content()
    }

    fn log_operation(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = params.text("logChannelName").into_owned();
        let place = self.system.logs.iter().position(|log| log.name == name);
        let missing = || refuse(404, "Log channel does not exist");
        match (method, place) {
            (Method::Post, Some(_)) => return Err(refuse(409, "Log channel already exists")),
            (Method::Post, None) => {
                let configuration = params.given("configuration");
                let configuration = configuration
                    .ok_or_else(|| refuse(400, "Configuration is required"))?
                    .into_owned();
                self.system.logs.push(LogChannel {
                    name,
                    configuration,
                });
            }
            (Method::Delete, place) => drop(self.system.logs.remove(place.ok_or_else(missing)?)),
            (_, place) => drop(place.ok_or_else(missing)?),
        }
        no_content()
    }
}
