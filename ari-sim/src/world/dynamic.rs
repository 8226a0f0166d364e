//! Dynamic configuration: objects of PJSIP that are made, changed and deleted by applications.

use std::collections::BTreeMap;

use ari_core::Method;
use serde_json::Value;

use super::{
    World,
    formats::format_named,
    json::{array, object},
    options::Phone,
    params::Params,
    reply::{Outcome, Refused, no_content, ok, refuse, refuse_as},
};

/// The fields of each type: type, name, kind, default, in the order in which Asterisk names them.
const TABLE: &str = include_str!("data/sorcery.tsv");

/// The only configuration class.
const CLASS: &str = "res_pjsip";

/// Types whose objects can be made; the others come from files only.
const WRITABLE: &[&str] = &["auth", "aor", "endpoint"];

/// Objects by type and id: the values of their fields, in the order of the table.
pub(crate) type Objects = BTreeMap<(&'static str, String), Vec<String>>;

#[derive(Clone, Copy, Debug)]
struct Field {
    name: &'static str,
    kind: &'static str,
    default: &'static str,
}

/// The name of a type and its fields.
fn fields_of(object_type: &str) -> Option<(&'static str, Vec<Field>)> {
    let mut name = None;
    let mut fields = Vec::new();
    for line in TABLE.lines() {
        let mut parts = line.split('\t');
        let Some(of) = parts.next().filter(|of| *of == object_type) else {
            continue;
        };
        name = Some(of);
        fields.push(Field {
            name: parts.next().unwrap_or_default(),
            kind: parts.next().unwrap_or_default(),
            default: parts.next().unwrap_or_default(),
        });
    }
    name.map(|name| (name, fields))
}

fn is_true(text: &str) -> bool {
    ["yes", "true", "y", "t", "1", "on"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word))
}

impl Field {
    /// What a value becomes in this field; `None`: it is refused.
    fn read(self, value: &str, old: &str) -> Option<String> {
        let spoken = |truth, words: [&str; 2]| Some(words[usize::from(truth)].to_owned());
        match self.kind {
            "b" => spoken(is_true(value), ["false", "true"]),
            "y" => spoken(is_true(value), ["no", "yes"]),
            "u" => Some(value.trim().parse::<u32>().ok()?.to_string()),
            "i" => Some(value.trim().parse::<i32>().ok()?.to_string()),
            "d" => Some(format!("{:.6}", value.trim().parse::<f64>().ok()?)),
            "c" => allow_codecs(old, value),
            "l" => {
                let is_uri = |uri: &str| uri.starts_with("sip:") || uri.starts_with("sips:");
                value
                    .split(',')
                    .all(|uri| uri.is_empty() || is_uri(uri.trim()))
                    .then(|| value.to_owned())
            }
            kind => match kind.strip_prefix("e:") {
                Some(words) => words
                    .split('|')
                    .find(|word| word.eq_ignore_ascii_case(value))
                    // Asterisk shows the one as the other.
                    .map(|word| if word == "reinvite" { "invite" } else { word })
                    .map(str::to_owned),
                None => Some(value.to_owned()),
            },
        }
    }
}

/// Adds the codecs of `ulaw,alaw`, takes away those of `!ulaw`.
fn allow_codecs(old: &str, value: &str) -> Option<String> {
    let mut codecs: Vec<&str> = old.split('|').filter(|codec| !codec.is_empty()).collect();
    for name in value.split(',').map(str::trim) {
        let (refused, name) = match name.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, name),
        };
        match (name, refused) {
            ("all", true) => codecs.clear(),
            ("all", false) => codecs = vec!["ulaw", "alaw", "gsm", "g722", "slin", "opus"],
            _ => {
                let name = format_named(name)?;
                let known = codecs.iter().position(|codec| *codec == name);
                match (known, refused) {
                    (Some(place), true) => drop(codecs.remove(place)),
                    (None, false) => codecs.push(name),
                    _ => {}
                }
            }
        }
    }
    Some(codecs.join("|"))
}

/// The settings of a request's `fields`.
fn settings(value: Option<&Value>) -> Option<Vec<(&str, &str)>> {
    let items = value?.as_array()?;
    Some(
        items
            .iter()
            .map(|item| {
                let text = |name| item.get(name).and_then(Value::as_str).unwrap_or_default();
                (text("attribute"), text("value"))
            })
            .collect(),
    )
}

/// Puts settings into the values of an object; `None`: one of them is refused.
fn apply(fields: &[Field], values: &mut [String], settings: &[(&str, &str)]) -> Option<()> {
    for (name, value) in settings {
        if *name == "disallow" {
            let place = fields.iter().position(|field| field.kind == "c")?;
            let refused: Vec<_> = value
                .split(',')
                .map(|codec| format!("!{}", codec.trim()))
                .collect();
            let known = values.get_mut(place)?;
            *known = allow_codecs(known, &refused.join(","))?;
            continue;
        }
        let place = fields.iter().position(|field| field.name == *name)?;
        let (field, known) = (fields.get(place)?, values.get_mut(place)?);
        *known = field.read(value, known)?;
    }
    let value = |name: &str| {
        let place = fields.iter().position(|field| field.name == name);
        place
            .and_then(|place| values.get(place))
            .map_or("", String::as_str)
    };
    let complete = match value("auth_type") {
        "" => true,
        "google_oauth" => [
            "username",
            "refresh_token",
            "oauth_clientid",
            "oauth_secret",
        ]
        .iter()
        .all(|name| !value(name).is_empty()),
        _ => !value("username").is_empty(),
    };
    complete.then_some(())
}

