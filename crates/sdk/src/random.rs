//! Randomness of the client's own: keys of requests, ids of claims, the spread of waits.

use std::fmt::Write as _;
use std::time::Duration;

/// So many random bytes.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system has randomness once it has started");
    bytes
}

/// A key that nobody made before: 128 bits in hexadecimal.
pub(crate) fn key() -> String {
    bytes::<16>().iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The wait, shortened by up to a half, so that those who lost the same server do not come back together.
pub(crate) fn spread(wait: Duration) -> Duration {
    let part = f64::from(u32::from_le_bytes(bytes())) / f64::from(u32::MAX);
    wait.mul_f64(0.5 + part / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_wait_is_between_a_half_and_the_whole() {
        for _ in 0..100 {
            let wait = spread(Duration::from_secs(8));
            assert!((Duration::from_secs(4)..=Duration::from_secs(8)).contains(&wait), "{wait:?}");
        }
        assert_ne!(key(), key());
    }
}
