//! What binds a dialog is the same on every transport: the table of kinds, and the data of ari-core.
use std::collections::BTreeSet;

use ari_core::{EntityKind, Metadata, OperationSpec, ParameterType, Request, registry};
use ari_proxy_proto::{Step, Subjects, Unencodable, decode_request, encode};
use serde_json::json;

fn target() -> Metadata {
    Metadata {
        application: Some("demo".into()),
        asterisk_id: Some("02:00".into()),
        dialog: Some("order-4711".into()),
    }
}

/// A request with a value for every parameter that the kind of its operation carries.
fn sample(operation: &'static OperationSpec) -> Option<Request> {
    let mut request = Request::new(operation, target());
    for parameter in operation.parameters {
        let value = match (parameter.name, parameter.value) {
            ("eventSource" | "source", _) => json!(["channel:c-1"]),
            ("app" | "application", _) => json!("demo"),
            (name, ParameterType::Text) => json!(format!("{name}-1")),
            (name, ParameterType::List) => json!([format!("{name}-1")]),
            (_, ParameterType::Integer) => json!(1),
            (_, ParameterType::Boolean) => json!(true),
            (_, ParameterType::Json) => json!({ "a": "1" }),
        };
        request.parameters.set(parameter.name, value);
    }
    loop {
        match encode(&request, &Subjects::default()) {
            Ok(_) => return Some(request),
            Err(Unencodable::Parameter { parameter, .. }) => {
                request.parameters.remove(&parameter)?;
            }
            Err(_) => return None,
        }
    }
}

#[test]
fn a_go_client_and_ours_bind_the_same() {
    let mut binding = BTreeSet::new();
    for operation in registry::OPERATIONS {
        let Some(request) = sample(operation) else {
            continue;
        };
        let encoded = encode(&request, &Subjects::default()).unwrap();
        let incoming = decode_request(
            &encoded.payload,
            &Metadata {
                dialog: None,
                ..target()
            },
        )
        .unwrap();
        let by_table: BTreeSet<(EntityKind, String)> = incoming
            .steps()
            .iter()
            .filter_map(|step| match step {
                Step::Bind(entities) => Some(entities.clone()),
                _ => None,
            })
            .flatten()
            .collect();
        let by_core: BTreeSet<(EntityKind, String)> = request
            .bound()
            .map(|(kind, id)| (kind, id.into_owned()))
            .collect();
        assert_eq!(by_table, by_core, "{operation}");
        if !by_core.is_empty() {
            binding.insert(operation.to_string());
        }
    }
    assert_eq!(binding.len(), 23, "{binding:#?}");
    assert!(binding.contains("POST /channels/{channelId}/answer"));
}
