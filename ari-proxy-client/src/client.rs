//! The transport: `AriClient` over NATS.

use std::{borrow::Cow, sync::Arc, time::Duration};

use ari_core::{
    AriClient, ConnectionState, EntityKind, Error, Gathered, Metadata, Request, Response, Result,
    router::{Feed, Router},
};
use ari_nats::LinkEvent;
use ari_proxy_proto::{self as proto, Unencodable};
use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::mpsc, time::timeout};

use crate::{ask::Ask, control, members::Member, reader, shared::Shared};

/// How long closing waits for the tasks to end.
const CLOSING: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(crate) struct ProxyClient {
    shared: Arc<Shared>,
}

/// Where an entity was remembered to be.
struct Guess {
    kind: EntityKind,
    id: String,
    place: Member,
}

impl ProxyClient {
    /// Subscribes, starts the tasks, and finds out who is in the cluster.
    pub(crate) async fn start(
        shared: Arc<Shared>,
        events: Option<mpsc::Receiver<LinkEvent>>,
    ) -> Result<Self> {
        // From here on, dropping this future ends what was started.
        let client = Self { shared };
        let shared = &client.shared;
        let subscribe = async |subject: String| {
            shared
                .nats
                .subscribe(subject)
                .await
                .map_err(|error| Error::Connect {
                    reason: format!("cannot subscribe at NATS at {}", shared.servers),
                    source: Some(error.into()),
                })
        };
        let replies = subscribe(shared.inbox.wildcard()).await?;
        let announcements = subscribe(shared.subjects.announce()).await?;
        shared.tasks.spawn(control::run(
            Arc::clone(shared),
            replies,
            announcements,
            events,
        ));
        shared.tasks.spawn(reader::run(Arc::clone(shared)));
        control::discover(shared).await?;
        Ok(client)
    }

    /// The target with what is known filled in: our own application, and where the entities are.
    fn locate(&self, request: &Request) -> (Metadata, Option<Guess>) {
        let mut target = request.target.clone();
        if target.asterisk_id.is_none() {
            let locations = self.shared.locations();
            let guess = request.entities().find_map(|(kind, id)| {
                let mut places = locations.find(kind, &id).iter().rev();
                let place = places.find(|place| {
                    target
                        .application
                        .as_ref()
                        .is_none_or(|application| *application == place.application)
                })?;
                Some(Guess {
                    kind,
                    id: id.into_owned(),
                    place: place.clone(),
                })
            });
            if let Some(guess) = guess {
                target.application = Some(Arc::clone(&guess.place.application));
                target.asterisk_id = Some(Arc::clone(&guess.place.node));
                return (target, Some(guess));
            }
        }
        target.application = target
            .application
            .or_else(|| self.shared.application.clone());
        (target, None)
    }

    /// Refuses to bring channels and a bridge of different Asterisks together.
    fn check_places(&self, request: &Request) -> Result<()> {
        if request.operation.resource != "bridges"
            || request.operation.parameter("channel").is_none()
        {
            return Ok(());
        }
        let bridge = request
            .parameters
            .text("bridgeId")
            .unwrap_or(Cow::Borrowed(""));
        let locations = self.shared.locations();
        let known = locations
            .find(EntityKind::Bridge, &bridge)
            .last()
            .map(|place| Arc::clone(&place.node));
        let Some(node) = request.target.asterisk_id.clone().or(known) else {
            return Ok(());
        };
        for (kind, id) in request
            .entities()
            .filter(|(kind, _)| *kind == EntityKind::Channel)
        {
            let places = locations.find(kind, &id);
            if let Some(place) = places.last()
                && places.iter().all(|place| place.node != node)
            {
                return Err(Error::InvalidRequest(format!(
                    "channel {id} is on Asterisk {}, bridge {bridge} on {node}: an Asterisk bridges only its own \
                     channels; connect the two by a trunk",
                    place.node
                )));
            }
        }
        Ok(())
    }

