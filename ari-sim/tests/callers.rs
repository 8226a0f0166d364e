//! The other side of the phone, by hand: a help desk tested from the caller's side, in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use anyhow::{Result, bail};
use ari_core::{Ari, Calls, ChannelHandle, Events, IncomingCall, StreamItem, events::EventBody};
use ari_sim::{
    CallError, CallScript, Cue, HangupParty, PhoneCall, Simulator, WorldOptions,
    world::{ActError, Dialplan, Step},
};
use futures::StreamExt as _;
use tokio::{time::Instant, time::timeout};

const SECOND: Duration = Duration::from_secs(1);

fn simulator() -> Simulator {
    let options = WorldOptions::default()
        .extension("1000", "Stasis(help,desk)")
        .sound("menu", 2 * SECOND)
        .sound("wrong", SECOND)
        .sound("still-there", SECOND)
        .sound("leave-a-message", SECOND);
    Simulator::builder().options(options).beginning(0).start()
}

/// Somebody calls the help desk.
async fn alice(simulator: &Simulator) -> PhoneCall {
    simulator.call("1000").caller_id("Alice <100>").await
}

/// The application: a menu, a transfer to bob, a voicemail where he cannot come.
async fn help_desk(ari: &Ari, mut calls: Calls) {
    while let Some(call) = calls.next().await {
        // A caller who hangs up in the middle is none of the next one's business.
        let _ = serve(ari, call).await;
    }
}

async fn serve(ari: &Ari, call: IncomingCall) -> Result<()> {
    let (caller, mut events) = call.into_parts();
    caller.answer().await?;
    for _ in 0..3 {
        caller.play("sound:menu").await?.finished().await?;
        let reply = match timeout(5 * SECOND, digit(&mut events)).await {
            Ok(digit) if digit.as_deref().is_ok_and(|digit| digit == "1") => {
                return transfer(ari, &caller).await;
            }
            Ok(_) => "sound:wrong",
            Err(_) => "sound:still-there",
        };
        caller.play(reply).await?.finished().await?;
    }
    Ok(caller.hangup().await?)
}

async fn transfer(ari: &Ari, caller: &ChannelHandle) -> Result<()> {
    let leg = ari
        .channels()
        .originate("PJSIP/bob")
        .app("help")
        .timeout(10 * SECOND);
    let (bob, mut events) = leg.staged().await?.send().await?;
    if until(&mut events, "StasisStart").await.is_err() {
        return voicemail(caller).await;
    }
    let bridge = ari.bridges().create().await?;
    bridge.add_channel(caller.id()).await?;
    bridge.add_channel(bob.id()).await?;
    bob.until_hungup().await?;
    caller.hangup().await?;
    Ok(bridge.destroy().await?)
}

async fn voicemail(caller: &ChannelHandle) -> Result<()> {
    caller
        .play("sound:leave-a-message")
        .await?
        .finished()
        .await?;
    let message = caller.record("wav").name("message").max_silence(3 * SECOND);
    message.await?.finished().await?;
    Ok(caller.hangup().await?)
}

/// Lets a dialogue run while the help desk is open.
async fn at_the_desk(simulator: &Simulator, dialogue: impl Future<Output = ()>) {
    let ari = simulator.connect("help").unwrap();
    let calls = ari.calls().await.unwrap();
    tokio::select! {
        () = help_desk(&ari, calls) => {}
        () = dialogue => {}
    }
}

async fn digit(events: &mut Events) -> Result<String> {
    while let Some(item) = events.next().await {
        if let StreamItem::Event(event) = item
            && let Ok(EventBody::ChannelDtmfReceived(dtmf)) = event.body()
        {
            return Ok(dtmf.digit.clone().unwrap_or_default());
        }
    }
    bail!("the caller is gone")
}

