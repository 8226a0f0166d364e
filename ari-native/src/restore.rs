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
pub(crate) const ALL: &str = "__AST_";

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
mod tests;
