//! The rooms of the binary as a library, so that tests and examples reach them.

pub mod api;
pub mod cli;
pub mod host;
pub mod import;
