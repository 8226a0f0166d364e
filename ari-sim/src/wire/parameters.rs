//! From names and values to the parameters of an operation.

use ari_core::{Location, OperationSpec, ParameterSpec, ParameterType, Request};
use serde_json::Value;

use super::text;

/// So many values of one parameter are too many.
const TOO_MANY_VALUES: usize = 128;

/// A list that is too long, by its name.
pub(crate) struct TooManyValues(pub(crate) &'static str);

/// Reads the parameters of an operation: those in texts, those in the path, those in the JSON body.
///
/// Of several values of one name the last one counts, and that of the body before all others.
pub(crate) fn read(
    operation: &'static OperationSpec,
    texts: &[(String, String)],
    arguments: Vec<(&'static str, String)>,
    body: Option<&Value>,
) -> Result<Request, TooManyValues> {
    let mut request = Request::new(operation, ari_core::Metadata::default());
    for (name, value) in texts {
        if let Some(spec) = operation.parameter(name)
            && spec.location == Location::Query
        {
            request.parameters.set(spec.name, from_text(spec, value)?);
        }
    }
    // A path whose name is spelled out passes parameters by that are not its own.
    let own = |name: &str| {
        operation
            .parameter(name)
            .is_some_and(|spec| spec.location == Location::Path)
    };
    for (name, value) in arguments.into_iter().filter(|(name, _)| own(name)) {
        request.parameters.set(name, value);
    }
    let Some(body) = body.filter(|body| !body.is_null()) else {
        return Ok(request);
    };
    for spec in operation.parameters {
        let value = match spec.location {
            Location::Path => continue,
            Location::WholeBody => {
                request.parameters.set(spec.name, body.clone());
                continue;
            }
            // That there is a body counts, too, where it lacks what it should have.
            Location::Body => Some(body.get(spec.name).unwrap_or(&Value::Null)),
            Location::Query => body.get(spec.name),
        };
        match value.map(|value| from_json(spec, value)) {
            None => {}
            Some(Some(value)) => request.parameters.set(spec.name, value),
            // Of the wrong type: as if it were not there.
            Some(None) => drop(request.parameters.remove(spec.name)),
        }
    }
    Ok(request)
}

fn from_text(spec: &ParameterSpec, text: &str) -> Result<Value, TooManyValues> {
    Ok(match spec.value {
        ParameterType::Integer => Value::from(text::number(text)),
        ParameterType::Boolean => Value::Bool(text::is_true(text)),
        ParameterType::List => {
            let items = text::separate(text);
            if items.len() >= TOO_MANY_VALUES {
                return Err(TooManyValues(spec.name));
            }
            Value::from(items)
        }
        ParameterType::Text | ParameterType::Json => Value::from(text),
    })
}

fn from_json(spec: &ParameterSpec, value: &Value) -> Option<Value> {
    if spec.location == Location::Body {
        return Some(value.clone());
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    match spec.value {
        ParameterType::Integer => Some(Value::from(value.as_i64().unwrap_or_default())),
        ParameterType::Boolean => Some(Value::Bool(*value == Value::Bool(true))),
        ParameterType::List => Some(match value {
            Value::Array(items) => items
                .iter()
                .map(|item| text(item).unwrap_or_default())
                .collect(),
            single => Value::from(vec![text(single)?]),
        }),
        ParameterType::Text => text(value).map(Value::from),
        ParameterType::Json => Some(value.clone()),
    }
}

/// Reads JSON as Asterisk does: an array or an object, with no zero character in its texts.
pub(crate) fn json(bytes: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    ((value.is_array() || value.is_object()) && is_representable(&value)).then_some(value)
}

fn is_representable(value: &Value) -> bool {
    match value {
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(is_representable),
        Value::Object(members) => members
            .iter()
            .all(|(name, value)| !name.contains('\0') && is_representable(value)),
        Value::Number(number) => !number.is_u64() || number.is_i64(),
        Value::Null | Value::Bool(_) => true,
    }
}
