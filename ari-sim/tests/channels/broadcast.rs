//! `StasisBroadcast` and claims.

use ari_sim::{WorldOptions, world::Dialplan};
use serde_json::json;

use crate::asterisk::Asterisk;

/// Somebody calls an extension that offers the call to all; its channel is `in`.
fn offered(arguments: &str) -> Asterisk {
    let mut dialplan = Dialplan::default();
    let offer = format!("StasisBroadcast({arguments})");
    dialplan.extension("default", "1012", 1, &offer);
    dialplan.extension("default", "1012", 2, "Wait(60)");
    let mut asterisk = Asterisk::with(WorldOptions::default().dialplan(dialplan));
    asterisk.register("ivr-1");
    asterisk.done(
        "POST",
        "/channels?endpoint=Local/1012@default&extension=1014&channelId=caller&otherChannelId=in&callerId=Ann<5551>",
    );
    asterisk
}

fn claim(asterisk: &mut Asterisk, application: &str) -> (u16, String) {
    asterisk.refusal(
        "POST",
        &format!("/events/claim?channelId=in&application={application}"),
    )
}

#[test]
fn the_first_one_that_claims_a_call_has_it() {
    let mut asterisk = offered("5000,,a1:a2,yes");
    let events = asterisk.events();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| (&event["type"], &event["application"]))
        .collect();
    let expected = [
        (json!("CallBroadcast"), json!("app")),
        (json!("CallBroadcast"), json!("ivr-1")),
    ];
    assert_eq!(kinds.len(), 2);
    for (kind, application) in &expected {
        assert!(kinds.contains(&(kind, application)));
    }
    assert_eq!(
        (&events[0]["caller"], &events[0]["called"]),
        (&json!("5551"), &json!("1012"))
    );
    assert_eq!(claim(&mut asterisk, "ivr-1").0, 204);
    let events = asterisk.events();
    let start = events.last().unwrap();
    assert_eq!(
        (&start["type"], &start["application"]),
        (&json!("StasisStart"), &json!("ivr-1"))
    );
    assert_eq!(start["args"], json!(["a1", "a2"]));
    assert_eq!(start["channel"]["dialplan"]["app_name"], "StasisBroadcast");
    let claimed = events.iter().filter(|event| event["type"] == "CallClaimed");
    assert!(claimed.clone().all(|event| event["winner_app"] == "ivr-1"));
    assert_eq!(claimed.count(), 2);
    let late = claim(&mut asterisk, "app");
    let expected = "Channel has already been claimed by another application";
    assert_eq!(late, (409, expected.to_owned()));
    asterisk.wait(10_000);
    assert_eq!(
        asterisk.get("/channels/in")["dialplan"]["app_name"],
        "StasisBroadcast"
    );
    asterisk.done("POST", "/channels/in/continue");
    assert_eq!(
        asterisk.variable("in", "STASISSTATUS").as_deref(),
        Some("SUCCESS")
    );
    assert_eq!(asterisk.get("/channels/in")["dialplan"]["app_name"], "Wait");
    assert_eq!(claim(&mut asterisk, "app").0, 404);
}

#[test]
fn who_does_not_fit_is_not_asked_and_claims_are_silent_unless_it_is_said() {
    let mut asterisk = offered("5000,^ivr-.*");
    assert_eq!(asterisk.events()[0]["application"], "ivr-1");
    assert_eq!(asterisk.events().len(), 0);
    // Who was not asked can claim all the same.
    assert_eq!(claim(&mut asterisk, "app").0, 204);
    assert_eq!(asterisk.seen(), ["StasisStart in"]);
}

#[test]
fn a_call_that_nobody_claims_goes_on() {
    let mut asterisk = offered("2000");
    asterisk.wait(1_999);
    assert_eq!(asterisk.variable("in", "STASISSTATUS").as_deref(), Some(""));
    asterisk.wait(1);
    assert_eq!(
        asterisk.variable("in", "STASISSTATUS").as_deref(),
        Some("TIMEOUT")
    );
    let expected = "Channel not found or not in broadcast state";
    assert_eq!(claim(&mut asterisk, "app"), (404, expected.to_owned()));
}

#[test]
fn half_a_second_is_what_a_wrong_time_means() {
    for arguments in ["", "-1", "abc", "60001"] {
        let mut asterisk = offered(arguments);
        asterisk.wait(499);
        assert_eq!(asterisk.variable("in", "STASISSTATUS").as_deref(), Some(""));
        asterisk.wait(1);
        let status = asterisk.variable("in", "STASISSTATUS");
        assert_eq!(status.as_deref(), Some("TIMEOUT"), "{arguments}");
    }
}

#[test]
fn a_claim_for_an_unknown_application_loses_the_call() {
    let mut asterisk = offered("5000");
    assert_eq!(claim(&mut asterisk, "nobody").0, 204);
    assert_eq!(
        asterisk.variable("in", "STASISSTATUS").as_deref(),
        Some("FAILED")
    );
    assert_eq!(asterisk.get("/channels/in")["dialplan"]["app_name"], "Wait");
}

#[test]
fn a_claim_names_both() {
    let mut asterisk = offered("5000");
    for (target, message) in [
        ("/events/claim", "channelId parameter is required"),
        (
            "/events/claim?channelId=in",
            "application parameter is required",
        ),
    ] {
        assert_eq!(asterisk.refusal("POST", target), (400, message.to_owned()));
    }
    asterisk.done("DELETE", "/channels/caller");
    assert_eq!(claim(&mut asterisk, "app").0, 404);
}
