//! What a caller can conclude from an error.

use std::{error::Error as _, time::Duration};

use ari_core::{Error, Operation, Refusal, Version, operations::channels, sample};
use serde_json::json;

use crate::support::{fake, now};

const GET: &str = "GET /channels/{channelId}";

fn source() -> ari_core::Source {
    "the cause beneath".into()
}

/// One of each class.
fn every_class() -> Vec<Error> {
    let operation = || "POST /channels".to_owned();
    let invalid = ari_core::subject::validate(ari_core::subject::NameRole::Dialog, "a b");
    vec![
        refusal(404, r#"{"message":"Channel not found"}"#),
        refusal(503, ""),
        Error::NotSent {
            operation: operation(),
            reason: "NATS is away".to_owned(),
            source: Some(source()),
        },
        Error::OutcomeUnknown {
            operation: operation(),
            reason: "Asterisk closed the connection".to_owned(),
            source: Some(source()),
        },
        Error::TimedOut {
            operation: operation(),
            after: Duration::from_secs(5),
        },
        Error::NobodyThere {
            subject: "ari.command.demo.02:00".to_owned(),
        },
        Error::Decode {
            what: "the answer".to_owned(),
            path: "channel.id".to_owned(),
            sample: "{".to_owned(),
            source: source(),
        },
        Error::Unsupported {
            operation: operation(),
            reason: "since 22.0.0".to_owned(),
            since: const { &[Version::new(22, 0, 0)] },
        },
        Error::InvalidRequest("it needs an id".to_owned()),
        Error::from(invalid.unwrap_err()),
        Error::Connect {
            reason: "nobody listens on 127.0.0.1:4222".to_owned(),
            source: Some(source()),
        },
        Error::Closed,
    ]
}

fn refusal(status: u16, body: &str) -> Error {
    Error::Refused(Refusal::new(
        channels::Get::SPEC,
        status,
        "Reason",
        body.as_bytes(),
    ))
}

#[test]
fn the_classes_are_told_apart() {
    let class = |error: &Error| {
        (
            error.status(),
            error.is_not_found(),
            error.outcome_unknown(),
            error.is_retryable(),
        )
    };
    let classes: Vec<_> = every_class().iter().map(class).collect();
    let plain = (None, false, false, false);
    assert_eq!(
        classes,
        [
            (Some(404), true, false, false),
            (Some(503), false, false, true),
            (None, false, false, true),
            (None, false, true, false),
            (None, false, true, false),
            (None, false, false, true),
            plain,
            plain,
            plain,
            plain,
            plain,
            plain,
        ]
    );
}

#[test]
fn a_message_is_one_sentence_that_does_not_repeat_its_cause() {
    for error in every_class() {
        let text = error.to_string();
        assert!(
            !text.is_empty() && !text.ends_with('.') && !text.contains('\n'),
            "{text:?}"
        );
        assert!(!text.contains("the cause beneath"), "{text:?}");
        let has_cause = format!("{error:?}").contains("the cause beneath");
        assert_eq!(
            error.source().map(ToString::to_string),
            has_cause.then(|| "the cause beneath".to_owned()),
            "{text:?}"
        );
    }
}

#[test]
fn a_refusal_says_what_asterisk_said() {
    let text = |body: &str| refusal(404, body).to_string();
    let start = "GET /channels/{channelId} was refused: 404 Reason";
    assert_eq!(
        text(r#"{"message":"Channel not found"}"#),
        format!("{start}: Channel not found")
    );
    assert_eq!(
        text(r#"{"error":"Out of memory"}"#),
        format!("{start}: Out of memory")
    );
    for silent in ["", r#"{"message":"Reason"}"#, r#"{"message":""}"#] {
        assert_eq!(text(silent), start);
    }
    for strange in ["null", "<html>", "[1]", r#"{"message":7}"#] {
        assert_eq!(text(strange), format!("{start}, and this: {strange}"));
    }
    let long = text(&"x".repeat(1_000));
    assert!(
        long.ends_with("x… (1000 bytes)") && long.len() < 300,
        "{long}"
    );
}

#[test]
fn an_answer_that_cannot_be_decoded_names_the_place_and_shows_its_beginning() {
    let fake = fake();
    let ari = fake.ari();
    let mut body = json!({ "id": "c", "caller": { "name": 7, "number": "1" } });
    fake.answer(GET, 200, &body);
    let error = now(ari.channels().get("c")).unwrap_err();
    let Error::Decode { path, sample, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(path, "caller.name");
    assert!(sample.contains(r#""name":7"#));
    assert!(
        error
            .to_string()
            .starts_with("cannot decode the answer to GET /channels/{channelId} at caller.name: {")
    );
    body["filler"] = "x".repeat(100_000).into();
    fake.answer(GET, 200, &body);
    let text = now(ari.channels().get("c")).unwrap_err().to_string();
    assert!(text.len() < 400, "{} bytes", text.len());
    fake.answer(
        "GET /channels",
        200,
        &json!([{ "id": "c" }, { "id": "d", "state": [] }]),
    );
    let text = now(ari.channels().list()).unwrap_err().to_string();
    assert!(text.contains(" at [1].state"), "{text}");
}

#[test]
fn a_list_with_an_item_that_has_no_id_cannot_be_decoded() {
    let fake = fake();
    let ari = fake.ari();
    fake.answer("GET /channels", 200, &json!([{ "id": "c" }, { "id": "" }]));
    let error = now(ari.channels().list()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"cannot decode the answer to GET /channels at [1]: [{"id":"c"},{"id":""}]"#
    );
    // The console is a log channel without a name.
    let console = json!({ "channel": "", "type": "Console", "status": "Enabled" });
    fake.answer("GET /asterisk/logging", 200, &json!([console]));
    let logs = now(ari.asterisk().list_log_channels()).unwrap();
    assert_eq!(logs.items[0].snapshot().unwrap().kind, "Console");
}

#[test]
fn a_sample_is_short_and_on_one_line() {
    assert_eq!(sample(b""), "nothing came");
    assert_eq!(sample(b"a\nb\0c"), "a b c");
    assert_eq!(sample(&[b'x'; 200]), "x".repeat(200));
    let long = sample("é".repeat(1000).as_bytes());
    assert!(
        long.starts_with("éé") && long.ends_with("… (2000 bytes)"),
        "{long}"
    );
    assert_eq!(long.matches('é').count(), 100);
    assert!(sample(b"\xff\xfe").contains('\u{fffd}'));
}

#[test]
fn errors_of_a_transport_come_through() {
    let fake = fake();
    let ari = fake.ari();
    fake.fail(
        GET,
        Error::TimedOut {
            operation: GET.to_owned(),
            after: Duration::from_secs(5),
        },
    );
    let error = now(ari.channels().get("c")).unwrap_err();
    assert!(error.outcome_unknown());
    assert_eq!(
        error.to_string(),
        "no answer to GET /channels/{channelId} within 5s"
    );
    assert!(now(ari.channels().get("c")).unwrap_err().is_not_found());
}
