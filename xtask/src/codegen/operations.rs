//! Generates `operations.rs` and `operations/*.rs`.

mod builder;
mod driver;
mod resource;
mod statics;

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    models,
    spec::{Form, Operation, Parameter, Spec},
    text,
};

/// Files of the operations: path and source.
pub(super) fn generate(spec: &Spec) -> Result<Vec<(String, String)>> {
    let mut files = vec![(
        "operations/values.rs".to_owned(),
        models::enumerations(spec, "operations"),
    )];
    let mut modules = String::new();
    let mut reexports = String::new();
    for resource in spec.resources() {
        let module = text::snake(resource);
        let _ = writeln!(modules, "pub mod {module};");
        let _ = writeln!(reexports, "{module}::{},", resource::name(spec, resource)?);
        files.push((format!("operations/{module}.rs"), file(spec, resource)?));
    }
    files.push(driver::file(spec)?);
    files.push((
        "operations.rs".to_owned(),
        format!("{HEAD}\n{modules}mod filter;\nmod list;\nmod support;\n#[cfg(test)]\nmod tests;\nmod values;\n\npub use self::{{{reexports} list::TextList, values::*}};\n"),
    ));
    Ok(files)
}

const HEAD: &str = "//! The operations of ARI, as builders that are awaited.
//!
//! A builder comes from a resource, as `ari.channels().originate(\"PJSIP/alice\")`, or from a handle, as
//! `channel.hangup()`. What the operation cannot do without is an argument there; everything else is set
//! by the builder's methods. Nothing is sent before it is awaited.
//!
//! # Errors
//! Awaiting a builder gives every [`Error`](crate::Error) that a request can end in. A refusal is
//! [`Error::Refused`](crate::Error::Refused); the docs of each builder name the statuses it is known to
//! have. What came with a later Asterisk than the one that is asked is
//! [`Error::Unsupported`](crate::Error::Unsupported), and is not sent, where the version is known: over
//! one connection it is, through a cluster it is left to the proxy.
//!
//! # Cancel safety
//! Dropping the future gives up the wait for the answer; the operation may still run. What creates
//! something has an id made by the client, so that it can be found, or removed, afterwards.
";

fn file(spec: &Spec, resource: &str) -> Result<String> {
    let operations: Vec<&Operation> = spec
        .operations
        .iter()
        .filter(|operation| operation.resource == resource)
        .collect();
    let mut source = resource::accessor(spec, resource, &operations)?;
    source.push_str(&resource::handles(spec, &operations)?);
    for operation in operations {
        if !is_event_socket(operation) {
            source.push_str(&builder::declare(spec, operation)?);
        }
        source.push_str(&statics::declare(spec, operation)?);
    }
    let handles = spec
        .overlay
        .handles
        .values()
        .map(|known| format!("crate::handle::{}", known.handle));
    let enums = spec
        .overlay
        .enums
        .iter()
        .map(|(name, known)| match known.home.as_str() {
            "models" => format!("crate::models::{name}"),
            _ => format!("super::values::{name}"),
        });
    let others = [
        "std::time::Duration",
        "bytes::Bytes",
        "serde_json::Value",
        "super::list::TextList",
        "super::support",
        "super::support::operation",
        "crate::call::Call",
        "crate::client::Gathered",
        "crate::entity::EntityKind",
        "crate::id::fresh_id",
        "crate::models",
        "crate::operation",
        "crate::operation::Creates",
        "crate::operation::Method",
        "crate::operation::OperationSpec",
        "crate::operation::ParameterSpec",
        "crate::operation::ParameterType",
        "crate::scope::Through",
        "crate::version::Version",
    ];
    let paths: Vec<String> = handles
        .chain(enums)
        .chain(others.map(str::to_owned))
        .collect();
    let uses = text::imports(
        &source,
        &paths.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    Ok(format!(
        "//! Operations on {}.\n\n{uses}\n{source}",
        text::snake(resource).replace('_', " ")
    ))
}

/// The static that holds what is known of an operation, as seen from the crate's root.
pub(super) fn static_path(spec: &Spec, operation: &Operation) -> String {
    let name = spec
        .operation_overlay(operation)
        .map(|overlay| overlay.name(operation))
        .unwrap_or_default();
    format!(
        "operations::{}::{}",
        text::snake(&operation.resource),
        name.to_uppercase()
    )
}

/// The WebSocket of the events is a connection and no request: it has no builder.
fn is_event_socket(operation: &Operation) -> bool {
    operation.response_type == "Message"
}

/// What the constructor of an operation's builder takes: path, then what is required, then what the
/// overlay adds; without the id that the builder makes itself.
fn arguments<'a>(spec: &Spec, operation: &'a Operation) -> Result<Vec<&'a Parameter>> {
    let overlay = spec.operation_overlay(operation)?;
    let made = overlay
        .creates
        .as_ref()
        .filter(|_| overlay.fresh)
        .map(|(_, id)| id);
    let in_path = operation
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut arguments: Vec<&Parameter> = in_path
        .filter_map(|name| {
            operation
                .params
                .iter()
                .find(|parameter| parameter.name == name)
        })
        .collect();
    let rest = operation
        .params
        .iter()
        .filter(|parameter| parameter.location != "path");
    arguments.extend(
        rest.clone()
            .filter(|parameter| parameter.required && made != Some(&parameter.name)),
    );
    arguments.extend(rest.filter(|parameter| overlay.arguments.contains(&parameter.name)));
    Ok(arguments)
}

