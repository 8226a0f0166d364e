//! HTTP requests.

use std::borrow::Cow;

use ari_core::{Answer, EntityKind, Request, Response};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    AriConfig, Handshake, HttpAnswer, MAX_BODY, MAX_HEADERS, MAX_LINE,
    answer::JSON,
    invoke::{Invocation, Invoked, first},
    parameters,
    text::{self, Pairs},
};

/// What stays as it is in a `Location`, or in any other path.
pub(crate) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// An HTTP request.
#[derive(Clone, Copy, Debug)]
pub struct HttpRequest<'a> {
    /// Method, as it came.
    pub method: &'a str,
    /// Path and query, as in `/ari/channels?app=demo`.
    pub target: &'a str,
    /// Names and values of headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// Body; `None`: it is longer than [`MAX_BODY`], which is then not read.
    pub body: Option<&'a [u8]>,
}

/// What an HTTP request comes to.
#[derive(Debug)]
pub enum HttpOutcome {
    /// An operation to be done.
    Operation(HttpOperation),
    /// A WebSocket to be opened.
    Websocket(Handshake),
    /// An answer; there is nothing to be done.
    Answer(HttpAnswer),
}

/// An operation that was asked for over HTTP.
#[derive(Debug)]
pub struct HttpOperation {
    request: Box<Request>,
    headers: Vec<(&'static str, String)>,
}

impl HttpOperation {
    /// The operation with its parameters.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What its answer is over HTTP.
    pub fn answer(&self, response: Response) -> HttpAnswer {
        let location = location(&self.request, &response);
        let mut answer = HttpAnswer::new(response.status, Cow::from(response.reason));
        answer.headers.clone_from(&self.headers);
        if let Some(location) = location {
            answer = answer.header("Location", location);
        }
        if response.body.is_empty() {
            return answer;
        }
        let file = self.request.operation.answer == Answer::Binary && answer.status == 200;
        let kind = match &response.body[..] {
            _ if !file => JSON,
            [b'R', b'I', b'F', b'F', ..] => "audio/wav",
            _ => "application/octet-stream",
        };
        answer.content(kind, response.body)
    }
}

impl AriConfig {
    /// Reads an HTTP request.
    pub fn read_http(&self, request: &HttpRequest<'_>) -> HttpOutcome {
        let outcome = self.read_request(request);
        match outcome {
            HttpOutcome::Answer(mut answer)
                if answer.header_value("Content-Type") != Some("text/html") =>
            {
                answer
                    .headers
                    .splice(0..0, self.cross_origin(request.headers));
                HttpOutcome::Answer(answer)
            }
            other => other,
        }
    }

    fn read_request(&self, request: &HttpRequest<'_>) -> HttpOutcome {
        let HttpRequest {
            target, headers, ..
        } = *request;
        if let Err(refused) = check_limits(request) {
            return HttpOutcome::Answer(refused);
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let Some(path) = below_ari(path) else {
            let text = "The requested URL was not found on this server.";
            return HttpOutcome::Answer(HttpAnswer::page(404, "Not Found", text));
        };
        let (mut parameters, body) = match read_body(request) {
            Ok(read) => read,
            Err(refused) => return HttpOutcome::Answer(refused),
        };
        // The query comes after the form, and so before it.
        parameters.extend(query.map(text::pairs).unwrap_or_default());
        let method = request.method.to_ascii_uppercase();
        let invoked = self.invoke(&Invocation {
            method: &method,
            path,
            parameters: &parameters,
            headers,
            body: body.as_ref(),
        });
        match invoked {
            Invoked::Operation(request) => HttpOutcome::Operation(HttpOperation {
                request,
                headers: self.cross_origin(headers),
            }),
            Invoked::Answer(answer) => HttpOutcome::Answer(answer),
            Invoked::Websocket => match Handshake::read(&parameters, headers) {
                Ok(handshake) => HttpOutcome::Websocket(handshake),
                Err(refused) => HttpOutcome::Answer(refused),
            },
        }
    }
}

/// Refuses what the HTTP server of Asterisk does not read.
fn check_limits(request: &HttpRequest<'_>) -> Result<(), HttpAnswer> {
    const LINE_END: usize = "\r\n".len();
    let refused = |status, reason, text| Err(HttpAnswer::page(status, reason, text).closing());
    let line = request.method.len() + request.target.len() + "  HTTP/1.1".len() + LINE_END;
    if line > MAX_LINE {
        return refused(400, "Bad Request", "Request line too long");
    }
    if request.method.is_empty() || request.target.is_empty() {
        return refused(400, "Bad Request", "Invalid Request");
    }
    for (place, (name, value)) in request.headers.iter().enumerate() {
        if name.len() + ": ".len() + value.len() + LINE_END > MAX_LINE {
            return refused(400, "Bad Request", "Header line too long");
        }
        if place == MAX_HEADERS {
            return refused(413, "Request Entity Too Large", "Too many headers");
        }
    }
    match first(request.headers, "Transfer-Encoding") {
        Some(coding)
            if !["identity", "chunked"]
                .iter()
                .any(|known| known.eq_ignore_ascii_case(coding)) =>
        {
            refused(501, "Unimplemented", "Unsupported Transfer-Encoding.")
        }
        _ => Ok(()),
    }
}

/// The path below `/ari`, without the slash before it.
fn below_ari(path: &str) -> Option<&str> {
    let (prefix, rest) = path.split_at_checked("/ari".len())?;
    if !prefix.eq_ignore_ascii_case("/ari") {
        return None;
    }
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('/')
}

/// Reads a form or a JSON body; what is neither is passed over.
fn read_body(request: &HttpRequest<'_>) -> Result<(Pairs, Option<Value>), HttpAnswer> {
    let kind = first(request.headers, "Content-Type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    let is = |known: &str| kind.eq_ignore_ascii_case(known);
    let (form, json) = (is("application/x-www-form-urlencoded"), is(JSON));
    if !form && !json {
        return Ok((Pairs::new(), None));
    }
    let body = request.body.filter(|body| body.len() <= MAX_BODY);
    let body = body.ok_or_else(HttpAnswer::too_large)?;
    if body.is_empty() {
        Ok((Pairs::new(), None))
    } else if form {
        Ok((text::pairs(&String::from_utf8_lossy(body)), None))
    } else {
        let value = parameters::json(body).ok_or_else(HttpAnswer::broken_body)?;
        Ok((Pairs::new(), Some(value)))
    }
}

/// Where the thing is that was made.
fn location(request: &Request, response: &Response) -> Option<String> {
    if response.status != 201 {
        return None;
    }
    let value: Value = serde_json::from_slice(&response.body).ok()?;
    let (folder, id) = match request.operation.creates.as_ref()?.kind {
        EntityKind::Playback => ("playbacks", value.get("id")?),
        EntityKind::LiveRecording => ("recordings/live", value.get("name")?),
        _ => return None,
    };
    let id = utf8_percent_encode(id.as_str()?, UNRESERVED);
    Some(format!("/ari/{folder}/{id}"))
}
