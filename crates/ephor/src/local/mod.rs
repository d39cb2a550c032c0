//! The engine in this process, behind the traits the interfaces know: `Host` opens it, `Api` asks it, `Transport` gives the built-in
//! agents their work.

mod api;
mod check;
mod look;
mod selftest;
mod session;
mod transport;

pub use session::LocalHost;
pub use transport::InProcess;
