//! What Asterisk has to be told again after a reconnect: no I/O.
//!
//! While an application has live channels, bridges or subscriptions, Asterisk keeps it, with its
//! subscriptions and its event filter, but not with those to all of a kind; otherwise the application that is there
//! afterwards is a new one, and only then `subscribeAll` counts. So it is asked for, and told only what is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ari_core::{
    EntityKind, Event, Metadata, Request, Response, ended_by, operations::applications,
};
use serde_json::{Value, json};

/// How Asterisk names a subscription to all of a kind.
const ALL: &str = "__AST_";

/// Kinds of sources, and where the description of an application lists those that it is subscribed to.
const KINDS: [(&str, &str); 4] = [
    ("channel", "channel_ids"),
    ("bridge", "bridge_ids"),
    ("endpoint", "endpoint_ids"),
    ("deviceState", "device_names"),
];

/// The explicit subscriptions and the event filter of each of the client's applications, as the answers
/// that came through it say.
#[derive(Debug)]
pub(crate) struct Memory {
    applications: BTreeMap<Arc<str>, Remembered>,
    /// They are to hear of everything. Asterisk passes over `subscribeAll` for an application that exists already.
    everything: bool,
}

#[derive(Debug, Default)]
struct Remembered {
    /// By source, as in `bridge:ID`.
    sources: BTreeMap<String, Subscribed>,
    filter: Option<Filter>,
    /// Kinds of which Asterisk refuses to tell everything.
    refused: BTreeSet<&'static str>,
}

#[derive(Debug, Default)]
struct Subscribed {
    /// How often the program did so.
    times: u32,
    /// How many of these Asterisk has forgotten and was not told again yet.
    owed: u32,
}

#[derive(Clone, Debug, PartialEq)]
struct Filter {
    allowed: Value,
    disallowed: Value,
}

impl Filter {
    /// The filter of an application as Asterisk describes it; `None`: everything passes.
    fn read(application: &Value) -> Option<Self> {
        let list = |name: &str| {
            let list = application.get(name).filter(|list| list.is_array());
            list.cloned().unwrap_or_else(|| json!([]))
        };
        let filter = Self {
            allowed: list("events_allowed"),
            disallowed: list("events_disallowed"),
        };
        (filter.allowed != json!([]) || filter.disallowed != json!([])).then_some(filter)
    }

    /// As it is set.
    fn to_value(&self) -> Value {
        json!({ "allowed": self.allowed, "disallowed": self.disallowed })
    }
}

/// Something to tell Asterisk again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Repair {
    pub(crate) application: Arc<str>,
    pub(crate) what: Missing,
}

/// What Asterisk does not know any more.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Missing {
    /// A subscription, counted so often.
    Source(String, u32),
    /// A subscription to all of a kind that the client wants, not the program.
    All(&'static str),
    /// The event filter.
    Filter(Value),
}

impl Repair {
    /// The request that repairs it, and how often it is to be sent.
    pub(crate) fn request(&self) -> (Request, u32) {
        let application = &*self.application;
        let subscribe = |source: String| {
            Request::new(&applications::SUBSCRIBE, Metadata::default())
                .with("applicationName", application)
                .with("eventSource", vec![source])
        };
        match &self.what {
            Missing::Source(source, times) => (subscribe(source.clone()), *times),
            Missing::All(kind) => (subscribe(all_of(kind)), 1),
            Missing::Filter(filter) => {
                let request = Request::new(&applications::FILTER, Metadata::default())
                    .with("applicationName", application)
                    .with("filter", filter.clone());
                (request, 1)
            }
        }
    }
}

impl Memory {
    pub(crate) fn new(applications: impl IntoIterator<Item = Arc<str>>) -> Self {
        let applications = applications
            .into_iter()
            .map(|name| (name, Remembered::default()));
        Self {
            applications: applications.collect(),
            everything: false,
        }
    }

    /// Has the applications hear of everything.
    pub(crate) fn want_everything(&mut self) {
        self.everything = true;
    }

    /// Forgets what Asterisk refused: another one may answer now.
    pub(crate) fn begin_anew(&mut self) {
        for known in self.applications.values_mut() {
            known.refused.clear();
        }
    }

    /// Has an application do without hearing of everything; gives whether it was to.
    pub(crate) fn forgo_everything(&mut self, application: &str) -> bool {
        let known = self.applications.get_mut(application);
        if let Some(known) = known.filter(|_| self.everything) {
            known.refused.extend(KINDS.map(|(kind, _)| kind));
        }
        self.everything
    }

