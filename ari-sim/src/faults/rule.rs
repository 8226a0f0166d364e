//! When a fault strikes.

use std::{fmt, str::FromStr, time::Duration};

use ari_core::registry;
use serde::{Deserialize, Serialize, de::Error as _};
use serde_json::{Map, Value};

use super::{Asked, Fault, FaultKind, millis};

/// Why there can be no such fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultError(String);

impl FaultError {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FaultError {}

/// What a fault is limited to; what is missing fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct FaultScope {
    /// HTTP method of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Path template of requests, as in `/channels/{channelId}`, or a path as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Type of events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Application of events and of sockets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
}

impl FaultScope {
    fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    pub(super) const fn names_requests(&self) -> bool {
        self.method.is_some() || self.path.is_some()
    }

    pub(super) fn fits_request(&self, asked: &Asked<'_>) -> bool {
        let method = self.method.as_deref();
        let path = self.path.as_deref();
        method.is_none_or(|method| method.eq_ignore_ascii_case(asked.method))
            && path.is_none_or(|path| asked.template == Some(path) || asked.path == path)
    }

    pub(super) fn fits_event(&self, kind: &str) -> bool {
        self.event.as_deref().is_none_or(|wanted| wanted == kind)
    }

    /// Whether an application is meant.
    pub(crate) fn fits_application(&self, application: &str) -> bool {
        let wanted = self.application.as_deref();
        wanted.is_none_or(|wanted| wanted == application)
    }
}

/// A fault and when it strikes.
///
/// As JSON: `{"fault": "status", "code": 503, "times": 2, "on": {"method": "POST", "path": "/channels"}}`. As
/// text, for flags: that JSON, or the name and the members with commas between, as in
/// `status,code=503,times=2,path=/channels`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FaultRule {
    /// What goes wrong.
    #[serde(flatten)]
    pub fault: Fault,
    /// What it is limited to.
    #[serde(skip_serializing_if = "FaultScope::is_everything")]
    pub on: FaultScope,
    /// How often it strikes; `None`: always, but an act that nothing brings about is done once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Milliseconds after which it ends; `None`: when it is cleared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub for_ms: Option<u64>,
    /// Milliseconds after which an act is done, and after which it is done again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
    /// How probable it is each time, from 0 to 1; `None`: certain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self {
            fault,
            on: FaultScope::default(),
            times: None,
            for_ms: None,
            every_ms: None,
            probability: None,
        }
    }
}

impl FaultRule {
    /// The same, striking so often.
    #[must_use]
    pub const fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    /// The same, ending after so long.
    #[must_use]
    pub fn lasting(mut self, duration: Duration) -> Self {
        self.for_ms = Some(millis(duration));
        self
    }

    /// The same act, done every so often, for the first time after so long.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Self {
        self.every_ms = Some(millis(interval));
        self
    }

    /// The same, with this probability each time.
    #[must_use]
    pub const fn probability(mut self, probability: f64) -> Self {
        self.probability = Some(probability);
        self
    }

    /// The same for requests of this method and path template, as in `/channels/{channelId}`.
    #[must_use]
    pub fn on(mut self, method: impl Into<String>, path: impl Into<String>) -> Self {
        self.on.method = Some(method.into());
        self.on.path = Some(path.into());
        self
    }

    /// The same for events of this type.
    #[must_use]
    pub fn on_event(mut self, kind: impl Into<String>) -> Self {
        self.on.event = Some(kind.into());
        self
    }

    /// The same for events and sockets of this application.
    #[must_use]
    pub fn on_application(mut self, application: impl Into<String>) -> Self {
        self.on.application = Some(application.into());
        self
    }

    /// Whether it is an act that nothing brings about.
    pub(super) const fn is_immediate(&self) -> bool {
        matches!(self.fault.kind(), FaultKind::Act)
            && self.every_ms.is_none()
            && self.on.event.is_none()
            && !self.on.names_requests()
    }

    /// Looks for what would have no effect.
    pub(crate) fn check(&self) -> Result<(), FaultError> {
        let name = self.fault.name();
        let refuse = |reason: String| Err(FaultError(reason));
        let (on, kind) = (&self.on, self.fault.kind());
        if let Some(path) = &on.path
            && path.contains('{')
            && !registry::OPERATIONS
                .iter()
                .any(|operation| operation.path == path)
        {
            return refuse(format!("no operation has the path {path}"));
        }
        if on.names_requests() && !matches!(kind, FaultKind::Answer | FaultKind::Act) {
            return refuse(format!("{name} cannot be limited to requests"));
        }
        if on.event.is_some() && !matches!(kind, FaultKind::Event | FaultKind::Act) {
            return refuse(format!("{name} cannot be limited to events"));
        }
        if on.event.is_some() && on.names_requests() {
            return refuse("a fault can be limited to requests or to events, not to both".into());
        }
        if self.times == Some(0) {
            return refuse("times must be above 0".into());
        }
        let refuses = matches!(self.fault, Fault::RefuseConnections);
        if on.application.is_some() && (matches!(kind, FaultKind::Answer) || refuses) {
            return refuse(format!("{name} cannot be limited to an application"));
        }
        if self.every_ms.is_some() && !matches!(kind, FaultKind::Act) {
            return refuse(format!("{name} cannot be done every so often"));
        }
        if self.every_ms.is_some() && (on.event.is_some() || on.names_requests()) {
            return refuse("every_ms does not go with method, path or event".into());
        }
        if self.every_ms == Some(0) {
            return refuse("every_ms must be above 0".into());
        }
        if self.is_immediate() && self.times.is_some_and(|times| times > 1) {
            return refuse(format!(
                "{name} more than once needs every_ms, event or path"
            ));
        }
        if refuses && (self.times.is_some() || self.probability.is_some()) {
            return refuse(format!("{name} knows neither times nor probability"));
        }
        if self
            .probability
            .is_some_and(|probability| !(0.0..=1.0).contains(&probability))
        {
            return refuse("probability must be from 0 to 1".into());
        }
        match &self.fault {
            Fault::Status { code } | Fault::HtmlPage { code } if !(200..600).contains(code) => {
                refuse("code must be from 200 to 599".into())
            }
            Fault::EventsReordered { window } if !(2..=1_000).contains(window) => {
                refuse("window must be from 2 to 1000".into())
            }
            Fault::ChangeEntityId { asterisk_id, .. } if asterisk_id.is_empty() => {
                refuse("asterisk_id must not be empty".into())
            }
            _ => Ok(()),
        }
    }
}

