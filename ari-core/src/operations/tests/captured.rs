//! The typed API against every operation of the registry, and against what a real Asterisk was asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use futures::executor::block_on;
use serde_json::{Value, json};

use super::{
    driver::say,
    said::{Given, boolean, text},
};
use crate::{
    error::Error,
    operation::{Answer, Location, OperationSpec, ParameterType},
    registry,
    request::{HttpRequest, Request},
    testing::Fake,
};

/// Lines of the fixture that are no operation: unknown paths and methods, the Swagger files, CORS.
const NO_OPERATION: &[usize] = &[107, 341, 342, 343, 344, 345, 346, 347, 348, 349, 350, 351];

/// Lines of the fixture that lack a parameter which Asterisk requires, and the typed API cannot leave out.
const LACKING: &[usize] = &[
    18, 51, 61, 87, 113, 114, 137, 173, 185, 234, 240, 255, 260, 272, 281, 289, 298, 318, 328, 333,
    356,
];

/// Lines of the fixture that no builder says: a negative duration, which Asterisk refuses, and a request
/// to the event socket.
const UNSAYABLE: &[usize] = &[117, 352];

/// What one request says: method, segments of the path, parameters.
type Meaning = (String, Vec<String>, BTreeMap<String, Value>);

/// Parameters in the order of their names, in one form whether they were texts or JSON.
///
/// A query parameter means the same in a JSON body: Asterisk reads both for every operation. What the
/// spec gives a place in the body only (variables, fields, an event filter) is in no query.
fn parameters(spec: &OperationSpec, query: &str, body: Option<&Value>) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    let whole = spec
        .parameters
        .iter()
        .find(|parameter| parameter.location == Location::WholeBody);
    match (whole, body) {
        (Some(whole), Some(body)) => {
            values.insert(whole.name.to_owned(), body.clone());
        }
        (None, Some(Value::Object(members))) => values.extend(members.clone()),
        (_, body) => assert_eq!(body, None, "{spec}"),
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        values.insert(decode(name), Value::String(decode(value)));
    }
    values
}

fn decode(text: &str) -> String {
    let text = text.replace('+', " ");
    let text = percent_encoding::percent_decode_str(&text);
    text.decode_utf8().unwrap().into_owned()
}

fn meaning(spec: &OperationSpec, http: &HttpRequest) -> Meaning {
    let body = http.body.as_ref();
    let body = body.map(|body| serde_json::from_slice(body).unwrap());
    read(spec, http.method.as_str(), &http.target, body.as_ref())
}

fn read(spec: &OperationSpec, method: &str, target: &str, body: Option<&Value>) -> Meaning {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut values = parameters(spec, query, body);
    for (name, value) in &mut values {
        let kind = spec.parameter(name).map(|parameter| parameter.value);
        let uniform = match (kind, &*value) {
            (Some(ParameterType::Boolean), value) => boolean(value).map(Value::Bool),
            (_, Value::Array(items)) => {
                let items: Option<Vec<_>> = items.iter().map(text).collect();
                items.map(|items| Value::String(items.join(",")))
            }
            (_, value) => text(value).map(Value::String),
        };
        *value = uniform.unwrap_or_else(|| value.clone());
    }
    let segments = path
        .split('/')
        .map(|part| decode(&part.replace('+', "%2B")));
    (method.to_owned(), segments.collect(), values)
}

/// Every member of `before` is in `after`.
fn assert_kept(before: &Value, after: &Value, place: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let kept = after.get(name);
                let kept = kept.unwrap_or_else(|| panic!("{place}.{name} is lost: {value}"));
                assert_kept(value, kept, &format!("{place}.{name}"));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{place}");
            for (before, after) in before.iter().zip(after) {
                assert_kept(before, after, &format!("{place}[]"));
            }
        }
        _ => assert_eq!(before, after, "{place}"),
    }
}

/// One line of the fixture.
struct Exchange(Value);

impl Exchange {
    fn text(&self, name: &str) -> &str {
        self.0[name].as_str().unwrap_or_default()
    }

    /// Path and query; some lines have their query in the path.
    fn target(&self) -> String {
        let path = self.text("path");
        let path = path.strip_prefix("/ari").unwrap_or(path);
        match self.text("query") {
            "" => path.to_owned(),
            query => format!("{path}?{query}"),
        }
    }

    fn body(&self) -> Option<&Value> {
        Some(&self.0["body"]).filter(|body| !body.is_null())
    }

    fn status(&self) -> u16 {
        self.0["status"].as_u64().unwrap().try_into().unwrap()
    }

