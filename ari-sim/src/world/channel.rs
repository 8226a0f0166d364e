//! Channels: what is known of each.

use std::{collections::VecDeque, sync::Arc};

use super::{
    application::AppKey,
    arena::Key,
    bridge::BridgeKey,
    caller::CallKey,
    json::Json,
    queue::{Doing, Job},
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
    /// Reads `"Name" <number>`, `Name <number>` or a number.
    pub(crate) fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.split_once('<') {
            Some((name, number)) => Self {
                name: name.trim().trim_matches('"').to_owned(),
                number: number.trim_end().trim_end_matches('>').to_owned(),
            },
            None if text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || b"+*#-.() ".contains(&byte)) =>
            {
                Self {
                    name: String::new(),
                    number: text.to_owned(),
                }
            }
            None => Self {
                name: text.trim_matches('"').to_owned(),
                number: String::new(),
            },
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.name.is_empty() && self.number.is_empty()
    }
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
    pub(crate) run: Run,
    pub(crate) has_dialplan: bool,
    /// Its dialplan runs inside of Stasis, whose status is set when both end.
    pub(crate) inside_stasis: bool,
    pub(crate) dialing: Option<Dialing>,
    pub(crate) bridge: Option<BridgeKey>,
    pub(crate) bridge_peer: String,
    pub(crate) watchers: Vec<AppKey>,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) doing: Option<Doing>,
    pub(crate) cause: u16,
    /// SIP status with which the other side ended the call.
    pub(crate) tech_cause: Option<u16>,
    pub(crate) ending: bool,
    /// Since when the far end sends audio.
    pub(crate) audible_since: Option<SimTime>,
    /// Since when somebody talks at the far end.
    pub(crate) talking_since: Option<SimTime>,
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
            run: Run::Nothing,
            has_dialplan: false,
            inside_stasis: false,
            dialing: None,
            bridge: None,
            bridge_peer: String::new(),
            watchers: Vec::new(),
            jobs: VecDeque::new(),
            doing: None,
            cause: 0,
            tech_cause: None,
            ending: false,
            audible_since: None,
            talking_since: None,
        }
    }

    pub(crate) const fn peer(&self) -> Option<ChannelKey> {
        match self.tech {
            Tech::Local { peer } => peer,
            Tech::Sip { .. } => None,
        }
    }

    pub(crate) const fn call(&self) -> Option<CallKey> {
        match self.tech {
            Tech::Sip { call, .. } => call,
            Tech::Local { .. } => None,
        }
    }

    pub(crate) const fn stasis(&self) -> Option<AppKey> {
        match self.run {
            Run::Stasis { app } => Some(app),
            _ => None,
        }
    }

    pub(crate) fn write(&self, json: &mut Json) {
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
        self.variables.write_reported("channelvars", json);
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
    }
}
