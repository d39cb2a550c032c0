//! From bytes to text that is safe to show and to store.

use super::error::{Fault, Trouble};
use super::{FILE_BYTES_MAX, LINE_CHARS_MAX};
use std::borrow::Cow;

/// Reads UTF-8, and says what else it might be where it is none.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, Fault> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let mib = FILE_BYTES_MAX / (1024 * 1024);
        return Err(Fault::new(Trouble::TooLarge, format!("{} bytes are more than the {mib} MiB that are read", bytes.len())));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(encoding("it is UTF-16; save it as UTF-8", &[]));
    }
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(encoding("a NUL byte; is it UTF-16, or no text at all? Save it as UTF-8", &bytes[..at]));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let (good, bad) = bytes.split_at(error.valid_up_to());
        let byte = bad.first().copied().unwrap_or_default();
        encoding(&format!("the byte 0x{byte:02x} is not UTF-8 (perhaps Latin-1, or cut short); save it as UTF-8"), good)
    })?;
    if text.trim().is_empty() { Err(Fault::new(Trouble::Syntax, "it is empty")) } else { Ok(text) }
}

fn encoding(message: &str, before: &[u8]) -> Fault {
    let line = 1 + before.iter().filter(|b| **b == b'\n').count() as u64;
    let last = before.rsplit(|b| *b == b'\n').next().unwrap_or_default();
    let column = 1 + String::from_utf8_lossy(last).chars().count() as u64;
    Fault::new(Trouble::Encoding, message).at_line(line, column)
}

/// One line of at most [`LINE_CHARS_MAX`] characters, without control characters: what a message may carry of foreign text.
pub(super) fn short(text: &str) -> String {
    shorten(text, LINE_CHARS_MAX)
}

/// The same with another length.
pub(super) fn shorten(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    // A little more than is kept is enough to know that something is left over.
    for (count, c) in text.trim().chars().enumerate() {
        if count == chars_max {
            line.push('…');
            break;
        }
        line.push(if c.is_control() { ' ' } else { c });
    }
    line
}

/// Text for a title: words with single spaces, no control characters.
pub(super) fn words(text: &str) -> String {
    let clean: Cow<'_, str> =
        if text.contains(char::is_control) { text.replace(|c: char| c.is_control(), " ").into() } else { text.into() };
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The last part of a name, without its extension: what a plan without a title is called.
pub(super) fn stem(name: &str) -> &str {
    let file = name.rsplit(['/', '\\']).next().unwrap_or(name);
    file.rsplit_once('.').map_or(file, |(stem, _)| if stem.is_empty() { file } else { stem })
}

/// `maxRetries` as `max_retries`.
pub(super) fn snake(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_utf8_is_named_with_its_place() {
        for (bytes, words) in [
            (&b"\xff\xfea\0"[..], "UTF-16"),
            (b"one\ntw\0o", "line 2, column 3: a NUL byte"),
            (b"caf\xe9", "line 1, column 4: the byte 0xe9"),
            (b" \n\t", "empty"),
            (b"", "empty"),
        ] {
            let fault = decode(bytes).unwrap_err().to_string();
            assert!(fault.contains(words), "{fault}");
        }
        assert_eq!(decode(b"\xef\xbb\xbfsteps: []").unwrap(), "steps: []");
    }

    #[test]
    fn a_message_carries_one_short_line() {
        assert_eq!(short("a\nb\u{1b}[31m"), "a b [31m");
        assert_eq!(short(&"x".repeat(2_000)).chars().count(), LINE_CHARS_MAX + 1);
        assert_eq!((stem("a/b.c.yaml"), stem(".env"), stem("plan")), ("b.c", ".env", "plan"));
    }
}
