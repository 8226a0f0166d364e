//! Who is in the cluster, learned from announcements.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use ari_core::Metadata;
use tokio::time::Instant;

/// How long a member is believed in without an announcement; a Go server announces itself every 60 s.
const MEMBER_LIFE: Duration = Duration::from_secs(150);

/// One server: an application on an Asterisk.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Member {
    pub(crate) application: Arc<str>,
    pub(crate) node: Arc<str>,
}

impl Member {
    /// Where it is.
    pub(crate) fn place(&self) -> Metadata {
        Metadata {
            application: Some(Arc::clone(&self.application)),
            asterisk_id: Some(Arc::clone(&self.node)),
            dialog: None,
        }
    }
}

#[derive(Debug)]
struct State {
    seen: Instant,
    /// It did not answer in time, and has not announced itself since.
    suspect: bool,
    /// Changes each time the server starts; Go servers have none.
    boot: Option<Arc<str>>,
    /// Whether it serves the extension kind.
    extended: bool,
}

/// The servers of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Members {
    members: BTreeMap<Member, State>,
    /// Those that have said goodbye.
    gone: BTreeSet<Member>,
}

/// What an announcement told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// A server that was not known, or was not believed in.
    New,
    /// A server that was gone, and has started again: what happened meanwhile is lost.
    Back,
    /// A server that is known.
    Known,
    /// Another server says that it is the same one.
    Twin,
}

impl Members {
    /// Takes an announcement in.
    pub(crate) fn announced(
        &mut self,
        member: Member,
        boot: Option<&str>,
        extended: bool,
        now: Instant,
    ) -> News {
        let boot: Option<Arc<str>> = boot.map(Arc::from);
        let Some(state) = self.members.get_mut(&member) else {
            let was_here = self.gone.remove(&member);
            self.members.insert(
                member,
                State {
                    seen: now,
                    suspect: false,
                    boot,
                    extended,
                },
            );
            return if was_here { News::Back } else { News::New };
        };
        let believed = !state.suspect && now.duration_since(state.seen) < MEMBER_LIFE;
        let another = boot.is_some() && state.boot.is_some() && state.boot != boot;
        *state = State {
            seen: now,
            suspect: false,
            boot,
            extended,
        };
        match (another, believed) {
            (true, true) => News::Twin,
            (true, false) => News::Back,
            (false, true) => News::Known,
            (false, false) => News::New,
        }
    }

    /// Takes a goodbye in; that of an earlier start of a server that is back counts for nothing.
    pub(crate) fn left(&mut self, member: &Member, boot: Option<&str>) {
        let same = self
            .members
            .get(member)
            .is_some_and(|state| boot.is_none() || state.boot.as_deref() == boot);
        if same && self.members.remove(member).is_some() {
            self.gone.insert(member.clone());
        }
    }

    /// Whether a member was heard of, and has not said goodbye since.
    pub(crate) fn has(&self, member: &Member) -> bool {
        self.members.contains_key(member)
    }

    /// No longer waits for a member until it announces itself again.
    pub(crate) fn suspect(&mut self, member: &Member) {
        if let Some(state) = self.members.get_mut(member) {
            state.suspect = true;
        }
    }

    /// The members that are expected to answer a request for this application and node.
    pub(crate) fn expected(
        &self,
        application: Option<&str>,
        node: Option<&str>,
        now: Instant,
    ) -> Vec<Member> {
        self.members
            .iter()
            .filter(|(member, state)| {
                !state.suspect
                    && now.duration_since(state.seen) < MEMBER_LIFE
                    && application.is_none_or(|application| *member.application == *application)
                    && node.is_none_or(|node| *member.node == *node)
            })
            .map(|(member, _)| member.clone())
            .collect()
    }

    /// Keeps those that serve the extension kind, if there are any.
    pub(crate) fn prefer_extended(&self, candidates: &mut Vec<Member>) {
        let serves = |member: &Member| self.members.get(member).is_some_and(|state| state.extended);
        if candidates.iter().any(serves) {
            candidates.retain(serves);
        }
    }

    /// Whom to tell what only our own servers understand; `None`: all of an application at once, as
    /// there is no other server among them.
    pub(crate) fn extended_only(&self, application: Option<&str>) -> Option<Vec<Member>> {
        let concerned = |member: &&Member| {
            application.is_none_or(|application| *member.application == *application)
        };
        let servers = || self.members.iter().filter(|(member, _)| concerned(member));
        if servers().all(|(_, state)| state.extended) {
            return None;
        }
        let extended = servers().filter(|(_, state)| state.extended);
        Some(extended.map(|(member, _)| member.clone()).collect())
    }

