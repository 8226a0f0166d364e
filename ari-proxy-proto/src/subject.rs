//! Subjects: who listens where.

use std::{fmt, sync::Arc};

use ari_core::{
    Metadata,
    subject::{InvalidName, NameRole, validate},
};

/// Prefix of all subjects unless it is set otherwise, its dot included.
pub const DEFAULT_PREFIX: &str = "ari.";

/// Queue group in which all servers take requests of class `create`.
pub const CREATE_QUEUE: &str = "ariproxy";

/// Queue group in which workers take new calls.
pub const CALLS_QUEUE: &str = "ARIProxyStasisStartDistributorQueue";

/// A class of requests, which is the first token of their subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// Keys of what exists.
    Get,
    /// Data of what exists.
    Data,
    /// Something to do.
    Command,
    /// Something to create: one server of those that are asked does it.
    Create,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Get, Self::Data, Self::Command, Self::Create];

    /// The class as subjects spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Data => "data",
            Self::Command => "command",
            Self::Create => "create",
        }
    }

    /// The queue group in which servers subscribe.
    pub const fn queue(self) -> Option<&'static str> {
        match self {
            Self::Create => Some(CREATE_QUEUE),
            _ => None,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Builds the subjects below one prefix.
///
/// Every name is checked before it becomes part of a subject, so that no id forges one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subjects {
    prefix: Arc<str>,
}

impl Default for Subjects {
    fn default() -> Self {
        Self {
            prefix: Arc::from(DEFAULT_PREFIX),
        }
    }
}

