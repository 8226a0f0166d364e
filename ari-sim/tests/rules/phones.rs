use std::time::Duration;

use ari_sim::{CallScript, WorldOptions, world::Phone};
use serde_json::json;

use super::Lab;

const URI: &str = "sip:alice@127.0.0.1:5091";

fn lab() -> Lab {
    Lab::with(WorldOptions::default().phone("alice", Phone::offline()))
}

fn subscribe(lab: &mut Lab, uri: &str) {
    let target = format!("/applications/app/subscription?eventSource={uri}");
    assert_eq!(lab.status("POST", &target), 200);
    lab.events();
}

#[test]
fn a_phone_that_registers_can_be_called() {
    let mut lab = lab();
    let call = "/channels?endpoint=PJSIP/alice&app=app";
    assert_eq!(lab.status("POST", call), 500);
    assert_eq!(
        lab.get("/deviceStates/PJSIP%2Falice")["state"],
        "UNAVAILABLE"
    );
    subscribe(&mut lab, "endpoint:PJSIP/alice");
    subscribe(&mut lab, "deviceState:PJSIP/alice");
    let now = lab.now;
    let round_trip = Duration::from_micros(363);
    assert!(
        lab.world
            .phone_registers(now, "alice", URI, Some(round_trip))
    );
    let events = lab.events();
    let types: Vec<_> = events.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(
        types,
        [
            "ContactStatusChange",
            "EndpointStateChange",
            "PeerStatusChange",
            "DeviceStateChanged",
            "ContactStatusChange"
        ]
    );
    assert_eq!(
        events[0]["contact_info"],
        json!({"uri": URI, "contact_status": "NonQualified", "aor": "alice", "roundtrip_usec": "0"})
    );
    assert_eq!(events[0]["endpoint"]["state"], "offline");
    assert_eq!(events[2]["peer"], json!({"peer_status": "Reachable"}));
    assert_eq!(events[4]["endpoint"]["state"], "online");
    assert_eq!(events[4]["contact_info"]["roundtrip_usec"], "363");
    assert_eq!(lab.status("POST", call), 200);
    assert_eq!(lab.get("/deviceStates/PJSIP%2Falice")["state"], "NOT_INUSE");
    lab.events();
    assert!(lab.world.phone_unregisters(now, "alice", URI));
    let events = lab.events();
    assert_eq!(events[1]["peer"], json!({"peer_status": "Unreachable"}));
    assert_eq!(events[3]["contact_info"]["contact_status"], "Removed");
    assert!(!lab.world.phone_unregisters(now, "nobody", URI));
}

#[test]
fn a_subscription_to_all_endpoints_tells_of_their_state_only() {
    let mut lab = lab();
    subscribe(&mut lab, "endpoint:");
    let now = lab.now;
    assert!(lab.world.phone_registers(now, "alice", URI, None));
    assert_eq!(lab.types(), ["ContactStatusChange", "PeerStatusChange"]);
    assert_eq!(
        lab.status("POST", "/channels?endpoint=PJSIP/bob&extension=1014"),
        200
    );
    lab.wait(1_000);
    assert!(lab.types().is_empty());
}

#[test]
fn a_message_goes_to_each_subscription() {
    let mut lab = lab();
    let now = lab.now;
    let send = |lab: &mut Lab| {
        lab.world
            .phone_sends_message(now, "bob", "sip:100@127.0.0.1", "hi", &[("X-Foo", "bar")])
    };
    assert!(!send(&mut lab));
    subscribe(&mut lab, "endpoint:PJSIP/bob");
    subscribe(&mut lab, "endpoint:PJSIP");
    assert!(send(&mut lab));
    let events = lab.events();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["type"], "TextMessageReceived");
    assert_eq!(events[0]["endpoint"]["resource"], "bob");
    assert_eq!(events[0]["message"]["body"], "hi");
    assert_eq!(events[0]["message"]["variables"], json!({"X-Foo": "bar"}));
}

#[test]
fn who_is_written_to_must_have_registered() {
    let mut lab = lab();
    let not_found = (404, "Endpoint not found".to_owned());
    for target in [
        "/endpoints/PJSIP/alice/sendMessage?from=x&body=hi",
        "/endpoints/sendMessage?to=pjsip:alice&from=x",
        "/endpoints/sendMessage?to=nonsense:bob&from=x",
        "/endpoints/sendMessage?to=bob&from=x",
    ] {
        assert_eq!(lab.refusal("PUT", target), not_found, "{target}");
    }
    for target in [
        "/endpoints/PJSIP/bob/sendMessage?from=x&body=hi",
        "/endpoints/sendMessage?to=PJSIP:bob&from=x",
        "/endpoints/sendMessage?to=pjsip:alice/sip:alice@127.0.0.1&from=x",
    ] {
        assert_eq!(lab.status("PUT", target), 202, "{target}");
    }
    let refer = "/endpoints/PJSIP/bob/refer?from=x&refer_to=";
    assert_eq!(lab.refusal("POST", &format!("{refer}alice")), not_found);
    assert_eq!(
        lab.status("POST", &format!("{refer}sip:200@127.0.0.1")),
        202
    );
    let body = json!({"variables": {"n": 5}});
    let (status, answer) = lab.send("PUT", "/endpoints/PJSIP/bob/sendMessage", Some(&body));
    assert_eq!(status, 400);
    assert_eq!(
        answer["message"],
        "Only string values in the 'variables' object allowed"
    );
}

#[test]
fn the_device_of_a_phone_follows_its_calls() {
    let mut lab = lab();
    subscribe(&mut lab, "deviceState:PJSIP/bob");
    assert_eq!(
        lab.status("POST", "/channels?endpoint=PJSIP/bob&app=app&channelId=a"),
        200
    );
    lab.wait(1_000);
    assert_eq!(lab.status("DELETE", "/channels/a"), 204);
    let states: Vec<_> = lab
        .events()
        .into_iter()
        .filter(|event| event["type"] == "DeviceStateChanged")
        .map(|event| event["device_state"]["state"].clone())
        .collect();
    assert_eq!(states, ["RINGING", "INUSE", "NOT_INUSE"]);
}

#[test]
fn callers_without_end_are_one_that_waits() {
    let mut lab = lab();
    lab.world
        .place_calls(lab.now, CallScript::new("nobody"), None, Duration::ZERO);
    lab.wait(99);
    let totals = lab.world.call_totals();
    assert_eq!((totals.placed, totals.waiting), (100, 1));
}
