//! Asking: one server, whoever can answer, or everybody.

use std::{collections::BTreeSet, time::Duration};

use ari_core::{
    ConnectionState, Entity, Error, Gathered, Metadata, Missing, Request, Response, Result,
    interrupted, not_sent,
};
use ari_proxy_proto::{self as proto, Class, Encoded, Unencodable};
use async_nats::PublishErrorKind;
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use crate::{
    inbox::{Replies, Reply},
    members::Member,
    shared::Shared,
};

/// Without a server that is known, a list is complete when none has answered for this long.
const QUIET: Duration = Duration::from_millis(250);

/// One request under way.
pub(crate) struct Ask<'s> {
    shared: &'s Shared,
    request: &'s Request,
    encoded: Encoded,
    replies: Replies,
    departures: watch::Receiver<()>,
    deadline: Instant,
    patience: Duration,
}

/// What the next reply was.
enum Next {
    /// An answer, and whose it is.
    Answer(Option<Member>, Result<Response>),
    NobodyThere,
    /// Somebody has said goodbye, and need not be waited for.
    Departure,
    Deadline,
}

impl<'s> Ask<'s> {
    /// Encodes a request and sends it.
    pub(crate) async fn send(shared: &'s Shared, request: &'s Request) -> Result<Self> {
        if *shared.state.borrow() == ConnectionState::Closed {
            return Err(Error::Closed);
        }
        let encoded = encode(shared, request)?;
        let away = || {
            not_sent(
                request,
                format!("the connection to NATS at {} is down", shared.servers),
                None,
            )
        };
        if *shared.state.borrow() != ConnectionState::Connected {
            return Err(away());
        }
        let limit = shared.nats.max_payload();
        if encoded.payload.len() > limit {
            let reason = format!(
                "it has {} bytes, and NATS takes {limit}",
                encoded.payload.len()
            );
            return Err(not_sent(request, reason, None));
        }
        let replies = shared.inbox.open().ok_or_else(|| {
            not_sent(
                request,
                "too many requests wait for answers: see Builder::requests_in_flight()",
                None,
            )
        })?;
        let departures = shared.departed.subscribe();
        let patience = request.timeout.unwrap_or(shared.timeout);
        let publish = shared.nats.publish_with_reply(
            encoded.subject.clone(),
            replies.subject(),
            encoded.payload.clone(),
        );
        let deadline = Instant::now() + patience;
        // Where the connection takes nothing any more, and nobody has noticed yet, there is no room for it.
        let published = timeout_at(deadline, publish).await.map_err(|_| {
            let reason = format!("the connection to NATS took it not within {patience:?}");
            not_sent(request, reason, None)
        })?;
        published.map_err(|error| match error.kind() {
            PublishErrorKind::Send => away(),
            _ => not_sent(request, error.to_string(), None),
        })?;
        Ok(Self {
            shared,
            request,
            encoded,
            replies,
            departures,
            deadline,
            patience,
        })
    }

    async fn next(&mut self, until: Instant) -> Result<Next> {
        let mut state = self.shared.state.subscribe();
        let lost = state.wait_for(|state| *state != ConnectionState::Connected);
        let (replies, departures) = (&mut self.replies, &mut self.departures);
        let reply = tokio::select! {
            biased;
            reply = timeout_at(until, replies.next()) => reply,
            Ok(()) = departures.changed() => return Ok(Next::Departure),
            state = lost => {
                return Err(match state.as_deref() {
                    Ok(ConnectionState::Connecting) => Error::OutcomeUnknown {
                        operation: self.request.operation.to_string(),
                        reason: format!("the connection to NATS at {} broke", self.shared.servers),
                        source: None,
                    },
                    _ => interrupted(self.request.operation),
                });
            }
        };
        Ok(match reply {
            Err(_) => Next::Deadline,
            Ok(None) => return Err(interrupted(self.request.operation)),
            Ok(Some(Reply::NobodyThere)) => Next::NobodyThere,
            Ok(Some(Reply::Answer(message))) => {
                let answer = self
                    .encoded
                    .kind
                    .decode_response(self.request, &message.payload);
                if let Ok(response) = &answer {
                    self.shared.learn(response, self.request);
                }
                let source = match &answer {
                    Ok(response) => &response.source,
                    Err(_) => &proto::answer_source(&message.payload),
                };
                Next::Answer(member_of(source), answer)
            }
        })
    }

    fn nobody_there(&self) -> Error {
        Error::NobodyThere {
            subject: self.encoded.subject.clone(),
        }
    }

    fn timed_out(&self) -> Error {
        Error::TimedOut {
            operation: self.request.operation.to_string(),
            after: self.patience,
        }
    }

