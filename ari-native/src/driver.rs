//! The task that reads the WebSocket, and makes it again when it is lost.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use ari_core::{Event, Gap, GapCause, ended_by};
use bytestring::ByteString;
use futures::future::{BoxFuture, FutureExt, OptionFuture, pending, poll_immediate};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    door::Door,
    error::Trouble,
    frame::ANSWER,
    greeting::Greeting,
    link::{Ending, Link},
    repair::{check, repair},
    replaced::Turn,
    session::{Cause, Output, Session},
    socket::{Broken, Frame, Socket},
};

/// How long the other side may take to answer a close frame.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

/// How long a socket is kept in whose place there is another one.
const SUPERSEDED_FOR: Duration = Duration::from_secs(1);

/// How long a socket is kept whose first application is another program's: it may be taking the others as well, and
/// Asterisk tells of each by itself.
const LEAVE_AFTER: Duration = Duration::from_secs(1);

/// Frames that are taken before anything else is looked after.
const AT_ONCE: usize = 128;

/// Reads the WebSocket until the client is closed. It never waits for anybody: Asterisk drops a WebSocket
/// that takes nothing for 100 ms.
///
/// Whatever ends this task, even before it began, streams and calls must not wait for it.
pub(crate) async fn run(link: Ending<Arc<Link>>, socket: Socket) {
    let link = &link.0;
    let mut session = Session::open(link.limits.keepalive, fastrand::Rng::new(), now());
    if let Door::Accept(_) = link.door {
        session = session.accepting();
    }
    let mut driver = Driver {
        link,
        session,
        phase: Phase::Open(socket),
        misnamed: None,
        reason: None,
        greeting: None,
        repair: None,
        check: None,
    };
    link.kill.run_until_cancelled(driver.run()).await;
}

struct Driver<'a> {
    link: &'a Arc<Link>,
    session: Session,
    phase: Phase,
    /// Since when the socket has been seen to have the name of an application that is another program's.
    misnamed: Option<Instant>,
    /// What broke the last connection.
    reason: Option<String>,
    /// Who answered the last attempt.
    greeting: Option<Greeting>,
    /// The task that restores and compares after a reconnect, until it is done or the connection is lost again.
    repair: Option<AbortOnDropHandle<()>>,
    /// What is done after something that could not be understood, likewise.
    check: Option<AbortOnDropHandle<()>>,
}

enum Phase {
    Open(Socket),
    Down,
    Trying(BoxFuture<'static, Result<(Socket, Greeting), Trouble>>),
}

/// What happened.
enum Step {
    Frame(Frame),
    Broken(Broken),
    Superseded,
    Opened(Socket, Greeting),
    Failed(Trouble),
}

impl Phase {
    /// Waits for what happens next.
    ///
    /// # Cancel safety
    /// Nothing is lost when the future is dropped.
    async fn next(&mut self, link: &Link) -> Step {
        match self {
            Self::Open(socket) => tokio::select! {
                biased;
                frame = socket.next() => frame.map_or_else(Step::Broken, Step::Frame),
                () = link.superseded() => Step::Superseded,
            },
            Self::Trying(attempt) => match attempt.await {
                Ok((socket, greeting)) => Step::Opened(socket, greeting),
                Err(trouble) => Step::Failed(trouble),
            },
            Self::Down => pending().await,
        }
    }
}

impl Driver<'_> {
    async fn run(&mut self) {
        self.turn();
        // An attempt may have failed that had brought events.
        if self.link.events.router().is_lost() {
            self.repair();
        }
        loop {
            let leave = self.leave_name();
            while let Some(output) = self.session.poll_output() {
                self.act(output);
            }
            self.look_into_doubts();
            let timeout = self.session.poll_timeout().map(Instant::from_std);
            tokio::select! {
                biased;
                () = self.link.closing.cancelled() => break,
                Some(repaired) = OptionFuture::from(self.repair.as_mut()), if self.repair.is_some() => {
                    self.repair = None;
                    match repaired {
                        Ok(()) => self.link.resynced(),
                        Err(error) => {
                            tracing::error!(%error, "what was lost cannot be restored");
                            self.link.abandon();
                        }
                    }
                }
                Some(_) = OptionFuture::from(self.check.as_mut()), if self.check.is_some() => {
                    self.check = None;
                }
                step = self.phase.next(self.link) => {
                    let heard = matches!(step, Step::Frame(_));
                    self.take(step);
                    if heard {
                        self.take_what_is_there().await;
                        self.session.handle_heard(now());
                    }
                    self.turn();
                }
                () = sleep_until(leave.unwrap_or_else(Instant::now)), if leave.is_some() => {}
                () = sleep_until(timeout.unwrap_or_else(Instant::now)), if timeout.is_some() => {
                    let busy_until = self.link.desk.as_ref().and_then(|desk| desk.busy_until());
                    self.session.handle_timeout(now(), busy_until.map(Instant::into_std));
                }
            }
        }
        (self.repair, self.check) = (None, None);
        if let Phase::Open(socket) = std::mem::replace(&mut self.phase, Phase::Down) {
            socket.close(CLOSE_WITHIN).await;
        }
    }