    async fn ask(&self, mut request: Request) -> Result<Response> {
        self.check_places(&request)?;
        let asked = request.target.clone();
        let (target, by) = self.locate(&request);
        request.target = target;
        if request.target.is_complete() {
            let outcome = Ask::send(&self.shared, &request).await?.one().await;
            // Where an entity was remembered to be and is not, the others are asked.
            let Some(Guess { kind, id, place }) = by else {
                return outcome;
            };
            let stale = match &outcome {
                Ok(response) => response.status == 404,
                Err(error) => matches!(error, Error::NobodyThere { .. }),
            };
            if !stale {
                return outcome;
            }
            self.shared.locations().forget(kind, &id, &place.node);
            request.target = asked;
            request.target.application = request
                .target
                .application
                .take()
                .or_else(|| self.shared.application.clone());
        }
        let expected = self.shared.expected(&request.target);
        Ask::send(&self.shared, &request)
            .await?
            .first_good(&expected)
            .await
    }

    async fn ask_everybody(&self, mut request: Request) -> Result<Gathered<Response>> {
        request.target.application = request
            .target
            .application
            .or_else(|| self.shared.application.clone());
        let expected = self.shared.expected(&request.target);
        Ask::send(&self.shared, &request)
            .await?
            .everybody(&expected)
            .await
    }
}

impl AriClient for ProxyClient {
    fn identity(&self) -> Metadata {
        Metadata {
            application: self.shared.application.clone(),
            ..Metadata::default()
        }
    }

    fn state(&self) -> ConnectionState {
        *self.shared.state.borrow()
    }

    fn call(&self, request: Request) -> BoxFuture<'_, Result<Response>> {
        self.ask(request).boxed()
    }

    fn gather(&self, request: Request) -> BoxFuture<'_, Result<Gathered<Response>>> {
        self.ask_everybody(request).boxed()
    }

    /// A dialog has its subject. Otherwise the events of one Asterisk are enough where it is known,
    /// unless those of the whole application come here anyway.
    fn feed(&self, target: &Metadata) -> Feed {
        if let Some(dialog) = &target.dialog {
            return Feed::Dialog(Arc::clone(dialog));
        }
        let application = target
            .application
            .as_ref()
            .or(self.shared.application.as_ref());
        let Some(application) = application.map(Arc::clone) else {
            return Feed::All;
        };
        let whole = Feed::Application(Arc::clone(&application));
        match &target.asterisk_id {
            Some(node) if !self.shared.router.wants(&whole) => Feed::Node {
                application,
                asterisk_id: Arc::clone(node),
            },
            _ => whole,
        }
    }

    fn router(&self) -> &Router {
        &self.shared.router
    }

    fn place(&self, request: &mut Request) {
        let application = request
            .target
            .application
            .clone()
            .or_else(|| self.shared.application.clone());
        let wanted = Metadata {
            application,
            ..request.target.clone()
        };
        // What no kind of the Go proxy carries goes to one of our servers, if there is one.
        let extended = matches!(
            proto::encode(request, &self.shared.subjects),
            Err(Unencodable::Operation { .. } | Unencodable::Parameter { .. })
        );
        if let Some(Member { application, node }) = self.shared.next_place(&wanted, extended) {
            request.target.application = Some(application);
            request.target.asterisk_id = Some(node);
        }
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep(duration).boxed()
    }

    fn private_dialog(&self, id: &str) -> String {
        format!("{}{id}", self.shared.private_prefix())
    }

    fn release_dialog(&self, dialog: &str) {
        control::release_dialog(&self.shared, dialog);
    }

    fn close(&self) -> BoxFuture<'_, Result<()>> {
        async {
            let shared = &self.shared;
            shared.stop();
            let ended = timeout(CLOSING, shared.tasks.wait()).await;
            if shared.owns_connection {
                // Flushes what is still to be sent, and closes.
                let _ = timeout(CLOSING, shared.nats.drain()).await;
            }
            ended.map_err(|_| Error::TimedOut {
                operation: "closing the client".to_owned(),
                after: CLOSING,
            })
        }
        .boxed()
    }

    fn abandon(&self) {
        self.shared.stop();
    }
}

impl Drop for ProxyClient {
    fn drop(&mut self) {
        self.shared.stop();
    }
}
