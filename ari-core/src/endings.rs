//! How things end: a latch that is set up before anything is sent.
//!
//! The last event of an entity may never come, or come before the answer that announced the entity.
//! So a wait for its end is: latch, then ask, then wait.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use futures::future::{Either, select};
use serde::Deserialize;
use tokio::sync::watch;

use crate::{
    entity::{Entity, EntityKind},
    error::{Error, Result},
    event::{Concern, Event, Role},
    operation::Operation,
    operations::{bridges, channels, playbacks, recordings},
    request::Request,
    router::{Doubt, FeedWait, Interest, Registration, Sink},
    scope::{self, Through},
};

/// What a latch has seen.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// Nothing yet.
    Nothing,
    /// Something that calls for asking whether the entity still exists, and how often.
    Doubt(Doubt, u64),
    /// The event that ended the entity.
    Ended(Event),
    /// The entity is gone, and its last event never came.
    Lost,
    /// The scope of the wait is closed.
    Closed,
}

impl Seen {
    /// Whether nothing can change it any more.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Lost | Self::Closed)
    }
}

/// The state of a latch, fed by the router.
pub(crate) struct LatchState {
    kind: EntityKind,
    id: Arc<str>,
    seen: watch::Sender<Seen>,
}

impl LatchState {
    pub(crate) fn new(kind: EntityKind, id: Arc<str>) -> Self {
        Self {
            kind,
            id,
            seen: watch::Sender::new(Seen::Nothing),
        }
    }

    pub(crate) fn see(&self, event: &Event) {
        match finality(self.kind, &self.id, event) {
            Finality::Ends => self.settle(Seen::Ended(event.clone())),
            Finality::Leaves => self.doubt(Doubt::Left),
            Finality::Goes => {}
        }
    }

    /// Whoever waits must ask.
    pub(crate) fn doubt(&self, doubt: Doubt) {
        self.seen.send_if_modified(|seen| {
            let (before, count) = match seen {
                Seen::Nothing => (doubt, 0),
                Seen::Doubt(before, count) => (*before, *count),
                Seen::Ended(_) | Seen::Lost | Seen::Closed => return false,
            };
            *seen = Seen::Doubt(before.max(doubt), count + 1);
            true
        });
    }

    /// The entity was found gone.
    pub(crate) fn lose(&self) {
        self.settle(Seen::Lost);
    }

    pub(crate) fn close(&self) {
        self.settle(Seen::Closed);
    }

    /// Notes how it ended; what came first stays.
    fn settle(&self, end: Seen) {
        self.seen.send_if_modified(|seen| {
            let open = !seen.is_final();
            if open {
                *seen = end;
            }
            open
        });
    }

    /// Whether it has ended, or has left the application.
    pub(crate) fn is_over(&self) -> bool {
        let seen = self.seen.borrow();
        seen.is_final() || matches!(&*seen, Seen::Doubt(Doubt::Left, _))
    }

    /// Whether it is known how it ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.seen.borrow().is_final()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.seen.subscribe()
    }
}

/// What an event means for the life of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finality {
    /// The entity goes on.
    Goes,
    /// The channel left the application: the last event of a plain incoming call.
    Leaves,
    /// The entity has ended.
    Ends,
}

impl Finality {
    /// What events of a type mean, and for the life of what kind of entity.
    pub(crate) fn of_type(event: &str) -> Option<(EntityKind, Self)> {
        Some(match event {
            "ChannelDestroyed" => (EntityKind::Channel, Self::Ends),
            "StasisEnd" => (EntityKind::Channel, Self::Leaves),
            "BridgeDestroyed" => (EntityKind::Bridge, Self::Ends),
            "PlaybackFinished" => (EntityKind::Playback, Self::Ends),
            "RecordingFinished" | "RecordingFailed" => (EntityKind::LiveRecording, Self::Ends),
            _ => return None,
        })
    }
}

/// What an event means for the life of an entity.
pub(crate) fn finality(kind: EntityKind, id: &str, event: &Event) -> Finality {
    let about = |concern: Concern<'_>| {
        concern.kind == kind && concern.id == id && concern.role == Role::Subject
    };
    match event.finality() {
        Some((entity, finality)) if entity == kind && event.concerns().any(about) => finality,
        _ => Finality::Goes,
    }
}

