//! For agents: how work is asked for, kept alive and reported on, whatever carries the words.
//!
//! An agent implements [`agent::Agent`]; [`worker::Worker`] claims work for it over a [`transport::Transport`], keeps the
//! leases alive and delivers the reports; [`trial::Trial`] runs it on one piece of work without an engine.
//!
//! For whoever gives agents their tasks: [`client::Client`] speaks to a server over HTTP, [`orchestrator::TaskOrchestrator`] submits
//! and waits in a few words, [`executor::TaskExecutor`] does one task in one call, and [`http::Http`] is the transport to a server.

pub mod agent;
mod backoff;
pub mod client;
pub mod executor;
pub mod http;
mod lease;
pub mod orchestrator;
mod random;
mod report;
pub mod transport;
pub mod trial;
pub mod worker;
