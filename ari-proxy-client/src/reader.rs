//! Events: one task reads all NATS subscriptions and feeds the router.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    future::{pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use ari_core::{
    Event, Gap, GapCause, Metadata,
    router::{Feed, FeedChange, FeedState},
};
use ari_proxy_proto as proto;
use async_nats::{Message, Subscriber};
use futures::{
    FutureExt, Stream, StreamExt,
    future::BoxFuture,
    stream::{FuturesUnordered, SelectAll},
};
use tokio::{
    task::coop::unconstrained,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::{
    ask::member_of,
    groups::Groups,
    inbox::Reply,
    members::Member,
    numbers::{Counters, Verdict},
    shared::Shared,
};

/// How long the servers' answers to a barrier are waited for.
const BARRIER: Duration = Duration::from_secs(2);
/// Events that are read in one go before anything else gets its turn.
const BATCH: usize = 256;

/// What the messages of a subscription are for.
#[derive(Clone, Debug)]
enum Carries {
    Feed(Feed),
    /// The dialogs that only this client knows share one subscription.
    PrivateDialogs,
}

/// A NATS subscription to events.
struct Source {
    carries: Carries,
    subscriber: Subscriber,
    given_up: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Stream for Source {
    type Item = (Carries, Message);

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.given_up.poll_unpin(context).is_ready() {
            return Poll::Ready(None);
        }
        let message = std::task::ready!(self.subscriber.poll_next_unpin(context));
        Poll::Ready(message.map(|message| (self.carries.clone(), message)))
    }
}

struct Reader {
    shared: Arc<Shared>,
    sources: SelectAll<Source>,
    /// The way to give up what each feed is read by.
    tokens: HashMap<Feed, CancellationToken>,
    private_dialogs: HashSet<Feed>,
    private_source: Option<CancellationToken>,
    groups: Groups,
    barriers: FuturesUnordered<BoxFuture<'static, Vec<(Feed, u64)>>>,
    counters: HashMap<Feed, Counters>,
}

/// Reads events until the client ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut reader = Reader {
        shared: Arc::clone(&shared),
        sources: SelectAll::new(),
        tokens: HashMap::new(),
        private_dialogs: HashSet::new(),
        private_source: None,
        groups: Groups::default(),
        barriers: FuturesUnordered::new(),
        counters: HashMap::new(),
    };
    loop {
        let deadline = reader.groups.deadline();
        tokio::select! {
            biased;
            () = shared.token.cancelled() => return,
            (feed, call) = poll_fn(|context| reader.groups.poll_next(context)) => reader.take_call(&feed, call),
            now = until(deadline) => reader.groups.give_up(now).await,
            Some(feeds) = reader.barriers.next(), if !reader.barriers.is_empty() => {
                for (feed, generation) in feeds {
                    shared.router.established(&feed, generation, FeedState::Ready);
                }
            }
            changes = shared.router.changes() => reader.apply(changes).await,
            Some((carries, message)) = reader.sources.next(), if !reader.sources.is_empty() => {
                reader.take_event(&carries, &message);
                reader.take_more();
            }
        }
    }
}

/// Waits for a point in time, if there is one.
async fn until(deadline: Option<Instant>) -> Instant {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
    Instant::now()
}

impl Reader {
    /// Makes and gives up NATS subscriptions as the router asks.
    async fn apply(&mut self, changes: Vec<FeedChange>) {
        let mut made = Vec::new();
        for FeedChange { feed, wanted, .. } in changes {
            match wanted {
                None => self.give_up(&feed).await,
                Some(generation) => match self.subscribe(&feed).await {
                    Ok(()) => made.push((feed, generation)),
                    Err(reason) => {
                        self.shared.router.established(
                            &feed,
                            generation,
                            FeedState::Failed(reason.into()),
                        );
                    }
                },
            }
        }
        if !made.is_empty() {
            // Whatever was subscribed to together waits for one round trip together.
            let shared = Arc::clone(&self.shared);
            self.barriers.push(
                async move {
                    for target in targets(made.iter().map(|(feed, _)| feed)) {
                        barrier(&shared, &target).await;
                    }
                    made
                }
                .boxed(),
            );
        }
    }

