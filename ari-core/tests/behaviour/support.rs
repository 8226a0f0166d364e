//! Events, tasks and transports of the scenarios.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use ari_core::{
    Ari, AriClient, Calls, ConnectionState, End, Error, Events, Gathered, IncomingCall, Metadata,
    Request, Response, Result, StreamItem, View,
    router::{Feed, FeedChange, FeedState, Router, RouterCounts},
    testing::Fake,
};
use futures::{
    FutureExt, Stream, StreamExt,
    executor::LocalPool,
    future::{BoxFuture, RemoteHandle},
    task::{LocalSpawnExt, noop_waker_ref},
};
use serde_json::{Value, json};

pub(crate) const NODE: &str = "02:00:00:00:00:01";
pub(crate) const OTHER_NODE: &str = "02:00:00:00:00:02";

pub(crate) const GET_CHANNEL: &str = "GET /channels/{channelId}";
pub(crate) const GET_PLAYBACK: &str = "GET /playbacks/{playbackId}";
pub(crate) const ORIGINATE: &str = "POST /channels";
pub(crate) const PLAY: &str = "POST /channels/{channelId}/play/{playbackId}";

pub(crate) fn fake() -> Fake {
    Fake::new("demo", NODE)
}

/// An event about a channel.
pub(crate) fn on_channel(kind: &str, id: &str) -> Value {
    json!({ "type": kind, "channel": { "id": id } })
}

/// An event about a playback on something, as in `channel:c`.
pub(crate) fn on_playback(kind: &str, id: &str, target: &str) -> Value {
    json!({ "type": kind, "playback": { "id": id, "target_uri": target } })
}

/// An event about a recording of something, as in `channel:c`.
pub(crate) fn on_recording(kind: &str, name: &str, target: &str) -> Value {
    json!({ "type": kind, "recording": { "name": name, "target_uri": target } })
}

pub(crate) fn dtmf(channel: &str, digit: &str) -> Value {
    json!({ "type": "ChannelDtmfReceived", "channel": { "id": channel }, "digit": digit })
}

pub(crate) fn from_node(mut event: Value, node: &str) -> Value {
    event["asterisk_id"] = node.into();
    event
}

/// What a router holds beyond its root scope.
pub(crate) fn held(ari: &Ari) -> (usize, usize, usize) {
    let RouterCounts {
        subscriptions,
        feeds,
        scopes,
        ..
    } = ari.client().router().counts();
    (subscriptions, feeds, scopes - 1)
}

pub(crate) const NOTHING: (usize, usize, usize) = (0, 0, 0);

/// What is there to be read at once.
pub(crate) fn ready<S: Stream + Unpin>(stream: &mut S) -> Poll<Option<S::Item>> {
    stream.poll_next_unpin(&mut Context::from_waker(noop_waker_ref()))
}

/// A view of events that tells its type.
pub(crate) trait Seen: View {
    fn kind(&self) -> String;
}

impl Seen for ari_core::Event {
    fn kind(&self) -> String {
        Self::kind(self).to_owned()
    }
}

impl<T: ari_core::events::TypedEvent> Seen for ari_core::Typed<T> {
    fn kind(&self) -> String {
        self.event().kind().to_owned()
    }
}

/// What is there to be read at once, a line for each item, the end of the stream included.
pub(crate) fn read<V: Seen>(stream: &mut Events<V>) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        match ready(stream) {
            Poll::Ready(Some(StreamItem::Event(event))) => lines.push(event.kind()),
            Poll::Ready(Some(StreamItem::Gap(gap))) => {
                lines.push(format!("Gap {:?} {:?}", gap.cause, gap.missed));
            }
            Poll::Ready(Some(StreamItem::Resynced)) => lines.push("Resynced".to_owned()),
            Poll::Ready(Some(_)) => panic!("an item of a kind that is not known here"),
            Poll::Ready(None) => {
                lines.push(format!("end {:?}", stream.end().unwrap()));
                return lines;
            }
            Poll::Pending => return lines,
        }
    }
}

pub(crate) fn closed<V: Seen>(stream: &mut Events<V>) -> bool {
    read(stream).last().is_some_and(|line| line == "end Closed")
        && stream.end() == Some(End::Closed)
}

/// The outcome of what needs no waiting.
pub(crate) fn now<T>(future: impl IntoFuture<Output = T>) -> T {
    let outcome = future.into_future().now_or_never();
    outcome.unwrap_or_else(|| panic!("it waits"))
}

/// A future that is polled only when it was woken, as on a real runtime.
pub(crate) struct Task<T> {
    pool: LocalPool,
    outcome: RemoteHandle<T>,
}

impl<T: 'static> Task<T> {
    pub(crate) fn start(future: impl Future<Output = T> + 'static) -> Self {
        let pool = LocalPool::new();
        let outcome = pool.spawner().spawn_local_with_handle(future).unwrap();
        let mut task = Self { pool, outcome };
        task.pool.run_until_stalled();
        task
    }

    /// The outcome, if it is there by now.
    pub(crate) fn outcome(&mut self) -> Option<T> {
        self.pool.run_until_stalled();
        (&mut self.outcome).now_or_never()
    }

    pub(crate) fn waits(&mut self) -> bool {
        self.outcome().is_none()
    }
}

/// How often an operation was asked for.
pub(crate) fn asked(fake: &Fake, operation: &str) -> usize {
    fake.requests()
        .iter()
        .filter(|request| request.operation.to_string() == operation)
        .count()
}

