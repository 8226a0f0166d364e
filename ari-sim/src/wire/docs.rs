//! The descriptions of ARI under `/ari/api-docs`, from which clients build themselves.

use std::{collections::BTreeMap, sync::LazyLock};

use ari_core::spec;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{HttpAnswer, answer::JSON, invoke::first};

/// Resources in the order in which Asterisk lists them, and what each is.
const RESOURCES: [(&str, &str); 11] = [
    ("asterisk", "Asterisk resources"),
    ("endpoints", "Endpoint resources"),
    ("channels", "Channel resources"),
    ("bridges", "Bridge resources"),
    ("recordings", "Recording resources"),
    ("sounds", "Sound resources"),
    ("playbacks", "Playback control resources"),
    ("deviceStates", "Device state resources"),
    ("mailboxes", "Mailboxes resources"),
    ("events", "WebSocket resource"),
    ("applications", "Stasis application resources"),
];

#[derive(Deserialize)]
struct Operation {
    resource: String,
    method: String,
    path: String,
    nickname: String,
    params: Vec<Parameter>,
    response_type: String,
    errors: Vec<u16>,
    added_in: Vec<String>,
}

#[derive(Deserialize)]
struct Parameter {
    name: String,
    r#in: String,
    r#type: String,
    #[serde(default)]
    required: bool,
    #[serde(default)]
    multiple: bool,
    #[serde(default)]
    allowed_values: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Model {
    name: String,
    kind: String,
    resource: String,
    fields: Vec<Field>,
}

#[derive(Deserialize)]
struct Field {
    name: String,
    r#type: String,
    #[serde(default)]
    allowed_values: Option<Vec<String>>,
}

/// All documents by their names, without what depends on who asks.
static DOCUMENTS: LazyLock<BTreeMap<String, Map<String, Value>>> = LazyLock::new(|| {
    let operations: Vec<Operation> = serde_json::from_str(spec::OPERATIONS).unwrap_or_default();
    let models: Vec<Model> = serde_json::from_str(spec::MODELS).unwrap_or_default();
    let mut documents = BTreeMap::from([("resources.json".to_owned(), listing())]);
    for (resource, _) in RESOURCES {
        let document = declaration(resource, &operations, &models);
        documents.insert(format!("{resource}.json"), document);
    }
    documents
});

/// A document as who names this host in their request gets it.
pub(crate) fn answer(name: &str, headers: &[(&str, &str)]) -> HttpAnswer {
    let Some(mut document) = DOCUMENTS.get(name).cloned() else {
        return HttpAnswer::refusal(404, "Not Found", "Resource not found");
    };
    if let Some(host) = first(headers, "Host") {
        document.insert("basePath".to_owned(), json!(format!("http://{host}/ari")));
    }
    HttpAnswer::new(200, "OK").content(JSON, Value::Object(document).to_string())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn listing() -> Map<String, Value> {
    let apis: Vec<_> = RESOURCES
        .iter()
        .map(|(resource, description)| {
            json!({
                "path": format!("/api-docs/{resource}.{{format}}"),
                "description": description,
            })
        })
        .collect();
    object(json!({ "apiVersion": "12.0.0", "swaggerVersion": "1.1", "apis": apis }))
}

fn declaration(resource: &str, operations: &[Operation], models: &[Model]) -> Map<String, Value> {
    let mut apis: Vec<(&str, Vec<Value>)> = Vec::new();
    for operation in operations.iter().filter(|known| known.resource == resource) {
        let described = describe(operation);
        match apis.iter_mut().find(|(path, _)| *path == operation.path) {
            Some((_, operations)) => operations.push(described),
            None => apis.push((&operation.path, vec![described])),
        }
    }
    let apis: Vec<_> = apis
        .into_iter()
        .map(|(path, operations)| json!({ "path": path, "operations": operations }))
        .collect();
    let own: Map<_, _> = models
        .iter()
        .filter(|model| model.resource == resource)
        .map(|model| (model.name.clone(), describe_model(model, models)))
        .collect();
    // As in Asterisk, only the description of the events is of the later version.
    let version = if resource == "events" { "1.2" } else { "1.1" };
    object(json!({
        "apiVersion": "2.0.0",
        "swaggerVersion": version,
        "resourcePath": format!("/api-docs/{resource}.{{format}}"),
        "apis": apis,
        "models": own,
    }))
}

fn describe(operation: &Operation) -> Value {
    let parameters: Vec<_> = operation.params.iter().map(describe_parameter).collect();
    let errors: Vec<_> = operation
        .errors
        .iter()
        .map(|status| json!({ "code": status, "reason": reason(*status) }))
        .collect();
    let mut described = object(json!({
        "httpMethod": operation.method,
        "nickname": operation.nickname,
        "summary": format!("{} {}", operation.method, operation.path),
        "responseClass": operation.response_type,
        "parameters": parameters,
        "errorResponses": errors,
        "since": operation.added_in,
    }));
    if operation.nickname == "eventWebsocket" {
        described.insert("upgrade".to_owned(), json!("websocket"));
        described.insert("websocketProtocol".to_owned(), json!("ari"));
    }
    Value::Object(described)
}

fn describe_parameter(parameter: &Parameter) -> Value {
    let mut described = object(json!({
        "name": parameter.name,
        "description": parameter.name,
        "paramType": parameter.r#in,
        "dataType": parameter.r#type,
        "required": parameter.required,
        "allowMultiple": parameter.multiple,
    }));
    if let Some(values) = &parameter.allowed_values {
        described.insert("allowableValues".to_owned(), list(values));
    }
    Value::Object(described)
}

fn describe_model(model: &Model, models: &[Model]) -> Value {
    let properties: Map<_, _> = model
        .fields
        .iter()
        .map(|field| {
            let mut property = object(json!({ "type": field.r#type }));
            if let Some(values) = &field.allowed_values {
                property.insert("allowableValues".to_owned(), list(values));
            }
            (field.name.clone(), Value::Object(property))
        })
        .collect();
    let mut described = object(json!({
        "id": model.name,
        "description": model.name,
        "properties": properties,
    }));
    match model.name.as_str() {
        "Message" => {
            described.insert("discriminator".to_owned(), json!("type"));
            described.insert("subTypes".to_owned(), json!(["MissingParams", "Event"]));
        }
        "Event" => {
            let events: Vec<_> = models
                .iter()
                .filter(|model| model.kind == "event")
                .map(|model| model.name.as_str())
                .collect();
            described.insert("subTypes".to_owned(), json!(events));
        }
        _ => {}
    }
    Value::Object(described)
}

fn list(values: &[String]) -> Value {
    json!({ "valueType": "LIST", "values": values })
}

fn reason(status: u16) -> &'static str {
    match status {
        400 => "Bad request",
        403 => "Forbidden",
        404 => "Not found",
        405 => "Method not allowed",
        406 => "Not acceptable",
        409 => "Conflict",
        412 => "Precondition failed",
        422 => "Unprocessable entity",
        501 => "Not implemented",
        503 => "Service unavailable",
        _ => "Internal server error",
    }
}

#[cfg(test)]
mod tests {
    use ari_core::registry;
    use serde_json::Value;

    use super::{DOCUMENTS, RESOURCES, answer};

    #[test]
    fn every_operation_is_described_once() {
        let described: usize = RESOURCES
            .iter()
            .filter_map(|(name, _)| DOCUMENTS[&format!("{name}.json")]["apis"].as_array())
            .flatten()
            .filter_map(|api| api["operations"].as_array())
            .map(Vec::len)
            .sum();
        assert_eq!(described, registry::OPERATIONS.len());
    }

    #[test]
    fn a_document_names_the_host_that_was_asked() {
        let answer = answer("channels.json", &[("host", "pbx:8088")]);
        let document: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(document["basePath"], "http://pbx:8088/ari");
        let play = &document["apis"][0]["operations"][1];
        assert_eq!(play["nickname"], "originate");
        assert_eq!(play["parameters"][0]["paramType"], "query");
    }

    #[test]
    fn there_are_no_other_documents() {
        for name in ["", "nosuch.json", "../resources.json", "channels"] {
            assert_eq!(answer(name, &[]).status, 404, "{name}");
        }
    }

    #[test]
    fn events_know_their_base() {
        let models = &DOCUMENTS["events.json"]["models"];
        let events = models["Event"]["subTypes"].as_array().expect("a list");
        assert_eq!(events.len(), registry::EVENTS.len());
        assert!(
            events
                .iter()
                .all(|name| models.get(name.as_str().unwrap_or_default()).is_some())
        );
    }
}
