//! Events on their way out.

use std::{collections::HashMap, sync::Arc};

use ari_core::{Ari, ConnectionState, Event, Events, Gap, Result, StreamItem};
use ari_proxy_proto::{self as proto, Numbering};
use async_nats::Subject;
use bytes::Bytes;
use futures::StreamExt;

use crate::server::Shared;

/// Events that NATS has not taken yet.
const WAITING_EVENTS: usize = 65_536;

/// Subscribes to everything that the Asterisk tells.
pub(crate) async fn listen(ari: &Ari) -> Result<Events> {
    ari.events_with_room(WAITING_EVENTS).await
}

/// Publishes these events.
pub(crate) fn start(shared: &Arc<Shared>, events: Events) -> Result<()> {
    let subject = shared
        .subjects
        .events(&shared.application, &shared.node)?
        .into();
    let publisher = Publisher {
        shared: Arc::clone(shared),
        subject,
        node_count: 0,
        subject_count: 0,
        losses: 0,
        dialogs: HashMap::new(),
    };
    shared.tasks.spawn(publisher.run(events));
    Ok(())
}

struct Publisher {
    shared: Arc<Shared>,
    subject: Subject,
    node_count: u64,
    subject_count: u64,
    /// How often events were lost before they came here, nobody knows how many.
    losses: u64,
    dialogs: HashMap<Arc<str>, Copies>,
}

/// The copies that a dialog got.
struct Copies {
    /// When the dialog came back after it was over, it is numbered as another one.
    since: u64,
    count: u64,
}

impl Publisher {
    async fn run(mut self, mut events: Events) {
        let over = self.shared.over.clone();
        loop {
            let item = tokio::select! {
                biased;
                () = over.cancelled() => return,
                item = events.next() => item,
            };
            match item {
                Some(StreamItem::Event(event)) => self.publish(&event).await,
                Some(StreamItem::Gap(gap)) => self.skip(gap),
                Some(_) => {}
                None => {
                    match self.shared.client.state() {
                        ConnectionState::Closed => {
                            tracing::info!("the connection to Asterisk is closed: the proxy ends");
                        }
                        ConnectionState::Replaced => tracing::error!(
                            "another program has connected to Asterisk as this application and gets its events: \
                             the proxy ends"
                        ),
                        _ => {}
                    }
                    over.cancel();
                    return;
                }
            }
        }
    }

    /// Leaves numbers out, so that every client that counts finds the loss.
    fn skip(&mut self, gap: Gap) {
        tracing::warn!(?gap, "events of Asterisk are missing");
        match gap.missed {
            Some(missed) => {
                self.node_count += missed;
                self.subject_count += missed;
                for copies in self.dialogs.values_mut() {
                    copies.count += missed;
                }
            }
            // Nobody knows how many: the numbers begin anew, as after a restart.
            None => self.losses += 1,
        }
    }

    fn boot(&self) -> String {
        format!("{}.{}", self.shared.boot, self.losses)
    }

    async fn publish(&mut self, event: &Event) {
        let event_text = proto::publishable(event, &self.shared.application, &self.shared.node);
        self.node_count += 1;
        self.subject_count += 1;
        let boot = self.boot();
        let numbers = Numbering {
            boot: &boot,
            node: self.node_count,
            subject: self.subject_count,
        };
        self.send(self.subject.clone(), proto::numbered(&event_text, numbers))
            .await;
        let dialogs = self.shared.dialogs().of(event);
        for dialog in dialogs {
            self.copy(&event_text, dialog).await;
        }
        self.end(event);
    }

    async fn copy(&mut self, event: &Bytes, dialog: Arc<str>) {
        let Ok(subject) = self.shared.subjects.dialog_events(&dialog) else {
            return;
        };
        let node_count = self.node_count;
        let copies = self.dialogs.entry(Arc::clone(&dialog)).or_insert(Copies {
            since: node_count,
            count: 0,
        });
        copies.count += 1;
        let (since, count) = (copies.since, copies.count);
        let boot = format!("{}.{since}", self.boot());
        let numbers = Numbering {
            boot: &boot,
            node: node_count,
            subject: count,
        };
        self.send(subject.into(), proto::dialog_copy(event, &dialog, numbers))
            .await;
    }

    /// Drops the bindings of what the event ended, and the counts of dialogs that are over.
    fn end(&mut self, event: &Event) {
        let mut dialogs = self.shared.dialogs();
        dialogs.after(event);
        if self.dialogs.len() > 64 && self.dialogs.len() > 2 * dialogs.len() {
            self.dialogs.retain(|dialog, _| dialogs.has(dialog));
            self.dialogs.shrink_to_fit();
        }
    }

    async fn send(&self, subject: Subject, message: Bytes) {
        if let Err(error) = self.shared.nats.publish(subject, message).await {
            tracing::warn!(%error, "an event could not be published");
        }
    }
}
