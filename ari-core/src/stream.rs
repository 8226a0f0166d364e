//! Streams of events.

use std::{
    fmt,
    marker::PhantomData,
    ops::Deref,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, Stream, future::BoxFuture};

use crate::{
    endings::{self, Finality, Latch, Seen},
    entity::{Entity, EntityKind},
    error::Result,
    event::Event,
    events::TypedEvent,
    router::{self, Doubt, End, Gap, GapCause, Interest, Item, Queue, Registration, Sink, Taken},
    scope::Through,
};

/// Room for the events of a stream that nobody has read yet, unless it is set otherwise.
pub(crate) const QUEUE_EVENTS: usize = 1024;

/// One thing in a stream.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StreamItem<V = Event> {
    /// An event.
    Event(V),
    /// Events are missing here.
    Gap(Gap),
    /// After a gap: the client is subscribed again, and what can be restored is. Streams of what ended
    /// meanwhile end instead.
    Resynced,
}

/// A way to look at an event: as it is, or as one type of event.
pub trait View: Sized + Unpin {
    /// The one type of event that can be seen this way; `None`: every type.
    const KIND: Option<&'static str>;

    /// Looks at an event; `None` if it cannot be decoded.
    fn view(event: Event) -> Option<Self>;
}

impl View for Event {
    const KIND: Option<&'static str> = None;

    fn view(event: Event) -> Option<Self> {
        Some(event)
    }
}

/// An event of a known type; dereferences to its fields.
pub struct Typed<T> {
    event: Event,
    body: Arc<T>,
}

impl<T> Typed<T> {
    /// The event as it is on every stream.
    pub const fn event(&self) -> &Event {
        &self.event
    }
}

impl<T: TypedEvent> View for Typed<T> {
    const KIND: Option<&'static str> = Some(T::KIND);

    fn view(event: Event) -> Option<Self> {
        let body = T::from_body(event.body().ok()?)?;
        Some(Self { event, body })
    }
}

impl<T> Deref for Typed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        Self {
            event: self.event.clone(),
            body: Arc::clone(&self.body),
        }
    }
}

impl<T> fmt::Debug for Typed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.fmt(f)
    }
}

/// Why an entity that is gone was not lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Parting {
    /// The program has deleted it, and it was not found since.
    Deleted,
    /// It was seen to leave the application.
    Left,
}

/// A stream of events; its drop ends the interest in them.
///
/// It is bounded: whoever reads too slowly finds a [`Gap`] where events are missing. The stream of an
/// entity ends after the entity's last event, or once what the program has deleted is found gone; every stream
/// ends with its scope; [`end`](Self::end) tells which it was.
#[must_use = "a stream does nothing unless it is read"]
pub struct Events<V = Event> {
    queue: Arc<Queue>,
    registration: Registration,
    through: Through,
    entity: Option<Entity>,
    /// The question whether the entity is gone, after a sign that it may be; and if so, whether it was outside of the
    /// application.
    ///
    /// The lock is never taken: it makes a stream `Sync`, which a boxed future is not.
    question: Option<Mutex<BoxFuture<'static, Result<Option<bool>>>>>,
    /// The latch on the end of the entity, where it hears what this stream may not.
    ending: Option<Latch>,
    /// How often that latch had called for asking when the stream last asked.
    doubts: u64,
    /// No event may tell of the end of the entity.
    unheard: bool,
    /// Why the entity is not lost when it is gone.
    parting: Option<Parting>,
    /// The last event of the entity has been taken.
    over: bool,
    end: Option<End>,
    view: PhantomData<fn() -> V>,
}

impl<V: View> Events<V> {
    pub(crate) fn new(
        queue: Arc<Queue>,
        registration: Registration,
        through: Through,
        entity: Option<Entity>,
    ) -> Self {
        Self {
            queue,
            registration,
            through,
            entity,
            question: None,
            ending: None,
            doubts: 0,
            unheard: false,
            parting: None,
            over: false,
            end: None,
            view: PhantomData,
        }
    }

