//! Events of a single Asterisk: all come by one way, and dialogs are kept here.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use crate::{
    endings::{self, Finality},
    entity::EntityKind,
    error::{Error, Result},
    event::{Event, Role},
    request::{Request, Response},
    router::{Feed, Router},
};

/// So many channels leave their application after one that did before it loses its bindings, should it come back: no
/// event tells that it is gone.
const MOST_LEFT: usize = 1_024;

/// Which entities are bound to which dialogs.
///
/// A request that carries a dialog binds entities to it (see [`Request::bound`]); a binding ends with its
/// entity, when the request that made it does not create or find the entity, or when the dialog is released. Of the
/// channels that left their application, the last 1,024 keep theirs.
#[derive(Debug, Default)]
pub struct Dialogs {
    entities: HashMap<(EntityKind, Arc<str>), Ties>,
    rows: BTreeSet<(Arc<str>, EntityKind, Arc<str>)>,
    /// Channels that were bound when they left their application, the last one at the end.
    left: VecDeque<Arc<str>>,
    /// How many have left so.
    departures: u64,
}

/// What an entity is bound to.
#[derive(Debug, Default)]
struct Ties {
    dialogs: BTreeSet<Arc<str>>,
    /// Which departure it was, where it is a channel that has left its application.
    left: Option<u64>,
    /// Lives as long as a request that is to create the entity.
    creation: Weak<()>,
}

impl Dialogs {
    /// Binds an entity to a dialog; gives whether it was not yet.
    pub fn bind(&mut self, dialog: &str, kind: EntityKind, id: &str) -> bool {
        if dialog.is_empty() || id.is_empty() {
            return false;
        }
        let (dialog, id): (Arc<str>, Arc<str>) = (dialog.into(), id.into());
        self.entities
            .entry((kind, Arc::clone(&id)))
            .or_default()
            .dialogs
            .insert(Arc::clone(&dialog));
        self.rows.insert((dialog, kind, id))
    }

    /// Notes that an entity which is bound is yet to be created, as long as the token lives.
    fn await_creation(&mut self, kind: EntityKind, id: &str, token: &Arc<()>) {
        if let Some(ties) = self.entities.get_mut(&(kind, Arc::from(id))) {
            ties.creation = Arc::downgrade(token);
        }
    }

    /// What is bound and can be gone: not what is yet to be created.
    fn created(&self) -> Vec<(EntityKind, Arc<str>)> {
        self.entities
            .iter()
            .filter(|(_, ties)| ties.creation.strong_count() == 0)
            .map(|(entity, _)| entity.clone())
            .collect()
    }

    /// Takes the binding of an entity to a dialog back.
    pub fn unbind(&mut self, dialog: &str, kind: EntityKind, id: &str) {
        let key = (kind, Arc::from(id));
        if let Some(ties) = self.entities.get_mut(&key) {
            ties.dialogs.remove(dialog);
            if ties.dialogs.is_empty() {
                self.entities.remove(&key);
            }
        }
        self.rows.remove(&(Arc::from(dialog), kind, key.1));
    }

    /// Drops the bindings of an entity that is gone.
    pub fn forget(&mut self, kind: EntityKind, id: &str) {
        let id: Arc<str> = id.into();
        let ties = self.entities.remove(&(kind, Arc::clone(&id)));
        for dialog in ties.into_iter().flat_map(|ties| ties.dialogs) {
            self.rows.remove(&(dialog, kind, Arc::clone(&id)));
        }
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
            .flat_map(|ties| &ties.dialogs)
            .map(Arc::clone)
            .collect()
    }

    /// Drops the bindings of the entity whose life the event ends; call it once the event is out.
    pub fn after(&mut self, event: &Event) {
        if self.is_empty() {
            return;
        }
        if let Some((kind, id)) = endings::ended_by(event) {
            self.forget(kind, id);
            return;
        }
        let leaves = matches!(event.finality(), Some((_, Finality::Leaves)));
        if !leaves && event.kind() != "StasisStart" {
            return;
        }
        for channel in event
            .concerns()
            .filter(|concern| concern.kind == EntityKind::Channel && concern.role == Role::Subject)
        {
            let id: Arc<str> = channel.id.into();
            if let Some(ties) = self.entities.get_mut(&(channel.kind, Arc::clone(&id))) {
                ties.left = leaves.then_some(self.departures);
                if leaves {
                    self.departures += 1;
                    self.left.push_back(id);
                }
            }
        }
        self.forget_oldest();
    }

