//! The client against an Asterisk made of in-memory pipes, in virtual time.

mod applications;
mod bad_input;
mod calls;
mod closing;
mod connecting;
mod environment;
mod events;
mod faults;
mod listening;
mod listening_tls;
mod metrics;
mod names;
mod outbound;
mod outbound_faults;
mod repairs;
mod replaced;
mod rest;
mod rest_turns;
mod restores;
mod server;
mod strangers;
mod tls;
mod tracing;
mod versions;

use ari_core::{Ari, Events, StreamItem};
use futures::StreamExt;

use self::server::Server;
use crate::{Builder, builder};

const URL: &str = "http://pbx:8088/ari";

/// What connects to a server.
fn to(server: &Server) -> Builder {
    builder(URL)
        .application("demo")
        .credentials("user", "secret")
        .connector(server.connector())
}

async fn connected() -> (Ari, Server) {
    let server = Server::new();
    let ari = to(&server).connect().await.unwrap();
    (ari, server)
}

/// The next item of a stream, in short.
async fn next(events: &mut Events) -> String {
    match events.next().await {
        Some(StreamItem::Event(event)) => event.kind().to_owned(),
        Some(StreamItem::Gap(gap)) => format!("Gap {:?} {:?}", gap.cause, gap.missed),
        Some(StreamItem::Resynced) => "Resynced".to_owned(),
        Some(other) => format!("{other:?}"),
        None => format!("end {:?}", events.end()),
    }
}

/// Lets the other tasks run until something is so; the clock stands still meanwhile.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..100_000 {
        if is_so() {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never came about that {what}");
}
