//! External media: channels that exchange media with a program outside of Asterisk.
//!
//! No media flows here; the channels, their names, variables and events are those of Asterisk.

use std::sync::Arc;

use super::{
    World,
    channel::{Channel, ChannelKey, State, Tech},
    formats::format_named,
    originate::{Origination, check_ids},
    params::Params,
    reply::{Outcome, Refused, Reply, allocation_failed, refuse},
    time::SimTime,
};

/// First port that Asterisk uses for RTP.
const FIRST_PORT: u64 = 10_000;

/// How many even ports it has for RTP.
const PORTS: u64 = 5_000;

/// Where the media of a channel comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MediaTech {
    /// RTP to and from an address.
    Rtp,
    /// `AudioSocket` to a server.
    AudioSocket,
    /// A WebSocket that Asterisk opens, or waits for.
    WebSocket { connection: String, answers: bool },
}

impl MediaTech {
    pub(crate) const fn is_rtp(&self) -> bool {
        matches!(self, Self::Rtp)
    }
}

/// What an endpoint of external media names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MediaEndpoint {
    tech: &'static str,
    destination: String,
    /// What stands behind the destination: options, or the id of an `AudioSocket`.
    rest: String,
}

impl MediaEndpoint {
    /// Reads `UnicastRTP/host:port/c(ulaw)`, `AudioSocket/host:port/uuid` or `WebSocket/connection/options`.
    pub(crate) fn parse(tech: &str, resource: &str) -> Option<Self> {
        let tech = ["UnicastRTP", "AudioSocket", "WebSocket"]
            .into_iter()
            .find(|known| known.eq_ignore_ascii_case(tech))?;
        let (destination, rest) = resource.split_once('/').unwrap_or((resource, ""));
        Some(Self {
            tech,
            destination: destination.to_owned(),
            rest: rest.to_owned(),
        })
    }

    fn codec(&self) -> Option<&str> {
        self.rest.split_once("c(")?.1.split(')').next()
    }

    /// Whether Asterisk can make a channel of it.
    fn is_valid(&self) -> bool {
        let codec = self.codec();
        if codec.is_some_and(|codec| format_named(codec).is_none()) {
            return false;
        }
        match self.tech {
            "UnicastRTP" => has_port(&self.destination),
            "AudioSocket" => {
                let id = self.rest.split('/').next().unwrap_or_default();
                has_port(&self.destination) && is_uuid(id)
            }
            _ => !self.destination.is_empty(),
        }
    }
}

fn has_port(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && !port.is_empty() && port.parse::<u16>().is_ok()
    })
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(place, character)| {
            if matches!(place, 8 | 13 | 18 | 23) {
                character == '-'
            } else {
                character.is_ascii_hexdigit()
            }
        })
}

/// Bytes of 20 ms of a codec, as Asterisk tells them to who sends media over a WebSocket.
fn frame_size(codec: &str) -> u32 {
    match codec {
        "slin" | "slin8" => 320,
        "slin12" => 480,
        "slin16" => 640,
        "slin24" => 960,
        "slin32" => 1_280,
        "slin44" => 1_764,
        "slin48" => 1_920,
        "slin96" => 3_840,
        "slin192" => 7_680,
        "gsm" => 33,
        "opus" | "speex" | "speex16" | "speex32" | "g729" => 0,
        _ => 160,
    }
}