    /// Drops the bindings of channels that left long ago and did not come back.
    fn forget_oldest(&mut self) {
        while self.left.len() > MOST_LEFT {
            let first = self.departures - self.left.len() as u64;
            let Some(oldest) = self.left.pop_front() else {
                return;
            };
            let ties = self
                .entities
                .get(&(EntityKind::Channel, Arc::clone(&oldest)));
            if ties.is_some_and(|ties| ties.left == Some(first)) {
                self.forget(EntityKind::Channel, &oldest);
            }
        }
    }

    /// Drops the bindings of a dialog.
    pub fn release(&mut self, dialog: &str) {
        let from = (Arc::from(dialog), EntityKind::Application, Arc::from(""));
        let bound: Vec<_> = self
            .rows
            .range(from..)
            .take_while(|row| &*row.0 == dialog)
            .cloned()
            .collect();
        for row in bound {
            let (dialog, kind, id) = row;
            self.unbind(&dialog, kind, &id);
        }
    }

    /// Whether anything is bound to a dialog.
    pub fn has(&self, dialog: &str) -> bool {
        let from = (Arc::from(dialog), EntityKind::Application, Arc::from(""));
        self.rows
            .range(from..)
            .next()
            .is_some_and(|row| &*row.0 == dialog)
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// Whether a new binding of an entity is taken back after a request for it that ended so, which was to create it or not:
/// what was not created, or not found, has no event that would end it.
pub fn takes_back(was_to_create: bool, answer: &Result<Response>) -> bool {
    // A channel that is to enter or leave a bridge is not found with 400.
    let not_found = answer
        .as_ref()
        .is_ok_and(|answer| matches!(answer.status, 400 | 404));
    not_found || was_to_create && creates_nothing(answer)
}

/// Whether a creation that ended so has created nothing. Where there was such an entity already, it is still there.
fn creates_nothing(answer: &Result<Response>) -> bool {
    match answer {
        Ok(response) => !response.is_success() && response.status != 409,
        Err(Error::NotSent { .. } | Error::NobodyThere { .. }) => true,
        Err(_) => false,
    }
}

/// What a request has bound to its dialog that was not bound before.
#[derive(Debug, Default)]
#[must_use = "what is not there stays bound unless it is settled"]
pub struct Bound {
    new: Vec<Binding>,
    /// Held until it is known whether the request has created something, or nobody waits for that any more.
    creation: Option<Arc<()>>,
}

#[derive(Debug)]
struct Binding {
    dialog: Arc<str>,
    kind: EntityKind,
    id: String,
    /// The request is to create it.
    is_created: bool,
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
    /// first event is not missed, and [`settle`](Self::settle) afterwards.
    pub fn bind(&self, request: &Request) -> Bound {
        let mut bound = Bound::default();
        if let Some(dialog) = &request.target.dialog {
            let mut dialogs = self.dialogs();
            for (kind, id) in request.bound() {
                let is_new = dialogs.bind(dialog, kind, &id);
                let is_created = request.creates(kind, &id);
                if is_created {
                    dialogs.await_creation(kind, &id, bound.creation.get_or_insert_default());
                }
                if is_new {
                    bound.new.push(Binding {
                        dialog: Arc::clone(dialog),
                        kind,
                        id: id.into_owned(),
                        is_created,
                    });
                }
            }
        }
        bound
    }

    /// Takes the bindings of what was not created, or not found, back: no event would end them.
    pub fn settle(&self, bound: Bound, answer: &Result<Response>) {
        for binding in bound.new {
            if takes_back(binding.is_created, answer) {
                self.dialogs()
                    .unbind(&binding.dialog, binding.kind, &binding.id);
            }
        }
    }

    /// What is bound to dialogs and can be gone, which a transport that compares after a loss asks for: not what is yet
    /// to be created.
    pub fn bound(&self) -> Vec<(EntityKind, Arc<str>)> {
        self.dialogs().created()
    }

    /// Drops the bindings of an entity that was found gone.
    pub fn forget(&self, kind: EntityKind, id: &str) {
        self.dialogs().forget(kind, id);
    }

    /// Drops the bindings of a dialog, unless it has a scope again.
    pub fn release(&self, dialog: &str) {
        let mut dialogs = self.dialogs();
        // Under the lock, which whoever binds for the new scope needs.
        if !self.router.has_dialog(dialog) {
            dialogs.release(dialog);
        }
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
            self.router.deliver(&Feed::calls(application), event);
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
