//! What to do when another program takes the application over.

use std::{collections::BTreeSet, sync::Arc};

/// What a client does when another program takes its application over, as by connecting with its name.
///
/// Asterisk sends the events to whoever connected last, and tells the one before. Where Asterisk makes the
/// connection, there is nothing to set: [`Accepted::Application`](crate::Accepted::Application) says what happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenReplaced {
    /// It yields: streams get a [`Gap`](ari_core::Gap) and end with
    /// [`End::Replaced`](ari_core::End::Replaced), and
    /// [`ConnectionState::Replaced`](ari_core::ConnectionState::Replaced) stays. Requests are answered, and
    /// waits for the end of something go on by asking.
    ///
    /// With several applications it goes on with the others: all streams get the gap, and those of that
    /// application alone end. One of an entity that may be of it asks until the entity is gone.
    #[default]
    Yield,
    /// It takes the application back: streams get a `Gap`, and `Resynced` as after a lost connection.
    ///
    /// Two clients that do so would take it from each other for ever: each waits longer from time to time,
    /// up to half a minute.
    TakeBack,
}

/// Which applications are still this client's.
#[derive(Debug)]
pub(crate) struct Standing {
    policy: WhenReplaced,
    applications: Vec<Arc<str>>,
    yielded: BTreeSet<Arc<str>>,
    turn: Option<Turn>,
    /// The first application of the last socket that was opened, in whose name Asterisk answers.
    name: Option<Arc<str>>,
    /// Asterisk has said which applications the socket that it opened is for.
    settled: bool,
}

/// What is to be done once an application was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Connect again.
    TakeBack,
    /// There is no application left: connect no more.
    Retire,
}

impl Standing {
    pub(crate) const fn new(policy: WhenReplaced, applications: Vec<Arc<str>>) -> Self {
        Self {
            policy,
            applications,
            yielded: BTreeSet::new(),
            turn: None,
            name: None,
            settled: false,
        }
    }

    /// The applications to connect as.
    pub(crate) fn applications(&self) -> impl Iterator<Item = &str> {
        let kept = |name: &&Arc<str>| !self.yielded.contains(*name);
        self.applications.iter().filter(kept).map(|name| &**name)
    }

    /// A socket is opened as the applications that are left.
    pub(crate) fn open(&mut self) {
        let first = self.applications().next().map(Arc::from);
        self.name = first;
    }

    /// Whether the first application of the socket is another program's, and others are left.
    pub(crate) fn is_misnamed(&self) -> bool {
        let mut left = self.applications();
        let name = self.name.as_deref();
        name.is_some() && left.next().is_some_and(|first| Some(first) != name)
    }

    /// Whether an application is one to connect as.
    pub(crate) fn has(&self, application: &str) -> bool {
        self.applications().any(|own| own == application)
    }

    /// Asterisk has opened a socket, and says which applications it is for; or it has said so.
    pub(crate) const fn settle(&mut self, settled: bool) {
        self.settled = settled;
    }

    /// An application is this client's, or is so again; gives its name.
    ///
    /// A new one that comes once it was said what the socket is for means that Asterisk has read a changed
    /// configuration. It registers anew what the socket had before, and says of each that it was replaced, as if it
    /// were another program's: nothing of that can be told apart, so the client ends, and Asterisk connects again.
    pub(crate) fn registered(&mut self, application: &str) -> Option<Arc<str>> {
        if self.settled && !self.has(application) {
            self.yielded.extend(self.applications.iter().cloned());
            self.turn = Some(Turn::Retire);
            return None;
        }
        self.yielded.remove(application);
        let known = self
            .applications
            .iter()
            .find(|known| &***known == application);
        if let Some(known) = known {
            return Some(Arc::clone(known));
        }
        let name: Arc<str> = Arc::from(application);
        self.applications.push(Arc::clone(&name));
        Some(name)
    }

    /// An application is this client's no longer; gives its name if it was until now.
    pub(crate) fn leave(&mut self, application: &str) -> Option<Arc<str>> {
        let place = self
            .applications
            .iter()
            .position(|known| &**known == application)?;
        let name = self.applications.remove(place);
        let was = !self.yielded.remove(&name);
        if self.applications().next().is_none() {
            self.turn = Some(Turn::Retire);
        }
        was.then_some(name)
    }