/// The entity whose life an event ends.
pub fn ended_by(event: &Event) -> Option<(EntityKind, &str)> {
    let (kind, _) = event
        .finality()
        .filter(|(_, finality)| *finality == Finality::Ends)?;
    let concern = event
        .concerns()
        .find(|concern| concern.kind == kind && concern.role == Role::Subject)?;
    Some((kind, concern.id))
}

/// A latch on the end of an entity; its drop releases it.
#[derive(Clone)]
pub(crate) struct Latch(Arc<Held>);

struct Held {
    state: Arc<LatchState>,
    registration: Registration,
}

impl Latch {
    pub(crate) fn new(state: Arc<LatchState>, registration: Registration) -> Self {
        Self(Arc::new(Held {
            state,
            registration,
        }))
    }

    /// The entity has been created, or will not be.
    pub(crate) fn confirm(&self) {
        self.0.registration.confirm();
    }

    /// Whether the entity is yet to be created.
    fn is_pending(&self) -> bool {
        self.0.registration.is_pending()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Seen> {
        self.0.state.watch()
    }

    /// How often something called for asking.
    pub(crate) fn doubts(&self) -> u64 {
        match &*self.watch().borrow() {
            Seen::Doubt(_, count) => *count,
            _ => 0,
        }
    }

    /// Whether it hears events by another feed than a stream does.
    pub(crate) fn is_of_other_feed(&self, stream: &Registration) -> bool {
        let latch = &self.0.registration;
        !latch.router.have_one_feed(latch.slot, stream.slot)
    }
}

/// The latch of what is yet to be created; once that is decided, whoever waits asks again.
#[derive(Debug)]
pub(crate) struct Undecided(pub(crate) Option<Latch>);

impl Drop for Undecided {
    fn drop(&mut self) {
        if let Some(latch) = &self.0 {
            latch.confirm();
        }
    }
}

impl fmt::Debug for Latch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Latch")
            .field(&*self.0.state.seen.borrow())
            .finish()
    }
}

/// How an entity ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// This event ended it.
    Ended(Event),
    /// It is gone, and the event that ended it never came here.
    Lost(Entity),
}

impl Outcome {
    /// The event that ended it, where it came here.
    pub const fn event(&self) -> Option<&Event> {
        match self {
            Self::Ended(event) => Some(event),
            Self::Lost(_) => None,
        }
    }
}

/// How long the event of an end is waited for after the entity was found gone.
const GRACE: Duration = Duration::from_secs(1);
/// First pause between two questions; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two questions.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

impl Doubt {
    /// How long nobody need ask: what was deleted ends by its event, as a rule.
    pub(crate) const fn delay(self) -> Duration {
        match self {
            Self::Deleted => GRACE,
            Self::Gone | Self::Unheard | Self::Left => Duration::ZERO,
        }
    }
}

/// What is known of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Asterisk knows it.
    There,
    /// It is a channel that is being called, of whose end an event may tell or not.
    Called,
    /// It is a channel that is in no Stasis application, where no event may tell of its end.
    Outside,
    /// Asterisk does not know it.
    Gone,
    /// Nobody can tell.
    Unknown,
}

/// What is read of a channel, as an answer of Asterisk has it, for where it is.
#[derive(Debug, Deserialize)]
pub struct Placed<'a> {
    /// Id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    dialplan: Option<Dialplan<'a>>,
}

#[derive(Debug, Deserialize)]
struct Dialplan<'a> {
    #[serde(borrow)]
    app_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    app_data: Option<Cow<'a, str>>,
}

impl Placed<'_> {
    /// Where it is, as far as is known.
    pub fn place(&self) -> Place {
        let place = self.dialplan.as_ref();
        match place.and_then(|place| place.app_name.as_deref()) {
            None | Some("" | "Stasis") => Place::Inside,
            Some("AppDial2") => Place::Called,
            Some(_) => Place::Outside,
        }
    }

    /// The Stasis application that it entered first, where it is in one and says so: one that was moved to another since
    /// goes on naming this one.
    pub fn application(&self) -> Option<&str> {
        let place = self.dialplan.as_ref()?;
        let is_inside = place.app_name.as_deref() == Some("Stasis");
        // The arguments follow the name.
        let mut named = place.app_data.as_deref()?.split(',');
        named.next().filter(|_| is_inside)
    }
}

