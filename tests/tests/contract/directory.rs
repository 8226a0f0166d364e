//! What Asterisk keeps lists of: endpoints, sounds, mailboxes, device states.

use ari_core::models::DeviceStateValue;
use ari_tests::{Fixture, Outcome, next_event, next_of, rest, until};

ari_tests::scenarios! { "directory":
    endpoints_are_listed_and_described
    a_message_to_nobody_is_refused
    nobody_is_referred
    a_phone_is_written_to_referred_and_measured
    sounds_are_listed_and_described
    a_mailbox_comes_and_goes
    a_device_state_is_set_and_told
    the_state_of_a_foreign_device_is_not_set
}

/// Somebody on a phone.
const FROM: &str = "sip:100@127.0.0.1";

async fn endpoints_are_listed_and_described(fixture: &Fixture) -> Outcome {
    let endpoints = fixture.ari().endpoints();
    let listed = endpoints.list().await?;
    assert!(listed.is_complete(), "{:?}", listed.missing);
    let by_tech = endpoints.list_by_tech("PJSIP").await?;
    for known in &by_tech.items {
        assert!(listed.items.iter().any(|any| any.id() == known.id()));
        let data = known.get().await?;
        assert_eq!(format!("{}/{}", data.technology, data.resource), known.id());
    }
    if fixture.simulated().is_ok() {
        assert!(!by_tech.items.is_empty());
    }
    let nobody = endpoints.get("PJSIP", "nobody").await.unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    assert!(
        nobody.to_string().contains("Endpoint not found"),
        "{nobody}"
    );
    let nothing = endpoints.list_by_tech("NOPE").await.unwrap_err();
    assert!(nothing.is_not_found(), "{nothing}");
    assert!(nothing.to_string().contains("invalid tech"), "{nothing}");
    Ok(())
}

async fn a_message_to_nobody_is_refused(fixture: &Fixture) -> Outcome {
    let endpoints = fixture.ari().endpoints();
    let nobody = endpoints
        .send_message("bogus:nobody", FROM)
        .body("hello")
        .await
        .unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    let nobody = endpoints
        .handle("PJSIP", "nobody")
        .send_message(FROM)
        .body("hello")
        .await
        .unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    Ok(())
}

async fn nobody_is_referred(fixture: &Fixture) -> Outcome {
    let endpoints = fixture.ari().endpoints();
    let target = "sip:200@127.0.0.1";
    let nobody = endpoints
        .refer("bogus:nobody", FROM, target)
        .await
        .unwrap_err();
    assert!(nobody.status().is_some(), "{nobody}");
    let nobody = endpoints
        .handle("PJSIP", "nobody")
        .refer(FROM, target)
        .await
        .unwrap_err();
    assert!(nobody.status().is_some(), "{nobody}");
    Ok(())
}

async fn a_phone_is_written_to_referred_and_measured(fixture: &Fixture) -> Outcome {
    fixture.simulated()?;
    let endpoints = fixture.ari().endpoints();
    let alice = endpoints.handle("PJSIP", "alice");
    endpoints
        .send_message("pjsip:alice", FROM)
        .body("hello")
        .variable("X-Order", "4711")
        .await?;
    alice.send_message(FROM).body("hello again").await?;
    let target = "sip:200@127.0.0.1";
    endpoints.refer("pjsip:alice", FROM, target).await?;
    alice.refer(FROM, target).to_self(false).await?;
    let staged = fixture
        .ari()
        .channels()
        .originate("PJSIP/alice")
        .staged()
        .await?;
    let (phone, mut events) = staged.send().await?;
    next_of(&mut events, "StasisStart").await;
    let statistics = phone.rtp_statistics().await?;
    assert!(statistics.txcount.is_some(), "{statistics:?}");
    phone.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn sounds_are_listed_and_described(fixture: &Fixture) -> Outcome {
    let sounds = fixture.ari().sounds();
    let listed = sounds.list().await?;
    assert!(listed.is_complete(), "{:?}", listed.missing);
    let hello = listed
        .items
        .iter()
        .find(|sound| sound.id() == "hello-world")
        .expect("it is one of the core sounds");
    let data = hello.get().await?;
    assert_eq!(data.id, "hello-world");
    assert!(
        data.formats
            .iter()
            .any(|format| format.language.as_deref() == Some("en"))
    );
    let english = sounds.list().lang("en").await?;
    assert!(!english.items.is_empty());
    assert!(english.items.len() <= listed.items.len());
    let nothing = sounds.list().lang("xx").await.unwrap_err();
    assert!(nothing.is_not_found(), "{nothing}");
    let nobody = sounds.get("no-such-sound").await.unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    assert!(nobody.to_string().contains("Sound not found"), "{nobody}");
    Ok(())
}

async fn a_mailbox_comes_and_goes(fixture: &Fixture) -> Outcome {
    let mailboxes = fixture.ari().mailboxes();
    let mailbox = mailboxes.handle(format!("{}@default", fixture.application()));
    assert!(mailbox.get().await.unwrap_err().is_not_found());
    mailbox.update(1, 2).await?;
    let data = until("the mailbox to be there", || async {
        mailbox.get().await.ok()
    })
    .await;
    assert_eq!((data.old_messages, data.new_messages), (Some(1), Some(2)));
    let listed = mailboxes.list().await?;
    assert!(listed.items.iter().any(|known| known.id() == mailbox.id()));
    mailbox.delete().await?;
    until("the mailbox to be gone", || async {
        let error = mailbox.get().await.err()?;
        error.is_not_found().then_some(())
    })
    .await;
    let gone = mailbox.delete().await.unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    Ok(())
}

async fn a_device_state_is_set_and_told(fixture: &Fixture) -> Outcome {
    let ari = fixture.ari();
    let device = ari
        .device_states()
        .handle(format!("Stasis:{}", fixture.application()));
    let ours = ari.applications().handle(fixture.application());
    let mut events = device.events().await?;
    ours.subscribe(format!("deviceState:{}", device.id()))
        .await?;
    device.update(DeviceStateValue::InUse).await?;
    let told = next_event(&mut events).await.to_value()?;
    assert_eq!(told["type"], "DeviceStateChanged");
    assert_eq!(told["device_state"]["state"], "INUSE");
    assert_eq!(device.get().await?.state, Some(DeviceStateValue::InUse));
    let listed = ari.device_states().list().await?;
    assert!(listed.items.iter().any(|known| known.id() == device.id()));
    device.delete().await?;
    let listed = ari.device_states().list().await?;
    assert!(!listed.items.iter().any(|known| known.id() == device.id()));
    Ok(())
}

async fn the_state_of_a_foreign_device_is_not_set(fixture: &Fixture) -> Outcome {
    let states = fixture.ari().device_states();
    let foreign = states.handle("PJSIP/nobody");
    let refused = foreign.update(DeviceStateValue::InUse).await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("Uncontrolled device specified"),
        "{refused}"
    );
    let refused = foreign.delete().await.unwrap_err();
    assert_eq!(refused.status(), Some(409), "{refused}");
    // Of a device that nobody knows there is a state too.
    assert!(states.get("Stasis:nobody").await?.state.is_some());
    Ok(())
}
