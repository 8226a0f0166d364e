//! Snoop channels: listening to another channel, and speaking into it.

use std::sync::Arc;

use super::{
    World,
    channel::{ChannelKey, State, Tech},
    params::Params,
    reply::{Outcome, Refused, ok, refuse, refuse_as},
};

/// What a snoop channel is attached to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnoopTech {
    pub(crate) of: ChannelKey,
    pub(crate) spies_in: bool,
    pub(crate) spies_out: bool,
}

/// A direction: incoming, outgoing.
type Direction = (bool, bool);

fn direction(params: Params<'_>, name: &str) -> Result<Direction, Refused> {
    match params.given(name).as_deref() {
        None | Some("none") => Ok((false, false)),
        Some("in") => Ok((true, false)),
        Some("out") => Ok((false, true)),
        Some("both") => Ok((true, true)),
        Some(_) => Err(refuse(
            400,
            &format!("Invalid direction specified for {name}"),
        )),
    }
}

impl World {
    pub(crate) fn snoop(&mut self, params: Params<'_>) -> Outcome {
        let spy = direction(params, "spy")?;
        let whisper = direction(params, "whisper")?;
        if spy == (false, false) && whisper == (false, false) {
            return Err(refuse(
                400,
                "Direction must be specified for at least spy or whisper",
            ));
        }
        let app = params
            .given("app")
            .ok_or_else(|| refuse(400, "Application name is required"))?;
        let args = params.text("appArgs");
        let of = self.provided_channel(params)?;
        let Some(snooped) = self.channels.get(of).map(|channel| Arc::clone(&channel.id)) else {
            return Err(refuse(404, "Channel not found"));
        };
        // The name of a snoop channel is taken even where its id is refused.
        let number = self.snoop_names;
        self.snoop_names = self.snoop_names.wrapping_add(1);
        let id = match params.given("snoopId") {
            Some(id)
                if self.channel_ids.contains_key(&*id) || id.len() > super::originate::MAX_ID =>
            {
                return Err(refuse_as(
                    500,
                    "Internal error",
                    "Snoop channel could not be created",
                ));
            }
            Some(id) => Arc::from(&*id),
            None => Arc::from(self.unique_id()),
        };
        let tech = Tech::Snoop(SnoopTech {
            of,
            spies_in: spy.0,
            spies_out: spy.1,
        });
        let name = format!("Snoop/{snooped}-{number:08x}");
        let key = self.add_channel(id, name, tech, State::Up);
        self.tell_channel_plain(key, "ChannelCreated");
        if let Some(snooped) = self.channels.get_mut(of) {
            snooped.snoops.push(key);
        }
        let answer = ok(self.channel_json(key));
        self.pass_to_snoops(of, 1);
        self.show_stasis(key, &app, &args);
        self.tell_dialplan(key);
        if !self.enter_stasis(key, &app, &args) {
            self.end_channel(key);
        }
        answer
    }

    /// A channel ends, and who snoops on it, and who snoops on those. However long the row is, none of them is
    /// left to be ended by the one before.
    pub(crate) fn end_snoops(&mut self, key: ChannelKey) {
        let Some(channel) = self.channels.get_mut(key) else {
            return;
        };
        let mut snoops = std::mem::take(&mut channel.snoops);
        let mut place = 0;
        while let Some(snoop) = snoops.get(place) {
            if let Some(snoop) = self.channels.get_mut(*snoop) {
                snoops.append(&mut snoop.snoops);
            }
            place += 1;
        }
        for snoop in snoops {
            self.end_channel(snoop);
        }
    }

    /// A snoop channel ends, the other one goes on.
    pub(crate) fn stop_snooping(&mut self, tech: SnoopTech, snoop: ChannelKey) {
        if let Some(channel) = self.channels.get_mut(tech.of) {
            channel.snoops.retain(|known| *known != snoop);
        }
    }
}
