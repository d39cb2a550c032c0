//! Typed ids. Each prints its kind and sorts by the time it was made: `task_01k…`.
//!
//! The text form is that of TypeID: a prefix, an underscore and 26 letters of Crockford's base 32 over a UUIDv7. Ids are
//! made outside of this crate, where clock and randomness are; here they are read, written and derived.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::{fmt, marker::PhantomData, str::FromStr};

/// What an id names; gives the prefix of its text form.
pub trait Kind: Copy + Ord + std::hash::Hash + 'static {
    /// The word before the underscore.
    const PREFIX: &'static str;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $id:ident $prefix:literal;)*) => {$(
        #[doc = concat!("The kind of `", $prefix, "_…` ids.")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {}
        impl Kind for $kind { const PREFIX: &'static str = $prefix; }
        $(#[$doc])*
        pub type $id = Id<$kind>;
    )*};
}

kinds! {
    /// Names a task.
    TaskKind TaskId "task";
    /// Names an agent.
    AgentKind AgentId "agent";
    /// Names one claim of work, chosen by the agent, so that a repeated claim is answered alike.
    ClaimKind ClaimId "claim";
    /// Names one effect on the outside world.
    EffectKind EffectId "effect";
    /// Names one review by the council.
    ReviewKind ReviewId "review";
    /// Names one version of the plan of a task.
    PlanKind PlanId "plan";
    /// Names a key; the key itself is something else.
    KeyKind KeyId "key";
    /// Names a hold.
    HoldKind HoldId "hold";
    /// Names an amendment of the constitution.
    AmendmentKind AmendmentId "amendment";
    /// Names a subscription to messages over HTTP.
    WebhookKind WebhookId "webhook";
}

/// A typed id; compare, sort and print it, nothing else.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K>(u128, PhantomData<K>);

/// Crockford's base 32: no i, l, o, u.
const LETTERS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

impl<K: Kind> Id<K> {
    /// A UUIDv7 from milliseconds since the Unix epoch and 80 random bits (of which 74 are kept; RFC 9562 §5.7).
    pub fn new(at_ms: i64, random: [u8; 10]) -> Self {
        let mut bits = ((at_ms.max(0) as u128) & 0xffff_ffff_ffff) << 80;
        for (i, byte) in random.iter().enumerate() {
            bits |= u128::from(*byte) << (8 * (9 - i));
        }
        Self(stamp(bits), PhantomData)
    }

    /// The id that follows from where it was decided: deciding again mints the same. Sorts beside `parent`.
    pub fn derived<P>(parent: Id<P>, version: u64, ordinal: u32) -> Self {
        let mut hash = Sha256::new();
        hash.update(K::PREFIX.as_bytes());
        hash.update(parent.0.to_be_bytes());
        hash.update(version.to_be_bytes());
        hash.update(ordinal.to_be_bytes());
        let digest = hash.finalize();
        let mut low = [0u8; 16];
        low[6..].copy_from_slice(&digest[..10]);
        let bits = (parent.0 >> 80 << 80) | u128::from_be_bytes(low);
        Self(stamp(bits), PhantomData)
    }

    /// The 128 bits, for a store.
    pub fn bits(self) -> u128 {
        self.0
    }

    /// The id with these 128 bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(bits, PhantomData)
    }
}

/// Sets version 7 and the RFC 9562 variant.
fn stamp(bits: u128) -> u128 {
    (bits & !(0xf << 76) & !(0b11 << 62)) | (0x7 << 76) | (0b10 << 62)
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, K::PREFIX, self.0)
    }
}

/// The longest word before the underscore of a name.
const KIND_MAX: usize = 12;
/// The letters of 128 bits.
const LETTERS_LEN: usize = 26;

/// A kind, an underscore and 26 letters, written in one piece: ids are printed several times for every event.
fn write_name(f: &mut fmt::Formatter<'_>, kind: &str, mut bits: u128) -> fmt::Result {
    let mut text = [b'_'; KIND_MAX + 1 + LETTERS_LEN];
    let len = kind.len() + 1 + LETTERS_LEN;
    text[..kind.len()].copy_from_slice(kind.as_bytes());
    for letter in text[kind.len() + 1..len].iter_mut().rev() {
        *letter = LETTERS[(bits & 31) as usize];
        bits >>= 5;
    }
    f.write_str(std::str::from_utf8(&text[..len]).expect("kinds and letters are ASCII"))
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an id of the form {prefix}_ and 26 letters or digits")]
pub struct NotAnId {
    prefix: &'static str,
    text: String,
}

impl<K: Kind> FromStr for Id<K> {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let parse = || {
            let letters = text.strip_prefix(K::PREFIX)?.strip_prefix('_')?.as_bytes();
            // 26 letters carry 130 bits: the first may not exceed 7.
            if letters.len() != 26 || letters[0] > b'7' {
                return None;
            }
            letters.iter().try_fold(0u128, |bits, letter| {
                let value = LETTERS.iter().position(|l| l == letter)?;
                Some(bits << 5 | value as u128)
            })
        };
        parse().map(Self::from_bits).ok_or_else(|| NotAnId { prefix: K::PREFIX, text: text.chars().take(64).collect() })
    }
}

impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamKind {
    /// The life of one task.
    Task,
    /// One agent: registered, drained, revoked.
    Agent,
    /// The constitution of a namespace and its amendments.
    Constitution,
    /// One schedule and what it gave birth to.
    Schedule,
    /// What is a fact for a whole namespace: refused submissions, holds.
    Namespace,
}

impl StreamKind {
    /// Every kind, in a fixed order.
    pub const ALL: [Self; 5] = [Self::Task, Self::Agent, Self::Constitution, Self::Schedule, Self::Namespace];

    /// The word before the underscore of a stream's name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Agent => "agent",
            Self::Constitution => "constitution",
            Self::Schedule => "schedule",
            Self::Namespace => "namespace",
        }
    }
}

/// The name of a stream: its kind and 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// What the stream is about.
    pub kind: StreamKind,
    /// Which one.
    pub bits: u128,
}

impl StreamId {
    /// The stream of a kind that has a name instead of an id (a namespace, a constitution); the same name gives the same stream.
    pub fn named(kind: StreamKind, name: &str) -> Self {
        let digest = Sha256::digest(format!("{}:{name}", kind.word()));
        let mut bits = [0u8; 16];
        bits.copy_from_slice(&digest[..16]);
        Self { kind, bits: stamp(u128::from_be_bytes(bits)) }
    }

    /// The task this stream is about, if it is about one.
    pub fn task(self) -> Option<TaskId> {
        (self.kind == StreamKind::Task).then(|| TaskId::from_bits(self.bits))
    }
}

impl From<TaskId> for StreamId {
    fn from(id: TaskId) -> Self {
        Self { kind: StreamKind::Task, bits: id.bits() }
    }
}

impl From<AgentId> for StreamId {
    fn from(id: AgentId) -> Self {
        Self { kind: StreamKind::Agent, bits: id.bits() }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.kind.word(), self.bits)
    }
}

impl FromStr for StreamId {
    type Err = NotAnId;
    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId { prefix: "stream", text: text.chars().take(64).collect() };
        let (word, rest) = text.split_once('_').ok_or_else(wrong)?;
        let kind = StreamKind::ALL.into_iter().find(|k| k.word() == word).ok_or_else(wrong)?;
        let id: TaskId = format!("task_{rest}").parse().map_err(|_| wrong())?;
        Ok(Self { kind, bits: id.bits() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text() {
        let id = TaskId::new(1_790_000_000_123, [0xab; 10]);
        let text = id.to_string();
        assert_eq!(text.len(), "task_".len() + 26);
        assert_eq!(text.parse::<TaskId>().unwrap(), id);
        assert!(text.replace("task", "agent").parse::<TaskId>().is_err());
        assert!("task_zzzzzzzzzzzzzzzzzzzzzzzzzz".parse::<TaskId>().is_err());
    }

    #[test]
    fn later_ids_sort_behind_earlier_ones_as_text_too() {
        let early = TaskId::new(1_000, [0xff; 10]);
        let late = TaskId::new(1_001, [0; 10]);
        assert!(early < late && early.to_string() < late.to_string());
    }

    #[test]
    fn deciding_again_derives_the_same_id_and_another_place_another() {
        let parent = TaskId::new(5, [1; 10]);
        assert_eq!(TaskId::derived(parent, 3, 0), TaskId::derived(parent, 3, 0));
        assert_ne!(TaskId::derived(parent, 3, 0), TaskId::derived(parent, 3, 1));
        assert_ne!(TaskId::derived(parent, 3, 0), TaskId::derived(parent, 4, 0));
    }

    #[test]
    fn a_stream_survives_its_text() {
        let stream = StreamId::named(StreamKind::Namespace, "default");
        assert_eq!(stream.to_string().parse::<StreamId>().unwrap(), stream);
    }
}
