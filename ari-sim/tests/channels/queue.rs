//! What waits behind what a channel is doing.

use crate::asterisk::Asterisk;

#[test]
fn a_variable_is_set_after_the_playback_and_answered_then() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/channels/c/play/p?media=sound:hello-world");
    let ticket = asterisk.ask_later("POST", "/channels/c/variable?variable=A&value=1");
    let second = asterisk.ask_later("POST", "/channels/c/variable?variable=A&value=2");
    assert_eq!(asterisk.variable("c", "A"), None);
    assert_eq!(asterisk.answers(), []);
    asterisk.wait(1_000);
    assert_eq!(asterisk.answers(), [(ticket, 204), (second, 204)]);
    assert_eq!(asterisk.variable("c", "A").as_deref(), Some("2"));
    let expected = [
        "PlaybackStarted p",
        "PlaybackFinished p",
        "ChannelVarset c",
        "ChannelVarset c",
    ];
    assert_eq!(asterisk.seen(), expected);
}

#[test]
fn digits_wait_for_a_playback_and_what_follows_waits_for_the_digits() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/channels/c/play/p?media=sound:hello-world");
    asterisk.done(
        "POST",
        "/channels/c/dtmf?dtmf=1w2&duration=100&between=100&before=50&after=60",
    );
    asterisk.done("POST", "/channels/c/play/q?media=sound:hello-world");
    asterisk.wait(999);
    assert_eq!(asterisk.seen(), ["PlaybackStarted p"]);
    // 50 before, 100 of quiet, 100 pressed.
    asterisk.wait(1 + 250);
    assert_eq!(
        asterisk.seen(),
        ["PlaybackFinished p", "ChannelDtmfReceived c-far"]
    );
    // 100 between, half a second of waiting, 100 pressed.
    asterisk.wait(700);
    assert_eq!(asterisk.seen(), ["ChannelDtmfReceived c-far"]);
    asterisk.wait(159);
    assert!(asterisk.seen().is_empty());
    asterisk.wait(1);
    assert_eq!(asterisk.seen(), ["PlaybackStarted q"]);
}

#[test]
fn a_list_that_is_played_early_makes_progress_once() {
    let mut asterisk = Asterisk::new();
    asterisk.done(
        "POST",
        "/channels?endpoint=Local/app-app@default&app=app&channelId=c&otherChannelId=far",
    );
    asterisk.wait(1);
    asterisk.seen();
    asterisk.done(
        "POST",
        "/channels/far/play/p?media=sound:hello-world,sound:hello-world",
    );
    asterisk.wait(2_000);
    let expected = [
        "Dial c",
        "PlaybackStarted p",
        "PlaybackContinuing p",
        "PlaybackStarted p",
        "PlaybackFinished p",
    ];
    assert_eq!(asterisk.seen(), expected);
}

#[test]
fn channels_enter_a_bridge_one_after_the_other() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("a", "1014");
    asterisk.call_out("b", "1014");
    asterisk.done("POST", "/bridges/br");
    asterisk.done("POST", "/channels/a/play/p?media=sound:hello-world");
    let ticket = asterisk.ask_later("POST", "/bridges/br/addChannel?channel=a,b");
    asterisk.wait(500);
    assert_eq!(
        asterisk.get("/bridges/br")["channels"],
        serde_json::json!([])
    );
    asterisk.wait(500);
    assert_eq!(asterisk.answers(), [(ticket, 204)]);
    let seen = asterisk.seen();
    let place = |kind: &str| seen.iter().position(|seen| seen == kind).unwrap();
    assert!(place("PlaybackFinished p") < place("ChannelEnteredBridge a"));
    assert!(place("ChannelEnteredBridge a") < place("ChannelEnteredBridge b"));
}

#[test]
fn a_channel_leaves_its_bridge_after_its_playback() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("a", "1014");
    asterisk.done("POST", "/bridges/br");
    asterisk.done("POST", "/bridges/br/addChannel?channel=a");
    asterisk.done("POST", "/channels/a/play/p?media=sound:hello-world");
    let ticket = asterisk.ask_later("POST", "/bridges/br/removeChannel?channel=a");
    asterisk.wait(1_000);
    assert_eq!(asterisk.answers(), [(ticket, 204)]);
    assert_eq!(
        asterisk.get("/bridges/br")["channels"],
        serde_json::json!([])
    );
}

