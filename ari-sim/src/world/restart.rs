//! The world begins anew.

use std::sync::Arc;

use super::{SimTime, Timer, World, caller::CallTimer, system::System};

/// The cause with which calls end that Asterisk does not survive: network out of order.
const CUT_OFF: u16 = 38;

impl World {
    /// Restarts Asterisk, under another entity id if one is given: all that it knew is lost, and no
    /// event tells of it.
    ///
    /// What is outside of it stays: the records of calls, which end now, and callers who are still to call.
    pub fn restart(&mut self, now: SimTime, asterisk_id: Option<String>) {
        self.advance(now);
        self.cut_calls_off(CUT_OFF);
        let mut options = self.options.clone();
        for (kind, name) in self.system.objects.keys() {
            if *kind == "endpoint" {
                options.phones.remove(name);
            }
        }
        if let Some(id) = asterisk_id {
            options.asterisk_id = id;
        }
        let mut fresh = Self::new(options);
        fresh.move_to(now);
        fresh.system = System::new(fresh.stamp.text());
        // Names given before are not given again.
        fresh.sessions = self.sessions;
        fresh.tickets = self.tickets;
        fresh.serial = self.serial;
        fresh.unique = self.unique;
        std::mem::swap(&mut fresh.calls, &mut self.calls);
        while let Some((at, timer)) = self.timers.pop() {
            if matches!(timer, Timer::Call(CallTimer::Place(_))) {
                fresh.timers.set(at, timer);
            }
        }
        fresh.outbound = std::mem::take(&mut self.outbound).restarted();
        *self = fresh;
    }

    /// The applications that are connected.
    pub fn connected_applications(&self) -> Vec<Arc<str>> {
        self.apps
            .iter()
            .filter(|(_, app)| app.session.is_some())
            .map(|(_, app)| Arc::clone(&app.name))
            .collect()
    }
}
