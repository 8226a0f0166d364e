//! The order of a trace: what the client does, and what comes of it.

use std::{collections::HashSet, time::Duration};

use serde_json::Value;

use super::form::Form;
use crate::trace::{Exchange, Opening, Trace, What};

/// How long before the answer of its WebSocket an application may be told that it was replaced.
const REPLACED_WITHIN: Duration = Duration::from_secs(1);

/// Something that the client did.
#[derive(Debug)]
pub(super) struct Step {
    /// Number of the line.
    pub(super) line: usize,
    /// When it began.
    pub(super) sent: Duration,
    /// When its answer came.
    pub(super) at: Duration,
    /// Place of its beginning and of its answer among all that happened.
    pub(super) begins: usize,
    pub(super) ends: usize,
    pub(super) what: Deed,
}

#[derive(Debug)]
pub(super) enum Deed {
    Exchange {
        form: Form,
        exchange: Exchange,
    },
    Open(Opening),
    Close {
        socket: String,
    },
    Request {
        socket: String,
        /// `None`: the text is no request.
        form: Option<Form>,
        text: String,
        response: Option<String>,
    },
}

impl Step {
    /// What it is, for people.
    pub(super) fn title(&self) -> String {
        let what = match &self.what {
            Deed::Exchange { form, .. } => format!("{} {}", form.method, form.path),
            Deed::Open(opening) => {
                let app = opening.query.iter().find(|(name, _)| name == "app");
                let app = app.map_or("", |(_, app)| app);
                format!("a WebSocket of {app}")
            }
            Deed::Close { socket } => format!("the end of the WebSocket {socket}"),
            Deed::Request {
                form: Some(form), ..
            } => format!("{} {} over the WebSocket", form.method, form.path),
            Deed::Request { text, .. } => format!("the text {text:?}"),
        };
        format!("{what} (line {})", self.line)
    }
}

/// Something that Asterisk did of itself.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) at: Duration,
    /// Place among all that happened.
    pub(super) place: usize,
    /// How many steps were begun before.
    pub(super) needs: usize,
    pub(super) socket: String,
    pub(super) what: Told,
}

#[derive(Debug)]
pub(super) enum Told {
    Message(String),
    End(Option<u16>),
}

/// All steps and items, each in their order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) items: Vec<Item>,
    /// Ids that the client chose: it named them before Asterisk did.
    pub(super) chosen: HashSet<String>,
}

/// A line, or its beginning.
enum Mark {
    Begins(usize),
    Ends(usize),
    Item(usize),
}

impl Plan {
    pub(super) fn new(trace: Trace) -> Self {
        let mut plan = Self::default();
        let mut marks = Vec::new();
        let mut replaced: Vec<Duration> = Vec::new();
        for line in trace.lines {
            let (at, mut sent) = (line.at, line.sent);
            let message = |socket: String, told: Told| Item {
                at,
                place: 0,
                needs: 0,
                socket,
                what: told,
            };
            let deed = match line.what {
                What::Aside => continue,
                What::Event { socket, frame } => {
                    if is_replaced(&frame) {
                        replaced.push(at);
                    }
                    plan.items.push(message(socket, Told::Message(frame)));
                    marks.push((at, Mark::Item(plan.items.len() - 1)));
                    continue;
                }
                What::Ended { socket, code } => {
                    plan.items.push(message(socket, Told::End(code)));
                    marks.push((at, Mark::Item(plan.items.len() - 1)));
                    continue;
                }
                What::Response { socket, frame } => {
                    if let Some(step) = plan.asked(&socket, &frame) {
                        plan.steps[step].at = at;
                        if let Deed::Request { response, .. } = &mut plan.steps[step].what {
                            *response = Some(frame);
                        }
                        marks.push((at, Mark::Ends(step)));
                    } else {
                        plan.items.push(message(socket, Told::Message(frame)));
                        marks.push((at, Mark::Item(plan.items.len() - 1)));
                    }
                    continue;
                }
                What::Exchange(exchange) => Deed::Exchange {
                    form: Form::new(
                        &exchange.method,
                        &exchange.path,
                        &exchange.query,
                        &exchange.body,
                    ),
                    exchange,
                },
                What::Open(opening) => {
                    // The old socket hears of it before the new one is answered.
                    let first = replaced.drain(..).next();
                    if let Some(first) =
                        first.filter(|first| at.saturating_sub(*first) < REPLACED_WITHIN)
                    {
                        sent = sent.min(first.saturating_sub(Duration::from_micros(1)));
                    }
                    Deed::Open(opening)
                }
                What::Close { socket } => Deed::Close { socket },
                What::Request { socket, frame } => Deed::Request {
                    socket,
                    form: Form::of_frame(&frame),
                    text: frame,
                    response: None,
                },
            };
            let answered = matches!(deed, Deed::Exchange { .. } | Deed::Open(_));
            plan.steps.push(Step {
                line: line.number,
                sent,
                at,
                begins: 0,
                ends: 0,
                what: deed,
            });
            let step = plan.steps.len() - 1;
            marks.push((sent, Mark::Begins(step)));
            if answered {
                marks.push((at, Mark::Ends(step)));
            }
        }
        marks.sort_by_key(|(time, _)| *time);
        plan.number(&marks);
        plan
    }

