//! What a channel does one after the other: plays, records, enters a bridge, answers.

use ari_core::Response;

use super::{
    World,
    bridge::BridgeKey,
    channel::ChannelKey,
    events::MediaTarget,
    playback::PlaybackKey,
    recording::RecordingKey,
    reply::{Ticket, done, refuse},
};

/// What a channel is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Playing(PlaybackKey),
    Recording(RecordingKey),
    Other,
}

/// One thing to be done by a channel when it comes to it.
#[derive(Debug)]
pub(crate) enum Job {
    Play(PlaybackKey),
    Record(RecordingKey),
    Join(BridgeKey, Ticket),
    Answer(Ticket),
}

impl World {
    /// Whether a channel has something to do, so that what is asked of it has to wait.
    pub(crate) fn is_busy(&self, key: ChannelKey) -> bool {
        self.channels
            .get(key)
            .is_some_and(|channel| channel.doing.is_some() || !channel.jobs.is_empty())
    }

    pub(crate) fn enqueue(&mut self, key: ChannelKey, job: Job) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.jobs.push_back(job);
            self.start_jobs(key);
        }
    }

    /// Does what is waiting, until something takes time.
    fn start_jobs(&mut self, key: ChannelKey) {
        loop {
            let Some(channel) = self
                .channels
                .get_mut(key)
                .filter(|channel| channel.doing.is_none() && !channel.ending)
            else {
                return;
            };
            let Some(job) = channel.jobs.pop_front() else {
                return;
            };
            channel.doing = Some(match job {
                Job::Play(playback) => Doing::Playing(playback),
                Job::Record(recording) => Doing::Recording(recording),
                Job::Join(..) | Job::Answer(_) => Doing::Other,
            });
            let runs = match job {
                Job::Play(playback) => self.run_items(playback),
                Job::Record(recording) => self.start_recording(recording),
                Job::Join(bridge, ticket) => {
                    self.join_bridge(key, bridge);
                    self.reply(ticket, done());
                    false
                }
                Job::Answer(ticket) => {
                    self.answer_channel(key);
                    self.reply(ticket, done());
                    false
                }
            };
            if runs {
                return;
            }
            if let Some(channel) = self.channels.get_mut(key) {
                channel.doing = None;
            }
        }
    }

    /// What a target was doing is over.
    pub(crate) fn media_over(&mut self, target: MediaTarget) {
        match target {
            MediaTarget::Channel(key) => {
                if let Some(channel) = self.channels.get_mut(key) {
                    channel.doing = None;
                    self.start_jobs(key);
                }
            }
            MediaTarget::Bridge(key) => self.next_announcement(key),
        }
    }

    /// A channel ends: what it does fails, what it would have done does not happen.
    pub(crate) fn abort_jobs(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let jobs = std::mem::take(&mut channel.jobs);
        self.abort_media(MediaTarget::Channel(key));
        for job in jobs {
            match job {
                Job::Play(playback) => self.drop_playback(playback),
                Job::Record(recording) => self.drop_recording(recording),
                Job::Join(_, ticket) => self.reply(ticket, *refuse(400, "Channel not found")),
                Job::Answer(ticket) => self.reply(ticket, *refuse(404, "Channel not found")),
            }
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

    /// Makes a ticket for an answer that comes when `count` things are done.
    pub(crate) fn ticket(&mut self, count: usize) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.waiting.insert(ticket, count);
        ticket
    }

    /// One of the things that a ticket waits for is done, or was refused, which answers at once.
    fn reply(&mut self, ticket: Ticket, response: Response) {
        let Some(count) = self.waiting.get_mut(&ticket) else {
            return;
        };
        *count -= 1;
        if *count == 0 || !response.is_success() {
            self.waiting.remove(&ticket);
            self.replies.push_back((ticket, response));
        }
    }
}
