use serde_json::json;

use super::Lab;

const APP: &str = "/applications/app";

fn source(uri: &str) -> String {
    format!("{APP}/subscription?eventSource={uri}")
}

#[test]
fn sources_before_a_refused_one_stay_subscribed() {
    let mut lab = Lab::new();
    let both = source("deviceState:Stasis:a,channel:nobody");
    assert_eq!(lab.refusal("POST", &both).0, 422);
    assert_eq!(lab.get(APP)["device_names"], json!(["Stasis:a"]));
}

#[test]
fn channels_are_counted_and_devices_are_not() {
    let mut lab = Lab::new();
    lab.call("a", false);
    for uri in ["channel:a", "deviceState:Stasis:x", "endpoint:PJSIP/bob"] {
        assert_eq!(lab.status("POST", &source(uri)), 200);
        assert_eq!(lab.status("POST", &source(uri)), 200);
        assert_eq!(lab.status("DELETE", &source(uri)), 200);
    }
    let app = lab.get(APP);
    assert_eq!(app["channel_ids"], json!(["a", "a;2"]));
    assert_eq!(app["device_names"], json!([]));
    assert_eq!(app["endpoint_ids"], json!(["PJSIP/bob"]));
}

#[test]
fn a_subscription_to_all_takes_the_place_of_later_ones() {
    let mut lab = Lab::new();
    for uri in ["channel:", "bridge:", "endpoint:", "deviceState:"] {
        assert_eq!(lab.status("POST", &source(uri)), 200);
    }
    lab.call("a", false);
    assert_eq!(lab.status("POST", &source("channel:a")), 200);
    assert_eq!(lab.status("POST", &source("deviceState:Stasis:x")), 200);
    let app = lab.get(APP);
    assert_eq!(app["channel_ids"], json!(["__AST_CHANNEL_ALL_TOPIC"]));
    assert_eq!(app["device_names"], json!(["__AST_DEVICE_STATE_ALL_TOPIC"]));
    assert_eq!(lab.status("DELETE", &source("channel:a")), 422);
    assert_eq!(lab.status("DELETE", &source("channel:")), 501);
    assert_eq!(lab.status("DELETE", &source("deviceState:")), 200);
    assert_eq!(lab.get(APP)["device_names"], json!([]));
}

#[test]
fn a_subscription_to_all_that_is_not_there_cannot_be_taken_back() {
    let mut lab = Lab::new();
    let refusal = lab.refusal("DELETE", &source("channel:"));
    assert_eq!(
        refusal,
        (422, "Event source was not subscribed to".to_owned())
    );
}

#[test]
fn who_subscribes_to_one_and_then_to_all_hears_twice() {
    let mut lab = Lab::new();
    assert_eq!(lab.status("POST", "/bridges?bridgeId=b"), 200);
    assert_eq!(lab.status("POST", &source("bridge:b")), 200);
    assert_eq!(lab.status("POST", &source("bridge:")), 200);
    lab.events();
    assert_eq!(lab.status("DELETE", "/bridges/b"), 204);
    assert_eq!(lab.types(), ["BridgeDestroyed", "BridgeDestroyed"]);
    assert_eq!(lab.status("POST", &source("deviceState:Stasis:x")), 200);
    assert_eq!(lab.status("POST", &source("deviceState:")), 200);
    assert_eq!(
        lab.status("PUT", "/deviceStates/Stasis:x?deviceState=BUSY"),
        204
    );
    assert_eq!(lab.types(), ["DeviceStateChanged", "DeviceStateChanged"]);
}

#[test]
fn subscriptions_to_all_end_with_the_socket_and_devices_outlive_the_application() {
    let mut lab = Lab::new();
    assert_eq!(lab.status("POST", &source("deviceState:Stasis:x")), 200);
    assert_eq!(lab.status("POST", &source("channel:")), 200);
    lab.world.close_session(lab.session);
    assert_eq!(lab.status("GET", APP), 404);
    let session = lab.world.open_session();
    lab.world.register(session, "app", false);
    let app = lab.get(APP);
    assert_eq!(app["channel_ids"], json!([]));
    assert_eq!(app["device_names"], json!(["Stasis:x"]));
}

#[test]
fn a_filter_is_set_as_far_as_it_can_be_read() {
    let mut lab = Lab::new();
    let filter = format!("{APP}/eventFilter");
    let body = json!({"disallowed": [{"type": "Dial"}], "allowed": [{"name": "Dial"}]});
    assert_eq!(lab.send("PUT", &filter, Some(&body)).0, 400);
    let app = lab.get(APP);
    assert_eq!(app["events_disallowed"], json!([{"type": "Dial"}]));
    assert_eq!(app["events_allowed"], json!([]));
    let body = json!({"allowed": [{"type": ""}]});
    assert_eq!(lab.send("PUT", &filter, Some(&body)).0, 400);
    assert_eq!(lab.send("PUT", &filter, Some(&json!({}))).0, 200);
    assert_eq!(lab.get(APP)["events_disallowed"], json!([]));
}

#[test]
fn devices_of_applications_are_told_by_their_canonical_names() {
    let mut lab = Lab::new();
    assert_eq!(lab.status("POST", &source("deviceState:Stasis:x")), 200);
    let busy = "/deviceStates/stasis:x?deviceState=busy";
    assert_eq!(lab.status("PUT", busy), 204);
    let events = lab.events();
    assert_eq!(
        events[0]["device_state"],
        json!({"name": "Stasis:x", "state": "BUSY"})
    );
    assert_eq!(lab.status("PUT", busy), 204);
    assert!(lab.types().is_empty());
    assert_eq!(
        lab.refusal("PUT", "/deviceStates/Stasis:?deviceState=BUSY"),
        (404, "Device name is missing".to_owned())
    );
    assert_eq!(
        lab.status("PUT", "/deviceStates/Stasis:x?deviceState=UNKNOWN"),
        500
    );
}
