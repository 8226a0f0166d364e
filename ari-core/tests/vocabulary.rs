//! What is known of the operations is consistent, and every request survives HTTP.

use std::collections::{BTreeMap, BTreeSet};

use ari_core::{
    Answer, Error, Location, Metadata, OperationSpec, ParameterType, Request, registry,
};
use serde_json::{Value, json};

#[test]
fn everything_is_there_once() {
    assert_eq!(
        (
            registry::OPERATIONS.len(),
            registry::EVENTS.len(),
            registry::MODELS.len()
        ),
        (109, 45, 40)
    );
    let unique = |names: Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    assert!(unique(
        registry::OPERATIONS
            .iter()
            .map(ToString::to_string)
            .collect()
    ));
    assert!(unique(
        registry::OPERATIONS
            .iter()
            .map(|o| format!("{}.{}", o.resource, o.name))
            .collect()
    ));
    assert!(registry::EVENTS.is_sorted_by_key(|event| event.name));
    assert!(registry::MODELS.is_sorted_by_key(|model| model.name));
    for operation in registry::OPERATIONS {
        let found = registry::operation(operation.resource, operation.name);
        assert!(
            found.is_some_and(|found| std::ptr::eq(found, *operation)),
            "{operation}"
        );
    }
    assert_eq!(
        registry::event("StasisStart").map(|event| event.name),
        Some("StasisStart")
    );
    assert_eq!(
        registry::model("Channel").map(|model| model.name),
        Some("Channel")
    );
    assert_eq!(registry::event("Nothing"), None);
}

#[test]
fn specs_name_parameters_that_exist() {
    for operation in registry::OPERATIONS {
        let named = |name: &str| operation.parameter(name).is_some();
        let in_path: BTreeSet<&str> = operation
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        let located: BTreeSet<&str> = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.location == Location::Path)
            .map(|parameter| parameter.name)
            .collect();
        assert_eq!(in_path, located, "{operation}");
        assert!(
            operation
                .creates
                .as_ref()
                .is_none_or(|creates| named(creates.id)),
            "{operation}"
        );
        assert!(
            operation.concerns.iter().all(|(_, name)| named(name)),
            "{operation}"
        );
        assert!(!operation.since.is_empty(), "{operation}");
        let whole = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.location == Location::WholeBody)
            .count();
        let members = operation
            .parameters
            .iter()
            .filter(|parameter| parameter.location == Location::Body)
            .count();
        assert!(whole == 0 || (whole == 1 && members == 0), "{operation}");
        assert!(
            operation
                .path
                .starts_with(&format!("/{}", operation.resource)),
            "{operation}"
        );
    }
}

#[test]
fn since_is_sorted() {
    let operations = registry::OPERATIONS.iter().flat_map(|operation| {
        operation
            .parameters
            .iter()
            .map(|parameter| parameter.since)
            .chain([operation.since])
    });
    let others = registry::EVENTS
        .iter()
        .map(|event| event.since)
        .chain(registry::MODELS.iter().map(|model| model.since));
    for since in operations.chain(others) {
        assert!(since.is_sorted(), "{since:?}");
    }
}

#[test]
fn every_request_comes_back_from_http_as_it_was() {
    for operation in registry::OPERATIONS {
        let request = sample(operation);
        if operation.answer == Answer::Events {
            let error = request.to_http().unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");
            continue;
        }
        let http = request.to_http().unwrap();
        let body: Option<Value> = http
            .body
            .as_deref()
            .map(|body| serde_json::from_slice(body).unwrap());
        let back = Request::from_http(http.method.as_str(), &http.target, body.as_ref()).unwrap();
        assert!(
            std::ptr::eq(back.operation, *operation),
            "{operation} came back as {}",
            back.operation
        );
        assert_eq!(parameters(&back), parameters(&request), "{operation}");
    }
}

#[test]
fn a_request_without_its_path_is_refused() {
    for operation in registry::OPERATIONS
        .iter()
        .filter(|operation| operation.path.contains('{'))
    {
        let error = Request::new(operation, Metadata::default())
            .to_http()
            .unwrap_err();
        assert!(error.to_string().contains("needs a value"), "{error}");
    }
}

#[test]
fn each_item_of_a_list_is_an_entity() {
    let operation = registry::operation("bridges", "addChannel").unwrap();
    let request = Request::new(operation, Metadata::default())
        .with("bridgeId", "b")
        .with("channel", json!(["x", "y"]));
    let entities: Vec<_> = request
        .entities()
        .map(|(kind, id)| format!("{kind} {id}"))
        .collect();
    assert_eq!(entities, ["bridge b", "channel x", "channel y"]);
}

fn sample(operation: &'static OperationSpec) -> Request {
    let mut request = Request::new(operation, Metadata::default());
    for parameter in operation.parameters {
        let value = match (parameter.location, parameter.value) {
            (Location::Path, _) => json!(format!("{}/ ?&=%é;1", parameter.name)),
            (_, ParameterType::Integer) => json!(7),
            (_, ParameterType::Boolean) => json!(true),
            (_, ParameterType::List) => json!(["sound:a b", "sound:c&d"]),
            (_, ParameterType::Json) => json!({ "name": "value", "other": { "deep": 1 } }),
            (_, ParameterType::Text) => json!("é &=+%?#, /"),
        };
        request.parameters.set(parameter.name, value);
    }
    request
}

fn parameters(request: &Request) -> BTreeMap<&str, &Value> {
    request.parameters.iter().collect()
}