/// Where a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a Stasis application, whosever it is.
    Inside,
    /// In none yet: it is being called, for a Stasis application or for the dialplan.
    Called,
    /// In none.
    Outside,
}

/// Asks after a delay, until it is known whether Asterisk still knows an entity. One that is outside of the application
/// or being called, or for which the caller `insists`, is asked for until it is gone, since no event may tell.
///
/// Gives `None` where it is there; once it is gone, and the event of its end had the time to come, whether it
/// was outside.
pub(crate) async fn is_gone(
    through: Through,
    entity: Entity,
    insists: bool,
    delay: Duration,
) -> Result<Option<bool>> {
    if !delay.is_zero() {
        sleep(&through, delay).await?;
    }
    let mut pause = FIRST_PAUSE;
    let mut outside = false;
    loop {
        match exists(&through, &entity).await? {
            Presence::Gone => break,
            Presence::There if !insists && !outside => return Ok(None),
            presence => outside |= presence == Presence::Outside,
        }
        sleep(&through, pause).await?;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    // Answers and events come by different ways: the last event may still be on its own.
    sleep(&through, GRACE).await?;
    Ok(Some(outside))
}

/// Waits until a latch has seen a sign that the entity is gone, and asks as [`is_gone`] does, until it is. So many
/// doubts were asked about already.
pub(crate) async fn is_gone_by(
    latch: Latch,
    mut doubts: u64,
    through: Through,
    entity: Entity,
) -> Result<Option<bool>> {
    let mut seen = latch.watch();
    loop {
        let is_sign = |seen: &Seen| match seen {
            Seen::Doubt(Doubt::Gone, count) => *count > doubts,
            Seen::Doubt(..) | Seen::Ended(_) | Seen::Lost => true,
            Seen::Nothing | Seen::Closed => false,
        };
        let (insists, over, delay) =
            match &*seen.wait_for(is_sign).await.map_err(|_| Error::Closed)? {
                Seen::Doubt(doubt, count) => {
                    doubts = *count;
                    let over = matches!(doubt, Doubt::Deleted | Doubt::Left);
                    let insists = match doubt {
                        Doubt::Gone => false,
                        Doubt::Deleted => entity.kind == EntityKind::Channel,
                        Doubt::Unheard | Doubt::Left => true,
                    };
                    (insists, over, doubt.delay())
                }
                seen => (true, matches!(seen, Seen::Ended(_)), Duration::ZERO),
            };
        if let Some(outside) = is_gone(through.clone(), entity.clone(), insists, delay).await? {
            return Ok(Some(outside || over));
        }
    }
}

/// Asks whether an entity exists.
async fn exists(through: &Through, entity: &Entity) -> Result<Presence> {
    let (operation, parameter) = match entity.kind {
        EntityKind::Channel => (channels::Get::SPEC, "channelId"),
        EntityKind::Bridge => (bridges::Get::SPEC, "bridgeId"),
        EntityKind::Playback => (playbacks::Get::SPEC, "playbackId"),
        EntityKind::LiveRecording => (recordings::GetLive::SPEC, "recordingName"),
        _ => return Ok(Presence::There),
    };
    let request = Request::new(operation, through.target().clone()).with(parameter, &*entity.id);
    let answer = through
        .call(request)
        .await
        .and_then(|response| response.into_success(operation));
    Ok(match answer {
        Ok(response) if entity.kind == EntityKind::Channel => {
            let channel = serde_json::from_slice::<Placed<'_>>(&response.body);
            match channel.map_or(Place::Inside, |channel| channel.place()) {
                Place::Inside => Presence::There,
                Place::Called => Presence::Called,
                Place::Outside => Presence::Outside,
            }
        }
        Ok(_) => Presence::There,
        Err(Error::Closed) => return Err(Error::Closed),
        // It is of another Asterisk than this connection leads to.
        Err(Error::NobodyThere { .. }) if through.open()?.0.router().compares() => Presence::Gone,
        Err(error) if error.is_not_found() => Presence::Gone,
        Err(_) => Presence::Unknown,
    })
}

async fn sleep(through: &Through, pause: Duration) -> Result<()> {
    let (client, token) = through.open()?;
    let pause = client.sleep(pause);
    // The pause must not keep the connection.
    drop(client);
    scope::until_closed(&token, pause)
        .await
        .ok_or(Error::Closed)
}

/// Waits for the end of an entity: by the event that ends it, or by asking where none comes.
pub(crate) async fn wait(
    through: &Through,
    entity: &Entity,
    latch: &Latch,
    late: bool,
) -> Result<Outcome> {
    let mut seen = latch.watch();
    // A latch that was there before the entity missed nothing; one that came later must ask at once.
    let mut pause = if late { Duration::ZERO } else { GRACE };
    let mut doubts = 0;
    loop {
        match &*seen.borrow_and_update() {
            Seen::Ended(event) => return Ok(Outcome::Ended(event.clone())),
            Seen::Lost => return Ok(Outcome::Lost(entity.clone())),
            Seen::Closed => return Err(Error::Closed),
            // Only a new doubt makes the wait ask soon; the pauses after it grow again.
            Seen::Doubt(doubt, count) if *count > doubts => {
                doubts = *count;
                pause = pause.min(FIRST_PAUSE.max(doubt.delay()));
            }
            Seen::Doubt(..) | Seen::Nothing => {}
        }
        let asked = {
            let changed = std::pin::pin!(seen.changed());
            let paused = std::pin::pin!(sleep(through, pause));
            match select(changed, paused).await {
                Either::Left(_) => false,
                Either::Right((slept, _)) => slept.map(|()| true)?,
            }
        };
        // What is yet to be created is not gone.
        if asked && !latch.is_pending() {
            // The event may come while the answer is on its way.
            let presence = {
                let over = std::pin::pin!(seen.wait_for(Seen::is_final));
                let question = std::pin::pin!(exists(through, entity));
                match select(over, question).await {
                    Either::Left(_) => continue,
                    Either::Right((presence, _)) => presence?,
                }
            };
            if presence == Presence::Gone {
                return last_word(through, entity, &mut seen).await;
            }
            pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        }
    }
}

/// The event that ended an entity which is gone, should it still be on its way.
async fn last_word(
    through: &Through,
    entity: &Entity,
    seen: &mut watch::Receiver<Seen>,
) -> Result<Outcome> {
    let over = std::pin::pin!(seen.wait_for(Seen::is_final));
    let grace = std::pin::pin!(sleep(through, GRACE));
    match select(over, grace).await {
        Either::Left((Ok(seen), _)) => match &*seen {
            Seen::Ended(event) => Ok(Outcome::Ended(event.clone())),
            Seen::Lost => Ok(Outcome::Lost(entity.clone())),
            _ => Err(Error::Closed),
        },
        Either::Left((Err(_), _)) => Err(Error::Closed),
        Either::Right((slept, _)) => slept.map(|()| Outcome::Lost(entity.clone())),
    }
}

/// Sets up a latch on the end of an entity; `pending`: of one that is yet to be created.
pub(crate) fn latch(
    through: &Through,
    kind: EntityKind,
    id: &str,
    pending: bool,
) -> Result<(Latch, FeedWait)> {
    let scope = through.scope()?;
    let target = through.target();
    let id: Arc<str> = id.into();
    let interest = Interest {
        entity: Some((kind, Arc::clone(&id))),
        asterisk_id: target.asterisk_id.clone(),
        pending,
        ..Interest::new(scope.client().feed(target))
    };
    let state = Arc::new(LatchState::new(kind, id));
    let sink = Sink::Latch(Arc::clone(&state));
    let subscription = scope
        .client()
        .router()
        .subscribe(scope.id(), interest, sink)
        .ok_or(Error::Closed)?;
    Ok((
        Latch::new(state, subscription.registration),
        subscription.wait,
    ))
}
