//! Parameters of originate, create, dial, continue, move and hangup.

use ari_sim::{WorldOptions, world::Dialplan};
use serde_json::{Value, json};

use crate::asterisk::{Asterisk, message, text};

#[test]
fn an_originate_is_refused_with_its_reason() {
    let mut asterisk = Asterisk::new();
    let long = "x".repeat(150);
    for (query, status, expected) in [
        ("app=app".to_owned(), 400, "Endpoint must be specified"),
        (
            "endpoint=Local&app=app".to_owned(),
            400,
            "Invalid endpoint specified",
        ),
        (
            "endpoint=Local/&app=app".to_owned(),
            400,
            "Invalid endpoint specified",
        ),
        (
            "endpoint=/x&app=app".to_owned(),
            400,
            "Invalid endpoint specified",
        ),
        (
            "endpoint=Local/1014@default".to_owned(),
            400,
            "Application or extension must be specified",
        ),
        (
            "endpoint=Local/1014@default&app=&context=default".to_owned(),
            400,
            "Application or extension must be specified",
        ),
        (
            "endpoint=Local/1014@default&extension=1022&label=nowhere".to_owned(),
            404,
            "Requested label can not be found",
        ),
        (
            "endpoint=Local/1014@default&extension=1022&label=0".to_owned(),
            400,
            "Requested priority is illegal",
        ),
        (
            "endpoint=Local/1014@default&app=app&originator=x&formats=ulaw".to_owned(),
            400,
            "Originator and formats can't both be specified",
        ),
        (
            "endpoint=Local/1014@default&app=app&originator=x".to_owned(),
            400,
            "Provided originator channel was not found",
        ),
        (
            "endpoint=Local/1014@default&app=app&formats=ulaw,bogus".to_owned(),
            400,
            "Provided format (bogus) was not found",
        ),
        (
            format!("endpoint=Local/1014@default&app=app&otherChannelId={long}"),
            400,
            "Uniqueid length exceeds maximum of 149",
        ),
        (
            "endpoint=Nothing/x&app=app".to_owned(),
            500,
            "Allocation failed",
        ),
    ] {
        let refusal = asterisk.refusal("POST", &format!("/channels?{query}"));
        assert_eq!(refusal, (status, expected.to_owned()), "{query}");
    }
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn both_halves_of_a_local_channel_have_an_id_of_their_own() {
    let mut asterisk = Asterisk::new();
    let local = |ids: &str| format!("/channels?endpoint=Local/1014@default&app=app&{ids}");
    let taken = (
        409,
        "Channel with given unique ID already exists".to_owned(),
    );
    asterisk.done("POST", &local("channelId=x;2&otherChannelId=y"));
    for ids in [
        "channelId=x",
        "channelId=z&otherChannelId=y",
        "channelId=z&otherChannelId=z",
    ] {
        assert_eq!(asterisk.refusal("POST", &local(ids)), taken, "{ids}");
    }
    assert_eq!(asterisk.world.channel_count(), 2);
    // Without an id for the first half, one for the other means nothing; a phone has one half only.
    asterisk.done("POST", &local("otherChannelId=y"));
    asterisk.done(
        "POST",
        "/channels?endpoint=PJSIP/bob&app=app&channelId=z&otherChannelId=y",
    );
    assert_eq!(asterisk.world.channel_count(), 5);
}

#[test]
fn variables_are_read_as_asterisk_reads_them() {
    let mut asterisk = Asterisk::new();
    let target = "/channels/c?endpoint=Local/1014@default&app=app";
    for (variables, expected) in [
        (
            json!({"A": 1}),
            "Each value in 'variables' must be a string or an object with 'value' and optional 'report_events'",
        ),
        (
            json!({"A": {"report_events": true}}),
            "Each object value in 'variables' must include string field 'value'",
        ),
        (
            json!({"A": {"value": "1", "report_events": "yes"}}),
            "Field 'report_events' in 'variables' entries must be boolean",
        ),
    ] {
        let refused = asterisk.send("POST", target, &json!({"variables": variables}));
        assert_eq!(
            (refused.status, message(&refused)),
            (400, expected.to_owned())
        );
    }
    let made = asterisk.send(
        "POST",
        target,
        &json!({"variables": {"": "lost", "A": {"value": "1", "report_events": true}, "CALLERID(num)": "77"}}),
    );
    let made: Value = serde_json::from_slice(&made.body).unwrap();
    assert_eq!(made["channelvars"], json!({"A": "1"}));
    assert_eq!(made["caller"]["number"], "77");
}

#[test]
fn events_show_what_is_reported_now() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    let shown = |asterisk: &mut Asterisk| asterisk.get("/channels/c").get("channelvars").cloned();
    asterisk.done(
        "POST",
        "/channels/c/variable?variable=A&value=1&report_events=true",
    );
    assert_eq!(shown(&mut asterisk), Some(json!({"A": "1"})));
    asterisk.done(
        "POST",
        "/channels/c/variable?variable=CALLERID(num)&value=77&report_events=true",
    );
    assert_eq!(
        shown(&mut asterisk),
        Some(json!({"A": "1", "CALLERID(num)": "77"}))
    );
    asterisk.done(
        "POST",
        "/channels/c/variable?variable=CALLERID(num)&value=78",
    );
    asterisk.done("POST", "/channels/c/variable?variable=A&report_events=true");
    assert_eq!(shown(&mut asterisk), Some(json!({"A": ""})));
    asterisk.done("POST", "/channels/c/variable?variable=A&value=2");
    assert_eq!(shown(&mut asterisk), None);
}