async fn until(events: &mut Events, kind: &str) -> Result<()> {
    while let Some(item) = events.next().await {
        if matches!(&item, StreamItem::Event(event) if event.kind() == kind) {
            return Ok(());
        }
    }
    bail!("no {kind} came")
}

#[tokio::test(start_paused = true)]
async fn a_wrong_digit_a_silence_then_the_agent_answers_and_they_talk() {
    let simulator = simulator();
    let bob = simulator.endpoint("PJSIP/bob");
    bob.does_not_answer();
    at_the_desk(&simulator, async {
        let alice = alice(&simulator).await;
        alice.answered().await.unwrap();
        alice.hears("sound:menu").await.unwrap();
        alice.press("9").await.unwrap();
        alice.hears_to_end("sound:wrong").await.unwrap();
        alice.hears("sound:still-there").await.unwrap();
        alice.hears_to_end("sound:menu").await.unwrap();
        alice.press("1").await.unwrap();

        let bob = bob.next_call().await.unwrap();
        bob.answer().unwrap();
        alice.bridged().await.unwrap();
        bob.bridged().await.unwrap();
        alice.talk_for(5 * SECOND).await.unwrap();
        let hung_up = bob.hang_up().unwrap();
        assert_eq!((hung_up.by, hung_up.cause), (HangupParty::Called, 16));
        let end = alice.ended().await.unwrap();
        assert_eq!((end.by, end.cause), (HangupParty::Application, 16));
        let media: Vec<_> = alice.heard().into_iter().map(|heard| heard.media).collect();
        let menu = "sound:menu";
        assert_eq!(
            media,
            [menu, "sound:wrong", menu, "sound:still-there", menu]
        );
        assert_eq!(alice.record().digits_taken, "91");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bob_is_busy_and_alice_leaves_a_message() {
    let simulator = simulator();
    simulator.endpoint("PJSIP/bob").busy();
    at_the_desk(&simulator, async {
        let alice = alice(&simulator).await;
        alice.hears_to_end("sound:menu").await.unwrap();
        alice.press("1").await.unwrap();
        alice.hears_to_end("sound:leave-a-message").await.unwrap();
        let before = Instant::now();
        alice.talk_for(7 * SECOND).await.unwrap();
        alice.ended().await.unwrap();
        // Three seconds of silence end the message, and are not kept.
        assert_eq!(before.elapsed(), 10 * SECOND);
    })
    .await;
    let ari = simulator.connect("help").unwrap();
    let stored = ari.recordings().list_stored().await.unwrap();
    assert_eq!(stored.items.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn phones_answer_refuse_and_ring_as_they_are_set() {
    let simulator = simulator();
    let bob = simulator.endpoint("PJSIP/bob");
    let expected = |cause| (HangupParty::Called, cause, false);
    let refusals: [(&dyn Fn(), _, _); 5] = [
        (&|| bob.busy(), expected(17), Duration::ZERO),
        (&|| bob.rejects(21), expected(21), Duration::ZERO),
        (&|| bob.rings_for(4 * SECOND), expected(19), 4 * SECOND),
        (
            &|| bob.does_not_answer(),
            (HangupParty::GaveUp, 19, false),
            10 * SECOND,
        ),
        (
            &|| bob.answers_after(SECOND),
            (HangupParty::Application, 16, true),
            SECOND,
        ),
    ];
    let ari = simulator.connect("help").unwrap();
    for (set, expected, after) in refusals {
        set();
        let before = Instant::now();
        let leg = ari
            .channels()
            .originate("PJSIP/bob")
            .app("help")
            .timeout(10 * SECOND);
        let (leg, mut events) = leg.staged().await.unwrap().send().await.unwrap();
        let call = bob.next_call().await.unwrap();
        if until(&mut events, "StasisStart").await.is_ok() {
            leg.hangup().await.unwrap();
        }
        let end = call.ended().await.unwrap();
        assert_eq!((end.by, end.cause, end.answered), expected);
        assert_eq!(before.elapsed(), after);
    }
    // There is a phone where none was, once something is set.
    assert!(ari.endpoints().get("PJSIP", "carol").await.is_err());
    simulator.endpoint("PJSIP/carol").busy();
    assert!(ari.endpoints().get("PJSIP", "carol").await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_came_instead_is_said() {
    let simulator = simulator();
    let ari = simulator.connect("help").unwrap();
    let mut calls = ari.calls().await.unwrap();
    let wait = Duration::from_millis(500);

    let alice = simulator.call("1000").wait_at_most(wait).await;
    let call = calls.next().await.unwrap();
    let says = |error: CallError| error.to_string();
    assert_eq!(
        says(alice.hears("sound:menu").await.unwrap_err()),
        "waiting to hear sound:menu: not within 500ms; the call was not answered; nothing was heard"
    );
    call.channel().answer().await.unwrap();
    alice.answered().await.unwrap();
    let playback = call.channel().play("sound:menu").await.unwrap();
    assert_eq!(
        says(alice.bridged().await.unwrap_err()),
        "waiting to be bridged: not within 500ms; the call was answered; heard: sound:menu (going on)"
    );
    playback.stop().await.unwrap();
    assert_eq!(
        says(alice.hears_to_end("sound:menu").await.unwrap_err()),
        "sound:menu was cut off after 500 ms"
    );
    assert_eq!(
        says(alice.ended().await.unwrap_err()),
        "waiting for the end: not within 500ms; the call was answered; heard: sound:menu (cut off after 500 ms)"
    );
    assert_eq!(
        says(alice.press("12x").await.unwrap_err()),
        "no phone has the digit 'x'"
    );
    assert_eq!(
        alice.answer(),
        Err(CallError::Impossible(ActError::NotCalled))
    );
    call.channel()
        .play("sound:wrong")
        .await
        .unwrap()
        .finished()
        .await
        .unwrap();
    call.channel().hangup().await.unwrap();
    let over = "the call was hung up by the application 2.0 s after the answer, cause 16 (Normal Clearing); \
                heard: sound:menu (cut off after 500 ms), sound:wrong";
    assert_eq!(says(alice.talk().unwrap_err()), format!("talking: {over}"));
    assert_eq!(
        says(alice.press("1").await.unwrap_err()),
        format!("pressing 1: {over}")
    );
    assert_eq!(
        says(alice.hears_to_end("sound:never").await.unwrap_err()),
        format!("waiting to hear sound:never to its end: {over}")
    );
    assert_eq!(
        says(alice.hang_up().unwrap_err()),
        format!("hanging up: {over}")
    );
    let bob = simulator.endpoint("PJSIP/bob").wait_at_most(wait);
    assert_eq!(
        says(bob.next_call().await.unwrap_err()),
        "no call came to PJSIP/bob within 500ms"
    );
    let carol = simulator.call("1000").await;
    simulator.stop().await;
    assert_eq!(carol.talk(), Err(CallError::Stopped));
    assert_eq!(carol.answered().await, Err(CallError::Stopped));
    assert_eq!(bob.next_call().await.unwrap_err(), CallError::Stopped);
}

#[tokio::test(start_paused = true)]
async fn callers_give_up_find_nobody_and_hang_up() {
    let simulator = simulator();
    let ari = simulator.connect("help").unwrap();
    let alice = simulator.call("1000").patience(12 * SECOND).await;
    assert_eq!(
        alice.answered().await.unwrap_err().to_string(),
        "waiting to be answered: the call was given up by the caller 12.0 s without an answer, \
         cause 127 (Interworking, unspecified); nothing was heard"
    );
    let nowhere = simulator.call("4711").await;
    let end = nowhere.ended().await.unwrap();
    assert_eq!((end.by, end.cause), (HangupParty::Dialplan, 1));
    assert_eq!(nowhere.channel_id(), "");
    let nobody = simulator.call_app("nobody").await.ended().await.unwrap();
    assert_eq!((nobody.by, nobody.cause), (HangupParty::Dialplan, 16));

    let mut calls = ari.calls().await.unwrap();
    let direct = simulator.call_app("help").args(["a", "b"]).await;
    let call = calls.next().await.unwrap();
    assert_eq!(call.args(), ["a", "b"]);
    call.channel().answer().await.unwrap();
    let end = direct.hang_up_with(17).unwrap();
    assert_eq!((end.by, end.cause), (HangupParty::Caller, 17));
    // A phone that is dropped is put down.
    drop(simulator.call_app("help").await);
    let totals = simulator.call_totals();
    assert_eq!((totals.placed, totals.active, totals.ended), (5, 0, 5));
    simulator.with_world(|world, _| assert_eq!(world.channel_count(), 0));
}

#[tokio::test(start_paused = true)]
async fn an_application_is_told_of_keys_talking_and_hold() {
    let simulator = simulator();
    let ari = simulator.connect("help").unwrap();
    let mut calls = ari.calls().await.unwrap();
    let alice = simulator.call_app("help").await;
    let (channel, mut events) = calls.next().await.unwrap().into_parts();
    channel.answer().await.unwrap();
    let before = Instant::now();
    let slow = alice.press("12").each(SECOND).pause(SECOND / 2);
    // The third waits for the pause after the second.
    let (first, second) = tokio::join!(slow.into_future(), alice.press("3").into_future());
    first.unwrap();
    second.unwrap();
    assert_eq!(before.elapsed(), Duration::from_millis(3_100));
    for expected in ["1", "2", "3"] {
        assert_eq!(digit(&mut events).await.unwrap(), expected);
    }
    channel
        .set_variable("TALK_DETECT(set)", "1000,256")
        .await
        .unwrap();
    alice.talk_for(2 * SECOND).await.unwrap();
    until(&mut events, "ChannelTalkingStarted").await.unwrap();
    until(&mut events, "ChannelTalkingFinished").await.unwrap();
    alice.hold().unwrap();
    until(&mut events, "ChannelHold").await.unwrap();
    alice.unhold().unwrap();
    until(&mut events, "ChannelUnhold").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_dialplan_plays_is_heard_and_scripts_call_extensions_too() {
    let options = WorldOptions::default()
        .dialplan(Dialplan::parse(SHOP).unwrap())
        .sound("closed", 3 * SECOND);
    let simulator = Simulator::builder().options(options).start();
    let alice = simulator.call("2000").context("shop").await;
    alice.hears_to_end("sound:closed").await.unwrap();
    let end = alice.ended().await.unwrap();
    assert_eq!((end.by, end.answered), (HangupParty::Dialplan, true));

    let mut script = CallScript::to_extension("2001");
    script.context = "shop".to_owned();
    let mut step = Step::new(Cue::Answered, SECOND);
    (step.hold, step.talk) = (Some(true), SECOND);
    let script = script.step(step).step(Step {
        hang_up: true,
        cause: Some(38),
        ..Step::new(Cue::Answered, 4 * SECOND)
    });
    let ari = simulator.connect("shop").unwrap();
    let mut calls = ari.calls().await.unwrap();
    simulator.place_call(script);
    let (channel, mut events) = calls.next().await.unwrap().into_parts();
    channel.answer().await.unwrap();
    until(&mut events, "ChannelHold").await.unwrap();
    channel.until_hungup().await.unwrap();
    let record = simulator.call_records().pop().unwrap();
    assert_eq!((&*record.dialed, record.cause), ("2001", Some(38)));
    assert_eq!(record.hung_up_by, Some(HangupParty::Caller));
}

const SHOP: &str = "
[shop]
exten => 2000,1,Answer()
same => n,Playback(closed)
same => n,Hangup()
exten => 2001,1,Stasis(shop)
";
