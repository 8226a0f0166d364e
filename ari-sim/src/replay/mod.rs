//! Serves what was recorded, without doing it: time is passed in.

mod answer;
mod form;
mod plan;
mod server;
mod speed;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

pub use self::{
    answer::ReplayAnswer,
    server::ReplayServer,
    speed::{InvalidSpeed, Speed},
};
use self::{
    form::{Form, Names, body_of},
    plan::{Deed, Plan, Told},
};
use crate::trace::{Trace, json, query::pairs};

/// Steps that a refusal names as those that would come next.
const NAMED: usize = 3;

/// A WebSocket of a [`Replay`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplaySocket(u64);

/// A request of a [`Replay`] whose answer is still to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayTicket(u64);

/// What a [`Replay`] wants to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReplayOutput {
    /// Answer this request.
    Answer(ReplayTicket, ReplayAnswer),
    /// Send this text by a WebSocket.
    Message(ReplaySocket, String),
    /// End a WebSocket, with a close frame of this code or without one.
    End(ReplaySocket, Option<u16>),
    /// Tell people what does not fit the trace.
    Problem(String),
}

/// A recorded trace that is served as if Asterisk did it again.
///
/// It has neither clock nor sockets: time is how long after the beginning something is, passed in.
///
/// - A request gets the answer of the first recorded one that was not asked yet and is the same
///   operation with the same parameters, wherever query or body carry them; outside ARI path, query
///   and body must be the same. Credentials are not looked at.
/// - An id that the recorded client chose may be another one: it is that from then on, in what is asked
///   and in what is told. Ids that Asterisk made are as recorded, and so are all times.
/// - An event that was recorded after a request was begun is not sent before that request is asked. It
///   comes as long after the last of them as it did, divided by the speed; events keep their order.
/// - A request that is not in the trace is refused (404), or is no more (409), with the ones that would
///   be next; it changes nothing.
#[derive(Debug)]
pub struct Replay {
    plan: Plan,
    speed: Speed,
    names: Names,
    /// When each step was done.
    done: Vec<Option<Duration>>,
    /// All steps before this one were done.
    complete: usize,
    /// Items before this one were sent.
    next: usize,
    /// Steps that are to be answered, by whom.
    asked: BTreeMap<usize, Asked>,
    sockets: BTreeMap<String, ReplaySocket>,
    ready: VecDeque<ReplayOutput>,
    last: u64,
}

#[derive(Debug)]
enum Asked {
    Http(ReplayTicket),
    /// By the WebSocket, with the ids of its request.
    Frame(ReplaySocket, RequestIds),
}

#[derive(Debug, Default, serde::Deserialize)]
struct RequestIds {
    transaction_id: Option<String>,
    request_id: Option<String>,
}

impl Replay {
    /// Makes one of a trace.
    pub fn new(trace: Trace, speed: Speed) -> Self {
        let generated = trace.generated.clone();
        let mut plan = Plan::new(trace);
        for id in &generated {
            plan.chosen.remove(id);
        }
        let names = Names::new(std::mem::take(&mut plan.chosen));
        Self {
            speed,
            names,
            done: vec![None; plan.steps.len()],
            complete: 0,
            next: 0,
            asked: BTreeMap::new(),
            sockets: BTreeMap::new(),
            ready: VecDeque::new(),
            last: 0,
            plan,
        }
    }

