//! What the generator reads: Asterisk's data, and our overlay.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

use super::text;

/// Everything that the generated code is made from.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) operations: Vec<Operation>,
    pub(super) models: Vec<Model>,
    pub(super) overlay: Overlay,
    /// First releases of single values, by `METHOD path parameter=value`.
    value_since: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Operation {
    pub(super) resource: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) nickname: String,
    pub(super) params: Vec<Parameter>,
    pub(super) response_type: String,
    pub(super) errors: Vec<u16>,
    added_in: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parameter {
    pub(super) name: String,
    #[serde(rename = "in")]
    pub(super) location: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) required: bool,
    #[serde(default)]
    pub(super) multiple: bool,
    #[serde(default)]
    allowed_values: Vec<String>,
    #[serde(default)]
    added_in: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) resource: String,
    pub(super) fields: Vec<Field>,
    added_in: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    #[serde(default)]
    allowed_values: Vec<String>,
    #[serde(default)]
    added_in: Vec<String>,
}

/// Our own docs and facts (`overlay.toml`, which explains them).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Overlay {
    pub(super) entities: BTreeMap<String, String>,
    pub(super) handles: BTreeMap<String, HandleOverlay>,
    pub(super) enums: BTreeMap<String, EnumOverlay>,
    pub(super) fields: BTreeMap<String, String>,
    pub(super) models: BTreeMap<String, ModelOverlay>,
    pub(super) event_groups: BTreeMap<String, Vec<String>>,
    pub(super) events: BTreeMap<String, ModelOverlay>,
    pub(super) parameter_names: BTreeMap<String, String>,
    pub(super) parameter_forms: BTreeMap<String, Form>,
    pub(super) parameter_enums: BTreeMap<String, String>,
    pub(super) parameters: BTreeMap<String, String>,
    pub(super) resources: BTreeMap<String, ResourceOverlay>,
    pub(super) operations: BTreeMap<String, BTreeMap<String, OperationOverlay>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HandleOverlay {
    pub(super) kind: String,
    pub(super) handle: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnumOverlay {
    pub(super) home: String,
    pub(super) doc: String,
    /// Variant, text, doc.
    pub(super) values: Vec<(String, String, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelOverlay {
    pub(super) doc: String,
    #[serde(default)]
    pub(super) identity: Vec<String>,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default)]
    types: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    Seconds,
    Milliseconds,
    Commas,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResourceOverlay {
    pub(super) doc: String,
    /// Name of the type, where it is not the resource's.
    pub(super) name: Option<String>,
    /// Method of `Ari` that makes it, where it is not the resource's name.
    pub(super) accessor: Option<String>,
    /// Method, model.
    #[serde(default)]
    pub(super) handles: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationOverlay {
    pub(super) doc: String,
    /// Kind, parameter.
    pub(super) creates: Option<(String, String)>,
    #[serde(default)]
    pub(super) fresh: bool,
    #[serde(default)]
    pub(super) concerns: Vec<(String, String)>,
    pub(super) binds: Option<Vec<(String, String)>>,
    pub(super) whole: Option<String>,
    #[serde(default)]
    pub(super) arguments: Vec<String>,
    #[serde(default)]
    pub(super) vital: Vec<String>,
    #[serde(default)]
    pub(super) preset: BTreeMap<String, String>,
    name: Option<String>,
    method: Option<String>,
    pub(super) short: Option<String>,
    handle: Option<HandleMethod>,
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum HandleMethod {
    Name(String),
    Is(bool),
}

impl Spec {
    /// Reads and checks the files of `ari-core/spec`.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Added {
            allowed_values: BTreeMap<String, Vec<String>>,
        }
        let overlay = folder.join("overlay.toml");
        let overlay = fs::read_to_string(&overlay)
            .with_context(|| format!("cannot read {}", overlay.display()))?;
        let added: Added = json(&folder.join("added.json"))?;
        let spec = Self {
            operations: json(&folder.join("operations.json"))?,
            models: json(&folder.join("models.json"))?,
            overlay: toml::from_str(&overlay).context("overlay.toml")?,
            value_since: added.allowed_values,
        };
        spec.check()?;
        Ok(spec)
    }

    /// Whatever the overlay names exists, and every value that Swagger lists has a variant.
    fn check(&self) -> Result<()> {
        for (resource, operations) in &self.overlay.operations {
            for nickname in operations.keys() {
                if !self
                    .operations
                    .iter()
                    .any(|o| o.resource == *resource && o.nickname == *nickname)
                {
                    bail!("overlay.toml: there is no operation {resource}.{nickname}");
                }
            }
        }
        for name in self.overlay.models.keys().chain(self.overlay.events.keys()) {
            if !self.models.iter().any(|model| model.name == *name) {
                bail!("overlay.toml: there is no model {name}");
            }
        }
        for operation in &self.operations {
            for parameter in &operation.params {
                let known = self
                    .overlay
                    .parameter_enums
                    .get(&parameter.name)
                    .map(String::as_str);
                self.check_values(&parameter.name, known, &parameter.allowed_values)?;
            }
        }
        for model in &self.models {
            for field in &model.fields {
                let known = self.field_type(model, field);
                self.check_values(&field.name, Some(known), &field.allowed_values)?;
            }
            for field in self.model_overlay(model)?.fields.keys() {
                if field != "type" && !model.fields.iter().any(|known| known.name == *field) {
                    bail!("overlay.toml: {} has no field {field}", model.name);
                }
            }
        }
        Ok(())
    }

    fn check_values(&self, name: &str, known: Option<&str>, values: &[String]) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let known = known.and_then(|known| self.overlay.enums.get(known));
        let known = known
            .with_context(|| format!("overlay.toml: {name} lists values and has no enumeration"))?;
        match values
            .iter()
            .find(|value| !known.values.iter().any(|(_, text, _)| text == *value))
        {
            Some(value) => {
                bail!("overlay.toml: {name} has the value {value:?}, its enumeration has not")
            }
            None => Ok(()),
        }
    }

    /// Resources, in the order of the spec.
    pub(super) fn resources(&self) -> Vec<&str> {
        let mut resources = Vec::new();
        for operation in &self.operations {
            if resources.last() != Some(&operation.resource.as_str()) {
                resources.push(operation.resource.as_str());
            }
        }
        resources
    }

    pub(super) fn operation_overlay(&self, operation: &Operation) -> Result<&OperationOverlay> {
        self.overlay
            .operations
            .get(&operation.resource)
            .and_then(|operations| operations.get(&operation.nickname))
            .with_context(|| {
                format!(
                    "overlay.toml: {}.{} is missing",
                    operation.resource, operation.nickname
                )
            })
    }

    pub(super) fn model_overlay(&self, model: &Model) -> Result<&ModelOverlay> {
        let overlays = if model.is_event() {
            &self.overlay.events
        } else {
            &self.overlay.models
        };
        overlays
            .get(&model.name)
            .with_context(|| format!("overlay.toml: {} is missing", model.name))
    }

    /// The doc sentence of a field.
    pub(super) fn field_doc(&self, model: &Model, field: &str) -> Result<&str> {
        let own = self.model_overlay(model)?.fields.get(field);
        own.or_else(|| self.overlay.fields.get(field))
            .map(String::as_str)
            .with_context(|| format!("overlay.toml: {}.{field} has no doc", model.name))
    }

    /// The type of a field, by the overlay or else by Swagger.
    pub(super) fn field_type<'a>(&'a self, model: &Model, field: &'a Field) -> &'a str {
        let overlay = self.model_overlay(model).ok();
        overlay
            .and_then(|overlay| overlay.types.get(&field.name))
            .unwrap_or(&field.kind)
    }

    /// The doc sentence of a parameter.
    pub(super) fn parameter_doc(&self, operation: &Operation, name: &str) -> Result<&str> {
        let own = self.operation_overlay(operation)?.parameters.get(name);
        own.or_else(|| self.overlay.parameters.get(name))
            .map(String::as_str)
            .with_context(|| format!("overlay.toml: the parameter {name} has no doc"))
    }

    /// First releases of a value of an enumeration of parameters.
    pub(super) fn value_since(&self, enumeration: &str, value: &str) -> Vec<String> {
        for operation in &self.operations {
            for parameter in &operation.params {
                if self
                    .overlay
                    .parameter_enums
                    .get(&parameter.name)
                    .is_some_and(|name| name == enumeration)
                {
                    let key = format!(
                        "{} {} {}={value}",
                        operation.method, operation.path, parameter.name
                    );
                    if let Some(since) = self.value_since.get(&key) {
                        return sorted(since);
                    }
                }
            }
        }
        Vec::new()
    }

    /// Names of the models that operations answer with.
    pub(super) fn answers(&self) -> BTreeSet<&str> {
        let inner = self
            .operations
            .iter()
            .map(|operation| text::list_item(&operation.response_type));
        inner
            .map(|(name, _)| name)
            .filter(|name| !matches!(*name, "void" | "binary" | "Message"))
            .collect()
    }
}

impl Operation {
    pub(super) fn since(&self) -> Vec<String> {
        sorted(&self.added_in)
    }
}

impl Parameter {
    pub(super) fn since(&self) -> Vec<String> {
        sorted(&self.added_in)
    }
}

impl Field {
    pub(super) fn since(&self) -> Vec<String> {
        sorted(&self.added_in)
    }
}

impl Model {
    pub(super) fn since(&self) -> Vec<String> {
        sorted(&self.added_in)
    }

    pub(super) fn is_event(&self) -> bool {
        self.kind == "event"
    }
}

impl OperationOverlay {
    /// Name in snake case.
    pub(super) fn name(&self, operation: &Operation) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| text::snake(&operation.nickname))
    }

    /// Name of the method on the resource.
    pub(super) fn method(&self, operation: &Operation) -> String {
        self.method.clone().unwrap_or_else(|| self.name(operation))
    }

    /// Name of the method on the handle, if there is to be one.
    pub(super) fn handle(&self, operation: &Operation) -> Option<String> {
        match &self.handle {
            Some(HandleMethod::Name(name)) => Some(name.clone()),
            Some(HandleMethod::Is(false)) => None,
            Some(HandleMethod::Is(true)) | None => Some(self.name(operation)),
        }
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| path.display().to_string())
}

/// Versions, the oldest first.
fn sorted(versions: &[String]) -> Vec<String> {
    let mut versions = versions.to_vec();
    versions.sort_by(|a, b| compare(a, b));
    versions
}

fn compare(a: &str, b: &str) -> Ordering {
    let parts = |version: &str| {
        version
            .split('.')
            .map(|part| part.parse().unwrap_or(0))
            .collect::<Vec<u32>>()
    };
    parts(a).cmp(&parts(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_number() {
        let versions = ["13.0.0", "9.2.0", "12.10.0", "12.9.0"].map(str::to_owned);
        assert_eq!(sorted(&versions), ["9.2.0", "12.9.0", "12.10.0", "13.0.0"]);
    }
}
