//! Log channels.

use ari_core::Method;

use super::{
    World,
    json::{array, object},
    params::Params,
    reply::{Outcome, no_content, ok, refuse},
};

/// Levels, in the order in which Asterisk names them.
const LEVELS: &[&str] = &[
    "DEBUG", "TRACE", "NOTICE", "WARNING", "ERROR", "VERBOSE", "DTMF",
];

/// Where log files are whose name is no path.
const FOLDER: &str = "/var/log/asterisk";

#[derive(Clone, Debug)]
pub(crate) struct LogChannel {
    file: String,
    kind: &'static str,
    levels: Vec<&'static str>,
    /// It was added, and is gone when the configuration is read again.
    dynamic: bool,
}

fn file_of(name: &str) -> String {
    if name.eq_ignore_ascii_case("console") {
        String::new()
    } else if name.starts_with('/') || is_syslog(name) {
        name.to_owned()
    } else {
        format!("{FOLDER}/{name}")
    }
}

fn is_syslog(name: &str) -> bool {
    name.get(..6)
        .is_some_and(|start| start.eq_ignore_ascii_case("syslog"))
}

impl LogChannel {
    fn new(name: &str, levels: &[&'static str], dynamic: bool) -> Self {
        Self {
            file: file_of(name),
            kind: if name.eq_ignore_ascii_case("console") {
                "Console"
            } else if is_syslog(name) {
                "Syslog"
            } else {
                "File"
            },
            levels: levels.to_vec(),
            dynamic,
        }
    }
}

/// Reads `notice,warning`, `[json]verbose(3),error`, `*`; other names mean nothing.
fn read_levels(text: &str) -> Vec<&'static str> {
    let text = match text
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
    {
        Some((_, rest)) => rest,
        None => text,
    };
    let wanted: Vec<_> = text
        .split(',')
        .map(|name| name.trim().to_ascii_uppercase())
        .collect();
    let named = |level: &&&str| {
        wanted.iter().any(|name| {
            name == *level || name == "*" || (**level == "VERBOSE" && name.starts_with("VERBOSE("))
        })
    };
    LEVELS.iter().filter(named).copied().collect()
}

/// The channels that the configuration names.
pub(crate) fn standard() -> Vec<LogChannel> {
    vec![
        LogChannel::new("security", &["SECURITY"], false),
        LogChannel::new(
            "full",
            &["NOTICE", "WARNING", "ERROR", "VERBOSE", "DTMF"],
            false,
        ),
        LogChannel::new("messages", &["NOTICE", "WARNING", "ERROR"], false),
        LogChannel::new("console", &["NOTICE", "WARNING", "ERROR", "VERBOSE"], false),
    ]
}

impl World {
    pub(crate) fn list_logs(&self) -> Outcome {
        ok(array(self.system.logs.iter().map(|log| {
            // Asterisk writes a space behind each level.
            let levels: String = log.levels.iter().flat_map(|level| [*level, " "]).collect();
            object(|json| {
                json.text("channel", &log.file)
                    .text("type", log.kind)
                    .text("status", "Enabled")
                    .text("configuration", &levels);
            })
        })))
    }

    pub(crate) fn log_operation(
        &mut self,
        method: Method,
        path: &str,
        params: Params<'_>,
    ) -> Outcome {
        let name = params.text("logChannelName");
        let file = file_of(&name);
        let place = self.system.logs.iter().position(|log| log.file == file);
        let missing = || refuse(404, "Log channel does not exist");
        if path.ends_with("/rotate") {
            let rotated = place
                .and_then(|place| self.system.logs.get(place))
                .is_some_and(|log| log.kind == "File");
            // The configuration is read again, whatever was rotated: what was added is gone.
            self.system.logs.retain(|log| !log.dynamic);
            return if rotated {
                no_content()
            } else {
                Err(missing())
            };
        }
        if method == Method::Post {
            let configuration = params
                .given("configuration")
                .ok_or_else(|| refuse(400, "Configuration levels are required"))?;
            if place.is_some() {
                return Err(refuse(409, "Log channel already exists"));
            }
            let levels = read_levels(&configuration);
            self.system
                .logs
                .insert(0, LogChannel::new(&name, &levels, true));
            return no_content();
        }
        let added =
            place.filter(|place| self.system.logs.get(*place).is_some_and(|log| log.dynamic));
        self.system.logs.remove(added.ok_or_else(missing)?);
        no_content()
    }
}

#[cfg(test)]
mod tests {
    use super::read_levels;

    #[test]
    fn levels_are_read_as_asterisk_reads_them() {
        assert_eq!(read_levels("warning, notice"), ["NOTICE", "WARNING"]);
        assert_eq!(read_levels("[json]verbose(3),ERROR"), ["ERROR", "VERBOSE"]);
        assert_eq!(read_levels("*").len(), 7);
        assert!(read_levels("loud").is_empty());
    }
}
