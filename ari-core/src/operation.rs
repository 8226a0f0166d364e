//! What is known of an ARI operation: its path, its parameters, what it creates.

use std::{borrow::Cow, fmt};

use crate::{entity::EntityKind, request::Request, version::Version};

/// An HTTP method that ARI uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`: ask.
    Get,
    /// `POST`: create, or do.
    Post,
    /// `PUT`: set.
    Put,
    /// `DELETE`: remove, or stop.
    Delete,
}

impl Method {
    /// The method as HTTP spells it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a parameter goes in an HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location {
    /// A segment of the path.
    Path,
    /// The query.
    Query,
    /// A member of the JSON body.
    Body,
    /// The JSON body itself.
    WholeBody,
}

/// The type of a parameter's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Texts; in a query they are joined by commas.
    List,
    /// Any JSON value.
    Json,
}

/// One parameter of an operation.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ParameterSpec {
    /// Name, as ARI spells it.
    pub name: &'static str,
    /// Where it goes in an HTTP request.
    pub location: Location,
    /// Type of its value.
    pub value: ParameterType,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Whether Asterisk crashes on a request without it, which is therefore not sent.
    pub vital: bool,
    /// First release of each branch of Asterisk that has it; empty: as old as its operation.
    pub since: &'static [Version],
}

/// What an operation answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// One object of this model.
    One(&'static str),
    /// An array of objects of this model.
    Many(&'static str),
    /// A file.
    Binary,
    /// A WebSocket.
    Events,
}

/// What an operation creates.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Creates {
    /// Kind of the new entity.
    pub kind: EntityKind,
    /// Parameter that holds the id of the new entity.
    pub id: &'static str,
}

/// An ARI operation.
///
/// The generated [`registry`](crate::registry) has one of these for each of them; every transport
/// works from it.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OperationSpec {
    /// Resource, as in `channels`.
    pub resource: &'static str,
    /// Name within the resource, as in `originate`.
    pub name: &'static str,
    /// HTTP method.
    pub method: Method,
    /// Path template, as in `/channels/{channelId}`.
    pub path: &'static str,
    /// Parameters.
    pub parameters: &'static [ParameterSpec],
    /// Answer.
    pub answer: Answer,
    /// What it creates, with an id that the client can choose.
    pub creates: Option<Creates>,
    /// Entities that it concerns: kind, and the parameter that names each.
    pub concerns: &'static [(EntityKind, &'static str)],
    /// Entities that it binds to the dialog of its request: kind, and the parameter that names each.
    pub binds: &'static [(EntityKind, &'static str)],
    /// First release of each branch of Asterisk that has it, sorted.
    pub since: &'static [Version],
}

impl OperationSpec {
    /// The parameter of this name.
    pub fn parameter(&self, name: &str) -> Option<&'static ParameterSpec> {
        self.parameters
            .iter()
            .find(|parameter| parameter.name == name)
    }

    /// The name of a parameter, without a copy where it is known.
    pub(crate) fn name_of(&self, name: &str) -> Cow<'static, str> {
        self.parameter(name).map_or_else(
            || Cow::Owned(name.to_owned()),
            |parameter| Cow::Borrowed(parameter.name),
        )
    }

    /// Whether sending it twice does no more than sending it once.
    pub const fn is_read_only(&self) -> bool {
        matches!(self.method, Method::Get)
    }
}

impl fmt::Display for OperationSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// An operation with its parameters, ready to be awaited.
///
/// Implemented by the builders in [`operations`](crate::operations).
pub trait Operation: Send + Sized + 'static {
    /// What a successful answer gives.
    type Output;

    /// The operation.
    const SPEC: &'static OperationSpec;

    /// The request as it stands.
    fn request(&self) -> &Request;

    /// Sets a parameter by its name in ARI, also one that this version of the crate does not know.
    #[must_use]
    fn parameter(self, name: &'static str, value: impl Into<serde_json::Value>) -> Self;

    /// Limits how long the answer is waited for, instead of the transport's default.
    #[must_use]
    fn timeout_after(self, timeout: std::time::Duration) -> Self;
}
