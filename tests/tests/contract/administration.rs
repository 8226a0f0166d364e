//! What an operator does through ARI: modules, logging, dynamic configuration, event filters.

use ari_core::Error;
use ari_tests::{Fixture, Outcome, next_of, rest};
use tokio::sync::Mutex;

ari_tests::scenarios! { "administration":
    modules_are_listed_and_described
    a_module_is_reloaded_unloaded_and_loaded
    a_log_channel_is_added_rotated_and_deleted
    an_object_of_the_configuration_comes_and_goes
    a_filter_keeps_events_away
    a_filter_that_means_nothing_is_refused
}

/// A module that nothing of the suite uses, and that knows how to be loaded again.
const MODULE: &str = "app_queue.so";

#[track_caller]
fn assert_refused(error: &Error, status: u16, message: &str) {
    assert_eq!(error.status(), Some(status), "{error}");
    assert!(error.to_string().contains(message), "{error}");
}

async fn modules_are_listed_and_described(fixture: &Fixture) -> Outcome {
    let asterisk = fixture.ari().asterisk();
    let listed = asterisk.list_modules().await?;
    assert!(listed.is_complete(), "{:?}", listed.missing);
    let found = listed
        .items
        .iter()
        .find(|module| module.id() == "res_ari.so")
        .expect("ARI itself is a module");
    let module = found.get().await?;
    assert_eq!(module.name, "res_ari.so");
    assert_eq!(module.status.as_deref(), Some("Running"));
    let nobody = asterisk.get_module("nosuch.so").await.unwrap_err();
    assert_refused(&nobody, 404, "Module could not be found");
    Ok(())
}

async fn a_module_is_reloaded_unloaded_and_loaded(fixture: &Fixture) -> Outcome {
    fixture.simulated()?;
    let asterisk = fixture.ari().asterisk();
    let module = asterisk.module_handle(MODULE);
    module.reload().await?;
    let twice = module.load().await.unwrap_err();
    assert_refused(&twice, 409, "Module is already loaded");
    module.unload().await?;
    let gone = module.get().await.unwrap_err();
    assert_refused(&gone, 404, "Module could not be found");
    assert!(module.unload().await.unwrap_err().is_not_found());
    assert!(module.reload().await.unwrap_err().is_not_found());
    module.load().await?;
    assert_eq!(module.get().await?.name, MODULE);
    Ok(())
}

async fn a_log_channel_is_added_rotated_and_deleted(fixture: &Fixture) -> Outcome {
    // Who rotates a log channel ends those of others; the columns of a real Asterisk share it.
    static ALONE: Mutex<()> = Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let asterisk = fixture.ari().asterisk();
    let name = format!("{}.log", fixture.application());
    let log = asterisk.log_channel_handle(&name);
    log.add("notice,warning").await?;
    let listed = asterisk.list_log_channels().await?;
    // Asterisk lists the path of the file.
    assert!(
        listed.items.iter().any(|known| known.id().ends_with(&name)),
        "{:?}",
        listed.items
    );
    let twice = log.add("notice").await.unwrap_err();
    assert!(twice.status().is_some(), "{twice}");
    log.rotate().await?;
    let unknown = asterisk.log_channel_handle("nosuch.log");
    let missing = unknown.rotate().await.unwrap_err();
    assert_refused(&missing, 404, "Log channel does not exist");
    let missing = unknown.delete().await.unwrap_err();
    assert_refused(&missing, 404, "Log channel does not exist");
    let other = asterisk.log_channel_handle(format!("{name}.other"));
    other.add("error").await?;
    other.delete().await?;
    // After it was rotated Asterisk may have lost sight of it.
    if let Err(lost) = log.delete().await {
        assert!(lost.is_not_found(), "{lost}");
    }
    Ok(())
}

async fn an_object_of_the_configuration_comes_and_goes(fixture: &Fixture) -> Outcome {
    fixture.simulated()?;
    let asterisk = fixture.ari().asterisk();
    let place = ("res_pjsip", "auth", fixture.application());
    let made = asterisk
        .update_object(place.0, place.1, place.2)
        .field("auth_type", "userpass")
        .field("username", "ann")
        .field("password", "secret")
        .await?;
    assert!(
        made.iter()
            .any(|tuple| tuple.attribute.as_deref() == Some("username")),
        "{made:?}"
    );
    let read = asterisk.get_object(place.0, place.1, place.2).await?;
    let name = read
        .iter()
        .find(|tuple| tuple.attribute.as_deref() == Some("username"));
    assert_eq!(name.expect("it was set").value.as_deref(), Some("ann"));
    let wrong = asterisk
        .update_object(place.0, "endpoint", "x")
        .field("nosuch", "x")
        .await
        .unwrap_err();
    assert_refused(&wrong, 400, "field value validation");
    asterisk.delete_object(place.0, place.1, place.2).await?;
    let gone = asterisk
        .get_object(place.0, place.1, place.2)
        .await
        .unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    let gone = asterisk
        .delete_object(place.0, place.1, place.2)
        .await
        .unwrap_err();
    assert!(gone.is_not_found(), "{gone}");
    Ok(())
}

async fn a_filter_keeps_events_away(fixture: &Fixture) -> Outcome {
    let ours = fixture.ari().applications().handle(fixture.application());
    let filtered = ours.filter().disallow(["ChannelUserevent"]).await?;
    assert_eq!(filtered.name, fixture.application());
    assert_eq!(filtered.events_disallowed.len(), 1, "{filtered:?}");
    let (_calls, channel, mut events) = fixture.answered("waits").await;
    let tell = |name: &'static str| {
        fixture
            .ari()
            .event_operations()
            .user_event(name, fixture.application())
            .source(format!("channel:{}", channel.id()))
    };
    tell("unheard").await?;
    let cleared = ours.filter().filter(serde_json::json!({})).await?;
    assert_eq!(cleared.events_disallowed.len(), 0, "{cleared:?}");
    tell("heard").await?;
    let told = next_of(&mut events, "ChannelUserevent").await.to_value()?;
    assert_eq!(told["eventname"], "heard");
    channel.hangup().await?;
    rest(&mut events).await;
    Ok(())
}

async fn a_filter_that_means_nothing_is_refused(fixture: &Fixture) -> Outcome {
    let applications = fixture.ari().applications();
    let ours = applications.handle(fixture.application());
    let wrong = ours
        .filter()
        .filter(serde_json::json!({ "allowed": "x" }))
        .await
        .unwrap_err();
    assert_refused(&wrong, 400, "Invalid format definition");
    let nobody = applications
        .filter("nobody")
        .allow(["StasisStart"])
        .await
        .unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    // What was refused changed nothing: calls come.
    let (_calls, call) = fixture.take_call("waits").await;
    call.channel().hangup().await?;
    Ok(())
}
