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
mod model;
pub mod models;
mod operation;
pub mod operations;
mod peek;
pub mod registry;
mod request;
pub mod router;
mod scope;
mod stream;
pub mod subject;
mod timestamp;
