//! What Asterisk detects in the audio that comes in: talk and tones.

use std::time::Duration;

use super::{
    Timer, World,
    channel::ChannelKey,
    sound::Sound,
    time::{SimTime, TimerKey},
};

/// How long somebody is silent who does not talk any more, unless `TALK_DETECT(set)` says otherwise.
const SILENCE: i32 = 2_500;

/// How long a tone lasts that is detected, unless `TONE_DETECT` says otherwise.
const TONE: i32 = 500;

/// `TALK_DETECT` of a channel.
#[derive(Debug)]
pub(crate) struct TalkDetection {
    silence: Duration,
    talks_since: Option<SimTime>,
    /// How much silence came since the last word, and since when more of it comes.
    silent_for: Duration,
    silent_since: Option<SimTime>,
    timer: Option<TimerKey>,
}

impl TalkDetection {
    pub(crate) fn into_timer(self) -> Option<TimerKey> {
        self.timer
    }
}

/// `TONE_DETECT` of a channel, as far as incoming tones are concerned.
#[derive(Debug)]
pub(crate) struct ToneDetection {
    hertz: u32,
    duration: Duration,
    hits_required: u32,
    hits: u32,
    ends: bool,
    incoming: bool,
}

/// A number as `sscanf("%d")` reads it.
pub(crate) fn scanned(text: &str) -> Option<i32> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return None;
    }
    let end = text.len() - digits.len() + length;
    let number = text[..end].parse::<i64>().unwrap_or(i64::MAX);
    Some(i32::try_from(number).unwrap_or(if number < 0 { i32::MIN } else { i32::MAX }))
}

fn millis(millis: i32) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or(0))
}

impl World {
    /// `TALK_DETECT(set)` and `TALK_DETECT(remove)`; what Asterisk cannot read changes nothing.
    pub(crate) fn set_talk_detection(&mut self, key: ChannelKey, action: &str, value: &str) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        if action.eq_ignore_ascii_case("remove") {
            let timer = channel.talk.take().and_then(|talk| talk.timer);
            self.timers.cancel(timer);
            return;
        }
        if !action.eq_ignore_ascii_case("set") {
            return;
        }
        let mut fields = value.split(',').map(str::trim);
        let number = |text: Option<&str>, default| match text.filter(|text| !text.is_empty()) {
            Some(text) => scanned(text).filter(|number| *number > 0),
            None => Some(default),
        };
        let (Some(silence), Some(_)) = (number(fields.next(), SILENCE), number(fields.next(), 256))
        else {
            return;
        };
        match &mut channel.talk {
            Some(talk) => talk.silence = millis(silence),
            None => {
                channel.talk = Some(Box::new(TalkDetection {
                    silence: millis(silence),
                    talks_since: None,
                    silent_for: Duration::ZERO,
                    silent_since: None,
                    timer: None,
                }));
            }
        }
        self.detect_talk(key);
    }

    /// Looks at what comes in: who begins to talk is told at once, who falls silent after a while.
    pub(crate) fn detect_talk(&mut self, key: ChannelKey) {
        let now = self.now;
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let hears = channel.hears;
        let Some(talk) = &mut channel.talk else {
            return;
        };
        let old = talk.timer.take();
        self.timers.cancel(old);
        if let Some(since) = talk.silent_since.take() {
            talk.silent_for += now.since(since);
        }
        match hears {
            // Without frames nothing is measured.
            Sound::Nothing => {}
            Sound::Silence => {
                talk.silent_since = Some(now);
                if talk.talks_since.is_some() {
                    let left = talk.silence.saturating_sub(talk.silent_for);
                    talk.timer = Some(self.timers.set(now + left, Timer::Silence(key)));
                }
            }
            Sound::Voice => {
                talk.silent_for = Duration::ZERO;
                if talk.talks_since.is_none() {
                    talk.talks_since = Some(now);
                    self.tell_channel_plain(key, "ChannelTalkingStarted");
                }
            }
        }
    }

    /// The far side of a channel was silent for so long that it does not talk any more.
    pub(crate) fn talk_over(&mut self, key: ChannelKey) {
        let now = self.now;
        let Some(talk) = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.talk.as_mut())
        else {
            return;
        };
        talk.timer = None;
        let Some(since) = talk.talks_since.take() else {
            return;
        };
        let duration = now.since(since).saturating_sub(talk.silence).as_millis();
        self.tell_channel(key, "ChannelTalkingFinished", |world, json| {
            json.plain("duration", duration);
            world.head(json, "ChannelTalkingFinished");
        });
    }

    /// `TONE_DETECT(frequency,duration,options)`; what Asterisk cannot read changes nothing.
    pub(crate) fn set_tone_detection(&mut self, key: ChannelKey, arguments: &str) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let mut fields = arguments.splitn(3, ',').map(str::trim);
        let (frequency, duration, options) = (
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
            fields.next().unwrap_or_default(),
        );
        if has_option(options, 'x') {
            channel.tone = None;
            return;
        }
        let Some(hertz) = scanned(frequency).and_then(|hertz| u32::try_from(hertz).ok()) else {
            return;
        };
        let duration = if duration.is_empty() {
            Some(TONE)
        } else {
            scanned(duration)
        };
        let Some(duration) = duration.filter(|duration| *duration > 0) else {
            return;
        };
        let hits = option_argument(options, 'n')
            .map_or(Some(1), |text| scanned(text).filter(|hits| *hits > 0));
        let Some(hits_required) = hits.and_then(|hits| u32::try_from(hits).ok()) else {
            return;
        };
        channel.tone = Some(Box::new(ToneDetection {
            hertz,
            duration: millis(duration),
            hits_required,
            hits: 0,
            ends: has_option(options, 'e'),
            incoming: has_option(options, 'r') || !has_option(options, 't'),
        }));
    }

    /// How often `TONE_DETECT` found its tone among what came in.
    pub(crate) fn tone_hits(&self, key: ChannelKey, direction: &str) -> Option<String> {
        let tone = self.channels.get(key)?.tone.as_ref()?;
        match direction {
            direction if direction.contains('t') => Some("0".to_owned()),
            direction if direction.contains('r') => Some(tone.hits.to_string()),
            _ => Some(String::new()),
        }
    }

    /// Lets a tone come in from the far side of a channel. Says whether there is such a channel.
    pub fn send_tone(
        &mut self,
        now: SimTime,
        channel: &str,
        hertz: u32,
        duration: Duration,
    ) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        let tone = self
            .channels
            .get_mut(key)
            .and_then(|channel| channel.tone.as_mut());
        let Some(tone) = tone else { return true };
        let done = tone.ends && tone.hits >= tone.hits_required;
        if done || !tone.incoming || tone.hertz != hertz || duration < tone.duration {
            return true;
        }
        tone.hits = tone.hits.saturating_add(1);
        if tone.hits >= tone.hits_required {
            let at = now + tone.duration;
            self.timers.set(at, Timer::Tone(key));
        }
        true
    }

    /// A tone lasted long enough.
    pub(crate) fn tone_detected(&mut self, key: ChannelKey) {
        self.tell_channel_plain(key, "ChannelToneDetected");
    }
}

/// Whether a letter is among options such as `rn(2)`, outside of parentheses.
fn has_option(options: &str, letter: char) -> bool {
    let mut depth = 0_u32;
    options.chars().any(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && character == letter
    })
}

/// What stands in parentheses behind an option.
fn option_argument(options: &str, letter: char) -> Option<&str> {
    let (_, rest) = options.split_once(letter)?;
    rest.strip_prefix('(')?.split(')').next()
}
