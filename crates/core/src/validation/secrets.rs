//! Secrets: by their form where it is known, by their name and look where it is not. Nothing of a secret is ever told but the part that
//! all of its kind have in common.

use super::scan::{Hit, Hits, Rule, is_one_of};

/// What follows an anchor.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// So many characters of this alphabet, and nothing of it behind or before.
    Token { rule: &'static str, prefix: &'static str, least: usize, most: usize, of: Alphabet },
    /// `-----BEGIN … PRIVATE KEY-----`.
    PrivateKey,
    /// Three parts in base64, the first of them JSON.
    Jwt,
    /// `scheme://user:password@host`.
    InUrl,
    /// `password=…`
    Named { least: usize },
    /// An address that is a right to write.
    Hook,
}

#[derive(Clone, Copy)]
pub(super) enum Alphabet {
    UpperDigits,
    Alnum,
    /// With `_` and `-`.
    Word,
    Hex,
    /// With `_`, `-` and `.`.
    Dotted,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Self::UpperDigits => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-',
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Dotted => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || byte == b'.',
        }
    }
}

/// The longest value that is looked at for its look, in bytes: longer ones are texts or encoded.
const VALUE_MAX: usize = 256;
/// The shortest password that is taken for one.
const VALUE_MIN: usize = 8;
/// How mixed a value is at least, in bits for each character: words of people are below, what was rolled is above.
const ENTROPY_MIN: f64 = 2.7;
/// How far behind its name a value may begin.
const GAP_MAX: usize = 12;

/// Names of values that are kept secret; the whole name or its end.
const NAMES: [&str; 17] = [
    "password",
    "passwd",
    "passphrase",
    "api_key",
    "apikey",
    "api-key",
    "secret",
    "secret_key",
    "client_secret",
    "access_key",
    "access_token",
    "auth_token",
    "api_token",
    "refresh_token",
    "private_key",
    "bearer",
    "pwd",
];

/// What stands where a value is still to be put.
const STAND_INS: [&str; 19] = [
    "example",
    "changeme",
    "change_me",
    "change-me",
    "your",
    "dummy",
    "sample",
    "placeholder",
    "redacted",
    "xxxx",
    "****",
    "secret",
    "password",
    "passwd",
    "....",
    "todo",
    "insert",
    "12345678",
    "abcdef",
];

pub(super) fn anchors() -> Vec<(&'static str, Rule)> {
    use Alphabet::{Alnum, Dotted, Hex, UpperDigits, Word};
    let token = |rule, prefix, least, most, of| (prefix, Rule::Secret(Kind::Token { rule, prefix, least, most, of }));
    let long = 255;
    let mut list = vec![
        token("secret.aws_access_key", "AKIA", 16, 16, UpperDigits),
        token("secret.aws_access_key", "ASIA", 16, 16, UpperDigits),
        token("secret.github_token", "ghp_", 36, long, Alnum),
        token("secret.github_token", "gho_", 36, long, Alnum),
        token("secret.github_token", "ghu_", 36, long, Alnum),
        token("secret.github_token", "ghs_", 36, long, Alnum),
        token("secret.github_token", "ghr_", 36, long, Alnum),
        token("secret.github_token", "github_pat_", 22, long, Word),
        token("secret.gitlab_token", "glpat-", 20, long, Word),
        token("secret.slack_token", "xoxb-", 20, long, Word),
        token("secret.slack_token", "xoxp-", 20, long, Word),
        token("secret.slack_token", "xoxa-", 20, long, Word),
        token("secret.slack_token", "xoxr-", 20, long, Word),
        token("secret.slack_token", "xoxs-", 20, long, Word),
        token("secret.slack_token", "xapp-", 20, long, Word),
        token("secret.google_api_key", "AIza", 35, 35, Word),
        token("secret.stripe_key", "sk_live_", 16, long, Alnum),
        token("secret.stripe_key", "rk_live_", 16, long, Alnum),
        token("secret.model_key", "sk-ant-", 24, long, Word),
        token("secret.model_key", "sk-proj-", 24, long, Word),
        token("secret.model_key", "sk-", 40, 64, Alnum),
        token("secret.npm_token", "npm_", 36, 36, Alnum),
        token("secret.hugging_face_token", "hf_", 34, 40, Alnum),
        token("secret.digitalocean_token", "dop_v1_", 64, 64, Hex),
        token("secret.sendgrid_key", "SG.", 60, 80, Dotted),
        ("-----BEGIN", Rule::Secret(Kind::PrivateKey)),
        ("eyJ", Rule::Secret(Kind::Jwt)),
        ("://", Rule::Secret(Kind::InUrl)),
        ("hooks.slack.com/services/", Rule::Secret(Kind::Hook)),
        ("token", Rule::Secret(Kind::Named { least: 20 })),
        ("bearer ", Rule::Secret(Kind::Named { least: 20 })),
    ];
    list.extend(
        NAMES.iter().filter(|name| **name != "bearer").map(|name| (*name, Rule::Secret(Kind::Named { least: VALUE_MIN }))),
    );
    list
}

