//! Values on their way between a payload and the parameters of an operation.

use ari_core::Parameters;
use serde_json::{Map, Value};

use crate::{
    json::{Object, member, text_member, to_text},
    kind::{Empty, Field, Form, Payload},
};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
const NANOS_PER_MILLISECOND: i64 = 1_000_000;

/// The beginning of an event of which Go fills nothing; name and variables follow.
const ZERO_EVENT: &str = concat!(
    r#"{"application":"","timestamp":"0001-01-01T00:00:00.000+0000","type":"","#,
    r#""bridge":{"key":null,"id":"","bridge_class":"","bridge_type":"","channels":null,"creator":"","name":"","technology":""},"#,
    r#""channel":{"id":"","name":"","state":"","accountcode":"","caller":null,"connected":null,"#,
    r#""creationtime":"1970-01-01T00:00:00.000+0000","dialplan":null,"channelvars":null},"#,
    r#""endpoint":{"key":null,"channel_ids":null,"resource":"","technology":""},"#,
);

/// A parameter that the payload cannot carry.
#[derive(Debug)]
pub(crate) struct Unfit(pub(crate) &'static str);

/// Writes the payload, taking what it carries out of `parameters`.
pub(crate) fn encode(payload: &Payload, parameters: &mut Parameters) -> Result<String, Unfit> {
    let mut object = Object::new();
    let mut inner: Option<(&str, Object)> = None;
    for field in payload.fields {
        if inner.as_ref().map(|(name, _)| *name) != field.within {
            close(&mut object, inner.take());
            inner = field.within.map(|name| (name, Object::new()));
        }
        let into = inner.as_mut().map_or(&mut object, |(_, inner)| inner);
        field.encode(parameters, into)?;
    }
    close(&mut object, inner);
    let fields = object.finish();
    Ok(match payload.below {
        None => fields,
        Some(name) => {
            let mut outer = Object::new();
            outer.raw(name, &fields);
            outer.finish()
        }
    })
}

fn close(object: &mut Object, inner: Option<(&str, Object)>) {
    if let Some((name, inner)) = inner {
        object.raw(name, &inner.finish());
    }
}

impl Field {
    fn encode(&self, parameters: &mut Parameters, into: &mut Object) -> Result<(), Unfit> {
        let value = match self.form {
            Form::Parameters(names) => named_texts(names, parameters)?,
            Form::UserEvent => {
                into.raw(self.name, &user_event(parameters)?);
                return Ok(());
            }
            form => {
                let given = parameters
                    .remove(self.parameter)
                    .filter(|value| !value.is_null());
                let value = form
                    .to_payload(given.as_ref())
                    .ok_or(Unfit(self.parameter))?;
                let lost = is_empty(&value)
                    && match self.empty {
                        Empty::Absent => false,
                        Empty::Ambiguous => given.is_some(),
                        Empty::Refused => true,
                    };
                if lost {
                    return Err(Unfit(self.parameter));
                }
                value
            }
        };
        if !(self.optional && is_empty(&value)) {
            into.value(self.name, &value);
        }
        Ok(())
    }

    /// Where the payload has this field, `None` if it has none.
    pub(crate) fn find<'a>(
        &self,
        payload: &'a Map<String, Value>,
    ) -> Result<Option<&'a Value>, String> {
        let object = match self.within.map(|name| (name, member(payload, name))) {
            None => payload,
            Some((_, Some(Value::Object(inner)))) => inner,
            Some((_, None | Some(Value::Null))) => return Ok(None),
            Some((name, _)) => return Err(format!("{name} is not an object")),
        };
        Ok(member(object, self.name).filter(|value| !value.is_null()))
    }
}

impl Form {
    /// The value that the payload has for one of ARI; `None` if it can have none.
    fn to_payload(self, given: Option<&Value>) -> Option<Value> {
        Some(match self {
            Self::Text => given.map_or_else(|| Some(String::new()), text)?.into(),
            Self::Item => match given {
                Some(Value::Array(items)) if items.len() > 1 => return None,
                Some(Value::Array(items)) => items
                    .first()
                    .map_or_else(|| Some(String::new()), text)?
                    .into(),
                _ => given.map_or_else(|| Some(String::new()), text)?.into(),
            },
            Self::Integer => given.map_or(Some(0), integer)?.into(),
            Self::Seconds => given
                .map_or(Some(0), integer)?
                .checked_mul(NANOS_PER_SECOND)?
                .into(),
            Self::Milliseconds => given
                .map_or(Some(0), integer)?
                .checked_mul(NANOS_PER_MILLISECOND)?
                .into(),
            Self::Boolean => match given {
                None => false,
                Some(Value::Bool(truth)) => *truth,
                Some(Value::String(text)) if text == "true" => true,
                Some(Value::String(text)) if text == "false" => false,
                _ => return None,
            }
            .into(),
            Self::Texts | Self::TextsOrNull => match given {
                None => {
                    if matches!(self, Self::Texts) {
                        Map::new().into()
                    } else {
                        Value::Null
                    }
                }
                Some(Value::Object(members)) if members.values().all(Value::is_string) => {
                    members.clone().into()
                }
                _ => return None,
            },
            Self::Tuples => match given {
                None => Vec::<Value>::new().into(),
                Some(Value::Array(items)) => {
                    items.iter().map(tuple).collect::<Option<Vec<_>>>()?.into()
                }
                Some(Value::Object(members)) => {
                    let pair = |(name, value): (&String, &Value)| {
                        Some(serde_json::json!({ "attribute": name, "value": value.as_str()? }))
                    };
                    members.iter().map(pair).collect::<Option<Vec<_>>>()?.into()
                }
                _ => return None,
            },
            Self::Parameters(_) | Self::UserEvent => return None,
        })
    }

