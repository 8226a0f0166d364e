//! Comparing an answer with the one that was recorded.

use ari_sim::wire::HttpAnswer;
use serde_json::Value;

use super::{
    names::Names,
    trace::Header,
    values::{self, Freedom, shown},
};

/// Headers that traces keep, besides the type of what is no JSON.
const KEPT: &[&str] = &["Location", "Allow", "WWW-Authenticate", "Retry-After"];

const JSON: &str = "application/json";

/// Says where an answer over HTTP is not as recorded; learns ids from it.
pub(crate) fn differences(
    line: &Value,
    answer: &HttpAnswer,
    header: &Header,
    names: &mut Names,
) -> Vec<String> {
    let http = &line["http"];
    let body = String::from_utf8_lossy(&answer.body);
    if http["status"] != answer.status {
        let (status, response) = (&http["status"], shown(&http["response"]));
        let body = shown(&Value::from(body));
        let came = answer.status;
        return vec![format!(
            "status {status} {response} expected, {came} {body} came"
        )];
    }
    let mut found = Vec::new();
    if http["reason"] != *answer.reason {
        let (reason, came) = (&http["reason"], &answer.reason);
        found.push(format!("reason {reason} expected, {came:?} came"));
    }
    let has_body = !answer.body.is_empty() && http["method"] != "HEAD";
    if !has_body || http["response"].is_null() {
        if has_body || !http["response"].is_null() {
            let (response, body) = (shown(&http["response"]), shown(&Value::from(body)));
            found.push(format!("response: {response} expected, {body} came"));
        }
    } else {
        found.extend(body_differences(line, answer, header, names));
    }
    let recorded = names.recorded(http.get("headers").unwrap_or(&Value::Null));
    found.extend(header_differences(&recorded, answer, has_body, names));
    found
}

fn body_differences(
    line: &Value,
    answer: &HttpAnswer,
    header: &Header,
    names: &mut Names,
) -> Vec<String> {
    let http = &line["http"];
    let expected = &http["response"];
    if let Some(text) = expected.as_str() {
        let body = String::from_utf8_lossy(&answer.body);
        let is_file = text.ends_with('>') && text.contains(" bytes of ");
        if is_file || text == body {
            return Vec::new();
        }
        let (text, body) = (shown(expected), shown(&Value::from(body)));
        return vec![format!("response: {text} expected, {body} came")];
    }
    let body: Value = match serde_json::from_slice(&answer.body) {
        Ok(body) => body,
        Err(error) => return vec![format!("response: JSON expected, {error}")],
    };
    let expected = names.recorded(expected);
    names.learn(&expected, &body);
    let body = names.ours(&body);
    let what = format!("http {}", line["step"]);
    let freedom = Freedom::new(&header.varies, &what, names);
    match (http.get("response_trimmed_from"), &expected, &body) {
        (Some(total), Value::Array(expected), Value::Array(body)) => {
            let total = total.as_u64();
            values::trimmed_differences(expected, total, body, "response", &freedom)
        }
        _ => values::differences(&expected, &body, "response", &freedom),
    }
}

fn header_differences(
    recorded: &Value,
    answer: &HttpAnswer,
    has_body: bool,
    names: &Names,
) -> Vec<String> {
    let mut found = Vec::new();
    let mut compare = |name: &str, expected: Option<&str>, came: Option<String>| {
        if expected != came.as_deref() {
            let expected = expected.unwrap_or("nothing");
            let came = came.as_deref().unwrap_or("nothing");
            found.push(format!("{name}: {expected} expected, {came} came"));
        }
    };
    let ours = |name: &str| {
        let value = Value::from(answer.header_value(name)?);
        Some(names.ours(&value).as_str()?.to_owned())
    };
    for &name in KEPT {
        compare(name, recorded[name].as_str(), ours(name));
    }
    if has_body {
        let expected = recorded["Content-Type"].as_str().unwrap_or(JSON);
        compare("Content-Type", Some(expected), ours("Content-Type"));
    }
    found
}

/// Says where a `RESTResponse` is not as recorded; learns ids from it.
pub(crate) fn frame_differences(expected: &Value, came: &Value, names: &mut Names) -> Vec<String> {
    let opened = |message: &Value| {
        let mut message = message.clone();
        let body = message["message_body"].as_str();
        if let Some(body) = body.and_then(|body| serde_json::from_str(body).ok()) {
            message["message_body"] = body;
        }
        message
    };
    let (expected, came) = (names.recorded(&opened(expected)), opened(came));
    names.learn(&expected, &came);
    let freedom = Freedom::new(&[], "", names);
    values::differences(&expected, &names.ours(&came), "", &freedom)
}
