#![doc = include_str!("../README.md")]

mod http;
mod simulator;
pub mod wire;
pub mod world;

pub use self::{
    http::Server,
    simulator::{Fault, Simulator, SimulatorBuilder},
    world::{
        CallRecord, CallScript, CallTotals, Cue, HangupParty, Phone, SimTime, World, WorldOptions,
    },
};