    /// The application of everything that names none, where there is but one.
    pub(crate) fn only(&self) -> Option<&Arc<str>> {
        let [only] = &*self.applications else {
            return None;
        };
        Some(only)
    }

    /// An application was taken over; gives the one that is given up.
    pub(crate) fn replaced(&mut self, application: Option<&str>) -> Option<Arc<str>> {
        let ours = match application {
            Some(name) => self.applications.iter().find(|known| &***known == name)?,
            None if self.applications.len() == 1 => self.applications.first()?,
            None => return None,
        };
        if self.policy == WhenReplaced::TakeBack {
            self.turn = Some(Turn::TakeBack);
            return None;
        }
        let ours = Arc::clone(ours);
        if !self.yielded.insert(Arc::clone(&ours)) {
            return None;
        }
        if self.yielded.len() == self.applications.len() {
            self.turn = Some(Turn::Retire);
        }
        Some(ours)
    }

    /// Takes what is to be done.
    pub(crate) const fn turn(&mut self) -> Option<Turn> {
        self.turn.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_given_up_one_by_one() {
        let mut standing = Standing::new(WhenReplaced::Yield, vec!["a".into(), "b".into()]);
        assert_eq!(standing.replaced(Some("c")), None);
        assert_eq!(standing.replaced(None), None);
        assert_eq!(standing.replaced(Some("a")), Some("a".into()));
        assert_eq!(standing.replaced(Some("a")), None);
        assert_eq!(standing.turn(), None);
        assert_eq!(standing.applications().collect::<Vec<_>>(), ["b"]);
        assert_eq!(standing.replaced(Some("b")), Some("b".into()));
        assert_eq!(standing.turn(), Some(Turn::Retire));
        assert_eq!(standing.applications().count(), 0);
    }

    #[test]
    fn a_socket_is_misnamed_once_its_first_application_is_given_up() {
        let mut standing = Standing::new(WhenReplaced::Yield, vec!["a".into(), "b".into()]);
        assert!(!standing.is_misnamed());
        standing.open();
        standing.replaced(Some("a"));
        assert!(standing.is_misnamed());
        standing.open();
        assert!(!standing.is_misnamed());
        standing.replaced(Some("b"));
        assert!(!standing.is_misnamed(), "nothing is left to connect as");
    }

    #[test]
    fn applications_come_and_go() {
        let mut standing = Standing::new(WhenReplaced::Yield, vec!["a".into()]);
        for name in ["b", "a", "b"] {
            assert_eq!(standing.registered(name).as_deref(), Some(name));
        }
        assert_eq!(standing.applications().collect::<Vec<_>>(), ["a", "b"]);
        standing.replaced(Some("a"));
        standing.registered("a");
        assert_eq!(standing.replaced(Some("b")), Some("b".into()));
        assert_eq!(standing.turn(), None);
        assert_eq!(standing.leave("b"), None);
        assert_eq!(standing.leave("c"), None);
        assert_eq!(standing.replaced(Some("b")), None);
        assert_eq!(standing.applications().collect::<Vec<_>>(), ["a"]);
        assert_eq!(standing.turn(), None);
        assert_eq!(standing.leave("a"), Some("a".into()));
        assert_eq!(standing.turn(), Some(Turn::Retire));
        assert_eq!(standing.applications().count(), 0);
    }

    #[test]
    fn another_application_of_a_socket_that_was_settled_means_that_all_begin_anew() {
        let mut standing = Standing::new(WhenReplaced::Yield, vec!["a".into()]);
        standing.settle(true);
        assert_eq!(standing.registered("a"), Some("a".into()));
        assert_eq!(standing.turn(), None);
        assert_eq!(standing.registered("c"), None);
        assert_eq!(standing.turn(), Some(Turn::Retire));
        assert_eq!(standing.replaced(Some("a")), None);
        assert_eq!(standing.applications().count(), 0);
    }

    #[test]
    fn whoever_takes_back_keeps_all() {
        let mut standing = Standing::new(WhenReplaced::TakeBack, vec!["a".into()]);
        for name in [None, Some("a")] {
            assert_eq!(standing.replaced(name), None);
            assert_eq!(standing.turn(), Some(Turn::TakeBack));
            assert_eq!(standing.turn(), None);
        }
        assert_eq!(standing.applications().collect::<Vec<_>>(), ["a"]);
    }
}
