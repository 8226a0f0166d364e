//! Generates `events.rs` and `events/*.rs`.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};

use super::{models, spec::Spec, text};

/// Files of the events: path and source.
pub(super) fn generate(spec: &Spec) -> Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    let mut modules = String::new();
    let mut reexports = String::new();
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (group, events) in &spec.overlay.event_groups {
        let mut source = String::new();
        for name in events {
            let model = spec
                .models
                .iter()
                .find(|model| model.is_event() && model.name == *name);
            let model = model.with_context(|| format!("overlay.toml: there is no event {name}"))?;
            source.push_str(&models::declare(spec, model)?);
            names.push((name, spec.model_overlay(model)?.doc.as_str()));
        }
        let mut paths: Vec<String> = spec
            .models
            .iter()
            .filter(|model| !model.is_event())
            .map(|model| format!("crate::models::{}", model.name))
            .collect();
        paths.retain(|path| {
            path.rsplit("::")
                .next()
                .is_some_and(|name| source.contains(&format!("<{name}>")))
        });
        let mut all = vec![
            "serde_json::Value",
            "crate::id::ChannelId",
            "crate::model::model",
            "crate::timestamp::Timestamp",
        ];
        all.extend(paths.iter().map(String::as_str));
        let uses = text::imports(&source, &all);
        files.push((
            format!("events/{group}.rs"),
            format!("//! Events of {group}.\n\n{uses}\n{source}"),
        ));
        let _ = writeln!(modules, "mod {group};");
        let _ = writeln!(reexports, "pub use self::{group}::*;");
    }
    if let Some(missing) = spec
        .models
        .iter()
        .find(|model| model.is_event() && !names.iter().any(|(name, _)| *name == model.name))
    {
        bail!("overlay.toml: the event {} is in no group", missing.name);
    }
    names.sort_unstable();
    files.push(("events.rs".to_owned(), body(&modules, &reexports, &names)));
    Ok(files)
}

/// The module itself: the type of all events.
fn body(modules: &str, reexports: &str, names: &[(&str, &str)]) -> String {
    let mut source = format!(
        "//! The events of ARI, with their own fields.\n//!\n\
         //! An [`Event`](crate::Event) is decoded into one of these when its\n\
         //! [`body`](crate::Event::body) is asked for.\n\n\
         mod typed;\n{modules}\nuse std::sync::Arc;\n\n\
         pub use self::typed::TypedEvent;\n{reexports}\n\
         use self::typed::{{decode, typed_event}};\nuse crate::error::Result;\n\n\
         /// An event with its own fields.\n///\n\
         /// The fields are shared: a clone of the body, or of one event in it, copies nothing.\n\
         #[derive(Clone, Debug, PartialEq)]\n#[non_exhaustive]\npub enum EventBody {{\n"
    );
    for (name, doc) in names {
        let _ = writeln!(source, "    /// {doc}\n    {name}(Arc<{name}>),");
    }
    source.push_str(
        "    /// A type that this version of the crate does not know.\n    Unknown,\n}\n\n",
    );
    source.push_str(
        "impl EventBody {\n    pub(crate) fn decode(kind: &str, json: &str) -> Result<Self> {\n",
    );
    source.push_str("        Ok(match kind {\n");
    for (name, _) in names {
        let _ = writeln!(
            source,
            "            {name:?} => Self::{name}(decode(json)?),"
        );
    }
    source.push_str("            _ => Self::Unknown,\n        })\n    }\n}\n\n");
    for (name, _) in names {
        let _ = writeln!(source, "typed_event!({name});");
    }
    source
}