/// What an incoming event came for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventSubject<'a> {
    /// Everybody: application, dot, Asterisk. Either may have dots itself; the event says which is which.
    Canonical(&'a str),
    /// A dialog.
    Dialog(&'a str),
}

impl Subjects {
    /// Takes a prefix as it is: usually it ends in a dot.
    ///
    /// # Errors
    /// It cannot be part of a subject.
    pub fn new(prefix: &str) -> Result<Self, InvalidName> {
        let name = prefix.strip_suffix('.').unwrap_or(prefix);
        if !prefix.is_empty() {
            validate(NameRole::Prefix, name)?;
        }
        Ok(Self {
            prefix: Arc::from(prefix),
        })
    }

    /// The prefix.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where clients ask who is there.
    pub fn ping(&self) -> String {
        format!("{}ping", self.prefix)
    }

    /// Where servers say that they are there.
    pub fn announce(&self) -> String {
        format!("{}announce", self.prefix)
    }

    /// Where a request of this class goes for this target.
    ///
    /// Without an application it goes to everybody, whatever the Asterisk.
    ///
    /// # Errors
    /// Application or Asterisk cannot be part of a subject.
    pub fn request(&self, class: Class, target: &Metadata) -> Result<String, InvalidName> {
        let mut subject = format!("{}{class}", self.prefix);
        if let Some(application) = &target.application {
            validate(NameRole::Application, application)?;
            subject.push('.');
            subject.push_str(application);
            if let Some(node) = &target.asterisk_id {
                validate(NameRole::Node, node)?;
                subject.push('.');
                subject.push_str(node);
            }
        }
        Ok(subject)
    }

    /// Where the server of an application on an Asterisk listens for requests, and in which queue group.
    ///
    /// # Errors
    /// Application or Asterisk cannot be part of a subject.
    pub fn served(
        &self,
        application: &str,
        node: &str,
    ) -> Result<Vec<(String, Option<&'static str>)>, InvalidName> {
        let application = Some(Arc::from(application));
        let whole = Metadata {
            application: application.clone(),
            asterisk_id: Some(Arc::from(node)),
            dialog: None,
        };
        let levels = [
            Metadata::default(),
            Metadata {
                application,
                ..Metadata::default()
            },
            whole,
        ];
        let mut served = Vec::with_capacity(12);
        for class in Class::ALL {
            for level in &levels {
                served.push((self.request(class, level)?, class.queue()));
            }
        }
        Ok(served)
    }

    /// Where the events of an application on an Asterisk are.
    ///
    /// # Errors
    /// Application or Asterisk cannot be part of a subject.
    pub fn events(&self, application: &str, node: &str) -> Result<String, InvalidName> {
        validate(NameRole::Application, application)?;
        validate(NameRole::Node, node)?;
        Ok(format!("{}event.{application}.{node}", self.prefix))
    }

    /// Where the events of an application on all Asterisks are.
    ///
    /// # Errors
    /// The application cannot be part of a subject.
    pub fn application_events(&self, application: &str) -> Result<String, InvalidName> {
        validate(NameRole::Application, application)?;
        Ok(format!("{}event.{application}.>", self.prefix))
    }

    /// Where all events are.
    pub fn all_events(&self) -> String {
        format!("{}event.>", self.prefix)
    }

    /// Where the events of a dialog are.
    ///
    /// # Errors
    /// The dialog cannot be part of a subject.
    pub fn dialog_events(&self, dialog: &str) -> Result<String, InvalidName> {
        validate(NameRole::Dialog, dialog)?;
        Ok(format!("{}dialogevent.{dialog}", self.prefix))
    }

    /// Where the events of all dialogs are whose id begins with this and a dot.
    ///
    /// # Errors
    /// The beginning cannot be part of a subject.
    pub fn dialog_events_below(&self, beginning: &str) -> Result<String, InvalidName> {
        Ok(format!("{}.>", self.dialog_events(beginning)?))
    }

    /// What an event came for, by the subject on which it came.
    pub fn event<'a>(&self, subject: &'a str) -> Option<EventSubject<'a>> {
        let (class, rest) = subject.strip_prefix(&*self.prefix)?.split_once('.')?;
        match class {
            "event" if rest.contains('.') => Some(EventSubject::Canonical(rest)),
            "dialogevent" => Some(EventSubject::Dialog(rest)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(application: &str, node: &str) -> Metadata {
        let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Arc::from);
        Metadata {
            application: part(application),
            asterisk_id: part(node),
            dialog: None,
        }
    }

    #[test]
    fn requests_go_where_their_target_is() {
        let subjects = Subjects::default();
        for (application, node, expected) in [
            ("demo", "00:11", "ari.get.demo.00:11"),
            ("demo", "", "ari.get.demo"),
            ("", "00:11", "ari.get"),
            ("", "", "ari.get"),
            ("a.b", "c", "ari.get.a.b.c"),
        ] {
            assert_eq!(
                subjects
                    .request(Class::Get, &target(application, node))
                    .unwrap(),
                expected
            );
        }
        assert_eq!(
            Subjects::new("x")
                .unwrap()
                .request(Class::Create, &target("", ""))
                .unwrap(),
            "xcreate"
        );
    }

    #[test]
    fn a_server_has_twelve_subjects_for_requests() {
        let served = Subjects::default().served("demo", "00:11").unwrap();
        assert_eq!(served.len(), 12);
        assert!(
            served
                .iter()
                .all(|(subject, queue)| subject.starts_with("ari.create") == queue.is_some())
        );
        assert_eq!(
            served[11],
            ("ari.create.demo.00:11".to_owned(), Some("ariproxy"))
        );
    }

    #[test]
    fn no_name_forges_a_subject() {
        let subjects = Subjects::default();
        for name in [
            ">",
            "*",
            "a b",
            "a\r\nPUB ari.command 2\r\n{}",
            "",
            "a..b",
            ".a",
            "a.",
        ] {
            assert!(subjects.events(name, "n").is_err(), "{name:?}");
            assert!(subjects.events("a", name).is_err(), "{name:?}");
            assert!(subjects.dialog_events(name).is_err(), "{name:?}");
            assert!(
                subjects
                    .request(
                        Class::Get,
                        &Metadata {
                            application: Some(name.into()),
                            ..Metadata::default()
                        }
                    )
                    .is_err()
            );
            assert!(
                Subjects::new(name).is_err() == (!name.is_empty() && name != "a."),
                "{name:?}"
            );
        }
        assert!(Subjects::new("a..").is_err());
    }

    #[test]
    fn the_subject_tells_what_an_event_came_for() {
        let subjects = Subjects::default();
        assert_eq!(
            subjects.event("ari.event.demo.00:11"),
            Some(EventSubject::Canonical("demo.00:11"))
        );
        assert_eq!(
            subjects.event("ari.dialogevent.c1.d2"),
            Some(EventSubject::Dialog("c1.d2"))
        );
        for other in [
            "ari.event",
            "ari.event.demo",
            "event.a.b",
            "ari.announce",
            "",
            "ari.",
        ] {
            assert_eq!(subjects.event(other), None, "{other}");
        }
    }
}
