//! What streams and waits wait for, compared with what there is: no I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use ari_core::{
    EntityKind, Metadata, OperationSpec, Place, Placed, Request,
    operations::{applications, bridges, channels, playbacks, recordings},
    router::Awaited,
};
use serde::Deserialize;

use crate::restore::ALL;

/// Playbacks and recordings that are asked for, each by itself; what is beyond asks by itself, over time.
const MAX_QUESTIONS: usize = 256;

/// Kinds of which Asterisk lists all that exist.
const LISTED: [EntityKind; 2] = [EntityKind::Channel, EntityKind::Bridge];

/// A question to Asterisk, and how to read its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Which channels, or bridges, are there?
    List(EntityKind),
    /// Is this playback, or this recording, there?
    One(EntityKind, String),
    /// Which channels does this application hear of?
    Heard(Arc<str>),
}

impl Question {
    pub(crate) fn request(&self) -> Request {
        let ask = |operation: &'static OperationSpec| Request::new(operation, Metadata::default());
        match self {
            Self::List(EntityKind::Bridge) => ask(&bridges::LIST),
            Self::List(_) => ask(&channels::LIST),
            Self::One(EntityKind::LiveRecording, name) => {
                ask(&recordings::GET_LIVE).with("recordingName", name.as_str())
            }
            Self::Heard(name) => ask(&applications::GET).with("applicationName", &**name),
            Self::One(_, id) => ask(&playbacks::GET).with("playbackId", id.as_str()),
        }
    }
}

/// What a question was answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The question has an answer.
    Clear,
    /// It should be asked again.
    Unclear,
}

/// An application of the client.
#[derive(Debug, Default)]
struct Own {
    /// Somebody takes its new calls, or took them.
    takes_calls: bool,
    /// Asterisk was asked what it hears of.
    asked: bool,
    /// The channels that it hears of: those that are in it, and those that it is subscribed to. `None`: of all, or nobody
    /// can tell.
    hears: Option<HashSet<String>>,
}

impl Own {
    fn may_hear(&self, channel: &str) -> bool {
        self.hears.as_ref().is_none_or(|ids| ids.contains(channel))
    }
}

/// What is read of an application, as an answer of Asterisk has it.
#[derive(Deserialize)]
struct Described {
    channel_ids: Option<HashSet<String>>,
}

/// What is waited for, and what is known to exist.
#[derive(Debug)]
pub(crate) struct Comparison {
    awaited: Vec<Awaited>,
    /// Channels and bridges that are bound to a dialog.
    bound: Vec<(EntityKind, Arc<str>)>,
    /// Kinds of which everything that exists is known.
    listed: HashSet<EntityKind>,
    /// With the place of those that are channels.
    exist: HashMap<(EntityKind, String), Place>,
    gone: HashSet<(EntityKind, String)>,
    /// The client's applications.
    own: BTreeMap<Arc<str>, Own>,
    /// Channels that are in a Stasis application, with the one that they entered first: the list goes on naming it when
    /// they are moved to another.
    inside: BTreeMap<String, String>,
}

impl Comparison {
    /// Begins with what is waited for, with what is bound to dialogs, and with the client's applications, of which some
    /// take calls; whatever is created from now on does not count.
    pub(crate) fn new(
        awaited: Vec<Awaited>,
        mut bound: Vec<(EntityKind, Arc<str>)>,
        applications: impl IntoIterator<Item = (Arc<str>, bool)>,
    ) -> Self {
        // Of other kinds there is no list, and one question for each is too many where nobody waits for the answer.
        bound.retain(|(kind, _)| LISTED.contains(kind));
        let own = applications.into_iter().map(|(name, takes_calls)| {
            let own = Own {
                takes_calls,
                ..Own::default()
            };
            (name, own)
        });
        Self {
            awaited,
            bound,
            listed: HashSet::new(),
            exist: HashMap::new(),
            gone: HashSet::new(),
            own: own.collect(),
            inside: BTreeMap::new(),
        }
    }

    fn takes_calls(&self) -> bool {
        self.own.values().any(|own| own.takes_calls)
    }