impl World {
    pub(crate) fn external_media(&mut self, params: Params<'_>) -> Outcome {
        let settings = super::variables::read_loose_settings(params.value("variables"))?;
        let origination = self.check_external_media(params)?;
        let internal = || {
            let message = "An internal error prevented this request from being handled";
            refuse(500, message)
        };
        // Whatever is wrong with the call itself, Asterisk says only this.
        let key = check_ids([origination.channel_id.as_deref(), None])
            .and_then(|()| self.make_call(&origination, &settings))
            .map_err(|_| internal())?;
        let own: Vec<_> = self
            .channels
            .get(key)
            .into_iter()
            .flat_map(|channel| channel.variables.iter().rev())
            .filter(|(name, _)| !settings.iter().any(|(known, ..)| known == name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = super::json::object(|json| {
            if let Some(channel) = self.channels.get(key) {
                channel.write_plain(json);
            }
            json.object("channelvars", |json| {
                for (name, value) in &own {
                    json.entry(name, value);
                }
            });
        });
        self.call_out(key, origination);
        Ok(Reply::Now(ari_core::Response::new(200, "OK", body)))
    }

    fn check_external_media(&self, params: Params<'_>) -> Result<Origination, Refused> {
        let bad = |message: &str| Err(refuse(400, message));
        let text = |name: &str, default: &'static str| {
            let given = params.given(name).map(std::borrow::Cow::into_owned);
            given.unwrap_or_else(|| default.to_owned())
        };
        let app = text("app", "");
        if app.is_empty() {
            return bad("app cannot be empty");
        }
        let (transport, encapsulation) = (text("transport", "udp"), text("encapsulation", "rtp"));
        let websocket = transport == "websocket";
        if websocket && encapsulation != "none" {
            return bad("encapsulation must be 'none' for websocket transport");
        }
        if encapsulation == "rtp" && transport != "udp" {
            return bad("transport must be 'udp' for rtp encapsulation");
        }
        if encapsulation == "audiosocket" && transport != "tcp" {
            return bad("transport must be 'tcp' for audiosocket encapsulation");
        }
        let kind = text("connection_type", "client");
        if !websocket && kind == "server" {
            return bad("'server' connection_type can only be used with the websocket transport");
        }
        let mut host = text("external_host", "");
        if host.is_empty() {
            if kind == "client" {
                return bad("external_host is required for all but websocket server connections");
            }
            "INCOMING".clone_into(&mut host);
        }
        if websocket {
            if kind == "client" && !self.options.websocket_clients.contains(&host) {
                return bad("external_host must be a valid websocket_client connection id.");
            }
        } else if !has_port(&host) {
            return bad(
                "external_host must be <host>:<port> for all transports other than websocket",
            );
        }
        let format = text("format", "");
        if format.is_empty() {
            return bad("format cannot be empty");
        }
        let direction = params.given("direction");
        if direction
            .as_deref()
            .is_some_and(|direction| !matches!(direction, "both" | "in" | "out"))
        {
            return bad("Invalid direction specified");
        }
        let data = text("data", "");
        let lower = |text: &str| text.to_ascii_lowercase();
        let endpoint = match (&*lower(&encapsulation), &*lower(&transport)) {
            ("rtp", "udp") => format!("UnicastRTP/{host}/c({format})"),
            ("audiosocket", "tcp") if data.is_empty() => return bad("data can not be empty"),
            ("audiosocket", "tcp") => format!("AudioSocket/{host}/{data}"),
            ("none", "websocket") => {
                let mut options = text("transport_data", "");
                if let Some(direction) = direction {
                    options.extend(["d(", &direction, ")"]);
                }
                if options.is_empty() {
                    format!("WebSocket/{host}")
                } else {
                    format!("WebSocket/{host}/{options}")
                }
            }
            _ => {
                return Err(refuse(
                    501,
                    "The encapsulation and/or transport is not supported",
                ));
            }
        };
        let mut origination = Origination::into_application(endpoint, app, data);
        origination.channel_id = params.given("channelId").map(std::borrow::Cow::into_owned);
        origination.formats = Some(format);
        Ok(origination)
    }

    /// Makes the channel of external media.
    pub(crate) fn make_media_channel(
        &mut self,
        id: Arc<str>,
        endpoint: &MediaEndpoint,
        formats: Option<&str>,
    ) -> Result<ChannelKey, Refused> {
        if !endpoint.is_valid() {
            return Err(allocation_failed());
        }
        // Where Asterisk shows the address of something of its own, a number stands for it.
        let address = 0x7f00_0000_0000 + (self.serial + 1) * 0x2640;
        let MediaEndpoint {
            tech,
            destination,
            rest,
        } = endpoint;
        let (name, media) = match *tech {
            "UnicastRTP" => (format!("{tech}/{destination}-{address:#x}"), MediaTech::Rtp),
            "AudioSocket" => {
                let id = rest.split('/').next().unwrap_or_default();
                (format!("{tech}/{destination}-{id}"), MediaTech::AudioSocket)
            }
            _ => {
                let connection = self.generated_id();
                let answers = !rest.split_inclusive(')').any(|option| {
                    option
                        .split('(')
                        .next()
                        .is_some_and(|flags| flags.contains('n'))
                });
                (
                    format!("{tech}/{destination}/{address:#x}"),
                    MediaTech::WebSocket {
                        connection,
                        answers,
                    },
                )
            }
        };
        let key = self.add_channel(id, name, Tech::Media(media.clone()), State::Down);
        self.tell_channel_plain(key, "ChannelCreated");
        let variables = match media {
            MediaTech::Rtp => {
                let port = FIRST_PORT + 2 * (self.serial % PORTS);
                vec![
                    ("UNICASTRTP_LOCAL_ADDRESS", "127.0.0.1".to_owned()),
                    ("UNICASTRTP_LOCAL_PORT", port.to_string()),
                ]
            }
            MediaTech::AudioSocket => {
                let id = rest.split('/').next().unwrap_or_default();
                vec![
                    ("AUDIOSOCKET_UUID", id.to_owned()),
                    ("AUDIOSOCKET_SERVICE", destination.clone()),
                ]
            }
            MediaTech::WebSocket { connection, .. } => {
                let codec = endpoint.codec().or(formats).unwrap_or("ulaw");
                let size = frame_size(codec.split(',').next().unwrap_or_default());
                vec![
                    ("MEDIA_WEBSOCKET_OPTIMAL_FRAME_SIZE", size.to_string()),
                    ("MEDIA_WEBSOCKET_CONNECTION_ID", connection),
                ]
            }
        };
        for (name, value) in variables {
            self.write_variable(key, name, Some(&value), false);
        }
        Ok(key)
    }

    /// Begins to call a channel of external media.
    pub(crate) fn call_media(&mut self, key: ChannelKey, endpoint: &MediaEndpoint) {
        let waits = endpoint.tech == "WebSocket" && endpoint.destination == "INCOMING";
        if !waits {
            self.media_connected(key);
        }
    }

    fn media_connected(&mut self, key: ChannelKey) {
        let answers = match self.channels.get(key).map(|channel| &channel.tech) {
            Some(Tech::Media(MediaTech::WebSocket { answers, .. })) => *answers,
            _ => true,
        };
        if answers {
            self.called_party_answers(key);
        }
    }

    /// Connects the WebSocket for media that a channel waits for: `connection` is its variable
    /// `MEDIA_WEBSOCKET_CONNECTION_ID`. Says whether a channel waits for it.
    pub fn connect_media(&mut self, now: SimTime, connection: &str) -> bool {
        self.advance(now);
        let waits = |channel: &Channel| {
            matches!(&channel.tech, Tech::Media(MediaTech::WebSocket { connection: known, .. }) if known == connection)
                && channel.state == State::Down
                && channel.dialing.is_some()
        };
        let key = self
            .channels
            .iter()
            .find(|(_, channel)| waits(channel))
            .map(|(key, _)| key);
        if let Some(key) = key {
            self.media_connected(key);
        }
        key.is_some()
    }

    /// Ends the connection to who sends media to a channel. Says whether there is such a channel.
    pub fn disconnect_media(&mut self, now: SimTime, channel: &str) -> bool {
        self.advance(now);
        let key = self.find_channel(channel).filter(|key| {
            self.channels
                .get(*key)
                .is_some_and(|channel| matches!(channel.tech, Tech::Media(_)))
        });
        if let Some(key) = key {
            self.tell_hangup_request(key, None, false);
            self.end_channel(key);
        }
        key.is_some()
    }
}
