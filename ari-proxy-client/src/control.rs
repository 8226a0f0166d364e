//! What is not an event: replies, announcements, and the fate of the connection.

use std::{sync::Arc, time::Duration};

use ari_core::{ConnectionState, Error, Gap, GapCause, Metadata, Result};
use ari_nats::LinkEvent;
use ari_proxy_proto::{self as proto, Announcement};
use async_nats::Subscriber;
use bytes::Bytes;
use futures::{
    StreamExt,
    future::{Either, pending},
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    members::{Member, News},
    reader,
    shared::Shared,
};

/// Everybody is there once this long has passed without somebody new.
const QUIET: Duration = Duration::from_millis(250);
/// Longest wait for everybody to be there.
const DISCOVERY: Duration = Duration::from_secs(5);

/// Reads replies and announcements until the client ends.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut replies: Subscriber,
    mut announcements: Subscriber,
    mut events: Option<mpsc::Receiver<LinkEvent>>,
) {
    loop {
        let event = match &mut events {
            Some(events) => Either::Left(events.recv()),
            None => Either::Right(pending()),
        };
        tokio::select! {
            () = shared.token.cancelled() => return,
            Some(reply) = replies.next() => shared.inbox.deliver(reply),
            Some(message) = announcements.next() => take_announcement(&shared, &message.payload),
            event = event => match event {
                Some(event) => take_link_event(&shared, &event),
                None => events = None,
            },
        }
    }
}

/// Asks who is there, and waits until nobody new has answered for a while.
pub(crate) async fn discover(shared: &Shared) -> Result<()> {
    ping(shared).await?;
    let deadline = Instant::now() + DISCOVERY;
    while let Ok(()) = timeout_at(
        deadline.min(Instant::now() + QUIET),
        shared.joined.notified(),
    )
    .await
    {}
    Ok(())
}

async fn ping(shared: &Shared) -> Result<()> {
    let ping = shared.nats.publish(
        shared.subjects.ping(),
        Bytes::from_static(proto::PING.as_bytes()),
    );
    ping.await.map_err(|error| Error::Connect {
        reason: format!("cannot publish at NATS at {}", shared.servers),
        source: Some(error.into()),
    })
}

fn take_announcement(shared: &Shared, message: &[u8]) {
    let announcement = match Announcement::decode(message) {
        Ok(announcement) => announcement,
        Err(error) => {
            tracing::debug!(%error, "an announcement cannot be read");
            return;
        }
    };
    let member = Member {
        application: announcement.application.as_str().into(),
        node: announcement.node.as_str().into(),
    };
    let instance = announcement.instance.as_deref();
    if announcement.leaving {
        tracing::info!(
            node = announcement.node,
            application = announcement.application,
            "a proxy has left"
        );
        shared.members().left(&member, instance);
        shared.departed.send_replace(());
        return;
    }
    let extended = announcement.has(proto::EXTENSION);
    let news = shared
        .members()
        .announced(member, instance, extended, Instant::now());
    if matches!(news, News::Back | News::Twin) {
        // The proxy has forgotten what was bound to dialogs: no event may follow by whose number the loss is found, as
        // it is in the events of the application.
        let lost = Gap::new(None, GapCause::Upstream);
        shared.router.gap_in_dialogs(&announcement.node, lost);
    }
    match news {
        News::Known => {}
        News::New | News::Back => {
            tracing::info!(
                node = announcement.node,
                application = announcement.application,
                "a proxy is there"
            );
            shared.joined.notify_one();
        }
        News::Twin => tracing::error!(
            node = announcement.node,
            application = announcement.application,
            "two proxies announce the same Asterisk: give one of them another node id, or stop it"
        ),
    }
}

fn take_link_event(shared: &Arc<Shared>, event: &LinkEvent) {
    match event {
        LinkEvent::Connected => {
            // Its loss was told when it broke.
            shared.is_made_again();
            let before = shared.state.send_replace(ConnectionState::Connected);
            if before == ConnectionState::Connecting {
                tracing::info!(servers = shared.servers, "connected to NATS");
                let shared = Arc::clone(shared);
                let tasks = shared.tasks.clone();
                let connects = shared.connects();
                tasks.spawn(async move {
                    let resync = async {
                        if ping(&shared).await.is_ok() {
                            reader::barrier(&shared, &Metadata::default()).await;
                            // Not in the middle of another loss.
                            let state = *shared.state.borrow();
                            if state == ConnectionState::Connected && shared.connects() == connects
                            {
                                shared.router.resynced();
                            }
                        }
                    };
                    tokio::select! {
                        () = shared.token.cancelled() => {}
                        () = resync => {}
                    }
                });
            } else if before == ConnectionState::Closed {
                shared.state.send_replace(ConnectionState::Closed);
            }
        }
        LinkEvent::Disconnected => {
            tracing::warn!(servers = shared.servers, "the connection to NATS broke");
            shared.state.send_if_modified(|state| {
                let open = *state == ConnectionState::Connected;
                if open {
                    *state = ConnectionState::Connecting;
                }
                open
            });
            shared.router.lost(Gap::new(None, GapCause::Reconnected));
        }
        LinkEvent::SlowConsumer => {
            // The callback names no number and no subject; the numbers of the events find the loss
            // where there are some.
            tracing::warn!("async-nats dropped messages: the process is too slow");
            shared
                .router
                .gap_everywhere(Gap::new(None, GapCause::Overflow));
        }
        LinkEvent::Trouble(trouble) => tracing::warn!(%trouble, "NATS reports an error"),
        _ => {}
    }
}

/// Tells the servers that nobody here uses a dialog any more. Those of Go keep what they have bound:
/// they would not understand it, and log a warning each time.
pub(crate) fn release_dialog(shared: &Arc<Shared>, dialog: &str) {
    if *shared.state.borrow() != ConnectionState::Connected
        || tokio::runtime::Handle::try_current().is_err()
    {
        return;
    }
    let target = |application: Option<Arc<str>>, asterisk_id| Metadata {
        application,
        asterisk_id,
        dialog: Some(dialog.into()),
    };
    let application = shared.application.as_ref();
    let targets = match shared
        .members()
        .extended_only(application.map(|name| &**name))
    {
        None => vec![target(application.cloned(), None)],
        Some(members) => members
            .into_iter()
            .map(|member| target(Some(member.application), Some(member.node)))
            .collect(),
    };
    let releases: Vec<_> = targets
        .iter()
        .filter_map(|target| proto::encode_release(target, &shared.subjects).ok()?)
        .collect();
    let tasks = shared.tasks.clone();
    let (shared, dialog) = (Arc::clone(shared), dialog.to_owned());
    tasks.spawn(async move {
        for release in releases {
            // What the next scope of the dialog has bound must not be released with it; its end releases all.
            if shared.router.has_dialog(&dialog) {
                return;
            }
            let publish = shared.nats.publish(release.subject, release.payload);
            let _ = timeout(shared.timeout, publish).await;
        }
    });
}
