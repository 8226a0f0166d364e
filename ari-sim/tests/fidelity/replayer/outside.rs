//! What happens outside ARI: the dialplan, SIP phones, the manager interface, the console.

use std::time::Duration;

use ari_core::Timestamp;
use ari_sim::{
    CallScript, Cue, Phone, WorldOptions,
    world::{Dialplan, PhoneOutcome},
};
use serde_json::Value;

use super::trace::{Line, Scenario};

/// How long a SIP phone takes for its final answer where the trace does not say it.
const FINAL_ANSWER: Duration = Duration::from_millis(305);

/// The world of a scenario, before anything happens in it.
pub(crate) fn options(scenario: &Scenario) -> WorldOptions {
    // The endpoints of the Asterisk that was recorded: two have not registered, and nobody is at the third
    // unless the scenario starts a phone.
    let nobody = Phone {
        rings_after: None,
        outcome: PhoneOutcome::Silent,
    };
    let mut options = WorldOptions::default()
        .phone("alice", Phone::offline())
        .phone("bob", Phone::offline())
        .phone("sipp", nobody);
    if let Some(beginning) = beginning(scenario) {
        options.beginning = beginning;
    }
    for (exten, steps) in &scenario.header.dialplan {
        options = options.dialplan(extension(exten, steps));
    }
    for line in &scenario.lines {
        if let Some(added) = line.value["cli"]["command"].as_str().and_then(added) {
            options = options.dialplan(added);
        }
        if line.value["sip"]["role"] == "uas" {
            let name = phone_name(&line.value["sip"]);
            options = options.phone(name, phone(line.value["note"].as_str().unwrap_or_default()));
        }
    }
    options
}

/// When the websocket was opened, in milliseconds since 1970: an event arrives a moment after its time.
fn beginning(scenario: &Scenario) -> Option<i64> {
    let stamps = scenario.lines.iter().filter_map(|line| {
        let stamp = line.value["event"]["timestamp"].as_str()?;
        let stamp: Timestamp = stamp.parse().ok()?;
        let since = stamp.unix_millis().checked_sub(whole(line.arrived))?;
        Some(since)
    });
    stamps.max()
}

/// Whole milliseconds.
fn whole(millis: f64) -> i64 {
    let elapsed = Duration::try_from_secs_f64(millis / 1_000.0).unwrap_or_default();
    i64::try_from(elapsed.as_millis()).unwrap_or_default()
}

/// An extension, of the steps that are any.
fn extension(exten: &str, steps: &[String]) -> Dialplan {
    let mut text = String::new();
    for step in steps {
        let key = if text.is_empty() {
            format!("exten => {exten},")
        } else {
            "same => ".to_owned()
        };
        let longer = format!("{text}{key}{step}\n");
        if Dialplan::parse(&longer).is_ok() {
            text = longer;
        }
    }
    Dialplan::parse(&text).unwrap_or_default()
}

/// The extension of `dialplan add extension 1030,1,Dial,Local/1015@default into default`.
pub(crate) fn added(command: &str) -> Option<Dialplan> {
    let rest = command.trim().strip_prefix("dialplan add extension ")?;
    let (what, context) = rest.split_once(" into ")?;
    let mut fields = what.splitn(4, ',');
    let (exten, priority, app) = (fields.next()?, fields.next()?, fields.next()?);
    let context = context.split_whitespace().next()?;
    let mut dialplan = Dialplan::default();
    let call = match fields.next() {
        Some(data) => format!("{app}({data})"),
        None => app.to_owned(),
    };
    dialplan.extension(context, exten, priority.parse().ok()?, &call);
    Some(dialplan)
}

fn phone_name(sip: &Value) -> String {
    let to = sip["to"].as_str().unwrap_or("PJSIP/sipp");
    to.rsplit('/').next().unwrap_or(to).to_owned()
}

/// What a phone does, from a note such as `180, 200 after 500 ms`.
fn phone(note: &str) -> Phone {
    let statuses: Vec<(usize, u16)> = words(note)
        .filter_map(|(place, word)| {
            let status = word.parse::<u16>().ok()?;
            (100..700).contains(&status).then_some((place, status))
        })
        .filter(|(place, _)| !is_time(note, *place))
        .collect();
    let rings = statuses
        .iter()
        .any(|(_, status)| matches!(status, 180..=189));
    let end = statuses.iter().find(|(_, status)| *status >= 200);
    let after = end
        .and_then(|(place, _)| delay(&note[*place..]))
        .unwrap_or(FINAL_ANSWER);
    let outcome = match end.map(|(_, status)| *status) {
        Some(200..=299) => PhoneOutcome::Answers(after),
        Some(status) => PhoneOutcome::Refuses(cause(status), after),
        None => PhoneOutcome::Silent,
    };
    Phone {
        rings_after: rings.then_some(Duration::ZERO),
        outcome,
    }
}