/// Looks at what follows an anchor.
pub(super) fn look(kind: Kind, text: &str, at: usize, end: usize, hits: &mut Hits) {
    let bytes = text.as_bytes();
    match kind {
        Kind::Token { rule, prefix, least, most, of } => {
            let run = bytes[end..].iter().take_while(|byte| of.has(**byte)).count();
            let begins = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
            let body = &text[end..end + run];
            if begins && bytes[at..end] == *prefix.as_bytes() && (least..=most).contains(&run) && rolled(body) {
                hits.push(Hit::secret(rule, at, end + run, prefix.len()));
            }
        }
        Kind::PrivateKey => {
            let line = text[at..].lines().next().unwrap_or_default();
            let body = text[at + line.len()..].trim_start().chars().take_while(|c| !c.is_whitespace() && *c != '-').count();
            if line.contains("PRIVATE KEY") && (body >= 16 || line.contains("\\n")) {
                hits.push(Hit::secret("secret.private_key", at, at + line.len(), line.len().min(10)));
            }
        }
        Kind::Jwt => jwt(text, at, hits),
        Kind::InUrl => in_url(text, at, end, hits),
        Kind::Named { least } => named(text, end, least, hits),
        Kind::Hook => {
            let path = bytes[end..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'/').count();
            let parts: Vec<&str> = text[end..end + path].split('/').collect();
            if parts.len() >= 3 && parts[2].len() >= 16 && rolled(parts[2]) {
                hits.push(Hit::secret("secret.slack_webhook", at, end + path, end - at));
            }
        }
    }
}

/// Whether a key of JSON says that its value is secret.
pub(super) fn named_like_one(key: &str) -> bool {
    let ends = |name: &&str| {
        let from = key.len().checked_sub(name.len());
        from.and_then(|from| key.get(from..)).is_some_and(|end| end.eq_ignore_ascii_case(name))
    };
    NAMES.iter().any(ends)
}

/// Whether a value has the look of a secret: one word of letters and digits, mixed as people do not write.
pub(super) fn looks_like_one(value: &str) -> bool {
    let value = value.trim();
    let has = |test: fn(&u8) -> bool| value.bytes().any(|b| test(&b));
    let framed = value.starts_with(['$', '{', '<', '%', '*', '/', '.', '[', '(', '~', '#']) || value.ends_with([')', '(']);
    (VALUE_MIN..=VALUE_MAX).contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_graphic())
        && !framed
        && has(u8::is_ascii_alphabetic)
        && has(u8::is_ascii_digit)
        && !value.contains("${")
        && !value.contains("://")
        && !is_uuid(value)
        && rolled(value)
}

/// A secret as it may be told: what all of its kind begin with, and how long it is.
pub(super) fn masked(text: &str, hit: &Hit) -> String {
    let inside = text.get(hit.at..hit.end).unwrap_or_default();
    let known = inside.get(..hit.known).unwrap_or_default();
    format!("{known}… ({} characters)", inside.chars().count())
}

/// Whether a value is mixed, and no stand-in for one.
fn rolled(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    !STAND_INS.iter().any(|word| lower.contains(word)) && entropy(value) >= ENTROPY_MIN
}

/// Bits for each character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0u32; 256];
    value.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let all = value.len() as f64;
    counts.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / all).map(|p| -p * p.log2()).sum()
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36
        && value.bytes().enumerate().all(|(i, b)| if [8, 13, 18, 23].contains(&i) { b == b'-' } else { b.is_ascii_hexdigit() })
}

fn jwt(text: &str, at: usize, hits: &mut Hits) {
    let word = |b: &u8| Alphabet::Word.has(*b);
    let mut end = at;
    let mut parts = 0;
    for part in text[at..].split('.').take(3) {
        let run = part.bytes().take_while(|b| word(b)).count();
        if run < 10 {
            break;
        }
        (parts, end) = (parts + 1, end + usize::from(parts > 0) + run);
        if run < part.len() {
            break;
        }
    }
    let begins = at == 0 || !word(&text.as_bytes()[at - 1]);
    let head = text[at..end].split('.').next().unwrap_or_default();
    let json = super::encoded::base64(head.as_bytes());
    if parts == 3 && begins && json.is_some_and(|json| json.windows(5).any(|w| w == b"\"alg\"")) {
        hits.push(Hit::secret("secret.jwt", at, end, 3));
    }
}

fn in_url(text: &str, at: usize, end: usize, hits: &mut Hits) {
    let scheme = text[..at].bytes().rev().take_while(|b| b.is_ascii_alphanumeric() || *b == b'+').count();
    let rest = &text[end..];
    let authority = &rest[..rest.find(|c: char| c.is_whitespace() || "/?#\"'`<>|\\)".contains(c)).unwrap_or(rest.len())];
    let Some((user, _)) = authority.rsplit_once('@') else { return };
    let Some((name, password)) = user.split_once(':') else { return };
    let tame = is_one_of(password, &["pass", "pw", "user", "admin", "root", "test", "postgres", name]);
    if scheme > 0 && password.len() >= 4 && !tame && password.bytes().all(|b| b.is_ascii_graphic()) && !stands_in(password) {
        let from = end + name.len() + 1;
        hits.push(Hit::secret("secret.url_password", from, from + password.len(), 0));
    }
}

fn stands_in(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    value.starts_with(['$', '{', '<', '%', '*', '[']) || STAND_INS.iter().any(|word| lower.contains(word))
}

/// `password = "…"`, `"api_key": "…"`, `token: …`.
fn named(text: &str, end: usize, least: usize, hits: &mut Hits) {
    let bytes = text.as_bytes();
    let bearer = bytes[..end].ends_with(b" ");
    let mut from = end;
    let mut assigned = bearer;
    while let Some(byte) = bytes.get(from).filter(|_| from - end < GAP_MAX) {
        match byte {
            b'=' | b':' => assigned = true,
            b' ' | b'\t' | b'"' | b'\'' | b'`' | b'\\' | b'>' if assigned || *byte != b'>' => {}
            _ => break,
        }
        from += 1;
    }
    if !assigned {
        return;
    }
    let run = bytes[from..].iter().take_while(|b| b.is_ascii_graphic() && !b"\"'`,;&<>|\\".contains(b)).count();
    let value = &text[from..from + run];
    if run >= least && looks_like_one(value) {
        hits.push(Hit::secret("secret.named_value", from, from + run, 0));
    }
}