    async fn subscribe(&mut self, feed: &Feed) -> Result<(), String> {
        if self.is_read(feed) {
            // It was given up and wanted again before this was told of the first.
            return Ok(());
        }
        let subjects = &self.shared.subjects;
        let name = |error: ari_core::subject::InvalidName| error.to_string();
        let subject = match feed {
            Feed::All => subjects.all_events(),
            Feed::Application(application)
            | Feed::Calls {
                application,
                asterisk_id: None,
            } => subjects.application_events(application).map_err(name)?,
            Feed::Node {
                application,
                asterisk_id,
            }
            | Feed::Calls {
                application,
                asterisk_id: Some(asterisk_id),
            } => subjects.events(application, asterisk_id).map_err(name)?,
            Feed::Dialog(dialog) if dialog.starts_with(&self.shared.private_prefix()) => {
                return self.subscribe_private(feed).await;
            }
            Feed::Dialog(dialog) => subjects.dialog_events(dialog).map_err(name)?,
            other => return Err(format!("this client has no subject for {other:?}")),
        };
        let trouble = |error: async_nats::SubscribeError| error.to_string();
        if let Feed::Calls { .. } = feed {
            let queue = proto::CALLS_QUEUE.to_owned();
            let subscriber = self
                .shared
                .nats
                .queue_subscribe(subject, queue)
                .await
                .map_err(trouble)?;
            self.groups.join(feed.clone(), subscriber);
            return Ok(());
        }
        let subscriber = self.shared.nats.subscribe(subject).await.map_err(trouble)?;
        let token = self.read(Carries::Feed(feed.clone()), subscriber);
        self.tokens.insert(feed.clone(), token);
        self.counters.insert(feed.clone(), Counters::default());
        Ok(())
    }

    fn is_read(&self, feed: &Feed) -> bool {
        self.tokens.contains_key(feed)
            || self.private_dialogs.contains(feed)
            || self.groups.takes(feed)
    }

    async fn subscribe_private(&mut self, feed: &Feed) -> Result<(), String> {
        if self.private_source.is_none() {
            let subject = self
                .shared
                .subjects
                .dialog_events_below(&self.shared.id)
                .map_err(|error| error.to_string())?;
            let subscriber = self
                .shared
                .nats
                .subscribe(subject)
                .await
                .map_err(|error| error.to_string())?;
            self.private_source = Some(self.read(Carries::PrivateDialogs, subscriber));
        }
        self.private_dialogs.insert(feed.clone());
        self.counters.insert(feed.clone(), Counters::default());
        Ok(())
    }

    fn read(&mut self, carries: Carries, subscriber: Subscriber) -> CancellationToken {
        let token = CancellationToken::new();
        let given_up = Box::pin(token.clone().cancelled_owned());
        self.sources.push(Source {
            carries,
            subscriber,
            given_up,
        });
        token
    }

    async fn give_up(&mut self, feed: &Feed) {
        if let Feed::Calls { .. } = feed {
            // While there is a stream of calls, those that are on their way have somebody to take them.
            let at_once = !self.shared.router.wants(feed);
            self.groups.leave(feed, at_once).await;
            return;
        }
        self.counters.remove(feed);
        if self.counters.capacity() > 64 && self.counters.len() < self.counters.capacity() / 4 {
            self.counters.shrink_to_fit();
        }
        if let Some(token) = self.tokens.remove(feed) {
            token.cancel();
        }
        if self.private_dialogs.remove(feed)
            && self.private_dialogs.is_empty()
            && let Some(token) = self.private_source.take()
        {
            token.cancel();
        }
    }

