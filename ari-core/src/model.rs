//! How the generated models decode and encode.
//!
//! Everything but the identity of an entity decodes from absent, `null` and Go's zero object (an
//! empty id, the year 1) as `None`; fields that this version does not know are kept in `extra`.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Visitor};

use crate::{id::Id, timestamp::Timestamp};

/// A value that can stand for "none", as Go's zero objects do.
pub(crate) trait Absent {
    /// Whether this stands for "none".
    fn is_absent(&self) -> bool {
        false
    }
}

impl Absent for String {}
impl Absent for bool {}
impl Absent for i64 {}
impl Absent for f64 {}
impl Absent for serde_json::Value {}
impl<V> Absent for std::collections::BTreeMap<String, V> {}
impl<T> Absent for Id<T> {
    fn is_absent(&self) -> bool {
        self.as_str().is_empty()
    }
}
impl Absent for Timestamp {
    fn is_absent(&self) -> bool {
        self.is_zero()
    }
}

/// The type of a field of a model.
pub(crate) trait Field<'de>: Default {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error>;

    /// Whether the field is written.
    fn is_written(&self) -> bool {
        true
    }
}

impl<'de, T: Deserialize<'de> + Absent> Field<'de> for Option<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::deserialize(deserializer)?.filter(|value| !value.is_absent()))
    }

    fn is_written(&self) -> bool {
        self.is_some()
    }
}

impl<'de, T: Deserialize<'de>> Field<'de> for Vec<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

impl<'de> Field<'de> for String {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

impl<'de, T> Field<'de> for Id<T> {
    fn decode<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or_default())
    }
}

/// A text that is borrowed from the JSON unless something is escaped in it; serde itself borrows a [`Cow`] only
/// as a field of a struct, and copies it everywhere else.
pub(crate) struct Borrowed<'de>(pub(crate) Cow<'de, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = Borrowed<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Borrowed<'de>, E> {
                Ok(Borrowed(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Borrowed<'de>, E> {
                Ok(Borrowed(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// Decodes the value of a member as the type of its field.
pub(crate) struct FieldSeed<T>(PhantomData<T>);

impl<T> FieldSeed<T> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<'de, T: Field<'de>> DeserializeSeed<'de> for FieldSeed<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::decode(deserializer)
    }
}

/// Whether a field is written; a function so that the macro need not name the lifetime.
pub(crate) fn is_written<T: for<'de> Field<'de>>(field: &T) -> bool {
    field.is_written()
}

/// Declares a model: a struct whose members all may be missing.
///
/// `identity` names the fields without which an object stands for "none"; `tag` is the value of
/// `type` that an event is written with.
macro_rules! model {
    (
        $(#[$attribute:meta])*
        $name:ident {
            $(identity: [$($identity:ident),+],)?
            $(tag: $tag:literal,)?
            $(
                $(#[$field_attribute:meta])*
                $json:literal => $field:ident: $type:ty,
            )*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$field_attribute])*
                pub $field: $type,
            )*
            /// Members that this version of the crate does not know.
            pub extra: serde_json::Map<String, serde_json::Value>,
        }

        impl $crate::model::Absent for $name {
            $(fn is_absent(&self) -> bool {
                $(self.$identity.is_empty())&&+
            })?
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;

                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("an object (", stringify!($name), ")"))
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut members: A) -> Result<$name, A::Error> {
                        let mut model = $name::default();
                        while let Some($crate::model::Borrowed(member)) = members.next_key()? {
                            match &*member {
                                $($json => {
                                    model.$field = members.next_value_seed($crate::model::FieldSeed::new())?;
                                })*
                                $("type" => {
                                    let _: serde::de::IgnoredAny = { let _ = $tag; members.next_value()? };
                                })?
                                _ => {
                                    model.extra.insert(member.into_owned(), members.next_value()?);
                                }
                            }
                        }
                        Ok(model)
                    }
                }

                deserializer.deserialize_map(Visitor)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut members = serializer.serialize_map(None)?;
                $(members.serialize_entry("type", $tag)?;)?
                $(
                    if $crate::model::is_written(&self.$field) {
                        members.serialize_entry($json, &self.$field)?;
                    }
                )*
                for (name, value) in &self.extra {
                    members.serialize_entry(name, value)?;
                }
                members.end()
            }
        }
    };
}
pub(crate) use model;

/// Declares an enumeration whose values come from the wire: unknown ones keep their text.
macro_rules! wire_enum {
    (
        $(#[$attribute:meta])*
        $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $text:literal,)*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_attribute])* $variant,)*
            /// A value that this version of the crate does not know.
            Other(Box<str>),
        }

        impl $name {
            /// The value as ARI spells it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text.into()),
                }
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self::from(text.as_str())
            }
        }

        impl From<$name> for serde_json::Value {
            fn from(value: $name) -> Self {
                Self::from(value.as_str())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::model::Absent for $name {
            fn is_absent(&self) -> bool {
                self.as_str().is_empty()
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let $crate::model::Borrowed(text) = serde::Deserialize::deserialize(deserializer)?;
                Ok(Self::from(&*text))
            }
        }
    };
}
pub(crate) use wire_enum;
