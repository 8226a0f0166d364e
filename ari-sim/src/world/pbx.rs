//! Running the dialplan on a channel.

use std::time::Duration;

use super::{
    Timer, World,
    channel::{ChannelKey, Run, State},
    dialplan::{Step, substitute},
    events::MediaTarget,
    sound::Source,
};

/// Priorities that may follow each other without time passing; more is a loop.
const MAX_STEPS: usize = 200;

/// How long a priority that waits lasts at least, a frame of audio, so that no dialplan stops the clock.
const SHORTEST: Duration = Duration::from_millis(20);

/// What follows a priority.
pub(crate) enum Next {
    /// The next one, at once.
    Now,
    /// The next one, after a while.
    After(Duration),
    /// The next one, after a while or when audio comes.
    AfterAudio(Duration),
    /// Nothing, until the channel ends.
    Never,
    /// Another priority of the same extension.
    At(i64),
    /// The channel ends, or another has it.
    Gone,
}

fn seconds(text: &str) -> Duration {
    let seconds = text.trim().parse::<f64>().unwrap_or(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

impl World {
    /// Sends a channel through the dialplan from this priority on.
    pub(crate) fn run_dialplan(
        &mut self,
        key: ChannelKey,
        context: &str,
        exten: &str,
        priority: i64,
    ) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.has_dialplan = true;
            channel.run = Run::Dialplan {
                timer: None,
                waits_for_audio: false,
            };
            context.clone_into(&mut channel.place.context);
            exten.clone_into(&mut channel.place.exten);
            channel.place.priority = priority;
        }
        self.run_steps(key);
    }

    /// The time of the current priority is over.
    pub(crate) fn continue_dialplan(&mut self, key: ChannelKey) {
        self.send_from_dialplan(key, Source::Nothing);
        self.broadcast_ends(key);
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let played = channel.place.app == "Playback";
        let refused = matches!(channel.place.app.as_str(), "Busy" | "Congestion");
        if refused {
            self.end_channel(key);
            return;
        }
        if played {
            let files = channel.place.data.clone();
            for name in files.split(['&', ',']) {
                self.callers_heard_to_end(MediaTarget::Channel(key), &format!("sound:{name}"));
            }
            self.write_variable(key, "PLAYBACKSTATUS", Some("SUCCESS"), false);
        }
        self.next_priority(key);
    }

    /// Goes on with the next priority.
    pub(crate) fn next_priority(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get_mut(key) {
            channel.place.priority += 1;
        }
        self.run_steps(key);
    }

    /// Audio comes from the other half: an `Answer()` that waits for it is over.
    pub(crate) fn audio_begins(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if let Run::Dialplan {
            timer,
            waits_for_audio: true,
        } = &mut channel.run
        {
            let timer = timer.take();
            self.timers.cancel(timer);
            self.continue_dialplan(key);
        }
    }

    fn run_steps(&mut self, key: ChannelKey) {
        for _ in 0..MAX_STEPS {
            let Some(channel) = self.channels.get(key) else {
                return;
            };
            if channel.ending || !matches!(channel.run, Run::Dialplan { .. }) {
                return;
            }
            let place = &channel.place;
            let Some(step) = self
                .options
                .dialplan
                .step(&place.context, &place.exten, place.priority)
                .cloned()
            else {
                break;
            };
            if !self.application_runs(&step.app) {
                break;
            }
            let data = substitute(&step.data, |name| {
                self.plain_variable(key, name).unwrap_or_default()
            });
            if let Some(channel) = self.channels.get_mut(key) {
                step.app.clone_into(&mut channel.place.app);
                data.clone_into(&mut channel.place.data);
                channel.run = Run::Dialplan {
                    timer: None,
                    waits_for_audio: false,
                };
            }
            self.tell_dialplan(key);
            let (after, waits_for_audio) = match self.run_step(key, &step, &data) {
                Next::Now => {
                    if let Some(channel) = self.channels.get_mut(key) {
                        channel.place.priority += 1;
                    }
                    continue;
                }
                Next::At(priority) => {
                    if let Some(channel) = self.channels.get_mut(key) {
                        channel.place.priority = priority;
                    }
                    continue;
                }
                Next::Never | Next::Gone => return,
                Next::After(after) => (after, false),
                Next::AfterAudio(after) => (after, true),
            };
            let at = self.now + after.max(SHORTEST);
            let timer = self.timers.set(at, Timer::Dialplan(key));
            match self.channels.get_mut(key) {
                Some(channel) if !channel.ending && matches!(channel.run, Run::Dialplan { .. }) => {
                    channel.run = Run::Dialplan {
                        timer: Some(timer),
                        waits_for_audio,
                    };
                }
                _ => self.timers.cancel(Some(timer)),
            }
            return;
        }
        // Past the last priority, at an application that is not there, or going in circles.
        self.end_channel(key);
    }

    fn run_step(&mut self, key: ChannelKey, step: &Step, data: &str) -> Next {
        match step.app.as_str() {
            "Answer" => self.run_answer(key),
            "Wait" => Next::After(seconds(data)),
            "Ringing" => {
                if let Some(peer) = self.peer_of(key) {
                    self.called_party_rings(peer);
                }
                Next::Now
            }
            "Set" => {
                if let Some((name, value)) = data.split_once('=') {
                    self.write_variable(key, name, Some(value), false);
                }
                Next::Now
            }
            "Playback" => {
                self.send_from_dialplan(key, Source::Voice);
                for name in data.split(['&', ',']) {
                    self.callers_hear(MediaTarget::Channel(key), &format!("sound:{name}"));
                }
                let total = data
                    .split(['&', ','])
                    .filter_map(|name| self.options.sounds.get(name))
                    .sum();
                Next::After(total)
            }
            "Echo" => {
                self.send_from_dialplan(key, Source::Echo);
                Next::Never
            }
            "Milliwatt" | "MusicOnHold" => {
                self.send_from_dialplan(key, Source::Voice);
                Next::Never
            }
            "Busy" => self.run_refusal(key, 17, data),
            "Congestion" => self.run_refusal(key, 34, data),
            "Hangup" => {
                if let Some(channel) = self.channels.get_mut(key) {
                    let asked = data.trim().parse().ok();
                    channel.cause = asked.unwrap_or(if channel.cause == 0 {
                        16
                    } else {
                        channel.cause
                    });
                }
                self.end_channel(key);
                Next::Gone
            }
            "Dial" => self.run_dial(key, data),
            "StasisBroadcast" => self.run_broadcast(key, data),
            "Stasis" => {
                let (app, args) = data.split_once(',').unwrap_or((data, ""));
                if self.enter_stasis(key, app, args) {
                    Next::Gone
                } else {
                    Next::Now
                }
            }
            "Goto" => self.run_goto(key, data),
            "SendDTMF" => self.run_send_dtmf(key, data),
            "UserEvent" => {
                self.tell_dialplan_event(key, data);
                Next::Now
            }
            "NoOp" | "Verbose" | "Progress" => Next::Now,
            _ => {
                self.end_channel(key);
                Next::Gone
            }
        }
    }

    fn run_answer(&mut self, key: ChannelKey) -> Next {
        if self
            .channels
            .get(key)
            .is_none_or(|channel| channel.state == State::Up)
        {
            return Next::Now;
        }
        self.answer_channel(key);
        let heard = self
            .channels
            .get(key)
            .is_some_and(|channel| channel.audible_since.is_some());
        if heard {
            Next::Now
        } else {
            Next::AfterAudio(self.options.answer_wait)
        }
    }

    /// `Goto([[context,]extension,]priority)`, where the priority is a number, `+n`, `-n` or a label. One that is
    /// nowhere ends the call.
    fn run_goto(&mut self, key: ChannelKey, data: &str) -> Next {
        let Some(channel) = self.channels.get_mut(key) else {
            return Next::Gone;
        };
        let place = &mut channel.place;
        let mut fields = data.rsplit(',').map(str::trim);
        let priority = fields.next().unwrap_or_default();
        for (part, field) in [&mut place.exten, &mut place.context]
            .into_iter()
            .zip(fields)
        {
            field.clone_into(part);
        }
        let to = match priority.parse::<i32>().map(i64::from) {
            Ok(steps) if priority.starts_with(['+', '-']) => Some(place.priority + steps),
            Ok(number) => Some(number),
            Err(_) => {
                let dialplan = &self.options.dialplan;
                dialplan.label(&place.context, &place.exten, priority)
            }
        };
        if let Some(to) = to {
            return Next::At(to);
        }
        self.end_channel(key);
        Next::Gone
    }

    fn run_refusal(&mut self, key: ChannelKey, cause: u16, data: &str) -> Next {
        let Some(channel) = self.channels.get_mut(key) else {
            return Next::Gone;
        };
        channel.cause = cause;
        let peer = channel.peer();
        if cause == 17 && channel.state != State::Up {
            channel.state = State::Busy;
            self.tell_channel_plain(key, "ChannelStateChange");
        }
        if let Some(peer) = peer {
            self.called_party_refuses(peer, cause);
        }
        if data.trim().is_empty() {
            Next::Never
        } else {
            Next::After(seconds(data))
        }
    }

    fn run_send_dtmf(&mut self, key: ChannelKey, data: &str) -> Next {
        let mut fields = data.split(',');
        let digits = fields.next().unwrap_or_default();
        let mut millis = |default| {
            fields
                .next()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(default)
        };
        let (between, duration) = (millis(250), millis(100));
        let total = self.stream_digits(key, digits, Duration::ZERO, between, duration);
        Next::After(total)
    }

    fn send_from_dialplan(&mut self, key: ChannelKey, source: Source) {
        self.change_sent(key, |sent| sent.dialplan = source);
    }

    /// The dialplan of a channel stops where it is.
    pub(crate) fn stop_dialplan(&mut self, key: ChannelKey) {
        if let Some(channel) = self.channels.get_mut(key)
            && let Run::Dialplan { timer, .. } = &mut channel.run
        {
            let timer = timer.take();
            self.timers.cancel(timer);
            self.send_from_dialplan(key, Source::Nothing);
        }
    }
}
