//! Parameters that are lists.

use serde_json::Value;

use crate::id::Id;

/// Texts of a parameter that may have several.
///
/// One text becomes a list by itself, so that `channel.play("sound:hello-world")` and
/// `channel.play(["sound:hello", "sound:world"])` both read well.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextList(Vec<String>);

impl TextList {
    /// The texts joined by commas.
    pub(crate) fn joined(self) -> String {
        self.0.join(",")
    }
}

impl From<&str> for TextList {
    fn from(text: &str) -> Self {
        Self(vec![text.to_owned()])
    }
}

impl From<String> for TextList {
    fn from(text: String) -> Self {
        Self(vec![text])
    }
}

impl From<&String> for TextList {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl<K> From<Id<K>> for TextList {
    fn from(id: Id<K>) -> Self {
        Self::from(id.as_str())
    }
}

impl<K> From<&Id<K>> for TextList {
    fn from(id: &Id<K>) -> Self {
        Self::from(id.as_str())
    }
}

impl<T: AsRef<str>, const N: usize> From<[T; N]> for TextList {
    fn from(texts: [T; N]) -> Self {
        texts.into_iter().collect()
    }
}

impl<T: AsRef<str>> From<&[T]> for TextList {
    fn from(texts: &[T]) -> Self {
        texts.iter().collect()
    }
}

impl<T: AsRef<str>> From<Vec<T>> for TextList {
    fn from(texts: Vec<T>) -> Self {
        texts.into_iter().collect()
    }
}

impl<T: AsRef<str>> FromIterator<T> for TextList {
    fn from_iter<I: IntoIterator<Item = T>>(texts: I) -> Self {
        Self(
            texts
                .into_iter()
                .map(|text| text.as_ref().to_owned())
                .collect(),
        )
    }
}

impl From<TextList> for Value {
    fn from(list: TextList) -> Self {
        Self::from(list.0)
    }
}

impl IntoIterator for TextList {
    type Item = String;
    type IntoIter = std::vec::IntoIter<String>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}
