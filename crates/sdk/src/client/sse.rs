//! Server-sent events on one connection: bytes into frames.

use super::call::{Call, is_passing};
use super::error::innermost;
use super::{Client, ClientError};
use reqwest::Response;
use std::time::Duration;

/// How long a stream may be silent: the server says a word at least every five seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// The largest frame that is read.
const FRAME_MAX: usize = 16 << 20;

/// One frame of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) event: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

/// An open stream. Dropping a pending `next` loses nothing.
pub(crate) struct Sse {
    response: Response,
    buffer: Vec<u8>,
    /// How far the buffer has been searched for the end of a frame.
    searched: usize,
}

impl Sse {
    /// Opens a stream, or hears why not.
    pub(crate) async fn open(client: &Client, call: &Call) -> Result<Self, ClientError> {
        let response = match tokio::time::timeout(SILENCE_MAX, client.send(call, Some("text/event-stream"))).await {
            Ok(response) => response?,
            Err(_) => return Err(client.unreachable("no stream was opened in time")),
        };
        if is_passing(response.status()) || !response.status().is_success() {
            return Err(client.refusal(response).await);
        }
        let kind = response.headers().get(reqwest::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match kind.starts_with("text/event-stream") {
            true => Ok(Self { response, buffer: Vec::new(), searched: 0 }),
            false => Err(client.unreadable(format!("a stream was asked for, {kind:?} came"))),
        }
    }

    /// The next frame; `None` when the server has ended the stream.
    pub(crate) async fn next(&mut self, client: &Client) -> Result<Option<Frame>, ClientError> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(Some(frame));
            }
            match tokio::time::timeout(SILENCE_MAX, self.response.chunk()).await {
                Err(_) => return Err(client.unreachable(format!("nothing came for {} s", SILENCE_MAX.as_secs()))),
                Ok(Err(error)) => return Err(client.unreachable(innermost(&error))),
                Ok(Ok(None)) => return Ok(None),
                Ok(Ok(Some(piece))) if self.buffer.len() + piece.len() > FRAME_MAX => {
                    return Err(client.unreadable(format!("an event is larger than {FRAME_MAX} bytes")));
                }
                Ok(Ok(Some(piece))) => self.buffer.extend_from_slice(&piece),
            }
        }
    }

    /// The first whole frame in the buffer.
    fn take(&mut self) -> Option<Frame> {
        let (length, past) = end_of_frame(&self.buffer, self.searched).or_else(|| {
            // The end may begin with the last bytes that are there.
            self.searched = self.buffer.len().saturating_sub(3);
            None
        })?;
        let text = String::from_utf8_lossy(&self.buffer[..length]).into_owned();
        self.buffer.drain(..past);
        self.searched = 0;
        Some(read(&text))
    }
}

/// Where a frame ends: an empty line. Answers its length, and where the next one begins.
fn end_of_frame(buffer: &[u8], from: usize) -> Option<(usize, usize)> {
    (from..buffer.len()).find_map(|i| {
        let rest = &buffer[i..];
        let marks: [&[u8]; 3] = [b"\r\n\r\n", b"\n\n", b"\r\r"];
        marks.iter().find(|mark| rest.starts_with(mark)).map(|mark| (i, i + mark.len()))
    })
}

fn read(text: &str) -> Frame {
    let mut frame = Frame::default();
    let mut data: Vec<&str> = Vec::new();
    for line in text.split(['\n', '\r']) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => frame.event = value.to_owned(),
            "data" => data.push(value),
            "id" => frame.id = Some(value.to_owned()),
            // A comment, or a field of a later day.
            _ => {}
        }
    }
    frame.data = data.join("\n");
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let text = b"id: 7\nevent: ASSIGNED\ndata: {\"a\":\ndata: 1}\n\n: comment\n\nevent: tick\r\ndata: x\r\n\r\n";
        assert_eq!(end_of_frame(&text[..20], 0), None);
        let (length, past) = end_of_frame(text, 0).unwrap();
        let frame = read(std::str::from_utf8(&text[..length]).unwrap());
        assert_eq!((frame.id.as_deref(), frame.event.as_str(), frame.data.as_str()), (Some("7"), "ASSIGNED", "{\"a\":\n1}"));
        let (length, next) = end_of_frame(&text[past..], 0).unwrap();
        assert_eq!(read(std::str::from_utf8(&text[past..past + length]).unwrap()), Frame::default());
        let rest = &text[past + next..];
        let (length, past) = end_of_frame(rest, 0).unwrap();
        assert_eq!(read(std::str::from_utf8(&rest[..length]).unwrap()).event, "tick");
        assert_eq!(past, rest.len());
    }
}
