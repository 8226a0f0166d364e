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
    simulator::{Fault, Simulator, SimulatorBuilder},
    world::{
        CallRecord, CallScript, CallTotals, Cue, HangupParty, Phone, SimTime, World, WorldOptions,
    },
};
