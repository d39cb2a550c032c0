//! The rules of Ephor made durable: what `core` decides is written, read again, woken in time and told to those who watch.
//! Embeddable, without HTTP.

pub mod audit;
mod cache;
pub mod clock;
pub mod codec;
mod directory;
pub mod doctor;
pub mod engine;
mod examine;
pub mod feed;
pub mod figures;
pub mod flow;
mod house;
mod ids;
mod intake;
pub mod judging;
mod leases;
mod live;
pub mod lock;
mod matching;
pub mod outbox;
pub mod query;
mod ready;
pub mod receipt;
mod sealed;
#[cfg(any(test, feature = "simulation"))]
pub mod simulation;
pub mod store;
mod submitter;
mod ticker;
mod usual;
pub mod witness;
mod worklog;
mod writer;

pub use directory::TrackRecord;
pub use engine::{Done, Engine, EngineError, Gauges, Idempotency, Settings, Terms};
pub use leases::LeaseView;
pub use submitter::Submitter;
pub use worklog::WorkLog;
