//! How a server tells others over HTTP.

use ephor_core::time::WireDuration;
use serde::Deserialize;

/// The section `webhooks`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hooks {
    /// Whether private addresses may be told: those of this machine, its network, a cloud's metadata.
    pub allow_private: bool,
    /// How long a receiver may take to answer.
    pub timeout: WireDuration,
    /// After how long without any success a webhook is switched off.
    pub off_after: WireDuration,
}

impl Default for Hooks {
    fn default() -> Self {
        let (timeout, off_after) = (WireDuration { ms: 10_000 }, WireDuration { ms: 3 * 86_400_000 });
        Self { allow_private: false, timeout, off_after }
    }
}

impl Hooks {
    /// What is wrong with it, with the name of the key; nothing where all is well.
    pub(super) fn problem(&self) -> Option<String> {
        let of = |name: &str, said: WireDuration, from: u64, to: u64| {
            let told = |ms| WireDuration { ms };
            let wrong = || format!("webhooks.{name} is {said}; allowed are {} to {}", told(from), told(to));
            (!(from..=to).contains(&said.ms)).then(wrong)
        };
        let timeout = of("timeout", self.timeout, 100, 60_000);
        timeout.or_else(|| of("off_after", self.off_after, 60_000, 366 * 86_400_000))
    }

    /// Each value with its name, as it would be written.
    pub(super) fn values(&self) -> [(&'static str, String); 3] {
        let Self { allow_private, timeout, off_after } = self;
        [("allow_private", allow_private.to_string()), ("timeout", timeout.to_string()), ("off_after", off_after.to_string())]
    }
}
