//! The simulator in process, with tokio's clock paused.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use futures::StreamExt as _;

use ari_core::{Error, Request, StreamItem, Version, events::ChannelDtmfReceived};
use ari_sim::{CallScript, Cue, Fault, HangupParty, Simulator, WorldOptions};
use tokio::time::timeout;

fn simulator() -> Simulator {
    let options = WorldOptions::default().sound("hello-world", Duration::from_millis(800));
    Simulator::builder().options(options).beginning(0).start()
}

#[tokio::test(start_paused = true)]
async fn a_caller_is_answered_greeted_asked_bridged_and_hung_up() {
    let simulator = simulator();
    let ari = simulator.connect("welcome").unwrap();
    let mut calls = ari.calls().await.unwrap();
    let script = CallScript::new("welcome").press(Cue::Heard, Duration::from_millis(200), "5");
    simulator.place_call(script);
    let call = calls.next().await.unwrap();
    let channel = call.channel().clone();
    let mut digits = channel.events_of::<ChannelDtmfReceived>().await.unwrap();
    channel.answer().await.unwrap();
    channel
        .play("sound:hello-world")
        .await
        .unwrap()
        .finished()
        .await
        .unwrap();
    let StreamItem::Event(digit) = digits.next().await.unwrap() else {
        panic!("no digit")
    };
    assert_eq!(digit.digit.as_deref(), Some("5"));
    let bridge = ari.bridges().create().await.unwrap();
    bridge.add_channel(channel.id()).await.unwrap();
    channel.hangup().await.unwrap();
    bridge.destroy().await.unwrap();
    simulator.calls_ended().await;

    let records = simulator.call_records();
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    assert_eq!(
        (
            record.answers,
            record.plays,
            record.overlaps,
            record.bridged
        ),
        (1, 1, 0, 1)
    );
    assert_eq!(record.heard.len(), 1);
    assert!(record.heard[0].to_end);
    assert_eq!((&*record.digits_pressed, &*record.digits_taken), ("5", "5"));
    assert_eq!(record.hung_up_by, Some(HangupParty::Application));
    // 800 ms of sound, 200 ms until the digit, which is pressed for 100 ms.
    assert_eq!(
        record.ended_at_ms.unwrap() - record.answered_at_ms.unwrap(),
        1_100
    );
    let totals = simulator.call_totals();
    assert_eq!(
        (
            totals.ended,
            totals.answered,
            totals.lost,
            totals.answered_twice
        ),
        (1, 1, 0, 0)
    );
    simulator
        .with_world(|world, _| assert_eq!((world.channel_count(), world.bridge_count()), (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn two_takers_are_seen_from_the_callers_side() {
    let simulator = simulator();
    let ari = simulator.connect("welcome").unwrap();
    let mut calls = ari.calls().await.unwrap();
    simulator.place_call(CallScript::new("welcome"));
    let call = calls.next().await.unwrap();
    for _ in 0..2 {
        call.channel().answer().await.unwrap();
        call.channel().play("sound:hello-world").await.unwrap();
        call.channel().answer().await.unwrap();
    }
    call.channel().hangup().await.unwrap();
    simulator.calls_ended().await;
    let record = simulator.call_records().remove(0);
    assert_eq!((record.answers, record.plays, record.overlaps), (4, 2, 0));
    assert_eq!(simulator.call_totals().answered_twice, 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_answers_and_nobody_is_there() {
    let simulator = simulator();
    let script = CallScript::new("welcome").give_up_after(Duration::from_secs(3));
    simulator.place_call(script.clone());
    let ari = simulator.connect("welcome").unwrap();
    simulator.place_call(script);
    simulator.calls_ended().await;
    let records = simulator.call_records();
    assert_eq!(records[0].hung_up_by, Some(HangupParty::Dialplan));
    assert_eq!(records[1].hung_up_by, Some(HangupParty::GaveUp));
    assert_eq!(
        records[1].ended_at_ms.unwrap() - records[1].placed_at_ms,
        3_000
    );
    assert_eq!(simulator.call_totals().lost, 2);
    drop(ari);
}

#[tokio::test(start_paused = true)]
async fn faults_come_on_demand() {
    let simulator = simulator();
    let ari = simulator.connect("welcome").unwrap();
    simulator.inject(Fault::status(503).once()).unwrap();
    simulator.inject(Fault::MalformedJson.once()).unwrap();
    assert_eq!(
        ari.asterisk().get_info().await.unwrap_err().status(),
        Some(503)
    );
    assert!(matches!(
        ari.asterisk().get_info().await,
        Err(Error::Decode { .. })
    ));
    assert!(ari.asterisk().get_info().await.is_ok());

    simulator.inject(Fault::NoAnswer).unwrap();
    assert!(matches!(
        ari.asterisk().ping().await,
        Err(Error::TimedOut { .. })
    ));
    simulator.clear_faults();
    assert!(ari.asterisk().ping().await.is_ok());

    let mut events = ari.events().await.unwrap();
    assert!(simulator.inject_event("welcome", r#"{"type":"NewEvent","channel":null,"x":[1]}"#));
    assert!(!simulator.inject_event("nobody", r#"{"type":"NewEvent"}"#));
    let StreamItem::Event(event) = events.next().await.unwrap() else {
        panic!("no event")
    };
    assert_eq!(event.kind(), "NewEvent");

    simulator.stop().await;
    assert!(ari.asterisk().ping().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_second_client_takes_the_application_over() {
    let simulator = simulator();
    let first = simulator.connect("welcome").unwrap();
    let mut events = first.events().await.unwrap();
    let second = simulator.connect("welcome").unwrap();
    let StreamItem::Event(event) = events.next().await.unwrap() else {
        panic!("no event")
    };
    assert_eq!(event.kind(), "ApplicationReplaced");
    drop(first);
    assert_eq!(second.applications().list().await.unwrap().items.len(), 1);
    second.close().await.unwrap();
    simulator.with_world(|world, _| assert!(!world.is_connected("welcome")));
}

#[tokio::test(start_paused = true)]
async fn an_answer_behind_a_playback_comes_when_it_is_over() {
    let simulator = simulator();
    let ari = simulator.connect("welcome").unwrap();
    let mut calls = ari.calls().await.unwrap();
    simulator.place_call(CallScript::new("welcome"));
    let call = calls.next().await.unwrap();
    call.channel().play("sound:hello-world").await.unwrap();
    let before = tokio::time::Instant::now();
    call.channel().answer().await.unwrap();
    assert_eq!(before.elapsed().as_millis(), 800);
}

#[tokio::test(start_paused = true)]
async fn an_older_asterisk_is_not_asked_for_what_it_does_not_have() {
    for (version, refused) in [
        ("22.9.1", true),
        ("22.10.0", false),
        ("GIT-22-6c1f1a4", false),
    ] {
        let mut options = WorldOptions::default();
        options.version = version.to_owned();
        let simulator = Simulator::builder().options(options).start();
        let ari = simulator.connect("welcome").unwrap();
        let claim = ari
            .event_operations()
            .claim_channel("nobody", "welcome")
            .await;
        match claim.unwrap_err() {
            Error::Unsupported { since, .. } if refused => {
                assert_eq!(since.first(), Some(&Version::new(20, 20, 0)));
            }
            Error::Refused(_) if !refused => {}
            error => panic!("{version}: {error:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_simulator_that_was_stopped() {
    let simulator = simulator();
    let ari = simulator.connect("welcome").unwrap();
    let mut calls = ari.calls().await.unwrap();
    simulator.place_call(CallScript::new("welcome"));
    let channel = calls.next().await.unwrap().channel().clone();
    channel.answer().await.unwrap();
    ari.bridges().create_with_id("b").await.unwrap();
    // A channel to which something is played enters a bridge when that is over.
    channel.play("sound:hello-world").await.unwrap();
    let target = format!("/bridges/b/addChannel?channel={}", channel.id());
    let request = Request::from_http("POST", &target, None).unwrap();
    let limit = Duration::from_mins(1);
    let (begun, stopped) = tokio::join!(
        timeout(limit, simulator.request(&request)),
        simulator.stop()
    );
    let () = stopped;
    assert_eq!(begun.unwrap().status, 503);
    let late = timeout(limit, simulator.request(&request)).await.unwrap();
    assert_eq!(late.status, 503);
    timeout(limit, simulator.calls_ended()).await.unwrap();
}
