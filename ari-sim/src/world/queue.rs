//! What a channel does one after the other: plays, records, enters a bridge, answers.
//!
//! Asterisk gives each operation on a channel in Stasis to the thread of that channel. It waits there while
//! a playback, a recording or digits take their time; operations whose outcome Asterisk tells are answered
//! only when they are done.

use ari_core::Response;

use super::{
    Timer, World,
    bridge::BridgeKey,
    channel::ChannelKey,
    control::Digits,
    events::MediaTarget,
    playback::PlaybackKey,
    recording::RecordingKey,
    reply::{Outcome, Reply, Ticket, done, no_content, refuse},
    stasis::Departure,
    time::TimerKey,
    variables::Change,
};

/// What a channel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Playing(PlaybackKey),
    Recording(RecordingKey),
    /// Sends digits until the timer fires.
    Digits(TimerKey),
    Other,
}

/// Something that a channel in Stasis is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Play(PlaybackKey),
    Record(RecordingKey),
    /// Enters a bridge; then those that are to enter after it.
    Join(BridgeKey, Vec<ChannelKey>),
    /// Leaves a bridge; then those that are to leave after it.
    Leave(BridgeKey, Vec<ChannelKey>),
    Answer,
    SetVariables(Vec<Change>),
    Digits(Digits),
    Ring,
    Progress,
    /// Sends frames of silence, or no longer.
    Silence(bool),
    /// Plays music to the far side, or no longer.
    Music(bool),
    Depart(Departure),
    Transfer(String),
    /// Calls the far side, for so many seconds.
    Dial(Option<i64>),
}

/// A command that waits, with the request that waits for its outcome.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) command: Command,
    ticket: Option<Ticket>,
}

/// What became of a command that was begun.
enum Begun {
    /// It is done; this is the answer of a request that waits for it.
    Done(Response),
    /// It takes time.
    Runs,
    /// It goes on with another channel, which answers.
    Passed,
}

impl World {
    /// Whether a channel has something to do, so that what is asked of it has to wait.
    pub(crate) fn is_busy(&self, key: ChannelKey) -> bool {
        self.channels
            .get(key)
            .is_some_and(|channel| channel.doing.is_some() || !channel.jobs.is_empty())
    }

    /// Whether a channel records, or is going to: no bridge takes it then.
    pub(crate) fn is_recording(&self, key: ChannelKey) -> bool {
        self.channels.get(key).is_some_and(|channel| {
            matches!(channel.doing, Some(Doing::Recording(_)))
                || channel
                    .jobs
                    .iter()
                    .any(|job| matches!(job.command, Command::Record(_)))
        })
    }

    /// Has a channel do something; the request is answered at once.
    pub(crate) fn order(&mut self, key: ChannelKey, command: Command) -> Outcome {
        self.enqueue(key, command, None);
        no_content()
    }

