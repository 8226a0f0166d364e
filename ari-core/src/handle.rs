//! Handles: an entity, plus the client that it came through.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};

use crate::{
    call::{self, Call, Output},
    client::Gathered,
    endings::Latch,
    entity::{Entity, EntityKind, Metadata},
    error::Result,
    models,
    request::{Request, Response},
    scope::Through,
};

/// What the handles of all kinds have in common.
pub(crate) trait Handle: Sized + Send + 'static {
    /// Model of the entity's data.
    type Data: call::Model;
    /// Kind of the entity.
    const KIND: EntityKind;

    fn assemble(through: &Through, entity: Entity, data: Option<Self::Data>, ending: Option<Latch>) -> Self;
    fn id_of(data: &Self::Data) -> String;
}

macro_rules! handle {
    (
        $(#[$attribute:meta])*
        $name:ident, $kind:ident, $model:ident, |$data:ident| $id:expr
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
            pub(crate) ending: Option<Latch>,
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
                ending: Option<Latch>,
            ) -> Self {
                let through = through.narrowed(&entity.metadata);
                Self { through, entity, data: data.map(Arc::new), ending }
            }

            fn id_of($data: &models::$model) -> String {
                $id
            }
        }

        impl Output for $name {
            fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
                create(call).boxed()
            }
        }

        impl Output for Gathered<$name> {
            fn run(call: Call) -> BoxFuture<'static, Result<Self>> {
                call::gather(call, handles).boxed()
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
    BridgeHandle, Bridge, Bridge, |data| data.id.to_string()
}
handle! {
    /// A channel.
    ChannelHandle, Channel, Channel, |data| data.id.to_string()
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
    LiveRecordingHandle, LiveRecording, LiveRecording, |data| data.name.clone()
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
    PlaybackHandle, Playback, Playback, |data| data.id.to_string()
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
async fn create<H: Handle>(mut call: Call) -> Result<H> {
    let ending = call.prepare_creation(H::KIND).await?;
    let (response, through, request) = call.answer().await?;
    let named = request.operation.creates.as_ref().and_then(|creates| request.parameters.text(creates.id));
    let known = Metadata { dialog: request.target.dialog.clone(), ..response.source.clone() }.or(&request.target);
    let data: Option<H::Data> =
        if response.body.is_empty() { None } else { Some(call::decode(&request, &response.body)?) };
    let key = response.entities.into_iter().find(|entity| entity.kind == H::KIND);
    let id = match (&data, &key, named) {
        (Some(data), ..) => H::id_of(data),
        (None, Some(key), _) => key.id.to_string(),
        (None, None, named) => named.unwrap_or_default().into_owned(),
    };
    let metadata = key.map_or_else(Metadata::default, |key| key.metadata).or(&known);
    Ok(H::assemble(&through, Entity::new(H::KIND, id, metadata), data, ending))
}

/// The handles that one answer to a list names: by keys, or by data.
fn handles<H: Handle>(response: &Response, through: &Through, request: &Request) -> Result<Vec<H>> {
    let mut known = response.source.clone().or(&request.target);
    known.dialog.clone_from(&request.target.dialog);
    if response.body.is_empty() {
        let keys = response.entities.iter().filter(|entity| entity.kind == H::KIND);
        return Ok(keys
            .map(|key| {
                let metadata = key.metadata.clone().or(&known);
                H::assemble(through, Entity::new(H::KIND, &*key.id, metadata), None, None)
            })
            .collect());
    }
    let items: Vec<H::Data> = call::decode_list(request, &response.body)?;
    Ok(items
        .into_iter()
        .map(|data| H::assemble(through, Entity::new(H::KIND, H::id_of(&data), known.clone()), Some(data), None))
        .collect())
}
