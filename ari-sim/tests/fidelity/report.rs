//! What a run says.

use std::fmt::Write as _;

use ari_core::registry;

use crate::{
    replayer::tally::{Count, Steps, name_of},
    run::Run,
};

/// The whole report; its last line has the numbers.
pub(crate) fn text(run: &Run) -> String {
    let mut out = String::new();
    write_report(run, &mut out).unwrap_or_default();
    out
}

fn write_report(run: &Run, out: &mut String) -> std::fmt::Result {
    for error in &run.unreadable {
        writeln!(out, "{error}")?;
    }
    for (file, difference, reason) in &run.differences {
        write!(
            out,
            "{file}:{}: {}: {}",
            difference.line, difference.at, difference.text
        )?;
        match reason {
            Some(reason) => writeln!(out, " (on the list: {reason})")?,
            None => writeln!(out)?,
        }
    }
    for entry in &run.stale {
        writeln!(out, "differences.toml: {entry}: does not differ any more")?;
    }
    let (accepted, refused) = ("accepted", "refused");
    writeln!(
        out,
        "\n{:<44} {accepted:>16} {refused:>16}",
        "operation (matched/seen)"
    )?;
    let mut faithful = 0;
    for operation in registry::OPERATIONS {
        let name = name_of(operation);
        let steps = run.tally.operations.get(&name).copied().unwrap_or_default();
        faithful += usize::from(steps.is_faithful());
        let (accepted, refused) = (shown(steps.accepted), shown(steps.refused));
        let remark = remark(steps);
        writeln!(out, "{name:<44} {accepted:>16} {refused:>16}{remark}")?;
    }
    let total = registry::OPERATIONS.len();
    let (scenarios, exchanges, events) = (run.scenarios, run.exchanges, run.events);
    writeln!(
        out,
        "\nfidelity: operations {faithful}/{total}, scenarios {}/{}, exchanges {}/{}, event types {}/{}",
        scenarios.matched, scenarios.of, exchanges.matched, exchanges.of, events.matched, events.of,
    )
}

fn shown(count: Count) -> String {
    if count.seen == 0 {
        return "none in the set".to_owned();
    }
    format!("{}/{}", count.matched, count.seen)
}

fn remark(steps: Steps) -> String {
    let mut remark = String::new();
    if steps.has_no_step() {
        let Count { seen, matched } = steps.exchanges;
        remark = format!("  single exchanges {matched}/{seen}");
    }
    if !steps.is_faithful() {
        remark.push_str("  not faithful");
    }
    remark
}
