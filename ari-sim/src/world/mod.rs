//! The world: an Asterisk's state, without sockets, clock or tasks.
//!
//! A [`World`] is driven from outside: [`request`](World::request) does an operation,
//! [`advance`](World::advance) lets time pass until a point in time, [`poll_event`](World::poll_event)
//! and [`poll_reply`](World::poll_reply) fetch what came of it, and
//! [`next_deadline`](World::next_deadline) says when it wants to be advanced next. The same calls with
//! the same times give the same events, byte for byte.

mod application;
mod arena;
mod bridge;
mod bridge_ops;
mod broadcast;
mod call_record;
mod caller;
mod channel;
mod control;
mod detect;
mod devices;
mod dialed;
mod dialing;
mod dialplan;
mod directory;
mod dispatch;
mod dtmf;
mod dynamic;
mod endpoints;
mod events;
mod external;
mod formats;
mod handover;
mod hangup;
mod hearing;
mod json;
mod logging;
mod members;
mod modules;
mod options;
mod originate;
mod outbound;
mod params;
mod pattern;
mod pbx;
mod phone;
mod playback;
mod queue;
mod recording;
mod registration;
mod reply;
mod restart;
mod rtp;
mod script;
mod snoop;
mod sound;
mod sounds;
mod speech;
mod stasis;
mod stored;
mod subscriptions;
mod system;
mod time;
mod transfer;
mod user_event;
mod variables;
mod video;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use ari_core::{Request, Response};

pub use self::{
    application::SessionId,
    call_record::{CallRecord, CallTotals, HangupParty, Heard},
    dialplan::{Dialplan, DialplanError},
    events::Delivery,
    options::{Outcome as PhoneOutcome, Phone, WorldOptions},
    outbound::{PerCallAction, PerCallId},
    phone::CallId,
    reply::{Reply, Ticket},
    script::{Act, ActError, CallScript, Cue, Step},
    time::SimTime,
};

pub(crate) use self::hangup::cause_text;
use self::{
    application::{AppKey, Application},
    arena::Arena,
    bridge::{Bridge, BridgeKey},
    caller::{CallTimer, Calls},
    channel::{Channel, ChannelKey},
    events::Outbox,
    outbound::Outbound,
    playback::{Playback, PlaybackKey},
    recording::{Recording, RecordingKey},
    stored::Stored,
    system::System,
    time::{Stamp, Timers},
};

/// What happens at a point in time.
#[derive(Debug)]
pub(crate) enum Timer {
    /// The dialplan of a channel goes on.
    Dialplan(ChannelKey),
    /// Nobody answered in time.
    DialTimeout(ChannelKey),
    /// The phone called does its next step.
    Phone(ChannelKey),
    /// A playback's item is over.
    Playback(PlaybackKey),
    /// A recording is over.
    Recording(RecordingKey),
    /// A digit arrives at a channel: digit and how long it was pressed.
    Digit(ChannelKey, char, u32),
    /// All digits of a channel are sent.
    Digits(ChannelKey),
    /// The far side of a channel was silent for a while.
    Silence(ChannelKey),
    /// A Local channel is taken out of the way.
    Optimise(ChannelKey),
    /// A tone lasted as long as one has to that is detected.
    Tone(ChannelKey),
    /// A scripted caller does something.
    Call(CallTimer),
    /// A call enters its application, whose socket is open.
    PerCallBegins(SessionId),
    /// The socket of a call is closed.
    PerCallEnds(SessionId),
}

/// A simulated Asterisk.
#[derive(Debug)]
pub struct World {
    options: WorldOptions,
    now: SimTime,
    stamp: Stamp,
    timers: Timers<Timer>,
    outbox: Outbox,
    outbound: Outbound,
    /// Where the next event is written.
    scratch: String,
    replies: VecDeque<(Ticket, Response)>,
    tickets: u64,
    sessions: u64,
    apps: Arena<Application>,
    app_names: HashMap<Arc<str>, AppKey>,
    all_channel_apps: Vec<AppKey>,
    all_bridge_apps: Vec<AppKey>,
    endpoint_apps: Vec<AppKey>,
    device_apps: Vec<AppKey>,
    channels: Arena<Channel>,
    channel_ids: HashMap<Arc<str>, ChannelKey>,
    bridges: Arena<Bridge>,
    bridge_ids: HashMap<Arc<str>, BridgeKey>,
    playbacks: Arena<Playback>,
    playback_ids: HashMap<Arc<str>, PlaybackKey>,
    recordings: Arena<Recording>,
    recording_names: HashMap<Arc<str>, RecordingKey>,
    stored: BTreeMap<String, Stored>,
    system: System,
    /// Global variables.
    globals: BTreeMap<String, String>,
    calls: Calls,
    /// Counts what gets an id of its own.
    serial: u64,
    /// Counts channels that Asterisk names by a number.
    unique: u64,
    local_names: u32,
    sip_names: u32,
    snoop_names: u32,
}

