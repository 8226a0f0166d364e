use ari_core::OperationSpec;

use super::*;

fn memory() -> Memory {
    Memory::new(["demo".into(), "other".into()])
}

fn done(memory: &mut Memory, operation: &'static OperationSpec, name: &str, value: Value) {
    answered(memory, operation, name, value, 200, &json!({}));
}

fn answered(
    memory: &mut Memory,
    operation: &'static OperationSpec,
    name: &str,
    value: Value,
    status: u16,
    body: &Value,
) {
    let request = Request::new(operation, Metadata::default())
        .with("applicationName", "demo")
        .with(name.to_owned(), value);
    memory.note(&request, &Response::new(status, "", body.to_string()));
}

fn subscribe(memory: &mut Memory, sources: Value) {
    done(memory, &applications::SUBSCRIBE, "eventSource", sources);
}

fn unsubscribe(memory: &mut Memory, sources: Value) {
    done(memory, &applications::UNSUBSCRIBE, "eventSource", sources);
}

fn missing(memory: &mut Memory, application: &Value) -> Vec<String> {
    let repairs = memory.missing(&"demo".into(), &Known::read(application));
    let tell = |repair: Repair| match repair.what {
        Missing::Source(source, times) => format!("{source} {times}"),
        Missing::All(kind) => format!("all of {kind}"),
        Missing::Filter(filter) => filter.to_string(),
    };
    repairs.into_iter().map(tell).collect()
}

#[test]
fn what_was_subscribed_to_is_missing_where_asterisk_does_not_name_it() {
    let mut memory = memory();
    assert_eq!(memory.applications(), Vec::<Arc<str>>::new());
    subscribe(&mut memory, json!(["channel:c1", "bridge:b1"]));
    subscribe(&mut memory, json!(["endpoint:PJSIP/alice"]));
    subscribe(&mut memory, json!("deviceState:Stasis:door"));
    assert_eq!(memory.applications(), ["demo".into()]);
    let all = [
        "bridge:b1 1",
        "channel:c1 1",
        "deviceState:Stasis:door 1",
        "endpoint:PJSIP/alice 1",
    ];
    assert_eq!(missing(&mut memory, &json!({})), all);
    let survived = json!({
        "channel_ids": ["c1"], "bridge_ids": ["b1"], "endpoint_ids": ["pjsip/alice"],
        "device_names": ["Stasis:door"],
    });
    assert_eq!(missing(&mut memory, &survived), [""; 0]);
    let other = json!({ "channel_ids": ["b1"], "bridge_ids": ["c1"] });
    assert_eq!(missing(&mut memory, &other), all);
}

#[test]
fn subscriptions_are_counted_as_asterisk_counts_them() {
    let mut memory = memory();
    for _ in 0..3 {
        subscribe(
            &mut memory,
            json!(["bridge:b1", "deviceState:d", "channel:"]),
        );
    }
    assert_eq!(
        missing(&mut memory, &json!({})),
        ["bridge:b1 3", "channel: 1", "deviceState:d 1"]
    );
    unsubscribe(&mut memory, json!(["bridge:b1", "deviceState:d"]));
    unsubscribe(&mut memory, json!(["bridge:nobody"]));
    assert_eq!(
        missing(&mut memory, &json!({})),
        ["bridge:b1 2", "channel: 1"]
    );
    unsubscribe(&mut memory, json!(["bridge:b1"]));
    unsubscribe(&mut memory, json!(["bridge:b1"]));
    assert_eq!(missing(&mut memory, &json!({})), ["channel: 1"]);
}

#[test]
fn what_is_given_back_before_it_is_told_again_is_owed_no_more() {
    let mut memory = memory();
    for _ in 0..4 {
        subscribe(&mut memory, json!(["bridge:b1"]));
    }
    let (none, named) = (json!({}), json!({ "bridge_ids": ["b1"] }));
    let repair = memory
        .missing(&"demo".into(), &Known::read(&none))
        .remove(0);
    let give_back = |memory: &mut Memory, status| {
        let (operation, source) = (&applications::UNSUBSCRIBE, json!(["bridge:b1"]));
        let answer = json!({});
        answered(memory, operation, "eventSource", source, status, &answer);
    };
    give_back(&mut memory, 422);
    give_back(&mut memory, 404);
    memory.told(&repair);
    assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
    assert!(memory.is_wanted(&repair));
    give_back(&mut memory, 500);
    assert!(memory.is_wanted(&repair), "it may be there still");
    give_back(&mut memory, 422);
    memory.told(&repair);
    assert!(!memory.is_wanted(&repair));
    give_back(&mut memory, 422);
    assert!(memory.is_empty());
    assert!(!memory.is_wanted(&repair));
}

#[test]
fn what_was_told_in_part_is_told_in_full() {
    let mut memory = memory();
    for _ in 0..3 {
        subscribe(&mut memory, json!(["bridge:b1"]));
    }
    let (none, named) = (json!({}), json!({ "bridge_ids": ["b1"] }));
    let repair = memory
        .missing(&"demo".into(), &Known::read(&none))
        .remove(0);
    memory.told(&repair);
    assert_eq!(missing(&mut memory, &named), ["bridge:b1 2"]);
    unsubscribe(&mut memory, json!(["bridge:b1"]));
    memory.told(&repair);
    assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
    memory.told(&repair);
    assert_eq!(missing(&mut memory, &named), [""; 0]);
    // Told, and the answer was lost.
    assert_eq!(missing(&mut memory, &none), ["bridge:b1 2"]);
    assert_eq!(missing(&mut memory, &named), ["bridge:b1 1"]);
}

