#![doc = include_str!("../README.md")]

mod faults;
mod http;
mod record;
mod replay;
mod simulator;
mod trace;
pub mod wire;
pub mod world;

pub use self::{
    faults::{Fault, FaultError, FaultId, FaultKind, FaultRule, FaultScope, FaultStatus},
    http::{MemoryListener, MemoryServer, Server},
    record::{InvalidUpstream, RecordError, Recorder, RecorderBuilder},
    replay::{
        InvalidSpeed, Replay, ReplayAnswer, ReplayOutput, ReplayServer, ReplaySocket, ReplayTicket,
        Speed,
    },
    simulator::{
        CallEnd, CallError, Endpoint, Outbound, OutboundSocket, PhoneCall, PlaceCall, Press,
        Simulator, SimulatorBuilder,
    },
    trace::{Trace, TraceError},
    world::{
        CallRecord, CallScript, CallTotals, Cue, HangupParty, Heard, Phone, SimTime, World,
        WorldOptions,
    },
};
