#![doc = include_str!("../README.md")]

mod http;
mod record;
mod simulator;
mod trace;
pub mod wire;
pub mod world;

pub use self::{
    http::Server,
    record::{InvalidUpstream, RecordError, Recorder, RecorderBuilder},
    simulator::{
        CallEnd, CallError, Endpoint, Fault, Outbound, OutboundSocket, PhoneCall, PlaceCall, Press,
        Simulator, SimulatorBuilder,
    },
    world::{
        CallRecord, CallScript, CallTotals, Cue, HangupParty, Heard, Phone, SimTime, World,
        WorldOptions,
    },
};
