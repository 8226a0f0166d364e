//! The first question to Asterisk, which finds most of what can be wrong.

use std::{pin::pin, sync::Arc, time::Duration};

use ari_core::{HttpRequest, Request, registry, sample};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    address::Peer,
    desk::Desk,
    error::{Failure, Trouble},
    exchange::Answer,
    frame::ANSWER,
    link::Link,
    socket::{Broken, Frame, Socket},
};

/// Who answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// Entity id of the Asterisk.
    pub(crate) asterisk_id: Option<Arc<str>>,
    /// Version, as Asterisk writes it.
    pub(crate) version: Option<String>,
}

/// Asks over HTTP who is there. It does not wait for a connection that calls have taken: they may be waiting
/// for what this is to restore.
///
/// # Cancel safety
/// Nothing is kept when the future is dropped.
pub(crate) async fn greet(
    link: &Link,
    limit: Duration,
    deadline: Instant,
) -> Result<Greeting, Trouble> {
    let peer = link.peer();
    match link.exchange(&question()?, true, deadline).await {
        Ok(answer) => read(peer, &answer),
        Err(failure) => Err(Trouble::failure(peer, failure, limit)),
    }
}

/// Asks over the WebSocket who is there; what comes meanwhile, answers too, is handed on.
///
/// # Cancel safety
/// Nothing is kept when the future is dropped.
pub(crate) async fn greet_over(
    socket: &mut Socket,
    desk: &Desk,
    peer: &Peer,
    limit: Duration,
    deadline: Instant,
    mut take: impl FnMut(Frame) -> Result<(), Broken>,
) -> Result<Greeting, Trouble> {
    let question = question()?;
    let mut answer = pin!(desk.exchange(&question, true, deadline));
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return match answer {
                Ok(answer) => read(peer, &answer),
                Err(Failure::TimedOut) => Err(Trouble::passing(format!(
                    "no answer over the WebSocket of {peer} within {limit:?}: does this Asterisk have REST over \
                     WebSocket (20.14, 21.9, 22.4, 23 and later), and does the application's event filter let \
                     {ANSWER} pass?"
                ))),
                Err(failure) => Err(Trouble::failure(peer, failure, limit)),
            },
            frame = socket.next() => {
                if let Err(Broken { reason, .. }) = frame.and_then(&mut take) {
                    let reason = format!("the WebSocket of Asterisk at {peer} was lost at once: {reason}");
                    return Err(Trouble::passing(reason));
                }
            }
        }
    }
}

fn question() -> Result<HttpRequest, Trouble> {
    let path = "/asterisk/info";
    let operation = registry::OPERATIONS
        .iter()
        .find(|operation| operation.path == path);
    let request = operation.and_then(|operation| {
        Request::new(operation, ari_core::Metadata::default())
            .to_http()
            .ok()
    });
    request.ok_or_else(|| Trouble::lasting("GET /asterisk/info is missing from ari-core"))
}

fn read(peer: &Peer, answer: &Answer) -> Result<Greeting, Trouble> {
    match answer.status {
        200 => {}
        401 => {
            return Err(Trouble::lasting(format!(
                "Asterisk at {peer} refused the user name or password (401): check ari.conf"
            )));
        }
        403 => {
            return Err(Trouble::lasting(format!(
                "Asterisk at {peer} does not let this user in (403): check its rights in ari.conf"
            )));
        }
        404 => {
            return Err(Trouble::passing(format!(
                "no ARI at this URL of {peer} (404): is it enabled in ari.conf, and does the path end in /ari?"
            )));
        }
        503 => {
            return Err(Trouble::passing(format!(
                "Asterisk at {peer} is still starting (503): try again in a moment"
            )));
        }
        status @ 300..=399 => {
            return Err(Trouble::lasting(format!(
                "{peer} redirects to another place ({status}): give the URL of ARI itself"
            )));
        }
        status => {
            return Err(Trouble::passing(format!(
                "{peer} answered GET /asterisk/info with {status} {}: is the URL that of ARI?",
                answer.reason
            )));
        }
    }
    let info: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let Some(system) = info
        .as_ref()
        .and_then(|info| info.get("system"))
        .filter(|system| system.is_object())
    else {
        return Err(Trouble::lasting(format!(
            "what answers at {peer} is not ARI: is the URL right? it said: {}",
            sample(&answer.body)
        )));
    };
    let text = |name: &str| system.get(name)?.as_str().filter(|text| !text.is_empty());
    Ok(Greeting {
        asterisk_id: text("entity_id").map(Arc::from),
        version: text("version").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(status: u16, body: &str) -> Result<Greeting, Trouble> {
        let peer = Peer {
            host: "pbx".into(),
            port: 8088,
            tls: false,
        };
        read(
            &peer,
            &Answer {
                status,
                reason: "Reason".into(),
                body: body.to_owned().into(),
            },
        )
    }

    #[test]
    fn an_asterisk_says_who_it_is() {
        let greeting = say(
            200,
            r#"{"system":{"version":"22.10.1","entity_id":"02:00:00:00:00:01"},"x":null}"#,
        )
        .unwrap();
        assert_eq!(greeting.asterisk_id.as_deref(), Some("02:00:00:00:00:01"));
        assert_eq!(greeting.version.as_deref(), Some("22.10.1"));
        assert_eq!(
            say(200, r#"{"system":{"entity_id":"","version":null}}"#).unwrap(),
            Greeting::default()
        );
    }

    #[test]
    fn every_other_answer_says_what_to_do() {
        let cases = [
            (
                401,
                "",
                "refused the user name or password (401): check ari.conf",
                true,
            ),
            (403, "", "check its rights in ari.conf", true),
            (404, "<html>", "does the path end in /ari?", false),
            (503, "", "still starting", false),
            (302, "", "redirects", true),
            (500, "", "500 Reason", false),
            (
                200,
                "<html>hello</html>",
                "is not ARI: is the URL right? it said: <html>hello",
                true,
            ),
            (200, "[1]", "is not ARI", true),
            (200, "{\"system\":7}", "is not ARI", true),
        ];
        for (status, body, said, lasting) in cases {
            let trouble = say(status, body).unwrap_err();
            assert!(
                trouble.reason.contains(said) && trouble.reason.contains("pbx:8088"),
                "{}",
                trouble.reason
            );
            assert_eq!(trouble.lasting, lasting, "{status} {body}");
        }
    }
}