fn defaults(fields: &[Field]) -> Vec<String> {
    fields
        .iter()
        .map(|field| field.default.to_owned())
        .collect()
}

/// An object as a list of its fields.
fn show(fields: &[Field], values: &[String]) -> Outcome {
    let shown = fields
        .iter()
        .zip(values)
        .filter(|(field, _)| field.kind != "-");
    ok(array(shown.map(|(field, value)| {
        object(|json| {
            json.text("attribute", field.name);
            match (field.kind, value.as_str()) {
                ("c", "") => json.text("value", "(nothing)"),
                ("c", codecs) => json.text("value", &format!("({codecs})")),
                (_, value) => json.text("value", value),
            };
        })
    })))
}

/// The values that an object gets by a request, which may make it.
fn changed_object(
    (object_type, id): &(&'static str, String),
    fields: &[Field],
    existing: Option<Vec<String>>,
    made: bool,
    params: Params<'_>,
) -> Result<Vec<String>, Refused> {
    let settings = settings(params.value("fields"));
    let creates = existing.is_none();
    if settings.is_none() && !creates {
        let message = format!("Fields must be provided to update object '{id}'");
        return Err(refuse_as(400, "Bad request", &message));
    }
    let mut values = existing.unwrap_or_else(|| defaults(fields));
    if apply(fields, &mut values, &settings.unwrap_or_default()).is_none() {
        let what = if creates { "Creation" } else { "Update" };
        let message = format!("{what} of object '{id}' failed field value validation");
        return Err(refuse_as(400, "Bad request", &message));
    }
    let forbidden = |what: &str| {
        let message = format!("Cannot {what} sorcery objects of type '{object_type}'");
        Err(refuse(403, &message))
    };
    match (creates, made) {
        (true, _) if !WRITABLE.contains(object_type) => forbidden("create"),
        (false, false) => forbidden("update"),
        _ => Ok(values),
    }
}

impl World {
    pub(crate) fn dynamic_operation(&mut self, method: Method, params: Params<'_>) -> Outcome {
        let (class, id) = (params.text("configClass"), params.text("id"));
        if class != CLASS || !self.module_runs(CLASS) {
            return Err(refuse(404, &format!("configClass '{class}' not found")));
        }
        let object_type = params.text("objectType");
        let Some((object_type, fields)) = fields_of(&object_type) else {
            return Err(refuse(
                404,
                &format!("objectType '{object_type}' not found"),
            ));
        };
        let key = (object_type, id.clone().into_owned());
        let made = self.system.objects.get(&key).cloned();
        let existing = made
            .clone()
            .or_else(|| self.configured_object(object_type, &id, &fields));
        let missing = || refuse(404, &format!("Object with id '{id}' not found"));
        match method {
            Method::Get => show(&fields, &existing.ok_or_else(missing)?),
            Method::Delete => {
                existing.ok_or_else(missing)?;
                if made.is_none() {
                    let message = format!("Could not delete object with id '{id}'");
                    return Err(refuse(403, &message));
                }
                self.system.objects.remove(&key);
                if object_type == "endpoint" {
                    self.remove_endpoint(&id);
                }
                no_content()
            }
            Method::Put | Method::Post => {
                let values = changed_object(&key, &fields, existing, made.is_some(), params)?;
                let answer = show(&fields, &values);
                let created = self.system.objects.insert(key, values).is_none();
                if created && object_type == "endpoint" {
                    self.add_endpoint(&id);
                }
                answer
            }
        }
    }

    /// What the files configure: the phones that the world began with.
    fn configured_object(
        &self,
        object_type: &str,
        id: &str,
        fields: &[Field],
    ) -> Option<Vec<String>> {
        if !self.options.phones.contains_key(id) {
            return None;
        }
        let settings: &[(&str, &str)] = match object_type {
            "endpoint" => &[("aors", id), ("auth", id), ("allow", "ulaw")],
            "aor" => &[("max_contacts", "1")],
            "auth" => &[("username", id)],
            _ => return None,
        };
        let mut values = defaults(fields);
        apply(fields, &mut values, settings)?;
        Some(values)
    }

    fn add_endpoint(&mut self, name: &str) {
        let phone = self.options.phones.entry(name.to_owned());
        phone.or_insert_with(Phone::offline);
        // It is told twice, as its state is not known at first.
        self.tell_endpoint_as(name, "unknown");
        self.tell_endpoint(name);
    }

    fn remove_endpoint(&mut self, name: &str) {
        self.options.phones.remove(name);
        self.system.reachable.remove(name);
        self.system.told_devices.remove(name);
        self.end_endpoint_subscriptions(&format!("PJSIP/{name}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_complete() {
        for (object_type, count) in [("auth", 12), ("aor", 15), ("endpoint", 138)] {
            let (_, fields) = fields_of(object_type).unwrap();
            let shown = fields.iter().filter(|field| field.kind != "-").count();
            assert_eq!(shown, count, "{object_type}");
        }
        assert!(fields_of("notype").is_none());
    }

    #[test]
    fn codecs_are_allowed_and_disallowed() {
        assert_eq!(allow_codecs("", "ulaw,alaw").as_deref(), Some("ulaw|alaw"));
        assert_eq!(allow_codecs("gsm", "!all,ulaw").as_deref(), Some("ulaw"));
        assert_eq!(allow_codecs("ulaw|alaw", "!ulaw").as_deref(), Some("alaw"));
        assert_eq!(
            allow_codecs("ulaw", "ULAW,G722").as_deref(),
            Some("ulaw|g722")
        );
        assert_eq!(allow_codecs("", "nonsense"), None);
    }
}
