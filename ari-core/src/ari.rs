//! The front of every transport.

use std::sync::Arc;

use crate::{
    calls::{self, Calls},
    client::{AriClient, ConnectionState},
    entity::Metadata,
    error::Result,
    event::Event,
    events::TypedEvent,
    id::fresh_id,
    operations::{
        applications::Applications, asterisk::Asterisk, bridges::Bridges, channels::Channels,
        device_states::DeviceStates, endpoints::Endpoints, events::EventOperations,
        mailboxes::Mailboxes, playbacks::Playbacks, recordings::Recordings, sounds::Sounds,
    },
    request::{Request, Response},
    scope::{Scope, Through},
    stream::{self, Events, Typed, Wanted},
    subject::{self, NameRole},
};

/// A client of ARI, whichever way it is connected.
///
/// It is cheap to clone. Its clones own one scope together: when the last of them is dropped, or one
/// is [closed](Self::close), the subscriptions made through them are gone, the streams end, and calls
/// through the handles that came of them give [`Error::Closed`](crate::Error::Closed).
///
/// [`child`](Self::child) and [`dialog`](Self::dialog) make a scope below this one;
/// [`for_node`](Self::for_node) and [`for_application`](Self::for_application) only narrow who is
/// asked, and share the scope.
#[derive(Clone, Debug)]
pub struct Ari {
    scope: Arc<Scope>,
    target: Metadata,
}

impl Ari {
    /// Puts the front before a transport; it owns the connection from now on.
    pub fn new(client: Arc<dyn AriClient>) -> Self {
        Self {
            scope: Scope::root(client),
            target: Metadata::default(),
        }
    }

    /// Application, and Asterisk where there is only one, that the client is connected as.
    pub fn identity(&self) -> Metadata {
        self.scope.client().identity()
    }

    /// Application, Asterisk and dialog that requests made through it are for.
    pub const fn target(&self) -> &Metadata {
        &self.target
    }

    /// How the client stands with the other side.
    pub fn state(&self) -> ConnectionState {
        if self.scope.is_closed() {
            ConnectionState::Closed
        } else {
            self.scope.client().state()
        }
    }

    /// Makes a scope below this one: what is made through it ends with it, or with this one.
    #[must_use = "a scope ends when it is dropped"]
    pub fn child(&self) -> Self {
        Self {
            scope: self.scope.child(self.target.dialog.clone()),
            target: self.target.clone(),
        }
    }

    /// Makes a scope for a dialog: its commands carry the dialog, and only the dialog's events reach
    /// it, from any Asterisk.
    ///
    /// What it creates, a channel that it answers, and what it brings into a bridge is bound to the
    /// dialog ([`Request::bound`] has the rule); the events of what is bound are the dialog's.
    ///
    /// Other programs that use the same name share the dialog. In a cluster, the end of the last scope in one of them
    /// releases what all have bound: give a dialog one program that outlives the others, or names of its own.
    ///
    /// # Errors
    /// The name cannot become part of a NATS subject; see [`subject::validate`].
    pub fn dialog(&self, name: impl Into<Arc<str>>) -> Result<Self> {
        let name = name.into();
        subject::validate(NameRole::Dialog, &name)?;
        let target = Metadata {
            dialog: Some(Arc::clone(&name)),
            ..self.target.clone()
        };
        Ok(Self {
            scope: self.scope.child(Some(name)),
            target,
        })
    }

    /// Makes a scope for a dialog that no other program knows.
    #[must_use = "a scope ends when it is dropped"]
    pub fn private_dialog(&self) -> Self {
        let name: Arc<str> = self.scope.client().private_dialog(&fresh_id()).into();
        let target = Metadata {
            dialog: Some(Arc::clone(&name)),
            ..self.target.clone()
        };
        Self {
            scope: self.scope.child(Some(name)),
            target,
        }
    }

    /// The same client for one Asterisk; it shares the scope.
    ///
    /// # Errors
    /// The id cannot become part of a NATS subject; see [`subject::validate`].
    pub fn for_node(&self, asterisk_id: impl Into<Arc<str>>) -> Result<Self> {
        let asterisk_id = asterisk_id.into();
        subject::validate(NameRole::Node, &asterisk_id)?;
        let target = Metadata {
            asterisk_id: Some(asterisk_id),
            ..self.target.clone()
        };
        Ok(Self {
            scope: Arc::clone(&self.scope),
            target,
        })
    }

