//! Connections whose other end has not given its credentials yet.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

/// How many there are at a time. Where more come, the oldest is closed: who only holds a place must not keep
/// Asterisk out, which is done at once.
const PLACES: usize = 64;

/// Where they are.
#[derive(Debug, Default)]
pub(crate) struct Lobby(Mutex<Guests>);

#[derive(Debug, Default)]
struct Guests {
    last: u64,
    /// By number, so the oldest first: what closes each.
    waiting: BTreeMap<u64, CancellationToken>,
}

/// One of them; it leaves when this is dropped.
pub(crate) struct Guest {
    lobby: Arc<Lobby>,
    number: u64,
    closing: CancellationToken,
}

impl Lobby {
    /// Lets another one in.
    pub(crate) fn enter(self: &Arc<Self>) -> Guest {
        let closing = CancellationToken::new();
        let mut guests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.last += 1;
        let number = guests.last;
        guests.waiting.insert(number, closing.clone());
        if guests.waiting.len() > PLACES
            && let Some((_, oldest)) = guests.waiting.pop_first()
        {
            oldest.cancel();
        }
        Guest {
            lobby: Arc::clone(self),
            number,
            closing,
        }
    }
}

impl Guest {
    /// Waits until it is admitted; `None`: too many came after it.
    pub(crate) async fn admitted<T>(self, admission: impl Future<Output = T>) -> Option<T> {
        self.closing.run_until_cancelled(admission).await
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let guests = &mut self.lobby.0.lock().unwrap_or_else(PoisonError::into_inner);
        guests.waiting.remove(&self.number);
    }
}
