//! A running server behind the traits the interfaces know: `Api` asks it over HTTP, and the built-in agents of this machine can be lent
//! to it. The errors of a server are those the engine gives in this process, so commands end alike wherever it runs.

mod api;
mod error;
mod lend;
mod session;

pub(crate) use error::told;
pub(crate) use lend::lend;
pub(crate) use session::{client, found, is_here, open};
