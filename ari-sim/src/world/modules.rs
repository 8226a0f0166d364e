//! Modules: which are loaded, and what loading, unloading and reloading them means.

use std::borrow::Cow;

use ari_core::Method;

use super::{
    World,
    json::{array, object},
    params::Params,
    reply::{Outcome, no_content, ok, refuse},
};

/// The modules of an Asterisk 22: name, use count, flags (running, support level, can be reloaded), description.
const TABLE: &str = include_str!("data/modules.tsv");

#[derive(Debug)]
pub(crate) struct Module {
    name: &'static str,
    description: &'static str,
    use_count: u32,
    support_level: &'static str,
    reloads: bool,
    /// It lacks its configuration, so that it can be loaded but does not run.
    declines: bool,
    /// It is there: it was not unloaded.
    loaded: bool,
}

impl Module {
    const fn runs(&self) -> bool {
        self.loaded && !self.declines
    }

    fn json(&self) -> String {
        object(|json| {
            json.text("name", self.name)
                .text("description", self.description)
                .plain("use_count", self.use_count);
            json.text(
                "status",
                if self.runs() {
                    "Running"
                } else {
                    "Not Running"
                },
            )
            .text("support_level", self.support_level);
        })
    }

    /// Whether a request means it: without regard to case, and with or without `.so`.
    fn is_named(&self, name: &str) -> bool {
        let stem = |name: &str| {
            let end = name.len().saturating_sub(3);
            match name.get(end..) {
                Some(suffix) if suffix.eq_ignore_ascii_case(".so") => end,
                _ => name.len(),
            }
        };
        self.name[..stem(self.name)].eq_ignore_ascii_case(&name[..stem(name)])
    }
}

/// All modules, as Asterisk starts with them.
pub(crate) fn standard() -> Vec<Module> {
    TABLE
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next()?;
            let use_count = fields.next()?.parse().ok()?;
            let flags = fields.next()?;
            let description = fields.next()?;
            Some(Module {
                name,
                description,
                use_count,
                support_level: if flags.contains('e') {
                    "extended"
                } else {
                    "core"
                },
                reloads: flags.contains('l'),
                declines: flags.starts_with('-'),
                loaded: true,
            })
        })
        .collect()
}

/// The module that has the operations of a resource of ARI.
fn module_of_resource(resource: &str) -> Option<&'static str> {
    Some(match resource {
        "applications" => "res_ari_applications",
        "asterisk" => "res_ari_asterisk",
        "bridges" => "res_ari_bridges",
        "channels" => "res_ari_channels",
        "deviceStates" => "res_ari_device_states",
        "endpoints" => "res_ari_endpoints",
        "events" => "res_ari_events",
        "mailboxes" => "res_ari_mailboxes",
        "playbacks" => "res_ari_playbacks",
        "recordings" => "res_ari_recordings",
        "sounds" => "res_ari_sounds",
        _ => return None,
    })
}

/// The module that has an application of the dialplan; `None`: it is built in.
fn module_of_application(application: &str) -> Option<Cow<'static, str>> {
    Some(match application {
        "Dial" => "app_dial".into(),
        "Echo" => "app_echo".into(),
        "Milliwatt" => "app_milliwatt".into(),
        "MusicOnHold" => "res_musiconhold".into(),
        "Playback" => "app_playback".into(),
        "Record" => "app_record".into(),
        "SendDTMF" => "app_senddtmf".into(),
        "Stasis" => "app_stasis".into(),
        "StasisBroadcast" => "app_stasis_broadcast".into(),
        "UserEvent" => "app_userevent".into(),
        "Verbose" => "app_verbose".into(),
        _ => return None,
    })
}

impl World {
    fn module(&self, name: &str) -> Option<&Module> {
        self.system
            .modules
            .iter()
            .find(|module| module.is_named(name))
    }

    /// Whether a module runs.
    pub fn module_runs(&self, name: &str) -> bool {
        self.module(name).is_some_and(Module::runs)
    }

    /// Whether the operations of a resource are there: their module was not unloaded.
    pub(crate) fn resource_runs(&self, resource: &str) -> bool {
        module_of_resource(resource).is_none_or(|module| self.module_runs(module))
    }

    /// Whether the dialplan has an application.
    pub(crate) fn application_runs(&self, application: &str) -> bool {
        module_of_application(application).is_none_or(|module| self.module_runs(&module))
    }

    pub(crate) fn list_modules(&self) -> Outcome {
        let loaded = self.system.modules.iter().filter(|module| module.loaded);
        ok(array(loaded.map(Module::json)))
    }

    pub(crate) fn module_operation(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let name = params.text("moduleName");
        let place = self
            .system
            .modules
            .iter()
            .position(|module| module.is_named(&name));
        let running = place
            .and_then(|place| self.system.modules.get(place))
            .filter(|module| module.runs());
        match (method, running) {
            (Method::Get, None) => Err(refuse(404, "Module could not be found in running modules")),
            (Method::Get, Some(module)) if module.name == name => ok(module.json()),
            (Method::Get, Some(_)) => Err(refuse(409, "Module information could not be retrieved")),
            (Method::Post, Some(_)) => Err(refuse(409, "Module is already loaded")),
            (Method::Post, None) => self.load_module(place),
            (Method::Delete | Method::Put, None) => {
                Err(refuse(404, "Module not found in running modules"))
            }
            (Method::Delete, Some(module)) if module.use_count > 0 => {
                Err(refuse(409, "Module could not be unloaded"))
            }
            (Method::Delete, Some(_)) => {
                if let Some(module) = place.and_then(|place| self.system.modules.get_mut(place)) {
                    module.loaded = false;
                }
                no_content()
            }
            (Method::Put, Some(module)) => {
                let reloads = module.reloads;
                self.system.reloaded = std::sync::Arc::clone(self.stamp.text());
                if reloads {
                    no_content()
                } else {
                    Err(refuse(409, "Module does not support reloading"))
                }
            }
        }
    }

    fn load_module(&mut self, place: Option<usize>) -> Outcome {
        let module = place.and_then(|place| self.system.modules.get_mut(place));
        match module.filter(|module| !module.declines) {
            Some(module) => {
                module.loaded = true;
                no_content()
            }
            None => Err(refuse(409, "Module load declined")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_with_and_without_suffix() {
        let modules = standard();
        assert_eq!(modules.len(), 307);
        let named = |name: &str| modules.iter().find(|module| module.is_named(name));
        assert_eq!(named("APP_ECHO.SO").unwrap().name, "app_echo.so");
        assert_eq!(named("app_echo").unwrap().name, "app_echo.so");
        assert_eq!(named("acl").unwrap().name, "acl");
        assert!(named(".so").is_none());
        assert!(named("").is_none());
        assert!(named("ü").is_none());
    }
}