/// The members that are not the fault's.
#[derive(Deserialize)]
struct Limits {
    #[serde(default)]
    on: FaultScope,
    times: Option<u64>,
    for_ms: Option<u64>,
    every_ms: Option<u64>,
    probability: Option<f64>,
}

const LIMITS: [&str; 5] = ["on", "times", "for_ms", "every_ms", "probability"];

impl<'de> Deserialize<'de> for FaultRule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (limits, fault): (Map<String, Value>, Map<String, Value>) =
            Map::deserialize(deserializer)?
                .into_iter()
                .partition(|(name, _)| LIMITS.contains(&&**name));
        let given: Vec<_> = fault.keys().cloned().collect();
        let fault: Fault =
            serde_json::from_value(Value::Object(fault)).map_err(D::Error::custom)?;
        // A fault without members would take any.
        let known = serde_json::to_value(&fault).map_err(D::Error::custom)?;
        if let Some(unknown) = given.iter().find(|name| known.get(name).is_none()) {
            let name = fault.name();
            return Err(D::Error::custom(format!("{name} has no member {unknown}")));
        }
        let limits: Limits =
            serde_json::from_value(Value::Object(limits)).map_err(D::Error::custom)?;
        Ok(Self {
            fault,
            on: limits.on,
            times: limits.times,
            for_ms: limits.for_ms,
            every_ms: limits.every_ms,
            probability: limits.probability,
        })
    }
}

impl FromStr for FaultRule {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let text = text.trim();
        let rule: Self = if text.starts_with('{') {
            serde_json::from_str(text)
        } else {
            serde_json::from_value(long_form(text)?)
        }
        .map_err(|error| FaultError(error.to_string()))?;
        rule.check()?;
        Ok(rule)
    }
}

/// The JSON of `name,member=value,…`.
fn long_form(text: &str) -> Result<Value, FaultError> {
    let mut items = text.split(',').map(str::trim);
    let mut rule = Map::new();
    let mut on = Map::new();
    rule.insert("fault".into(), items.next().unwrap_or_default().into());
    for item in items {
        let (name, value) = item
            .split_once('=')
            .ok_or_else(|| FaultError(format!("{item} is not of the form member=value")))?;
        match name {
            "method" | "path" | "event" | "application" => on.insert(name.into(), value.into()),
            "asterisk_id" => rule.insert(name.into(), value.into()),
            // Numbers and truth values; another text is refused as what it is.
            _ => rule.insert(
                name.into(),
                serde_json::from_str(value).unwrap_or_else(|_| value.into()),
            ),
        };
    }
    if !on.is_empty() {
        rule.insert("on".into(), Value::Object(on));
    }
    Ok(Value::Object(rule))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> FaultRule {
        text.parse().unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        let long =
            r#"{"fault":"status","code":503,"times":2,"on":{"path":"/channels","method":"POST"}}"#;
        let rule = Fault::status(503).times(2).on("POST", "/channels");
        assert_eq!(parse(long), rule);
        assert_eq!(
            parse("status, code=503,times=2, method=POST,path=/channels"),
            rule
        );
        assert_eq!(parse("drop_sockets"), Fault::DropSockets.rule());
        assert_eq!(
            parse("change_entity_id,asterisk_id=7,down_ms=5").fault,
            Fault::ChangeEntityId {
                asterisk_id: "7".into(),
                down_ms: 5,
                booting_ms: 0
            }
        );
        assert_eq!(
            parse("truncated_json,honest=false,probability=0.25"),
            Fault::TruncatedJson { honest: false }
                .rule()
                .probability(0.25)
        );
    }

    #[test]
    fn each_fault_survives_json() {
        for fault in Fault::all() {
            let rule = fault.clone().rule().lasting(Duration::from_secs(1));
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<FaultRule>(&json).unwrap(), rule);
            assert!(json.contains(fault.name()), "{json}");
            rule.check().unwrap();
        }
    }

    #[test]
    fn what_would_have_no_effect_is_refused() {
        for text in [
            "",
            "nonsense",
            "status",
            "status,code=99",
            "status,code=503,tmes=2",
            "status,code=503,event=StasisStart",
            "status,code=503,application=a",
            "status,code=503,path=/channels/{id}",
            "reset,ms=3",
            "reset,probability=1.5",
            "reset,every_ms=10",
            "event_lost,path=/channels",
            "status,code=503,times=0",
            "drop_sockets,times=0",
            "drop_sockets,times=3",
            "drop_sockets,every_ms=0",
            "drop_sockets,every_ms=10,event=StasisEnd",
            "restart,event=StasisEnd,path=/channels",
            "refuse_connections,times=2",
            "events_reordered,window=1",
            "change_entity_id,asterisk_id=",
            "half_open,method=GET",
            "{\"fault\":\"reset\",\"on\":{\"paths\":\"/\"}}",
            "{\"fault\":",
            "drop_sockets,now",
        ] {
            assert!(text.parse::<FaultRule>().is_err(), "{text}");
        }
    }
}