    /// Has it found out what is gone after something that could not be understood. A repair finds it out as well.
    fn look_into_doubts(&mut self) {
        let idle = self.repair.is_none() && self.check.is_none();
        if idle && matches!(self.phase, Phase::Open(_)) && self.link.doubt.swap(false, Relaxed) {
            let check = self.link.tracker.spawn(check(Arc::clone(self.link)));
            self.check = Some(AbortOnDropHandle::new(check));
        }
    }

    /// Does what the session wants.
    fn act(&mut self, output: Output) {
        match output {
            Output::Ping => {
                if let Phase::Open(socket) = &mut self.phase {
                    socket.ping();
                }
            }
            Output::Lost(cause) => {
                self.phase = Phase::Down;
                (self.repair, self.check) = (None, None);
                let broken = self.reason.take().filter(|_| cause == Cause::Broken);
                let reason = broken.as_deref().unwrap_or(match cause {
                    Cause::Replaced => "another program took the application over",
                    Cause::Broken | Cause::Silent => "Asterisk has gone silent",
                });
                self.link.lost(cause, reason);
                if self.link.is_retired() {
                    self.retire();
                }
            }
            Output::Connect => {
                let link = Arc::clone(self.link);
                self.phase = Phase::Trying(async move { link.attempt().await }.boxed());
            }
            Output::Returned => {
                if let Some(greeting) = self.greeting.take() {
                    self.link.returned(&greeting);
                    self.repair();
                }
            }
        }
    }

    /// Has what was lost restored and compared. The answers may be long, and the reader must not wait.
    fn repair(&mut self) {
        let repair = self.link.tracker.spawn(repair(Arc::clone(self.link)));
        self.repair = Some(AbortOnDropHandle::new(repair));
    }

    /// Takes the frames that have come already. They may come faster than they are taken: whoever reads events
    /// has a turn as well.
    async fn take_what_is_there(&mut self) {
        for _ in 0..AT_ONCE {
            consume_budget().await;
            let Phase::Open(socket) = &mut self.phase else {
                return;
            };
            let Some(frame) = poll_immediate(socket.next()).await else {
                return;
            };
            match frame {
                Ok(frame) => take_in(self.link, frame),
                // What a broken socket says after that is not why it broke.
                Err(broken) => return self.take(Step::Broken(broken)),
            }
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Frame(frame) => take_in(self.link, frame),
            // Asterisk says goodbye to a call that is over.
            Step::Broken(Broken { is_goodbye, .. }) if is_goodbye && self.link.is_of_call() => {
                tracing::info!(asterisk = %self.link.peer(), "the call is over");
                self.link.abandon();
            }
            Step::Broken(Broken { reason, .. }) => {
                self.reason = Some(reason);
                self.session.handle_broken(now());
            }
            Step::Superseded => {
                self.reason = Some("Asterisk has opened another one".to_owned());
                self.session.handle_broken(now());
                self.linger();
            }
            Step::Opened(socket, greeting) => {
                self.phase = Phase::Open(socket);
                self.greeting = Some(greeting);
                self.session.handle_opened(now());
            }
            Step::Failed(trouble) => {
                self.phase = Phase::Down;
                trouble.warn();
                self.session.handle_failed(now());
                if self.link.is_retired() {
                    self.retire();
                }
            }
        }
    }

