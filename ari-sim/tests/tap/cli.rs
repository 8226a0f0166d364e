//! `ari-sim record` and `ari-sim replay`.

use std::{fs, path::PathBuf};

use ari_sim::{Simulator, Trace};
use serde_json::{Value, json};

use crate::{
    client::{ask, events_until, open},
    driver::{Driver, lines},
    program::{Running, fails},
};

/// A file of its own, which goes when the test is over.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.jsonl", std::process::id()));
        drop(fs::remove_file(&path));
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_recorded_and_replayed() {
    let simulator = Simulator::builder().user("demo", "secret").start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let upstream = format!("http://demo:secret@{}/ari", server.address());
    let file = Scratch::new("call");
    let dialplan = Scratch::new("extensions");
    fs::write(
        &dialplan.0,
        "exten => 1014,1,Answer()\nsame => n,Wait(3600)\n",
    )
    .unwrap();
    let record = [
        "record",
        "--dialplan",
        dialplan.path(),
        "--upstream",
        &upstream,
        "--port",
        "0",
        "--out",
        file.path(),
        "--title",
        "Mine",
    ];
    let recorder = Running::start(&record);
    let address = recorder.address();
    let mut socket = open(address, "app=shop").await.unwrap();
    let originate = "/ari/channels?endpoint=Local/1014@default&app=shop";
    let made = ask(address, "POST", originate).await.json()["id"].clone();
    events_until(&mut socket, "StasisStart").await;
    let made = made.as_str().unwrap().to_owned();
    ask(
        address,
        "POST",
        &format!("/ari/channels/{made}/play/mine?media=sound:hello-world"),
    )
    .await;
    events_until(&mut socket, "PlaybackFinished").await;
    ask(address, "DELETE", &format!("/ari/channels/{made}")).await;
    events_until(&mut socket, "StasisEnd").await;
    // A recorder that is killed leaves a good file; this one completes it.
    let before = fs::read_to_string(&file.0).unwrap();
    Trace::parse("before", &before).unwrap();
    assert_eq!(lines(&before)[0]["generated_ids"], json!({}));
    recorder.signal("-TERM");
    assert_eq!(recorder.ended(), "");

    let text = fs::read_to_string(&file.0).unwrap();
    assert!(!text.contains("secret"));
    let lines = lines(&text);
    let header = &lines[0];
    assert!(
        header["scenario"].as_str().unwrap().starts_with("call-"),
        "{header}"
    );
    assert_eq!(
        (&header["title"], &header["app"]),
        (&json!("Mine"), &json!("shop"))
    );
    let extensions = json!({"1014": ["1,Answer()", "n,Wait(3600)"]});
    assert_eq!(header["dialplan"], extensions);
    let generated: Vec<_> = header["generated_ids"]
        .as_object()
        .unwrap()
        .values()
        .collect();
    assert!(generated.contains(&&Value::from(made)), "{header}");
    assert!(!generated.contains(&&json!("mine")), "{header}");
    assert!(
        text.starts_with(r#"{"scenario":"#),
        "the members keep their order"
    );

    let replay = [
        "replay",
        file.path(),
        "--port",
        "0",
        "--speed",
        "max",
        "--exit-at-end",
    ];
    let replayed = Running::start(&replay);
    let address = replayed.address();
    assert_eq!(ask(address, "GET", "/ari/sounds").await.status, 404);
    Driver::new(address).run(&lines).await;
    assert!(replayed.line().contains("is over: all "));
    let told = replayed.ended();
    assert!(
        told.contains(
            "GET /ari/sounds is not in the trace; next would be a WebSocket of shop (line 2)"
        ),
        "{told}"
    );
}

#[test]
fn a_replay_that_is_stopped_says_what_is_left() {
    let file = Scratch::new("left");
    let text = "{\"scenario\":\"left\"}\n{\"t_ms\":1,\"http\":{\"method\":\"GET\",\"path\":\"/ari/channels\",\"status\":200}}\n";
    fs::write(&file.0, text).unwrap();
    let replay = Running::start(&["replay", file.path(), "--port", "0"]);
    replay.address();
    replay.signal("-INT");
    let told = replay.ended();
    assert!(
        told.contains("left is not over: next would be GET /ari/channels (line 2)"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_cannot_do_it_says_in_a_sentence() {
    let file = Scratch::new("broken");
    fs::write(&file.0, "{\"scenario\":\"x\"}\n{\"t_ms\":1,\"event\":\n").unwrap();
    let message = fails(&["replay", file.path(), "--port", "0"]);
    assert!(
        message.contains(&format!("{}:2: ", file.path())),
        "{message}"
    );
    let message = fails(&["replay", file.path(), "--speed", "fast"]);
    assert!(message.contains("a number above 0, or `max`"), "{message}");

    let simulator = Simulator::builder().user("demo", "secret").start();
    let server = simulator.serve(([127, 0, 0, 1], 0)).await.unwrap();
    let here = server.address();
    let out = Scratch::new("out");
    let record = |url: &str, out: &Scratch| {
        fails(&[
            "record",
            "--upstream",
            url,
            "--port",
            "0",
            "--out",
            out.path(),
        ])
    };
    let message = record(&format!("http://demo:hot-wrong@{here}/ari"), &out);
    assert!(message.contains("does not let demo in (401)"), "{message}");
    assert!(!message.contains("hot-wrong"), "{message}");
    let message = record("https://demo:hot@pbx/ari", &out);
    assert!(message.contains("the upstream is not as in http://user:password@host:8088/ari: it must begin with http://"), "{message}");
    // The file of somebody else stays as it is.
    let message = record(&format!("http://demo:secret@{here}/ari"), &file);
    assert!(message.contains("choose another --out"), "{message}");
    server.stop().await;
    let message = record(&format!("http://demo:secret@{here}/ari"), &out);
    assert!(
        message.contains(&format!("there is no Asterisk at {here}")),
        "{message}"
    );
    assert!(!out.0.exists(), "nothing is left behind");
}
