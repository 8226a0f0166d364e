//! The replay, and the recorder in front of it.

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::PathBuf,
    time::Duration,
};

use ari_sim::{Recorder, Replay, ReplayOutput, Speed, Trace};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::{
    client::{LIMIT, Memory, Socket, ask, ask_as, events_until, next_text, open},
    driver::{Driver, lines, traces},
};

/// What a file tells, but for times, steps and the names of sockets: steps, and the events of each socket.
fn told(lines: &[Value]) -> (Vec<Value>, Vec<Vec<Value>>) {
    let mut steps = Vec::new();
    let mut events: Vec<Vec<Value>> = Vec::new();
    let mut sockets: HashMap<String, usize> = HashMap::new();
    let mut last = 0;
    for line in &lines[1..] {
        let by = line["socket"].as_str().map_or(last, |name| sockets[name]);
        if let Some(http) = line.get("http") {
            let mut http = http.clone();
            let members = http.as_object_mut().unwrap();
            members.remove("auth");
            members.remove("response_trimmed_from");
            let path = members["path"].as_str().unwrap().replace(' ', "%20");
            members.insert("path".to_owned(), path.into());
            steps.push(without_secrets(http));
        } else if line["socket"].is_object() {
            let mut socket = line["socket"].clone();
            let name = socket["name"].as_str().unwrap().to_owned();
            if socket["action"] == "open" && socket["status"] == 101 {
                last = *sockets.entry(name).or_insert(events.len());
                events.resize(events.len().max(last + 1), Vec::new());
            }
            socket.as_object_mut().unwrap().remove("name");
            steps.push(socket);
        } else if let Some(request) = line["rest"].get("request") {
            let text = request.as_str().unwrap_or_default();
            let request = serde_json::from_str(text)
                .ok()
                .filter(Value::is_object)
                .unwrap_or_else(|| request.clone());
            steps.push(json!([by, request]));
        } else if let Some(told) = line.get("event").or_else(|| line["rest"].get("response")) {
            events[by].push(told.clone());
        }
    }
    // What the client does when all is over is no step of the trace.
    while steps.last().is_some_and(|step| step["action"] == "close") {
        steps.pop();
    }
    (steps, events)
}

/// The ids that Asterisk made.
fn made(header: &Value) -> HashSet<&str> {
    let ids = header["generated_ids"].as_object().unwrap().values();
    ids.filter_map(Value::as_str).collect()
}

/// The same as the recorder writes it: without what lets somebody in.
fn without_secrets(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            let secret = ["password", "md5_cred", "oauth_secret", "refresh_token"]
                .iter()
                .any(|name| members.get("attribute").is_some_and(|known| known == name));
            if secret && members["value"] != "" {
                members.insert("value".to_owned(), "***".into());
            }
            for (_, value) in members.iter_mut() {
                *value = without_secrets(value.take());
            }
        }
        Value::Array(items) => {
            for value in items {
                *value = without_secrets(value.take());
            }
        }
        _ => {}
    }
    value
}

#[tokio::test]
async fn every_trace_is_served_and_recorded_again() {
    let paths = traces();
    assert!(paths.len() >= 108, "{}", paths.len());
    for path in paths {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).unwrap();
        let original = lines(&text);
        let trace = Trace::read(&path).unwrap();
        assert_eq!(trace.scenario(), name);
        assert_eq!(trace.len(), original.len() - 1);
        let server = Replay::new(trace, Speed::MAX)
            .serve(([127, 0, 0, 1], 0))
            .await
            .unwrap();
        let file = Memory::default();
        let recorder = Recorder::builder(format!("http://{}/ari", server.address()))
            .scenario(&name)
            .start(([127, 0, 0, 1], 0), file.clone())
            .await
            .unwrap();
        Driver::new(recorder.address()).run(&original).await;
        let over = timeout(LIMIT, server.over()).await;
        assert!(over.is_ok(), "{name} is not over: {:?}", server.expected());
        recorder.stop().await.unwrap();
        server.stop().await;
        let (again, events) = told(&file.lines());
        let (steps, expected) = told(&original);
        for (a, b) in again.iter().zip(&steps) {
            assert_eq!(a, b, "{name}");
        }
        assert_eq!(again.len(), steps.len(), "{name}");
        assert_eq!(events, expected, "{name}");
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}.jsonl", std::process::id()));
        fs::write(&path, file.text()).unwrap();
        Recorder::complete(&path).unwrap();
        let completed = fs::read_to_string(&path).unwrap();
        fs::remove_file(&path).unwrap();
        Trace::parse("again", &completed).unwrap();
        let header = lines(&completed).swap_remove(0);
        // The header of the trace counts some ids of SIP calls, too, which are no ids of ARI.
        let (found, known) = (made(&header), made(&original[0]));
        assert!(found.is_subset(&known), "{name}: {found:?}");
        let others = known.difference(&found).copied();
        assert!(
            others.into_iter().all(|id| id.contains('-')),
            "{name}: {known:?}"
        );
        assert_eq!(header["transport"], original[0]["transport"], "{name}");
    }
}