/// The words of a text, and where each begins.
fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let start = text.as_ptr() as usize;
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty())
        .map(move |word| (word.as_ptr() as usize - start, word))
}

fn is_time(text: &str, place: usize) -> bool {
    let rest = text[place..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let unit = rest.trim_start();
    unit.starts_with("ms") || unit.starts_with("s ") || unit == "s"
}

/// The first time in a note: `after 500 ms`, `1.5 s`.
pub(crate) fn delay(note: &str) -> Option<Duration> {
    let mut words = words(note).peekable();
    while let Some((_, word)) = words.next() {
        let Ok(number) = word.parse::<f64>() else {
            continue;
        };
        let seconds = match words.peek() {
            Some((_, "ms")) => number / 1_000.0,
            Some((_, "s")) => number,
            _ => continue,
        };
        return Duration::try_from_secs_f64(seconds).ok();
    }
    None
}

/// The cause of a hangup for the status with which a SIP phone refuses.
fn cause(status: u16) -> u16 {
    match status {
        401..=403 | 407 | 603 => 21,
        404 | 485 | 604 => 1,
        408 => 18,
        410 => 22,
        480 => 19,
        484 => 28,
        486 | 600 => 17,
        488 | 606 => 58,
        502 => 38,
        503 => 34,
        _ => 127,
    }
}

/// A call of a SIP phone: when it reaches Asterisk, and what the phone does.
pub(crate) struct Call {
    pub(crate) at: f64,
    pub(crate) script: CallScript,
}

/// The call that a line of a trace begins, with when its caller hangs up.
///
/// A trace does not say how long the phone takes for what it does: that is seen where it first shows.
pub(crate) fn call(scenario: &Scenario, place: usize) -> Option<Call> {
    let line = &scenario.lines[place];
    let sip = &line.value["sip"];
    if sip["role"] != "uac" {
        return None;
    }
    let later = &scenario.lines[place + 1..];
    let shows = |lines: &[Line], kind: &str| {
        let found = lines
            .iter()
            .find(|line| line.value["event"]["type"] == kind);
        found.map(|line| line.arrived)
    };
    let at = shows(later, "StasisStart").unwrap_or(line.arrived);
    let to = sip["to"].as_str().unwrap_or_default();
    let exten = to.split('@').next().unwrap_or_default();
    let caller_id = caller_id(scenario).unwrap_or("\"Sip Caller\" <7001>");
    let mut script = CallScript::to_extension(exten)
        .caller_id(caller_id)
        .give_up_after(Duration::from_hours(1))
        .limit(Duration::from_hours(1));
    "sipp".clone_into(&mut script.endpoint);
    if let Some(seen) = hangup_after(later) {
        let after = Duration::try_from_secs_f64((seen - at) / 1_000.0).unwrap_or_default();
        script = script.hang_up(Cue::Placed, after);
    }
    Some(Call { at, script })
}

/// When the phone of a note hangs up that was called: its name, where this line lets one wait.
pub(crate) fn called_hangs_up(scenario: &Scenario, place: usize) -> Option<(f64, String)> {
    let sip = &scenario.lines[place].value["sip"];
    if sip["role"] != "uas" {
        return None;
    }
    let seen = hangup_after(&scenario.lines[place + 1..])?;
    Some((seen, phone_name(sip)))
}

/// When a phone hangs up that began to call, or to wait, before these lines: a note says so.
fn hangup_after(lines: &[Line]) -> Option<f64> {
    for (place, line) in lines.iter().enumerate() {
        if line.has("sip") {
            return None;
        }
        if hangs_up(line.value["note"].as_str().unwrap_or_default()) {
            let seen = first_of_hangup(&lines[place..]);
            return Some(seen.unwrap_or(line.arrived));
        }
    }
    None
}

/// The caller that a note names, as in `INVITE from "Sip Caller" <7001>`.
fn caller_id(scenario: &Scenario) -> Option<&str> {
    let notes = scenario.lines.iter();
    notes
        .filter_map(|line| line.value["note"].as_str())
        .find_map(|note| {
            let (_, from) = note.split_once("from ")?;
            let end = from.find('>')?;
            from.get(..=end)
        })
}

/// Whether a note says that a caller ends the call.
pub(crate) fn hangs_up(note: &str) -> bool {
    ["BYE", "CANCEL", "hangs up"]
        .iter()
        .any(|word| note.contains(word))
}

/// When a hangup of a SIP phone first shows.
fn first_of_hangup(lines: &[Line]) -> Option<f64> {
    let found = lines.iter().find(|line| {
        let event = &line.value["event"];
        let variable = event["variable"].as_str().unwrap_or_default();
        event["type"] == "ChannelHangupRequest" || variable.starts_with("RTPAUDIOQOS")
    });
    found.map(|line| line.arrived)
}
