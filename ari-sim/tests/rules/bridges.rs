use serde_json::{Value, json};

use super::Lab;

fn add(bridge: &str, channels: &str) -> String {
    format!("/bridges/{bridge}/addChannel?channel={channels}")
}

/// A lab with these silent channels and the empty bridge `br`.
fn with_bridge(channels: &[&str]) -> Lab {
    let mut lab = Lab::new();
    for id in channels {
        lab.call(id, false);
    }
    assert_eq!(lab.status("POST", "/bridges?bridgeId=br"), 200);
    lab
}

#[test]
fn types_that_no_bridge_can_be_are_refused() {
    let mut lab = Lab::new();
    let (status, message) = lab.refusal("POST", "/bridges?bridgeId=b&type=holding,mixing");
    assert_eq!(status, 500);
    assert_eq!(
        message,
        "Unable to create bridge. Possible duplicate bridge id 'b'"
    );
    let refusal = lab.refusal("POST", "/bridges/b?type=dtmf_events");
    assert_eq!(refusal, (500, "Unable to create bridge".to_owned()));
    assert_eq!(lab.get("/bridges"), json!([]));
}

#[test]
fn the_source_of_video_is_told_until_it_leaves() {
    let mut lab = with_bridge(&["a", "b", "c"]);
    let source = |id: &str| format!("/bridges/br/videoSource/{id}");
    assert_eq!(
        lab.refusal("POST", &source("nobody")),
        (400, "Channel not found".to_owned())
    );
    assert_eq!(
        lab.refusal("POST", &source("a;2")),
        (422, "Channel not in Stasis application".to_owned())
    );
    assert_eq!(
        lab.refusal("POST", &source("a")),
        (422, "Channel not in this bridge".to_owned())
    );
    assert_eq!(lab.status("POST", &add("br", "a,b")), 204);
    lab.events();

    assert_eq!(lab.status("POST", &source("a")), 204);
    assert_eq!(lab.status("POST", &source("a")), 204);
    assert_eq!(lab.status("POST", &source("b")), 204);
    let events = lab.events();
    let shown = |event: &Value| {
        assert_eq!(event["type"], "BridgeVideoSourceChanged");
        let bridge = &event["bridge"];
        (
            bridge["video_mode"].clone(),
            bridge["video_source_id"].clone(),
            event["old_video_source_id"].clone(),
        )
    };
    let shown: Vec<_> = events.iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            (json!("single"), json!("a"), Value::Null),
            (json!("single"), json!("b"), json!("a")),
        ]
    );

    assert_eq!(
        lab.status("POST", "/bridges/br/removeChannel?channel=b"),
        204
    );
    let types = lab.types();
    let place = |kind: &str| types.iter().position(|known| known == kind);
    assert!(place("BridgeVideoSourceChanged").unwrap() < place("ChannelLeftBridge").unwrap());

    assert_eq!(lab.status("POST", &source("a")), 204);
    lab.events();
    // As in Asterisk 22.10.1: it shows when somebody enters or leaves.
    assert_eq!(lab.status("DELETE", "/bridges/br/videoSource"), 204);
    assert_eq!(lab.status("DELETE", "/bridges/br/videoSource"), 204);
    assert_eq!(lab.events().len(), 0);
    assert_eq!(lab.get("/bridges/br")["video_source_id"], "a");
    assert_eq!(lab.status("POST", &add("br", "b")), 204);
    let event = &lab.events()[0];
    assert_eq!(event["type"], "BridgeVideoSourceChanged");
    assert_eq!(event["old_video_source_id"], "a");
    assert_eq!(lab.get("/bridges/br")["video_mode"], "talker");
}

#[test]
fn channels_enter_one_after_the_other() {
    let mut lab = with_bridge(&["a", "b", "c"]);
    assert_eq!(
        lab.status("POST", "/channels/b/play?media=sound:hello-world"),
        201
    );
    lab.events();
    assert_eq!(lab.status("POST", &add("br", "a,b,c")), 0);
    assert_eq!(lab.get("/bridges/br")["channels"], json!(["a"]));
    lab.wait(2_000);
    let (_, answer) = lab.world.poll_reply().unwrap();
    assert_eq!(answer.status, 204);
    assert_eq!(lab.get("/bridges/br")["channels"], json!(["a", "b", "c"]));
    assert_eq!(lab.get("/bridges/br")["technology"], "softmix");
}

