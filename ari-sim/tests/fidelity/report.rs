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
    writeln!(
        out,
        "\n{:<44} {:>16} {:>16}",
        "operation (matched/seen)", "accepted", "refused"
    )?;
    let mut faithful = 0;
    for operation in registry::OPERATIONS {
        let name = name_of(operation);
        let steps = run.tally.operations.get(&name).copied().unwrap_or_default();
        faithful += usize::from(steps.is_faithful());
        let (accepted, refused) = (shown(steps.accepted), shown(steps.refused));
        writeln!(
            out,
            "{name:<44} {accepted:>16} {refused:>16}{}",
            remark(steps)
        )?;
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

const fn remark(steps: Steps) -> &'static str {
    if steps.is_faithful() {
        ""
    } else {
        "  not faithful"
    }
}
