use ari_sim::{WorldOptions, world::Dialplan};
use serde_json::{Value, json};

use super::Lab;

const EXTENSIONS: &str = "
[default]
exten => 2000,1,Dial(Local/1014@default)
same => n,Wait(10)
exten => 2001,1,Dial(Local/1007@default,20)
same => n,Wait(10)
exten => 2002,1,Dial(Local/1009@default,2)
same => n,Wait(10)
exten => 2003,1,Dial(Local/1014@default,,g)
same => n,Wait(10)
exten => 2004,1,Dial(PJSIP/nobody)
same => n,Wait(10)
exten => 3000,1,Answer()
same => n,Wait(60)
";

/// A lab whose application hears everything.
fn lab() -> Lab {
    let dialplan = Dialplan::parse(EXTENSIONS).unwrap();
    let mut lab = Lab::with(WorldOptions::default().dialplan(dialplan));
    for uri in ["channel:", "bridge:"] {
        let target = format!("/applications/app/subscription?eventSource={uri}");
        assert_eq!(lab.status("POST", &target), 200);
    }
    lab
}

/// Calls an extension that dials; its events of the first second.
fn dial(lab: &mut Lab, exten: &str, id: &str) -> Vec<Value> {
    let target = format!(
        "/channels?endpoint=Local/{exten}@default&extension=3000&channelId={id}&otherChannelId={id}-far"
    );
    assert_eq!(lab.status("POST", &target), 200);
    lab.wait(1_000);
    lab.events()
}

fn statuses(events: &[Value], channel: &str) -> Vec<String> {
    events
        .iter()
        .filter(|event| event["variable"] == "DIALSTATUS" && event["channel"]["id"] == channel)
        .map(|event| event["value"].as_str().unwrap().to_owned())
        .collect()
}

fn bridge(lab: &mut Lab) -> Value {
    let bridges = lab.get("/bridges");
    assert_eq!(bridges.as_array().unwrap().len(), 1, "{bridges}");
    bridges[0].clone()
}

#[test]
fn two_parties_of_the_dialplan_are_bridged() {
    let mut lab = lab();
    let events = dial(&mut lab, "2000", "p");
    assert_eq!(statuses(&events, "p-far"), ["", "ANSWER"]);
    let shown = bridge(&mut lab);
    assert_eq!(shown["bridge_class"], "basic");
    assert_eq!(shown["video_mode"], "none");
    let called = shown["channels"][0].as_str().unwrap().to_owned();
    assert_eq!(
        lab.get(&format!("/channels/{called}"))["caller"]["number"],
        "2000"
    );
    let bridge = format!("/bridges/{}", shown["id"].as_str().unwrap());
    assert_eq!(lab.get(&bridge), shown);
    assert_eq!(
        lab.refusal("DELETE", &bridge),
        (409, "Bridge not in Stasis application".to_owned())
    );
    // The party called hangs up: so does who called it.
    assert_eq!(lab.status("DELETE", &format!("/channels/{called}")), 204);
    assert_eq!(lab.get("/channels"), json!([]));
    assert_eq!(lab.get("/bridges"), json!([]));
}

#[test]
fn the_dialplan_goes_on_when_a_call_fails() {
    for (exten, status) in [
        ("2001", "BUSY"),
        ("2002", "NOANSWER"),
        ("2004", "CHANUNAVAIL"),
    ] {
        let mut lab = lab();
        let mut events = dial(&mut lab, exten, "p");
        lab.wait(2_000);
        events.extend(lab.events());
        assert_eq!(statuses(&events, "p-far"), ["", status], "{exten}");
        assert_eq!(lab.get("/channels/p-far")["dialplan"]["app_name"], "Wait");
        assert_eq!(lab.get("/channels").as_array().unwrap().len(), 2);
    }
}

#[test]
fn who_gives_up_takes_the_call_with_it() {
    let mut lab = lab();
    dial(&mut lab, "2002", "p");
    assert_eq!(lab.get("/channels").as_array().unwrap().len(), 4);
    assert_eq!(lab.status("DELETE", "/channels/p"), 204);
    let events = lab.events();
    assert_eq!(statuses(&events, "p-far"), ["CANCEL"]);
    let canceled = |event: &&Value| event["type"] == "Dial" && event["dialstatus"] == "CANCEL";
    assert_eq!(events.iter().filter(canceled).count(), 1);
    assert_eq!(lab.get("/channels"), json!([]));
}

