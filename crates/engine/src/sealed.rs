//! The words beside an event, ready for the store: encoded, salted and digested. That depends on nothing that is decided, so whoever
//! submits a task has it done on their own thread, before the writer's queue.

use crate::codec;
use crate::store::{Blob, COMPRESS_ABOVE, PrivateBody, PrivatePart};
use ephor_core::event::Private;
use ephor_core::id::StreamId;
use sha2::{Digest, Sha256};

/// A private part, and the blob that holds its words where they are many.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) part: PrivatePart,
    pub(crate) blob: Option<Blob>,
}

/// About as much room as the words of most requests take.
const USUAL_BYTES: usize = 512;

impl Sealed {
    /// Seals words of an event of this stream. `salt` has to be random.
    pub(crate) fn new(stream: StreamId, words: &Private, salt: [u8; 16]) -> Self {
        let mut body = Vec::with_capacity(USUAL_BYTES);
        serde_json::to_writer(&mut body, words).expect("private parts are plain data");
        let digest = codec::private_digest(&salt, &body);
        if body.len() <= COMPRESS_ABOVE {
            return Self { part: PrivatePart { digest, salt, body: PrivateBody::Inline(body) }, blob: None };
        }
        let mut hash = Sha256::new();
        hash.update(stream.to_string());
        hash.update(digest);
        let key: String = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
        let part = PrivatePart { digest, salt, body: PrivateBody::Blob(key.clone()) };
        Self { part, blob: Some(Blob { key, body }) }
    }
}
