//! HTTP requests to a simulated Asterisk.

use ari_sim::wire::{Handshake, HttpAnswer, HttpOutcome, HttpRequest};

use crate::asterisk::{Asterisk, check_body};

/// HTTP requests to a simulated Asterisk: each is answered as ARI or as an HTTP server answers.
///
/// # Panics
/// What the simulator answered is neither.
pub fn sim_http(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut asterisk = Asterisk::new();
    for request in text.split("\n%%\n") {
        let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
        let mut lines = head.lines();
        let (method, target) = lines
            .next()
            .and_then(|line| line.split_once(' '))
            .unwrap_or_default();
        let headers: Vec<_> = lines.filter_map(|line| line.split_once(": ")).collect();
        let outcome = asterisk.config.read_http(&HttpRequest {
            method,
            target,
            headers: &headers,
            body: Some(body.as_bytes()),
        });
        match outcome {
            HttpOutcome::Answer(answer) => check(&answer),
            HttpOutcome::Websocket(handshake) => open(&mut asterisk, &handshake),
            HttpOutcome::Operation(operation) => {
                if let Some(response) = asterisk.perform(operation.request()) {
                    check(&operation.answer(response));
                }
            }
        }
    }
}

fn open(asterisk: &mut Asterisk, handshake: &Handshake) {
    let session = asterisk.world.open_session();
    for application in handshake.applications() {
        let all = handshake.subscribes_to_all();
        asterisk.world.register(session, application, all);
    }
    asterisk.world.close_session(session);
}

fn check(answer: &HttpAnswer) {
    assert!((200..600).contains(&answer.status), "{answer:?}");
    match answer.header_value("Content-Type") {
        None => assert!(answer.body.is_empty(), "{answer:?}"),
        Some("application/json") => {
            assert!(!answer.body.is_empty(), "{answer:?}");
            check_body(answer.status, &answer.body);
        }
        Some(_) => assert!(!answer.body.is_empty(), "{answer:?}"),
    }
}
