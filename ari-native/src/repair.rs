//! What is done once a lost WebSocket is back, before streams are told that all is restored.

use std::{collections::HashSet, sync::Arc, time::Duration};

use ari_core::{EntityKind, Error, Metadata, Request, Response, Result, operations::applications};
use futures::{StreamExt, stream};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::{
    backoff::Backoff,
    link::Link,
    reconcile::{Comparison, Question, Verdict},
    restore::{Known, Missing, Repair},
};

/// Requests at the same time.
const CONCURRENT: usize = 4;

/// How often a question is asked that has no answer, before whoever waits asks by itself.
const TRIES: u32 = 3;

/// How long the last event of what is gone may be on its way: answers and events come by different ways.
const GRACE: Duration = Duration::from_secs(1);

/// Channels that one line of the log names.
const MOST_NAMED: usize = 100;

/// Subscribes the applications to everything where that is wanted and Asterisk has passed over it, as it does for an
/// application that exists already. Where it cannot be done, the log says so, and the next repair tries again.
///
/// # Cancel safety
/// What is subscribed to by then stays so.
pub(crate) async fn widen(link: &Link) {
    let mut backoff = Backoff::new(fastrand::Rng::new());
    let widened = timeout(link.limits.connect, async {
        for attempt in 1..TRIES {
            if restore(link, attempt).await {
                return true;
            }
            sleep(backoff.next_wait()).await;
        }
        restore(link, TRIES).await || link.memory().applications().is_empty()
    });
    if !widened.await.unwrap_or_default() {
        let asterisk = link.peer();
        tracing::warn!(%asterisk, "it is not known whether the applications hear of everything");
    }
}

/// Restores the subscriptions and the filters, and compares what is waited for with what there is. Once it
/// is done, streams are to be told that they are resynced.
///
/// As long as something cannot be restored it goes on, so streams keep their gap; each failure is logged, and
/// it is tried again with exponential backoff.
///
/// # Cancel safety
/// Dropping the future is what a second loss does: the next repair begins anew.
pub(crate) async fn repair(link: Arc<Link>) {
    let mut backoff = Backoff::new(fastrand::Rng::new());
    let mut unheard = Unheard::new("while the connection was lost");
    link.memory().begin_anew();
    for attempt in 1.. {
        let restored = restore(&link, attempt).await;
        // Always after the last of it: what ended before that has ended without an event.
        compare(&link, &mut unheard).await;
        if restored {
            return;
        }
        sleep(backoff.next_wait()).await;
    }
}

/// Compares what is waited for with what there is, after something that could not be understood.
///
/// # Cancel safety
/// As [`repair`].
pub(crate) async fn check(link: Arc<Link>) {
    // The last event of what is gone may be on its way; and whoever sends much that cannot be understood is not
    // asked for each.
    sleep(GRACE).await;
    let mut unheard = Unheard::new("while an event could not be understood");
    compare(&link, &mut unheard).await;
}

/// Tells Asterisk what it has forgotten; gives whether nothing is missing any more.
async fn restore(link: &Link, attempt: u32) -> bool {
    let mut complete = true;
    let names = link.memory().applications();
    for name in names {
        let request =
            Request::new(&applications::GET, Metadata::default()).with("applicationName", &*name);
        let answer = link.ask(&request, true).await;
        let application = match &answer {
            Ok(answer) if answer.is_success() => serde_json::from_slice::<Value>(&answer.body).ok(),
            _ => None,
        };
        let Some(application) = application else {
            complete = false;
            // Where somebody may not ask, or nobody can tell, there is an end to it.
            let refused = matches!(&answer, Ok(answer) if answer.status < 500);
            if refused && attempt >= TRIES && link.memory().forgo_everything(&name) {
                warn(&name, "it may not hear of everything", &answer);
            } else {
                warn(&name, "it is not known what is missing", &answer);
            }
            continue;
        };
        // Read before the memory is locked, which the reader needs for each event.
        let known = Known::read(&application);
        let missing = link.memory().missing(&name, &known);
        // The filter is in place before what it is to keep away is subscribed to.
        let is_filter = |repair: &Repair| matches!(repair.what, Missing::Filter(_));
        let (filter, sources): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_filter);
        for repairs in [filter, sources] {
            let mut repairs = stream::iter(repairs)
                .map(|repair| apply(link, repair))
                .buffer_unordered(CONCURRENT);
            while let Some(applied) = repairs.next().await {
                complete &= applied;
            }
        }
    }
    complete
}

