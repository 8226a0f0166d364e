//! Handles: an entity, plus the client that it came through.

use std::{collections::HashSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};

use crate::{
    call::{self, Call, Output},
    client::Gathered,
    endings::{self, Latch, Outcome, Undecided},
    entity::{Entity, EntityKind, Metadata},
    error::{Error, Result},
    event::Event,
    events::TypedEvent,
    models,
    request::{Request, Response},
    scope::Through,
    stream::{self, Events, Typed, Wanted},
};

/// How many places are tried for a creation where nobody listens.
const PLACES: usize = 3;

/// What the handles of all kinds have in common.
pub(crate) trait Handle: Sized + Send + 'static {
    /// Model of the entity's data.
    type Data: call::Model;
    /// Kind of the entity.
    const KIND: EntityKind;

    fn assemble(
        through: &Through,
        entity: Entity,
        data: Option<Self::Data>,
        ending: Option<Latch>,
    ) -> Self;
    fn id_of(data: &Self::Data) -> String;
    fn address(&self) -> &Entity;
    /// The latch on its end, where there was one before its creation was sent.
    fn ending(&self) -> Option<&Latch>;
}

macro_rules! handle {
    (
        $(#[$attribute:meta])*
        $name:ident, $kind:ident, $model:ident, |$data:ident| $id:expr $(, $ending:ident)?
    ) => {
        $(#[$attribute])*
        ///
        /// A handle is cheap to clone. It holds its client weakly: once the client is closed or
        /// dropped, its calls give [`Error::Closed`](crate::Error::Closed).
        #[derive(Clone, Debug)]
        pub struct $name {
            pub(crate) through: Through,
            entity: Entity,
            data: Option<Arc<models::$model>>,
            $($ending: Option<Latch>,)?
        }

        impl $name {
            /// The id.
            pub fn id(&self) -> &str {
                &self.entity.id
            }

            /// The address: kind, id, application, Asterisk and dialog.
            pub const fn entity(&self) -> &Entity {
                &self.entity
            }

            /// What was known of it when the handle was made, where its transport told.
            pub fn snapshot(&self) -> Option<&models::$model> {
                self.data.as_deref()
            }
        }

        impl Handle for $name {
            type Data = models::$model;
            const KIND: EntityKind = EntityKind::$kind;

            fn assemble(
                through: &Through,
                entity: Entity,
                data: Option<models::$model>,
                latch: Option<Latch>,
            ) -> Self {
                let through = through.narrowed(&entity.metadata);
                $(let $ending = latch.clone();)?
                // What has no end of its own needs no latch.
                drop(latch);
                Self { through, entity, data: data.map(Arc::new) $(, $ending)? }
            }

            fn id_of($data: &models::$model) -> String {
                $id
            }

            fn address(&self) -> &Entity {
                &self.entity
            }

            fn ending(&self) -> Option<&Latch> {
                None$(.or(self.$ending.as_ref()))?
            }
        }

        impl Output for $name {
            fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
                create(call).boxed()
            }
        }

        impl Output for Gathered<$name> {
            fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
                call::gather(call, handles).map(|gathered| gathered.map(once)).boxed()
            }
        }
    };
}

handle! {
    /// A Stasis application.
    ApplicationHandle, Application, Application, |data| data.name.clone()
}
handle! {
    /// A bridge.
    BridgeHandle, Bridge, Bridge, |data| data.id.to_string(), ending
}
handle! {
    /// A channel.
    ChannelHandle, Channel, Channel, |data| data.id.to_string(), ending
}
handle! {
    /// A device state.
    DeviceStateHandle, DeviceState, DeviceState, |data| data.name.clone()
}
handle! {
    /// An endpoint; its id is `technology/resource`.
    EndpointHandle, Endpoint, Endpoint, |data| format!("{}/{}", data.technology, data.resource)
}
handle! {
    /// A recording that is being made; its id is its name.
    LiveRecordingHandle, LiveRecording, LiveRecording, |data| data.name.clone(), ending
}
handle! {
    /// A log channel; its id is its name.
    LogChannelHandle, Logging, LogChannel, |data| data.channel.clone()
}
handle! {
    /// A mailbox; its id is its name.
    MailboxHandle, Mailbox, Mailbox, |data| data.name.clone()
}
handle! {
    /// A module of Asterisk; its id is its name.
    ModuleHandle, Module, Module, |data| data.name.clone()
}
handle! {
    /// A playback.
    PlaybackHandle, Playback, Playback, |data| data.id.to_string(), ending
}
handle! {
    /// A sound file.
    SoundHandle, Sound, Sound, |data| data.id.clone()
}
handle! {
    /// A recording that was made; its id is its name.
    StoredRecordingHandle, StoredRecording, StoredRecording, |data| data.name.clone()
}

