//! Frames of an event socket of a simulated Asterisk.

use ari_sim::wire::{FrameOutcome, Handshake};
use serde_json::Value;

use crate::asterisk::{Asterisk, check_body};

/// Text frames of an event socket of a simulated Asterisk, one on each line: each has a `RESTResponse`,
/// unless the event filter of the application holds it back.
///
/// # Panics
/// What the simulator answered is none.
pub fn sim_frame(data: &[u8]) {
    let mut asterisk = Asterisk::new();
    let socket = Handshake::outbound(["a"], false, "demo", "secret");
    for frame in data.split(|byte| *byte == b'\n') {
        let answer = match asterisk.config.read_frame(&socket, frame) {
            FrameOutcome::Answer(answer) => answer,
            FrameOutcome::Operation(operation) => match asterisk.perform(operation.request()) {
                Some(response) => operation.answer(response),
                None => continue,
            },
        };
        assert!((200..600).contains(&answer.status), "{answer:?}");
        check_body(answer.status, &answer.body);
        if let Some(frame) = answer.frame(&asterisk.world, socket.application()) {
            let frame: Value = serde_json::from_slice(&frame).unwrap_or_default();
            assert_eq!(frame["type"], "RESTResponse");
            assert_eq!(frame["status_code"], answer.status);
        }
    }
    asterisk.world.close_session(asterisk.session);
}
