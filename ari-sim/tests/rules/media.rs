use ari_sim::WorldOptions;
use serde_json::json;

use super::Lab;

fn play(media: &str) -> String {
    format!("/channels/a/play/p?media={media}")
}

#[test]
fn a_playback_that_was_stopped_in_the_queue_ends_when_its_turn_comes() {
    let mut lab = Lab::new();
    lab.call("a", false);
    assert_eq!(
        lab.status("POST", "/channels/a/play?media=sound:hello-world"),
        201
    );
    assert_eq!(lab.status("POST", &play("sound:beep")), 201);
    let control = "/playbacks/p/control?operation=";
    assert_eq!(lab.status("POST", &format!("{control}restart")), 204);
    assert_eq!(
        lab.refusal("POST", &format!("{control}pause")),
        (409, "Can only pause while media is playing".to_owned())
    );
    assert_eq!(lab.status("DELETE", "/playbacks/p"), 204);
    assert_eq!(lab.status("DELETE", "/playbacks/p"), 204);
    assert_eq!(lab.get("/playbacks/p")["state"], "done");
    lab.events();
    lab.wait(2_000);
    let events = lab.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[1]["type"], "PlaybackFinished");
    assert_eq!(events[1]["playback"]["id"], "p");
    assert_eq!(lab.status("GET", "/playbacks/p"), 404);
}

#[test]
fn an_unknown_scheme_is_passed_over() {
    let mut lab = Lab::new();
    lab.call("a", false);
    assert_eq!(
        lab.status(
            "POST",
            &play("nonsense:x,number:abc,recording:none,sound:beep")
        ),
        201
    );
    lab.wait(1_000);
    let events = lab.events();
    let uris: Vec<_> = events
        .iter()
        .map(|event| {
            (
                event["type"].clone(),
                event["playback"]["media_uri"].clone(),
            )
        })
        .collect();
    let started = |uri: &str| (json!("PlaybackStarted"), json!(uri));
    assert_eq!(
        uris,
        [
            started("nonsense:x"),
            started("number:abc"),
            started("recording:none"),
            started("sound:beep"),
            (json!("PlaybackFinished"), json!("sound:beep")),
        ]
    );
}

#[test]
fn spoken_items_behind_a_sound_can_be_stopped_and_are_not() {
    let mut lab = Lab::new();
    lab.call("a", false);
    assert_eq!(lab.status("POST", &play("digits:12")), 201);
    assert_eq!(
        lab.refusal("DELETE", "/playbacks/p"),
        (500, "Could not stop playback".to_owned())
    );
    assert_eq!(
        lab.status("POST", "/playbacks/p/control?operation=unpause"),
        204
    );
    assert_eq!(
        lab.status("POST", "/playbacks/p/control?operation=pause"),
        500
    );
    lab.wait(2_000);
    assert_eq!(lab.status("POST", &play("sound:beep,digits:12")), 201);
    lab.wait(600);
    lab.events();
    assert_eq!(lab.status("DELETE", "/playbacks/p"), 204);
    assert_eq!(lab.get("/playbacks/p")["state"], "done");
    assert!(lab.types().is_empty());
    lab.wait(2_000);
    assert_eq!(lab.types(), ["PlaybackFinished"]);
}

#[test]
fn a_paused_sound_is_not_wound() {
    let mut lab = Lab::new();
    lab.call("a", false);
    assert_eq!(lab.status("POST", &play("sound:tt-monkeys")), 201);
    let control = "/playbacks/p/control?operation=";
    assert_eq!(lab.status("POST", &format!("{control}pause")), 204);
    assert_eq!(lab.status("POST", &format!("{control}pause")), 204);
    for operation in ["forward", "reverse", "restart"] {
        assert_eq!(lab.status("POST", &format!("{control}{operation}")), 409);
    }
    assert_eq!(
        lab.refusal("POST", "/playbacks/nobody/control?operation=x"),
        (400, "Invalid operation x".to_owned())
    );
}