#[test]
fn each_variable_that_is_read_has_a_name() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    for (query, status, expected) in [
        ("", 400, "At least one variable name is required"),
        ("?variables=CHANNEL,%20", 400, "Variable names are required"),
        (
            "?variables=CHANNEL,NONE",
            404,
            "Provided variable was not found",
        ),
        (
            "?variables=NONE(x)",
            500,
            "Unable to read provided function",
        ),
    ] {
        let refusal = asterisk.refusal("GET", &format!("/channels/c/variables{query}"));
        assert_eq!(refusal, (status, expected.to_owned()));
    }
    let twice = asterisk.ask(
        "GET",
        "/channels/c/variables?variables=UNIQUEID,%20UNIQUEID",
    );
    assert_eq!(text(&twice), r#"{"variables":{"UNIQUEID":"c"}}"#);
}

#[test]
fn a_timeout_of_minus_one_is_none() {
    let mut dialplan = Dialplan::default();
    dialplan.extension("default", "2000", 1, "Wait(3600)");
    let mut asterisk = Asterisk::with(WorldOptions::default().dialplan(dialplan));
    for (id, timeout) in [("a", "-1"), ("b", "0"), ("c", "5"), ("d", "-7")] {
        let target =
            format!("/channels/{id}?endpoint=Local/2000@default&app=app&timeout={timeout}");
        asterisk.done("POST", &target);
    }
    let here = |asterisk: &mut Asterisk| -> Vec<String> {
        let list = asterisk.get("/channels");
        let ids = list
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|known| known["id"].as_str());
        ids.filter(|id| id.len() == 1).map(str::to_owned).collect()
    };
    asterisk.wait(5_000);
    assert_eq!(here(&mut asterisk), ["a", "b", "d"]);
    asterisk.wait(25_000);
    assert_eq!(here(&mut asterisk), ["a"]);
    asterisk.wait(600_000);
    assert_eq!(here(&mut asterisk), ["a"]);
}

#[test]
fn a_called_channel_takes_over_what_is_inherited() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    for variable in ["A", "_B", "__C"] {
        let target = format!("/channels/{id}/variable?variable={variable}&value=1");
        asterisk.done("POST", &target);
    }
    asterisk.done(
        "POST",
        &format!("/channels/o?endpoint=Local/1014@default&app=app&originator={id}"),
    );
    asterisk.done(
        "POST",
        "/channels/create?endpoint=Local/1014@default&app=app&channelId=d",
    );
    asterisk.done("POST", &format!("/channels/d/dial?caller={id}"));
    for channel in ["o", "d"] {
        assert_eq!(asterisk.variable(channel, "A"), None, "{channel}");
        assert_eq!(
            asterisk.variable(channel, "B").as_deref(),
            Some("1"),
            "{channel}"
        );
        assert_eq!(
            asterisk.variable(channel, "C").as_deref(),
            Some("1"),
            "{channel}"
        );
        let connected = &asterisk.get(&format!("/channels/{channel}"))["connected"];
        assert_eq!(
            connected,
            &json!({"name": "Ann", "number": "5551"}),
            "{channel}"
        );
    }
}

