//! Random interleavings against a model: every live stream has what matches it, in order, and nothing
//! is left at the end.

use std::collections::{BTreeMap, BTreeSet};

use ari_core::{Ari, Events, Gap, GapCause, Typed, events::ChannelDtmfReceived, testing::Fake};
use proptest::prelude::*;

use crate::support::{NOTHING, Task, dtmf, fake, held, now, on_channel, on_playback, read};

const CHANNELS: [&str; 3] = ["c0", "c1", "c2"];
const KINDS: [&str; 4] = [
    "ChannelVarset",
    "ChannelDtmfReceived",
    "PlaybackStarted",
    "ChannelDestroyed",
];

#[derive(Clone, Copy, Debug)]
enum Step {
    Child(usize),
    Dialog(usize),
    /// Scope, channel (or all), only digits.
    Subscribe(usize, Option<usize>, bool),
    /// Binds a channel to the dialog of a scope, if it has one.
    Answer(usize, usize),
    /// Begins to wait for the end of a channel that is created for it, and gives it up.
    Wait(usize),
    DropStream(usize),
    DropScope(usize),
    CloseScope(usize),
    Emit(usize, usize),
    Gap,
    Resynced,
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let place = 0..64_usize;
    let channel = 0..CHANNELS.len();
    prop_oneof![
        2 => place.clone().prop_map(Step::Child),
        2 => place.clone().prop_map(Step::Dialog),
        6 => (place.clone(), proptest::option::of(channel.clone()), any::<bool>())
            .prop_map(|(scope, channel, digits)| Step::Subscribe(scope, channel, digits)),
        3 => (place.clone(), channel.clone()).prop_map(|(scope, channel)| Step::Answer(scope, channel)),
        1 => place.clone().prop_map(Step::Wait),
        2 => place.clone().prop_map(Step::DropStream),
        1 => place.clone().prop_map(Step::DropScope),
        1 => place.clone().prop_map(Step::CloseScope),
        12 => (0..KINDS.len(), channel).prop_map(|(kind, channel)| Step::Emit(kind, channel)),
        1 => Just(Step::Gap),
        1 => Just(Step::Resynced),
        3 => place.prop_map(Step::Read),
    ]
}

/// A stream and what it should show.
struct Watched {
    stream: Stream,
    scope: usize,
    channel: Option<usize>,
    seen: Vec<String>,
    expected: Vec<String>,
    live: bool,
}

enum Stream {
    All(Events),
    Digits(Events<Typed<ChannelDtmfReceived>>),
}

impl Watched {
    fn read(&mut self) {
        // A stream tells of its end as often as it is asked.
        if self.seen.last().is_some_and(|line| line.starts_with("end")) {
            return;
        }
        self.seen.extend(match &mut self.stream {
            Stream::All(stream) => read(stream),
            Stream::Digits(stream) => read(stream),
        });
    }

    fn end(&mut self, how: &str) {
        if self.live {
            self.expected.push(format!("end {how}"));
            self.live = false;
        }
    }
}

struct World {
    fake: Fake,
    root: Option<Ari>,
    /// Those that are open, and those that were closed but are still held.
    scopes: BTreeMap<usize, Ari>,
    parents: BTreeMap<usize, usize>,
    open: BTreeMap<usize, Option<String>>,
    bound: BTreeSet<(String, usize)>,
    streams: Vec<Watched>,
    made: usize,
}

impl World {
    fn new() -> Self {
        let fake = fake();
        let root = fake.ari();
        Self {
            fake,
            scopes: BTreeMap::from([(0, root.clone())]),
            root: Some(root),
            parents: BTreeMap::new(),
            open: BTreeMap::from([(0, None)]),
            bound: BTreeSet::new(),
            streams: Vec::new(),
            made: 0,
        }
    }

    fn scope(&self, number: usize) -> (usize, &Ari) {
        let (id, ari) = self.scopes.iter().nth(number % self.scopes.len()).unwrap();
        (*id, ari)
    }

    fn add_scope(&mut self, parent: usize, ari: Ari, dialog: Option<String>) {
        self.made += 1;
        if self.open.contains_key(&parent) {
            self.open.insert(self.made, dialog);
            self.parents.insert(self.made, parent);
        }
        self.scopes.insert(self.made, ari);
    }

    /// What the model does when a scope ends.
    fn end_scope(&mut self, scope: usize) {
        let children: Vec<usize> = self
            .parents
            .iter()
            .filter(|(_, parent)| **parent == scope)
            .map(|(child, _)| *child)
            .collect();
        for child in children {
            self.end_scope(child);
        }
        self.parents.remove(&scope);
        let Some(dialog) = self.open.remove(&scope) else {
            return;
        };
        for watched in self
            .streams
            .iter_mut()
            .filter(|watched| watched.scope == scope)
        {
            watched.end("Closed");
        }
        if let Some(dialog) = dialog
            && !self.open.values().flatten().any(|other| *other == dialog)
        {
            self.bound.retain(|(bound, _)| *bound != dialog);
        }
    }