    /// Notes what an answered request changes.
    pub(crate) fn note(&mut self, request: &Request, response: &Response) {
        // What is to be given back, and was forgotten by Asterisk, is not wanted any more either.
        let was_not_there =
            request.operation.name == "unsubscribe" && matches!(response.status, 404 | 422);
        if request.operation.resource != "applications" || !(response.is_success() || was_not_there)
        {
            return;
        }
        let name = request.parameters.text("applicationName");
        let Some(known) = name.and_then(|name| self.applications.get_mut(&*name)) else {
            return;
        };
        let sources = || {
            request
                .parameters
                .texts("eventSource")
                .map(String::from)
                .collect::<Vec<_>>()
        };
        match request.operation.name {
            "subscribe" => {
                for source in sources() {
                    let counted = is_counted(&source);
                    let times = &mut known.sources.entry(source).or_default().times;
                    *times = if counted { times.saturating_add(1) } else { 1 };
                }
            }
            "unsubscribe" => {
                for source in sources() {
                    if let Some(subscribed) = known.sources.get_mut(&source) {
                        subscribed.times -= 1;
                        subscribed.owed = subscribed.owed.min(subscribed.times);
                        if subscribed.times == 0 {
                            known.sources.remove(&source);
                        }
                    }
                }
            }
            "filter" => {
                if let Ok(application) = serde_json::from_slice(&response.body) {
                    known.filter = Filter::read(&application);
                }
            }
            _ => {}
        }
    }

    /// Forgets the subscriptions to the channel or the bridge whose life an event ends.
    pub(crate) fn after(&mut self, event: &Event) {
        if self.is_empty() {
            return;
        }
        let source = match ended_by(event) {
            Some((EntityKind::Channel, id)) => format!("channel:{id}"),
            Some((EntityKind::Bridge, id)) => format!("bridge:{id}"),
            _ => return,
        };
        for known in self.applications.values_mut() {
            known.sources.remove(&source);
        }
    }

    /// Notes an application that is this client's from now on.
    pub(crate) fn join(&mut self, application: Arc<str>) {
        self.applications.entry(application).or_default();
    }

    /// Forgets an application that is no longer this client's.
    pub(crate) fn leave(&mut self, application: &str) {
        self.applications.remove(application);
    }

    /// Notes that Asterisk was told once more.
    pub(crate) fn told(&mut self, repair: &Repair) {
        if let Missing::Source(source, _) = &repair.what
            && let Some(known) = self.applications.get_mut(&repair.application)
            && let Some(subscribed) = known.sources.get_mut(source)
        {
            subscribed.owed = subscribed.owed.saturating_sub(1);
        }
    }

    /// The filter that an application is to have where the program has changed it since it was repaired: the repair may
    /// have undone that.
    pub(crate) fn changed(&self, repair: &Repair) -> Option<Repair> {
        let Missing::Filter(repaired) = &repair.what else {
            return None;
        };
        let known = self.applications.get(&repair.application)?;
        let none = || json!({ "allowed": [], "disallowed": [] });
        let filter = known.filter.as_ref().map_or_else(none, Filter::to_value);
        (filter != *repaired).then(|| Repair {
            application: Arc::clone(&repair.application),
            what: Missing::Filter(filter),
        })
    }

    /// Whether it is still to be repaired: meanwhile the program may have given it back, or changed it.
    pub(crate) fn is_wanted(&self, repair: &Repair) -> bool {
        let Some(known) = self.applications.get(&repair.application) else {
            return false;
        };
        match &repair.what {
            Missing::Source(source, _) => known
                .sources
                .get(source)
                .is_some_and(|subscribed| subscribed.owed > 0),
            Missing::All(_) => true,
            Missing::Filter(_) => self.changed(repair).is_none(),
        }
    }

    /// Forgets what cannot be repaired.
    pub(crate) fn forget(&mut self, repair: &Repair) {
        if let Some(known) = self.applications.get_mut(&repair.application) {
            match &repair.what {
                Missing::Source(source, _) => {
                    known.sources.remove(source);
                }
                Missing::All(kind) => {
                    known.refused.insert(*kind);
                }
                Missing::Filter(_) => known.filter = None,
            }
        }
    }

    /// Whether there is nothing to tell again.
    fn is_empty(&self) -> bool {
        self.applications.values().all(Remembered::is_empty)
    }

