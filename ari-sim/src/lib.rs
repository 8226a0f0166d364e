#![doc = include_str!("../README.md")]

pub mod world;

pub use world::{CallRecord, CallScript, Cue, SimTime, World, WorldOptions};
