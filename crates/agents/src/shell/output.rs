//! What a command says, in bounded memory: its beginning and its end.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long the end of a stream is waited for once its command has ended. Only a process that escaped still holds it open.
const END: Duration = Duration::from_secs(1);

/// The first half and the last half of a stream.
#[derive(Clone, Debug)]
pub(super) struct HeadTail {
    half: usize,
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// All bytes, kept or not.
    total: u64,
}

impl HeadTail {
    fn new(bytes_max: usize) -> Self {
        Self { half: bytes_max / 2, head: Vec::new(), tail: VecDeque::new(), total: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let (first, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(first);
        self.tail.extend(rest);
        let over = self.tail.len().saturating_sub(self.half);
        self.tail.drain(..over);
    }

    /// How many bytes in the middle were not kept.
    pub(super) fn omitted(&self) -> u64 {
        self.total - (self.head.len() + self.tail.len()) as u64
    }

    /// The two parts as text; together they are the whole where nothing was omitted.
    pub(super) fn parts(&self) -> (String, String) {
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        if self.omitted() == 0 {
            return (String::from_utf8_lossy(&[&self.head[..], &tail].concat()).into_owned(), String::new());
        }
        (String::from_utf8_lossy(&self.head).into_owned(), String::from_utf8_lossy(&tail).into_owned())
    }
}

/// Reads a stream to its end, however long it is.
pub(super) struct Collector {
    kept: Arc<Mutex<HeadTail>>,
    reading: JoinSet<()>,
}

impl Collector {
    pub(super) fn of(mut stream: impl AsyncRead + Unpin + Send + 'static, bytes_max: usize) -> Self {
        let kept = Arc::new(Mutex::new(HeadTail::new(bytes_max)));
        let mut reading = JoinSet::new();
        let keep = kept.clone();
        reading.spawn(async move {
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                keep.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]);
            }
        });
        Self { kept, reading }
    }

    /// What was said, once the command has ended.
    pub(super) async fn end(mut self) -> HeadTail {
        timeout(END, self.reading.join_next()).await.ok();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_and_the_end_are_kept() {
        let mut kept = HeadTail::new(8);
        kept.push(b"abc");
        kept.push(b"defgh");
        assert_eq!((kept.omitted(), kept.parts()), (0, ("abcdefgh".into(), String::new())));
        kept.push(b"ij");
        assert_eq!((kept.omitted(), kept.parts()), (2, ("abcd".into(), "ghij".into())));
        (0..1_000).for_each(|_| kept.push(&[b'x'; 1_000]));
        assert_eq!((kept.head.len(), kept.tail.len()), (4, 4));
    }
}
