//! Streams that stay open are counted: one caller must not hold all of them, and all of them must not hold all memory.

use crate::api::{ApiError, Kind};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many streams may be open at once. Each holds a connection and a page of events.
pub(crate) const STREAMS_MAX: usize = 1_000;
/// How many of them one caller may hold.
pub(crate) const STREAMS_OF_ONE_MAX: usize = 250;

/// The streams that are open, by caller.
#[derive(Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<HashMap<Box<str>, usize>>>);

/// The right to hold a stream open; given back when dropped.
pub(crate) struct Permit {
    streams: Streams,
    caller: Box<str>,
}

impl Streams {
    /// One more for this caller, or why not.
    pub(crate) fn open(&self, caller: &str) -> Result<Permit, ApiError> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let full = |what: &str, max: usize| {
            ApiError::new(Kind::Busy, "LIMIT_REACHED", format!("{what} streams are open at once"))
                .because(format!("at most {max} may be; close one, or ask again later"))
        };
        if open.values().sum::<usize>() >= STREAMS_MAX {
            return Err(full("too many", STREAMS_MAX));
        }
        let own = open.entry(caller.into()).or_default();
        if *own >= STREAMS_OF_ONE_MAX {
            return Err(full("too many of your", STREAMS_OF_ONE_MAX));
        }
        *own += 1;
        Ok(Permit { streams: self.clone(), caller: caller.into() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
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
        let streams = Streams::default();
        let mut held: Vec<Permit> = (0..STREAMS_OF_ONE_MAX).map(|_| streams.open("ann").unwrap()).collect();
        assert_eq!(&*streams.open("ann").err().unwrap().code, "LIMIT_REACHED");
        assert!(streams.open("bob").is_ok());
        held.pop();
        assert!(streams.open("ann").is_ok());
    }
}