/// Sends a request that creates something and makes the handle of it.
///
/// Where nobody listens at the place that was chosen for it, or that place cannot send it on, nothing was sent, and
/// another is chosen.
async fn create<H: Handle>(call: Call) -> Result<H> {
    let chosen = call.request.target.asterisk_id.is_some();
    let mut failed: Option<(Option<Arc<str>>, Error)> = None;
    let mut left = PLACES;
    loop {
        left -= 1;
        let mut attempt = call.clone();
        let ending = attempt.prepare_creation(H::KIND).await?;
        let place = attempt.request.target.asterisk_id.clone();
        if let Some((before, error)) = failed.take()
            && before == place
        {
            return Err(error);
        }
        match finish_creation(attempt, ending).await {
            Err(error @ (Error::NobodyThere { .. } | Error::NotSent { .. }))
                if !chosen && left > 0 =>
            {
                failed = Some((place, error));
            }
            outcome => return outcome,
        }
    }
}

/// Sends a creation that was made ready.
async fn finish_creation<H: Handle>(call: Call, ending: Option<Latch>) -> Result<H> {
    let named = call.created_id();
    let (response, through, request) = call.answer().await?;
    if let Some(ending) = &ending {
        ending.confirm();
    }
    let known = Metadata {
        dialog: request.target.dialog.clone(),
        ..response.source.clone()
    }
    .or(&request.target);
    let data: Option<H::Data> = if response.body.is_empty() {
        None
    } else {
        Some(call::decode(&request, &response.body)?)
    };
    let key = response
        .entities
        .into_iter()
        .find(|entity| entity.kind == H::KIND);
    let id = match (&data, &key, named) {
        (Some(data), ..) => H::id_of(data),
        (None, Some(key), _) => key.id.to_string(),
        (None, None, named) => named.unwrap_or_default(),
    };
    let metadata = key
        .map_or_else(Metadata::default, |key| key.metadata)
        .or(&known);
    Ok(H::assemble(
        &through,
        Entity::new(H::KIND, id, metadata),
        data,
        ending,
    ))
}

/// A creation that is ready to be sent, with its handle and its events.
///
/// Nothing was sent yet. The events of the new entity are subscribed to already, so that not even the
/// first of them is missed.
#[must_use = "nothing is created until it is sent"]
#[derive(Debug)]
pub struct Staged<H> {
    call: Call,
    handle: H,
    events: Events,
    ending: Undecided,
    finish: Finish<H>,
}

/// How a staged creation is sent; held as a function, so that the bound that it has is on no public method.
type Finish<H> = fn(Call, Option<Latch>) -> BoxFuture<'static, Result<H>>;

impl<H> Staged<H> {
    /// The handle of the entity that is to be created.
    pub const fn handle(&self) -> &H {
        &self.handle
    }

    /// The events of the entity that is to be created.
    pub const fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Sends the request; gives the handle, which now knows what the answer told, and the events.
    ///
    /// # Errors
    /// It was refused, could not be sent, no answer came, or one that tells of nothing that was created.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the wait; the entity may be created all the same.
    pub async fn send(self) -> Result<(H, Events)> {
        let Self {
            call,
            events,
            ending,
            finish,
            ..
        } = self;
        let handle = finish(call, ending.0.clone()).await?;
        events.confirm();
        Ok((handle, events))
    }
}

/// Makes a creation ready without sending it.
pub(crate) async fn stage<H: Handle>(mut call: Call) -> Result<Staged<H>> {
    let ending = call.prepare_creation(H::KIND).await?;
    let id = call.created_id().ok_or_else(|| {
        Error::InvalidRequest(format!(
            "{} can be staged only with an id of its own",
            call.request.operation
        ))
    })?;
    let entity = Entity::new(H::KIND, id, call.request.target.clone());
    let handle = H::assemble(&call.through, entity.clone(), None, ending.clone());
    let through = call.through.narrowed(&entity.metadata);
    let events = stream::subscribe(
        &through,
        Wanted {
            entity: Some(entity),
            pending: true,
            ..Wanted::default()
        },
    )
    .await?;
    Ok(Staged {
        call,
        handle,
        events,
        ending: Undecided(ending),
        finish: |call, ending| finish_creation(call, ending).boxed(),
    })
}

