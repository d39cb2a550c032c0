//! The rooms of the binary as a library, so that tests and examples reach them.

pub mod api;
pub mod cli;
pub mod config;
mod drawing;
mod hints;
pub mod host;
pub mod http;
pub mod import;
pub mod local;
pub mod logs;
mod metrics;
pub mod remote;
pub mod telemetry;
pub mod webhooks;

/// The examples in the documentation compile and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/agents.md")]
pub mod documented {}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/sdk.md")]
pub mod documented_sdk {}