    /// Waits for the one answer of the server that was asked.
    pub(crate) async fn one(mut self) -> Result<Response> {
        loop {
            return match self.next(self.deadline).await? {
                Next::Answer(_, answer) => {
                    // Its Asterisk is away.
                    if let (Err(Error::NotSent { .. }), Some(member)) =
                        (&answer, member_of(&self.request.target))
                    {
                        self.shared.members().suspect(&member);
                    }
                    answer
                }
                // Who leaves still answers what has come to it.
                Next::Departure => continue,
                Next::NobodyThere => {
                    // It is neither waited for nor chosen again until it announces itself.
                    if let Some(member) = member_of(&self.request.target) {
                        self.shared.members().suspect(&member);
                    }
                    Err(self.nobody_there())
                }
                Next::Deadline => Err(self.timed_out()),
            };
        }
    }

    /// Waits for the first good answer; when all who are expected to have said no, gives the refusal
    /// that says most: anything but "not found", if there is one.
    pub(crate) async fn first_good(mut self, expected: &[Member]) -> Result<Response> {
        let one_is_enough = self.encoded.class == Class::Create;
        let mut refusal: Option<Result<Response>> = None;
        let mut waiting: BTreeSet<&Member> = self.shared.still_there(expected).collect();
        let mut anonymous = 0;
        while refusal.is_none() || (!one_is_enough && anonymous < waiting.len()) {
            match self.next(self.deadline).await? {
                Next::Answer(_, Ok(response)) if response.is_success() => return Ok(response),
                Next::Answer(member, answer) => {
                    // Somebody who is not expected answers for nobody else.
                    match member {
                        Some(member) => _ = waiting.remove(&member),
                        None => anonymous += 1,
                    }
                    let says_little = |refusal: &Result<Response>| matches!(refusal, Ok(response) if response.status == 404);
                    if refusal.as_ref().is_none_or(says_little) {
                        refusal = Some(answer);
                    }
                }
                Next::Departure => waiting.retain(|member| self.shared.members().has(member)),
                Next::NobodyThere => return Err(self.nobody_there()),
                // Some server kept silent; it may be the one that would have said yes.
                Next::Deadline => return Err(self.timed_out()),
            }
        }
        refusal.unwrap_or_else(|| Err(self.timed_out()))
    }

    /// Waits until everybody who is expected to has answered; names those who have not.
    pub(crate) async fn everybody(mut self, expected: &[Member]) -> Result<Gathered<Response>> {
        let mut waiting: BTreeSet<&Member> = self.shared.still_there(expected).collect();
        let mut anonymous = 0;
        let (mut items, mut missing) = (Vec::new(), Vec::new());
        while expected.is_empty() || anonymous < waiting.len() {
            let until = if expected.is_empty() {
                (Instant::now() + QUIET).min(self.deadline)
            } else {
                self.deadline
            };
            match self.next(until).await? {
                Next::Answer(member, answer) => {
                    let source = member.as_ref().map(Member::place).unwrap_or_default();
                    match member {
                        Some(member) => _ = waiting.remove(&member),
                        None => anonymous += 1,
                    }
                    match answer {
                        Ok(response) => items.push(response),
                        Err(error) => missing.push(Missing::new(source, error.to_string())),
                    }
                }
                Next::Departure => waiting.retain(|member| self.shared.members().has(member)),
                Next::NobodyThere if expected.is_empty() => return Err(self.nobody_there()),
                Next::NobodyThere | Next::Deadline => break,
            }
        }
        if anonymous < waiting.len() {
            let mut members = self.shared.members();
            for member in waiting {
                members.suspect(member);
                missing.push(Missing::new(
                    member.place(),
                    format!("no answer within {:?}", self.patience),
                ));
            }
        }
        Ok(Gathered::new(items, missing))
    }
}

pub(crate) fn member_of(source: &Metadata) -> Option<Member> {
    Some(Member {
        application: source.application.clone()?,
        node: source.asterisk_id.clone()?,
    })
}

/// The request as the wire carries it: as a kind of the Go proxy if one can carry it in full, else as
/// the kind of our own servers, if one of them is there to answer.
fn encode(shared: &Shared, request: &Request) -> Result<Encoded> {
    let unencodable = match proto::encode(request, &shared.subjects) {
        Ok(encoded) => return Ok(encoded),
        Err(error @ (Unencodable::Operation { .. } | Unencodable::Parameter { .. })) => error,
        Err(error) => return Err(error.into()),
    };
    let extended = match (&request.target.application, &request.target.asterisk_id) {
        (Some(application), Some(node)) => shared
            .members()
            .is_extended(application, node)
            .unwrap_or(true),
        _ => true,
    };
    if extended {
        Ok(proto::encode_extension(request, &shared.subjects)?)
    } else {
        Err(unencodable.into())
    }
}

impl Shared {
    /// Learns from an answer where entities are.
    fn learn(&self, response: &Response, request: &Request) {
        if !response.is_success() {
            return;
        }
        let mut locations = self.locations();
        for entity in &response.entities {
            locations.learn(entity);
        }
        if response.source.is_complete() {
            for (kind, id) in request.entities() {
                locations.learn(&Entity::new(kind, &*id, response.source.clone()));
            }
        }
    }
}
