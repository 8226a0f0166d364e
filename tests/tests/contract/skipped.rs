//! What a real Asterisk cannot show: its columns skip these scenarios, and no other because it is real.

use ari_core::{OperationSpec, registry::OPERATIONS};
use ari_tests::{Scenario, Went};

/// How many there may be.
const MOST: usize = 10;

struct Skipped {
    area: &'static str,
    name: &'static str,
    reason: &'static str,
    /// Operations that nothing else shows, as in `POST /channels`.
    accepted: &'static [&'static str],
    refused: &'static [&'static str],
}

const fn fault(name: &'static str) -> Skipped {
    Skipped {
        area: "faults",
        name,
        reason: "the simulator does this on command; what breaks on the way is in \"outages\"",
        accepted: &[],
        refused: &[],
    }
}

const MODULES: &[&str] = &[
    "POST /asterisk/modules/{moduleName}",
    "DELETE /asterisk/modules/{moduleName}",
    "PUT /asterisk/modules/{moduleName}",
];

const CONFIGURATION: &[&str] = &[
    "GET /asterisk/config/dynamic/{configClass}/{objectType}/{id}",
    "PUT /asterisk/config/dynamic/{configClass}/{objectType}/{id}",
    "DELETE /asterisk/config/dynamic/{configClass}/{objectType}/{id}",
];

const SKIPPED: &[Skipped] = &[
    fault("an_answer_that_goes_wrong_is_told"),
    fault("an_event_that_goes_wrong_is_told"),
    fault("a_connection_that_goes_wrong_is_told"),
    fault("an_asterisk_that_goes_away_is_told"),
    fault("another_asterisk_in_its_place_is_told"),
    Skipped {
        area: "administration",
        name: "a_module_is_reloaded_unloaded_and_loaded",
        reason: "a real Asterisk may need its modules",
        accepted: MODULES,
        refused: MODULES,
    },
    Skipped {
        area: "administration",
        name: "an_object_of_the_configuration_comes_and_goes",
        reason: "a real Asterisk keeps such objects only where its sorcery.conf says so",
        accepted: CONFIGURATION,
        refused: CONFIGURATION,
    },
    Skipped {
        area: "directory",
        name: "a_phone_is_written_to_referred_and_measured",
        reason: "no phone is registered at a real Asterisk",
        accepted: &[
            "PUT /endpoints/sendMessage",
            "PUT /endpoints/{tech}/{resource}/sendMessage",
            "POST /endpoints/refer",
            "POST /endpoints/{tech}/{resource}/refer",
            "GET /channels/{channelId}/rtp_statistics",
        ],
        refused: &[],
    },
];

impl Skipped {
    fn is(&self, scenario: &Scenario) -> bool {
        (self.area, self.name) == (scenario.area, scenario.name)
    }

    const fn shows(&self, went: Went) -> &'static [&'static str] {
        match went {
            Went::Accepted => self.accepted,
            Went::Refused => self.refused,
        }
    }
}

/// Why a real Asterisk cannot show a scenario; `None` if it can.
pub(crate) fn reason(scenario: Scenario) -> Option<&'static str> {
    let skipped = SKIPPED.iter().find(|skipped| skipped.is(&scenario));
    skipped.map(|skipped| skipped.reason)
}

/// Whether a real Asterisk is never seen to let an operation go like this.
pub(crate) fn is_unseen(operation: &OperationSpec, went: Went) -> bool {
    let operation = operation.to_string();
    let shown = SKIPPED.iter().flat_map(|skipped| skipped.shows(went));
    shown.copied().any(|shown| shown == operation)
}

/// Looks whether the list is what it says.
///
/// # Panics
/// It is too long, or names what is not there.
pub(crate) fn check(scenarios: &[Scenario]) {
    assert!(SKIPPED.len() <= MOST, "{} are skipped", SKIPPED.len());
    for skipped in SKIPPED {
        let is_there = scenarios.iter().any(|scenario| skipped.is(scenario));
        assert!(is_there, "there is no scenario {}", skipped.name);
        for operation in skipped.accepted.iter().chain(skipped.refused) {
            let is_there = OPERATIONS
                .iter()
                .any(|known| known.to_string() == *operation);
            assert!(is_there, "there is no operation {operation}");
        }
    }
}
