//! How much one caller may ask for: requests in a second, and requests that wait. A caller is a key, the operator, or an address.

use super::auth::{Principal, Shown};
use crate::api::{ApiError, Kind};
use ephor_core::id::KeyId;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many callers are counted at once. Beyond it, those who are not counted are told to come back.
const CALLERS_MAX: usize = 10_000;

/// How much a server lets in.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second of one caller; no limit where it is missing.
    pub requests_per_s: Option<u32>,
    /// How many of them may come at once.
    pub burst: u32,
    /// How many long polls and streams one caller may have open.
    pub waits: u32,
    /// How many connections there may be; more wait to be taken in.
    pub connections: usize,
    /// How long a client may take to say what it wants: the head of a request, and again its body.
    pub patience: Duration,
    /// How many streams may be open at once. Each holds a connection and a page of events.
    pub streams: usize,
    /// How many of them one caller may hold.
    pub streams_of_one: usize,
    /// How large a body may be, in bytes; that of a report, a batch or a payload has a limit of its own.
    pub body_bytes: usize,
    /// How large a batch may be, in bytes (DESIGN §2).
    pub batch_bytes: usize,
    /// How large a payload may be, in bytes (DESIGN §2). A few of them are in memory as a whole.
    pub payload_bytes: usize,
}

impl Limits {
    /// No limit of rate on this machine; 100 a second, 1,000 at once, for each caller elsewhere.
    pub fn on(listen: SocketAddr) -> Self {
        let local = listen.ip().is_loopback();
        Self {
            requests_per_s: (!local).then_some(100),
            burst: 1_000,
            waits: if local { 10_000 } else { 100 },
            connections: 10_000,
            patience: Duration::from_secs(30),
            streams: 1_000,
            streams_of_one: 250,
            body_bytes: 1 << 20,
            batch_bytes: 64 << 20,
            payload_bytes: 64 << 20,
        }
    }
}

/// Who is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Counted {
    Key(KeyId),
    Operator,
    Address(Option<IpAddr>),
}

impl Counted {
    fn of(who: &Principal) -> Self {
        match who.shown {
            Shown::Key(id) => Self::Key(id),
            Shown::Token | Shown::Session => Self::Operator,
            Shown::Nothing => Self::Address(who.peer),
        }
    }
}

/// The counts of every caller.
#[derive(Debug)]
pub(crate) struct Meter {
    limits: Limits,
    buckets: Mutex<HashMap<Counted, Bucket>>,
    waits: Arc<Mutex<HashMap<Counted, u32>>>,
}

/// What is left of a caller's rate.
#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Meter {
    /// Nobody has asked for anything yet.
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, buckets: Mutex::default(), waits: Arc::default() }
    }

    /// How much is let in.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One more request of a caller.
    pub(crate) fn admit(&self, who: &Principal) -> Result<(), ApiError> {
        let Some(rate) = self.limits.requests_per_s else { return Ok(()) };
        let (rate, most) = (f64::from(rate), f64::from(self.limits.burst));
        let now = Instant::now();
        let filled = |b: &Bucket| (b.left + now.duration_since(b.at).as_secs_f64() * rate).min(most);
        let mut buckets = lock(&self.buckets);
        let full = buckets.len() >= CALLERS_MAX;
        if full {
            buckets.retain(|_, bucket| filled(bucket) < most);
        }
        let full = buckets.len() >= CALLERS_MAX;
        let left = match buckets.entry(Counted::of(who)) {
            Entry::Occupied(mut known) => {
                let left = filled(known.get());
                *known.get_mut() = Bucket { left: if left >= 1.0 { left - 1.0 } else { left }, at: now };
                left
            }
            Entry::Vacant(_) if full => 0.0,
            Entry::Vacant(new) => {
                new.insert(Bucket { left: most - 1.0, at: now });
                most
            }
        };
        match left >= 1.0 {
            true => Ok(()),
            false => Err(ApiError::new(Kind::Busy, "LIMIT_REACHED", "too many requests")
                .because(format!("at most {rate} a second, {most} at once"))),
        }
    }

    /// A place for a request that waits; it is free again when the place is dropped.
    pub(crate) fn place(&self, who: &Principal) -> Result<Place, ApiError> {
        let counted = Counted::of(who);
        let mut waits = lock(&self.waits);
        let taken = waits.entry(counted).or_default();
        if *taken >= self.limits.waits {
            return Err(ApiError::new(Kind::Busy, "LIMIT_REACHED", "too many requests of yours wait already")
                .because(format!("at most {} long polls and streams at once", self.limits.waits)));
        }
        *taken += 1;
        Ok(Place { waits: self.waits.clone(), counted })
    }
}

/// A place that is taken.
#[derive(Debug)]
pub(crate) struct Place {
    waits: Arc<Mutex<HashMap<Counted, u32>>>,
    counted: Counted,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut taken) = lock(&self.waits).entry(self.counted) {
            *taken.get_mut() -= 1;
            if *taken.get() == 0 {
                taken.remove();
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter() -> Meter {
        let elsewhere = Limits::on(([192, 0, 2, 1], 80).into());
        Meter::new(Limits { requests_per_s: Some(1), burst: 2, waits: 1, ..elsewhere })
    }
    fn from(last: u8) -> Principal {
        Principal { peer: Some([192, 0, 2, last].into()), ..Principal::nobody() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_has_a_rate_of_its_own() {
        let meter = meter();
        let asked = |last| meter.admit(&from(last)).is_ok();
        assert_eq!([asked(1), asked(1), asked(1), asked(2)], [true, true, false, true]);
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!([asked(1), asked(1)], [true, false]);
    }

    #[test]
    fn a_caller_may_wait_only_so_often_at_once() {
        let meter = meter();
        let place = meter.place(&from(1)).unwrap();
        assert_eq!(&*meter.place(&from(1)).unwrap_err().code, "LIMIT_REACHED");
        assert!(meter.place(&from(2)).is_ok());
        drop(place);
        assert!(meter.place(&from(1)).is_ok());
        assert!(lock(&meter.waits).is_empty());
    }

    #[test]
    fn on_this_machine_nobody_is_slowed_down() {
        let meter = Meter::new(Limits::on(([127, 0, 0, 1], 0).into()));
        assert!((0..10_000).all(|_| meter.admit(&from(1)).is_ok()));
    }
}
