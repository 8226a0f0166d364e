//! The other side of the phone, by hand.

mod endpoint;
mod error;
mod phone_call;
mod place;

pub use self::{
    endpoint::Endpoint,
    error::{CallEnd, CallError},
    phone_call::{PhoneCall, Press},
    place::PlaceCall,
};

use std::time::Duration;

/// How long somebody at a phone waits for anything, unless it is said otherwise.
const PATIENCE: Duration = Duration::from_secs(30);
