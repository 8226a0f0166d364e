//! Control of the simulator over HTTP: callers to be placed, and what they saw.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    routing::{get, put},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    phones,
    rest::{self, Answer},
};
use crate::{simulator::Runtime, wire::HttpAnswer, world::CallScript};

/// Most calls that one request may place at once.
const MAX_AT_ONCE: u64 = 100_000;

/// Most calls a second; a world that is asked for more than it can do would do nothing else.
const MAX_RATE: f64 = 10_000.0;

/// Calls to be placed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    #[serde(default = "one")]
    count: u64,
    /// Calls a second; without it all at once.
    #[serde(default)]
    rate: Option<f64>,
    script: CallScript,
}

const fn one() -> u64 {
    1
}

pub(crate) fn routes() -> Router<Arc<Runtime>> {
    Router::new()
        .route("/sim/calls", get(calls).post(place))
        .route("/sim/totals", get(totals))
        .route("/sim/channels", get(channels))
        .route("/sim/endpoints/{name}", put(phones::set))
}

pub(super) fn reply(value: &impl serde::Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(body) => rest::write(HttpAnswer::new(200, "OK").content("application/json", body)),
        Err(error) => refusal(500, "Internal Server Error", &error.to_string()),
    }
}

pub(super) fn refusal(status: u16, reason: &'static str, message: &str) -> Answer {
    rest::write(HttpAnswer::refusal(status, reason, message))
}

async fn place(State(runtime): State<Arc<Runtime>>, body: Bytes) -> Answer {
    let order: Order = match serde_json::from_slice(&body) {
        Ok(order) => order,
        Err(error) => {
            return refusal(
                400,
                "Bad Request",
                &format!("no calls can be placed: {error}"),
            );
        }
    };
    if let Err(reason) = order.script.check() {
        return refusal(400, "Bad Request", &reason);
    }
    if order.rate.is_none() && order.count > MAX_AT_ONCE {
        let message = "more than 100000 calls need a rate";
        return refusal(400, "Bad Request", message);
    }
    let interval = match order.rate {
        None => Duration::ZERO,
        Some(rate) if rate > 0.0 && rate <= MAX_RATE => {
            Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX)
        }
        Some(_) => {
            return refusal(
                400,
                "Bad Request",
                "rate must be above 0, and 10000 at most",
            );
        }
    };
    runtime.with_world(|world, now| world.place_calls(now, order.script, order.count, interval));
    totals(State(runtime)).await
}

async fn calls(State(runtime): State<Arc<Runtime>>) -> Answer {
    let records: Vec<_> = runtime.with_world(|world, _| world.call_records().cloned().collect());
    reply(&records)
}

async fn totals(State(runtime): State<Arc<Runtime>>) -> Answer {
    reply(&runtime.with_world(|world, _| world.call_totals()))
}

async fn channels(State(runtime): State<Arc<Runtime>>) -> Answer {
    let (channels, bridges) =
        runtime.with_world(|world, _| (world.channel_count(), world.bridge_count()));
    reply(
        &json!({ "channels": channels, "bridges": bridges, "websockets": runtime.websocket_count() }),
    )
}