    /// The request that a response answers: that of its transaction, or the first without an answer.
    fn asked(&self, socket: &str, frame: &str) -> Option<usize> {
        let transaction = transaction(frame);
        let waiting = || {
            self.steps.iter().enumerate().filter(|(_, step)| {
                matches!(&step.what, Deed::Request { socket: by, response: None, .. } if by == socket)
            })
        };
        let same = waiting().find(|(_, step)| match &step.what {
            Deed::Request { text, .. } => {
                !transaction.is_empty() && self::transaction(text) == transaction
            }
            _ => false,
        });
        same.or_else(|| waiting().next()).map(|(step, _)| step)
    }

    /// Gives each its place, and finds out who chose the ids.
    fn number(&mut self, marks: &[(Duration, Mark)]) {
        let mut begun = 0;
        let mut told = HashSet::new();
        for (place, (_, mark)) in marks.iter().enumerate() {
            match *mark {
                Mark::Begins(step) => {
                    begun += 1;
                    self.steps[step].begins = place;
                    self.steps[step].ends = place;
                    let form = match &self.steps[step].what {
                        Deed::Exchange { form, .. } => Some(form),
                        Deed::Request { form, .. } => form.as_ref(),
                        Deed::Open(_) | Deed::Close { .. } => None,
                    };
                    let ids = form.map(Form::ids).unwrap_or_default();
                    self.chosen
                        .extend(ids.into_iter().filter(|id| !told.contains(id)));
                }
                Mark::Ends(step) => {
                    let step = &mut self.steps[step];
                    step.ends = place;
                    match &step.what {
                        Deed::Exchange { exchange, .. } => {
                            if let crate::trace::Payload::Json(text) = &exchange.response {
                                strings(text, &mut told);
                            }
                        }
                        Deed::Request {
                            response: Some(text),
                            ..
                        } => strings(text, &mut told),
                        _ => {}
                    }
                }
                Mark::Item(item) => {
                    let item = &mut self.items[item];
                    item.place = place;
                    item.needs = begun;
                    if let Told::Message(text) = &item.what {
                        strings(text, &mut told);
                    }
                }
            }
        }
        self.items.sort_by_key(|item| item.place);
        self.steps.sort_by_key(|step| step.begins);
    }
}

/// Collects the texts of a document.
fn strings(text: &str, into: &mut HashSet<String>) {
    fn collect(value: &Value, into: &mut HashSet<String>) {
        match value {
            Value::String(text) if text.starts_with(['{', '[']) => strings(text, into),
            Value::String(text) => drop(into.insert(text.clone())),
            Value::Array(items) => items.iter().for_each(|item| collect(item, into)),
            Value::Object(members) => members.values().for_each(|value| collect(value, into)),
            _ => {}
        }
    }
    if let Ok(value) = serde_json::from_str(text) {
        collect(&value, into);
    }
}

fn is_replaced(event: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Kind {
        #[serde(rename = "type", default)]
        kind: String,
    }
    serde_json::from_str(event).is_ok_and(|kind: Kind| kind.kind == "ApplicationReplaced")
}

fn transaction(frame: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Transaction {
        #[serde(default)]
        transaction_id: String,
    }
    serde_json::from_str(frame)
        .map_or_else(|_| String::new(), |known: Transaction| known.transaction_id)
}
