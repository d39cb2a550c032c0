//! The engine in this process, behind the traits the interfaces know: `Host` opens it, `Api` asks it, `Transport` gives the built-in
//! agents their work.

mod api;
mod check;
pub(crate) mod constitution;
pub(crate) mod figures;
pub(crate) mod flow;
pub(crate) mod gates;
mod inbox;
pub(crate) mod keys;
mod list;
mod look;
mod named;
mod selftest;
mod serve;
mod session;
pub(crate) mod token;
mod transport;

pub(crate) use api::{LocalApi, trouble};
pub(crate) use look::{Look, PAGE, PAGE_MAX, event_view, store};
pub(crate) use named::{Apart, Within, only, unknown};
pub(crate) use serve::introduce;
pub(crate) use session::DATABASE;
pub use session::LocalHost;
pub(crate) use session::{blocking, builtin};
pub use transport::InProcess;
