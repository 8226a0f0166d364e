use ari_sim::{WorldOptions, world::Dialplan};
use serde_json::json;

use super::Lab;

/// A lab with these extensions, from one of which the channel `near` is called.
fn called(extensions: &str, exten: &str) -> Lab {
    let dialplan = Dialplan::parse(extensions).unwrap();
    let mut lab = Lab::with(WorldOptions::default().dialplan(dialplan));
    let target = format!(
        "/channels?endpoint=Local/{exten}@default&app=app&channelId=near&otherChannelId=far"
    );
    assert_eq!(lab.status("POST", &target), 200);
    lab
}

#[test]
fn goto_finds_priorities_labels_and_extensions() {
    for (to, exten, priority) in [
        ("5", "1", 5),
        ("+3", "1", 5),
        ("last", "1", 5),
        ("2,1", "2", 1),
        ("2, there", "2", 1),
        ("elsewhere,3,1", "3", 1),
    ] {
        let extensions = format!(
            "[default]
exten => 1,1,NoOp()
same => n,Goto({to})
same => n,Hangup()
same => n,Hangup()
same => n(last),Wait(60)
exten => 2,1(there),Wait(60)
[elsewhere]
exten => 3,1,Wait(60)
"
        );
        let mut lab = called(&extensions, "1");
        let place = lab.get("/channels/far")["dialplan"].clone();
        assert_eq!(
            (&place["exten"], &place["priority"]),
            (&json!(exten), &json!(priority)),
            "{to}"
        );
    }
    let mut lab = called("[default]\nexten => 1,1,Goto(nowhere)\n", "1");
    assert_eq!(lab.get("/channels"), json!([]));
}

#[test]
fn a_dialplan_that_waits_for_nothing_lets_time_pass() {
    let extensions = "[default]\nexten => 1,1,Playback(nothing)\nsame => n,Goto(1)\n";
    let mut lab = called(extensions, "1");
    lab.wait(1_000);
    assert_eq!(lab.get("/channels/far")["dialplan"]["app_name"], "Playback");
    assert_eq!(lab.status("DELETE", "/channels/near"), 204);
    assert_eq!(lab.get("/channels"), json!([]));
}

#[test]
fn a_dialplan_that_calls_itself_ends() {
    for then in [
        "",
        "same => n,Dial(Local/1@default)\n",
        "same => n,Goto(1)\n",
    ] {
        let extensions = format!("[default]\nexten => 1,1,Dial(Local/1@default)\n{then}");
        let mut lab = called(&extensions, "1");
        assert_eq!(lab.get("/channels"), json!([]), "{then}");
    }
}

#[test]
fn a_dialplan_that_tries_again_and_again_ends() {
    for target in ["1023", "nowhere"] {
        let extensions =
            format!("[default]\nexten => 1,1,Dial(Local/{target}@default)\nsame => n,Goto(1)\n");
        let mut lab = called(&extensions, "1");
        assert_eq!(lab.get("/channels"), json!([]), "{target}");
    }
}
