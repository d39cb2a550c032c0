//! The rules of Ephor made durable: what `core` decides is written, read again, woken in time and told to those who watch.
//! Embeddable, without HTTP.

pub mod codec;
pub mod lock;
pub mod store;
