//! The static that holds what is known of an operation.

use std::fmt::Write as _;

use anyhow::Result;

use crate::codegen::{
    spec::{Operation, OperationOverlay, Parameter, Spec},
    text,
};

pub(super) fn declare(spec: &Spec, operation: &Operation) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let mut source = format!(
        "/// `{} {}`\npub static {}: OperationSpec = OperationSpec {{\n",
        operation.method,
        operation.path,
        overlay.name(operation).to_uppercase()
    );
    let _ = writeln!(
        source,
        "resource: {:?},\nname: {:?},",
        operation.resource, operation.nickname
    );
    let _ = writeln!(
        source,
        "method: Method::{},\npath: {:?},",
        method(&operation.method),
        operation.path
    );
    source.push_str("parameters: &[\n");
    for parameter in &operation.params {
        let _ = writeln!(source, "{},", declare_parameter(overlay, parameter));
    }
    let _ = writeln!(source, "],\nanswer: {},", answer(operation));
    match &overlay.creates {
        Some((kind, id)) => {
            let _ = writeln!(
                source,
                "creates: Some(Creates {{ kind: EntityKind::{kind}, id: {id:?} }}),"
            );
        }
        None => source.push_str("creates: None,\n"),
    }
    let concerns: Vec<_> = concerns(spec, operation)?
        .iter()
        .map(|(kind, parameter)| format!("(EntityKind::{kind}, {parameter:?})"))
        .collect();
    let _ = writeln!(source, "concerns: &[{}],", concerns.join(", "));
    let binds: Vec<_> = match (&overlay.binds, &overlay.creates) {
        (Some(binds), _) => binds
            .iter()
            .map(|(kind, parameter)| format!("(EntityKind::{kind}, {parameter:?})"))
            .collect(),
        (None, Some((kind, id))) => {
            let created = format!("(EntityKind::{kind}, {id:?})");
            concerns.into_iter().chain([created]).collect()
        }
        (None, None) => Vec::new(),
    };
    let _ = writeln!(source, "binds: &[{}],", binds.join(", "));
    let _ = writeln!(
        source,
        "since: {},\n}};\n",
        text::versions(&operation.since())
    );
    Ok(source)
}

fn method(method: &str) -> &'static str {
    match method {
        "GET" => "Get",
        "POST" => "Post",
        "PUT" => "Put",
        _ => "Delete",
    }
}

fn answer(operation: &Operation) -> String {
    match text::list_item(&operation.response_type) {
        ("void", _) => "operation::Answer::Nothing".to_owned(),
        ("binary", _) => "operation::Answer::Binary".to_owned(),
        ("Message", _) => "operation::Answer::Events".to_owned(),
        (model, true) => format!("operation::Answer::Many({model:?})"),
        (model, false) => format!("operation::Answer::One({model:?})"),
    }
}

fn declare_parameter(overlay: &OperationOverlay, parameter: &Parameter) -> String {
    let whole = overlay.whole.as_deref();
    let location = match parameter.location.as_str() {
        "path" => "path",
        "query" => "query",
        _ if whole == Some(parameter.name.as_str()) => "whole_body",
        _ => "body",
    };
    let kind = match parameter.kind.as_str() {
        _ if parameter.multiple => "List",
        "boolean" => "Boolean",
        "int" | "long" => "Integer",
        "string" => "Text",
        _ => "Json",
    };
    let mut source = match location {
        "path" => format!("ParameterSpec::path({:?})", parameter.name),
        _ => format!(
            "ParameterSpec::{location}({:?}, ParameterType::{kind})",
            parameter.name
        ),
    };
    if parameter.required && location != "path" {
        source.push_str(".required()");
    }
    if overlay.vital.contains(&parameter.name) {
        source.push_str(".vital()");
    }
    let since = parameter.since();
    if !since.is_empty() {
        let _ = write!(source, ".since({})", text::versions(&since));
    }
    source
}

/// The entities that an operation concerns: those that its path names, then those of the overlay.
fn concerns(spec: &Spec, operation: &Operation) -> Result<Vec<(String, String)>> {
    let overlay = spec.operation_overlay(operation)?;
    let created = overlay.creates.as_ref().map(|(_, id)| id);
    let mut concerns: Vec<(String, String)> = operation
        .params
        .iter()
        .filter(|parameter| parameter.location == "path" && created != Some(&parameter.name))
        .filter_map(|parameter| {
            Some((
                spec.overlay.entities.get(&parameter.name)?.clone(),
                parameter.name.clone(),
            ))
        })
        .collect();
    concerns.extend(overlay.concerns.iter().cloned());
    Ok(concerns)
}