/// Each entity once: several applications of one Asterisk list the same ones.
fn once<H: Handle>(mut gathered: Gathered<H>) -> Gathered<H> {
    let mut seen = HashSet::new();
    gathered.items.retain(|handle| {
        let entity = handle.address();
        seen.insert((Arc::clone(&entity.id), entity.metadata.asterisk_id.clone()))
    });
    gathered
}

/// The handles that one answer to a list names: by keys, or by data.
fn handles<H: Handle>(response: &Response, through: &Through, request: &Request) -> Result<Vec<H>> {
    let mut known = response.source.clone().or(&request.target);
    known.dialog.clone_from(&request.target.dialog);
    if response.body.is_empty() {
        let keys = response
            .entities
            .iter()
            .filter(|entity| entity.kind == H::KIND);
        return Ok(keys
            .map(|key| {
                let metadata = key.metadata.clone().or(&known);
                H::assemble(
                    through,
                    Entity::new(H::KIND, &*key.id, metadata),
                    None,
                    None,
                )
            })
            .collect());
    }
    let items: Vec<H::Data> = call::decode_list(request, &response.body)?;
    Ok(items
        .into_iter()
        .map(|data| {
            H::assemble(
                through,
                Entity::new(H::KIND, H::id_of(&data), known.clone()),
                Some(data),
                None,
            )
        })
        .collect())
}

/// Gives the handles of these kinds their streams of events.
macro_rules! streams {
    ($($name:ident)*) => {$(
        impl $name {
            /// The events that concern it, until its last one.
            ///
            /// For a channel these include those of what plays on it or is recorded from it. A handle that
            /// was there from the beginning knows of an end that came before; one that was made of an id or
            /// taken from a list does not, and its stream waits for the first event.
            ///
            /// # Errors
            /// The client is closed, or the other side cannot be subscribed to.
            ///
            /// # Cancel safety
            /// Dropping the future leaves no subscription.
            pub async fn events(&self) -> Result<Events> {
                self.stream::<Event>().await
            }

            /// The events of one type that concern it; the stream ends with it.
            ///
            /// # Errors
            /// As [`events`](Self::events).
            ///
            /// # Cancel safety
            /// Dropping the future leaves no subscription.
            pub async fn events_of<T: TypedEvent>(&self) -> Result<Events<Typed<T>>> {
                self.stream().await
            }

            async fn stream<V: stream::View>(&self) -> Result<Events<V>> {
                let wanted = Wanted { entity: Some(self.entity.clone()), ..Wanted::default() };
                let mut events = stream::subscribe(&self.through, wanted).await?;
                if let Some(ending) = self.ending() {
                    events.follow(ending);
                }
                Ok(events)
            }
        }
    )*};
}

streams!(BridgeHandle ChannelHandle DeviceStateHandle EndpointHandle LiveRecordingHandle PlaybackHandle);

/// Gives the handles of these kinds the wait for their end.
macro_rules! endings {
    ($($(#[$attribute:meta])* $name:ident: $wait:ident,)*) => {$(
        impl $name {
            $(#[$attribute])*
            ///
            /// It does not depend on an event alone: where none comes it asks, so it also returns when
            /// the event was lost or is never sent.
            ///
            /// # Errors
            /// The client is closed, or the other side cannot be subscribed to.
            ///
            /// # Cancel safety
            /// The wait may be dropped, and begun again, at any time.
            pub async fn $wait(&self) -> Result<Outcome> {
                if let Some(latch) = &self.ending {
                    return endings::wait(&self.through, &self.entity, latch, false).await;
                }
                let (latch, wait) = endings::latch(&self.through, self.entity.kind, &self.entity.id, false)?;
                self.through.ready(wait).await?;
                endings::wait(&self.through, &self.entity, &latch, true).await
            }
        }
    )*};
}

endings! {
    /// Waits until the bridge is destroyed.
    BridgeHandle: until_destroyed,
    /// Waits until the channel is gone.
    ChannelHandle: until_hungup,
    /// Waits until the recording has ended.
    LiveRecordingHandle: finished,
    /// Waits until the playback has ended.
    PlaybackHandle: finished,
}