/// The handle that has a method for this operation: that of the entity in its path, or else of the one that its
/// first argument names.
fn owner<'a>(spec: &'a Spec, operation: &Operation) -> Result<Option<&'a str>> {
    let overlay = spec.operation_overlay(operation)?;
    let concerns = |name: &str| overlay.concerns.iter().any(|(_, known)| known == name);
    let first = arguments(spec, operation)?.into_iter().next();
    // Arguments of the path come first.
    let Some(first) = first.filter(|first| first.location == "path" || concerns(&first.name))
    else {
        return Ok(None);
    };
    let kind = match first.name.as_str() {
        "recordingName" => overlay.concerns.first().map(|(kind, _)| kind.as_str()),
        "tech" if operation.path.contains("{resource}") => Some("Endpoint"),
        name => spec.overlay.entities.get(name).map(String::as_str),
    };
    let handle = kind.and_then(|kind| {
        spec.overlay
            .handles
            .values()
            .find(|known| known.kind == kind)
    });
    Ok(handle.map(|known| known.handle.as_str()))
}

/// How a value comes into a builder: type of the argument, and the expression that is sent.
struct Value {
    kind: String,
    expression: String,
}

fn value(spec: &Spec, parameter: &Parameter, name: &str) -> Value {
    let form = spec.overlay.parameter_forms.get(&parameter.name);
    let known = spec.overlay.parameter_enums.get(&parameter.name);
    let (kind, expression) = match (form, known) {
        (Some(Form::Seconds), _) => (
            "Duration".to_owned(),
            format!("support::whole_seconds({name})"),
        ),
        (Some(Form::Milliseconds), _) => (
            "Duration".to_owned(),
            format!("support::milliseconds({name})"),
        ),
        (Some(Form::Commas), _) => (
            "impl Into<TextList>".to_owned(),
            format!("{name}.into().joined()"),
        ),
        (None, Some(known)) if parameter.multiple => (
            format!("impl IntoIterator<Item = impl Into<{known}>>"),
            format!("support::texts({name}.into_iter().map(Into::<{known}>::into))"),
        ),
        (None, Some(known)) => (format!("impl Into<{known}>"), format!("{name}.into()")),
        (None, None) if parameter.multiple => {
            ("impl Into<TextList>".to_owned(), format!("{name}.into()"))
        }
        (None, None) => match parameter.kind.as_str() {
            "boolean" => ("bool".to_owned(), name.to_owned()),
            "int" | "long" => ("i64".to_owned(), name.to_owned()),
            "containers" => (
                "impl IntoIterator<Item = (impl Into<String>, impl Into<Value>)>".to_owned(),
                if parameter.name == "fields" {
                    format!("support::attributes({name})")
                } else {
                    format!("support::members({name})")
                },
            ),
            "object" => ("impl Into<Value>".to_owned(), format!("{name}.into()")),
            _ => ("impl Into<String>".to_owned(), format!("{name}.into()")),
        },
    };
    Value { kind, expression }
}

/// Name of a parameter in Rust.
fn rust_name(spec: &Spec, parameter: &str) -> String {
    spec.overlay
        .parameter_names
        .get(parameter)
        .cloned()
        .unwrap_or_else(|| text::snake(parameter))
}

/// The type that awaiting the builder of an operation gives.
fn output(spec: &Spec, operation: &Operation) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let (item, is_list) = text::list_item(&operation.response_type);
    let handle = spec
        .overlay
        .handles
        .get(item)
        .map(|known| known.handle.as_str());
    Ok(match (item, handle, is_list) {
        ("void", ..) => "()".to_owned(),
        ("binary", ..) => "Bytes".to_owned(),
        (_, Some(handle), false) if overlay.creates.is_some() => handle.to_owned(),
        (_, Some(handle), true) => format!("Gathered<{handle}>"),
        (_, None, true) => format!("Vec<models::{item}>"),
        (..) => format!("models::{item}"),
    })
}