#[test]
fn the_dialplan_goes_on_after_the_call_if_it_is_told_to() {
    let mut lab = lab();
    dial(&mut lab, "2003", "p");
    let called = bridge(&mut lab)["channels"][0].as_str().unwrap().to_owned();
    assert_eq!(lab.status("DELETE", &format!("/channels/{called}")), 204);
    assert_eq!(lab.get("/channels/p-far")["dialplan"]["app_name"], "Wait");
    assert_eq!(lab.get("/bridges"), json!([]));
}

#[test]
fn a_party_sends_the_other_to_an_extension() {
    let mut lab = lab();
    dial(&mut lab, "2000", "p");
    let called = bridge(&mut lab)["channels"][0].as_str().unwrap().to_owned();
    let now = lab.now;
    assert!(!lab.world.blind_transfer(now, "p", "default", "3000"));
    assert!(!lab.world.blind_transfer(now, "p-far", "default", "nowhere"));
    let events = lab.events();
    assert_eq!(events[0]["type"], "BridgeBlindTransfer");
    assert_eq!(events[0]["result"], "Invalid");
    assert!(lab.world.blind_transfer(now, "p-far", "default", "3000"));
    let events = lab.events();
    let transfer = &events[0];
    assert_eq!(transfer["result"], "Success");
    assert_eq!(transfer["is_external"], true);
    assert_eq!(transfer["channel"]["id"], "p-far");
    assert_eq!(transfer["transferee"]["id"], called.as_str());
    assert_eq!(transfer["bridge"]["channels"].as_array().unwrap().len(), 2);
    assert_eq!(lab.status("GET", "/channels/p"), 404);
    let place = lab.get(&format!("/channels/{called}"))["dialplan"].clone();
    assert_eq!(place["exten"], "3000");
    assert_eq!(lab.get("/bridges"), json!([]));
}

#[test]
fn a_party_that_is_sent_away_leaves_its_call() {
    let mut lab = lab();
    dial(&mut lab, "2000", "p");
    let now = lab.now;
    assert!(
        lab.world
            .redirect_channel(now, "p-far", "default", "3000", 1)
    );
    assert_eq!(lab.get("/bridges"), json!([]));
    assert_eq!(lab.get("/channels/p-far")["dialplan"]["exten"], "3000");
    assert_eq!(lab.get("/channels").as_array().unwrap().len(), 2);
}

#[test]
fn a_party_that_is_listened_to_ends_the_call_as_any_other() {
    let mut lab = lab();
    dial(&mut lab, "2000", "p");
    let called = bridge(&mut lab)["channels"][0].as_str().unwrap().to_owned();
    let snoop = format!("/channels/{called}/snoop/s?app=app&spy=both");
    assert_eq!(lab.status("POST", &snoop), 200);
    assert_eq!(lab.status("DELETE", &format!("/channels/{called}")), 204);
    assert_eq!(lab.get("/bridges"), json!([]));
    assert_eq!(lab.get("/channels"), json!([]));
}

#[test]
fn calls_are_merged() {
    let mut lab = lab();
    dial(&mut lab, "2000", "p");
    dial(&mut lab, "2000", "q");
    let now = lab.now;
    assert!(!lab.world.merge_calls(now, "p-far", "p-far"));
    assert!(lab.world.merge_calls(now, "p-far", "q-far"));
    let events = lab.events();
    assert_eq!(events[0]["type"], "BridgeMerged");
    assert_eq!(events[0]["bridge"]["channels"].as_array().unwrap().len(), 2);
    assert_eq!(events[0]["bridge_from"]["bridge_class"], "basic");
    let shown = bridge(&mut lab);
    assert_eq!(shown["channels"].as_array().unwrap().len(), 4);
    assert_eq!(shown["technology"], "softmix");
    assert_eq!(lab.status("DELETE", "/channels/q"), 204);
    assert_eq!(bridge(&mut lab)["channels"].as_array().unwrap().len(), 3);
}