/// What becomes of a request.
pub(crate) enum Verdict {
    /// The fake answers it.
    Pass,
    /// It ends in this error.
    Fail(Error),
    /// No answer ever comes.
    Hang,
}

type Hook = Box<dyn Fn(&Fake, &Request) -> Verdict + Send + Sync>;

/// A transport in front of a fake: it sees each request before its answer, and has places of its own.
pub(crate) struct Hooked {
    pub(crate) fake: Fake,
    hook: Hook,
    places: Mutex<VecDeque<&'static str>>,
}

impl Hooked {
    pub(crate) fn new(
        fake: &Fake,
        hook: impl Fn(&Fake, &Request) -> Verdict + Send + Sync + 'static,
    ) -> Self {
        Self {
            fake: fake.clone(),
            hook: Box::new(hook),
            places: Mutex::default(),
        }
    }

    /// The places that creations go to, one after the other.
    pub(crate) fn with_places(self, places: impl IntoIterator<Item = &'static str>) -> Self {
        self.places.lock().unwrap().extend(places);
        self
    }

    pub(crate) fn ari(self) -> Ari {
        Ari::new(Arc::new(self))
    }
}

impl fmt::Debug for Hooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fake.fmt(f)
    }
}

impl AriClient for Hooked {
    fn identity(&self) -> Metadata {
        self.fake.identity()
    }

    fn state(&self) -> ConnectionState {
        self.fake.state()
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        match (self.hook)(&self.fake, &request) {
            Verdict::Pass => self.fake.call(request),
            Verdict::Fail(error) => futures::future::ready(Err(error)).boxed(),
            Verdict::Hang => futures::future::pending().boxed(),
        }
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        self.fake.gather(request)
    }

    fn feed(&self, target: &Metadata) -> Feed {
        self.fake.feed(target)
    }

    fn router(&self) -> &Router {
        self.fake.router()
    }

    fn place(&self, request: &mut Request) {
        match self.places.lock().unwrap().pop_front() {
            Some(place) => request.target.asterisk_id = Some(place.into()),
            None => self.fake.place(request),
        }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.fake.sleep(duration)
    }

    fn release_dialog(&self, dialog: &str) {
        self.fake.release_dialog(dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.fake.close()
    }

    fn abandon(&self) {
        self.fake.abandon();
    }
}

/// A transport whose feeds take time, as those of a cluster do; the test says when they are there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remote {
    router: Router,
    nameless: bool,
}

impl Remote {
    /// One that is connected as no application.
    pub(crate) fn nameless() -> Self {
        Self {
            nameless: true,
            ..Self::default()
        }
    }

    pub(crate) fn ari(&self) -> Ari {
        Ari::new(Arc::new(self.clone()))
    }

    pub(crate) fn application() -> Feed {
        Feed::Application("demo".into())
    }

    pub(crate) fn calls() -> Feed {
        Feed::calls("demo")
    }

    /// The feeds that are wanted, or no longer wanted, since the last look.
    pub(crate) fn changes(&self) -> Vec<FeedChange> {
        self.router.changes().now_or_never().unwrap_or_default()
    }

    /// The same by their names alone.
    pub(crate) fn wanted(&self) -> Vec<(Feed, bool)> {
        let changes = self.changes();
        let wanted = changes
            .into_iter()
            .map(|change| (change.feed, change.wanted.is_some()));
        wanted.collect()
    }

    /// Makes every feed that is wanted since the last look.
    pub(crate) fn establish(&self) {
        for FeedChange { feed, wanted, .. } in self.changes() {
            if let Some(generation) = wanted {
                self.router.established(&feed, generation, FeedState::Ready);
            }
        }
    }

    pub(crate) fn deliver(&self, feed: &Feed, event: &Value) {
        let event = ari_core::Event::parse(event.to_string()).unwrap();
        self.router.deliver(feed, &event);
    }
}

impl AriClient for Remote {
    fn identity(&self) -> Metadata {
        Metadata {
            application: (!self.nameless).then(|| "demo".into()),
            ..Metadata::default()
        }
    }

    fn state(&self) -> ConnectionState {
        ConnectionState::Connected
    }

    fn call(&self, _: Request) -> BoxFuture<'_, Result<Response>> {
        futures::future::ready(Ok(Response::new(204, "No Content", ""))).boxed()
    }

    fn gather(&self, _: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        futures::future::ready(Ok(Gathered::new(Vec::new(), Vec::new()))).boxed()
    }

    fn feed(&self, target: &Metadata) -> Feed {
        match &target.dialog {
            Some(dialog) => Feed::Dialog(Arc::clone(dialog)),
            None => Self::application(),
        }
    }

    fn router(&self) -> &Router {
        &self.router
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        futures::future::pending().boxed()
    }

    fn release_dialog(&self, _: &str) {}

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        self.router.close();
        futures::future::ready(Ok(())).boxed()
    }

    fn abandon(&self) {
        self.router.close();
    }
}

/// The calls that are there by now.
pub(crate) fn taken(calls: &mut Calls) -> Vec<IncomingCall> {
    std::iter::from_fn(|| match ready(calls) {
        Poll::Ready(call) => call,
        Poll::Pending => None,
    })
    .collect()
}

pub(crate) fn ids(calls: &[IncomingCall]) -> Vec<String> {
    calls
        .iter()
        .map(|call| call.channel().id().to_owned())
        .collect()
}

pub(crate) fn ended(calls: &mut Calls) -> bool {
    matches!(ready(calls), Poll::Ready(None))
}