    fn emit(&mut self, kind: usize, channel: usize) {
        let (kind, id) = (KINDS[kind], CHANNELS[channel]);
        let event = match kind {
            "ChannelDtmfReceived" => dtmf(id, "1"),
            "PlaybackStarted" => on_playback(kind, "p", &format!("channel:{id}")),
            _ => on_channel(kind, id),
        };
        self.fake.emit(&event).unwrap();
        let ends = kind == "ChannelDestroyed";
        for watched in self.streams.iter_mut().filter(|watched| watched.live) {
            // A playback is of the dialog that it was made in, not of that of its channel.
            let reaches = self.open[&watched.scope].as_ref().is_none_or(|dialog| {
                kind != "PlaybackStarted" && self.bound.contains(&(dialog.clone(), channel))
            });
            if !reaches || watched.channel.is_some_and(|wanted| wanted != channel) {
                continue;
            }
            let digits = matches!(watched.stream, Stream::Digits(_));
            if !digits || kind == "ChannelDtmfReceived" {
                watched.expected.push(kind.to_owned());
            }
            if ends && watched.channel.is_some() {
                watched.end("Ended");
            }
        }
        if ends {
            self.bound.retain(|(_, bound)| *bound != channel);
        }
    }

    fn everybody(&mut self, line: &str, tell: impl Fn(&Ari)) {
        // What follows another loss would add to it.
        self.streams.iter_mut().for_each(Watched::read);
        tell(self.root.as_ref().unwrap());
        for watched in self.streams.iter_mut().filter(|watched| watched.live) {
            watched.expected.push(line.to_owned());
        }
        self.streams.iter_mut().for_each(Watched::read);
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Child(number) => {
                let (parent, ari) = self.scope(number);
                let dialog = ari.target().dialog.as_deref().map(str::to_owned);
                let child = ari.child();
                self.add_scope(parent, child, dialog);
            }
            Step::Dialog(number) => {
                let (parent, ari) = self.scope(number);
                let name = format!("d{}", number % 3);
                let child = ari.dialog(name.as_str()).unwrap();
                self.add_scope(parent, child, Some(name));
            }
            Step::Subscribe(number, channel, digits) => {
                let (scope, ari) = self.scope(number);
                let handle = channel.map(|channel| ari.channels().handle(CHANNELS[channel]));
                let stream = match (handle, digits) {
                    (None, false) => now(ari.events()).map(Stream::All),
                    (None, true) => now(ari.events_of()).map(Stream::Digits),
                    (Some(handle), false) => now(handle.events()).map(Stream::All),
                    (Some(handle), true) => now(handle.events_of()).map(Stream::Digits),
                };
                assert_eq!(stream.is_ok(), self.open.contains_key(&scope));
                if let Ok(stream) = stream {
                    self.streams.push(Watched {
                        stream,
                        scope,
                        channel,
                        seen: Vec::new(),
                        expected: Vec::new(),
                        live: true,
                    });
                }
            }
            Step::Answer(number, channel) => {
                let (scope, ari) = self.scope(number);
                let answer = now(ari.channels().handle(CHANNELS[channel]).answer());
                assert_eq!(answer.is_ok(), self.open.contains_key(&scope));
                if let Some(Some(dialog)) = self.open.get(&scope) {
                    self.bound.insert((dialog.clone(), channel));
                }
            }
            Step::Wait(number) => {
                let (scope, ari) = self.scope(number);
                let channel = ari.channels().handle("elsewhere");
                let mut wait = Task::start(async move { channel.until_hungup().await });
                assert_eq!(wait.waits(), self.open.contains_key(&scope));
            }
            Step::DropStream(number) if !self.streams.is_empty() => {
                let mut watched = self.streams.swap_remove(number % self.streams.len());
                watched.read();
                assert_eq!(watched.seen, watched.expected);
            }
            Step::Read(number) if !self.streams.is_empty() => {
                let place = number % self.streams.len();
                self.streams[place].read();
            }
            Step::DropScope(number) if self.scopes.len() > 1 => {
                let (scope, _) = self.scope(number);
                if scope != 0 {
                    self.scopes.remove(&scope);
                    self.end_scope(scope);
                }
            }
            Step::CloseScope(number) => {
                let (scope, ari) = self.scope(number);
                if scope != 0 {
                    now(ari.close()).unwrap();
                    self.end_scope(scope);
                }
            }
            Step::Emit(kind, channel) => self.emit(kind, channel),
            Step::Gap => self.everybody("Gap Upstream Some(1)", |ari| {
                let gap = Gap::new(Some(1), GapCause::Upstream);
                ari.client().router().gap_everywhere(gap);
            }),
            Step::Resynced => {
                self.everybody("Resynced", |ari| ari.client().router().resynced());
            }
            Step::DropStream(_) | Step::Read(_) | Step::DropScope(_) => {}
        }
        assert_eq!(self.fake.bindings(), self.bound.len(), "after {step:?}");
        let (_, _, scopes) = held(self.root.as_ref().unwrap());
        assert_eq!(scopes, self.open.len() - 1, "after {step:?}");
    }

    fn finish(mut self) {
        for watched in &mut self.streams {
            watched.read();
            assert_eq!(watched.seen, watched.expected);
        }
        let root = self.root.take().unwrap();
        self.streams.clear();
        // The root has one owner left: the children go, and it stays.
        self.scopes.clear();
        assert_eq!(held(&root), NOTHING);
        assert_eq!(self.fake.bindings(), 0);
        assert!(!self.fake.is_abandoned());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn every_stream_has_what_matches_it_and_nothing_is_left(steps in proptest::collection::vec(step(), 1..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(step);
        }
        world.finish();
    }
}
