//! Requests and answers as frames of the event socket (REST over WebSocket).

use ari_core::HttpRequest;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{error::NotSent, exchange::Answer};

/// Type of the frame that answers a request.
pub(crate) const ANSWER: &str = "RESTResponse";

/// Longest text of a frame: Asterisk counts the header of a frame as well, 8 bytes of a client, and closes
/// the WebSocket over more than 65,535.
pub(crate) const MAX_TEXT: usize = 65_535 - 8;

#[derive(Serialize)]
struct RestRequest<'a> {
    r#type: &'static str,
    transaction_id: &'a str,
    request_id: &'a str,
    method: &'a str,
    uri: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_body: Option<&'a str>,
}

/// What is read of an answer; each member by itself, so that one of a wrong type does not hide the others.
#[derive(Deserialize)]
struct RestResponse<'a> {
    #[serde(borrow, default)]
    transaction_id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    status_code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    reason_phrase: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message_body: Option<&'a RawValue>,
}

/// The text of a frame that asks for this under this transaction id.
pub(crate) fn request(transaction: u64, request: &HttpRequest) -> Result<String, NotSent> {
    let transaction = &transaction.to_string();
    let body = request.body.as_deref().map(std::str::from_utf8);
    // Bodies are made of JSON values, which are text.
    let body = body.transpose().ok().flatten();
    let frame = RestRequest {
        r#type: "RESTRequest",
        transaction_id: transaction,
        request_id: transaction,
        method: request.method.as_str(),
        uri: request.target.trim_start_matches('/'),
        content_type: body.map(|_| "application/json"),
        message_body: body,
    };
    let text = serde_json::to_string(&frame).map_err(|_| NotSent::TooLarge(usize::MAX))?;
    if text.len() > MAX_TEXT {
        return Err(NotSent::TooLarge(text.len()));
    }
    Ok(text)
}

/// Reads the transaction id, as this client makes them, and the answer of a `RESTResponse`; no answer: it
/// cannot be understood.
pub(crate) fn answer(text: &[u8]) -> Option<(u64, Option<Answer>)> {
    let read: RestResponse<'_> = serde_json::from_slice(text).ok()?;
    let transaction: String = member(read.transaction_id)?;
    let transaction = transaction.parse().ok()?;
    let answer = || {
        let status = member(read.status_code).filter(|status| (100..=999).contains(status))?;
        let body = match read.message_body {
            None => Bytes::new(),
            body => Bytes::from(member::<String>(body)?),
        };
        let reason = member(read.reason_phrase).unwrap_or_default();
        Some(Answer {
            status,
            reason,
            body,
        })
    };
    Some((transaction, answer()))
}

fn member<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

#[cfg(test)]
mod tests {
    use ari_core::{Metadata, Method, Request, registry};
    use serde_json::{Value, json};

    use super::*;

    fn http(target: &str, body: Option<&str>) -> HttpRequest {
        let list = registry::OPERATIONS
            .iter()
            .find(|spec| spec.path == "/channels");
        let request = Request::new(list.unwrap(), Metadata::default());
        let mut http = request.to_http().unwrap();
        http.method = Method::Post;
        target.clone_into(&mut http.target);
        http.body = body.map(|body| Bytes::from(body.to_owned()));
        http
    }

    #[test]
    fn a_request_is_written_as_asterisk_reads_it() {
        let body = r#"{"variables":{"a":"\"b\""}}"#;
        let text = request(7, &http("/channels/c%2F1/play?media=sound%3Ax", Some(body))).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value,
            json!({
                "type": "RESTRequest",
                "transaction_id": "7",
                "request_id": "7",
                "method": "POST",
                "uri": "channels/c%2F1/play?media=sound%3Ax",
                "content_type": "application/json",
                "message_body": body,
            })
        );
        let text = request(8, &http("/channels/c1/answer", None)).unwrap();
        assert!(!text.contains("content_type") && !text.contains("message_body"));
    }

    #[test]
    fn what_no_frame_can_carry_is_refused() {
        let empty = request(1, &http("/x", Some(""))).unwrap().len();
        let fits = "x".repeat(MAX_TEXT - empty);
        assert_eq!(
            request(1, &http("/x", Some(&fits))).unwrap().len(),
            MAX_TEXT
        );
        let long = "x".repeat(MAX_TEXT - empty + 1);
        let refused = request(1, &http("/x", Some(&long))).unwrap_err();
        assert!(matches!(refused, NotSent::TooLarge(length) if length == MAX_TEXT + 1));
        // Each of these is two bytes as JSON in a string.
        assert!(request(1, &http("/x", Some(&"\"".repeat(40_000)))).is_err());
    }

    #[test]
    fn answers_are_read_member_by_member() {
        let read = |text: &str| answer(text.as_bytes());
        let (transaction, answer) = read(
            r#"{"type":"RESTResponse","message_body":"{\"id\":\"c\u00e9\"}","status_code":201,
                "reason_phrase":"Created","transaction_id":"7","new":[{}]}"#,
        )
        .unwrap();
        let answer = answer.unwrap();
        assert_eq!((transaction, answer.status), (7, 201));
        assert_eq!(
            (&*answer.reason, &*answer.body),
            ("Created", "{\"id\":\"cé\"}".as_bytes())
        );
        let (_, answer) = read(r#"{"transaction_id":"7","status_code":204}"#).unwrap();
        assert!(answer.unwrap().body.is_empty());
        for nobodys in [
            "{}",
            "[]",
            "",
            r#"{"transaction_id":7}"#,
            r#"{"transaction_id":null}"#,
            r#"{"transaction_id":"x"}"#,
        ] {
            assert!(read(nobodys).is_none(), "{nobodys}");
        }
        for garbled in [
            r#"{"transaction_id":"7"}"#,
            r#"{"transaction_id":"7","status_code":"200"}"#,
            r#"{"transaction_id":"7","status_code":-1}"#,
            r#"{"transaction_id":"7","status_code":7}"#,
            r#"{"transaction_id":"7","status_code":200,"message_body":{"id":"c"}}"#,
            r#"{"transaction_id":"7","status_code":99999999999}"#,
        ] {
            assert!(read(garbled).unwrap().1.is_none(), "{garbled}");
        }
    }
}
