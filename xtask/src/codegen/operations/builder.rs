//! The builder of an operation.

use std::fmt::Write as _;

use anyhow::Result;

use super::{arguments, output, rust_name, value};
use crate::codegen::{
    spec::{Form, Operation, Parameter, Spec},
    text,
};

pub(super) fn declare(spec: &Spec, operation: &Operation) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let name = overlay.name(operation);
    let (builder, constant) = (text::pascal(&name), name.to_uppercase());
    let arguments = arguments(spec, operation)?;
    let mut source = format!(
        "/// {}\n///\n/// `{} {}`, since Asterisk {}.{}\n#[derive(Clone, Debug)]\n\
         #[must_use = \"an operation does nothing until it is awaited\"]\n\
         pub struct {builder} {{\n    pub(super) call: Call,\n}}\n\nimpl {builder} {{\n",
        overlay.doc,
        operation.method,
        operation.path,
        operation.since().join(", "),
        refusals(&operation.errors),
    );
    source.push_str(&constructor(spec, operation, &arguments, &constant)?);
    for parameter in &operation.params {
        let is_created = overlay
            .creates
            .as_ref()
            .is_some_and(|(_, id)| *id == parameter.name);
        if is_created
            || !arguments
                .iter()
                .any(|argument| argument.name == parameter.name)
        {
            source.push_str(&setter(spec, operation, parameter)?);
        }
    }
    let output = output(spec, operation)?;
    // What has an ending has events worth subscribing to before it is there.
    let staged = match output.as_str() {
        "BridgeHandle" | "ChannelHandle" | "LiveRecordingHandle" | "PlaybackHandle" => ", staged",
        _ => "",
    };
    let _ = writeln!(
        source,
        "}}\n\noperation!({builder}, {constant}, {output}{staged});\n"
    );
    Ok(source)
}

fn refusals(statuses: &[u16]) -> String {
    match statuses {
        [] => String::new(),
        [only] => format!("\n/// Known refusal: {only}."),
        [first @ .., last] => {
            let first: Vec<_> = first.iter().map(u16::to_string).collect();
            format!("\n/// Known refusals: {} and {last}.", first.join(", "))
        }
    }
}

fn constructor(
    spec: &Spec,
    operation: &Operation,
    arguments: &[&Parameter],
    constant: &str,
) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let mut source = String::from("pub(crate) fn new(through: &Through");
    for argument in arguments {
        let name = rust_name(spec, &argument.name);
        let _ = write!(source, ", {name}: {}", value(spec, argument, &name).kind);
    }
    let _ = write!(
        source,
        ") -> Self {{\n    let call = Call::new(through, &{constant})"
    );
    if overlay.fresh
        && let Some((_, id)) = &overlay.creates
    {
        let _ = write!(source, "\n.with({id:?}, fresh_id())");
    }
    for argument in arguments {
        let name = rust_name(spec, &argument.name);
        let _ = write!(
            source,
            "\n.with({:?}, {})",
            argument.name,
            value(spec, argument, &name).expression
        );
    }
    for (name, preset) in &overlay.preset {
        let _ = write!(source, "\n.with({name:?}, {preset:?})");
    }
    source.push_str(";\n    Self { call }\n}\n\n");
    Ok(source)
}

fn setter(spec: &Spec, operation: &Operation, parameter: &Parameter) -> Result<String> {
    let overlay = spec.operation_overlay(operation)?;
    let name = rust_name(spec, &parameter.name);
    let value = value(spec, parameter, &name);
    let doc = spec.parameter_doc(operation, &parameter.name)?;
    let mut doc = text::with_note(doc, &text::since(&parameter.since()));
    match spec.overlay.parameter_forms.get(&parameter.name) {
        Some(Form::Seconds) => doc.push_str(" Sent in seconds, rounded up."),
        Some(Form::Milliseconds) => doc.push_str(" Sent in milliseconds, rounded up."),
        Some(Form::Commas) | None => {}
    }
    if overlay.fresh
        && overlay
            .creates
            .as_ref()
            .is_some_and(|(_, id)| *id == parameter.name)
    {
        doc.push_str(" Without it, an id that nobody else makes.");
    }
    let mut source = String::new();
    if parameter.kind == "containers" {
        source.push_str(&member_setter(parameter));
        doc.push_str(" They replace those set before.");
    }
    let _ = writeln!(source, "/// {doc}");
    let _ = write!(
        source,
        "pub fn {name}(mut self, {name}: {}) -> Self {{\n    self.call.set({:?}, {});\n    self\n}}\n\n",
        value.kind, parameter.name, value.expression
    );
    Ok(source)
}

/// The setter of one member of an object, or of one item of a list of attributes.
fn member_setter(parameter: &Parameter) -> String {
    let name = parameter.name.as_str();
    let (sentence, method) = match name {
        "fields" => (
            "One attribute and its value.",
            "pub fn field(mut self, attribute: impl Into<String>, value: impl Into<Value>) -> Self {\n\
                support::push_attribute(&mut self.call, attribute.into(), value.into());\n    self\n}"
                .to_owned(),
        ),
        _ => (
            "One variable.",
            format!(
                "pub fn variable(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {{\n\
                    self.call.insert({name:?}, name.into(), value.into());\n    self\n}}"
            ),
        ),
    };
    let doc = text::with_note(sentence, &text::since(&parameter.since()));
    format!("/// {doc}\n{method}\n\n")
}
