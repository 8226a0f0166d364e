//! What all typed events have in common.

use std::{fmt::Debug, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use super::EventBody;
use crate::error::{Error, Result};

/// An event with its own fields.
///
/// Implemented by every type of this module, and by nothing else.
pub trait TypedEvent:
    sealed::Sealed + Clone + Debug + DeserializeOwned + Serialize + Send + Sync + 'static
{
    /// Type of the event, as in `StasisStart`.
    const KIND: &'static str;

    /// This event, if the body is of its type.
    fn from_body(body: &EventBody) -> Option<Arc<Self>>;
}

pub(super) mod sealed {
    #[expect(
        unnameable_types,
        reason = "what seals a trait cannot be named from outside"
    )]
    pub trait Sealed {}
}

/// Decodes the fields of an event.
pub(super) fn decode<T: TypedEvent>(json: &str) -> Result<Arc<T>> {
    serde_json::from_str(json)
        .map(Arc::new)
        .map_err(|error| Error::decode::<T>(T::KIND, json.as_bytes(), error.into()))
}

macro_rules! typed_event {
    ($name:ident) => {
        impl typed::sealed::Sealed for $name {}

        impl TypedEvent for $name {
            const KIND: &'static str = stringify!($name);

            fn from_body(body: &EventBody) -> Option<Arc<Self>> {
                match body {
                    EventBody::$name(event) => Some(Arc::clone(event)),
                    _ => None,
                }
            }
        }

        impl From<$name> for EventBody {
            fn from(event: $name) -> Self {
                Self::$name(Arc::new(event))
            }
        }
    };
}
pub(super) use typed_event;
