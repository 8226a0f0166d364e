//! External media.

use ari_sim::WorldOptions;
use serde_json::json;

use crate::asterisk::{Asterisk, text};

const EXTERNAL: &str = "/channels/externalMedia";

#[test]
fn what_cannot_be_is_refused_with_its_reason() {
    let mut asterisk = Asterisk::new();
    let internal = "An internal error prevented this request from being handled";
    for (query, status, message) in [
        ("external_host=h:1&format=ulaw", 400, "app cannot be empty"),
        (
            "app=app&transport=websocket&format=ulaw",
            400,
            "encapsulation must be 'none' for websocket transport",
        ),
        (
            "app=app&transport=tcp&external_host=h:1&format=ulaw",
            400,
            "transport must be 'udp' for rtp encapsulation",
        ),
        (
            "app=app&encapsulation=audiosocket&external_host=h:1&format=ulaw",
            400,
            "transport must be 'tcp' for audiosocket encapsulation",
        ),
        (
            "app=app&connection_type=server&external_host=h:1&format=ulaw",
            400,
            "'server' connection_type can only be used with the websocket transport",
        ),
        (
            "app=app&format=ulaw",
            400,
            "external_host is required for all but websocket server connections",
        ),
        (
            "app=app&transport=websocket&encapsulation=none&external_host=x&format=ulaw",
            400,
            "external_host must be a valid websocket_client connection id.",
        ),
        (
            "app=app&external_host=nonsense&format=ulaw",
            400,
            "external_host must be <host>:<port> for all transports other than websocket",
        ),
        ("app=app&external_host=h:1", 400, "format cannot be empty"),
        (
            "app=app&external_host=h:1&format=ulaw&direction=up",
            400,
            "Invalid direction specified",
        ),
        (
            "app=app&encapsulation=audiosocket&transport=tcp&external_host=h:1&format=slin",
            400,
            "data can not be empty",
        ),
        (
            "app=app&encapsulation=other&external_host=h:1&format=ulaw",
            501,
            "The encapsulation and/or transport is not supported",
        ),
        ("app=app&external_host=h:1&format=bogus", 500, internal),
        (
            "app=app&encapsulation=audiosocket&transport=tcp&external_host=h:1&format=slin&data=no-uuid",
            500,
            internal,
        ),
    ] {
        let refusal = asterisk.refusal("POST", &format!("{EXTERNAL}?{query}"));
        assert_eq!(refusal, (status, message.to_owned()), "{query}");
    }
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn an_id_in_use_is_an_internal_error() {
    let mut asterisk = Asterisk::new();
    let target = format!("{EXTERNAL}?app=app&external_host=h:1&format=ulaw&channelId=em");
    asterisk.done("POST", &target);
    assert_eq!(asterisk.refusal("POST", &target).0, 500);
    let long = target.replace("em", &"x".repeat(150));
    assert_eq!(asterisk.refusal("POST", &long).0, 500);
    assert_eq!(asterisk.world.channel_count(), 1);
}

#[test]
fn only_the_variables_of_the_technology_are_answered() {
    let mut asterisk = Asterisk::new();
    let target = format!("{EXTERNAL}?app=app&external_host=h:1&format=ulaw&channelId=em");
    let variables = json!({"variables": {"EM": {"value": "1", "report_events": true}}});
    let answer = asterisk.send("POST", &target, &variables);
    assert_eq!(text(&answer).matches("channelvars").count(), 1);
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let names: Vec<_> = answer["channelvars"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["UNICASTRTP_LOCAL_ADDRESS", "UNICASTRTP_LOCAL_PORT"]);
    assert_eq!(asterisk.variable("em", "EM").as_deref(), Some("1"));
    assert_eq!(
        asterisk.refusal("GET", "/channels/em/rtp_statistics").0,
        404
    );
}

#[test]
fn an_audiosocket_is_up_at_once() {
    let mut asterisk = Asterisk::new();
    let id = "40325ec2-5efd-4bd3-805f-53576e581d13";
    let target = format!(
        "{EXTERNAL}?app=app&encapsulation=audiosocket&transport=tcp&external_host=h:1&format=slin&data={id}&\
         channelId=em",
    );
    asterisk.done("POST", &target);
    let channel = asterisk.get("/channels/em");
    assert_eq!(
        (&channel["state"], &channel["name"]),
        (&json!("Up"), &json!(format!("AudioSocket/h:1-{id}")))
    );
    let start = asterisk.events().pop().unwrap();
    assert_eq!(start["args"], json!([id]));
    assert_eq!(
        asterisk.variable("em", "AUDIOSOCKET_UUID").as_deref(),
        Some(id)
    );
    assert_eq!(
        asterisk.refusal("GET", "/channels/em/rtp_statistics").0,
        403
    );
}

#[test]
fn a_websocket_that_asterisk_waits_for_brings_the_channel_up() {
    let mut asterisk = Asterisk::new();
    let target = format!(
        "{EXTERNAL}?app=app&encapsulation=none&transport=websocket&connection_type=server&format=slin16&channelId=em",
    );
    let answer = asterisk.ask("POST", &target);
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        answer["channelvars"]["MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE"],
        "640"
    );
    let connection = answer["channelvars"]["MEDIA_WEBSOCKET_CONNECTION_ID"]
        .as_str()
        .unwrap();
    assert_eq!(asterisk.seen(), ["Dial em"]);
    assert!(!asterisk.world.connect_media(asterisk.now, "another"));
    assert!(asterisk.world.connect_media(asterisk.now, connection));
    assert!(!asterisk.world.connect_media(asterisk.now, connection));
    assert!(asterisk.seen().contains(&"StasisStart em".to_owned()));
    assert!(asterisk.world.disconnect_media(asterisk.now, "em"));
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn nobody_connects_for_half_a_minute() {
    let mut asterisk = Asterisk::new();
    let target = format!(
        "{EXTERNAL}?app=app&encapsulation=none&transport=websocket&connection_type=server&format=ulaw&channelId=em",
    );
    asterisk.done("POST", &target);
    asterisk.wait(29_999);
    assert_eq!(asterisk.world.channel_count(), 1);
    asterisk.wait(1);
    assert_eq!(asterisk.world.channel_count(), 0);
}

#[test]
fn a_websocket_that_asterisk_opens_needs_a_client() {
    let mut asterisk = Asterisk::with(WorldOptions::default().websocket_client("media"));
    let target = format!(
        "{EXTERNAL}?app=app&encapsulation=none&transport=websocket&external_host=media&format=ulaw&channelId=em&\
         transport_data=c(slin)&direction=in",
    );
    asterisk.done("POST", &target);
    let events = asterisk.events();
    assert_eq!(events[0]["dialstring"], "media/c(slin)d(in)");
    assert_eq!(asterisk.get("/channels/em")["state"], "Up");
}