    /// The client's applications.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.applications.keys()
    }

    /// The applications that have something to be told again.
    pub(crate) fn applications(&self) -> Vec<Arc<str>> {
        let told = self.applications.iter().filter(|(_, known)| {
            !known.is_empty() || self.everything && known.refused.len() < KINDS.len()
        });
        told.map(|(name, _)| Arc::clone(name)).collect()
    }

    /// What is missing from what Asterisk knows of an application.
    pub(crate) fn missing(&mut self, name: &Arc<str>, there: &Known<'_>) -> Vec<Repair> {
        let Some(known) = self.applications.get_mut(name) else {
            return Vec::new();
        };
        for (source, subscribed) in &mut known.sources {
            if !there.has(source) {
                subscribed.owed = subscribed.times;
            } else if subscribed.owed == subscribed.times {
                // It was told although no answer said so.
                subscribed.owed -= 1;
            }
        }
        let sources = known
            .sources
            .iter()
            .filter(|(_, subscribed)| subscribed.owed > 0)
            .map(|(source, subscribed)| Missing::Source(source.clone(), subscribed.owed));
        let all = KINDS
            .into_iter()
            .filter(|(kind, _)| {
                let asked_for = known.sources.contains_key(&all_of(kind));
                self.everything && !asked_for && !known.refused.contains(kind)
            })
            .filter(|(kind, _)| !there.has(&all_of(kind)))
            .map(|(kind, _)| Missing::All(kind));
        let filter = known
            .filter
            .as_ref()
            .filter(|filter| there.filter.as_ref() != Some(filter))
            .map(|filter| Missing::Filter(filter.to_value()));
        filter
            .into_iter()
            .chain(sources)
            .chain(all)
            .map(|what| Repair {
                application: Arc::clone(name),
                what,
            })
            .collect()
    }
}

impl Remembered {
    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.filter.is_none()
    }
}

/// The source that stands for all of a kind.
fn all_of(kind: &str) -> String {
    format!("{kind}:")
}

/// Subscriptions to devices, and those to all of a kind, are there or not.
fn is_counted(source: &str) -> bool {
    source
        .split_once(':')
        .is_some_and(|(scheme, id)| scheme != "deviceState" && !id.is_empty())
}

/// What Asterisk knows of an application.
pub(crate) struct Known<'a> {
    /// What it is subscribed to, by kind of source.
    kinds: [(&'static str, Heard<'a>); 4],
    filter: Option<Filter>,
}

struct Heard<'a> {
    /// Who hears of all of a kind cannot be subscribed to one of it, nor needs to be.
    all: bool,
    ids: BTreeSet<&'a str>,
}

impl<'a> Known<'a> {
    /// Reads an application as Asterisk describes it.
    pub(crate) fn read(application: &'a Value) -> Self {
        let heard = |(kind, member)| {
            let items = application.get(member).and_then(Value::as_array);
            let ids = items.into_iter().flatten().filter_map(Value::as_str);
            let ids: BTreeSet<_> = ids.collect();
            let all = ids.iter().any(|id| id.starts_with(ALL));
            (kind, Heard { all, ids })
        };
        Self {
            kinds: KINDS.map(heard),
            filter: Filter::read(application),
        }
    }

    fn has(&self, source: &str) -> bool {
        let Some((scheme, id)) = source.split_once(':') else {
            return false;
        };
        let Some((_, heard)) = self.kinds.iter().find(|(kind, _)| *kind == scheme) else {
            return false;
        };
        let same = |known: &&str| known.eq_ignore_ascii_case(id);
        heard.all
            || (!id.is_empty()
                && (heard.ids.contains(id) || scheme == "endpoint" && heard.ids.iter().any(same)))
    }
}

#[cfg(test)]
mod tests {
    use ari_core::OperationSpec;

    use super::*;

    fn memory() -> Memory {
        Memory::new(["demo".into(), "other".into()])
    }

    fn done(memory: &mut Memory, operation: &'static OperationSpec, name: &str, value: Value) {
        answered(memory, operation, name, value, 200, &json!({}));
    }

    fn answered(
        memory: &mut Memory,
        operation: &'static OperationSpec,
        name: &str,
        value: Value,
        status: u16,
        body: &Value,
    ) {
        let request = Request::new(operation, Metadata::default())
            .with("applicationName", "demo")
            .with(name.to_owned(), value);
        memory.note(&request, &Response::new(status, "", body.to_string()));
    }

    fn subscribe(memory: &mut Memory, sources: Value) {
        done(memory, &applications::SUBSCRIBE, "eventSource", sources);
    }

    fn unsubscribe(memory: &mut Memory, sources: Value) {
        done(memory, &applications::UNSUBSCRIBE, "eventSource", sources);
    }

    fn missing(memory: &mut Memory, application: &Value) -> Vec<String> {
        let repairs = memory.missing(&"demo".into(), &Known::read(application));
        let tell = |repair: Repair| match repair.what {
            Missing::Source(source, times) => format!("{source} {times}"),
            Missing::All(kind) => format!("all of {kind}"),
            Missing::Filter(filter) => filter.to_string(),
        };
        repairs.into_iter().map(tell).collect()
    }

