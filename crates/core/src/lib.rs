//! The rules of Ephor: a task *is* its list of events, and everything here is a pure function over them.
//!
//! No I/O, no async, no clock, no randomness: instants, ids and facts about others come in with a command. Without the
//! feature `rules` only the wire types remain (ids, times, requests, work, events, views), which is all an agent or a client needs.

pub mod agent;
pub mod ask;
#[cfg(feature = "rules")]
mod board;
pub mod breaker;
pub mod budget;
#[cfg(feature = "rules")]
pub mod command;
pub mod constitution;
#[cfg(feature = "rules")]
pub mod contents;
pub mod event;
#[cfg(feature = "rules")]
pub mod expr;
pub mod figures;
pub mod flow;
#[cfg(feature = "rules")]
pub mod gate;
pub mod id;
pub mod impact;
pub mod inbox;
pub mod key;
#[cfg(feature = "rules")]
pub mod lifecycle;
pub mod liveness;
pub mod matching;
pub mod models;
pub mod namespace;
#[cfg(feature = "openapi")]
pub mod openapi;
pub mod plan;
pub mod planted;
#[cfg(feature = "rules")]
pub mod policy;
pub mod quality;
pub mod receipt;
#[cfg(feature = "rules")]
pub mod recurrence;
#[cfg(feature = "rules")]
pub mod request;
pub mod review;
pub mod schedule;
pub mod spec;
pub mod status;
#[cfg(feature = "rules")]
pub mod task;
pub mod time;
#[cfg(feature = "rules")]
mod timers;
#[cfg(feature = "rules")]
pub mod validation;
pub mod view;
pub mod webhook;
pub mod work;