const CALL: &str = r#"{"scenario":"call","generated_ids":{"generated-1":"17.1"}}
{"t_ms":0,"step":1,"socket":{"name":"ws","action":"open","query":{"app":"shop"},"status":101}}
{"t_ms":100,"event":{"type":"StasisStart","channel":{"id":"17.1","creationtime":"then"},"args":[]}}
{"t_ms":110,"step":2,"t_sent_ms":105,"http":{"method":"POST","path":"/ari/channels/17.1/answer","query":{},"body":null,"status":204,"reason":"No Content","response":null}}
{"t_ms":111,"event":{"type":"ChannelStateChange","channel":{"id":"17.1","state":"Up"}}}
{"t_ms":150,"step":3,"t_sent_ms":120,"http":{"method":"POST","path":"/ari/channels/17.1/play/p1","query":{"media":"sound:hello"},"body":null,"status":201,"reason":"Created","response":{"id":"p1","target_uri":"channel:17.1"},"headers":{"Location":"/ari/playbacks/p1"}}}
{"t_ms":151,"event":{"type":"PlaybackStarted","playback":{"id":"p1"}}}
{"t_ms":1151,"event":{"type":"PlaybackFinished","playback":{"id":"p1"}}}
{"t_ms":1160,"step":4,"t_sent_ms":1155,"http":{"method":"DELETE","path":"/ari/channels/17.1","query":{},"body":null,"status":204,"reason":"No Content","response":null}}
{"t_ms":1161,"event":{"type":"StasisEnd","channel":{"id":"17.1"}}}
"#;

