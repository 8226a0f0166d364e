//! What phones do by themselves: register, answer to pings, send messages.

use std::time::Duration;

use super::{World, time::SimTime};

/// The status of a phone that can be reached, or of one that cannot.
const fn reachability(reachable: bool) -> &'static str {
    if reachable {
        "Reachable"
    } else {
        "Unreachable"
    }
}

impl World {
    /// Whether there is an endpoint `PJSIP/<name>` at this time.
    fn has_phone(&mut self, now: SimTime, name: &str) -> bool {
        self.advance(now);
        self.options.phones.contains_key(name)
    }

    /// Lets the phone at `PJSIP/<name>` register from this SIP URI; it can be called then.
    ///
    /// With a `round_trip` Asterisk asks the phone whether it is there, and finds it reachable.
    /// Says whether there is such an endpoint.
    pub fn phone_registers(
        &mut self,
        now: SimTime,
        name: &str,
        uri: &str,
        round_trip: Option<Duration>,
    ) -> bool {
        if !self.has_phone(now, name) {
            return false;
        }
        self.tell_contact(name, uri, "NonQualified", Duration::ZERO);
        self.set_reachable(name, true);
        if let Some(round_trip) = round_trip {
            self.tell_contact(name, uri, "Reachable", round_trip);
        }
        true
    }

    /// Lets the phone at `PJSIP/<name>` unregister; says whether there is such an endpoint.
    pub fn phone_unregisters(&mut self, now: SimTime, name: &str, uri: &str) -> bool {
        if !self.has_phone(now, name) {
            return false;
        }
        self.set_reachable(name, false);
        self.tell_contact(name, uri, "Removed", Duration::ZERO);
        true
    }

    /// Lets the phone at `PJSIP/<name>` stop to answer, or answer again, while it stays registered.
    ///
    /// Says whether there is such an endpoint.
    pub fn phone_answers_pings(
        &mut self,
        now: SimTime,
        name: &str,
        uri: &str,
        round_trip: Option<Duration>,
    ) -> bool {
        if !self.has_phone(now, name) {
            return false;
        }
        let reachable = round_trip.is_some();
        self.set_reachable(name, reachable);
        let status = reachability(reachable);
        self.tell_contact(name, uri, status, round_trip.unwrap_or_default());
        true
    }

    /// A change of whether an endpoint can be reached: its state, its peer status, its device.
    fn set_reachable(&mut self, name: &str, reachable: bool) {
        if self.is_reachable(name) == reachable {
            return;
        }
        self.system.reachable.insert(name.to_owned(), reachable);
        let state = if reachable { "online" } else { "offline" };
        self.tell_endpoint_as(name, state);
        let audience = self.status_audience(name);
        self.send(&audience, "PeerStatusChange", |world, json| {
            world.head(json, "PeerStatusChange");
            json.object("endpoint", |json| world.write_endpoint(name, json));
            json.object("peer", |json| {
                json.text("peer_status", reachability(reachable));
            });
        });
        self.settle_phone_state(name);
    }

    fn tell_contact(&mut self, name: &str, uri: &str, status: &str, round_trip: Duration) {
        let audience = self.status_audience(name);
        self.send(&audience, "ContactStatusChange", |world, json| {
            world.head(json, "ContactStatusChange");
            json.object("endpoint", |json| world.write_endpoint(name, json));
            json.object("contact_info", |json| {
                json.text("uri", uri)
                    .text("contact_status", status)
                    .text("aor", name)
                    .text("roundtrip_usec", &round_trip.as_micros().to_string());
            });
        });
    }

    /// Lets the phone at `PJSIP/<name>` send a text; says whether an application is subscribed to it.
    pub fn phone_sends_message(
        &mut self,
        now: SimTime,
        name: &str,
        to: &str,
        body: &str,
        variables: &[(&str, &str)],
    ) -> bool {
        if !self.has_phone(now, name) {
            return false;
        }
        let audience = self.status_audience(name);
        self.send(&audience, "TextMessageReceived", |world, json| {
            world.head(json, "TextMessageReceived");
            json.object("endpoint", |json| world.write_endpoint(name, json));
            json.object("message", |json| {
                json.text("from", &format!("\"{name}\" <sip:{name}@127.0.0.1>"))
                    .text("to", to)
                    .text("body", body);
                json.object("variables", |json| {
                    for (name, value) in variables {
                        json.entry(name, value);
                    }
                });
            });
        });
        !audience.is_empty()
    }
}
