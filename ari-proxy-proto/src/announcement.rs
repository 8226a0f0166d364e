//! How servers say that they are there.

use ari_core::subject::{NameRole, validate};
use serde_json::Value;

use crate::json::{Object, member, text_member};

/// What a client sends to ask who is there; servers ignore what a ping says.
pub const PING: &str = r#"{"kind":"","key":null}"#;

/// What a server says of itself: when it starts, when it is asked, periodically, and when it leaves.
///
/// A Go server says node and application, a Go client reads these two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Announcement {
    /// Entity id of the Asterisk.
    pub node: String,
    /// Stasis application.
    pub application: String,
    /// Changes each time the server starts: two at once for one node are two servers.
    pub instance: Option<String>,
    /// Whether the server goes away.
    pub leaving: bool,
    /// What the server can beyond the Go server: names of kinds and of modes.
    pub extensions: Vec<String>,
}

/// A message that announces nobody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an announcement: {0}")]
pub struct InvalidAnnouncement(String);

impl Announcement {
    /// Announces what a Go server could announce too.
    pub fn new(node: impl Into<String>, application: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            application: application.into(),
            ..Self::default()
        }
    }

    /// The same with what tells this run of the server from others.
    #[must_use]
    pub fn with_instance(self, instance: impl Into<String>) -> Self {
        Self {
            instance: Some(instance.into()),
            ..self
        }
    }

    /// The same with what the server can beyond the Go server.
    #[must_use]
    pub fn with_extensions(self, extensions: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            extensions: extensions.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// The same as a goodbye.
    #[must_use]
    pub fn leaving(self) -> Self {
        Self {
            leaving: true,
            ..self
        }
    }

    /// Whether the server has an extension.
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|known| known == extension)
    }

    /// The message.
    pub fn encode(&self) -> String {
        let mut object = Object::new();
        object.text("node", &self.node);
        object.text("application", &self.application);
        object.some_text("instance", self.instance.as_deref().unwrap_or_default());
        if self.leaving {
            object.value("leaving", &Value::Bool(true));
        }
        if !self.extensions.is_empty() {
            object.value("extensions", &self.extensions.as_slice().into());
        }
        object.finish()
    }

    /// Reads a message; the node may be called `asterisk`, as the Go project's documentation has it.
    ///
    /// # Errors
    /// It is no JSON object, or names no node and application that can be part of a subject.
    pub fn decode(message: &[u8]) -> Result<Self, InvalidAnnouncement> {
        let Ok(Value::Object(object)) = serde_json::from_slice(message) else {
            return Err(InvalidAnnouncement("it is no JSON object".to_owned()));
        };
        let text = |name| text_member(&object, name).map_err(InvalidAnnouncement);
        let node = match text("node")? {
            "" => text("asterisk")?,
            node => node,
        };
        let application = text("application")?;
        validate(NameRole::Node, node).map_err(|error| InvalidAnnouncement(error.to_string()))?;
        validate(NameRole::Application, application)
            .map_err(|error| InvalidAnnouncement(error.to_string()))?;
        let extensions = match member(&object, "extensions") {
            Some(Value::Array(items)) => items
                .iter()
                .filter_map(|item| item.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            node: node.to_owned(),
            application: application.to_owned(),
            instance: member(&object, "instance")
                .and_then(Value::as_str)
                .map(str::to_owned),
            leaving: member(&object, "leaving") == Some(&Value::Bool(true)),
            extensions,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_form_is_that_of_go() {
        let announcement = Announcement::new("00:11", "demo");
        assert_eq!(
            announcement.encode(),
            r#"{"node":"00:11","application":"demo"}"#
        );
        assert_eq!(
            Announcement::decode(announcement.encode().as_bytes()),
            Ok(announcement)
        );
    }

    #[test]
    fn our_own_fields_come_back() {
        let announcement = Announcement::new("00:11", "demo")
            .with_instance("b1")
            .with_extensions(["AriRequest"])
            .leaving();
        let decoded = Announcement::decode(announcement.encode().as_bytes()).unwrap();
        assert!(decoded.leaving && decoded.has("AriRequest") && !decoded.has("x"));
        assert_eq!(decoded, announcement);
    }

    #[test]
    fn what_others_send_is_read() {
        let decoded = Announcement::decode(
            br#"{"asterisk":"n","application":"a","extensions":[1,"x"],"more":{}}"#,
        );
        assert_eq!(decoded.unwrap().node, "n");
        for bad in [
            "",
            "1",
            "{}",
            r#"{"node":"n"}"#,
            r#"{"node":">","application":"a"}"#,
            r#"{"node":1,"application":"a"}"#,
        ] {
            assert!(Announcement::decode(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
