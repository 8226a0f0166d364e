//! The RTP side of SIP channels: its statistics, and what is left of them at the end.

use super::{
    World,
    channel::{Channel, ChannelKey, State, Tech},
    json::object,
    params::Params,
    reply::{Outcome, ok, refuse},
};

/// Whole numbers of the statistics before the channel's id.
const PACKETS: &[&str] = &[
    "txcount",
    "rxcount",
    "txploss",
    "rxploss",
    "local_ssrc",
    "remote_ssrc",
    "txoctetcount",
    "rxoctetcount",
];

/// What is measured; `txmes` and `rxmes` are whole numbers.
const MEASURES: &[&str] = &[
    "txjitter",
    "rxjitter",
    "remote_maxjitter",
    "remote_minjitter",
    "remote_normdevjitter",
    "remote_stdevjitter",
    "local_maxjitter",
    "local_minjitter",
    "local_normdevjitter",
    "local_stdevjitter",
    "remote_maxrxploss",
    "remote_minrxploss",
    "remote_normdevrxploss",
    "remote_stdevrxploss",
    "local_maxrxploss",
    "local_minrxploss",
    "local_normdevrxploss",
    "local_stdevrxploss",
    "rtt",
    "maxrtt",
    "minrtt",
    "normdevrtt",
    "stdevrtt",
    "txmes",
    "rxmes",
    "remote_maxmes",
    "remote_minmes",
    "remote_normdevmes",
    "remote_stdevmes",
    "local_maxmes",
    "local_minmes",
    "local_normdevmes",
    "local_stdevmes",
];

/// Variables that tell at the end of a call how good it was; no packet was lost, none came.
const QUALITY: &[(&str, &str)] = &[
    (
        "RTPAUDIOQOSJITTER",
        "minrxjitter=000.000000;maxrxjitter=000.000000;avgrxjitter=000.000000;stdevrxjitter=000.000000;\
         mintxjitter=000.000000;maxtxjitter=000.000000;avgtxjitter=000.000000;stdevtxjitter=000.000000;",
    ),
    (
        "RTPAUDIOQOSLOSS",
        "  minrxlost=000.000000;  maxrxlost=000.000000;  avgrxlost=000.000000;  stdevrxlost=000.000000;  \
         mintxlost=000.000000;  maxtxlost=000.000000;  avgtxlost=000.000000;  stdevtxlost=000.000000;",
    ),
    (
        "RTPAUDIOQOSRTT",
        "     minrtt=000.000000;     maxrtt=000.000000;     avgrtt=000.000000;     stdevrtt=000.000000;",
    ),
    (
        "RTPAUDIOQOSMES",
        "   minrxmes=000.000000;   maxrxmes=000.000000;   avgrxmes=000.000000;   stdevrxmes=000.000000;   \
         mintxmes=000.000000;   maxtxmes=000.000000;   avgtxmes=000.000000;   stdevtxmes=000.000000;",
    ),
];

impl Channel {
    /// The source of its RTP, a number made of its own.
    fn ssrc(&self) -> u32 {
        let mixed = self.serial.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        u32::try_from(mixed >> 32).unwrap_or(u32::MAX)
    }

    const fn has_rtp(&self) -> bool {
        matches!(self.tech, Tech::Sip { .. })
            && (self.early_media.is_some() || matches!(self.state, State::Up))
    }
}

impl World {
    pub(crate) fn rtp_statistics(&self, params: Params<'_>) -> Outcome {
        let key = self.named_channel(params)?;
        let Some(channel) = self.channels.get(key) else {
            return Err(refuse(404, "Channel not found"));
        };
        match &channel.tech {
            Tech::Sip { .. } if channel.has_rtp() => {}
            // It has RTP, but shows it only when a phone negotiated it.
            Tech::Sip { .. } => return Err(refuse(404, "RTP info not found")),
            Tech::Media(media) if media.is_rtp() => {
                return Err(refuse(404, "RTP info not found"));
            }
            _ => return Err(refuse(403, "Unsupported channel type")),
        }
        ok(object(|json| {
            for name in PACKETS {
                let value = if *name == "local_ssrc" {
                    channel.ssrc()
                } else {
                    0
                };
                json.plain(name, value);
            }
            json.text("channel_uniqueid", &channel.id);
            for name in MEASURES {
                json.raw(
                    name,
                    if matches!(*name, "txmes" | "rxmes") {
                        "0"
                    } else {
                        "0.0"
                    },
                );
            }
        }))
    }

    /// Tells how good the media of a SIP channel was, before its hangup is told.
    pub(crate) fn tell_quality(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get(key).filter(|channel| channel.has_rtp()) else {
            return;
        };
        let summary = format!(
            "ssrc={};themssrc=0;lp=0;rxjitter=0.000000;rxcount=0;txjitter=0.000000;txcount=0;rlp=0;rtt=0.000000;\
             rxmes=0.000000;txmes=0.000000",
            channel.ssrc(),
        );
        self.tell_varset(key, "RTPAUDIOQOS", &summary);
        for (name, value) in QUALITY {
            self.tell_varset(key, name, value);
        }
    }
}
