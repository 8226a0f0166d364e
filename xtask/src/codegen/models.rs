//! Generates `models.rs` and `models/*.rs`.

use std::fmt::Write as _;

use anyhow::Result;

use super::{
    spec::{Model, Spec},
    text,
};

/// Files of the models: path and source.
pub(super) fn generate(spec: &Spec) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut modules = String::new();
    let mut reexports = String::new();
    let mut resources: Vec<&str> = spec
        .models
        .iter()
        .map(|model| model.resource.as_str())
        .collect();
    resources.sort_unstable();
    resources.dedup();
    for resource in resources {
        let module = text::snake(resource);
        let models = spec
            .models
            .iter()
            .filter(|model| model.resource == resource && !model.is_event());
        let mut source = String::new();
        for model in models {
            source.push_str(&declare(spec, model)?);
            if spec.answers().contains(model.name.as_str()) {
                let _ = writeln!(source, "impl Model for {} {{}}\n", model.name);
            }
        }
        let mut paths = used_from_elsewhere(spec, resource, &source);
        paths.extend(
            [
                "std::collections::BTreeMap",
                "serde_json::Value",
                "crate::call::Model",
                "crate::id::BridgeId",
                "crate::id::ChannelId",
                "crate::id::PlaybackId",
                "crate::model::model",
                "crate::timestamp::Timestamp",
            ]
            .map(str::to_owned),
        );
        let uses = text::imports(
            &source,
            &paths.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        let title = module.replace('_', " ");
        files.push((
            format!("models/{module}.rs"),
            format!("//! Models of {title}.\n\n{uses}\n{source}"),
        ));
        let _ = writeln!(modules, "mod {module};");
        let _ = writeln!(reexports, "pub use self::{module}::*;");
    }
    files.push(("models/values.rs".to_owned(), enumerations(spec, "models")));
    let head = "//! What operations answer with and events carry.\n//!\n\
        //! Only the identity of an entity is always there. Everything else is `None` where the server left it\n\
        //! out, sent `null`, or sent Go's zero value; members that are not known are kept in `extra`.\n";
    files.push((
        "models.rs".to_owned(),
        format!("{head}\n{modules}mod values;\n\n{reexports}pub use self::values::*;\n"),
    ));
    Ok(files)
}

/// The models and enumerations of other files that this source names.
fn used_from_elsewhere(spec: &Spec, resource: &str, source: &str) -> Vec<String> {
    let models = spec
        .models
        .iter()
        .filter(|model| model.resource != resource && !model.is_event());
    let enums = spec
        .overlay
        .enums
        .iter()
        .filter(|(_, known)| known.home == "models");
    models
        .map(|model| model.name.clone())
        .chain(enums.map(|(name, _)| name.clone()))
        .filter(|name| source.contains(&format!("<{name}>")))
        .map(|name| format!("super::{name}"))
        .collect()
}

/// The declaration of a model or an event by the macro `model!`.
pub(super) fn declare(spec: &Spec, model: &Model) -> Result<String> {
    let overlay = spec.model_overlay(model)?;
    let mut source = String::from("model! {\n");
    let doc = text::with_note(&overlay.doc, &text::since(&model.since()));
    let _ = writeln!(source, "    /// {doc}\n    {} {{", model.name);
    if !overlay.identity.is_empty() {
        let fields: Vec<_> = overlay
            .identity
            .iter()
            .map(|name| text::field(name))
            .collect();
        let _ = writeln!(source, "        identity: [{}],", fields.join(", "));
    }
    if model.is_event() {
        let _ = writeln!(source, "        tag: {:?},", model.name);
    }
    for field in &model.fields {
        let doc = text::with_note(
            spec.field_doc(model, &field.name)?,
            &text::since(&field.since()),
        );
        let is_identity = overlay.identity.contains(&field.name);
        let kind = rust_type(spec.field_type(model, field), is_identity);
        let _ = writeln!(
            source,
            "        /// {doc}\n        {:?} => {}: {kind},",
            field.name,
            text::field(&field.name)
        );
    }
    for (name, kind) in inherited(model) {
        let doc = spec.field_doc(model, name)?;
        let _ = writeln!(
            source,
            "        /// {doc}\n        {name:?} => {}: {kind},",
            text::field(name)
        );
    }
    source.push_str("    }\n}\n\n");
    Ok(source)
}

/// Fields that a model has from those above it, and from the ari-proxy protocol.
fn inherited(model: &Model) -> &'static [(&'static str, &'static str)] {
    match model.kind.as_str() {
        "event" => &[
            ("application", "Option<String>"),
            ("asterisk_id", "Option<String>"),
            ("timestamp", "Option<Timestamp>"),
            ("dialog", "Option<String>"),
        ],
        "event_base" if model.name == "Event" => &[
            ("type", "Option<String>"),
            ("asterisk_id", "Option<String>"),
            ("dialog", "Option<String>"),
        ],
        "message" => &[
            ("type", "Option<String>"),
            ("asterisk_id", "Option<String>"),
        ],
        _ => &[],
    }
}

fn rust_type(kind: &str, is_identity: bool) -> String {
    let (item, is_list) = text::list_item(kind);
    let item = match item {
        "string" => "String",
        "int" | "long" => "i64",
        "double" => "f64",
        "boolean" => "bool",
        "Date" => "Timestamp",
        "object" if is_list => "Value",
        "object" => "BTreeMap<String, Value>",
        other => other,
    };
    match (is_list, is_identity) {
        (true, _) => format!("Vec<{item}>"),
        (false, true) => item.to_owned(),
        (false, false) => format!("Option<{item}>"),
    }
}

/// The enumerations that live in this module.
pub(super) fn enumerations(spec: &Spec, home: &str) -> String {
    let mut source = String::from(
        "//! Enumerations; values that are not known keep their text.\n\nuse crate::model::wire_enum;\n",
    );
    for (name, known) in spec
        .overlay
        .enums
        .iter()
        .filter(|(_, known)| known.home == home)
    {
        let _ = write!(
            source,
            "\nwire_enum! {{\n    /// {}\n    {name} {{\n",
            known.doc
        );
        for (variant, value, doc) in &known.values {
            let doc = text::with_note(doc, &text::since(&spec.value_since(name, value)));
            let _ = writeln!(source, "        /// {doc}\n        {variant} = {value:?},");
        }
        source.push_str("    }\n}\n");
    }
    source
}