    /// Serves it over HTTP and WebSocket at an address; port 0 takes a free one.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn serve(
        self,
        address: impl Into<std::net::SocketAddr>,
    ) -> std::io::Result<ReplayServer> {
        server::serve(self, address.into()).await
    }

    /// Asks: path as in the request line, query without its question mark. The answer is an output.
    pub fn request(
        &mut self,
        now: Duration,
        method: &str,
        path: &str,
        query: &str,
        body: &[u8],
    ) -> ReplayTicket {
        self.last += 1;
        let ticket = ReplayTicket(self.last);
        let body = body_of(&String::from_utf8_lossy(body));
        let asked = Form::new(method, path, &pairs(query), &body);
        let found = self.find(|deed, names, binding| match deed {
            Deed::Exchange { form, .. } => form.matches(&asked, names, binding),
            _ => None,
        });
        if let Some(step) = found {
            self.do_step(step, now);
            self.asked.insert(step, Asked::Http(ticket));
            return ticket;
        }
        let known = self.plan.steps.iter().any(
            |step| matches!(&step.what, Deed::Exchange { form, .. } if form.same_target(&asked)),
        );
        let answer = self.refuse(&format!("{method} {path}"), known);
        self.ready.push_back(ReplayOutput::Answer(ticket, answer));
        ticket
    }

    /// Opens a WebSocket with this query.
    ///
    /// # Errors
    /// It was refused when it was recorded, or is not in the trace: the answer.
    pub fn open(&mut self, now: Duration, query: &str) -> Result<ReplaySocket, ReplayAnswer> {
        let asked = socket_query(&pairs(query));
        let found = self.find(|deed, _, _| match deed {
            Deed::Open(opening) if socket_query(&opening.query) == asked => Some(Vec::new()),
            _ => None,
        });
        let Some(step) = found else {
            let app = asked.iter().find(|(name, _)| name == "app");
            let app = app.map_or("", |(_, app)| app);
            return Err(self.refuse(&format!("a WebSocket of {app:?}"), false));
        };
        self.do_step(step, now);
        let Deed::Open(opening) = &self.plan.steps[step].what else {
            return Err(ReplayAnswer::refusal(500, "the plan is wrong"));
        };
        if opening.status != 101 {
            return Err(ReplayAnswer::of_opening(
                opening.status,
                opening.response.as_deref(),
            ));
        }
        self.last += 1;
        let socket = ReplaySocket(self.last);
        self.sockets.insert(opening.socket.clone(), socket);
        Ok(socket)
    }

    /// A WebSocket was closed by its client, or dropped.
    pub fn left(&mut self, now: Duration, socket: ReplaySocket) {
        let Some(name) = self.name_of(socket) else {
            return;
        };
        self.sockets.remove(&name);
        let found = self.find(|deed, _, _| match deed {
            Deed::Close { socket } if *socket == name => Some(Vec::new()),
            _ => None,
        });
        if let Some(step) = found {
            self.do_step(step, now);
        }
    }

    /// A text came by a WebSocket.
    pub fn frame(&mut self, now: Duration, socket: ReplaySocket, text: &str) {
        let Some(name) = self.name_of(socket) else {
            return;
        };
        let asked = Form::of_frame(text);
        let found = self.find(|deed, names, binding| match deed {
            Deed::Request {
                socket,
                form,
                text: recorded,
                ..
            } if *socket == name => match (form, &asked) {
                (Some(form), Some(asked)) => form.matches(asked, names, binding),
                _ => same_text(recorded, text).then(Vec::new),
            },
            _ => None,
        });
        let ids: RequestIds = serde_json::from_str(text).unwrap_or_default();
        if let Some(step) = found {
            self.do_step(step, now);
            if matches!(
                &self.plan.steps[step].what,
                Deed::Request {
                    response: Some(_),
                    ..
                }
            ) {
                self.asked.insert(step, Asked::Frame(socket, ids));
            }
            return;
        }
        let what = asked.as_ref().map_or_else(
            || format!("the text {text:?}"),
            |form| format!("{} {} over the WebSocket", form.method, form.path),
        );
        let answer = self.refuse(&what, false);
        let response = serde_json::json!({
            "type": "RESTResponse",
            "transaction_id": ids.transaction_id.unwrap_or_default(),
            "request_id": ids.request_id.unwrap_or_default(),
            "status_code": answer.status,
            "reason_phrase": answer.reason,
            "uri": asked.map_or_else(String::new, |form| form.path),
            "content_type": "application/json",
            "message_body": String::from_utf8_lossy(&answer.body),
        });
        self.ready
            .push_back(ReplayOutput::Message(socket, response.to_string()));
    }

    /// What is to be done now; `None`: nothing before the time of [`due`](Self::due).
    pub fn poll(&mut self, now: Duration) -> Option<ReplayOutput> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Some(output);
            }
            let item = self.item_due().filter(|due| *due <= now);
            let answer = self
                .asked
                .keys()
                .copied()
                .filter(|step| self.answer_due(*step).is_some_and(|due| due <= now))
                .min_by_key(|step| self.plan.steps[*step].ends);
            let first = match (item, answer) {
                (None, None) => return None,
                (Some(_), None) => None,
                (None, answer) => answer,
                (Some(_), Some(step)) => {
                    let before = self.plan.steps[step].ends < self.plan.items[self.next].place;
                    before.then_some(step)
                }
            };
            let output = match first {
                Some(step) => self.answer(step),
                None => self.item(),
            };
            if output.is_some() {
                return output;
            }
        }
    }

    /// When [`poll`](Self::poll) has something, unless something is asked before.
    pub fn due(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let answers = self.asked.keys().filter_map(|step| self.answer_due(*step));
        answers.chain(self.item_due()).min()
    }

    /// Whether all was asked, answered and told.
    pub fn is_over(&self) -> bool {
        self.ready.is_empty()
            && self.asked.is_empty()
            && self.complete == self.plan.steps.len()
            && self.next == self.plan.items.len()
    }

    /// The steps that would come next.
    pub fn expected(&self) -> impl Iterator<Item = String> {
        let steps = self.plan.steps.iter().zip(&self.done);
        steps
            .filter(|(_, done)| done.is_none())
            .map(|(step, _)| step.title())
    }

    /// Finds the first step that was not done and fits: with the ids that are known rather than with
    /// others for them.
    fn find(
        &mut self,
        fits: impl Fn(&Deed, &Names, bool) -> Option<Vec<(String, String)>>,
    ) -> Option<usize> {
        let (step, bindings) = [false, true].into_iter().find_map(|binding| {
            let steps = self.plan.steps.iter().enumerate().skip(self.complete);
            steps
                .filter(|(step, _)| self.done[*step].is_none())
                .find_map(|(index, step)| Some((index, fits(&step.what, &self.names, binding)?)))
        })?;
        self.names.bind(bindings);
        Some(step)
    }

    fn do_step(&mut self, step: usize, now: Duration) {
        self.done[step] = Some(now);
        while self.done.get(self.complete).is_some_and(Option::is_some) {
            self.complete += 1;
        }
    }

    fn name_of(&self, socket: ReplaySocket) -> Option<String> {
        let mut known = self.sockets.iter();
        known
            .find(|(_, known)| **known == socket)
            .map(|(name, _)| name.clone())
    }

    /// When the next item is due; `None`: it waits for a step, or there is none.
    fn item_due(&self) -> Option<Duration> {
        let item = self.plan.items.get(self.next)?;
        if item.needs > self.complete {
            return None;
        }
        let (began, sent) = match item.needs.checked_sub(1) {
            None => (Duration::ZERO, Duration::ZERO),
            Some(step) => (self.done[step]?, self.plan.steps[step].sent),
        };
        Some(began.saturating_add(self.speed.of(item.at.saturating_sub(sent))))
    }

    /// When an answer is due; `None`: an event comes first that is not sent yet.
    fn answer_due(&self, step: usize) -> Option<Duration> {
        let began = self.done[step]?;
        let recorded = &self.plan.steps[step];
        let first = self.plan.items[self.next..]
            .iter()
            .take_while(|item| item.place < recorded.ends && item.needs <= self.complete)
            .any(|item| item.place > recorded.begins);
        if first {
            return None;
        }
        Some(began.saturating_add(self.speed.of(recorded.at.saturating_sub(recorded.sent))))
    }

    fn item(&mut self) -> Option<ReplayOutput> {
        let item = self.plan.items.get(self.next)?;
        self.next += 1;
        let socket = self.sockets.get(&item.socket).copied();
        let Some(socket) = socket else {
            let problem = format!("an event is lost: the WebSocket {} is gone", item.socket);
            return Some(ReplayOutput::Problem(problem));
        };
        match &item.what {
            Told::Message(text) => Some(ReplayOutput::Message(socket, self.names.document(text))),
            Told::End(code) => {
                self.sockets.remove(&item.socket);
                Some(ReplayOutput::End(socket, *code))
            }
        }
    }

    fn answer(&mut self, step: usize) -> Option<ReplayOutput> {
        match (self.asked.remove(&step)?, &self.plan.steps[step].what) {
            (Asked::Http(ticket), Deed::Exchange { exchange, .. }) => {
                let answer = ReplayAnswer::of(exchange, &self.names);
                Some(ReplayOutput::Answer(ticket, answer))
            }
            (Asked::Frame(socket, ids), Deed::Request { response, .. }) => {
                let text = json::rewrite(response.as_deref()?, &|place, text| {
                    let own = match place.member {
                        "transaction_id" => ids.transaction_id.clone(),
                        "request_id" => ids.request_id.clone(),
                        "uri" => Some(self.names.path(text)),
                        _ => None,
                    };
                    own.or_else(|| self.names.here(text))
                })?;
                Some(ReplayOutput::Message(socket, text))
            }
            _ => None,
        }
    }

    fn refuse(&mut self, what: &str, known: bool) -> ReplayAnswer {
        let next: Vec<_> = self.expected().take(NAMED).collect();
        let next = if next.is_empty() {
            "the trace is over".to_owned()
        } else {
            format!("next would be {}", next.join(", or "))
        };
        let (status, message) = if known {
            (
                409,
                format!("{what} is in the trace, but not like this, or was asked already; {next}"),
            )
        } else {
            (404, format!("{what} is not in the trace; {next}"))
        };
        self.ready.push_back(ReplayOutput::Problem(message.clone()));
        ReplayAnswer::refusal(status, &message)
    }
}

/// What tells one WebSocket from another.
fn socket_query(query: &[(String, String)]) -> Vec<(String, String)> {
    let mut told: Vec<_> = query
        .iter()
        .filter(|(name, value)| {
            name == "app"
                || (name == "subscribeAll" && !matches!(&**value, "false" | "0" | "no" | ""))
        })
        .map(|(name, value)| match &**name {
            "app" => (name.clone(), value.clone()),
            _ => (name.clone(), "true".to_owned()),
        })
        .collect();
    told.sort();
    told
}

/// Whether two texts that are no requests are the same, the ids of their transactions aside.
fn same_text(recorded: &str, text: &str) -> bool {
    let members = |text: &str| -> Option<serde_json::Map<String, serde_json::Value>> {
        let mut members: serde_json::Map<_, _> =
            serde_json::from_str(&json::without_secrets(text)?).ok()?;
        members.remove("transaction_id");
        members.remove("request_id");
        Some(members)
    };
    match (members(recorded), members(text)) {
        (Some(recorded), Some(text)) => recorded == text,
        (None, None) => recorded == text || recorded == json::without_api_key(text),
        _ => false,
    }
}
