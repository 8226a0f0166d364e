//! What the generated builders share.

use std::{fmt, time::Duration};

use serde_json::{Map, Value};

use crate::{
    call::Call,
    entity::Entity,
    handle::Handle,
    operation::{Location, ParameterSpec, ParameterType},
    scope::Through,
    version::Version,
};

/// Makes a builder awaitable, and what it creates observable before it is sent.
macro_rules! operation {
    ($builder:ident, $spec:ident, $output:ty, staged) => {
        operation!($builder, $spec, $output);

        impl $builder {
            /// Makes ready, without sending it: gives the handle and the events of what will be created.
            ///
            /// # Errors
            /// The id was taken out, or the events cannot be subscribed to.
            ///
            /// # Cancel safety
            /// Nothing is sent; dropping the future takes the subscription back.
            pub async fn staged(self) -> $crate::error::Result<$crate::handle::Staged<$output>> {
                $crate::handle::stage(self.call).await
            }
        }
    };
    ($builder:ident, $spec:ident, $output:ty) => {
        impl $crate::operation::Operation for $builder {
            type Output = $output;

            const SPEC: &'static $crate::operation::OperationSpec = &$spec;

            fn request(&self) -> &$crate::request::Request {
                &self.call.request
            }

            fn parameter(
                mut self,
                name: &'static str,
                value: impl Into<serde_json::Value>,
            ) -> Self {
                self.call.set(name, value);
                self
            }

            fn timeout_after(mut self, timeout: std::time::Duration) -> Self {
                $crate::call::limit(&mut self.call, timeout);
                self
            }
        }

        impl IntoFuture for $builder {
            type Output = $crate::error::Result<$output>;
            type IntoFuture = futures::future::BoxFuture<'static, Self::Output>;

            fn into_future(self) -> Self::IntoFuture {
                self.call.send()
            }
        }
    };
}
pub(super) use operation;

impl ParameterSpec {
    const fn new(name: &'static str, location: Location, value: ParameterType) -> Self {
        Self {
            name,
            location,
            value,
            required: false,
            vital: false,
            since: &[],
        }
    }

    pub(super) const fn path(name: &'static str) -> Self {
        Self::new(name, Location::Path, ParameterType::Text).required()
    }

    pub(super) const fn query(name: &'static str, value: ParameterType) -> Self {
        Self::new(name, Location::Query, value)
    }

    pub(super) const fn body(name: &'static str, value: ParameterType) -> Self {
        Self::new(name, Location::Body, value)
    }

    pub(super) const fn whole_body(name: &'static str, value: ParameterType) -> Self {
        Self::new(name, Location::WholeBody, value)
    }

    pub(super) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    pub(super) const fn vital(mut self) -> Self {
        self.vital = true;
        self
    }

    pub(super) const fn since(mut self, since: &'static [Version]) -> Self {
        self.since = since;
        self
    }
}

/// Makes the handle of something by its id.
pub(super) fn handle<H: Handle>(through: &Through, id: String) -> H {
    H::assemble(
        through,
        Entity::new(H::KIND, id, through.target().clone()),
        None,
        None,
    )
}

/// The id of an endpoint, as its handle has it.
pub(super) fn endpoint_id(technology: impl AsRef<str>, resource: impl AsRef<str>) -> String {
    format!("{}/{}", technology.as_ref(), resource.as_ref())
}

/// The technology in the id of an endpoint.
pub(super) fn technology(id: &str) -> &str {
    id.split_once('/').map_or(id, |(technology, _)| technology)
}

/// The resource in the id of an endpoint.
pub(super) fn resource(id: &str) -> &str {
    id.split_once('/').map_or("", |(_, resource)| resource)
}

/// Whole seconds, rounded up, and no more than Asterisk's integers hold.
pub(super) fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration
        .as_secs()
        .saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Whole milliseconds, rounded up, and no more than Asterisk's integers hold.
pub(super) fn milliseconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// A list of the values of an enumeration.
pub(super) fn texts(values: impl IntoIterator<Item = impl fmt::Display>) -> Value {
    values.into_iter().map(|value| value.to_string()).collect()
}

/// An object of these members.
pub(super) fn members(
    members: impl IntoIterator<Item = (impl Into<String>, impl Into<Value>)>,
) -> Value {
    Value::Object(
        members
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect::<Map<_, _>>(),
    )
}

/// A list of attributes, as dynamic configuration wants them.
pub(super) fn attributes(
    fields: impl IntoIterator<Item = (impl Into<String>, impl Into<Value>)>,
) -> Value {
    fields
        .into_iter()
        .map(|(name, value)| attribute(name.into(), value.into()))
        .collect()
}

/// Adds one attribute to those that are set.
pub(super) fn push_attribute(call: &mut Call, name: String, value: Value) {
    let mut fields = match call.request.parameters.remove("fields") {
        Some(Value::Array(fields)) => fields,
        _ => Vec::new(),
    };
    fields.push(attribute(name, value));
    call.set("fields", fields);
}

fn attribute(name: String, value: Value) -> Value {
    let members = [
        ("attribute".to_owned(), Value::String(name)),
        ("value".to_owned(), value),
    ];
    Value::Object(Map::from_iter(members))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_and_never_overflow() {
        assert_eq!(whole_seconds(Duration::ZERO), 0);
        assert_eq!(whole_seconds(Duration::from_millis(1_001)), 2);
        assert_eq!(whole_seconds(Duration::MAX), i32::MAX);
        assert_eq!(milliseconds(Duration::from_micros(1)), 1);
        assert_eq!(milliseconds(Duration::from_secs(2)), 2_000);
        assert_eq!(milliseconds(Duration::MAX), i32::MAX);
    }

    #[test]
    fn the_id_of_an_endpoint_comes_apart_at_its_first_slash() {
        let id = endpoint_id("PJSIP", "a/b");
        assert_eq!((technology(&id), resource(&id)), ("PJSIP", "a/b"));
        assert_eq!((technology("odd"), resource("odd")), ("odd", ""));
    }
}