#[test]
fn a_recording_is_as_long_as_the_clock_says() {
    let mut options = WorldOptions::default();
    options.beginning = 1_000_000_000_700;
    let mut lab = Lab::with(options);
    lab.call("a", true);
    // It begins at .700, and the clock shows two seconds more 1.3 seconds later.
    assert_eq!(
        lab.status(
            "POST",
            "/channels/a/record?name=r&format=wav&maxDurationSeconds=1"
        ),
        201
    );
    lab.events();
    lab.wait(1_299);
    assert!(lab.types().is_empty());
    lab.wait(20);
    let events = lab.events();
    assert_eq!(events[0]["recording"]["duration"], 1);
}

#[test]
fn a_recording_to_which_nothing_comes_is_over() {
    let mut lab = Lab::new();
    lab.call("a", false);
    let record = "/channels/a/record?name=r&format=wav";
    assert_eq!(lab.status("POST", record), 201);
    lab.events();
    lab.wait(3_000);
    // A digit is something.
    let duration = std::time::Duration::from_millis(100);
    assert!(lab.world.press(lab.now, "a;2", '1', duration));
    lab.wait(4_000);
    assert_eq!(lab.types(), ["ChannelDtmfReceived"]);
    lab.wait(100);
    assert_eq!(lab.types(), ["RecordingFinished"]);
    assert_eq!(
        lab.refusal("POST", record),
        (
            409,
            "Recording 'r' already exists and can not be overwritten".to_owned()
        )
    );
}

#[test]
fn what_waits_to_record_can_only_be_stopped() {
    let mut lab = Lab::new();
    lab.call("a", true);
    assert_eq!(lab.status("POST", &play("sound:beep")), 201);
    assert_eq!(
        lab.status("POST", "/channels/a/record?name=r&format=wav"),
        201
    );
    assert_eq!(lab.get("/recordings/live/r")["state"], "queued");
    for (method, what) in [
        ("POST", "pause"),
        ("DELETE", "pause"),
        ("POST", "mute"),
        ("DELETE", "mute"),
    ] {
        assert_eq!(
            lab.refusal(method, &format!("/recordings/live/r/{what}")),
            (409, "Recording not in session".to_owned())
        );
    }
    assert_eq!(lab.status("POST", "/recordings/live/r/stop"), 204);
    assert_eq!(lab.get("/recordings/live/r")["state"], "canceled");
    assert_eq!(lab.status("POST", "/recordings/live/r/stop"), 409);
    lab.wait(1_000);
    // Asterisk forgets that it was stopped.
    assert_eq!(lab.get("/recordings/live/r")["state"], "recording");
    assert_eq!(lab.status("POST", "/recordings/live/r/stop"), 204);
}

#[test]
fn copies_are_refused_in_the_order_of_asterisk() {
    let mut lab = Lab::new();
    lab.call("a", true);
    assert_eq!(
        lab.status("POST", "/channels/a/record?name=r&format=wav"),
        201
    );
    lab.wait(500);
    assert_eq!(lab.status("POST", "/recordings/live/r/stop"), 204);
    let copy = "/recordings/stored/r/copy";
    assert_eq!(
        lab.refusal("POST", "/recordings/stored/none/copy"),
        (404, "Recording not found".to_owned())
    );
    assert_eq!(
        lab.refusal("POST", copy),
        (400, "Invalid destination recording name".to_owned())
    );
    let outside = format!("{copy}?destinationRecordingName=../x");
    assert_eq!(
        lab.refusal("POST", &outside),
        (403, "Destination file path is forbidden".to_owned())
    );
    assert_eq!(
        lab.status("POST", &format!("{copy}?destinationRecordingName=x")),
        200
    );
    assert_eq!(
        lab.get("/recordings/stored/x"),
        json!({"name": "x", "format": "wav"})
    );
}
