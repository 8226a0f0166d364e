//! Generates `registry.rs`.

use std::fmt::Write as _;

use super::{operations, spec::Spec, text};

/// The file of the registry: path and source.
pub(super) fn generate(spec: &Spec) -> (String, String) {
    let mut source = String::from(HEAD);
    source.push_str(
        "/// All operations, by resource.\npub static OPERATIONS: &[&OperationSpec] = &[\n",
    );
    for operation in &spec.operations {
        let _ = writeln!(source, "    &{},", operations::static_path(spec, operation));
    }
    source.push_str("];\n\n/// All events, by name.\npub static EVENTS: &[EventSpec] = &[\n");
    let mut models: Vec<_> = spec.models.iter().collect();
    models.sort_by_key(|model| &model.name);
    for model in models.iter().filter(|model| model.is_event()) {
        let since = text::versions(&model.since());
        let _ = writeln!(
            source,
            "    EventSpec {{ name: {:?}, since: {since} }},",
            model.name
        );
    }
    source.push_str(
        "];\n\n/// All models that are no events, by name.\npub static MODELS: &[ModelSpec] = &[\n",
    );
    for model in models.iter().filter(|model| !model.is_event()) {
        let since = text::versions(&model.since());
        let _ = writeln!(
            source,
            "    ModelSpec {{ name: {:?}, since: {since} }},",
            model.name
        );
    }
    source.push_str("];\n\n");
    source.push_str(TAIL);
    ("registry.rs".to_owned(), source)
}

const HEAD: &str = "//! What was compiled in: every operation, event and model.

use crate::{operation::OperationSpec, operations, version::Version};

/// An event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EventSpec {
    /// Name, as in `StasisStart`.
    pub name: &'static str,
    /// First release of each branch of Asterisk that has it, sorted.
    pub since: &'static [Version],
}

/// A model that is no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelSpec {
    /// Name, as in `Channel`.
    pub name: &'static str,
    /// First release of each branch of Asterisk that has it, sorted.
    pub since: &'static [Version],
}

";

const TAIL: &str = "/// The operation of this resource and name, as in `channels` and `originate`.
pub fn operation(resource: &str, name: &str) -> Option<&'static OperationSpec> {
    OPERATIONS.iter().copied().find(|operation| operation.resource == resource && operation.name == name)
}

/// The event of this name.
pub fn event(name: &str) -> Option<&'static EventSpec> {
    let place = EVENTS.binary_search_by(|event| event.name.cmp(name)).ok()?;
    EVENTS.get(place)
}

/// The model of this name.
pub fn model(name: &str) -> Option<&'static ModelSpec> {
    let place = MODELS.binary_search_by(|model| model.name.cmp(name)).ok()?;
    MODELS.get(place)
}
";
