//! Texts in base64 or hexadecimal: what they hold is looked at like anything else, once.

use super::scan::{Hit, Hits, Stands, plain};
use crate::event::CheckResult;

/// The shortest run that is looked at, in characters: what is shorter hides nothing that works.
const RUN_MIN: usize = 40;
/// How much of one run is decoded, in characters.
const RUN_MAX: usize = 88 * 1024;

/// How programs begin: ELF, PE, Mach-O, WebAssembly, a script.
const PROGRAMS: [&[u8]; 7] =
    [b"\x7fELF", b"MZ\x90\x00", b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xca\xfe\xba\xbe", b"\x00asm", b"#!/"];

/// Looks into every run.
pub(super) fn look(text: &str, hits: &mut Hits) {
    let bytes = text.as_bytes();
    // A run that long has a character at one of these places.
    let mut at = RUN_MIN - 1;
    while at < bytes.len() && hits.decode_left > 0 {
        if !is_digit(bytes[at]) {
            at += RUN_MIN;
            continue;
        }
        let from = at - bytes[..at].iter().rev().take_while(|b| is_digit(**b)).count();
        let end = at + bytes[at..].iter().take_while(|b| is_digit(**b)).count();
        if end - from >= RUN_MIN {
            run(&bytes[from..end.min(from + RUN_MAX)], from, end, hits);
        }
        at = end + RUN_MIN;
    }
}

fn run(digits: &[u8], at: usize, end: usize, hits: &mut Hits) {
    hits.decode_left = hits.decode_left.saturating_sub(digits.len());
    for decoded in [hex(digits), base64(digits)].into_iter().flatten() {
        if PROGRAMS.iter().any(|magic| decoded.starts_with(magic)) {
            return hits.push(Hit::new("encoded.program", CheckResult::RequiresReview, at, end));
        }
        // A cut at the end may have torn a character.
        let valid = match std::str::from_utf8(&decoded) {
            Ok(text) => text,
            Err(torn) if torn.valid_up_to() + 4 >= decoded.len() => {
                std::str::from_utf8(&decoded[..torn.valid_up_to()]).unwrap_or_default()
            }
            Err(_) => continue,
        };
        let mut within = Hits { decode_left: 0, ..Hits::default() };
        plain(valid, Stands::ToBeDone, &mut within);
        let worst = within.list.into_iter().filter(|hit| hit.result >= CheckResult::RequiresReview).max_by_key(|hit| hit.result);
        if let Some(hit) = worst {
            return hits.push(Hit { hides: Some(hit.rule), ..Hit::new("encoded.text", CheckResult::RequiresReview, at, end) });
        }
    }
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

fn hex(digits: &[u8]) -> Option<Vec<u8>> {
    let value = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|two| Some(value(two[0])? << 4 | value(two[1])?)).collect()
}

/// Reads base64 in either alphabet, padded or not.
pub(super) fn base64(digits: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(digits.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in digits {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' => break,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    Some(out)
}