fn call(speed: Speed) -> Replay {
    Replay::new(Trace::parse("call", CALL).unwrap(), speed)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn kind(output: Option<ReplayOutput>) -> String {
    match output {
        Some(ReplayOutput::Message(_, text)) => {
            let event: Value = serde_json::from_str(&text).unwrap();
            event["type"].as_str().unwrap().to_owned()
        }
        Some(ReplayOutput::Answer(_, answer)) => answer.status.to_string(),
        other => format!("{other:?}"),
    }
}

#[test]
fn events_come_when_they_came_after_what_was_asked() {
    let mut replay = call(Speed::times(10.0).unwrap());
    assert_eq!(replay.due(), None);
    assert_eq!(replay.poll(ms(60_000)), None);
    // The client comes late: all is told from then on.
    replay
        .open(ms(5_000), "app=shop&subscribeAll=false")
        .unwrap();
    assert_eq!(replay.due(), Some(ms(5_010)));
    assert_eq!(replay.poll(ms(5_009)), None);
    assert_eq!(kind(replay.poll(ms(5_010))), "StasisStart");
    // What the answer brought is not told before it is asked for.
    assert_eq!(replay.due(), None);
    assert_eq!(replay.poll(ms(9_000)), None);
    replay.request(ms(9_000), "POST", "/ari/channels/17.1/answer", "", b"");
    assert_eq!(replay.due(), Some(ms(9_000) + Duration::from_micros(500)));
    assert_eq!(kind(replay.poll(ms(9_001))), "204");
    assert_eq!(kind(replay.poll(ms(9_001))), "ChannelStateChange");
    replay.request(
        ms(9_100),
        "POST",
        "/ari/channels/17.1/play/p1",
        "media=sound:hello",
        b"",
    );
    assert_eq!(kind(replay.poll(ms(9_103))), "201");
    assert_eq!(kind(replay.poll(ms(9_104))), "PlaybackStarted");
    assert_eq!(replay.poll(ms(9_203)), None);
    assert_eq!(kind(replay.poll(ms(9_204))), "PlaybackFinished");
    assert!(!replay.is_over());
    replay.request(ms(9_300), "DELETE", "/ari/channels/17.1", "", b"");
    assert_eq!(kind(replay.poll(ms(9_301))), "204");
    assert_eq!(kind(replay.poll(ms(9_301))), "StasisEnd");
    assert!(replay.is_over());
}

#[test]
fn an_id_that_the_client_chooses_may_be_another_one() {
    let mut replay = call(Speed::MAX);
    replay.open(ms(0), "app=shop").unwrap();
    assert_eq!(kind(replay.poll(ms(0))), "StasisStart");
    // Asterisk made this one: no other is taken for it.
    replay.request(ms(0), "POST", "/ari/channels/other/answer", "", b"");
    assert!(matches!(replay.poll(ms(0)), Some(ReplayOutput::Problem(_))));
    assert_eq!(kind(replay.poll(ms(0))), "404");
    replay.request(ms(0), "POST", "/ari/channels/17.1/answer", "", b"");
    assert_eq!(kind(replay.poll(ms(0))), "204");
    assert_eq!(kind(replay.poll(ms(0))), "ChannelStateChange");
    // As a body instead of a query, with an id of its own.
    let body = br#"{"media": ["sound:hello"]}"#;
    replay.request(ms(0), "POST", "/ari/channels/17.1/play/my%20own", "", body);
    let Some(ReplayOutput::Answer(_, answer)) = replay.poll(ms(0)) else {
        panic!("there is no answer");
    };
    assert_eq!(
        answer.body,
        r#"{"id":"my own","target_uri":"channel:17.1"}"#
    );
    assert!(
        answer
            .headers
            .contains(&("Location".to_owned(), "/ari/playbacks/my%20own".to_owned()))
    );
    let Some(ReplayOutput::Message(_, event)) = replay.poll(ms(0)) else {
        panic!("there is no event");
    };
    assert_eq!(
        event,
        r#"{"type":"PlaybackStarted","playback":{"id":"my own"}}"#
    );
}

#[test]
fn what_is_not_in_the_trace_is_refused_with_what_would_be_next() {
    let mut replay = call(Speed::MAX);
    let refused = replay.open(ms(0), "app=other").unwrap_err();
    assert_eq!(refused.status, 404);
    let message = String::from_utf8(refused.body.to_vec()).unwrap();
    assert!(
        message
            .contains("a WebSocket of shop (line 2), or POST /ari/channels/17.1/answer (line 4)"),
        "{message}"
    );
    assert!(matches!(replay.poll(ms(0)), Some(ReplayOutput::Problem(_))));
    replay.open(ms(0), "app=shop").unwrap();
    replay.request(
        ms(0),
        "POST",
        "/ari/channels/17.1/play/p1",
        "media=sound:other",
        b"",
    );
    assert!(matches!(replay.poll(ms(0)), Some(ReplayOutput::Problem(_))));
    assert_eq!(kind(replay.poll(ms(0))), "409");
    assert_eq!(kind(replay.poll(ms(0))), "StasisStart");
}

#[test]
fn speeds_are_read() {
    assert_eq!("max".parse(), Ok(Speed::MAX));
    assert_eq!("1".parse(), Ok(Speed::RECORDED));
    assert_eq!("2.5".parse(), Speed::times(2.5));
    for wrong in ["", "0", "-1", "NaN", "inf", "fast"] {
        assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
    }
}

#[test]
fn a_broken_line_is_named() {
    let header = r#"{"scenario":"x"}"#;
    for (text, line, reason) in [
        ("", 1, "there is no header"),
        ("{}", 1, "this is no header"),
        ("{\"scenario\":\"x\"}\n{\"t_ms\":1", 2, "EOF"),
        ("{\"scenario\":\"x\"}\n\n{\"t_ms\":1}", 3, "it has none of"),
        ("{\"scenario\":\"x\"}\n{\"note\":\"\"}", 2, "t_ms"),
        (
            "{\"scenario\":\"x\"}\n{\"t_ms\":-1,\"note\":\"\"}",
            2,
            "no time",
        ),
        (
            "{\"scenario\":\"x\"}\n{\"t_ms\":1,\"event\":{}}",
            2,
            "no WebSocket is open",
        ),
        (
            "{\"scenario\":\"x\"}\n{\"t_ms\":1,\"http\":{\"method\":\"GET\",\"path\":\"/\",\"status\":7}}",
            2,
            "no status",
        ),
        (
            "{\"scenario\":\"x\"}\n{\"t_ms\":1,\"rest\":{}}",
            2,
            "no WebSocket is open",
        ),
    ] {
        let error = Trace::parse("my.jsonl", text).unwrap_err();
        assert_eq!(error.line(), line, "{error}");
        assert!(
            error.to_string().starts_with(&format!("my.jsonl:{line}: ")),
            "{error}"
        );
        assert!(error.to_string().contains(reason), "{error}");
    }
    assert!(Trace::parse("x", header).unwrap().is_empty());
    let error = Trace::read("/nowhere/x.jsonl").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("/nowhere/x.jsonl: cannot be read"),
        "{error}"
    );
}

