//! What goes back over HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;

pub(crate) const JSON: &str = "application/json";

/// An answer over HTTP.
///
/// Its headers are those that belong to it; `Server`, `Date`, `Cache-Control` and `Content-Length` are
/// the same for all and left to whoever writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HttpAnswer {
    /// Status.
    pub status: u16,
    /// Reason phrase of the status.
    pub reason: Cow<'static, str>,
    /// Names and values of headers.
    pub headers: Vec<(&'static str, String)>,
    /// Body; empty: there is none.
    pub body: Bytes,
    /// Whether the connection is closed after it.
    pub close: bool,
}

impl HttpAnswer {
    /// An answer without headers and body.
    pub fn new(status: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            reason: reason.into(),
            headers: Vec::new(),
            body: Bytes::new(),
            close: false,
        }
    }

    /// A refusal as ARI words it: a JSON object with a message.
    pub fn refusal(status: u16, reason: impl Into<Cow<'static, str>>, message: &str) -> Self {
        Self::new(status, reason).content(JSON, json!({ "message": message }).to_string())
    }

    /// A page as Asterisk's HTTP server writes it for what is not ARI's.
    pub fn page(status: u16, reason: &'static str, text: &str) -> Self {
        let mut escaped = String::with_capacity(text.len());
        for character in text.chars() {
            match character {
                '<' => escaped.push_str("&lt;"),
                '>' => escaped.push_str("&gt;"),
                '&' => escaped.push_str("&amp;"),
                '"' => escaped.push_str("&quot;"),
                '\'' => escaped.push_str("&apos;"),
                other => escaped.push(other),
            }
        }
        let html = format!(
            "<!DOCTYPE HTML PUBLIC \"-//IETF//DTD HTML 2.0//EN\">\r\n<html><head>\r\n<title>{status} {reason}</title>\r\n\
             </head><body>\r\n<h1>{reason}</h1>\r\n<p>{escaped}</p>\r\n<hr />\r\n<address>Asterisk</address>\r\n\
             </body></html>\r\n"
        );
        Self::new(status, reason).content("text/html", html)
    }

    /// The same with a header more.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The value of a header.
    pub fn header_value(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn content(mut self, kind: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers.push(("Content-Type", kind.to_owned()));
        self.body = body.into();
        self
    }

    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn too_large() -> Self {
        let reason = "Request Entity Too Large";
        Self::refusal(413, reason, "Request body too large").closing()
    }

    pub(crate) fn broken_body() -> Self {
        Self::refusal(400, "Bad Request", "Error parsing request body")
    }
}
