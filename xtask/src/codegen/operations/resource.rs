//! The methods by which builders are had: on a resource, and on handles.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};

use super::{arguments, is_event_socket, owner, rust_name, value};
use crate::codegen::{
    spec::{Operation, Parameter, Spec},
    text,
};

/// Name of the type of a resource.
pub(super) fn name(spec: &Spec, resource: &str) -> Result<String> {
    let overlay = spec.overlay.resources.get(resource);
    let overlay =
        overlay.with_context(|| format!("overlay.toml: the resource {resource} is missing"))?;
    Ok(overlay
        .name
        .clone()
        .unwrap_or_else(|| text::pascal(&text::snake(resource))))
}

/// The resource with a method for each of its operations.
pub(super) fn accessor(spec: &Spec, resource: &str, operations: &[&Operation]) -> Result<String> {
    let name = name(spec, resource)?;
    let overlay = &spec.overlay.resources[resource];
    let accessor = overlay
        .accessor
        .clone()
        .unwrap_or_else(|| text::snake(resource));
    let mut source = format!(
        "/// {}\n///\n/// Made by [`Ari::{accessor}`](crate::Ari::{accessor}).\n#[derive(Clone, Debug)]\n\
         pub struct {name} {{\n    through: Through,\n}}\n\nimpl {name} {{\n\
         pub(crate) const fn new(through: Through) -> Self {{\n    Self {{ through }}\n}}\n\n",
        overlay.doc
    );
    for (method, model) in &overlay.handles {
        let handle = &spec.overlay.handles[model].handle;
        let (parameter, id) = match model.as_str() {
            "Endpoint" => (
                "technology: impl AsRef<str>, resource: impl AsRef<str>",
                "support::endpoint_id(technology, resource)",
            ),
            _ => ("id: impl Into<String>", "id.into()"),
        };
        let _ = write!(
            source,
            "/// Makes the handle of something that exists; nothing is sent.\n\
             pub fn {method}(&self, {parameter}) -> {handle} {{\n    support::handle(&self.through, {id})\n}}\n\n"
        );
    }
    for operation in operations
        .iter()
        .filter(|operation| !is_event_socket(operation))
    {
        let overlay = spec.operation_overlay(operation)?;
        let all = arguments(spec, operation)?;
        source.push_str(&method(
            spec,
            operation,
            &overlay.method(operation),
            &all,
            &[],
        )?);
        if let Some(short) = &overlay.short {
            let created = overlay.creates.as_ref().map(|(_, id)| id.as_str());
            let made: Vec<_> = created.map(|id| (id, "fresh_id()")).into_iter().collect();
            source.push_str(&method(spec, operation, short, &all, &made)?);
        }
    }
    source.push_str("}\n\n");
    Ok(source)
}

/// The methods that handles have for these operations.
pub(super) fn handles(spec: &Spec, operations: &[&Operation]) -> Result<String> {
    let mut methods: BTreeMap<&str, String> = BTreeMap::new();
    for operation in operations {
        let overlay = spec.operation_overlay(operation)?;
        let (Some(handle), Some(name)) = (owner(spec, operation)?, overlay.handle(operation))
        else {
            continue;
        };
        let all = arguments(spec, operation)?;
        let mut given: Vec<(&str, &str)> = match handle {
            "EndpointHandle" => {
                vec![
                    ("tech", "support::technology(self.id())"),
                    ("resource", "support::resource(self.id())"),
                ]
            }
            _ => all
                .first()
                .map(|first| (first.name.as_str(), "self.id()"))
                .into_iter()
                .collect(),
        };
        let created = overlay.creates.as_ref().map(|(_, id)| id.as_str());
        given.extend(
            created
                .filter(|_| overlay.short.is_some())
                .map(|id| (id, "fresh_id()")),
        );
        methods
            .entry(handle)
            .or_default()
            .push_str(&method(spec, operation, &name, &all, &given)?);
    }
    let mut source = String::new();
    for (handle, methods) in methods {
        let _ = writeln!(source, "impl {handle} {{\n{methods}}}\n");
    }
    Ok(source)
}

/// A method that makes a builder; `given` are the arguments that its caller need not give.
fn method(
    spec: &Spec,
    operation: &Operation,
    name: &str,
    arguments: &[&Parameter],
    given: &[(&str, &str)],
) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let builder = text::pascal(&overlay.name(operation));
    let mut source = format!("/// {}\npub fn {name}(&self", overlay.doc);
    let mut passed = String::new();
    for argument in arguments {
        if let Some((_, expression)) = given.iter().find(|(known, _)| *known == argument.name) {
            let _ = write!(passed, ", {expression}");
            continue;
        }
        let name = rust_name(spec, &argument.name);
        let _ = write!(source, ", {name}: {}", value(spec, argument, &name).kind);
        let _ = write!(passed, ", {name}");
    }
    let _ = write!(
        source,
        ") -> {builder} {{\n    {builder}::new(&self.through{passed})\n}}\n\n"
    );
    Ok(source)
}
