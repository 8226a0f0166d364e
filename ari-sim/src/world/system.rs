//! Asterisk itself: info, ping, and what of its state has nothing to do with calls.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ari_core::Method;

use super::{
    World,
    dynamic::Objects,
    json::{Json, object},
    logging::{self, LogChannel},
    modules::{self, Module},
    params::Params,
    reply::{Outcome, ok, refuse},
};

/// State of Asterisk that has nothing to do with calls.
#[derive(Debug)]
pub(crate) struct System {
    started: Arc<str>,
    pub(crate) reloaded: Arc<str>,
    pub(crate) modules: Vec<Module>,
    pub(crate) logs: Vec<LogChannel>,
    pub(crate) objects: Objects,
    /// Whether phones can be reached that began otherwise.
    pub(crate) reachable: BTreeMap<String, bool>,
    /// States of the devices of applications.
    pub(crate) device_states: BTreeMap<String, String>,
    /// States of phones that were told last.
    pub(crate) told_devices: BTreeMap<String, &'static str>,
    /// Subscriptions to devices: they survive the application object that made them.
    pub(crate) device_subscriptions: BTreeMap<Arc<str>, BTreeSet<String>>,
    pub(crate) mailboxes: BTreeMap<String, (i64, i64)>,
}

impl System {
    pub(crate) fn new(started: &Arc<str>) -> Self {
        Self {
            started: Arc::clone(started),
            reloaded: Arc::clone(started),
            modules: modules::standard(),
            logs: logging::standard(),
            objects: Objects::new(),
            reachable: BTreeMap::new(),
            device_states: BTreeMap::new(),
            told_devices: BTreeMap::new(),
            device_subscriptions: BTreeMap::new(),
            mailboxes: BTreeMap::new(),
        }
    }
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
            (Method::Get, "/asterisk/modules") => self.list_modules(),
            (method, "/asterisk/modules/{moduleName}") => self.module_operation(method, params),
            (Method::Get, "/asterisk/logging") => self.list_logs(),
            (
                method,
                "/asterisk/logging/{logChannelName}" | "/asterisk/logging/{logChannelName}/rotate",
            ) => self.log_operation(method, path, params),
            (method, "/asterisk/config/dynamic/{configClass}/{objectType}/{id}") => {
                self.dynamic_operation(method, params)
            }
            _ => Err(refuse(404, "Resource not found")),
        }
    }

    fn asterisk_info(&self, params: Params<'_>) -> Outcome {
        let only = params.list("only");
        let wanted = |section: &str| {
            !params.has("only") || only.iter().any(|name| name.eq_ignore_ascii_case(section))
        };
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
                        .text("last_reload_time", &self.system.reloaded);
                });
            }
        }))
    }
}