/// Repairs one thing; gives whether it need not be tried again.
async fn apply(link: &Link, repair: Repair) -> bool {
    let application = &*repair.application;
    let restored = match &repair.what {
        Missing::Source(source, _) => {
            tracing::debug!(application, source, "a subscription is missing");
            "source"
        }
        Missing::All(kind) => {
            tracing::debug!(application, kind, "a subscription to all is missing");
            "everything"
        }
        Missing::Filter(_) => "filter",
    };
    let is_all = matches!(repair.what, Missing::All(_));
    let (request, times) = repair.request();
    for _ in 0..times {
        if !link.memory().is_wanted(&repair) {
            return true;
        }
        let answer = link.ask(&request, true).await;
        match &answer {
            Ok(response) if response.is_success() => link.memory().told(&repair),
            // Its source is gone, this Asterisk does not know such a thing, or it is not for this user: trying again
            // changes nothing.
            Err(Error::Unsupported { .. })
            | Ok(Response {
                status: 400 | 422, ..
            }) => {
                warn(application, "it is given up", &answer);
                link.memory().forget(&repair);
                return true;
            }
            Ok(Response {
                status: 401..=499, ..
            }) if is_all => {
                warn(application, "it is given up", &answer);
                link.memory().forget(&repair);
                return true;
            }
            _ => {
                warn(application, "it will be tried again", &answer);
                return false;
            }
        }
    }
    tracing::info!(application, restored, "restored");
    let changed = link.memory().changed(&repair);
    match changed {
        Some(changed) => Box::pin(apply(link, changed)).await,
        None => true,
    }
}

fn warn(application: &str, what: &str, answer: &Result<Response>) {
    let reason = outcome(answer);
    tracing::warn!(
        application,
        what,
        reason,
        "a subscription or filter is not restored"
    );
}

/// What became of a request, for the log: never a whole answer.
fn outcome(answer: &Result<Response>) -> String {
    match answer {
        Ok(answer) => format!("{} {}", answer.status, answer.reason),
        Err(error) => error.to_string(),
    }
}

/// Channels that entered an application and of which no event told.
struct Unheard {
    missed: &'static str,
    /// Those that the log has named.
    named: HashSet<String>,
}

impl Unheard {
    fn new(missed: &'static str) -> Self {
        Self {
            missed,
            named: HashSet::new(),
        }
    }

    /// Names those in the log that nobody knows of.
    fn tell(&mut self, link: &Link, entered: Vec<String>) {
        let router = link.events.router();
        let mut fresh = Vec::new();
        for id in entered {
            if !router.is_about(EntityKind::Channel, &id) && self.named.insert(id.clone()) {
                fresh.push(id);
            }
        }
        if fresh.is_empty() {
            return;
        }
        let (count, missed) = (fresh.len(), self.missed);
        fresh.truncate(MOST_NAMED);
        let channels = fresh.join(", ");
        tracing::warn!(
            count,
            "these channels may have entered the application {missed}, and no call was announced: {channels}"
        );
    }
}

/// Asks what there is to be asked; gives whether all of it has an answer.
async fn ask_all(link: &Link, comparison: &mut Comparison) -> bool {
    let mut clear = true;
    // Answers may bring new questions.
    while clear {
        let questions = comparison.questions();
        if questions.is_empty() {
            break;
        }
        let ask = |question: Question| async move {
            let answer = link.ask(&question.request(), true).await;
            (question, answer)
        };
        let mut answers = stream::iter(questions)
            .map(ask)
            .buffer_unordered(CONCURRENT);
        while let Some((question, answer)) = answers.next().await {
            let verdict = match &answer {
                Ok(answer) => comparison.answered(&question, answer.status, &answer.body),
                Err(_) => Verdict::Unclear,
            };
            clear &= verdict == Verdict::Clear;
            if verdict == Verdict::Unclear {
                let (operation, reason) = (question.request().operation, outcome(&answer));
                tracing::warn!(%operation, reason, "it is not known yet what is left");
            }
        }
    }
    clear
}

/// Ends the streams and waits whose entities are gone.
async fn compare(link: &Link, unheard: &mut Unheard) {
    let router = link.events.router();
    let names: Vec<Arc<str>> = link.memory().names().cloned().collect();
    let applications = names.into_iter().map(|name| {
        let takes_calls = router.takes_calls(&name);
        (name, takes_calls)
    });
    let mut comparison = Comparison::new(router.awaited(), link.events.bound(), applications);
    let mut backoff = Backoff::new(fastrand::Rng::new());
    for attempt in 0..TRIES {
        if attempt > 0 {
            sleep(backoff.next_wait()).await;
        }
        if ask_all(link, &mut comparison).await {
            break;
        }
    }
    let compared = comparison.outcome();
    let knows = |id: &String| router.is_about(EntityKind::Channel, id);
    let is_over = !compared.gone.is_empty() || !compared.unbound.is_empty();
    if is_over || !compared.entered.iter().all(knows) {
        sleep(GRACE).await;
    }
    unheard.tell(link, compared.entered);
    for gone in &compared.gone {
        router.lose(gone);
        link.events.forget(gone.kind(), gone.id());
    }
    for (kind, id) in &compared.unbound {
        link.events.forget(*kind, id);
    }
    for unknown in &compared.unknown {
        router.doubt(unknown);
    }
    for outside in &compared.outside {
        router.left(outside);
    }
    if !compared.gone.is_empty() || !compared.unknown.is_empty() {
        let (gone, unknown) = (compared.gone.len(), compared.unknown.len());
        tracing::info!(
            gone,
            unknown,
            "streams and waits compared with what is left"
        );
    }
}
