//! Control of the phones over HTTP: what each does when it is called.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{Path, State},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    admin::{refusal, reply},
    rest::Answer,
};
use crate::{
    simulator::Runtime,
    world::{Phone, PhoneOutcome},
};

/// What a phone is to do with the calls to come.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    /// Whether it rings before.
    #[serde(default = "yes")]
    rings: bool,
    /// It answers, so long after the call.
    answers_after_ms: Option<u64>,
    /// It refuses the call with this cause.
    refuses: Option<u16>,
    /// How long after the call it refuses it.
    #[serde(default)]
    after_ms: u64,
}

const fn yes() -> bool {
    true
}

/// Sets what the phone at an endpoint does when it is called.
pub(super) async fn set(
    State(runtime): State<Arc<Runtime>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Answer {
    let setting: Setting = match serde_json::from_slice(&body) {
        Ok(setting) => setting,
        Err(error) => return refusal(400, "Bad Request", &format!("not for a phone: {error}")),
    };
    let outcome = match (setting.answers_after_ms, setting.refuses) {
        (Some(_), Some(_)) => {
            return refusal(400, "Bad Request", "a phone answers or refuses, not both");
        }
        (Some(after), None) => PhoneOutcome::Answers(Duration::from_millis(after)),
        (None, Some(cause)) => {
            PhoneOutcome::Refuses(cause, Duration::from_millis(setting.after_ms))
        }
        (None, None) => PhoneOutcome::Silent,
    };
    let phone = Phone {
        rings_after: setting.rings.then_some(Duration::ZERO),
        outcome,
    };
    runtime.with_world(|world, _| world.set_phone(name.as_str(), phone));
    reply(&json!({ "endpoint": format!("PJSIP/{name}") }))
}