#[test]
fn a_channel_continues_where_it_is_sent() {
    for (query, extension, priority) in [
        ("", "1022", 4),
        ("?extension=1022", "1022", 4),
        ("?label=label1&extension=1022", "1022", 4),
        ("?context=default&extension=1022&priority=4", "1022", 4),
    ] {
        let mut asterisk = Asterisk::new();
        asterisk.done(
            "POST",
            "/channels/c?endpoint=Local/1022@default&app=app&otherChannelId=f",
        );
        asterisk.wait(2_000);
        asterisk.done("POST", &format!("/channels/c/continue{query}"));
        asterisk.wait(100);
        let place = asterisk.get("/channels/c")["dialplan"].clone();
        let expected = (json!(extension), json!(priority));
        assert_eq!(
            (place["exten"].clone(), place["priority"].clone()),
            expected,
            "{query}"
        );
    }
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    for (query, status, expected) in [
        ("label=nowhere", 404, "Requested label can not be found"),
        ("label=0", 400, "Requested priority is illegal"),
    ] {
        let refusal = asterisk.refusal("POST", &format!("/channels/c/continue?{query}"));
        assert_eq!(refusal, (status, expected.to_owned()));
    }
    // A context without an extension means `s` in it, which is nowhere here.
    asterisk.done("POST", "/channels/c/continue?context=elsewhere");
    assert_eq!(asterisk.ask("GET", "/channels/c").status, 404);
}

#[test]
fn empty_arguments_are_lost_in_a_move() {
    let mut asterisk = Asterisk::new();
    asterisk.register("other");
    asterisk.call_out("c", "1014");
    asterisk.done("POST", "/channels/c/move?app=other&appArgs=a,,b");
    let start = asterisk.events().pop().unwrap();
    assert_eq!(
        (&start["application"], &start["args"]),
        (&json!("other"), &json!(["a", "b"]))
    );
}

#[test]
fn some_operations_take_the_name_of_a_channel() {
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    let name = asterisk.get("/channels/c")["name"].clone();
    let name = name.as_str().unwrap().replace('/', "%2F");
    let channel = format!("/channels/{name}");
    assert_eq!(asterisk.variable(&name, "UNIQUEID").as_deref(), Some("c"));
    asterisk.done("POST", &format!("{channel}/snoop/s?app=app&spy=in"));
    asterisk.done(
        "POST",
        &format!("/channels?endpoint=Local/1014@default&app=app&originator={name}"),
    );
    assert_eq!(asterisk.ask("GET", &channel).status, 404);
    let refusal = asterisk.refusal("POST", &format!("{channel}/answer"));
    assert_eq!(
        refusal,
        (409, "Channel not in Stasis application".to_owned())
    );
    asterisk.done("DELETE", &channel);
    assert_eq!(asterisk.ask("GET", "/channels/c").status, 404);
}

#[test]
fn a_hangup_has_the_cause_that_is_asked_for() {
    for (query, cause, text) in [
        ("", 16, "Normal Clearing"),
        (
            "?reason=codec_mismatch",
            58,
            "Bearer capability not available",
        ),
        ("?reason_code=42", 42, "Switching equipment congestion"),
        ("?reason_code=999", 999, "Unknown"),
        ("?reason_code=17abc", 17, "User busy"),
    ] {
        let mut asterisk = Asterisk::new();
        asterisk.call_out("c", "1014");
        asterisk.done("DELETE", &format!("/channels/c{query}"));
        let events = asterisk.events();
        let destroyed = events
            .iter()
            .find(|event| event["type"] == "ChannelDestroyed" && event["channel"]["id"] == "c");
        let destroyed = destroyed.unwrap();
        assert_eq!(
            (&destroyed["cause"], &destroyed["cause_txt"]),
            (&json!(cause), &json!(text))
        );
    }
    let mut asterisk = Asterisk::new();
    asterisk.call_out("c", "1014");
    for (query, expected) in [
        ("reason=tired", "Invalid reason for hangup reason provided"),
        (
            "reason_code=tired",
            "Invalid reason for hangup reason code provided",
        ),
        (
            "reason=busy&reason_code=17",
            "The reason and reason_code can't both be specified",
        ),
    ] {
        let refusal = asterisk.refusal("DELETE", &format!("/channels/c?{query}"));
        assert_eq!(refusal, (400, expected.to_owned()));
    }
}

#[test]
fn a_recording_answers_a_call() {
    let mut asterisk = Asterisk::new();
    let id = asterisk.call_in();
    asterisk.done("POST", &format!("/channels/{id}/record?name=r&format=wav"));
    assert_eq!(asterisk.get(&format!("/channels/{id}"))["state"], "Up");
    assert_eq!(
        asterisk.seen(),
        [
            format!("ChannelStateChange {id}"),
            "RecordingStarted r".to_owned()
        ]
    );
    // One that goes out is answered by nobody but the far side.
    asterisk.done(
        "POST",
        "/channels/create?endpoint=Local/1014@default&app=app&channelId=c",
    );
    asterisk.done("POST", "/channels/c/record?name=s&format=wav");
    assert_eq!(asterisk.get("/channels/c")["state"], "Down");
}