async fn closed(mut socket: Socket) -> Option<u16> {
    loop {
        match timeout(LIMIT, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(bye)))) => return Some(bye.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn a_server_refuses_carries_and_ends() {
    let text = format!(
        "{CALL}{}\n{}\n{}\n{}\n",
        r#"{"t_ms":1200,"step":5,"rest":{"request":{"type":"RESTRequest","transaction_id":"1","method":"GET","uri":"bridges"}}}"#,
        r#"{"t_ms":1201,"step":5,"rest":{"response":{"type":"RESTResponse","transaction_id":"1","status_code":200,"message_body":"[]"}}}"#,
        r#"{"t_ms":1202,"step":6,"http":{"method":"GET","path":"/ari/bridges","query":{},"body":null,"status":200,"reason":"OK","response":[]}}"#,
        r#"{"t_ms":1203,"note":"Asterisk closed the websocket ws","closed":{"name":"ws","code":1012}}"#,
    );
    let trace = Trace::parse("call", &text).unwrap();
    let server = Replay::new(trace, Speed::MAX)
        .serve(([127, 0, 0, 1], 0))
        .await
        .unwrap();
    let address = server.address();
    let refused = open(address, "app=none").await.unwrap_err();
    assert!(matches!(refused, Error::Http(answer) if answer.status() == 404));
    let mut socket = open(address, "app=shop").await.unwrap();
    events_until(&mut socket, "StasisStart").await;
    let unknown = ask(address, "GET", "/ari/sounds").await;
    assert_eq!(unknown.status, 404);
    let message = unknown.json()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains(
            "GET /ari/sounds is not in the trace; next would be POST /ari/channels/17.1/answer"
        ),
        "{message}"
    );
    ask(address, "POST", "/ari/channels/17.1/answer").await;
    let again = ask(address, "POST", "/ari/channels/17.1/answer").await;
    assert_eq!(again.status, 409);
    let played = ask_as(
        address,
        "",
        "POST",
        "/ari/channels/17.1/play/x?media=sound:hello",
        None,
    )
    .await;
    assert_eq!(played.unwrap().header("location"), Some("/ari/playbacks/x"));
    ask(address, "DELETE", "/ari/channels/17.1").await;
    events_until(&mut socket, "StasisEnd").await;
    let request =
        json!({"type": "RESTRequest", "transaction_id": "mine", "method": "GET", "uri": "bridges"});
    socket
        .send(Message::text(request.to_string()))
        .await
        .unwrap();
    let response: Value = serde_json::from_str(&next_text(&mut socket).await).unwrap();
    assert_eq!(response["transaction_id"], "mine");
    let request =
        json!({"type": "RESTRequest", "transaction_id": "2", "method": "GET", "uri": "sounds"});
    socket
        .send(Message::text(request.to_string()))
        .await
        .unwrap();
    let response: Value = serde_json::from_str(&next_text(&mut socket).await).unwrap();
    assert_eq!(
        (&response["transaction_id"], &response["status_code"]),
        (&json!("2"), &json!(404))
    );
    assert_eq!(server.expected(), ["GET /ari/bridges (line 13)"]);
    ask(address, "GET", "/ari/bridges").await;
    assert_eq!(closed(socket).await, Some(1012));
    timeout(LIMIT, server.over()).await.unwrap();
    timeout(LIMIT, server.stop()).await.unwrap();
}