    /// The value that ARI gets for one of the payload, `None` for an empty one; what else is wrong as a text.
    pub(crate) fn to_parameter(self, given: Option<&Value>) -> Result<Option<Value>, &'static str> {
        let Some(given) = given else { return Ok(None) };
        let value = match self {
            Self::Text => given.as_str().ok_or("is not a text")?.into(),
            Self::Item => match given.as_str().ok_or("is not a text")? {
                "" => Value::Null,
                text => vec![text].into(),
            },
            Self::Integer => given.as_i64().ok_or("is not a whole number")?.into(),
            Self::Seconds => {
                (given.as_i64().ok_or("is not a whole number")? / NANOS_PER_SECOND).into()
            }
            Self::Milliseconds => {
                (given.as_i64().ok_or("is not a whole number")? / NANOS_PER_MILLISECOND).into()
            }
            Self::Boolean => given.as_bool().ok_or("is not true or false")?.into(),
            Self::Texts | Self::TextsOrNull | Self::Parameters(_) => match given {
                Value::Object(members) if members.values().all(Value::is_string) => given.clone(),
                _ => return Err("is not an object of texts"),
            },
            Self::Tuples => {
                let items = given.as_array().ok_or("is not a list")?;
                let tuples = items.iter().map(lenient_tuple).collect::<Option<Vec<_>>>();
                tuples
                    .ok_or("is not a list of attributes and values")?
                    .into()
            }
            Self::UserEvent => match given {
                Value::Object(_) => given.clone(),
                _ => return Err("is not an object"),
            },
        };
        Ok(Some(value).filter(|value| !is_empty(value)))
    }

    /// What an empty value of the payload is in ARI.
    pub(crate) fn zero(self) -> Value {
        match self {
            Self::Integer | Self::Seconds | Self::Milliseconds => 0.into(),
            Self::Boolean => false.into(),
            _ => "".into(),
        }
    }
}

/// Empty as Go takes it.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
    }
}

fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Array(items) => items
            .iter()
            .map(text)
            .collect::<Option<Vec<_>>>()?
            .join(","),
        Value::Null | Value::Object(_) => return None,
    })
}

fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn tuple(item: &Value) -> Option<Value> {
    let members = item.as_object()?;
    (members.len() == 2
        && members.get("attribute")?.is_string()
        && members.get("value")?.is_string())
    .then(|| item.clone())
}

fn lenient_tuple(item: &Value) -> Option<Value> {
    let members = item.as_object()?;
    let text = |name| text_member(members, name).ok();
    Some(serde_json::json!({ "attribute": text("attribute")?, "value": text("value")? }))
}

fn named_texts(names: &[&'static str], parameters: &mut Parameters) -> Result<Value, Unfit> {
    let mut texts = Map::new();
    for &name in names {
        if let Some(value) = parameters.remove(name).filter(|value| !value.is_null()) {
            texts.insert(name.to_owned(), text(&value).ok_or(Unfit(name))?.into());
        }
    }
    Ok(if texts.is_empty() {
        Value::Null
    } else {
        texts.into()
    })
}

fn user_event(parameters: &mut Parameters) -> Result<String, Unfit> {
    let name = parameters
        .remove("eventName")
        .as_ref()
        .and_then(text)
        .ok_or(Unfit("eventName"))?;
    let variables = match parameters.remove("variables") {
        None | Some(Value::Null) => Value::Null,
        Some(variables @ Value::Object(_)) => variables,
        Some(_) => return Err(Unfit("variables")),
    };
    Ok(format!(
        r#"{ZERO_EVENT}"eventname":{},"userevent":{}}}"#,
        to_text(&name.into()),
        to_text(&variables)
    ))
}