    /// Keeps a socket for a while after another one has taken its place: two Asterisks that give themselves the
    /// same id would push each other out as fast as they can, and so would two sockets of one call.
    fn linger(&mut self) {
        let Phase::Open(socket) = std::mem::replace(&mut self.phase, Phase::Down) else {
            return;
        };
        if let Door::Accept(doorway) = &self.link.door
            && doorway.is_call
        {
            return doorway.keep(socket);
        }
        let (socket, closing) = (socket.with_requests(None), self.link.closing.clone());
        self.link.tracker.spawn(async move {
            closing.run_until_cancelled(sleep(SUPERSEDED_FOR)).await;
            drop(socket);
        });
    }

    /// Does what follows from another program having taken an application over.
    fn turn(&mut self) {
        match self.link.turn() {
            None => {}
            Some(Turn::TakeBack) => self.session.handle_replaced(now()),
            // Requests go on over the socket as long as it lasts. One that Asterisk opened it opens again, and
            // says anew which applications it is for.
            Some(Turn::Retire) if self.link.desk.is_some() && !self.link.is_socket_only() => {}
            Some(Turn::Retire) => self.retire(),
        }
    }

    /// Connects again as the applications that are left. Asterisk answers all requests of a socket in the name of its
    /// first application, and no more once the program that has taken it over is gone. What it is at is answered
    /// before; should that program take the others as well, they are not taken back.
    ///
    /// Gives when to look again.
    fn leave_name(&mut self) -> Option<Instant> {
        if !matches!(self.phase, Phase::Open(_)) || !self.link.is_misnamed() {
            if self.misnamed.take().is_some()
                && let Some(desk) = &self.link.desk
            {
                desk.release();
            }
            return None;
        }
        let now = Instant::now();
        let leave = *self.misnamed.get_or_insert(now) + LEAVE_AFTER;
        if now < leave {
            return Some(leave);
        }
        let under_way = self.link.desk.as_ref().and_then(|desk| desk.hold());
        if under_way.is_some_and(|deadline| now < deadline) {
            return under_way;
        }
        self.reason = Some("its first application is another program's".to_owned());
        self.session.handle_broken(now.into_std());
        None
    }

    /// Connects no more. Requests go on over HTTP; where there is none, nothing does.
    fn retire(&mut self) {
        self.session.retire();
        if self.link.is_of_call() {
            self.linger();
        }
        self.phase = Phase::Down;
        (self.repair, self.check) = (None, None);
        if self.link.is_socket_only() {
            self.link.abandon();
        }
    }
}

/// Hands what came to those whom it concerns.
pub(crate) fn take_in(link: &Link, frame: Frame) {
    match frame {
        Frame::Text(text) => {
            link.received.increment(1);
            deliver(link, text);
        }
        Frame::Binary(bytes) => undecodable(link, bytes, "it is binary"),
        Frame::Alive => {}
    }
}

/// Hands an event to everybody whom it concerns.
fn deliver(link: &Link, text: ByteString) {
    let length = text.len();
    match Event::parse_text(text) {
        Ok(event) => {
            if let (ANSWER, Some(desk)) = (event.kind(), &link.desk) {
                desk.answer(event.raw());
                return;
            }
            if ended_by(&event).is_some() {
                link.memory().after(&event);
            }
            link.events.deliver(&event);
            match event.kind() {
                "ApplicationReplaced" => link.replaced(event.application()),
                "ApplicationRegistered" => link.registered(event.application()),
                "ApplicationUnregistered" => link.unregistered(event.application()),
                _ => {}
            }
        }
        Err(error) => {
            tracing::trace!(%error, "an event that cannot be decoded");
            undecodable(link, length, "it is no JSON object with a type");
        }
    }
}

/// Tells of something that cannot be understood; what it was about is not known, so everybody is told.
fn undecodable(link: &Link, bytes: usize, reason: &str) {
    tracing::warn!(asterisk = %link.peer(), bytes, reason, "an event cannot be decoded");
    link.events
        .router()
        .gap_everywhere(Gap::new(Some(1), GapCause::Undecodable));
    link.doubt.store(true, Relaxed);
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}