    #[test]
    fn what_was_subscribed_to_is_missing_where_asterisk_does_not_name_it() {
        let mut memory = memory();
        assert_eq!(memory.applications(), Vec::<Arc<str>>::new());
        subscribe(&mut memory, json!(["channel:c1", "bridge:b1"]));
        subscribe(&mut memory, json!(["endpoint:PJSIP/alice"]));
        subscribe(&mut memory, json!("deviceState:Stasis:door"));
        assert_eq!(memory.applications(), ["demo".into()]);
        let all = [
            "bridge:b1 1",
            "channel:c1 1",
            "deviceState:Stasis:door 1",
            "endpoint:PJSIP/alice 1",
        ];
        assert_eq!(missing(&mut memory, &json!({})), all);
        let survived = json!({
            "channel_ids": ["c1"], "bridge_ids": ["b1"], "endpoint_ids": ["pjsip/alice"],
            "device_names": ["Stasis:door"],
        });
        assert_eq!(missing(&mut memory, &survived), [""; 0]);
        let other = json!({ "channel_ids": ["b1"], "bridge_ids": ["c1"] });
        assert_eq!(missing(&mut memory, &other), all);
    }

    #[test]
    fn subscriptions_are_counted_as_asterisk_counts_them() {
        let mut memory = memory();
        for _ in 0..3 {
            subscribe(
                &mut memory,
                json!(["bridge:b1", "deviceState:d", "channel:"]),
            );
        }
        assert_eq!(
            missing(&mut memory, &json!({})),
            ["bridge:b1 3", "channel: 1", "deviceState:d 1"]
        );
        unsubscribe(&mut memory, json!(["bridge:b1", "deviceState:d"]));
        unsubscribe(&mut memory, json!(["bridge:nobody"]));
        assert_eq!(
            missing(&mut memory, &json!({})),
            ["bridge:b1 2", "channel: 1"]
        );
        unsubscribe(&mut memory, json!(["bridge:b1"]));
        unsubscribe(&mut memory, json!(["bridge:b1"]));
        assert_eq!(missing(&mut memory, &json!({})), ["channel: 1"]);
    }

    #[test]
    fn what_is_given_back_before_it_is_told_again_is_owed_no_more() {
        let mut memory = memory();
        for _ in 0..4 {
            subscribe(&mut memory, json!(["bridge:b1"]));
        }
        let (none, named) = (json!({}), json!({ "bridge_ids": ["b1"] }));
        let repair = memory
            .missing(&"demo".into(), &Known::read(&none))
            .remove(0);
        let give_back = |memory: &mut Memory, status| {
            let (operation, source) = (&applications::UNSUBSCRIBE, json!(["bridge:b1"]));
            let answer = json!({});
            answered(memory, operation, "eventSource", source, status, &answer);
        };
        give_back(&mut memory, 422);
        give_back(&mut memory, 404);
        memory.told(&repair);
        assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
        assert!(memory.is_wanted(&repair));
        give_back(&mut memory, 500);
        assert!(memory.is_wanted(&repair), "it may be there still");
        give_back(&mut memory, 422);
        memory.told(&repair);
        assert!(!memory.is_wanted(&repair));
        give_back(&mut memory, 422);
        assert!(memory.is_empty());
        assert!(!memory.is_wanted(&repair));
    }

    #[test]
    fn what_was_told_in_part_is_told_in_full() {
        let mut memory = memory();
        for _ in 0..3 {
            subscribe(&mut memory, json!(["bridge:b1"]));
        }
        let (none, named) = (json!({}), json!({ "bridge_ids": ["b1"] }));
        let repair = memory
            .missing(&"demo".into(), &Known::read(&none))
            .remove(0);
        memory.told(&repair);
        assert_eq!(missing(&mut memory, &named), ["bridge:b1 2"]);
        unsubscribe(&mut memory, json!(["bridge:b1"]));
        memory.told(&repair);
        assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
        memory.told(&repair);
        assert_eq!(missing(&mut memory, &named), [""; 0]);
        // Told, and the answer was lost.
        assert_eq!(missing(&mut memory, &none), ["bridge:b1 2"]);
        assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
    }