    fn take_call(&mut self, feed: &Feed, message: Option<Message>) {
        let Some(message) = message else {
            // Leaving the group and coming back may overlap.
            if self.groups.has_left(feed) {
                self.shared.router.drained(feed);
            }
            return;
        };
        // The group gets every event of the application; only StasisStart is a new call.
        match Event::parse(message.payload) {
            Ok(event) if event.kind() == "StasisStart" => {
                self.shared.locations().see(&event);
                self.shared.router.deliver(feed, &event);
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, "a message in the queue group of new calls is no event");
            }
        }
    }

    /// Reads what is there already, as far as one go may.
    fn take_more(&mut self) {
        for _ in 1..BATCH {
            match self.sources.next().now_or_never() {
                Some(Some((carries, message))) => self.take_event(&carries, &message),
                _ => return,
            }
        }
    }

    fn take_event(&mut self, carries: &Carries, message: &Message) {
        // A call is announced in its queue group before its next event is published: whatever is
        // there now comes first, so that no event of a call overtakes the call.
        // Unconstrained, since a spent budget would say that there is none.
        while let Some((feed, call)) =
            unconstrained(poll_fn(|context| self.groups.poll_next(context))).now_or_never()
        {
            self.take_call(&feed, call);
        }
        if self.shared.is_made_again() {
            self.shared
                .router
                .gap_everywhere(Gap::new(None, GapCause::Reconnected));
        }
        let feed = match carries {
            Carries::Feed(feed) => feed.clone(),
            Carries::PrivateDialogs => {
                let dialog = self.shared.subjects.event(&message.subject);
                let Some(proto::EventSubject::Dialog(dialog)) = dialog else {
                    return;
                };
                let feed = Feed::Dialog(dialog.into());
                // A Go server never stops: a dialog that is over must leave no trace.
                if !self.private_dialogs.contains(&feed) {
                    return;
                }
                feed
            }
        };
        let event = match Event::parse(message.payload.clone()) {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(%error, "an event cannot be read");
                self.shared
                    .router
                    .gap(&feed, Gap::new(Some(1), GapCause::Undecodable));
                return;
            }
        };
        let Some(counters) = self.counters.get_mut(&feed) else {
            return;
        };
        let source = counters.source(&message.subject, &event);
        if let Some(numbers) = event.numbers() {
            let connects = self.shared.connects();
            match counters.see(source, numbers, connects) {
                Verdict::Next => {}
                Verdict::Twice => return,
                Verdict::After(gap) => self.shared.router.gap(&feed, gap),
            }
        } else if matches!(feed, Feed::Dialog(_)) && counters.repeats(source, &message.payload) {
            return;
        }
        self.shared.locations().see(&event);
        self.shared.router.deliver(&feed, &event);
    }
}

/// Whom a barrier for these feeds must reach.
fn targets<'f>(feeds: impl Iterator<Item = &'f Feed>) -> Vec<Metadata> {
    let mut targets = Vec::new();
    for feed in feeds {
        let target = match feed {
            Feed::Application(application)
            | Feed::Calls {
                application,
                asterisk_id: None,
            } => Metadata {
                application: Some(Arc::clone(application)),
                ..Metadata::default()
            },
            Feed::Node {
                application,
                asterisk_id,
            }
            | Feed::Calls {
                application,
                asterisk_id: Some(asterisk_id),
            } => Metadata {
                application: Some(Arc::clone(application)),
                asterisk_id: Some(Arc::clone(asterisk_id)),
                dialog: None,
            },
            _ => Metadata::default(),
        };
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    targets
}

/// A round trip to the servers that publish: what was subscribed to before it is in force there after
/// it, on one nats-server and across a cluster of them.
pub(crate) async fn barrier(shared: &Shared, target: &Metadata) {
    let mut waiting: BTreeSet<Member> = shared.expected(target).into_iter().collect();
    let Ok(Some(request)) = proto::encode_barrier(target, &shared.subjects) else {
        return;
    };
    let Some(mut replies) = shared.inbox.open() else {
        return;
    };
    let publish =
        shared
            .nats
            .publish_with_reply(request.subject, replies.subject(), request.payload);
    let deadline = Instant::now() + BARRIER;
    if !matches!(timeout_at(deadline, publish).await, Ok(Ok(()))) {
        return;
    }
    let mut anonymous = 0;
    loop {
        match timeout_at(deadline, replies.next()).await {
            // Nobody is there to publish; the status came by way of our own server.
            Ok(Some(Reply::NobodyThere) | None) => return,
            Ok(Some(Reply::Answer(message))) => {
                match member_of(&proto::answer_source(&message.payload)) {
                    Some(member) => _ = waiting.remove(&member),
                    None => anonymous += 1,
                }
                if anonymous >= waiting.len() {
                    return;
                }
            }
            Err(_) => {
                // Who is silent is not waited for again until it announces itself.
                let missing = waiting.len() - anonymous;
                tracing::warn!(
                    missing,
                    "not every proxy has confirmed a subscription in time"
                );
                let mut members = shared.members();
                for member in waiting.iter().filter(|_| anonymous == 0) {
                    members.suspect(member);
                }
                return;
            }
        }
    }
}
