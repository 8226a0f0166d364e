#![doc = include_str!("../README.md")]

mod ari;
mod call;
mod calls;
mod client;
mod endings;
mod entity;
mod error;
mod event;
pub mod events;
mod handle;
mod id;
pub mod local;
mod model;
pub mod models;
mod operation;
pub mod operations;
mod peek;
pub mod registry;
mod request;
pub mod router;
mod scope;
#[cfg(feature = "spec")]
pub mod spec;
mod stream;
pub mod subject;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod timestamp;
mod version;

pub use self::{
    ari::Ari,
    calls::{Calls, IncomingCall},
    client::{AriClient, ConnectionState, Gathered, Missing, interrupted, not_sent},
    endings::{Outcome, Place, Placed, ended_by},
    entity::{Entity, EntityKind, Metadata},
    error::{Error, Refusal, Result, Source, sample},
    event::{Concern, Event, Numbers, Role},
    handle::{
        ApplicationHandle, BridgeHandle, ChannelHandle, DeviceStateHandle, EndpointHandle,
        LiveRecordingHandle, LogChannelHandle, MailboxHandle, ModuleHandle, PlaybackHandle,
        SoundHandle, Staged, StoredRecordingHandle,
    },
    id::{BridgeId, ChannelId, Id, PlaybackId, fresh_id, marker},
    operation::{
        Answer, Creates, Location, Method, Operation, OperationSpec, ParameterSpec, ParameterType,
    },
    peek::NUMBERS_MEMBER,
    request::{HttpRequest, Parameters, Request, Response, Unroutable},
    router::{End, Gap, GapCause},
    stream::{Events, IgnoringGaps, StreamItem, Typed, View},
    timestamp::{ParseTimestampError, Timestamp},
    version::Version,
};
