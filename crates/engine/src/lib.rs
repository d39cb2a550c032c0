//! The rules of Ephor made durable: what `core` decides is written, read again, woken in time and told to those who watch.
//! Embeddable, without HTTP.

mod cache;
pub mod clock;
pub mod codec;
mod leases;
mod live;
pub mod lock;
mod ready;
pub mod store;
mod writer;