    /// Why the stream has ended; `None` as long as it has not.
    pub const fn end(&self) -> Option<End> {
        self.end
    }

    /// The entity has been created.
    pub(crate) fn confirm(&self) {
        self.registration.confirm();
    }

    /// Takes over what a latch knows that was there before the stream, and what it hears by another feed: a call of a
    /// dialog's worker ends although it was never bound to the dialog.
    pub(crate) fn follow(&mut self, latch: &Latch) {
        if latch.is_of_other_feed(&self.registration) {
            self.ending = Some(latch.clone());
            self.wait_for_sign();
            return;
        }
        match &*latch.watch().borrow() {
            Seen::Nothing | Seen::Closed => {}
            Seen::Doubt(doubt, _) => drop(self.queue.doubt(*doubt)),
            Seen::Ended(_) => drop(self.queue.end(End::Ended)),
            Seen::Lost => drop(self.queue.end(End::Lost)),
        }
    }

    /// The events alone: gaps are logged and passed over.
    pub fn ignoring_gaps(self) -> IgnoringGaps<V> {
        IgnoringGaps(self)
    }

    /// What an item means for the stream: whether the entity has ended, or must be asked for.
    fn note(&mut self, item: &Item) {
        let Some(entity) = &self.entity else { return };
        match item {
            Item::Event(event) => match endings::finality(entity.kind, &entity.id, event) {
                Finality::Ends => self.over = true,
                Finality::Leaves => {
                    self.parting = Some(Parting::Left);
                    self.ask(Duration::ZERO);
                }
                Finality::Goes => {}
            },
            // Where the transport compares, it also tells what is gone.
            Item::Gap(gap) if self.registration.router.compares_after(gap.cause) => {}
            Item::Resynced if self.registration.router.compares() => {}
            Item::Gap(_) | Item::Resynced => self.ask(Duration::ZERO),
        }
    }

    /// Asks after a delay whether the entity is gone.
    fn ask(&mut self, delay: Duration) {
        if let Some(entity) = &self.entity
            && !self.registration.postpones()
        {
            self.doubts = self.ending.as_ref().map_or(0, Latch::doubts);
            let goes = match self.parting {
                None => false,
                // A hangup takes its time; what else is there still was made again.
                Some(Parting::Deleted) => entity.kind == EntityKind::Channel,
                Some(Parting::Left) => true,
            };
            let (through, insists) = (self.through.clone(), goes || self.unheard);
            let question = endings::is_gone(through, entity.clone(), insists, delay);
            self.question = Some(Mutex::new(question.boxed()));
        }
    }

    /// Asks once the latch has seen a sign.
    fn wait_for_sign(&mut self) {
        if let (Some(entity), Some(latch)) = (&self.entity, &self.ending) {
            let (latch, through) = (latch.clone(), self.through.clone());
            let question = endings::is_gone_by(latch, self.doubts, through, entity.clone());
            self.question = Some(Mutex::new(question.boxed()));
        }
    }

    /// Ends the queue where the entity was found gone; what came before the answer is still in there.
    fn poll_question(&mut self, context: &mut Context<'_>) {
        while let Some(question) = &mut self.question {
            let question = question.get_mut().unwrap_or_else(PoisonError::into_inner);
            let Poll::Ready(answer) = question.poll_unpin(context) else {
                return;
            };
            self.question = None;
            match answer {
                Ok(Some(outside)) => {
                    self.parting = self.parting.max(outside.then_some(Parting::Left));
                    let end = self.parting.map_or(End::Lost, |_| End::Ended);
                    self.queue.end(end);
                }
                Ok(None) => {
                    self.parting.take_if(|parting| *parting == Parting::Deleted);
                    self.wait_for_sign();
                }
                Err(_) => {}
            }
        }
    }
}

