//! The table against its description, and against the operations of ARI.

use std::collections::{BTreeMap, BTreeSet};

use ari_core::{EntityKind, OperationSpec};
use serde_json::Value;

use super::*;
use crate::kind::{Answer, Bind, Form, KeyUse, Shape, When};

/// The table of the protocol's description.
const DESCRIBED: &str = include_str!("../../tests/fixtures/kinds.json");

fn described() -> Vec<Value> {
    serde_json::from_str(DESCRIBED).unwrap()
}

fn operation(kind: &Kind) -> &'static OperationSpec {
    kind.operation()
        .unwrap_or_else(|| panic!("{}: {:?}", kind.name, kind.operation))
}

#[test]
fn there_are_all_kinds_of_the_go_proxy() {
    let described: BTreeSet<_> = described()
        .iter()
        .map(|row| row["kind"].as_str().unwrap().to_owned())
        .collect();
    let ours: BTreeSet<_> = Kind::all().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(ours, described);
    assert_eq!((Kind::all().count(), ours.len()), (111, 111));
}

#[test]
fn rows_say_what_the_description_says() {
    for row in described() {
        let text = |name: &str| row[name].as_str().unwrap().to_owned();
        let kind = Kind::named(&text("kind")).unwrap();
        assert_eq!(kind.class.as_str(), text("class"), "{}", kind.name);
        assert_eq!(
            kind.collects,
            row["collect_all"].as_bool().unwrap(),
            "{}",
            kind.name
        );
        let mut expected = described_fields(&row["request_fields"]);
        if kind.name == "ChannelVariableGet" {
            // Described as unused.
            expected.remove("channel_variable.value");
        }
        assert_eq!(fields(kind), expected, "{}", kind.name);
        let answer = match kind.answer {
            Answer::Nothing => "none".to_owned(),
            Answer::RequestKey | Answer::NewKey(..) | Answer::NewKeyInDialog(..) => {
                "key".to_owned()
            }
            Answer::Keys(..) | Answer::MatchingKeys(..) => "keys".to_owned(),
            Answer::Data(member, _) => format!("data.{member}"),
        };
        assert_eq!(answer, text("response_field"), "{}", kind.name);
        let in_dialog = text("response").contains("dialog kept");
        assert_eq!(
            matches!(kind.answer, Answer::NewKeyInDialog(..)),
            in_dialog,
            "{}",
            kind.name
        );
        check_call(kind, &text("ari"));
        let binds = text("dialog_binds");
        assert_eq!(kind.binds.1.is_empty(), binds.is_empty(), "{}", kind.name);
        match (binds.split_once(' ').map_or("", |(when, _)| when), kind.run) {
            ("before:", _) => assert_eq!(kind.binds.0, When::Before, "{}", kind.name),
            ("after", Run::CheckAndCall) => {
                assert_eq!(kind.binds.0, When::Checked, "{}", kind.name);
            }
            ("after", _) => assert_eq!(kind.binds.0, When::After, "{}", kind.name),
            _ => {}
        }
    }
}