#[test]
fn a_recording_that_waits_keeps_a_channel_out_of_bridges() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("a", "1014");
    asterisk.done("POST", "/bridges/br");
    asterisk.done("POST", "/channels/a/play/p?media=sound:hello-world");
    asterisk.done("POST", "/channels/a/record?name=r&format=wav");
    let refusal = asterisk.refusal("POST", "/bridges/br/addChannel?channel=a");
    assert_eq!(refusal, (409, "Channel a currently recording".to_owned()));
}

#[test]
fn what_waits_when_the_channel_ends_is_told_before_its_end() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/channels/c/play/p?media=sound:hello-world");
    let answer = asterisk.ask_later("POST", "/channels/c/answer");
    let variable = asterisk.ask_later("POST", "/channels/c/variable?variable=A&value=1");
    asterisk.done("POST", "/channels/c/play/q?media=sound:hello-world");
    asterisk.done("POST", "/channels/c/record?name=r&format=wav");
    asterisk.seen();
    asterisk.done("DELETE", "/channels/c");
    assert_eq!(asterisk.answers(), [(answer, 500), (variable, 204)]);
    let seen = asterisk.seen();
    let expected = [
        "ChannelHangupRequest c",
        "PlaybackFinished p",
        "ChannelVarset c",
        "PlaybackStarted q",
        "PlaybackFinished q",
        "RecordingStarted r",
        "RecordingFinished r",
        "StasisEnd c",
    ];
    assert_eq!(seen[..expected.len()], expected);
    assert_eq!(
        asterisk.world.playback_count() + asterisk.world.recording_count(),
        0
    );
}

#[test]
fn a_channel_goes_to_the_dialplan_when_all_before_is_done() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/channels/c/play/p?media=sound:hello-world");
    asterisk.done("POST", "/channels/c/continue?extension=1022");
    let variable = asterisk.ask_later("POST", "/channels/c/variable?variable=A&value=1");
    asterisk.seen();
    asterisk.wait(1_000);
    assert_eq!(asterisk.answers(), [(variable, 204)]);
    let seen = asterisk.seen();
    assert_eq!(
        seen[..3],
        ["PlaybackFinished p", "ChannelVarset c", "StasisEnd c"]
    );
    assert_eq!(asterisk.get("/channels/c")["dialplan"]["app_name"], "Wait");
}

#[test]
fn a_channel_that_is_still_called_takes_no_operation_but_a_few() {
    let mut asterisk = Asterisk::new();
    asterisk.done(
        "POST",
        "/channels/create?endpoint=Local/1014@default&app=app&channelId=c",
    );
    for (method, operation) in [
        ("POST", "continue"),
        ("POST", "redirect?endpoint=Local/1014@default"),
        ("POST", "answer"),
        ("POST", "ring"),
        ("DELETE", "ring"),
        ("POST", "progress"),
        ("POST", "dtmf?dtmf=1"),
        ("POST", "mute?direction=in"),
        ("DELETE", "mute?direction=in"),
        ("POST", "hold"),
        ("DELETE", "hold"),
        ("POST", "moh"),
        ("DELETE", "moh"),
        ("POST", "silence"),
        ("DELETE", "silence"),
        ("POST", "play?media=sound:hello-world"),
        ("POST", "play/p?media=sound:hello-world"),
    ] {
        let refusal = asterisk.refusal(method, &format!("/channels/c/{operation}"));
        let expected = (412, "Channel in invalid state".to_owned());
        assert_eq!(refusal, expected, "{method} {operation}");
    }
    asterisk.done("POST", "/channels/c/variable?variable=A&value=1");
    asterisk.done(
        "POST",
        "/channels/c/transfer_progress?states=channel_progress",
    );
    asterisk.done("POST", "/channels/c/dial");
    let again = asterisk.refusal("POST", "/channels/c/dial");
    assert_eq!(
        again,
        (409, "Channel is not in the 'Down' state".to_owned())
    );
    asterisk.done("POST", "/channels/c/mute?direction=in");
}