    /// The same client for one application; it shares the scope.
    ///
    /// # Errors
    /// The name cannot become part of a NATS subject; see [`subject::validate`].
    pub fn for_application(&self, application: impl Into<Arc<str>>) -> Result<Self> {
        let application = application.into();
        subject::validate(NameRole::Application, &application)?;
        let target = Metadata {
            application: Some(application),
            ..self.target.clone()
        };
        Ok(Self {
            scope: Arc::clone(&self.scope),
            target,
        })
    }

    /// The new calls of the application: each reaches exactly one worker of the cluster.
    ///
    /// # Errors
    /// The client has no application, is closed, or the other side cannot be subscribed to.
    ///
    /// # Cancel safety
    /// Dropping the future, as dropping the stream, hands calls that came and were not read to another stream of this
    /// client; where there is none they have nobody, which the log says of each.
    pub async fn calls(&self) -> Result<Calls> {
        calls::subscribe(&self.through()).await
    }

    /// All events within the reach of this client: of its application, Asterisk or dialog where it is
    /// narrowed to one.
    ///
    /// # Errors
    /// The client is closed, or the other side cannot be subscribed to.
    ///
    /// # Cancel safety
    /// Dropping the future leaves no subscription.
    pub async fn events(&self) -> Result<Events> {
        stream::subscribe::<Event>(&self.through(), Wanted::default()).await
    }

    /// As [`events`](Self::events), with room for this many events that nobody has read yet instead of
    /// 1,024.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    ///
    /// # Cancel safety
    /// Dropping the future leaves no subscription.
    pub async fn events_with_room(&self, events: usize) -> Result<Events> {
        let wanted = Wanted {
            capacity: Some(events),
            ..Wanted::default()
        };
        stream::subscribe::<Event>(&self.through(), wanted).await
    }

    /// The events of one type within the reach of this client.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    ///
    /// # Cancel safety
    /// Dropping the future leaves no subscription.
    pub async fn events_of<T: TypedEvent>(&self) -> Result<Events<Typed<T>>> {
        stream::subscribe(&self.through(), Wanted::default()).await
    }

    /// Sends a request as it stands and gives the answer, a refusal included.
    ///
    /// # Errors
    /// The request could not be sent, or no answer came.
    ///
    /// # Cancel safety
    /// Dropping the future gives up the wait; the operation may still run.
    pub async fn request(&self, mut request: Request) -> Result<Response> {
        request.target = request.target.or(&self.target);
        self.through().call(request).await
    }

    /// Closes the scope and all below it; the outermost one closes the connection, in good order.
    ///
    /// # Errors
    /// The connection could not be ended in good order; it is ended all the same.
    ///
    /// # Cancel safety
    /// The scope is closed as soon as the future is polled; dropping it after that may leave the end of
    /// the connection to the last drop of this client.
    pub async fn close(&self) -> Result<()> {
        self.scope.close().await
    }

    /// The transport.
    pub fn client(&self) -> &Arc<dyn AriClient> {
        self.scope.client()
    }

    fn through(&self) -> Through {
        Through::new(&self.scope, self.target.clone())
    }
}

macro_rules! resources {
    ($($(#[$attribute:meta])* $name:ident: $type:ident,)*) => {
        impl Ari {
            $($(#[$attribute])*
            pub fn $name(&self) -> $type {
                $type::new(self.through())
            })*
        }
    };
}

resources! {
    /// Operations on Stasis applications.
    applications: Applications,
    /// Operations on Asterisk itself.
    asterisk: Asterisk,
    /// Operations on bridges.
    bridges: Bridges,
    /// Operations on channels.
    channels: Channels,
    /// Operations on device states.
    device_states: DeviceStates,
    /// Operations on endpoints.
    endpoints: Endpoints,
    /// Operations that make events.
    event_operations: EventOperations,
    /// Operations on mailboxes.
    mailboxes: Mailboxes,
    /// Operations on playbacks.
    playbacks: Playbacks,
    /// Operations on recordings.
    recordings: Recordings,
    /// Operations on sounds.
    sounds: Sounds,
}
