//! Bytes and hashes: how an event is chained, and how a batch is.
//!
//! The chain can be checked with stock tools. An event's hash is SHA-256 over these parts, each preceded by its length as eight
//! bytes, big-endian: the hash of the event before it in its stream (32 zero bytes for the first), stream name, version, time, kind,
//! actor, status before, status after, schema number (numbers in decimal, an absent word as the empty text), data as JSON text, and
//! the digest of the private part (empty where there is none). A commit's hash covers the hash of the commit before it, the first and
//! last position and the root, SHA-256 over the event hashes.

use crate::store::COMPRESS_ABOVE;
use ephor_core::id::StreamId;
use ephor_core::status::Status;
use sha2::{Digest, Sha256};

/// The hash before the first event of a stream, and before the first commit.
pub const GENESIS: [u8; 32] = [0; 32];

/// What an event's hash covers.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// Its stream.
    pub stream: StreamId,
    /// Its place in it.
    pub version: u64,
    /// When.
    pub at: i64,
    /// Its word.
    pub kind: &'a str,
    /// Who.
    pub actor: &'a str,
    /// The status before.
    pub before: Option<Status>,
    /// The status after.
    pub after: Option<Status>,
    /// The number of its form.
    pub schema: u16,
    /// The structure as stored, decompressed.
    pub data: &'a str,
    /// The digest of its private part.
    pub private: Option<&'a [u8; 32]>,
}

/// The hash of an event that follows `previous` in its stream.
pub fn event_hash(previous: &[u8; 32], event: &Hashed<'_>) -> [u8; 32] {
    let mut parts = Parts { hash: Sha256::new(), text: String::with_capacity(64) };
    parts.bytes(previous);
    parts.shown(event.stream);
    parts.shown(event.version);
    parts.shown(event.at);
    parts.bytes(event.kind.as_bytes());
    parts.bytes(event.actor.as_bytes());
    parts.bytes(event.before.map_or("", Status::word).as_bytes());
    parts.bytes(event.after.map_or("", Status::word).as_bytes());
    parts.shown(event.schema);
    parts.bytes(event.data.as_bytes());
    parts.bytes(event.private.map_or(&[][..], |d| &d[..]));
    parts.hash.finalize().into()
}

/// Parts on their way into a hash, each with its length before it.
struct Parts {
    hash: Sha256,
    /// What was written last; kept, so that not every part asks for memory.
    text: String,
}

impl Parts {
    fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_be_bytes());
        self.hash.update(bytes);
    }

    fn shown(&mut self, part: impl std::fmt::Display) {
        use std::fmt::Write;
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        write!(text, "{part}").expect("memory takes what is written to it");
        self.bytes(text.as_bytes());
        self.text = text;
    }
}

/// The root of a commit: SHA-256 over its event hashes in order.
pub fn commit_root<'a>(hashes: impl IntoIterator<Item = &'a [u8; 32]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for h in hashes {
        hash.update(h);
    }
    hash.finalize().into()
}

/// The hash of a commit that follows `previous`.
pub fn commit_hash(previous: &[u8; 32], first: u64, last: u64, root: &[u8; 32]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(previous);
    hash.update(first.to_be_bytes());
    hash.update(last.to_be_bytes());
    hash.update(root);
    hash.finalize().into()
}

/// The digest of a private part.
pub fn private_digest(salt: &[u8; 16], body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    hash.update(body);
    hash.finalize().into()
}

/// An event's data as a store keeps it: compressed where it is large and that makes it smaller.
pub fn compress(data: &str) -> Option<Vec<u8>> {
    if data.len() <= COMPRESS_ABOVE {
        return None;
    }
    let packed = zstd::bulk::compress(data.as_bytes(), ZSTD_LEVEL).expect("memory takes what is written to it");
    (packed.len() < data.len()).then_some(packed)
}

/// The data that `compress` made smaller.
pub fn decompress(packed: &[u8]) -> Result<String, String> {
    let data = zstd::decode_all(packed).map_err(|e| format!("its data does not decompress: {e}"))?;
    String::from_utf8(data).map_err(|_| "its data is not text".into())
}

/// Fast; higher levels take several times as long for a tenth less.
const ZSTD_LEVEL: i32 = 3;
