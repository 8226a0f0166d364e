//! Digits: those that channels send, and those that come in from their far sides.

use std::time::Duration;

use super::{
    Timer, World,
    channel::ChannelKey,
    control::Digits,
    events::MediaTarget,
    params::Params,
    queue::Command,
    reply::{Outcome, refuse},
    time::SimTime,
};

/// How long Asterisk is quiet before it sends the first digit.
const QUIET: u64 = 100;

impl World {
    pub(crate) fn send_dtmf(&mut self, params: Params<'_>) -> Outcome {
        let key = self.ready_channel(params)?;
        let text = params
            .given("dtmf")
            .ok_or_else(|| refuse(400, "DTMF is required"))?;
        let millis = |name, default: i64| {
            let given = params.number(name).unwrap_or(default);
            u32::try_from(given.max(0)).unwrap_or(u32::MAX)
        };
        let digits = Digits {
            text: text.into_owned(),
            before: millis("before", 0),
            between: millis("between", 100),
            duration: millis("duration", 100),
            after: millis("after", 0),
        };
        self.order(key, Command::Digits(digits))
    }

    pub(crate) fn send_digits(&mut self, key: ChannelKey, digits: &Digits) -> Duration {
        self.open_early_media(key);
        let before = Duration::from_millis(u64::from(digits.before));
        let sent = self.stream_digits(key, &digits.text, before, digits.between, digits.duration);
        sent + Duration::from_millis(u64::from(digits.after))
    }

    /// Sends digits out of a channel to the other half; says how long that takes.
    pub(crate) fn stream_digits(
        &mut self,
        key: ChannelKey,
        digits: &str,
        before: Duration,
        between: u32,
        duration: u32,
    ) -> Duration {
        let or_default = |millis: u32| if millis == 0 { 100 } else { millis };
        let (between, duration) = (or_default(between), or_default(duration));
        let millis = |millis: u32| Duration::from_millis(u64::from(millis));
        let mut after = before + Duration::from_millis(QUIET);
        let peer = self.peer_of(key);
        for digit in digits.chars() {
            match digit {
                'w' => after += Duration::from_millis(500),
                'W' => after += Duration::from_secs(1),
                // A flash is no digit.
                'f' | 'F' => after += millis(between),
                '0'..='9' | '*' | '#' | 'a'..='d' | 'A'..='D' => {
                    after += millis(duration);
                    if let Some(peer) = peer {
                        let at = self.now + after;
                        self.timers.set(at, Timer::Digit(peer, digit, duration));
                    }
                    after += millis(between);
                }
                // Asterisk logs that it cannot send it.
                _ => {}
            }
        }
        after
    }

    /// All digits are sent.
    pub(crate) fn digits_sent(&mut self, key: ChannelKey) {
        self.media_over(MediaTarget::Channel(key));
    }

    /// Lets the far side of a channel press a digit: the phone of a SIP channel, or the half of a Local
    /// channel that is named.
    ///
    /// It arrives when it is released, after `duration`. Says whether there is such a channel.
    pub fn press(&mut self, now: SimTime, channel: &str, digit: char, duration: Duration) -> bool {
        self.advance(now);
        let Some(key) = self.find_channel(channel) else {
            return false;
        };
        let receiver = self.peer_of(key).unwrap_or(key);
        let millis = u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        self.timers
            .set(now + duration, Timer::Digit(receiver, digit, millis));
        true
    }

    /// The channel with this id or this name.
    pub(crate) fn find_channel(&self, channel: &str) -> Option<ChannelKey> {
        let named = || {
            self.channels
                .iter()
                .find(|(_, known)| &*known.name == channel)
                .map(|(key, _)| key)
        };
        self.channel_ids.get(channel).copied().or_else(named)
    }

    /// A digit comes in on a channel.
    pub(crate) fn digit_arrives(&mut self, key: ChannelKey, digit: char, millis: u32) {
        let Some(channel) = self.channels.get(key) else {
            return;
        };
        let (bridge, absorbed) = (channel.bridge, channel.membership.absorbs_dtmf);
        if let Some(call) = channel.call() {
            let app = channel.stasis().and_then(|app| self.apps.get(app));
            let heard = app.is_some_and(|app| app.session.is_some());
            self.call_digit(call, digit, heard);
        }
        self.tell_digit(key, digit, millis);
        self.digit_ends_recording(MediaTarget::Channel(key), digit);
        let Some(bridge) = bridge else { return };
        self.digit_ends_recording(MediaTarget::Bridge(bridge), digit);
        if absorbed {
            return;
        }
        // A bridge passes digits on to the far sides of its other members.
        let members = self
            .bridges
            .get(bridge)
            .map(|bridge| bridge.members.clone())
            .unwrap_or_default();
        for member in members.into_iter().filter(|member| *member != key) {
            if let Some(far) = self.peer_of(member) {
                self.tell_digit(far, digit, millis);
            }
        }
    }

    fn tell_digit(&mut self, key: ChannelKey, digit: char, millis: u32) {
        self.tell_channel(key, "ChannelDtmfReceived", |world, json| {
            world.head(json, "ChannelDtmfReceived");
            json.text("digit", digit.encode_utf8(&mut [0; 4]))
                .plain("duration_ms", millis);
        });
    }
}
