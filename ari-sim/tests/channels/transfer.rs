//! Transfers, hold, and channels that are taken away from outside.

use serde_json::json;

use crate::asterisk::Asterisk;

#[test]
fn a_redirect_is_refused_with_its_reason() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    for (endpoint, status, message) in [
        ("", 400, "Required parameter 'endpoint' not provided."),
        (
            "nowhere",
            422,
            "Endpoint parameter 'nowhere' does not contain tech/resource",
        ),
        (
            "/x",
            422,
            "Endpoint parameter '/x' does not contain tech/resource",
        ),
        (
            "Local/",
            422,
            "No resource provided in endpoint parameter 'Local/'",
        ),
        (
            "PJSIP/x",
            422,
            "Endpoint technology 'PJSIP' does not match channel technology 'Local'",
        ),
    ] {
        let refusal =
            asterisk.refusal("POST", &format!("/channels/c/redirect?endpoint={endpoint}"));
        assert_eq!(refusal, (status, message.to_owned()), "{endpoint}");
    }
    // A Local channel has nobody who could be sent elsewhere.
    asterisk.done("POST", "/channels/c/redirect?endpoint=local/1022@default");
    assert!(asterisk.seen().is_empty());
}

#[test]
fn a_phone_is_sent_elsewhere() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done(
        "POST",
        &format!("/channels/{id}/redirect?endpoint=PJSIP/bob"),
    );
    let events = asterisk.events();
    assert_eq!(
        (&events[0]["cause"], &events[0]["tech_cause"]),
        (&json!(23), &json!(302))
    );
    assert_eq!(events[1]["type"], "StasisEnd");

    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    asterisk.done(
        "POST",
        &format!("/channels/{id}/redirect?endpoint=PJSIP/bob"),
    );
    let seen = asterisk.seen();
    assert_eq!(seen.last(), Some(&format!("StasisEnd {id}")));
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn an_application_does_the_transfers_that_it_asked_for() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    assert!(!asterisk.world.request_transfer(asterisk.now, &id, "6001"));
    asterisk.done(
        "POST",
        &format!("/channels/{id}/variable?variable=PJSIP_TRANSFER_HANDLING()&value=ari-only"),
    );
    asterisk.events();
    assert!(asterisk.world.request_transfer(asterisk.now, &id, "6001"));
    let events = asterisk.events();
    assert_eq!(events[0]["type"], "ChannelTransfer");
    assert_eq!(
        events[0]["refer_to"]["requested_destination"],
        json!({"destination": "6001"})
    );
    assert_eq!(
        events[0]["referred_by"]["source_channel"]["id"],
        id.as_str()
    );
    assert_eq!(
        (events[0].get("state"), events[0].get("channel")),
        (None, None)
    );

    let progress = format!("/channels/{id}/transfer_progress?states=");
    for (state, told) in [
        ("channel_progress", Some("channel_progress")),
        ("CHANNEL_ANSWERED", Some("channel_answered")),
        // It is over.
        ("channel_declined", None),
    ] {
        asterisk.done("POST", &format!("{progress}{state}"));
        let told_now = asterisk
            .events()
            .first()
            .map(|event| event["state"].clone());
        assert_eq!(told_now, told.map(|told| json!(told)), "{state}");
    }
    assert!(asterisk.world.request_transfer(asterisk.now, &id, "6002"));
    asterisk.events();
    asterisk.done("POST", &format!("{progress}channel_unavailable"));
    assert_eq!(asterisk.events()[0]["state"], "channel_declined");
}

#[test]
fn a_phone_holds_and_takes_back() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    asterisk.events();
    assert!(asterisk.world.hold_call(asterisk.now, &id, true));
    assert!(asterisk.world.hold_call(asterisk.now, &id, false));
    let events = asterisk.events();
    assert_eq!(
        (&events[0]["type"], &events[0]["musicclass"]),
        (&json!("ChannelHold"), &json!("default"))
    );
    assert_eq!(events[1]["type"], "ChannelUnhold");
    assert!(!asterisk.world.hold_call(asterisk.now, "nobody", true));
}

#[test]
fn a_channel_is_pulled_out_of_its_bridge_and_its_playback() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/bridges/br");
    asterisk.done("POST", "/bridges/br/addChannel?channel=c");
    asterisk.done("POST", "/channels/c/play/p?media=sound:hello-world");
    let waits = asterisk.ask_later("POST", "/channels/c/variable?variable=A&value=1");
    asterisk.events();
    assert!(
        asterisk
            .world
            .redirect_channel(asterisk.now, "c", "default", "1022", 1)
    );
    assert_eq!(asterisk.answers(), [(waits, 204)]);
    let seen = asterisk.seen();
    let expected = [
        "PlaybackFinished p",
        "ChannelVarset c",
        "ChannelLeftBridge c",
        "StasisEnd c",
    ];
    assert_eq!(seen[..4], expected);
    assert_eq!(asterisk.get("/channels/c")["dialplan"]["exten"], "1022");
    assert_eq!(asterisk.refusal("POST", "/channels/c/answer").0, 409);
    assert!(
        !asterisk
            .world
            .redirect_channel(asterisk.now, "nobody", "default", "1022", 1)
    );
}

#[test]
fn a_channel_is_hung_up_from_outside() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    assert!(asterisk.world.hang_up_channel(asterisk.now, "c", Some(17)));
    let events = asterisk.events();
    assert_eq!(
        (&events[0]["cause"], &events[0]["soft"]),
        (&json!(32), &json!(true))
    );
    let destroyed = events
        .iter()
        .find(|event| event["type"] == "ChannelDestroyed");
    assert_eq!(destroyed.unwrap()["cause"], json!(17));
}