    /// Has a channel do something; the request is answered when it is done.
    #[allow(
        clippy::unnecessary_wraps,
        reason = "an operation returns it as its outcome"
    )]
    pub(crate) fn ask(&mut self, key: ChannelKey, command: Command) -> Outcome {
        let ticket = self.ticket();
        self.enqueue(key, command, Some(ticket));
        // What was done at once is answered at once.
        let place = self.replies.iter().rposition(|(known, _)| *known == ticket);
        match place.and_then(|place| self.replies.remove(place)) {
            Some((_, response)) => Ok(Reply::Now(response)),
            None => Ok(Reply::Later(ticket)),
        }
    }

    pub(crate) fn enqueue(&mut self, key: ChannelKey, command: Command, ticket: Option<Ticket>) {
        if let Some(channel) = self.channels.get_mut(key).filter(|known| !known.ending) {
            channel.jobs.push_back(Job { command, ticket });
            self.run_jobs(key);
        } else {
            self.come_too_late(key, Job { command, ticket });
        }
    }

    /// Does what is waiting, until something takes time.
    fn run_jobs(&mut self, key: ChannelKey) {
        loop {
            let Some(channel) = self
                .channels
                .get_mut(key)
                .filter(|channel| channel.doing.is_none() && !channel.ending)
            else {
                return;
            };
            let Some(Job { command, ticket }) = channel.jobs.pop_front() else {
                self.depart(key);
                return;
            };
            channel.doing = Some(Doing::Other);
            match self.begin(key, command, ticket) {
                Begun::Runs => return,
                Begun::Done(response) => self.reply(ticket, response),
                Begun::Passed => {}
            }
            if let Some(channel) = self.channels.get_mut(key) {
                channel.doing = None;
            }
        }
    }

    fn begin(&mut self, key: ChannelKey, command: Command, ticket: Option<Ticket>) -> Begun {
        match command {
            Command::Play(playback) => {
                self.open_early_media(key);
                self.set_doing(key, Doing::Playing(playback));
                return runs_if(self.run_items(playback));
            }
            Command::Record(recording) => {
                self.set_doing(key, Doing::Recording(recording));
                return runs_if(self.start_recording(recording));
            }
            Command::Digits(digits) => {
                let after = self.send_digits(key, &digits);
                if !after.is_zero() {
                    let timer = self.timers.set(self.now + after, Timer::Digits(key));
                    self.set_doing(key, Doing::Digits(timer));
                    return Begun::Runs;
                }
            }
            Command::Join(bridge, rest) => {
                self.join_bridge(key, bridge);
                return self.pass_on(rest, ticket, |rest| Command::Join(bridge, rest));
            }
            Command::Leave(bridge, rest) => {
                let inside = self.channels.get(key).and_then(|channel| channel.bridge);
                if inside == Some(bridge) {
                    self.leave_bridge(key, true);
                }
                return self.pass_on(rest, ticket, |rest| Command::Leave(bridge, rest));
            }
            Command::Answer => self.answer_channel(key),
            Command::SetVariables(changes) => {
                return Begun::Done(self.change_variables(key, changes));
            }
            Command::Ring => self.indicate_ringing(key),
            Command::Progress => self.indicate_progress(key),
            Command::Silence(starts) => self.send_silence(key, starts),
            Command::Music(starts) => self.send_music(key, starts),
            Command::Depart(departure) => {
                if let Some(channel) = self.channels.get_mut(key) {
                    departure.add_to(&mut channel.departure);
                }
            }
            Command::Transfer(target) => self.transfer_far_side(key, &target),
            Command::Dial(seconds) => self.dial_now(key, seconds),
        }
        Begun::Done(done())
    }

    /// Goes on with the next channel of a request that names several, one after the other.
    fn pass_on(
        &mut self,
        mut rest: Vec<ChannelKey>,
        ticket: Option<Ticket>,
        command: impl FnOnce(Vec<ChannelKey>) -> Command,
    ) -> Begun {
        if rest.is_empty() {
            return Begun::Done(done());
        }
        let next = rest.remove(0);
        let command = command(rest);
        if matches!(command, Command::Join(..)) && self.is_recording(next) {
            return Begun::Done(*self.currently_recording(next));
        }
        self.enqueue(next, command, ticket);
        Begun::Passed
    }

    fn set_doing(&mut self, key: ChannelKey, doing: Doing) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.doing = Some(doing);
        }
    }

    /// What becomes of a command whose channel ends before it comes to it.
    fn come_too_late(&mut self, key: ChannelKey, job: Job) {
        let Job { command, ticket } = job;
        let response = match command {
            Command::Play(playback) => {
                self.fail_unheard(playback);
                done()
            }
            Command::Record(recording) => {
                self.record_nothing(key, recording);
                done()
            }
            Command::Answer => *refuse(500, "Failed to answer channel"),
            Command::SetVariables(changes) => self.change_variables(key, changes),
            // The others of the same request are still there.
            Command::Join(bridge, rest) => {
                match self.pass_on(rest, ticket, |rest| Command::Join(bridge, rest)) {
                    Begun::Done(response) => response,
                    Begun::Runs | Begun::Passed => return,
                }
            }
            Command::Leave(bridge, rest) => {
                match self.pass_on(rest, ticket, |rest| Command::Leave(bridge, rest)) {
                    Begun::Done(response) => response,
                    Begun::Runs | Begun::Passed => return,
                }
            }
            _ => done(),
        };
        self.reply(ticket, response);
    }

    /// What a target was doing is over.
    pub(crate) fn media_over(&mut self, target: MediaTarget) {
        match target {
            MediaTarget::Channel(key) => {
                if let Some(channel) = self.channels.get_mut(key) {
                    channel.doing = None;
                    self.run_jobs(key);
                }
            }
            MediaTarget::Bridge(key) => self.next_announcement(key),
        }
    }

    /// A channel ends: what it does fails, and so does what it would have done.
    pub(crate) fn abort_jobs(&mut self, key: ChannelKey) {
        self.abort_media(MediaTarget::Channel(key));
        while let Some(job) = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.jobs.pop_front())
        {
            self.come_too_late(key, job);
        }
    }

    /// Ends what plays on, and what is recorded from, a target.
    pub(crate) fn abort_media(&mut self, target: MediaTarget) {
        let (playing, recorded) = match target {
            MediaTarget::Channel(key) => match self
                .channels
                .get_mut(key)
                .and_then(|channel| channel.doing.take())
            {
                Some(Doing::Playing(playback)) => (Some(playback), Vec::new()),
                Some(Doing::Recording(recording)) => (None, vec![recording]),
                Some(Doing::Digits(timer)) => {
                    self.timers.cancel(Some(timer));
                    return;
                }
                Some(Doing::Other) | None => return,
            },
            MediaTarget::Bridge(key) => match self.bridges.get(key) {
                Some(bridge) => (
                    bridge.playing(),
                    bridge.recorders.iter().map(|(key, _)| *key).collect(),
                ),
                None => return,
            },
        };
        if let Some(playback) = playing {
            self.fail_playback(playback);
        }
        for recording in recorded {
            self.finish_recording(recording, true);
        }
    }

    /// Makes a ticket for an answer that comes later.
    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn reply(&mut self, ticket: Option<Ticket>, response: Response) {
        if let Some(ticket) = ticket {
            self.replies.push_back((ticket, response));
        }
    }
}

fn runs_if(takes_time: bool) -> Begun {
    if takes_time {
        Begun::Runs
    } else {
        Begun::Done(done())
    }
}
