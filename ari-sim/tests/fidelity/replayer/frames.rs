//! REST over WebSocket: one request at a time on each socket, and its answer as a frame.

use std::collections::VecDeque;

use ari_sim::{
    wire::{FrameOutcome, Handshake, RestResponse},
    world::{Reply, SessionId},
};
use serde_json::Value;

use super::{
    answers,
    replay::{Replay, Waiting},
    trace::{Line, Scenario},
};

/// An open websocket of a trace.
pub(super) struct Socket {
    pub(super) session: SessionId,
    handshake: Handshake,
    /// Frames that wait for the answer to the one before.
    queue: VecDeque<Vec<u8>>,
    is_busy: bool,
}

impl Socket {
    pub(super) fn new(session: SessionId, handshake: Handshake) -> Self {
        Self {
            session,
            handshake,
            queue: VecDeque::new(),
            is_busy: false,
        }
    }
}

/// The socket of a frame: the only one, where it is not named.
fn socket_of(scenario: &Scenario, line: &Line) -> String {
    let opened = || {
        let sockets = scenario.lines.iter().filter_map(|line| {
            let socket = line.value.get("socket")?;
            socket["name"].as_str()
        });
        sockets.min().unwrap_or_default()
    };
    line.socket().unwrap_or_else(opened).to_owned()
}

impl Replay<'_> {
    /// Sends a frame of the trace.
    pub(super) fn frame(&mut self, line: &Line) {
        let request = self.names.to_send(&line.value["rest"]["request"]);
        let frame = match request {
            Value::String(text) => text,
            json => json.to_string(),
        };
        let name = socket_of(self.scenario, line);
        let Some(socket) = self.sockets.get_mut(&name) else {
            return self.cannot(line, "its socket is not open");
        };
        socket.queue.push_back(frame.into_bytes());
        self.next_frames(&name);
    }

    /// Does what waits on a socket, until something has to wait again.
    pub(super) fn next_frames(&mut self, name: &str) {
        loop {
            let Some(socket) = self.sockets.get_mut(name).filter(|socket| !socket.is_busy) else {
                return;
            };
            let Some(frame) = socket.queue.pop_front() else {
                return;
            };
            match self.config.read_frame(&socket.handshake, &frame) {
                FrameOutcome::Answer(answer) => self.frame_answered(name, &answer),
                FrameOutcome::Operation(operation) => {
                    match self.world.request(self.now, operation.request()) {
                        Reply::Now(response) => {
                            self.frame_answered(name, &operation.answer(response));
                        }
                        Reply::Later(ticket) => {
                            socket.is_busy = true;
                            let waiting = Waiting::Frame(name.to_owned(), operation);
                            self.waiting.insert(ticket, waiting);
                        }
                    }
                }
            }
        }
    }

    pub(super) fn frame_answered(&mut self, name: &str, answer: &RestResponse) {
        let Some(socket) = self.sockets.get_mut(name) else {
            return;
        };
        socket.is_busy = false;
        let frame = answer.frame(&self.world, socket.handshake.application());
        let message = frame.and_then(|frame| serde_json::from_slice(&frame).ok());
        self.frames
            .extend(message.map(|message| (name.to_owned(), message)));
    }

    /// Compares all answers of the trace that came as frames: on each socket they come in order.
    pub(super) fn compare_frames(&mut self) {
        let scenario = self.scenario;
        let mut came = std::mem::take(&mut self.frames);
        for (_, message) in &came {
            self.tally.event(message);
        }
        let frames = |member: &'static str| {
            let lines = scenario.lines.iter();
            lines.filter(move |line| line.value["rest"].get(member).is_some())
        };
        let mut requests: Vec<_> = frames("request").collect();
        for line in frames("response") {
            let expected = &line.value["rest"]["response"];
            self.tally.expected_event(expected);
            let name = socket_of(scenario, line);
            let place = requests
                .iter()
                .position(|line| socket_of(scenario, line) == name);
            let request = place.map(|place| requests.remove(place));
            let place = came.iter().position(|(socket, _)| *socket == name);
            let found = match place.map(|place| came.remove(place)) {
                Some((_, message)) => {
                    answers::frame_differences(expected, &message, &mut self.names)
                }
                None => vec!["this answer expected, none came".to_owned()],
            };
            if let Some(request) = request {
                let request = &request.value["rest"]["request"];
                let uri = request["uri"].as_str().unwrap_or_default();
                let http = serde_json::json!({
                    "method": request["method"], "path": format!("/ari/{uri}"),
                    "status": expected["status_code"],
                });
                self.count(&http, found.is_empty());
            }
            for text in found {
                self.differ(line, text);
            }
        }
        for (socket, message) in came {
            let last = scenario.lines.last().map_or(1, |line| line.number);
            let text = format!("no answer on {socket} expected, {message} came");
            self.differ_at(last, text);
        }
    }
}
