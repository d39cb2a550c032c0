//! For agents: how work is asked for, kept alive and reported on, whatever carries the words.

pub mod transport;