    /// What is still to be asked, as far as the answers tell that there are.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for kind in LISTED {
            let wanted = self.awaited.iter().any(|awaited| awaited.kind() == kind);
            let wanted = wanted || self.bound.iter().any(|(bound, _)| *bound == kind);
            let wanted = wanted || kind == EntityKind::Channel && self.takes_calls();
            if wanted && !self.listed.contains(&kind) {
                questions.push(Question::List(kind));
            }
        }
        let ones: BTreeSet<(EntityKind, &str)> = self
            .awaited
            .iter()
            .map(|awaited| (awaited.kind(), awaited.id()))
            .filter(|(kind, _)| matches!(kind, EntityKind::Playback | EntityKind::LiveRecording))
            .collect();
        let open = ones
            .into_iter()
            .take(MAX_QUESTIONS)
            .map(|(kind, id)| (kind, id.to_owned()))
            .filter(|one| !self.exist.contains_key(one) && !self.gone.contains(one));
        questions.extend(open.map(|(kind, id)| Question::One(kind, id)));
        // After the list, and after the answer that repairs go by: a channel that comes in meanwhile is heard of and not
        // listed, rather than listed and not heard of.
        let is_inside = |awaited: &Awaited| {
            awaited.kind() == EntityKind::Channel && self.inside.contains_key(awaited.id())
        };
        if self.awaited.iter().any(is_inside) || self.takes_calls() && !self.inside.is_empty() {
            let open = self.own.iter().filter(|(_, own)| !own.asked);
            questions.extend(open.map(|(name, _)| Question::Heard(Arc::clone(name))));
        }
        questions
    }

    /// Takes an answer in.
    pub(crate) fn answered(&mut self, question: &Question, status: u16, body: &[u8]) -> Verdict {
        match question {
            Question::List(kind) => {
                // What cannot be read could be anything.
                let items: Option<Vec<Placed<'_>>> = (status == 200)
                    .then(|| serde_json::from_slice(body).ok())
                    .flatten();
                let Some(items) = items else {
                    return Verdict::Unclear;
                };
                for item in items {
                    if let Some(first) = item.application() {
                        self.inside.insert(item.id.to_string(), first.to_owned());
                    }
                    let place = item.place();
                    self.exist.insert((*kind, item.id.into_owned()), place);
                }
                self.listed.insert(*kind);
            }
            Question::Heard(name) => {
                let hears = match status {
                    200..=299 => match serde_json::from_slice::<Described>(body) {
                        Ok(described) => described.channel_ids,
                        Err(_) => return Verdict::Unclear,
                    },
                    // Somebody may not ask, or there is no such application: nobody can tell.
                    400..=499 => None,
                    _ => return Verdict::Unclear,
                };
                if let Some(own) = self.own.get_mut(name) {
                    own.asked = true;
                    own.hears = hears.filter(|ids| !ids.iter().any(|id| id.starts_with(ALL)));
                }
            }
            Question::One(kind, id) => {
                let one = (*kind, id.clone());
                match status {
                    200..=299 => drop(self.exist.insert(one, Place::Inside)),
                    404 => drop(self.gone.insert(one)),
                    _ => return Verdict::Unclear,
                }
            }
        }
        Verdict::Clear
    }

    /// Whether a channel is in a Stasis application, and no event of it comes here: it is in that of another program.
    fn is_elsewhere(&self, awaited: &Awaited) -> bool {
        awaited.kind() == EntityKind::Channel
            && self.inside.contains_key(awaited.id())
            && !self.own.values().any(|own| own.may_hear(awaited.id()))
    }

    /// Channels that are in an application whose new calls are taken, as far as it can be told.
    fn entered(&self) -> Vec<String> {
        let mut entered = Vec::new();
        for (channel, first) in &self.inside {
            let is_in = |(name, own): (&Arc<str>, &Own)| {
                own.takes_calls
                    && match &own.hears {
                        Some(channels) => channels.contains(channel),
                        None => **name == **first,
                    }
            };
            if self.own.iter().any(is_in) {
                entered.push(channel.clone());
            }
        }
        entered
    }

    /// Who is gone, and who nobody could tell of.
    pub(crate) fn outcome(mut self) -> Compared {
        let is_gone = |(kind, id): &(EntityKind, Arc<str>)| {
            self.listed.contains(kind) && !self.exist.contains_key(&(*kind, id.to_string()))
        };
        let mut compared = Compared {
            entered: self.entered(),
            unbound: self
                .bound
                .iter()
                .filter(|bound| is_gone(bound))
                .cloned()
                .collect(),
            ..Compared::default()
        };
        for awaited in std::mem::take(&mut self.awaited) {
            let one = (awaited.kind(), awaited.id().to_owned());
            let place = match self.exist.get(&one) {
                Some(Place::Inside) if self.is_elsewhere(&awaited) => Some(Place::Outside),
                place => place.copied(),
            };
            match place {
                Some(Place::Inside) => {}
                Some(Place::Outside) => compared.outside.push(awaited),
                None if self.gone.contains(&one) || self.listed.contains(&one.0) => {
                    compared.gone.push(awaited);
                }
                Some(Place::Called) | None => compared.unknown.push(awaited),
            }
        }
        compared
    }
}

/// The outcome of a comparison.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    /// They do not exist any more.
    pub(crate) gone: Vec<Awaited>,
    /// Nobody could tell, or they are still being called.
    pub(crate) unknown: Vec<Awaited>,
    /// They are in no application of the client, where no event may tell of their end.
    pub(crate) outside: Vec<Awaited>,
    /// Channels in an application whose new calls are taken, as far as it can be told.
    pub(crate) entered: Vec<String>,
    /// They are bound to a dialog and do not exist any more.
    pub(crate) unbound: Vec<(EntityKind, Arc<str>)>,
}
