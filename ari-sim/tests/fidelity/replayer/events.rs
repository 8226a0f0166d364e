//! Comparing the events of a scenario: which came, with what, in which order.

use std::collections::HashMap;

use serde_json::Value;

use super::{
    names::Names,
    replay::Difference,
    trace::Header,
    values::{Freedom, differences},
};

/// How far the time of an event may be from that of the trace, in milliseconds, before it counts as one
/// of another step.
pub(crate) const SLACK: f64 = 250.0;

/// An event that was recorded, or that came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) key: String,
    pub(crate) event: Value,
    /// Names of all members in the order in which they came.
    pub(crate) members: Vec<String>,
    /// Line of the file: of the event itself, or of the step after which it came.
    pub(crate) line: usize,
    pub(crate) socket: Option<String>,
    /// For what came: how many steps had begun.
    pub(crate) begun: usize,
    /// For what was recorded: how many steps have to have begun, and may have begun.
    pub(crate) between: (usize, usize),
}

/// When each step was sent, and when its answer came.
pub(crate) fn between(at: f64, steps: &[(f64, f64)]) -> (usize, usize) {
    let before = steps
        .iter()
        .filter(|(_, answered)| *answered <= at - SLACK)
        .count();
    let may = steps.iter().filter(|(sent, _)| *sent < at + SLACK).count();
    (before, may.max(before))
}

/// What an event is about, the channel first.
fn subjects(event: &Value) -> impl Iterator<Item = &str> {
    let paths = [
        ("channel", "id"),
        ("peer", "id"),
        ("bridge", "id"),
        ("playback", "id"),
        ("recording", "name"),
        ("device_state", "name"),
        ("endpoint", "resource"),
    ];
    let subject = |(member, id)| event.get(member)?.get(id)?.as_str();
    paths.into_iter().filter_map(subject)
}

/// The key of an event, as the headers of the traces write it.
pub(crate) fn key_of(event: &Value, socket: Option<&str>) -> String {
    let text = |name: &str| event.get(name)?.as_str().map(str::to_owned);
    let mut parts: Vec<_> = subjects(event).map(str::to_owned).collect();
    for name in [
        "variable",
        "dialstatus",
        "digit",
        "eventname",
        "dialplan_app",
    ] {
        parts.extend(text(name));
    }
    if event.get("soft").is_some() {
        parts.push("True".to_owned());
    }
    let kind = text("type").unwrap_or_default();
    let socket = socket.map(|name| format!("{name}>")).unwrap_or_default();
    if parts.is_empty() {
        format!("{socket}{kind}")
    } else {
        format!("{socket}{kind}:{}", parts.join("/"))
    }
}

/// Numbers keys that occur more than once: `#2` for the second one.
fn number(events: &mut [Seen]) {
    let mut counts: HashMap<String, u32> = HashMap::new();
    for seen in events {
        seen.key = key_of(&seen.event, seen.socket.as_deref());
        let count = counts.entry(seen.key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            seen.key = format!("{}#{count}", seen.key);
        }
    }
}

/// Compares all events of a scenario; `steps` are the names of the steps in the order of their sending.
pub(crate) fn compare(
    header: &Header,
    names: &Names,
    steps: &[String],
    mut expected: Vec<Seen>,
    mut got: Vec<Seen>,
) -> Vec<Difference> {
    for seen in &mut expected {
        seen.event = names.recorded(&seen.event);
    }
    for seen in &mut got {
        seen.event = names.ours(&seen.event);
    }
    number(&mut expected);
    number(&mut got);
    let place: HashMap<&str, usize> = (0..)
        .zip(&got)
        .map(|(place, seen)| (&*seen.key, place))
        .collect();
    let not_always = |key: &str| header.not_always.iter().any(|known| known == key);
    let mut out = Vec::new();
    for seen in &expected {
        let mut differ = |text: String| out.push(Difference::new(seen.line, &seen.key, text));
        let Some(came) = place.get(&*seen.key).map(|place| &got[*place]) else {
            if !not_always(&seen.key) {
                differ("this event expected, none came".to_owned());
            }
            continue;
        };
        let kind = seen.event["type"].as_str().unwrap_or_default();
        let freedom = Freedom::new(&header.varies, &format!("event {kind}"), names);
        let found = differences(&seen.event, &came.event, "", &freedom);
        if found.is_empty() && seen.members != came.members {
            let (a, b) = (seen.members.join(" "), came.members.join(" "));
            differ(format!("members {a} expected, {b} came"));
        }
        for text in found {
            differ(text);
        }
        let step = |count: usize| steps.get(count).map_or("the end", |step| step.as_str());
        if came.begun < seen.between.0 {
            let step = step(seen.between.0 - 1);
            differ(format!("this event after {step} expected, it came before"));
        } else if came.begun > seen.between.1 {
            let step = step(seen.between.1);
            differ(format!("this event before {step} expected, it came after"));
        }
    }
    for seen in &got {
        if !expected.iter().any(|known| known.key == seen.key) && !not_always(&seen.key) {
            let text = format!(
                "no such event expected, {} came",
                super::values::shown(&seen.event)
            );
            out.push(Difference::new(seen.line, &seen.key, text));
        }
    }
    order(header, &expected, &place, &mut out);
    out
}

/// What came in the other order, where it always came in the same.
fn order(
    header: &Header,
    expected: &[Seen],
    place: &HashMap<&str, usize>,
    out: &mut Vec<Difference>,
) {
    let free = |a: &str, b: &str| {
        let pairs = &header.unordered;
        pairs
            .iter()
            .any(|(x, y)| (x == a && y == b) || (x == b && y == a))
    };
    for (index, second) in expected.iter().enumerate() {
        let Some(there) = place.get(&*second.key) else {
            continue;
        };
        let before = expected[..index].iter().find(|first| {
            // Two websockets, and two applications on one, have no order to each other.
            first.socket == second.socket
                // One run shows no order between channels, or other things.
                && (!header.is_single
                    || subjects(&first.event).next() == subjects(&second.event).next())
                && first.event["application"] == second.event["application"]
                && place.get(&*first.key).is_some_and(|here| here > there)
                && !free(&first.key, &second.key)
        });
        if let Some(first) = before {
            let text = format!(
                "after {} (line {}) expected, it came before",
                first.key, first.line
            );
            out.push(Difference::new(second.line, &second.key, text));
        }
    }
}