    fn answer(&self) -> Value {
        serde_json::from_str(self.text("response")).unwrap_or_default()
    }
}

fn exchanges() -> Vec<(usize, Exchange)> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../ari-sim/tests/fixtures/traces/ari-http.jsonl"
    );
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    (1..).zip(lines.map(Exchange)).collect()
}

/// The values of the path, by the names in its template.
fn path_values(spec: &OperationSpec, path: &[String]) -> Vec<(String, Value)> {
    let names = spec.path.split('/').zip(path);
    names
        .filter_map(|(name, value)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), Value::String(value.clone())))
        })
        .collect()
}

#[test]
fn what_a_real_asterisk_was_asked_can_be_said() {
    let exchanges = exchanges();
    assert_eq!(exchanges.len(), 356);
    let (mut no_operation, mut lacking, mut unsayable) = (Vec::new(), Vec::new(), Vec::new());
    let mut said_operations = BTreeSet::new();
    let (mut decoded, mut refused) = (0, 0);
    for (line, exchange) in &exchanges {
        let (method, target) = (exchange.text("method"), exchange.target());
        let Ok(routed) = Request::from_http(method, &target, None) else {
            no_operation.push(*line);
            continue;
        };
        let spec = routed.operation;
        if spec.answer == Answer::Events {
            unsayable.push(*line);
            continue;
        }
        let wanted = read(spec, method, &target, exchange.body());
        let query = target.split_once('?').map_or("", |(_, query)| query);
        let mut values = parameters(spec, query, exchange.body());
        values.extend(path_values(spec, &wanted.1));
        let required = spec
            .parameters
            .iter()
            .filter(|parameter| parameter.required);
        if required
            .clone()
            .any(|parameter| !values.contains_key(parameter.name))
        {
            lacking.push(*line);
            continue;
        }
        let given = Given::new(spec, values);
        let fake = Fake::new("demo", "02:00:00:00:00:01");
        let ari = fake.ari();
        let Some(mut said) = say(&ari, &given) else {
            lacking.push(*line);
            continue;
        };
        if !given.unsaid().is_empty() {
            unsayable.push(*line);
            continue;
        }
        for request in &said.requests {
            let mut meaning = meaning(spec, &request.to_http().unwrap());
            // An id of the client's own making, and what Asterisk takes for granted, may come on top.
            meaning.2.retain(|name, _| {
                let made = spec
                    .creates
                    .as_ref()
                    .is_some_and(|creates| creates.id == name);
                let preset = name == "direction";
                !(made || preset) || wanted.2.contains_key(name)
            });
            assert_eq!(meaning, wanted, "line {line}: {spec}");
        }
        said_operations.insert((spec.resource, spec.name));

        let answer = exchange.answer();
        fake.answer(&spec.to_string(), exchange.status(), &answer);
        let outcome = block_on(said.outcome.take().unwrap());
        if exchange.status() >= 300 {
            let Err(Error::Refused(refusal)) = outcome else {
                panic!("line {line}: {outcome:?}");
            };
            let told = answer.get("message").or_else(|| answer.get("error"));
            let told = told.and_then(Value::as_str).unwrap_or_default();
            assert_eq!(
                (refusal.status, &*refusal.message),
                (exchange.status(), told)
            );
            refused += 1;
        } else {
            outcome.unwrap_or_else(|error| panic!("line {line}: {error}"));
            if let Some(again) = said.again {
                let after = again(exchange.text("response").as_bytes()).unwrap();
                assert_kept(&answer, &after, &format!("line {line}: {spec}"));
                decoded += 1;
            }
        }
    }
    assert_eq!(no_operation, NO_OPERATION);
    assert_eq!(lacking, LACKING);
    assert_eq!(unsayable, UNSAYABLE);
    assert_eq!((said_operations.len(), decoded, refused), (108, 104, 122));
}

/// A value for a parameter; none that its lists name.
fn some_value(kind: ParameterType, name: &str) -> Value {
    match kind {
        // What is before the first slash of an endpoint's name is its technology.
        ParameterType::Text if name == "tech" => json!("some tech&"),
        ParameterType::Text => json!(format!("some {name}/&")),
        ParameterType::Integer => json!(7),
        ParameterType::Boolean => json!(true),
        ParameterType::List => json!([format!("{name}:1"), format!("{name}:2")]),
        ParameterType::Json if name == "fields" => json!([{ "attribute": "a", "value": "b" }]),
        ParameterType::Json => json!({ "A": "1", "B": { "value": "2" } }),
    }
}

