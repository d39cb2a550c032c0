//! The rules of Ephor: a task *is* its list of events, and everything here is a pure function over them.
//!
//! No I/O, no async, no clock, no randomness: instants, ids and facts about others come in with a command. Without the
//! feature `rules` only the wire types remain (ids, times, requests, work), which is all an agent needs.

pub mod id;
pub mod spec;
pub mod status;
pub mod time;
pub mod work;
