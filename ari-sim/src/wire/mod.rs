//! ARI as Asterisk reads and answers it: HTTP requests and frames of a WebSocket, without sockets.
//!
//! [`AriConfig`] says who may ask. [`AriConfig::read_http`] makes of an HTTP request an operation, the
//! opening of a WebSocket, or a finished answer: a refusal, an answer to `OPTIONS`, a document of
//! `/ari/api-docs`. [`AriConfig::read_frame`] does the same with a frame of an open socket, which may be a
//! `RESTRequest`. What a [`World`](crate::World) answers to the operation is handed back to
//! [`HttpOperation::answer`] or [`FrameOperation::answer`], which make of it what goes over the wire.
//!
//! ```
//! use ari_sim::{SimTime, World, WorldOptions, wire::{AriConfig, HttpOutcome, HttpRequest, User}, world::Reply};
//!
//! let mut world = World::new(WorldOptions::default());
//! let config = AriConfig::new([User::new("demo", "secret")]);
//! let request = HttpRequest {
//!     method: "GET",
//!     target: "/ari/channels?api_key=demo:secret",
//!     headers: &[],
//!     body: Some(b""),
//! };
//! let HttpOutcome::Operation(operation) = config.read_http(&request) else {
//!     panic!("not an operation");
//! };
//! let Reply::Now(response) = world.request(SimTime::START, operation.request()) else {
//!     panic!("the answer comes later");
//! };
//! let answer = operation.answer(response);
//! assert_eq!((answer.status, &answer.body[..]), (200, &b"[]"[..]));
//! ```

mod answer;
mod docs;
mod frame;
mod handshake;
mod invoke;
mod parameters;
mod request;
mod routes;
mod text;
mod user;

pub(crate) use self::request::UNRESERVED;
pub use self::{
    answer::HttpAnswer,
    frame::{FrameOperation, FrameOutcome, RestResponse},
    handshake::Handshake,
    request::{HttpOperation, HttpOutcome, HttpRequest},
    user::{AriConfig, User},
};

/// Largest body of an HTTP request, in bytes.
pub const MAX_BODY: usize = 40_960;

/// Longest line of an HTTP request or header, in bytes, its line end included.
pub const MAX_LINE: usize = 4_095;

/// Most headers of an HTTP request.
pub const MAX_HEADERS: usize = 100;

/// Largest message of a WebSocket, in bytes; a larger one closes it with status 1009.
pub const MAX_FRAME: usize = 65_535;

/// Longest name of an application, in bytes.
pub const MAX_APPLICATION: usize = 73;
