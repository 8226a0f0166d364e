//! Operations on Asterisk itself and on applications; lists of one and of all.

use ari_core::operations::InfoSection;
use ari_tests::{Fixture, Outcome, until};

ari_tests::scenarios! { "system":
    asterisk_says_who_it_is
    global_variables_are_set_and_read
    the_application_is_described_and_listed
    an_application_subscribes_to_more
    wrong_subscriptions_are_refused
    lists_say_who_answered
    without_an_application_all_are_asked
}

async fn asterisk_says_who_it_is(fixture: &Fixture) -> Outcome {
    let asterisk = fixture.ari().asterisk();
    let info = asterisk.get_info().await?;
    let system = info.system.as_ref().unwrap();
    assert_eq!(system.entity_id.as_deref(), Some(&*fixture.node()));
    assert!(system.version.is_some());
    let part = asterisk.get_info().only([InfoSection::System]).await?;
    assert!(part.system.is_some());
    assert!(part.build.is_none());
    // Younger than the kinds of the Go proxy.
    let ping = asterisk.ping().await?;
    assert_eq!(ping.asterisk_id.as_deref(), Some(&*fixture.node()));
    Ok(())
}

async fn global_variables_are_set_and_read(fixture: &Fixture) -> Outcome {
    let asterisk = fixture.ari().asterisk();
    let name = format!("MOOD_{}", fixture.application().replace('-', "_"));
    asterisk.set_global_var(&name, "fine, thanks").await?;
    let read = asterisk.get_global_var(&name).await?;
    assert_eq!(read.value.as_deref(), Some("fine, thanks"));
    asterisk.set_global_var(&name, "").await?;
    Ok(())
}

async fn the_application_is_described_and_listed(fixture: &Fixture) -> Outcome {
    let applications = fixture.ari().applications();
    let ours = applications.handle(fixture.application());
    let incoming = fixture.call_in("waits").await;
    let data = until("the call to be in the application", || async {
        let data = ours.get().await.ok()?;
        let there = data.channel_ids.iter().any(|id| *id == *incoming.id);
        there.then_some(data)
    })
    .await;
    assert_eq!(data.name, fixture.application());
    let listed = applications.list().await?;
    assert!(
        listed
            .items
            .iter()
            .any(|known| known.id() == fixture.application())
    );
    let nobody = applications.get("nobody").await.unwrap_err();
    assert!(nobody.is_not_found(), "{nobody}");
    assert!(
        nobody.to_string().contains("Application not found"),
        "{nobody}"
    );
    incoming.caller.hangup().await?;
    Ok(())
}

async fn an_application_subscribes_to_more(fixture: &Fixture) -> Outcome {
    let ours = fixture.ari().applications().handle(fixture.application());
    let incoming = fixture.call_in("waits").await;
    let source = format!("channel:{}", incoming.caller.id());
    let data = ours.subscribe(&source).await?;
    assert!(
        data.channel_ids
            .iter()
            .any(|id| *id == *incoming.caller.id()),
        "{data:?}"
    );
    let data = ours.unsubscribe(&source).await?;
    assert!(
        !data
            .channel_ids
            .iter()
            .any(|id| *id == *incoming.caller.id()),
        "{data:?}"
    );
    incoming.caller.hangup().await?;
    Ok(())
}

async fn wrong_subscriptions_are_refused(fixture: &Fixture) -> Outcome {
    let applications = fixture.ari().applications();
    let ours = applications.handle(fixture.application());
    for (source, status) in [("channel:nobody", 422), ("nonsense", 400)] {
        let refused = ours.subscribe(source).await.unwrap_err();
        assert_eq!(refused.status(), Some(status), "{source}: {refused}");
    }
    let refused = applications
        .subscribe("nobody", "channel:nobody")
        .await
        .unwrap_err();
    assert!(refused.is_not_found(), "{refused}");
    let refused = ours.unsubscribe("channel:nobody").await.unwrap_err();
    assert!(refused.status().is_some(), "{refused}");
    Ok(())
}

async fn lists_say_who_answered(fixture: &Fixture) -> Outcome {
    let incoming = fixture.call_in("waits").await;
    let listed = fixture.ari().channels().list().await?;
    assert!(listed.is_complete(), "{:?}", listed.missing);
    for id in [incoming.id.as_str(), incoming.caller.id()] {
        let found = listed.items.iter().find(|known| known.id() == id);
        let place = &found.expect("it is listed").entity().metadata;
        assert_eq!(place.asterisk_id.as_deref(), Some(&*fixture.node()));
        assert_eq!(place.application.as_deref(), Some(fixture.application()));
    }
    incoming.caller.hangup().await?;
    Ok(())
}

async fn without_an_application_all_are_asked(fixture: &Fixture) -> Outcome {
    let all = fixture.without_application().await?;
    let incoming = fixture.call_in("waits").await;
    let listed = all.channels().list().await?;
    assert!(listed.is_complete(), "{:?}", listed.missing);
    let found = listed
        .items
        .iter()
        .filter(|known| known.id() == incoming.id)
        .count();
    assert_eq!(found, 1);
    // What it does goes to where the entity is.
    let call = all.channels().handle(&incoming.id);
    until("the call to be answered", || async {
        call.answer().await.ok()
    })
    .await;
    let narrowed = all.for_application(fixture.application())?;
    narrowed.channels().handle(&incoming.id).hangup().await?;
    assert!(all.calls().await.is_err());
    all.close().await?;
    Ok(())
}
