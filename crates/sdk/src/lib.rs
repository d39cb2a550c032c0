//! For agents: how work is asked for, kept alive and reported on, whatever carries the words.
//!
//! An agent implements [`agent::Agent`]; [`worker::Worker`] claims work for it over a [`transport::Transport`], keeps the
//! leases alive and delivers the reports; [`trial::Trial`] runs it on one piece of work without an engine.

pub mod agent;
mod backoff;
mod lease;
mod report;
pub mod transport;
pub mod trial;
pub mod worker;
