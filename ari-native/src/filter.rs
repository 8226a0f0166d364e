//! What an event filter has to let pass: Asterisk applies it to answers, and to the word of a takeover, too.

use ari_core::{Error, Request, Result};
use serde_json::{Value, json};

use crate::frame::ANSWER;

/// A type that no filter may keep away, and what it is.
type Needed = (&'static str, &'static str);

const REPLACED: Needed = (
    "ApplicationReplaced",
    "the word that another program has taken the application over",
);

const ANSWERS: Needed = (
    ANSWER,
    "the answers to all requests, which come over the event socket",
);

/// What is needed where there is an event socket.
pub(crate) const OF_EVENTS: &[Needed] = &[REPLACED];

/// What is needed where requests go over it: any of the client's own applications may be the one in whose name
/// Asterisk answers.
pub(crate) const OF_REQUESTS: &[Needed] = &[REPLACED, ANSWERS];

/// Sees to it that an event filter of an application of the client's own lets pass what is needed.
///
/// # Errors
/// The filter keeps it away by name.
pub(crate) fn guard(
    request: &Request,
    needed: &[Needed],
    is_own: impl FnOnce(&str) -> bool,
) -> Result<Option<Request>> {
    let operation = request.operation;
    let is_filter = operation.resource == "applications" && operation.name == "filter";
    let about = is_filter.then(|| request.parameters.text("applicationName"));
    if !about.flatten().is_some_and(|name| is_own(&name)) {
        return Ok(None);
    }
    let Some(filter) = request.parameters.get("filter") else {
        return Ok(None);
    };
    let types = |list: &str| filter.get(list).and_then(Value::as_array);
    let names = |types: &[Value], kind: &str| types.iter().any(|item| item["type"] == kind);
    for (kind, what) in needed {
        if types("disallowed").is_some_and(|types| names(types, kind)) {
            return Err(Error::InvalidRequest(format!(
                "an event filter that disallows {kind} would keep away {what}"
            )));
        }
    }
    let Some(allowed) = types("allowed").filter(|types| !types.is_empty()) else {
        // An empty list allows everything.
        return Ok(None);
    };
    let lacking: Vec<Value> = needed
        .iter()
        .filter(|(kind, _)| !names(allowed, kind))
        .map(|(kind, _)| json!({ "type": kind }))
        .collect();
    if lacking.is_empty() {
        return Ok(None);
    }
    let mut filter = filter.clone();
    filter["allowed"] = [allowed.as_slice(), &lacking].concat().into();
    let mut guarded = request.clone();
    guarded.parameters.set("filter", filter);
    Ok(Some(guarded))
}

#[cfg(test)]
mod tests {
    use ari_core::{Metadata, registry};

    use super::*;

    fn filter(application: &str, filter: Value) -> Request {
        let operation = registry::OPERATIONS
            .iter()
            .find(|spec| spec.path == "/applications/{applicationName}/eventFilter");
        Request::new(operation.unwrap(), Metadata::default())
            .with("applicationName", application)
            .with("filter", filter)
    }

    #[test]
    fn a_filter_lets_pass_what_is_needed() {
        let guard = |application, value| {
            guard(&filter(application, value), OF_REQUESTS, |name| {
                name == "demo"
            })
        };
        let guarded = |value| guard("demo", value);
        let some = json!({"allowed": [{"type": "StasisStart"}], "disallowed": []});
        let request = guarded(some.clone()).unwrap().unwrap();
        assert_eq!(
            request.parameters.get("filter").unwrap(),
            &json!({
                "allowed": [{"type": "StasisStart"}, {"type": "ApplicationReplaced"}, {"type": "RESTResponse"}],
                "disallowed": [],
            })
        );
        for unchanged in [
            json!({}),
            json!({"allowed": []}),
            json!({"allowed": [{"type": "RESTResponse"}, {"type": "ApplicationReplaced"}]}),
            json!({"disallowed": [{"type": "Dial"}]}),
            json!({"allowed": "x"}),
            json!(7),
        ] {
            assert!(guarded(unchanged.clone()).unwrap().is_none(), "{unchanged}");
        }
        for kind in ["RESTResponse", "ApplicationReplaced"] {
            let error = guarded(json!({"disallowed": [{ "type": kind }]})).unwrap_err();
            assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
            assert!(error.to_string().contains(kind), "{error}");
        }
        assert!(guard("other", some).unwrap().is_none());
    }
}