    /// Whether a server of ours answers there.
    pub(crate) fn is_extended(&self, application: &str, node: &str) -> Option<bool> {
        let member = Member {
            application: application.into(),
            node: node.into(),
        };
        self.members.get(&member).map(|state| state.extended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(node: &str) -> Member {
        Member {
            application: "demo".into(),
            node: node.into(),
        }
    }

    fn nodes(members: &Members, now: Instant) -> Vec<String> {
        members
            .expected(Some("demo"), None, now)
            .iter()
            .map(|member| member.node.to_string())
            .collect()
    }

    #[test]
    fn a_suspect_is_not_waited_for_until_it_is_heard_of() {
        let now = Instant::now();
        let mut members = Members::default();
        assert_eq!(members.announced(member("a"), None, false, now), News::New);
        assert_eq!(members.announced(member("b"), None, false, now), News::New);
        assert_eq!(
            members.announced(member("b"), None, false, now),
            News::Known
        );
        members.suspect(&member("a"));
        assert_eq!(nodes(&members, now), ["b"]);
        assert_eq!(members.announced(member("a"), None, false, now), News::New);
        assert_eq!(nodes(&members, now), ["a", "b"]);
    }

    #[test]
    fn who_keeps_silent_is_forgotten() {
        let now = Instant::now();
        let mut members = Members::default();
        members.announced(member("a"), None, false, now);
        assert_eq!(nodes(&members, now + MEMBER_LIFE), Vec::<String>::new());
    }

    #[test]
    fn a_goodbye_removes_the_one_who_says_it() {
        let now = Instant::now();
        let mut members = Members::default();
        members.announced(member("a"), Some("boot-2"), true, now);
        members.left(&member("a"), Some("boot-1"));
        assert_eq!(nodes(&members, now), ["a"]);
        members.left(&member("a"), Some("boot-2"));
        assert_eq!(nodes(&members, now), Vec::<String>::new());
        for news in [News::Back, News::Known] {
            assert_eq!(
                members.announced(member("a"), Some("boot-3"), true, now),
                news
            );
        }
    }

    #[test]
    fn two_servers_under_one_name_are_noticed() {
        let now = Instant::now();
        let mut members = Members::default();
        members.announced(member("a"), Some("one"), true, now);
        assert_eq!(
            members.announced(member("a"), Some("other"), true, now),
            News::Twin
        );
        members.suspect(&member("a"));
        assert_eq!(
            members.announced(member("a"), Some("third"), true, now),
            News::Back
        );
    }

    #[test]
    fn what_a_go_server_does_not_understand_is_kept_from_it() {
        let now = Instant::now();
        let mut members = Members::default();
        members.announced(member("ours"), Some("boot"), true, now);
        assert_eq!(members.extended_only(Some("demo")), None);
        members.announced(member("go"), None, false, now);
        assert_eq!(
            members.extended_only(Some("demo")),
            Some(vec![member("ours")])
        );
        assert_eq!(members.extended_only(Some("other")), None);

        let mut candidates = members.expected(Some("demo"), None, now);
        members.prefer_extended(&mut candidates);
        assert_eq!(candidates, [member("ours")]);
        members.left(&member("ours"), None);
        let mut candidates = members.expected(Some("demo"), None, now);
        members.prefer_extended(&mut candidates);
        assert_eq!(candidates, [member("go")]);
        assert_eq!(members.extended_only(None), Some(Vec::new()));
    }

    #[test]
    fn applications_and_nodes_are_told_apart() {
        let now = Instant::now();
        let mut members = Members::default();
        members.announced(member("a"), None, false, now);
        members.announced(
            Member {
                application: "other".into(),
                node: "a".into(),
            },
            None,
            true,
            now,
        );
        assert_eq!(members.expected(None, None, now).len(), 2);
        assert_eq!(members.expected(Some("other"), Some("a"), now).len(), 1);
        assert_eq!(members.expected(Some("other"), Some("b"), now).len(), 0);
        assert_eq!(members.is_extended("demo", "a"), Some(false));
        assert_eq!(members.is_extended("demo", "z"), None);
    }
}