impl<V: View> Stream for Events<V> {
    type Item = StreamItem<V>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<StreamItem<V>>> {
        let this = self.get_mut();
        if this.end.is_some() {
            return Poll::Ready(None);
        }
        loop {
            if this.over {
                this.end = Some(End::Ended);
                return Poll::Ready(None);
            }
            this.poll_question(context);
            match std::task::ready!(this.queue.poll(context)) {
                Taken::Doubt(doubt) => {
                    let leaves = |entity: &Entity| entity.kind == EntityKind::Channel;
                    let parting = match doubt {
                        Doubt::Left if this.entity.as_ref().is_some_and(leaves) => {
                            Some(Parting::Left)
                        }
                        Doubt::Deleted => Some(Parting::Deleted),
                        Doubt::Left | Doubt::Gone | Doubt::Unheard => None,
                    };
                    this.parting = this.parting.max(parting);
                    this.unheard |= doubt == Doubt::Unheard;
                    this.ask(doubt.delay());
                }
                Taken::End(end) => {
                    // What left the application, or was deleted, was not lost, whoever found it gone.
                    let parted = this.parting.is_some() && end == End::Lost;
                    this.end = Some(if parted { End::Ended } else { end });
                    return Poll::Ready(None);
                }
                Taken::Item(item) => {
                    this.note(&item);
                    if let Some(item) = see(item) {
                        return Poll::Ready(Some(item));
                    }
                }
            }
        }
    }
}

/// What a stream of this view shows of an item.
fn see<V: View>(item: Item) -> Option<StreamItem<V>> {
    Some(match item {
        Item::Gap(gap) => StreamItem::Gap(gap),
        Item::Resynced => StreamItem::Resynced,
        // The last event of an entity reaches every stream of it, to end it.
        Item::Event(event) if V::KIND.is_some_and(|kind| kind != event.kind()) => return None,
        Item::Event(event) => V::view(event).map_or_else(
            || {
                router::meter::gaps(GapCause::Undecodable).increment(1);
                StreamItem::Gap(Gap::new(Some(1), GapCause::Undecodable))
            },
            StreamItem::Event,
        ),
    })
}

impl<V> fmt::Debug for Events<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("entity", &self.entity)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A stream of events without its gaps.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is read"]
pub struct IgnoringGaps<V = Event>(Events<V>);

impl<V> IgnoringGaps<V> {
    /// Why the stream has ended; `None` as long as it has not.
    pub const fn end(&self) -> Option<End> {
        self.0.end
    }
}

impl<V: View> Stream for IgnoringGaps<V> {
    type Item = V;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<V>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.0).poll_next(context)) {
                Some(StreamItem::Event(view)) => return Poll::Ready(Some(view)),
                Some(StreamItem::Gap(gap)) => tracing::warn!(?gap, "events are missing"),
                Some(StreamItem::Resynced) => {}
                None => return Poll::Ready(None),
            }
        }
    }
}

/// What a stream is to carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) entity: Option<Entity>,
    pub(crate) capacity: Option<usize>,
    /// The entity is yet to be created.
    pub(crate) pending: bool,
}

/// Subscribes, and waits until no event is missed.
pub(crate) async fn subscribe<V: View>(through: &Through, wanted: Wanted) -> Result<Events<V>> {
    let (queue, subscription) = {
        let scope = through.scope()?;
        let target = through.target();
        let interest = Interest {
            entity: wanted
                .entity
                .as_ref()
                .map(|entity| (entity.kind, Arc::clone(&entity.id))),
            kind: V::KIND,
            application: target.application.clone(),
            asterisk_id: target.asterisk_id.clone(),
            pending: wanted.pending,
            ..Interest::new(scope.client().feed(target))
        };
        let queue = Arc::new(Queue::new(wanted.capacity.unwrap_or(QUEUE_EVENTS)));
        let sink = Sink::Queue(Arc::clone(&queue));
        let router = scope.client().router();
        (
            queue,
            router
                .subscribe(scope.id(), interest, sink)
                .ok_or(crate::Error::Closed)?,
        )
    };
    let registration = subscription.registration;
    through.ready(subscription.wait).await?;
    Ok(Events::new(
        queue,
        registration,
        through.clone(),
        wanted.entity,
    ))
}
