//! What the builders send.

mod captured;
mod driver;
mod said;

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::{
    Ari, BridgeId, ChannelId, models::DeviceStateValue, operation::Operation, testing::Fake,
};

/// Method, target and body of the request that a builder would send.
fn sent(operation: &impl Operation) -> (String, Value) {
    let http = operation.request().to_http().unwrap();
    let body = http
        .body
        .map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
    (format!("{} {}", http.method, http.target), body)
}

fn line(operation: &impl Operation) -> String {
    let (line, body) = sent(operation);
    assert_eq!(body, Value::Null, "{line}");
    line
}

fn ari() -> Ari {
    Fake::new("demo", "02:00:00:00:00:01").ari()
}

#[test]
fn parameters_go_where_ari_wants_them() {
    let channels = ari().channels();
    let originate = channels
        .originate("PJSIP/alice")
        .channel_id("c 1")
        .caller_id("Alice <1001>")
        .timeout(Duration::from_millis(29_500))
        .formats(["ulaw", "slin16"])
        .variables([("A", "1")])
        .variable("B", 2);
    let (line_, body) = sent(&originate);
    assert_eq!(
        line_,
        "POST /channels?channelId=c%201&endpoint=PJSIP%2Falice&callerId=Alice%20%3C1001%3E&timeout=30\
         &formats=ulaw%2Cslin16"
    );
    assert_eq!(body, json!({ "variables": { "A": "1", "B": 2 } }));
    assert_eq!(
        line(
            &channels
                .play_with_id("c", "p", ["sound:a", "sound:b"])
                .offset(Duration::from_secs(2))
                .skip(Duration::ZERO)
        ),
        "POST /channels/c/play/p?media=sound%3Aa%2Csound%3Ab&offsetms=2000&skipms=0"
    );
    assert_eq!(
        line(&channels.hangup("c").reason(HangupReason::Busy)),
        "DELETE /channels/c?reason=busy"
    );
    assert_eq!(
        line(&channels.hangup("c").reason("added_later")),
        "DELETE /channels/c?reason=added_later"
    );
    assert_eq!(
        line(&channels.mute("c")),
        "POST /channels/c/mute?direction=both"
    );
    assert_eq!(
        line(&channels.mute("c").direction(Direction::In)),
        "POST /channels/c/mute?direction=in"
    );
    assert_eq!(
        line(
            &channels
                .dial("c")
                .caller("a")
                .timeout(Duration::from_secs(5))
        ),
        "POST /channels/c/dial?caller=a&timeout=5"
    );
    assert_eq!(
        line(
            &channels
                .get_channel_var("c", "CHANNEL(state)")
                .parameter("added_later", true)
        ),
        "GET /channels/c/variable?variable=CHANNEL%28state%29&added_later=true"
    );
}

#[test]
fn some_bodies_are_one_parameter() {
    let ari = ari();
    let (line, body) = sent(
        &ari.bridges()
            .create_with_id("b")
            .bridge_type(["mixing", "dtmf_events"])
            .variable("A", "1"),
    );
    assert_eq!(line, "POST /bridges/b?type=mixing%2Cdtmf_events");
    assert_eq!(body, json!({ "A": "1" }));
    let (line, body) = sent(&ari.channels().set_channel_vars("c", [("A", "1")]));
    assert_eq!(line, "POST /channels/c/variables");
    assert_eq!(body, json!({ "variables": { "A": "1" } }));
    let (line, body) = sent(
        &ari.applications()
            .filter("demo")
            .allow(["StasisStart", "StasisEnd"])
            .disallow("Dial"),
    );
    assert_eq!(line, "PUT /applications/demo/eventFilter");
    assert_eq!(
        body,
        json!({ "allowed": [{ "type": "StasisStart" }, { "type": "StasisEnd" }], "disallowed": [{ "type": "Dial" }] })
    );
    let update = ari
        .asterisk()
        .update_object("res_pjsip", "auth", "x")
        .field("username", "x")
        .field("auth_type", "userpass");
    let (line, body) = sent(&update);
    assert_eq!(line, "PUT /asterisk/config/dynamic/res_pjsip/auth/x");
    assert_eq!(
        body,
        json!({ "fields": [
            { "attribute": "username", "value": "x" },
            { "attribute": "auth_type", "value": "userpass" },
        ] })
    );
}