    #[test]
    fn who_hears_of_everything_needs_nothing_else() {
        let mut memory = memory();
        subscribe(&mut memory, json!(["channel:c1", "channel:", "bridge:b1"]));
        let application = json!({ "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"] });
        assert_eq!(missing(&mut memory, &application), ["bridge:b1 1"]);
    }

    #[test]
    fn whoever_is_to_hear_of_everything_is_told_of_the_kinds_that_are_missing() {
        let mut memory = memory();
        memory.want_everything();
        assert_eq!(memory.applications(), ["demo".into(), "other".into()]);
        let some = json!({
            "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"], "bridge_ids": ["b1"],
            "device_names": ["__AST_DEVICE_STATE_ALL_TOPIC"],
        });
        assert_eq!(
            missing(&mut memory, &some),
            ["all of bridge", "all of endpoint"]
        );
        // What the program asked for by itself is told once.
        subscribe(&mut memory, json!(["bridge:"]));
        assert_eq!(
            missing(&mut memory, &some),
            ["bridge: 1", "all of endpoint"]
        );
        let endpoints = Repair {
            application: "demo".into(),
            what: Missing::All("endpoint"),
        };
        let target = endpoints.request().0.to_http().unwrap().target;
        assert!(
            target.ends_with("/subscription?eventSource=endpoint%3A"),
            "{target}"
        );
        memory.forget(&endpoints);
        assert_eq!(missing(&mut memory, &some), ["bridge: 1"]);
        assert!(memory.forgo_everything("other"));
        assert_eq!(memory.applications(), ["demo".into()]);
        memory.begin_anew();
        assert_eq!(memory.applications(), ["demo".into(), "other".into()]);
        assert_eq!(
            missing(&mut memory, &some),
            ["bridge: 1", "all of endpoint"]
        );
    }

    #[test]
    fn refusals_and_other_applications_change_nothing() {
        let mut memory = memory();
        let sources = json!(["bridge:b1"]);
        let refused = &applications::SUBSCRIBE;
        answered(
            &mut memory,
            refused,
            "eventSource",
            sources,
            422,
            &json!({}),
        );
        let request = Request::new(&applications::SUBSCRIBE, Metadata::default())
            .with("applicationName", "stranger")
            .with("eventSource", vec!["bridge:b1"]);
        memory.note(&request, &Response::new(200, "", ""));
        assert!(memory.is_empty());
    }

    #[test]
    fn the_filter_is_what_the_answer_says() {
        let mut memory = memory();
        let filter = json!({ "disallowed": [{ "type": "Dial" }] });
        let set = json!({ "events_allowed": [], "events_disallowed": [{ "type": "Dial" }] });
        let operation = &applications::FILTER;
        answered(&mut memory, operation, "filter", filter, 200, &set);
        assert_eq!(missing(&mut memory, &set), [""; 0]);
        let lost = json!({ "events_allowed": [], "events_disallowed": [] });
        assert_eq!(
            missing(&mut memory, &lost),
            [r#"{"allowed":[],"disallowed":[{"type":"Dial"}]}"#]
        );
        let repair = memory
            .missing(&"demo".into(), &Known::read(&lost))
            .remove(0);
        assert!(memory.is_wanted(&repair));
        assert_eq!(memory.changed(&repair), None);
        answered(&mut memory, operation, "filter", json!({}), 200, &lost);
        assert!(memory.is_empty());
        // The program has taken it away while it was restored, and all is to pass.
        assert!(!memory.is_wanted(&repair));
        let changed = memory.changed(&repair).unwrap();
        let nothing = json!({ "allowed": [], "disallowed": [] });
        assert_eq!(changed.what, Missing::Filter(nothing));
        assert!(memory.is_wanted(&changed));
    }

    #[test]
    fn what_has_ended_is_forgotten() {
        let mut memory = memory();
        subscribe(
            &mut memory,
            json!(["channel:c1", "bridge:b1", "channel:c2"]),
        );
        for event in [
            r#"{"type":"ChannelDestroyed","channel":{"id":"c1"}}"#,
            r#"{"type":"BridgeDestroyed","bridge":{"id":"b1"}}"#,
            r#"{"type":"StasisEnd","channel":{"id":"c2"}}"#,
        ] {
            memory.after(&Event::parse(event).unwrap());
        }
        assert_eq!(missing(&mut memory, &json!({})), ["channel:c2 1"]);
        for repair in memory.missing(&"demo".into(), &Known::read(&json!({}))) {
            memory.forget(&repair);
        }
        assert!(memory.is_empty());
    }

    #[test]
    fn a_repair_is_a_request() {
        let repair = Repair {
            application: "demo".into(),
            what: Missing::Source("endpoint:PJSIP/alice".into(), 2),
        };
        let (request, times) = repair.request();
        let http = request.to_http().unwrap();
        assert!(
            http.target
                .starts_with("/applications/demo/subscription?eventSource=")
        );
        assert_eq!(times, 2);
    }
}
