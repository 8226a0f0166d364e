//! Snoop channels.

use crate::asterisk::Asterisk;

#[test]
fn a_snoop_ends_with_its_channel_and_not_the_other_way_round() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    asterisk.done(
        "POST",
        &format!("/channels/{id}/snoop/s1?app=app&spy=both&appArgs=a,b"),
    );
    asterisk.done(
        "POST",
        &format!("/channels/{id}/snoop?snoopId=s2&app=app&whisper=out"),
    );
    let start = asterisk.events();
    assert_eq!(start[1]["args"], serde_json::json!(["a", "b"]));
    asterisk.done("DELETE", "/channels/s1");
    assert_eq!(asterisk.seen(), ["ChannelHangupRequest s1", "StasisEnd s1"]);
    assert_eq!(asterisk.get(&format!("/channels/{id}"))["state"], "Up");
    asterisk.done("DELETE", &format!("/channels/{id}"));
    assert!(asterisk.seen().contains(&"StasisEnd s2".to_owned()));
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn a_snoop_that_spies_hears_who_talks() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/answer"));
    for (snoop, spy) in [("in", "in"), ("out", "out")] {
        asterisk.done(
            "POST",
            &format!("/channels/{id}/snoop/{snoop}?app=app&spy={spy}"),
        );
        asterisk.done(
            "POST",
            &format!("/channels/{snoop}/variable?variable=TALK_DETECT(set)&value=300"),
        );
    }
    asterisk.events();
    assert!(asterisk.world.talk(asterisk.now, &id));
    assert_eq!(asterisk.seen(), ["ChannelTalkingStarted in"]);
    asterisk.world.fall_silent(asterisk.now, &id);
    asterisk.wait(300);
    assert_eq!(asterisk.seen(), ["ChannelTalkingFinished in"]);
    asterisk.done(
        "POST",
        &format!("/channels/{id}/play/p?media=sound:hello-world"),
    );
    assert_eq!(
        asterisk.seen(),
        ["PlaybackStarted p", "ChannelTalkingStarted out"]
    );
}

#[test]
fn a_snoop_for_nobody_is_gone_at_once() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done(
        "POST",
        &format!("/channels/{id}/snoop/s?app=nobody&spy=both"),
    );
    assert_eq!(asterisk.ask("GET", "/channels/s").status, 404);
    assert_eq!(asterisk.world.channel_count(), 1);
}

#[test]
fn a_snoop_can_be_snooped_on() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/snoop/s?app=app&spy=both"));
    asterisk.done("POST", "/channels/s/snoop/t?app=app&spy=both");
    assert_eq!(asterisk.get("/channels/t")["name"], "Snoop/s-00000001");
    asterisk.done("DELETE", &format!("/channels/{id}"));
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn a_long_row_of_snoops_ends() {
    let mut asterisk = Asterisk::new();
    let mut last = asterisk.call_in();
    let first = last.clone();
    for number in 0..3_000 {
        let next = format!("s{number}");
        asterisk.done(
            "POST",
            &format!("/channels/{last}/snoop/{next}?app=app&spy=both"),
        );
        last = next;
    }
    asterisk.done("DELETE", &format!("/channels/{first}"));
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn a_snoop_ends_with_a_half_that_nobody_calls() {
    let mut asterisk = Asterisk::new();
    asterisk.done(
        "POST",
        "/channels/create?endpoint=Local/nowhere@default&app=app&channelId=c&otherChannelId=far",
    );
    asterisk.done("POST", "/channels/far/snoop/s?app=app&spy=both");
    asterisk.done("POST", "/channels/c/dial");
    assert_eq!(asterisk.world.channel_count(), 0);
}
