//! Requests on their way in, and their answers on their way out.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use ari_core::{ConnectionState, Error, Metadata, Request, Response, Result, local::takes_back};
use ari_proxy_proto::{self as proto, BadRequest, Incoming, Step};
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures::{FutureExt, StreamExt, stream};
use tokio::time::{Duration, timeout};

use crate::{discovery, server::Shared};

/// Longest wait for nats-server to hear that the server is leaving.
const ROUND_TRIP: Duration = Duration::from_secs(1);

/// Makes the twelve subscriptions of the protocol (its section 1.2), and serves them.
pub(crate) async fn start(shared: &Arc<Shared>) -> Result<()> {
    let mut subscribers = Vec::new();
    for (subject, queue) in shared.subjects.served(&shared.application, &shared.node)? {
        subscribers.push(match queue {
            None => discovery::subscribe(shared, subject).await?,
            Some(queue) => {
                let subscriber = shared.nats.queue_subscribe(subject, queue.to_owned()).await;
                subscriber.map_err(discovery::cannot_subscribe)?
            }
        });
    }
    shared.tasks.spawn(serve(Arc::clone(shared), subscribers));
    Ok(())
}

async fn serve(shared: Arc<Shared>, mut subscribers: Vec<Subscriber>) {
    let stop = shared.no_requests.clone();
    {
        let mut requests = stream::select_all(&mut subscribers);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                request = requests.next() => match request {
                    Some(request) => take(&shared, request),
                    None => return,
                },
            }
        }
    }
    // What is on its way here already is still answered.
    for subscriber in &mut subscribers {
        if subscriber.drain().await.is_err() {
            return;
        }
    }
    round_trip(&shared.nats).await;
    let mut rest = stream::select_all(subscribers);
    loop {
        tokio::select! {
            () = shared.over.cancelled() => return,
            request = rest.next() => match request {
                Some(request) => take(&shared, request),
                None => return,
            },
        }
    }
}

/// A round trip to nats-server: what was sent to it before is in force after it.
async fn round_trip(nats: &async_nats::Client) {
    let inbox = nats.new_inbox();
    let trip = async {
        let mut echo = nats.subscribe(inbox.clone()).await.ok()?;
        nats.publish(inbox, Bytes::new()).await.ok()?;
        echo.next().await
    };
    // Where NATS is away, nobody can ask either.
    let _ = timeout(ROUND_TRIP, trip).await;
}

/// Carries a request out beside the others, or refuses it where there are too many.
fn take(shared: &Arc<Shared>, message: Message) {
    let limit = shared.options.requests_in_flight;
    let too_many = shared.requests.len() >= limit;
    let read = || catch_unwind(AssertUnwindSafe(|| read(shared, &message.payload)));
    let request = (!too_many).then(read);
    let shared = Arc::clone(shared);
    let requests = shared.requests.clone();
    requests.spawn(async move {
        let panicked = |_| {
            tracing::error!("carrying a request out panicked; the proxy goes on");
            proto::respond_unavailable(&broken(), &shared.place)
        };
        let answer = match request {
            None => {
                let reason = format!("the proxy carries {limit} requests out already");
                proto::respond_unavailable(&busy(reason), &shared.place)
            }
            Some(Err(panic)) => panicked(panic),
            Some(Ok(Err(refusal))) => refusal.respond(),
            Some(Ok(Ok(incoming))) => AssertUnwindSafe(answer(&shared, &incoming))
                .catch_unwind()
                .await
                .unwrap_or_else(panicked),
        };
        let Some(reply) = message.reply else {
            tracing::debug!(subject = %message.subject, "a request came without a reply subject");
            return;
        };
        if let Err(error) = shared.nats.publish(reply, answer).await {
            tracing::warn!(%error, "an answer could not be published");
        }
    });
}

fn busy(reason: String) -> Error {
    Error::NotSent {
        operation: "the request".to_owned(),
        reason,
        source: None,
    }
}

fn broken() -> Error {
    Error::OutcomeUnknown {
        operation: "the request".to_owned(),
        reason: "the proxy failed while it carried it out".to_owned(),
        source: None,
    }
}

/// Reads a request. What releases a dialog does so at once, in the order in which requests came: what the next scope
/// of the dialog binds must not be released with it.
fn read(shared: &Shared, message: &[u8]) -> Result<Incoming, BadRequest> {
    let incoming = proto::decode_request(message, &shared.place).inspect_err(|refusal| {
        let count = shared.bad_requests.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::debug!(%refusal, count, "a request cannot be carried out");
    })?;
    let releases = |step: &Step| matches!(step, Step::Release);
    if let Some(dialog) = incoming.dialog()
        && incoming.steps().iter().any(releases)
    {
        shared.dialogs().release(&dialog);
    }
    Ok(incoming)
}

async fn answer(shared: &Shared, incoming: &Incoming) -> Bytes {
    let answers = carry_out(shared, incoming).await;
    incoming.respond(&answers, shared.nats.max_payload())
}

/// Takes the steps of a request, up to the first call that fails.
async fn carry_out(shared: &Shared, incoming: &Incoming) -> Vec<Result<Response>> {
    let mut answers = Vec::new();
    // What was not bound before.
    let mut bound = Vec::new();
    for step in incoming.steps() {
        match step {
            Step::Bind(entities) => {
                if let Some(dialog) = incoming.dialog() {
                    let mut dialogs = shared.dialogs();
                    for (kind, id) in entities {
                        if dialogs.bind(&dialog, *kind, id) {
                            bound.push((*kind, id));
                        }
                    }
                }
            }
            Step::Call(request) => {
                let answer = call(shared, request).await;
                if let Some(dialog) = incoming.dialog() {
                    for &(kind, id) in &bound {
                        if takes_back(request.creates(kind, id), &answer) {
                            shared.dialogs().unbind(&dialog, kind, id);
                        }
                    }
                }
                let good = answer.as_ref().is_ok_and(Response::is_success);
                answers.push(answer);
                if !good {
                    break;
                }
            }
            _ => {}
        }
    }
    answers
}

async fn call(shared: &Shared, request: &Request) -> Result<Response> {
    if shared.client.state() != ConnectionState::Connected {
        return Err(ari_core::not_sent(
            request,
            "the connection to Asterisk is down",
            None,
        ));
    }
    // Dialogs are the cluster's: the client below must not bind them a second time.
    let mut request = request.clone();
    request.target = Metadata::default();
    shared.client.call(request).await
}
