//! Talk and tone detection, and what is known of media.

use std::time::Duration;

use serde_json::json;

use crate::asterisk::Asterisk;

fn detecting(value: &str) -> (Asterisk, String) {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    let target = format!("/channels/{id}/variable?variable=TALK_DETECT(set)&value={value}");
    asterisk.done("POST", &target);
    asterisk.events();
    (asterisk, id)
}

#[test]
fn talk_lasts_until_the_silence_was_long_enough() {
    let (mut asterisk, id) = detecting("700,128");
    asterisk.world.talk(asterisk.now, &id);
    asterisk.wait(1_000);
    asterisk.world.fall_silent(asterisk.now, &id);
    asterisk.wait(699);
    // A word in the middle of the silence.
    asterisk.world.talk(asterisk.now, &id);
    asterisk.wait(101);
    asterisk.world.fall_silent(asterisk.now, &id);
    asterisk.wait(699);
    assert_eq!(asterisk.seen(), [format!("ChannelTalkingStarted {id}")]);
    asterisk.wait(1);
    let finished = asterisk.events().pop().unwrap();
    assert_eq!(finished["type"], "ChannelTalkingFinished");
    assert_eq!(finished["duration"], json!(1_800));
}

#[test]
fn two_and_a_half_seconds_of_silence_are_enough_unless_it_is_said() {
    let (mut asterisk, id) = detecting("");
    asterisk.world.talk(asterisk.now, &id);
    asterisk.world.fall_silent(asterisk.now, &id);
    asterisk.wait(2_499);
    assert_eq!(asterisk.seen().len(), 1);
    asterisk.wait(1);
    assert_eq!(asterisk.seen(), [format!("ChannelTalkingFinished {id}")]);
}

#[test]
fn detection_begins_while_somebody_talks_and_ends_when_it_is_taken_away() {
    let (mut asterisk, id) = detecting("500");
    let remove = format!("/channels/{id}/variable?variable=TALK_DETECT(remove)&value=");
    asterisk.done("POST", &remove);
    asterisk.world.talk(asterisk.now, &id);
    assert!(asterisk.seen().is_empty());
    let set = format!("/channels/{id}/variable?variable=TALK_DETECT(set)&value=500");
    asterisk.done("POST", &set);
    assert_eq!(asterisk.seen(), [format!("ChannelTalkingStarted {id}")]);
    asterisk.done("POST", &remove);
    // Taken away twice: Asterisk only logs it.
    asterisk.done("POST", &remove);
    asterisk.world.fall_silent(asterisk.now, &id);
    asterisk.wait(10_000);
    assert!(asterisk.seen().is_empty());
    let read = asterisk.refusal(
        "GET",
        &format!("/channels/{id}/variable?variable=TALK_DETECT(set)"),
    );
    assert_eq!(read, (500, "Unable to read provided function".to_owned()));
}

#[test]
fn what_cannot_be_read_detects_nothing() {
    for value in ["0", "-5", "abc", "500,0", "500,x"] {
        let (mut asterisk, id) = detecting(value);
        asterisk.world.talk(asterisk.now, &id);
        assert!(asterisk.seen().is_empty(), "{value}");
    }
}

#[test]
fn the_other_half_hears_who_talks_in_a_bridge() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    // The far half of this call enters the application, too.
    asterisk.done(
        "POST",
        "/channels/near?endpoint=Local/app-app@default&app=app&otherChannelId=far",
    );
    asterisk.done("POST", "/channels/far/answer");
    asterisk.done(
        "POST",
        "/channels/near/variable?variable=TALK_DETECT(set)&value=500",
    );
    asterisk.done("POST", "/bridges/br");
    asterisk.done("POST", &format!("/bridges/br/addChannel?channel=far,{id}"));
    asterisk.events();
    asterisk.world.talk(asterisk.now, &id);
    assert_eq!(asterisk.seen(), ["ChannelTalkingStarted near"]);
    // Out of the bridge no frames come any more: nothing is measured.
    asterisk.done("POST", "/bridges/br/removeChannel?channel=far");
    asterisk.events();
    asterisk.wait(10_000);
    assert!(asterisk.seen().is_empty());
    asterisk.done("POST", "/channels/far/silence");
    asterisk.wait(500);
    assert_eq!(asterisk.seen(), ["ChannelTalkingFinished near"]);
}

#[test]
fn a_tone_is_detected_when_it_lasts_and_was_counted() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    let set = format!("/channels/{id}/variable?variable=TONE_DETECT(1100,200,rn(2))&value=");
    asterisk.done("POST", &set);
    asterisk.events();
    let mut tone = |hertz, millis| {
        let duration = Duration::from_millis(millis);
        assert!(asterisk.world.send_tone(asterisk.now, &id, hertz, duration));
        asterisk.wait(1_000);
        asterisk.seen()
    };
    assert!(tone(1_100, 300).is_empty());
    assert!(tone(1_000, 300).is_empty());
    assert!(tone(1_100, 100).is_empty());
    assert_eq!(tone(1_100, 300), [format!("ChannelToneDetected {id}")]);
    assert_eq!(
        asterisk.variable(&id, "TONE_DETECT(rx)").as_deref(),
        Some("2")
    );
}

#[test]
fn the_quality_of_the_media_is_told_before_the_hangup() {
    let mut asterisk = Asterisk::new();
    let unanswered = asterisk.call_in();
    let statistics = format!("/channels/{unanswered}/rtp_statistics");
    assert_eq!(
        asterisk.refusal("GET", &statistics),
        (404, "RTP info not found".to_owned())
    );
    asterisk.done("DELETE", &format!("/channels/{unanswered}"));
    assert_eq!(
        asterisk.seen()[0],
        format!("ChannelHangupRequest {unanswered}")
    );

    let early = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{early}/progress"));
    let statistics = asterisk.get(&format!("/channels/{early}/rtp_statistics"));
    asterisk.events();
    asterisk.done("DELETE", &format!("/channels/{early}"));
    let events = asterisk.events();
    let names: Vec<_> = events
        .iter()
        .filter_map(|event| event["variable"].as_str())
        .collect();
    let expected = [
        "RTPAUDIOQOS",
        "RTPAUDIOQOSJITTER",
        "RTPAUDIOQOSLOSS",
        "RTPAUDIOQOSRTT",
        "RTPAUDIOQOSMES",
    ];
    assert_eq!(names, expected);
    let ssrc = format!("ssrc={};", statistics["local_ssrc"]);
    assert!(events[0]["value"].as_str().unwrap().starts_with(&ssrc));
    assert_eq!(events[5]["type"], "ChannelHangupRequest");
}
