//! Making the server known: when it starts, when it is asked, periodically, and when it leaves.

use std::sync::Arc;

use ari_core::{ConnectionState, Error, Result};
use ari_nats::LinkEvent;
use ari_proxy_proto::{self as proto, Announcement};
use async_nats::{Message, Subscriber};
use futures::StreamExt;
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use crate::server::Shared;

/// Subscribes to pings and announcements, and announces the server for the first time.
pub(crate) async fn start(shared: &Arc<Shared>, events: mpsc::Receiver<LinkEvent>) -> Result<()> {
    let pings = subscribe(shared, shared.subjects.ping()).await?;
    let announcements = subscribe(shared, shared.subjects.announce()).await?;
    shared
        .tasks
        .spawn(run(Arc::clone(shared), pings, announcements, events));
    Ok(())
}

pub(crate) async fn subscribe(shared: &Shared, subject: String) -> Result<Subscriber> {
    shared
        .nats
        .subscribe(subject)
        .await
        .map_err(cannot_subscribe)
}

pub(crate) fn cannot_subscribe(error: async_nats::SubscribeError) -> Error {
    Error::Connect {
        reason: "cannot subscribe at NATS".to_owned(),
        source: Some(error.into()),
    }
}

async fn run(
    shared: Arc<Shared>,
    mut pings: Subscriber,
    mut announcements: Subscriber,
    mut events: mpsc::Receiver<LinkEvent>,
) {
    let mut ticks = interval(shared.options.announce_every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shared.no_requests.cancelled() => return,
            _ = ticks.tick() => announce(&shared).await,
            Some(_) = pings.next() => announce(&shared).await,
            Some(message) = announcements.next() => look_for_twin(&shared, &message),
            Some(event) = events.recv() => match event {
                LinkEvent::Connected => {
                    tracing::info!("connected to NATS");
                    announce(&shared).await;
                }
                LinkEvent::Disconnected => tracing::warn!("the connection to NATS broke"),
                LinkEvent::SlowConsumer => tracing::warn!("async-nats dropped requests: the process is too slow"),
                LinkEvent::Trouble(trouble) => tracing::warn!(%trouble, "NATS reports an error"),
                _ => {}
            },
        }
    }
}

fn announcement(shared: &Shared) -> Announcement {
    Announcement::new(&*shared.node, &*shared.application)
        .with_instance(&shared.boot)
        .with_extensions([proto::EXTENSION, proto::DIALOG_RELEASE])
}

/// Announces the server, unless it has nothing to offer because its Asterisk is away.
async fn announce(shared: &Shared) {
    let announcing = shared.announcing.lock().await;
    if *announcing && shared.client.state() == ConnectionState::Connected {
        publish(shared, &announcement(shared)).await;
    }
}

/// Tells everybody not to wait for this server any more.
pub(crate) async fn say_goodbye(shared: &Shared) {
    *shared.announcing.lock().await = false;
    publish(shared, &announcement(shared).leaving()).await;
}

async fn publish(shared: &Shared, announcement: &Announcement) {
    let message = announcement.encode().into();
    if let Err(error) = shared
        .nats
        .publish(shared.subjects.announce(), message)
        .await
    {
        tracing::warn!(%error, "the announcement could not be published");
    }
}

/// Says so loudly when another server takes itself for this one.
fn look_for_twin(shared: &Shared, message: &Message) {
    let Ok(other) = Announcement::decode(&message.payload) else {
        return;
    };
    let same = *other.node == *shared.node && *other.application == *shared.application;
    if same
        && !other.leaving
        && other
            .instance
            .as_ref()
            .is_some_and(|instance| *instance != shared.boot)
    {
        tracing::error!(
            node = other.node,
            application = other.application,
            "another proxy announces the same node: requests would be answered twice. Give this one another node id \
             (--node-id), or stop one of them"
        );
    }
}