fn everything(spec: &'static OperationSpec) -> BTreeMap<String, Value> {
    let values = spec.parameters.iter().map(|parameter| {
        let value = some_value(parameter.value, parameter.name);
        (parameter.name.to_owned(), value)
    });
    values.collect()
}

fn callable() -> impl Iterator<Item = &'static OperationSpec> {
    let all = registry::OPERATIONS.iter().copied();
    all.filter(|spec| spec.answer != Answer::Events)
}

#[test]
fn every_parameter_of_every_operation_can_be_said_with_any_value() {
    let ari = Fake::new("demo", "02:00:00:00:00:01").ari();
    assert_eq!(callable().count(), 108);
    for spec in callable() {
        let values = everything(spec);
        let given = Given::new(spec, values.clone());
        let said = say(&ari, &given).unwrap_or_else(|| panic!("{spec} cannot be said"));
        assert_eq!(given.unsaid(), [""; 0], "{spec}");
        let raw = values.iter().fold(
            Request::new(spec, crate::Metadata::default()),
            |request, (name, value)| request.with(name.clone(), value.clone()),
        );
        let wanted = meaning(spec, &raw.to_http().unwrap());
        for request in said.requests {
            let http = request.to_http().unwrap();
            assert_eq!(meaning(spec, &http), wanted, "{spec}");
            let names: BTreeSet<_> = request.parameters.iter().map(|(name, _)| name).collect();
            assert!(names.iter().copied().eq(values.keys()), "{spec}: {names:?}");
        }
    }
}

#[test]
fn what_asterisk_requires_cannot_be_left_out() {
    let ari = Fake::new("demo", "02:00:00:00:00:01").ari();
    for spec in callable() {
        for parameter in spec
            .parameters
            .iter()
            .filter(|parameter| parameter.required)
        {
            let mut values = everything(spec);
            values.remove(parameter.name);
            // Where it can be said without, the builder fills it in.
            let Some(said) = say(&ari, &Given::new(spec, values)) else {
                continue;
            };
            for request in said.requests {
                let value = request.parameters.text(parameter.name);
                assert!(
                    value.is_some_and(|value| !value.is_empty()),
                    "{spec}: {}",
                    parameter.name
                );
            }
        }
    }
}

/// Not even a request that is made by hand lacks what keeps Asterisk alive.
#[test]
fn what_asterisk_crashes_without_is_never_left_out() {
    let mut vital = Vec::new();
    for spec in callable() {
        for parameter in spec.parameters.iter().filter(|known| known.vital) {
            vital.push(format!(
                "{}.{} {}",
                spec.resource, spec.name, parameter.name
            ));
            let with = |value: Value| {
                let mut values = everything(spec);
                values.insert(parameter.name.to_owned(), value);
                let request = Request::new(spec, crate::Metadata::default());
                let all = values.into_iter();
                all.fold(request, |request, (name, value)| request.with(name, value))
            };
            // What no query can carry is a text in the body, too.
            let body = with(json!(["a,b", 7])).to_http().unwrap().body.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body[parameter.name], "a,b,7", "{parameter:?}");
            let error = with(Value::Null).to_http().unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains("crashes"), "{error}");
        }
    }
    vital.sort();
    let wanted = [
        "bridges.record format",
        "bridges.record name",
        "bridges.setBridgeVar variable",
        "channels.move app",
    ];
    assert_eq!(vital, wanted);
}

/// Operations that work on an entity and are not on its handle, since there is one that is told the id
/// of what it creates, or whose builder is.
const NOT_ON_HANDLES: &[(&str, &str)] = &[
    ("bridges", "play"),
    ("channels", "originateWithId"),
    ("channels", "play"),
    ("channels", "snoopChannel"),
];

#[test]
fn every_operation_on_an_entity_is_on_its_handle() {
    let ari = Fake::new("demo", "02:00:00:00:00:01").ari();
    for spec in callable() {
        let said = say(&ari, &Given::new(spec, everything(spec))).unwrap();
        let created = spec.creates.iter().map(|creates| creates.id);
        let mut named = spec.concerns.iter().map(|(_, name)| *name).chain(created);
        let needed = |name| {
            let parameter = spec.parameter(name);
            parameter.is_some_and(|parameter| parameter.required)
        };
        let wanted = !NOT_ON_HANDLES.contains(&(spec.resource, spec.name));
        // An endpoint takes two parameters to name.
        let concerned = named.any(needed) || spec.path.contains("{tech}/{resource}");
        assert_eq!(concerned && wanted, said.is_on_handle(), "{spec}");
    }
}
