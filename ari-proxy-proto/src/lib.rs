#![doc = include_str!("../README.md")]

mod announcement;
mod answer;
mod client;
mod data;
mod event;
mod failure;
mod field;
mod id;
mod json;
mod key;
mod kind;
mod server;
mod subject;
mod table;

pub use self::{
    announcement::{Announcement, InvalidAnnouncement, PING},
    answer::answer_source,
    client::{
        DIALOG_RELEASE, EXTENSION, Encoded, Unencodable, encode, encode_as, encode_barrier,
        encode_extension, encode_release, encode_subscribe,
    },
    event::{Numbering, dialog_copy, numbered, publishable},
    failure::{DOWN, NOT_IMPLEMENTED},
    key::Key,
    kind::Kind,
    server::{BadRequest, Incoming, MAX_REQUEST_BYTES, Step, decode_request, respond_unavailable},
    subject::{CALLS_QUEUE, CREATE_QUEUE, Class, DEFAULT_PREFIX, EventSubject, Subjects},
};