#[test]
fn no_more_than_ten_others_are_named_as_peers() {
    let ids: Vec<_> = (0..14).map(|number| format!("c{number}")).collect();
    let mut lab = with_bridge(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(lab.status("POST", &add("br", &ids[..13].join(","))), 204);
    lab.events();
    assert_eq!(lab.status("POST", &add("br", &ids[13])), 204);
    let told: Vec<_> = lab
        .events()
        .into_iter()
        .filter(|event| event["variable"] == "BRIDGEPEER")
        .collect();
    assert_eq!(told.len(), 14);
    for event in &told {
        let own = event["channel"]["name"].as_str().unwrap();
        let mut peers = event["value"].as_str().unwrap().split(',');
        assert_eq!(peers.clone().count(), 10);
        assert!(!peers.any(|name| name == own), "{event}");
    }
    // Those behind the eleventh are told the same.
    assert_eq!(told[11]["value"], told[10]["value"]);
    assert_ne!(told[10]["value"], told[9]["value"]);
}

#[test]
fn as_many_channels_as_a_list_may_have_enter_and_leave() {
    let ids: Vec<_> = (0..127).map(|number| format!("c{number}")).collect();
    let mut lab = with_bridge(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(lab.status("POST", &add("br", &ids.join(","))), 204);
    let remove = format!("/bridges/br/removeChannel?channel={}", ids.join(","));
    assert_eq!(lab.status("POST", &remove), 204);
    let more = add("br", &format!("{},c0", ids.join(",")));
    assert_eq!(
        lab.refusal("POST", &more),
        (400, "Too many values for channel".to_owned())
    );
}

#[test]
fn what_comes_before_a_channel_that_records_is_added() {
    let mut lab = Lab::new();
    lab.call("a", false);
    lab.call("b", true);
    assert_eq!(lab.status("POST", "/bridges?bridgeId=br"), 200);
    assert_eq!(
        lab.status("POST", "/channels/b/record?name=r&format=wav"),
        201
    );
    assert_eq!(
        lab.refusal("POST", &add("br", "a,b")),
        (409, "Channel b currently recording".to_owned())
    );
    assert_eq!(lab.get("/bridges/br")["channels"], json!(["a"]));
}

#[test]
fn what_is_asked_of_a_member_has_its_effect() {
    let mut lab = with_bridge(&["a", "b"]);
    let name = "/channels/a/variable?variable=CALLERID(num)&value=77";
    assert_eq!(lab.status("POST", name), 204);
    assert_eq!(lab.status("POST", &add("br", "b")), 204);
    let quiet = format!(
        "{}&absorbDTMF=true&inhibitConnectedLineUpdates=true",
        add("br", "a")
    );
    lab.events();
    assert_eq!(lab.status("POST", &quiet), 204);
    assert!(!lab.types().contains(&"ChannelConnectedLine".to_owned()));
    let second = std::time::Duration::from_millis(100);
    assert!(lab.world.press(lab.now, "a;2", '5', second));
    lab.wait(200);
    let digits: Vec<_> = lab
        .events()
        .into_iter()
        .map(|event| event["channel"]["id"].clone())
        .collect();
    assert_eq!(digits, ["a"]);
    assert!(lab.world.press(lab.now, "b;2", '6', second));
    lab.wait(200);
    let digits: Vec<_> = lab
        .events()
        .into_iter()
        .map(|event| event["channel"]["id"].clone())
        .collect();
    assert_eq!(digits, ["b", "a;2"]);
}

#[test]
fn formats_of_announcer_and_recorder_are_checked() {
    let mut lab = with_bridge(&[]);
    let play = "/bridges/br/play?media=sound:hello-world&announcer_format=";
    assert_eq!(
        lab.refusal("POST", &format!("{play}nonsense")),
        (
            422,
            "specified announcer_format is unknown on this system".to_owned()
        )
    );
    assert_eq!(lab.status("POST", &format!("{play}slin16")), 201);
    // The announcer is there already.
    assert_eq!(lab.status("POST", &format!("{play}nonsense")), 201);
    let record = "/bridges/br/record?name=r&recorder_format=nonsense&format=";
    assert_eq!(
        lab.refusal("POST", &format!("{record}wav")),
        (
            422,
            "specified recorder_format is unknown on this system".to_owned()
        )
    );
    assert_eq!(
        lab.refusal("POST", &format!("{record}nonsense")).1,
        "specified format is unknown on this system"
    );
    assert_eq!(
        lab.refusal(
            "POST",
            "/bridges/br/record?name=r&format=wav&maxDurationSeconds=-1"
        ),
        (500, "Error parsing request".to_owned())
    );
}

#[test]
fn variables_of_bridges_are_refused_in_the_order_of_asterisk() {
    let mut lab = with_bridge(&[]);
    assert_eq!(
        lab.refusal("GET", "/bridges/nobody/variable"),
        (400, "Variable name is required".to_owned())
    );
    assert_eq!(
        lab.refusal("GET", "/bridges/nobody/variables?variables=A"),
        (404, "Provided bridge was not found".to_owned())
    );
    assert_eq!(
        lab.refusal("POST", "/bridges/nobody/variables"),
        (400, "The 'variables' field is required".to_owned())
    );
    let body = json!({"variables": {"A": {"value": "1", "report_events": "yes"}}});
    let (status, answer) = lab.send("POST", "/bridges/br/variables", Some(&body));
    assert_eq!(status, 400);
    assert_eq!(
        answer["message"],
        "Field 'report_events' in 'variables' entries must be boolean"
    );
}

#[test]
fn a_variable_of_a_bridge_is_shown_as_it_was_last_set() {
    let mut lab = with_bridge(&[]);
    let set = "/bridges/br/variable?variable=A";
    assert_eq!(
        lab.status("POST", &format!("{set}&value=1&report_events=true")),
        204
    );
    assert_eq!(lab.get("/bridges/br")["bridgevars"], json!({"A": "1"}));
    assert_eq!(lab.status("POST", &format!("{set}&value=2")), 204);
    assert_eq!(lab.get("/bridges/br").get("bridgevars"), None);
    assert_eq!(lab.get(set), json!({"value": "2"}));
    // An empty one is none.
    assert_eq!(lab.status("POST", set), 204);
    assert_eq!(lab.status("GET", set), 404);
}
