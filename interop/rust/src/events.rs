//! The events of a client, found whether they have come or are to come.

use std::time::Duration;

use asterisk_rs_ari::{AriClient, AriEvent, AriMessage};
use asterisk_rs_core::event::{EventReceive, EventSubscription};
use tokio::time::{Instant, timeout_at};

use crate::{Result, checks::Checks};

/// How long an event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The events that have come.
pub struct Events {
    subscription: EventSubscription<AriMessage>,
    seen: Vec<AriMessage>,
}

impl Events {
    pub fn new(ari: &AriClient) -> Self {
        Self {
            subscription: ari.subscribe(),
            seen: Vec::new(),
        }
    }

    /// Gives what `look` makes of the first event that it knows.
    pub async fn find<T>(
        &mut self,
        checks: &mut Checks,
        kind: &str,
        look: impl Fn(&AriEvent) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        if let Some(found) = self.seen.iter().find_map(|message| look(&message.event)) {
            checks.count();
            return Ok(found);
        }
        loop {
            match timeout_at(deadline, self.subscription.recv()).await {
                Ok(EventReceive::Event(message)) => {
                    let found = look(&message.event);
                    self.seen.push(message);
                    if let Some(found) = found {
                        checks.count();
                        return Ok(found);
                    }
                }
                Ok(EventReceive::Lagged(missed)) => {
                    return Err(format!("{missed} events were lost").into());
                }
                Ok(EventReceive::Closed) => return Err("the events have ended".into()),
                Err(_) => {
                    let kinds: Vec<_> = self.seen.iter().map(AriMessage::event_type).collect();
                    return Err(format!("no {kind} came that was waited for, but {kinds:?}").into());
                }
            }
        }
    }

    /// Checks that the first events of these types of a channel came in this order, and that the client
    /// has understood everything.
    pub fn in_order(&self, checks: &mut Checks, channel: &str, kinds: &[&str]) -> Result<()> {
        let places: Vec<_> = kinds
            .iter()
            .map(|kind| {
                self.seen.iter().position(|message| {
                    message.event_type() == *kind && message.event.channel_ids().contains(&channel)
                })
            })
            .collect();
        let complete = places.iter().all(Option::is_some);
        checks.equal(
            &format!("order of {kinds:?}"),
            complete && places.is_sorted(),
            true,
        )?;
        let unknown: Vec<_> = self
            .seen
            .iter()
            .filter_map(|m| m.unknown.as_ref())
            .collect();
        checks.equal("unknown events", unknown.len(), 0)
    }
}
