//! Generates `operations/tests/driver.rs`: every operation said with the typed API, for the tests.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::{arguments, is_event_socket, owner, rust_name};
use crate::codegen::{
    spec::{Form, Operation, Parameter, Spec},
    text,
};

const HEAD: &str = "//! Says any request with the typed API.

use super::said::{Given, Said};
use crate::{Ari, models};

/// Says a request with the builder of its operation, and with the method of the handle where there is
/// one; `None` if something is missing that the builder cannot do without, or there is no builder.
#[expect(clippy::too_many_lines, reason = \"one arm for each operation\")]
pub(super) fn say(ari: &Ari, given: &Given) -> Option<Said> {
    Some(match given.operation() {
";

pub(super) fn file(spec: &Spec) -> Result<(String, String)> {
    let mut source = HEAD.to_owned();
    for operation in &spec.operations {
        if !is_event_socket(operation) {
            source.push_str(&arm(spec, operation)?);
        }
    }
    source.push_str("_ => return None,\n    })\n}\n");
    Ok(("operations/tests/driver.rs".to_owned(), source))
}

fn arm(spec: &Spec, operation: &Operation) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let all = arguments(spec, operation)?;
    let accessor = accessor(spec, &operation.resource);
    let mut source = format!(
        "({:?}, {:?}) => {{\nlet mut said = Said::default();\n",
        operation.resource, operation.nickname
    );
    let mut setters = String::new();
    let created = overlay.creates.as_ref().map(|(_, id)| id.as_str());
    for parameter in &operation.params {
        let is_argument = all.iter().any(|argument| argument.name == parameter.name);
        if is_argument && created != Some(parameter.name.as_str()) {
            continue;
        }
        let _ = writeln!(
            setters,
            "if let Some(value) = {} {{ call = call.{}(value); }}",
            given(spec, parameter),
            rust_name(spec, &parameter.name)
        );
    }
    let passed = |skip: &dyn Fn(&Parameter) -> bool| {
        let passed: Vec<String> = all
            .iter()
            .filter(|argument| !skip(argument))
            .map(|argument| format!("{}?", given(spec, argument)))
            .collect();
        passed.join(", ")
    };
    let mutable = if setters.is_empty() { "" } else { "mut " };
    let answer = match text::list_item(&operation.response_type) {
        ("void" | "binary", _) => "None".to_owned(),
        (model, true) => format!("Some(Given::again::<Vec<models::{model}>>)"),
        (model, false) => format!("Some(Given::again::<models::{model}>)"),
    };
    let _ = write!(
        source,
        "let {mutable}call = ari.{accessor}().{}({});\n{setters}said.builder(call, {answer});\n",
        overlay.method(operation),
        passed(&|_| false)
    );
    if let (Some(handle), Some(method)) = (owner(spec, operation)?, overlay.handle(operation)) {
        let (resource, make) = maker(spec, handle)?;
        let named = |parameter: &Parameter| match handle {
            "EndpointHandle" => matches!(parameter.name.as_str(), "tech" | "resource"),
            _ => all
                .first()
                .is_some_and(|first| first.name == parameter.name),
        };
        let ids: Vec<String> = all
            .iter()
            .filter(|argument| named(argument))
            .map(|argument| format!("{}?", given(spec, argument)))
            .collect();
        let short = created.filter(|_| overlay.short.is_some());
        let _ = write!(
            source,
            "let {mutable}call = ari.{}().{make}({}).{method}({});\n{setters}said.handle(&call);\n",
            self::accessor(spec, resource),
            ids.join(", "),
            passed(&|argument| named(argument) || short == Some(argument.name.as_str()))
        );
    }
    source.push_str("said\n}\n");
    Ok(source)
}

/// The method of `Ari` that makes a resource.
fn accessor(spec: &Spec, resource: &str) -> String {
    spec.overlay
        .resources
        .get(resource)
        .and_then(|overlay| overlay.accessor.clone())
        .unwrap_or_else(|| text::snake(resource))
}

/// The resource that makes a handle, and its method for that.
fn maker<'a>(spec: &'a Spec, handle: &str) -> Result<(&'a str, &'a str)> {
    spec.overlay
        .resources
        .iter()
        .find_map(|(resource, overlay)| {
            let (method, _) = overlay
                .handles
                .iter()
                .find(|(_, model)| spec.overlay.handles[model].handle == handle)?;
            Some((resource.as_str(), method.as_str()))
        })
        .with_context(|| format!("overlay.toml: no resource makes a {handle}"))
}

/// The expression that reads the value of a parameter in the form that the builder takes.
fn given(spec: &Spec, parameter: &Parameter) -> String {
    let form = spec.overlay.parameter_forms.get(&parameter.name);
    let read = match form {
        Some(Form::Seconds) => "seconds",
        Some(Form::Milliseconds) => "milliseconds",
        Some(Form::Commas) => "texts",
        None if parameter.multiple => "texts",
        None if spec.overlay.parameter_enums.contains_key(&parameter.name) => "text",
        None => match parameter.kind.as_str() {
            "boolean" => "boolean",
            "int" | "long" => "integer",
            "containers" if parameter.name == "fields" => "attributes",
            "containers" => "members",
            "object" => "json",
            _ => "text",
        },
    };
    format!("given.{read}({:?})", parameter.name)
}
