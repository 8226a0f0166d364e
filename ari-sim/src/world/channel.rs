//! Channels: what is known of each.

use std::{collections::VecDeque, sync::Arc};

use super::{
    application::AppKey,
    arena::Key,
    bridge::{BridgeKey, Membership},
    broadcast::Broadcast,
    caller::CallKey,
    detect::{TalkDetection, ToneDetection},
    dialed::Dials,
    external::MediaTech,
    json::Json,
    originate::Endpoint,
    queue::{Doing, Job},
    snoop::SnoopTech,
    sound::{Sent, Sound},
    stasis::Departure,
    time::{SimTime, TimerKey},
    variables::Variables,
};

pub(crate) type ChannelKey = Key<Channel>;

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Down,
    Ring,
    Ringing,
    Up,
    Busy,
}

impl State {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Down => "Down",
            Self::Ring => "Ring",
            Self::Ringing => "Ringing",
            Self::Up => "Up",
            Self::Busy => "Busy",
        }
    }
}

/// A name and a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Party {
    pub(crate) name: String,
    pub(crate) number: String,
}

impl Party {
    /// Reads `"Name" <number>`, `Name <number>`, a number or a name.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        let inner = unquoted(text);
        if let Some((name, number)) = inner.rsplit_once('<') {
            let number = number.rsplit_once('>').map_or(number, |(number, _)| number);
            return Self {
                name: unescaped(unquoted(name.trim())),
                number: shrunk(number, is_shrinkable(number)),
            };
        }
        let number = shrunk(inner, true);
        if inner.len() == text.len() && is_number(&number) {
            return Self {
                name: String::new(),
                number,
            };
        }
        Self {
            name: unescaped(inner),
            number: String::new(),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.name.is_empty() && self.number.is_empty()
    }
}

/// Takes one pair of quotes away.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.extend(characters.next()),
            other => out.push(other),
        }
    }
    out
}

fn is_number(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"*#+".contains(&byte))
}

fn is_shrinkable(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || b"*#+()-.".contains(&byte))
}

/// Takes out of a number what is there only to be read.
fn shrunk(text: &str, really: bool) -> String {
    if !really {
        return text.to_owned();
    }
    let last = text.chars().count();
    let mut depth = 0_i32;
    let mut out = String::with_capacity(text.len());
    for (place, character) in (1..).zip(text.chars()) {
        match character {
            '[' => depth += 1,
            ']' => depth -= 1,
            '-' if depth == 0 => continue,
            '.' if place < last => continue,
            '(' | ')' | ' ' => continue,
            _ => {}
        }
        out.push(character);
    }
    out
}

/// Where in the dialplan a channel is, and what it runs there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) context: String,
    pub(crate) exten: String,
    pub(crate) priority: i64,
    pub(crate) app: String,
    pub(crate) data: String,
}

/// The technology of a channel, with what is on its far side.
#[derive(Clone, Debug)]
pub(crate) enum Tech {
    /// One half of a Local channel.
    Local { peer: Option<ChannelKey> },
    /// A SIP phone.
    Sip {
        endpoint: String,
        call: Option<CallKey>,
    },
    /// Listens to another channel, and speaks into it.
    Snoop(SnoopTech),
    /// Exchanges media with a program outside.
    Media(MediaTech),
}

/// What runs a channel.
#[derive(Clone, Debug)]
pub(crate) enum Run {
    /// Nothing yet.
    Nothing,
    /// A Stasis application.
    Stasis { app: AppKey },
    /// The dialplan, which waits for the timer.
    Dialplan {
        timer: Option<TimerKey>,
        waits_for_audio: bool,
    },
}

/// What a channel does that is answered.
#[derive(Clone, Debug)]
pub(crate) enum Then {
    /// Enters an application.
    Stasis { app: String, args: String },
    /// Runs the dialplan.
    Dialplan {
        context: String,
        exten: String,
        priority: i64,
    },
    /// Stays where it is: it was made by `POST /channels/create`.
    Stay,
    /// Enters a bridge with the channel whose `Dial()` called it.
    Bridge { caller: ChannelKey },
}

/// A call that was not answered yet, from the side of the channel that is called.
#[derive(Clone, Debug)]
pub(crate) struct Dialing {
    pub(crate) dialstring: String,
    pub(crate) then: Then,
    pub(crate) timeout: Option<TimerKey>,
    /// What the phone called does next.
    pub(crate) phone: Option<TimerKey>,
}

/// Who does the transfers that the phone of a channel asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Transfers {
    #[default]
    ByAsterisk,
    /// The application does (`PJSIP_TRANSFER_HANDLING()` is `ari-only`).
    ByApplication,
    /// The application does, and is asked for one to this place.
    Asked(String),
}

