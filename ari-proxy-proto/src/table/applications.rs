//! Applications.

use ari_core::EntityKind::Application;

use crate::kind::{Bind, Failure, Field, KeyId, Kind, Shape, When};

const SUBSCRIBE: &[Field] = &[Field::item("event_source", "eventSource")];

pub(super) const KINDS: &[Kind] = &[
    Kind::data(
        "ApplicationData",
        "applications",
        "get",
        "application",
        Shape::Keyed,
    )
    .on(Application, "applicationName")
    .fails(Failure::Data("application")),
    Kind::get("ApplicationGet", "applications", "get")
        .on(Application, "applicationName")
        .fails(Failure::Data("application")),
    Kind::list(
        "ApplicationList",
        "applications",
        "list",
        Application,
        KeyId::Member("name"),
    )
    .fails(Failure::Text("Error listing applications: ")),
    Kind::command("ApplicationSubscribe", "applications", "subscribe")
        .on(Application, "applicationName")
        .payload("application_subscribe", SUBSCRIBE)
        .binds(When::After, &[Bind::EventSource("eventSource")])
        .fails(Failure::Subscription("subscribing")),
    Kind::command("ApplicationUnsubscribe", "applications", "unsubscribe")
        .on(Application, "applicationName")
        .payload("application_subscribe", SUBSCRIBE)
        .fails(Failure::Subscription("unsubscribing")),
];
