//! Keys: how the protocol names an entity.

use std::sync::Arc;

use ari_core::{Entity, EntityKind, Metadata};
use serde_json::Value;

use crate::json::{Object, text_member};

/// The address of an entity on the wire; every part may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Kind of the entity, as in `channel`.
    pub kind: String,
    /// Id of the entity.
    pub id: String,
    /// Entity id of the Asterisk.
    pub node: String,
    /// Dialog.
    pub dialog: String,
    /// Stasis application.
    pub app: String,
}

impl Key {
    /// Makes the key that names no entity, only a place.
    pub fn at(place: &Metadata) -> Self {
        let part = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        Self {
            kind: String::new(),
            id: String::new(),
            node: part(&place.asterisk_id),
            dialog: part(&place.dialog),
            app: part(&place.application),
        }
    }

    /// Makes the key of an entity.
    pub fn new(kind: EntityKind, id: impl Into<String>, place: &Metadata) -> Self {
        Self {
            kind: kind.as_str().to_owned(),
            id: id.into(),
            ..Self::at(place)
        }
    }

    /// Application, Asterisk and dialog.
    pub fn metadata(&self) -> Metadata {
        let part = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Arc::from);
        Metadata {
            application: part(&self.app),
            asterisk_id: part(&self.node),
            dialog: part(&self.dialog),
        }
    }

    /// The entity that it names; `None` if its kind is unknown or its id is empty.
    pub fn entity(&self) -> Option<Entity> {
        let kind = EntityKind::from_name(&self.kind).filter(|_| !self.id.is_empty())?;
        Some(Entity::new(kind, self.id.as_str(), self.metadata()))
    }

    /// Whether both may name the same: what is empty in one of them matches everything.
    pub fn matches(&self, other: &Self) -> bool {
        [
            (&self.app, &other.app),
            (&self.dialog, &other.dialog),
            (&self.node, &other.node),
            (&self.kind, &other.kind),
            (&self.id, &other.id),
        ]
        .into_iter()
        .all(|(a, b)| a.is_empty() || b.is_empty() || a == b)
    }

    /// The same at another place, as servers return it.
    pub(crate) fn moved_to(&self, place: &Metadata) -> Self {
        let Self { node, app, .. } = Self::at(place);
        Self {
            node,
            app,
            ..self.clone()
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let mut object = Object::new();
        object.some_text("kind", &self.kind);
        object.some_text("id", &self.id);
        object.some_text("node", &self.node);
        object.some_text("dialog", &self.dialog);
        object.some_text("app", &self.app);
        object.finish()
    }

    /// Reads a key; absent and `null` are the empty one.
    pub(crate) fn from_value(value: Option<&Value>) -> Result<Self, String> {
        let object = match value {
            None | Some(Value::Null) => return Ok(Self::default()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err("it is not an object".to_owned()),
        };
        let text = |name| text_member(object, name).map(str::to_owned);
        Ok(Self {
            kind: text("kind")?,
            id: text("id")?,
            node: text("node")?,
            dialog: text("dialog")?,
            app: text("app")?,
        })
    }
}

impl From<&Entity> for Key {
    fn from(entity: &Entity) -> Self {
        Self::new(entity.kind, &*entity.id, &entity.metadata)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(json: &str) -> Key {
        Key::from_value(Some(&serde_json::from_str(json).unwrap())).unwrap()
    }

    #[test]
    fn what_is_empty_is_left_out() {
        assert_eq!(Key::default().to_json(), "{}");
        let json =
            r#"{"kind":"channel","id":"ch-77","node":"00:11","dialog":"dlg-1","app":"demo"}"#;
        assert_eq!(key(json).to_json(), json);
        assert_eq!(
            key(r#"{"KIND":"channel","id":null,"Node":"n","x":1}"#).to_json(),
            r#"{"kind":"channel","node":"n"}"#
        );
    }

    #[test]
    fn an_entity_comes_back() {
        let json = r#"{"kind":"liverecording","id":"r","node":"n","dialog":"d","app":"a"}"#;
        assert_eq!(Key::from(&key(json).entity().unwrap()).to_json(), json);
        assert!(key(r#"{"kind":"channel"}"#).entity().is_none());
        assert!(key(r#"{"kind":"new","id":"1"}"#).entity().is_none());
    }

    #[test]
    fn emptiness_matches_both_ways() {
        let whole = key(r#"{"kind":"channel","id":"1","node":"n","app":"a"}"#);
        assert!(whole.matches(&Key::default()) && Key::default().matches(&whole));
        assert!(key(r#"{"node":"n"}"#).matches(&whole));
        assert!(!key(r#"{"node":"m"}"#).matches(&whole));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for json in ["1", "[]", r#""x""#, r#"{"id":1}"#] {
            assert!(
                Key::from_value(Some(&serde_json::from_str(json).unwrap())).is_err(),
                "{json}"
            );
        }
        assert_eq!(Key::from_value(Some(&Value::Null)), Ok(Key::default()));
    }
}
