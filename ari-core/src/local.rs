//! Events of a single Asterisk: all come by one way, and dialogs are kept here.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    endings,
    entity::EntityKind,
    event::{Event, Role},
    request::Request,
    router::{Feed, Router},
};

/// Which entities are bound to which dialogs.
///
/// A request that carries a dialog binds entities to it (see [`Request::bound`]); a binding ends with its
/// entity, or when the dialog is released.
#[derive(Debug, Default)]
pub struct Dialogs {
    entities: HashMap<(EntityKind, Arc<str>), BTreeSet<Arc<str>>>,
    dialogs: BTreeSet<(Arc<str>, EntityKind, Arc<str>)>,
}

impl Dialogs {
    /// Binds an entity to a dialog.
    pub fn bind(&mut self, dialog: &str, kind: EntityKind, id: &str) {
        if dialog.is_empty() || id.is_empty() {
            return;
        }
        let (dialog, id): (Arc<str>, Arc<str>) = (dialog.into(), id.into());
        self.entities
            .entry((kind, Arc::clone(&id)))
            .or_default()
            .insert(Arc::clone(&dialog));
        self.dialogs.insert((dialog, kind, id));
    }

    /// The dialogs that an event belongs to, each once.
    pub fn of(&self, event: &Event) -> BTreeSet<Arc<str>> {
        if self.is_empty() {
            return BTreeSet::new();
        }
        event
            .concerns()
            .filter(|concern| concern.role != Role::Target)
            .filter_map(|concern| self.entities.get(&(concern.kind, Arc::from(concern.id))))
            .flatten()
            .map(Arc::clone)
            .collect()
    }

    /// Drops the bindings of the entity whose life the event ends; call it once the event is out.
    pub fn after(&mut self, event: &Event) {
        if let Some((kind, id)) = endings::ended_by(event) {
            let id: Arc<str> = id.into();
            for dialog in self
                .entities
                .remove(&(kind, Arc::clone(&id)))
                .into_iter()
                .flatten()
            {
                self.dialogs.remove(&(dialog, kind, Arc::clone(&id)));
            }
        }
    }

    /// Drops the bindings of a dialog.
    pub fn release(&mut self, dialog: &str) {
        let from = (Arc::from(dialog), EntityKind::Application, Arc::from(""));
        let bound: Vec<_> = self
            .dialogs
            .range(from..)
            .take_while(|row| &*row.0 == dialog)
            .cloned()
            .collect();
        for row in bound {
            self.dialogs.remove(&row);
            let (dialog, kind, id) = row;
            if let Some(dialogs) = self.entities.get_mut(&(kind, Arc::clone(&id))) {
                dialogs.remove(&dialog);
                if dialogs.is_empty() {
                    self.entities.remove(&(kind, id));
                }
            }
        }
    }

    /// Whether anything is bound to a dialog.
    pub fn has(&self, dialog: &str) -> bool {
        let from = (Arc::from(dialog), EntityKind::Application, Arc::from(""));
        self.dialogs
            .range(from..)
            .next()
            .is_some_and(|row| &*row.0 == dialog)
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.dialogs.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.dialogs.is_empty()
    }
}

/// Router and dialogs of a transport to a single Asterisk.
#[derive(Debug)]
pub struct LocalEvents {
    router: Router,
    dialogs: Mutex<Dialogs>,
}

impl LocalEvents {
    /// Makes a router whose feeds are all ready.
    pub fn new() -> Self {
        Self {
            router: Router::local(),
            dialogs: Mutex::default(),
        }
    }

    /// Makes a router as [`new`](Self::new) does, for a transport that
    /// [compares](Router::comparing) after a loss.
    pub fn comparing() -> Self {
        Self {
            router: Router::comparing(),
            dialogs: Mutex::default(),
        }
    }

    /// The router.
    pub const fn router(&self) -> &Router {
        &self.router
    }

    fn dialogs(&self) -> MutexGuard<'_, Dialogs> {
        self.dialogs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds what a request concerns to its dialog; call it before the request is sent, so that the
    /// first event is not missed.
    pub fn bind(&self, request: &Request) {
        if let Some(dialog) = &request.target.dialog {
            let mut dialogs = self.dialogs();
            for (kind, id) in request.bound() {
                dialogs.bind(dialog, kind, &id);
            }
        }
    }

    /// Drops the bindings of a dialog.
    pub fn release(&self, dialog: &str) {
        self.dialogs().release(dialog);
    }

    /// How many bindings of entities to dialogs there are.
    pub fn bindings(&self) -> usize {
        self.dialogs().len()
    }

    /// Hands an event to everybody whom it concerns.
    pub fn deliver(&self, event: &Event) {
        let dialogs = {
            let mut bound = self.dialogs();
            let dialogs = bound.of(event);
            bound.after(event);
            dialogs
        };
        self.router.deliver(&Feed::All, event);
        for dialog in dialogs {
            self.router.deliver(&Feed::Dialog(dialog), event);
        }
        if event.kind() == "StasisStart"
            && let Some(application) = event.application()
        {
            self.router.deliver(&Feed::Calls(application.into()), event);
        }
    }

    /// Which feed carries what concerns a target.
    pub fn feed(target: &crate::Metadata) -> Feed {
        target
            .dialog
            .as_ref()
            .map_or(Feed::All, |dialog| Feed::Dialog(Arc::clone(dialog)))
    }
}

impl Default for LocalEvents {
    fn default() -> Self {
        Self::new()
    }
}
