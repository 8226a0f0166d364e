//! What subscriptions wait for, compared with what there is after a loss.

use std::{sync::Arc, task::Waker};

use super::{Index, Interest, Slot, rows::Rows};
use crate::{
    entity::EntityKind,
    router::{Doubt, End, Sink, Wakers},
};

/// An entity that a subscription waits for: for its end, or for its events.
pub struct Awaited {
    kind: EntityKind,
    id: Arc<str>,
    slot: u32,
    sink: Sink,
}

impl Awaited {
    /// The kind of the entity.
    pub const fn kind(&self) -> EntityKind {
        self.kind
    }

    /// The id of the entity.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl std::fmt::Debug for Awaited {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Awaited({} {})", self.kind.as_str(), self.id)
    }
}

/// Whether there is an end to what is of this kind.
const fn is_mortal(kind: EntityKind) -> bool {
    matches!(
        kind,
        EntityKind::Channel | EntityKind::Bridge | EntityKind::Playback | EntityKind::LiveRecording
    )
}

impl Interest {
    fn is_mortal(&self) -> bool {
        self.entity
            .as_ref()
            .is_some_and(|(kind, _)| is_mortal(*kind))
    }
}

impl Index {
    /// What is waited for and has a life of its own. What is yet to be created cannot be gone.
    pub(crate) fn awaited(&mut self) -> Vec<Awaited> {
        let mut awaited = Vec::new();
        for (number, slot) in (0_u32..).zip(&mut self.slots) {
            let Some(slot) = slot.as_mut().filter(|slot| slot.sink.awaits()) else {
                continue;
            };
            let Some((kind, id)) = &slot.interest.entity else {
                continue;
            };
            let mortal = is_mortal(*kind);
            if slot.interest.pending {
                slot.missed |= mortal;
            } else if mortal {
                slot.missed = false;
                awaited.push(Awaited {
                    kind: *kind,
                    id: Arc::clone(id),
                    slot: number,
                    sink: slot.sink.clone(),
                });
            }
        }
        awaited
    }

    /// Whether a subscription is about an entity.
    pub(crate) fn is_about(&self, kind: EntityKind, id: &str) -> bool {
        let rows = self.entities.get(id);
        rows.is_some_and(|rows| rows.iter().any(|(_, of, _)| *of == kind))
    }

    /// Whether an application has, or had, a stream of its new calls.
    pub(crate) fn takes_calls(&self, application: &str) -> bool {
        // Those of one Asterisk alone leave what comes early to others.
        let is_such = |slot: &Slot| slot.interest.application.as_deref() == Some(application);
        let mut streams = self.calls.iter().map(|(_, number)| self.slot(*number));
        !self.early.keeps(Some(application)) || streams.any(|slot| slot.is_some_and(is_such))
    }

    /// Whether the entity of a subscription is yet to be created.
    pub(crate) fn is_pending(&self, number: u32, sink: &Sink) -> bool {
        let slot = self.slot(number).filter(|slot| slot.sink.is(sink));
        slot.is_some_and(|slot| slot.interest.pending)
    }

    /// Has what is yet to be created asked for once it is; gives whether it is so.
    pub(crate) fn postpones(&mut self, number: u32, sink: &Sink) -> bool {
        let pending = self.is_pending(number, sink);
        if let Some(Some(slot)) = self.slots.get_mut(number as usize)
            && pending
        {
            slot.missed = true;
        }
        pending
    }

    /// Notes that an entity has been created, or will not be; one that could not be compared meanwhile is asked for.
    pub(crate) fn confirm(&mut self, number: u32, sink: &Sink) -> Option<Waker> {
        let slot = self.slots.get_mut(number as usize)?.as_mut()?;
        if !slot.sink.is(sink) {
            return None;
        }
        slot.interest.pending = false;
        if std::mem::take(&mut slot.missed) {
            slot.sink.doubt(Doubt::Gone)
        } else {
            None
        }
    }

    /// Asks for what was subscribed to since it was compared.
    pub(crate) fn ask_for_missed(&mut self, wakers: &mut Wakers) {
        for slot in self.slots.iter_mut().flatten() {
            let interest = &slot.interest;
            if interest.is_mortal() && !interest.pending && std::mem::take(&mut slot.missed) {
                wakers.extend(slot.sink.doubt(Doubt::Gone));
            }
        }
    }

    /// What a subscription waits for is gone.
    pub(crate) fn lose(&self, awaited: &Awaited) -> Option<Waker> {
        self.held(awaited)?.lose()
    }

    /// What a subscription waits for is to be asked for.
    pub(crate) fn doubt(&self, awaited: &Awaited, doubt: Doubt) -> Option<Waker> {
        self.held(awaited)?.doubt(doubt)
    }

    /// An entity was deleted, on this Asterisk where it is known.
    pub(crate) fn deleted(
        &self,
        kind: EntityKind,
        id: &str,
        asterisk_id: Option<&str>,
        wakers: &mut Wakers,
    ) {
        let rows = self.entities.get(id).filter(|_| is_mortal(kind));
        for (_, of, number) in rows.into_iter().flat_map(Rows::iter) {
            let Some(slot) = self.slot(*number).filter(|_| *of == kind) else {
                continue;
            };
            let there = slot.interest.asterisk_id.as_deref();
            if asterisk_id.is_none() || there.is_none() || asterisk_id == there {
                wakers.extend(slot.sink.doubt(Doubt::Deleted));
            }
        }
    }

    /// Loses what was subscribed to of this Asterisk alone.
    pub(crate) fn lose_asterisk(&self, id: &str, wakers: &mut Wakers) {
        for slot in self.slots.iter().flatten() {
            if slot.interest.asterisk_id.as_deref() == Some(id) {
                wakers.extend(slot.sink.lose());
            }
        }
    }

    fn held(&self, awaited: &Awaited) -> Option<&Sink> {
        let slot = self.slot(awaited.slot)?;
        slot.sink.is(&awaited.sink).then_some(&slot.sink)
    }

    /// Ends the streams of an application, or all, and those to come: no events of it come any more. Waits for
    /// endings go on by asking, and streams that may be of the application begin to.
    pub(crate) fn retire(&mut self, application: Option<Arc<str>>, end: End, wakers: &mut Wakers) {
        for slot in self.slots.iter().flatten() {
            let (sink, of) = (&slot.sink, &slot.interest.application);
            let certain = application.is_none() || application == *of;
            wakers.extend(match sink {
                _ if !certain && of.is_some() => None,
                Sink::Latch(_) => sink.doubt(Doubt::Gone),
                _ if certain => sink.end(end),
                _ if slot.interest.is_mortal() => sink.doubt(Doubt::Unheard),
                _ => None,
            });
        }
        self.retired.insert(application, end);
    }

    /// The events of an application come again; gives whether they did not.
    pub(crate) fn reinstate(&mut self, application: &Arc<str>) -> bool {
        let retired = self.retired.remove(&Some(Arc::clone(application)));
        if retired.is_some() {
            self.early.reopen(application);
        }
        retired.is_some()
    }

    /// Whether no event may tell of the end of what a new subscription is about: it may be of an application whose
    /// events come no more.
    pub(crate) fn is_unheard(&self, interest: &Interest) -> bool {
        !self.retired.is_empty() && interest.application.is_none() && interest.is_mortal()
    }

    /// Why a subscription gets no events any more.
    pub(crate) fn retired(&self, interest: &Interest) -> Option<End> {
        let of = |application| self.retired.get(application).copied();
        of(&None).or_else(|| of(&interest.application))
    }
}