#[test]
fn handles_name_themselves() {
    let ari = ari();
    let channel = ari.channels().handle(ChannelId::new("c"));
    assert_eq!(line(&channel.answer()), "POST /channels/c/answer");
    assert_eq!(
        line(&channel.variable("A")),
        "GET /channels/c/variable?variable=A"
    );
    assert_eq!(
        line(&channel.set_variable("A", "")),
        "POST /channels/c/variable?variable=A&value="
    );
    assert_eq!(
        line(&channel.variables(["A", "B"])),
        "GET /channels/c/variables?variables=A%2CB"
    );
    assert_eq!(
        line(&channel.move_to("other")),
        "POST /channels/c/move?app=other"
    );
    assert_eq!(
        line(
            &channel
                .send_dtmf("12#")
                .between(Duration::from_micros(100_001))
        ),
        "POST /channels/c/dtmf?dtmf=12%23&between=101"
    );
    assert_eq!(
        line(&channel.transfer_progress(TransferState::Answered)),
        "POST /channels/c/transfer_progress?states=channel_answered"
    );
    assert_eq!(
        line(&channel.snoop("demo").snoop_id("s").spy(SnoopDirection::In)),
        "POST /channels/c/snoop/s?app=demo&spy=in"
    );
    assert_eq!(
        line(
            &channel
                .record("wav")
                .name("r")
                .if_exists(IfExists::Overwrite)
                .max_duration(Duration::from_secs(9))
        ),
        "POST /channels/c/record?name=r&format=wav&ifExists=overwrite&maxDurationSeconds=9"
    );
    assert_eq!(
        line(&channel.claim("demo")),
        "POST /events/claim?channelId=c&application=demo"
    );
    let bridge = ari.bridges().handle(BridgeId::new("b"));
    assert_eq!(
        line(&bridge.create().name("talk")),
        "POST /bridges/b?name=talk"
    );
    assert_eq!(
        line(&bridge.add_channel(["c", "d"]).mute(true)),
        "POST /bridges/b/addChannel?channel=c%2Cd&mute=true"
    );
    assert_eq!(
        line(&bridge.remove_channel(channel.id())),
        "POST /bridges/b/removeChannel?channel=c"
    );
    assert_eq!(
        line(&bridge.set_video_source(channel.id())),
        "POST /bridges/b/videoSource/c"
    );
    let endpoint = ari.endpoints().handle("PJSIP", "alice");
    assert_eq!(line(&endpoint.get()), "GET /endpoints/PJSIP/alice");
    assert_eq!(
        line(&endpoint.send_message("sip:me").body("hi")),
        "PUT /endpoints/PJSIP/alice/sendMessage?from=sip%3Ame&body=hi"
    );
    assert_eq!(
        line(&ari.playbacks().handle("p").control(PlaybackControl::Pause)),
        "POST /playbacks/p/control?operation=pause"
    );
    assert_eq!(
        line(&ari.recordings().stored_handle("r").copy("s")),
        "POST /recordings/stored/r/copy?destinationRecordingName=s"
    );
    assert_eq!(
        line(&ari.recordings().live_handle("r").stop()),
        "POST /recordings/live/r/stop"
    );
    assert_eq!(
        line(
            &ari.device_states()
                .handle("Stasis:x")
                .update(DeviceStateValue::InUse)
        ),
        "PUT /deviceStates/Stasis%3Ax?deviceState=INUSE"
    );
    assert_eq!(
        line(
            &ari.asterisk()
                .get_info()
                .only([InfoSection::Build, InfoSection::Status])
        ),
        "GET /asterisk/info?only=build%2Cstatus"
    );
}

/// The id of what a creation makes is there before it is sent, and each has its own.
#[test]
fn creations_have_ids_of_their_own() {
    fn id(operation: &impl Operation) -> String {
        let request = operation.request();
        let creates = request.operation.creates.as_ref().unwrap();
        let id = request
            .parameters
            .text(creates.id)
            .unwrap_or_else(|| panic!("{} has no id", request.operation));
        assert_eq!(id.len(), 32, "{}", request.operation);
        id.into_owned()
    }
    let ari = ari();
    let (channel, bridge) = (ari.channels().handle("c"), ari.bridges().handle("b"));
    let ids = [
        id(&ari.channels().originate("PJSIP/alice")),
        id(&ari.channels().originate("PJSIP/alice")),
        id(&ari.channels().create("PJSIP/alice", "demo")),
        id(&ari.channels().external_media("demo", "ulaw")),
        id(&ari.channels().play("c", "sound:a")),
        id(&ari.channels().snoop_channel("c", "demo")),
        id(&ari.channels().record("c", "wav")),
        id(&ari.bridges().create()),
        id(&channel.play("sound:a")),
        id(&channel.record("wav")),
        id(&channel.snoop("demo")),
        id(&bridge.play("sound:a")),
        id(&bridge.record("wav")),
    ];
    assert_eq!(
        ids.iter().collect::<std::collections::BTreeSet<_>>().len(),
        ids.len()
    );
}
