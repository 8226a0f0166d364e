//! What streams and waits wait for, compared with what there is: no I/O.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use ari_core::{
    EntityKind, Metadata, OperationSpec, Place, Placed, Request,
    operations::{bridges, channels, playbacks, recordings},
    router::Awaited,
};

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
    /// Applications of which somebody takes the new calls, or took them.
    calls: BTreeSet<Arc<str>>,
    /// Channels that are in one of these.
    entered: Vec<String>,
}

impl Comparison {
    /// Begins with what is waited for, with what is bound to dialogs, and with the applications whose new calls are
    /// waited for; whatever is created from now on does not count.
    pub(crate) fn new(
        awaited: Vec<Awaited>,
        mut bound: Vec<(EntityKind, Arc<str>)>,
        calls: BTreeSet<Arc<str>>,
    ) -> Self {
        // Of other kinds there is no list, and one question for each is too many where nobody waits for the answer.
        bound.retain(|(kind, _)| LISTED.contains(kind));
        Self {
            awaited,
            bound,
            listed: HashSet::new(),
            exist: HashMap::new(),
            gone: HashSet::new(),
            calls,
            entered: Vec::new(),
        }
    }

    /// What is still to be asked.
    pub(crate) fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        for kind in LISTED {
            let wanted = self.awaited.iter().any(|awaited| awaited.kind() == kind);
            let wanted = wanted || self.bound.iter().any(|(bound, _)| *bound == kind);
            let wanted = wanted || kind == EntityKind::Channel && !self.calls.is_empty();
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
                    let is_ours = |name| self.calls.contains(name);
                    if *kind == EntityKind::Channel && item.application().is_some_and(is_ours) {
                        self.entered.push(item.id.clone().into_owned());
                    }
                    let place = item.place();
                    self.exist.insert((*kind, item.id.into_owned()), place);
                }
                self.listed.insert(*kind);
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

    /// Who is gone, and who nobody could tell of.
    pub(crate) fn outcome(self) -> Compared {
        let is_gone = |(kind, id): &(EntityKind, Arc<str>)| {
            self.listed.contains(kind) && !self.exist.contains_key(&(*kind, id.to_string()))
        };
        let mut compared = Compared {
            entered: self.entered,
            unbound: self.bound.into_iter().filter(is_gone).collect(),
            ..Compared::default()
        };
        for awaited in self.awaited {
            let one = (awaited.kind(), awaited.id().to_owned());
            match self.exist.get(&one) {
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
    /// They are outside of every application, where no event may tell of their end.
    pub(crate) outside: Vec<Awaited>,
    /// Channels in an application whose new calls are taken.
    pub(crate) entered: Vec<String>,
    /// They are bound to a dialog and do not exist any more.
    pub(crate) unbound: Vec<(EntityKind, Arc<str>)>,
}