/// The payload's fields as paths, and whether each may be left out.
fn fields(kind: &Kind) -> BTreeMap<String, bool> {
    let Some(payload) = &kind.payload else {
        return BTreeMap::new();
    };
    let path = |field: &Field| {
        let parts = [
            Some(payload.name),
            payload.below,
            field.within,
            Some(field.name),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(".")
    };
    payload
        .fields
        .iter()
        .map(|field| (path(field), field.optional))
        .collect()
}

fn described_fields(row: &Value) -> BTreeMap<String, bool> {
    fn walk(prefix: &str, fields: &Value, into: &mut BTreeMap<String, bool>) {
        for (name, field) in fields.as_object().unwrap() {
            let path = format!("{prefix}{name}");
            match field.get("fields") {
                Some(inner) => walk(&format!("{path}."), inner, into),
                None => {
                    into.insert(path, field["omitempty"].as_bool().unwrap());
                }
            }
        }
    }
    let mut paths = BTreeMap::new();
    for (payload, fields) in row.as_object().unwrap() {
        walk(&format!("{payload}."), fields, &mut paths);
    }
    paths
}

fn check_call(kind: &Kind, described: &str) {
    assert_eq!(
        described == "none",
        kind.run == Run::Nothing,
        "{}",
        kind.name
    );
    if matches!(kind.run, Run::Nothing | Run::Check) {
        return;
    }
    // Method and number of segments: the names in braces are the protocol's own, and an id may be several.
    let (method, path) = described.split_once(' ').unwrap();
    assert_eq!(operation(kind).method.as_str(), method, "{}", kind.name);
    let plain = |path: &str| {
        path.split('/')
            .filter(|part| !part.is_empty() && !part.starts_with('{'))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(plain(operation(kind).path), plain(path), "{}", kind.name);
}

#[test]
fn rows_name_operations_and_parameters_that_exist() {
    for kind in Kind::all() {
        let operation = operation(kind);
        let has = |name: &str| operation.parameter(name).is_some() || kind.run == Run::Find;
        match kind.key {
            KeyUse::Target | KeyUse::Originator | KeyUse::Source => {}
            KeyUse::Entity(_, name) | KeyUse::New(_, name, _) => {
                assert!(has(name), "{} {name}", kind.name);
            }
            KeyUse::Path(_, names) => {
                assert!(names.iter().all(|name| has(name)), "{}", kind.name);
            }
        }
        let named = |field: &&Field| !matches!(field.form, Form::UserEvent | Form::Parameters(_));
        for field in kind
            .payload
            .iter()
            .flat_map(|payload| payload.fields)
            .filter(named)
        {
            assert!(has(field.parameter), "{} {}", kind.name, field.parameter);
        }
        for bind in kind.binds.1 {
            if let Bind::Parameter(_, name) | Bind::EventSource(name) = bind {
                assert!(has(name), "{} {name}", kind.name);
            }
        }
        for alias in kind.aliases {
            let alias = ari_core::registry::operation(operation.resource, alias).unwrap();
            let all = |operation: &OperationSpec| {
                operation
                    .parameters
                    .iter()
                    .map(|p| p.name)
                    .collect::<BTreeSet<_>>()
            };
            assert_eq!(all(alias), all(operation), "{}", kind.name);
        }
        if let Answer::NewKey(_, name) | Answer::NewKeyInDialog(_, name) = kind.answer {
            assert!(has(name), "{} {name}", kind.name);
        }
    }
}

#[test]
fn keys_agree_with_what_operations_concern() {
    for kind in Kind::all().filter(|kind| kind.run != Run::Find) {
        if let KeyUse::Entity(entity, name) = kind.key
            && entity != EntityKind::Variable
        {
            let new = operation(kind)
                .creates
                .as_ref()
                .is_some_and(|new| (new.kind, new.id) == (entity, name));
            assert!(
                new || operation(kind).concerns.contains(&(entity, name)),
                "{}",
                kind.name
            );
        }
        if let Answer::NewKey(entity, name) = kind.answer {
            let creates = operation(kind).creates.as_ref().unwrap();
            assert_eq!((creates.kind, creates.id), (entity, name), "{}", kind.name);
        }
    }
}

#[test]
fn each_operation_has_one_kind_that_clients_use() {
    let mut seen = BTreeMap::new();
    for kind in Kind::all().filter(|kind| kind.primary) {
        for name in std::iter::once(&kind.operation.1).chain(kind.aliases) {
            assert_eq!(
                seen.insert((kind.operation.0, *name), kind.name),
                None,
                "{}",
                kind.name
            );
        }
        assert!(
            !matches!(kind.run, Run::Nothing | Run::Check | Run::Find),
            "{}",
            kind.name
        );
        assert!(
            !matches!(kind.answer, Answer::Data(_, Shape::Log)),
            "{}",
            kind.name
        );
    }
    let without: Vec<_> = ari_core::registry::OPERATIONS
        .iter()
        .filter(|operation| Kind::for_operation(operation).is_none())
        .map(|operation| format!("{}.{}", operation.resource, operation.name))
        .collect();
    assert_eq!(
        without,
        [
            "applications.filter",
            "asterisk.ping",
            "bridges.getBridgeVar",
            "bridges.setBridgeVar",
            "bridges.getBridgeVars",
            "bridges.setBridgeVars",
            "channels.move",
            "channels.redirect",
            "channels.progress",
            "channels.getChannelVars",
            "channels.setChannelVars",
            "channels.rtpstatistics",
            "channels.transfer_progress",
            "endpoints.sendMessage",
            "endpoints.refer",
            "endpoints.sendMessageToEndpoint",
            "endpoints.referToEndpoint",
            "events.eventWebsocket",
            "events.claimChannel",
            "recordings.getStoredFile",
        ]
    );
}

#[test]
fn our_own_kinds_are_found_and_stand_for_no_operation() {
    for kind in OWN {
        assert!(Kind::named(kind.name).is_some() && kind.operation().is_none());
    }
    assert_eq!(Kind::named(crate::EXTENSION).unwrap().run, Run::Extension);
    assert_eq!(
        Kind::named(crate::DIALOG_RELEASE).unwrap().run,
        Run::Release
    );
}
