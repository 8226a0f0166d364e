//! What was seen and what matched, over all scenarios.

use std::collections::BTreeMap;

use ari_core::OperationSpec;
use ari_sim::wire::HttpAnswer;
use serde_json::Value;

use super::shapes::Shape;

/// How often something was seen, and how often it matched.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) seen: u32,
    pub(crate) matched: u32,
}

impl Count {
    fn add(&mut self, matched: bool) {
        self.seen += 1;
        self.matched += u32::from(matched);
    }

    fn join(&mut self, other: Self) {
        self.seen += other.seen;
        self.matched += other.matched;
    }

    /// Whether there was none, or one matched.
    const fn is_faithful(self) -> bool {
        self.seen == 0 || self.matched > 0
    }
}

/// The steps of one operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) accepted: Count,
    pub(crate) refused: Count,
    /// Single exchanges, of which only the shapes are compared.
    pub(crate) exchanges: Count,
}

impl Steps {
    /// Whether no scenario has such a step.
    pub(crate) const fn has_no_step(self) -> bool {
        self.accepted.seen + self.refused.seen == 0
    }

    /// One accepted and one refused step match, where there are any; without any step all exchanges do.
    pub(crate) const fn is_faithful(self) -> bool {
        if self.has_no_step() {
            return self.exchanges.seen > 0 && self.exchanges.matched == self.exchanges.seen;
        }
        self.accepted.is_faithful() && self.refused.is_faithful()
    }
}

/// Method, path template and status of an answer.
pub(crate) type Kind = (String, String, u16);

/// Shapes that were recorded, and ours.
#[derive(Default)]
pub(crate) struct Shapes {
    pub(crate) recorded: Vec<Shape>,
    pub(crate) ours: Vec<Shape>,
}

/// What was seen in scenarios.
#[derive(Default)]
pub(crate) struct Tally {
    /// By the name of the operation.
    pub(crate) operations: BTreeMap<String, Steps>,
    /// Shapes of events that the world has told, by type.
    pub(crate) told: BTreeMap<String, Vec<Shape>>,
    /// Shapes of events that were recorded, by type.
    pub(crate) recorded: BTreeMap<String, Vec<Shape>>,
    /// What was answered, of each kind.
    pub(crate) answers: BTreeMap<Kind, Shapes>,
}

/// How an operation is named.
pub(crate) fn name_of(operation: &OperationSpec) -> String {
    format!("{}.{}", operation.resource, operation.name)
}

impl Tally {
    pub(crate) fn step(&mut self, operation: &OperationSpec, accepted: bool, matched: bool) {
        let steps = self.operations.entry(name_of(operation)).or_default();
        if accepted {
            steps.accepted.add(matched);
        } else {
            steps.refused.add(matched);
        }
    }

    pub(crate) fn exchange(&mut self, operation: &OperationSpec, matched: bool) {
        let steps = self.operations.entry(name_of(operation)).or_default();
        steps.exchanges.add(matched);
    }

    /// Keeps the shapes of an answer: that of the trace, and ours.
    pub(crate) fn answer(&mut self, http: &Value, answer: &HttpAnswer) {
        let method = http["method"].as_str().unwrap_or_default();
        let Some(operation) = super::door::operation_of(method, &super::door::target_of(http))
        else {
            return;
        };
        let body = serde_json::from_slice(&answer.body).unwrap_or_default();
        let path = operation.path.to_owned();
        let ours = (method.to_owned(), path.clone(), answer.status);
        push(
            &mut self.answers.entry(ours).or_default().ours,
            Shape::of(&body),
        );
        let status = http["status"]
            .as_u64()
            .and_then(|status| status.try_into().ok());
        if let Some(status) = status {
            let recorded = (method.to_owned(), path, status);
            let shape = Shape::of(&http["response"]);
            push(
                &mut self.answers.entry(recorded).or_default().recorded,
                shape,
            );
        }
    }

    pub(crate) fn event(&mut self, event: &Value) {
        note(&mut self.told, event);
    }

    pub(crate) fn expected_event(&mut self, event: &Value) {
        note(&mut self.recorded, event);
    }

    pub(crate) fn join(&mut self, other: Self) {
        for (name, steps) in other.operations {
            let known = self.operations.entry(name).or_default();
            known.accepted.join(steps.accepted);
            known.refused.join(steps.refused);
            known.exchanges.join(steps.exchanges);
        }
        for (known, more) in [
            (&mut self.told, other.told),
            (&mut self.recorded, other.recorded),
        ] {
            for (kind, shapes) in more {
                push_all(known.entry(kind).or_default(), shapes);
            }
        }
        for (kind, shapes) in other.answers {
            let known = self.answers.entry(kind).or_default();
            push_all(&mut known.recorded, shapes.recorded);
            push_all(&mut known.ours, shapes.ours);
        }
    }
}

fn note(shapes: &mut BTreeMap<String, Vec<Shape>>, event: &Value) {
    let kind = event["type"].as_str().unwrap_or_default().to_owned();
    push(shapes.entry(kind).or_default(), Shape::of(event));
}

fn push_all(shapes: &mut Vec<Shape>, more: Vec<Shape>) {
    for shape in more {
        push(shapes, shape);
    }
}

fn push(shapes: &mut Vec<Shape>, shape: Shape) {
    if !shapes.contains(&shape) {
        shapes.push(shape);
    }
}