#[test]
fn who_hears_of_everything_needs_nothing_else() {
    let mut memory = memory();
    subscribe(&mut memory, json!(["channel:c1", "channel:", "bridge:b1"]));
    let application = json!({ "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"] });
    assert_eq!(missing(&mut memory, &application), ["bridge:b1 1"]);
}

#[test]
fn whoever_is_to_hear_of_everything_is_told_of_the_kinds_that_are_missing() {
    let mut memory = memory();
    memory.want_everything();
    assert_eq!(memory.applications(), ["demo".into(), "other".into()]);
    let some = json!({
        "channel_ids": ["__AST_CHANNEL_ALL_TOPIC"], "bridge_ids": ["b1"],
        "device_names": ["__AST_DEVICE_STATE_ALL_TOPIC"],
    });
    assert_eq!(
        missing(&mut memory, &some),
        ["all of bridge", "all of endpoint"]
    );
    // What the program asked for by itself is told once.
    subscribe(&mut memory, json!(["bridge:"]));
    assert_eq!(
        missing(&mut memory, &some),
        ["bridge: 1", "all of endpoint"]
    );
    let endpoints = Repair {
        application: "demo".into(),
        what: Missing::All("endpoint"),
    };
    let target = endpoints.request().0.to_http().unwrap().target;
    assert!(
        target.ends_with("/subscription?eventSource=endpoint%3A"),
        "{target}"
    );
    memory.forget(&endpoints);
    assert_eq!(missing(&mut memory, &some), ["bridge: 1"]);
    assert!(memory.forgo_everything("other"));
    assert_eq!(memory.applications(), ["demo".into()]);
    memory.begin_anew();
    assert_eq!(memory.applications(), ["demo".into(), "other".into()]);
    assert_eq!(
        missing(&mut memory, &some),
        ["bridge: 1", "all of endpoint"]
    );
}

#[test]
fn refusals_and_other_applications_change_nothing() {
    let mut memory = memory();
    let sources = json!(["bridge:b1"]);
    let refused = &applications::SUBSCRIBE;
    answered(
        &mut memory,
        refused,
        "eventSource",
        sources,
        422,
        &json!({}),
    );
    let request = Request::new(&applications::SUBSCRIBE, Metadata::default())
        .with("applicationName", "stranger")
        .with("eventSource", vec!["bridge:b1"]);
    memory.note(&request, &Response::new(200, "", ""));
    assert!(memory.is_empty());
}

#[test]
fn the_filter_is_what_the_answer_says() {
    let mut memory = memory();
    let filter = json!({ "disallowed": [{ "type": "Dial" }] });
    let set = json!({ "events_allowed": [], "events_disallowed": [{ "type": "Dial" }] });
    let operation = &applications::FILTER;
    answered(&mut memory, operation, "filter", filter, 200, &set);
    assert_eq!(missing(&mut memory, &set), [""; 0]);
    let lost = json!({ "events_allowed": [], "events_disallowed": [] });
    assert_eq!(
        missing(&mut memory, &lost),
        [r#"{"allowed":[],"disallowed":[{"type":"Dial"}]}"#]
    );
    let repair = memory
        .missing(&"demo".into(), &Known::read(&lost))
        .remove(0);
    assert!(memory.is_wanted(&repair));
    assert_eq!(memory.changed(&repair), None);
    answered(&mut memory, operation, "filter", json!({}), 200, &lost);
    assert!(memory.is_empty());
    // The program has taken it away while it was restored, and all is to pass.
    assert!(!memory.is_wanted(&repair));
    let changed = memory.changed(&repair).unwrap();
    let nothing = json!({ "allowed": [], "disallowed": [] });
    assert_eq!(changed.what, Missing::Filter(nothing));
    assert!(memory.is_wanted(&changed));
}

#[test]
fn what_has_ended_is_forgotten() {
    let mut memory = memory();
    subscribe(
        &mut memory,
        json!(["channel:c1", "bridge:b1", "channel:c2"]),
    );
    for event in [
        r#"{"type":"ChannelDestroyed","channel":{"id":"c1"}}"#,
        r#"{"type":"BridgeDestroyed","bridge":{"id":"b1"}}"#,
        r#"{"type":"StasisEnd","channel":{"id":"c2"}}"#,
    ] {
        memory.after(&Event::parse(event).unwrap());
    }
    assert_eq!(missing(&mut memory, &json!({})), ["channel:c2 1"]);
    for repair in memory.missing(&"demo".into(), &Known::read(&json!({}))) {
        memory.forget(&repair);
    }
    assert!(memory.is_empty());
}

#[test]
fn a_repair_is_a_request() {
    let repair = Repair {
        application: "demo".into(),
        what: Missing::Source("endpoint:PJSIP/alice".into(), 2),
    };
    let (request, times) = repair.request();
    let http = request.to_http().unwrap();
    assert!(
        http.target
            .starts_with("/applications/demo/subscription?eventSource=")
    );
    assert_eq!(times, 2);
}