#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: Arc<str>,
    pub(crate) name: Arc<str>,
    pub(crate) serial: u64,
    pub(crate) tech: Tech,
    pub(crate) state: State,
    pub(crate) protocol_id: String,
    pub(crate) caller: Party,
    pub(crate) connected: Party,
    pub(crate) account: String,
    pub(crate) language: Arc<str>,
    pub(crate) place: Place,
    /// Application that it shows when no other runs.
    pub(crate) home: (&'static str, &'static str),
    pub(crate) created: Arc<str>,
    pub(crate) variables: Variables,
    /// Variables and functions that its events show.
    pub(crate) reported: Vec<String>,
    pub(crate) run: Run,
    pub(crate) has_dialplan: bool,
    /// Its dialplan runs inside of Stasis, whose status is set when both end.
    pub(crate) inside_stasis: bool,
    pub(crate) dialing: Option<Dialing>,
    pub(crate) bridge: Option<BridgeKey>,
    pub(crate) bridge_peer: String,
    /// What was asked when it was added to a bridge.
    pub(crate) membership: Membership,
    /// The call that its dialplan makes.
    pub(crate) outgoing: Option<Box<Dials>>,
    /// The channel whose `Dial()` called it.
    pub(crate) dialed_by: Option<ChannelKey>,
    pub(crate) watchers: Vec<AppKey>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) doing: Option<Doing>,
    pub(crate) cause: u16,
    /// SIP status with which the other side ended the call.
    pub(crate) tech_cause: Option<u16>,
    pub(crate) ending: bool,
    /// Since when the far end sends audio.
    pub(crate) audible_since: Option<SimTime>,
    /// What comes in from the far end, and what Asterisk sends there.
    pub(crate) hears: Sound,
    pub(crate) sent: Sent,
    /// What it calls, where it was created to be dialed later, with the dial string.
    pub(crate) dials: Option<Box<(Endpoint, String)>>,
    /// Where it goes when it did what it was asked.
    pub(crate) departure: Option<Departure>,
    /// Channels that snoop on it.
    pub(crate) snoops: Vec<ChannelKey>,
    /// Since when media is negotiated, where that was before the answer.
    pub(crate) early_media: Option<SimTime>,
    pub(crate) talk: Option<Box<TalkDetection>>,
    pub(crate) tone: Option<Box<ToneDetection>>,
    pub(crate) broadcast: Option<Box<Broadcast>>,
    pub(crate) transfers: Transfers,
}

impl Channel {
    pub(crate) fn new(
        id: Arc<str>,
        name: String,
        serial: u64,
        tech: Tech,
        state: State,
        created: Arc<str>,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            serial,
            tech,
            state,
            protocol_id: String::new(),
            caller: Party::default(),
            connected: Party::default(),
            account: String::new(),
            language: Arc::from("en"),
            place: Place {
                context: "default".to_owned(),
                exten: "s".to_owned(),
                priority: 1,
                app: String::new(),
                data: String::new(),
            },
            home: ("", ""),
            created,
            variables: Variables::default(),
            reported: Vec::new(),
            run: Run::Nothing,
            has_dialplan: false,
            inside_stasis: false,
            dialing: None,
            bridge: None,
            bridge_peer: String::new(),
            membership: Membership::default(),
            outgoing: None,
            dialed_by: None,
            watchers: Vec::new(),
            jobs: VecDeque::new(),
            doing: None,
            cause: 0,
            tech_cause: None,
            ending: false,
            audible_since: None,
            hears: Sound::Nothing,
            sent: Sent::default(),
            dials: None,
            departure: None,
            snoops: Vec::new(),
            early_media: None,
            talk: None,
            tone: None,
            broadcast: None,
            transfers: Transfers::ByAsterisk,
        }
    }

    pub(crate) const fn peer(&self) -> Option<ChannelKey> {
        match self.tech {
            Tech::Local { peer } => peer,
            _ => None,
        }
    }

    pub(crate) const fn call(&self) -> Option<CallKey> {
        match self.tech {
            Tech::Sip { call, .. } => call,
            _ => None,
        }
    }

    /// The name of its technology.
    pub(crate) fn tech_name(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    pub(crate) const fn stasis(&self) -> Option<AppKey> {
        match self.run {
            Run::Stasis { app } => Some(app),
            _ => None,
        }
    }

    pub(crate) fn write(&self, json: &mut Json) {
        self.write_plain(json);
        self.write_reported(json);
    }

    /// Writes all but its variables.
    pub(crate) fn write_plain(&self, json: &mut Json) {
        json.text("id", &self.id)
            .text("name", &self.name)
            .text("state", self.state.as_str());
        json.text("protocol_id", &self.protocol_id);
        json.object("caller", |json| {
            json.text("name", &self.caller.name)
                .text("number", &self.caller.number);
        });
        json.object("connected", |json| {
            json.text("name", &self.connected.name)
                .text("number", &self.connected.number);
        });
        json.text("accountcode", &self.account);
        json.object("dialplan", |json| {
            json.text("context", &self.place.context)
                .text("exten", &self.place.exten);
            json.plain("priority", self.place.priority);
            json.text("app_name", &self.place.app)
                .text("app_data", &self.place.data);
        });
        json.text("creationtime", &self.created)
            .text("language", &self.language);
    }
}

#[cfg(test)]
mod tests {
    use super::Party;

    #[test]
    fn caller_ids_are_read_as_asterisk_reads_them() {
        let party = |name: &str, number: &str| Party {
            name: name.to_owned(),
            number: number.to_owned(),
        };
        assert_eq!(Party::parse(r#""Ann" <5551>"#), party("Ann", "5551"));
        assert_eq!(Party::parse("Ann Lee <5551>"), party("Ann Lee", "5551"));
        assert_eq!(Party::parse("5551"), party("", "5551"));
        assert_eq!(Party::parse("Ann"), party("Ann", ""));
        assert_eq!(Party::parse("(555) 12-34"), party("", "5551234"));
        assert_eq!(Party::parse("Ann <(555)12-34>"), party("Ann", "5551234"));
        assert_eq!(Party::parse("Ann <bob@host>"), party("Ann", "bob@host"));
        assert_eq!(Party::parse(r#""5551""#), party("5551", ""));
        assert_eq!(Party::parse(r#""A \"B\" C" <1>"#), party(r#"A "B" C"#, "1"));
        assert_eq!(Party::parse("Ann <5551"), party("Ann", "5551"));
    }
}
