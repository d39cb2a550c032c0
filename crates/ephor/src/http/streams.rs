//! Streams that stay open are counted: one caller must not hold all of them, and all of them must not hold all memory.

use super::limits::Limits;
use crate::api::{ApiError, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The streams that are open, by caller.
#[derive(Clone)]
pub(crate) struct Streams {
    open: Arc<Mutex<HashMap<Box<str>, usize>>>,
    max: usize,
    of_one_max: usize,
}

/// The right to hold a stream open; given back when dropped.
pub(crate) struct Permit {
    streams: Streams,
    caller: Box<str>,
}

impl Streams {
    /// None is open yet; so many may be, and so many of one caller.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { open: Arc::default(), max: limits.streams, of_one_max: limits.streams_of_one }
    }

    /// One more for this caller, or why not.
    pub(crate) fn open(&self, caller: &str) -> Result<Permit, ApiError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |what: &str, max: usize| {
            ApiError::new(Kind::Busy, "LIMIT_REACHED", format!("{what} streams are open at once"))
                .because(format!("at most {max} may be; close one, or ask again later"))
        };
        if open.values().sum::<usize>() >= self.max {
            return Err(full("too many", self.max));
        }
        let own = open.entry(caller.into()).or_default();
        if *own >= self.of_one_max {
            return Err(full("too many of your", self.of_one_max));
        }
        *own += 1;
        Ok(Permit { streams: self.clone(), caller: caller.into() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_hold_all_streams_and_what_is_closed_is_free_again() {
        let limits = Limits::on(([127, 0, 0, 1], 0).into());
        let streams = Streams::new(&limits);
        let mut held: Vec<Permit> = (0..limits.streams_of_one).map(|_| streams.open("ann").unwrap()).collect();
        assert_eq!(&*streams.open("ann").err().unwrap().code, "LIMIT_REACHED");
        assert!(streams.open("bob").is_ok());
        held.pop();
        assert!(streams.open("ann").is_ok());
    }
}