impl World {
    /// Makes a world in which nothing has happened yet.
    pub fn new(options: WorldOptions) -> Self {
        let stamp = Stamp::new(options.beginning);
        let system = System::new(stamp.text());
        Self {
            now: SimTime::START,
            stamp,
            timers: Timers::default(),
            outbox: Outbox::new(),
            outbound: Outbound::default(),
            scratch: String::new(),
            replies: VecDeque::new(),
            tickets: 0,
            sessions: 0,
            apps: Arena::default(),
            app_names: HashMap::new(),
            all_channel_apps: Vec::new(),
            all_bridge_apps: Vec::new(),
            endpoint_apps: Vec::new(),
            device_apps: Vec::new(),
            channels: Arena::default(),
            channel_ids: HashMap::new(),
            bridges: Arena::default(),
            bridge_ids: HashMap::new(),
            playbacks: Arena::default(),
            playback_ids: HashMap::new(),
            recordings: Arena::default(),
            recording_names: HashMap::new(),
            stored: BTreeMap::new(),
            system,
            globals: options.globals.clone(),
            calls: Calls::new(options.kept_calls),
            serial: 0,
            unique: 0,
            local_names: 0,
            sip_names: 0,
            snoop_names: 0,
            options,
        }
    }

    /// How it was set up.
    pub const fn options(&self) -> &WorldOptions {
        &self.options
    }

    /// The entity id of this Asterisk.
    pub fn asterisk_id(&self) -> &str {
        &self.options.asterisk_id
    }

    /// The version that it gives itself.
    pub fn version(&self) -> &str {
        &self.options.version
    }

    /// The time up to which it has been advanced.
    pub const fn now(&self) -> SimTime {
        self.now
    }

    /// The present time, as events carry it.
    pub fn timestamp(&self) -> &str {
        self.stamp.text()
    }

    /// Lets time pass up to `now`, doing all that is due by then.
    pub fn advance(&mut self, now: SimTime) {
        while let Some((at, timer)) = self.timers.pop_due(now) {
            self.move_to(at);
            self.fire(timer);
        }
        self.move_to(now);
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<SimTime> {
        self.timers.next()
    }

    /// Does an operation at `now`.
    pub fn request(&mut self, now: SimTime, request: &Request) -> Reply {
        self.advance(now);
        self.dispatch(request)
            .unwrap_or_else(|refused| Reply::Now(*refused))
    }

    /// The next answer of a request that had to wait.
    pub fn poll_reply(&mut self) -> Option<(Ticket, Response)> {
        self.replies.pop_front()
    }

    /// How many channels there are.
    pub fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// How many bridges there are.
    pub fn bridge_count(&self) -> usize {
        self.bridges.len()
    }

    /// How many playbacks there are, those that wait for their turn included.
    pub fn playback_count(&self) -> usize {
        self.playbacks.len()
    }

    /// How many recordings are being made, those that wait for their turn included.
    pub fn recording_count(&self) -> usize {
        self.recordings.len()
    }

    fn move_to(&mut self, now: SimTime) {
        if now > self.now {
            self.now = now;
            self.stamp.move_to(now);
        }
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Dialplan(channel) => self.continue_dialplan(channel),
            Timer::DialTimeout(channel) => self.dial_timed_out(channel),
            Timer::Phone(channel) => self.phone_acts(channel),
            Timer::Playback(playback) => self.item_over(playback),
            Timer::Recording(recording) => self.recording_over(recording),
            Timer::Digit(channel, digit, millis) => self.digit_arrives(channel, digit, millis),
            Timer::Digits(channel) => self.digits_sent(channel),
            Timer::Silence(channel) => self.talk_over(channel),
            Timer::Optimise(channel) => self.optimise(channel),
            Timer::Tone(channel) => self.tone_detected(channel),
            Timer::Call(timer) => self.call_timer(timer),
            Timer::PerCallBegins(session) => self.begin_call(session),
            Timer::PerCallEnds(session) => self.close_per_call(session),
        }
    }

    fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// An id of the sort that Asterisk gives channels: the time and a number.
    fn unique_id(&mut self) -> String {
        self.unique += 1;
        format!("{}.{}", self.stamp.seconds(), self.unique)
    }

    /// An id of the sort that Asterisk gives bridges and playbacks, made from a number so that it comes
    /// out the same each time.
    fn generated_id(&mut self) -> String {
        let mut state = self.next_serial().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut word = || {
            state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            state ^= state >> 31;
            state
        };
        let (high, low) = (word(), word());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | ((low >> 48) & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }
}
