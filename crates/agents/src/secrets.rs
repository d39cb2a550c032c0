//! `${secrets.NAME}`: known only here, where it is used, and kept out of everything that is said about the work.

use crate::confine;
use ephor_core::spec::ErrorClass;
use ephor_core::work::Failure;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The shortest secret, in bytes: shorter ones could not be masked without spoiling every text.
pub const SECRET_BYTES_MIN: usize = 4;

/// The largest file of secrets, in bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;

/// What stands where a secret was.
const MASK: &str = "***";

/// Where secrets are looked up: first the environment, as `EPHOR_SECRET_NAME`, then a file of lines `NAME=value`.
#[derive(Clone, Debug)]
pub struct Source {
    /// Reads the environment: `|name| std::env::var(name).ok()`.
    pub env: fn(&str) -> Option<String>,
    /// The file; refused if anybody but its owner may read or write it.
    pub file: Option<PathBuf>,
}

impl Default for Source {
    fn default() -> Self {
        Self { env: |name| std::env::var(name).ok(), file: None }
    }
}

/// The secrets one piece of work has used.
#[derive(Clone, Default)]
pub(crate) struct Used(Vec<String>);

impl Source {
    /// Puts secrets in place of `${secrets.NAME}` and remembers them in `used`.
    ///
    /// # Errors
    /// `NotFound` for an unknown name, `Refused` for a file others may read, `BadInput` for a secret too short to be masked.
    pub(crate) fn reveal(&self, text: &str, used: &mut Used) -> Result<String, Failure> {
        let mut revealed = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, after) = after.split_once('}').ok_or_else(|| bad(format!("{OPEN} is not closed")))?;
            let secret = self.look_up(name)?;
            revealed.push_str(before);
            revealed.push_str(&secret);
            used.remember(secret);
            rest = after;
        }
        revealed.push_str(rest);
        Ok(revealed)
    }

    fn look_up(&self, name: &str) -> Result<String, Failure> {
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(bad(format!("{name:?} is no name of a secret; it has letters, digits and _")));
        }
        let secret = match (self.env)(&format!("EPHOR_SECRET_{name}")) {
            Some(secret) => secret,
            None => self.in_file(name)?.ok_or_else(|| {
                Failure::final_(ErrorClass::NotFound, format!("no secret {name}; set EPHOR_SECRET_{name} or add it to the file"))
            })?,
        };
        if secret.len() < SECRET_BYTES_MIN {
            return Err(bad(format!("the secret {name} is shorter than {SECRET_BYTES_MIN} bytes")));
        }
        Ok(secret)
    }

    fn in_file(&self, name: &str) -> Result<Option<String>, Failure> {
        let Some(path) = &self.file else { return Ok(None) };
        let shown = path.display().to_string();
        private(path).map_err(|e| confine::failure(&shown, &e))?;
        let content = String::from_utf8(confine::read(path, &shown, FILE_BYTES_MAX)?);
        let content = content.map_err(|_| bad(format!("{shown} is not UTF-8")))?;
        let value = |line: &str| Some(line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().to_string());
        Ok(content.lines().find_map(value))
    }
}

/// Whether text asks for a secret.
pub(crate) fn wanted(text: &str) -> bool {
    text.contains(OPEN)
}

/// How a reference to a secret begins.
const OPEN: &str = "${secrets.";

/// Refuses a file that others may read or write.
fn private(path: &Path) -> std::io::Result<()> {
    let mode = fs::metadata(path)?.mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let message = format!("its mode is {mode:o}; a file of secrets must be 600");
    Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, message))
}

fn bad(message: String) -> Failure {
    Failure::final_(ErrorClass::BadInput, message)
}

impl Used {
    fn remember(&mut self, secret: String) {
        if !self.0.contains(&secret) {
            self.0.push(secret);
            // A secret that is part of another one is masked after it, or the rest of the longer one would show.
            self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        }
    }

    /// The text without the secrets.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.0.iter().fold(text.to_string(), |text, secret| text.replace(secret, MASK))
    }

    /// Masks what is left of a text whose middle was cut out: also the beginning and the end of a secret the cut went
    /// through.
    pub(crate) fn mask_cut(&self, head: &str, tail: &str) -> (String, String) {
        let (mut head, mut tail) = (self.mask(head), self.mask(tail));
        for secret in &self.0 {
            let cuts = || secret.char_indices().map(|(at, _)| at).filter(|at| *at > 0);
            if let Some(at) = cuts().rev().find(|at| head.ends_with(&secret[..*at])) {
                head.replace_range(head.len() - at.., MASK);
            }
            if let Some(at) = cuts().find(|at| tail.starts_with(&secret[*at..])) {
                tail.replace_range(..secret.len() - at, MASK);
            }
        }
        (head, tail)
    }

    /// Whether bytes hold one of the secrets as it is.
    pub(crate) fn occurs_in(&self, content: &[u8]) -> bool {
        self.0.iter().any(|secret| content.windows(secret.len()).any(|window| window == secret.as_bytes()))
    }

    /// The failure without the secrets.
    pub(crate) fn mask_failure(&self, failure: Failure) -> Failure {
        Failure { message: self.mask(&failure.message), ..failure }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn env(name: &str) -> Option<String> {
        (name == "EPHOR_SECRET_TOKEN").then(|| "s3cr3t-value".into())
    }

    #[test]
    fn a_secret_is_put_in_place_and_masked_again() {
        let (source, mut used) = (Source { env, file: None }, Used::default());
        let text = source.reveal("Bearer ${secrets.TOKEN}!", &mut used).unwrap();
        assert_eq!(text, "Bearer s3cr3t-value!");
        assert_eq!(used.mask("said s3cr3t-value twice: s3cr3t-value"), "said *** twice: ***");
        assert_eq!(used.mask_cut("head s3cr3t", "-value tail"), ("head ***".into(), "*** tail".into()));
        assert_eq!(source.reveal("${secrets.OTHER}", &mut used).unwrap_err().class, ErrorClass::NotFound);
        assert_eq!(source.reveal("${secrets.a/b}", &mut used).unwrap_err().class, ErrorClass::BadInput);
    }

    #[test]
    fn a_file_of_secrets_must_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secrets");
        fs::write(&file, "# mail\nMAIL_KEY = from-the-file\n").unwrap();
        let (source, mut used) = (Source { env: |_| None, file: Some(file.clone()) }, Used::default());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = source.reveal("${secrets.MAIL_KEY}", &mut used).unwrap_err();
        assert!(refused.class == ErrorClass::Refused && refused.message.contains("640"), "{refused:?}");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(source.reveal("${secrets.MAIL_KEY}", &mut used).unwrap(), "from-the-file");
        assert_eq!(source.reveal("${secrets.MAIL}", &mut used).unwrap_err().class, ErrorClass::NotFound);
    }
}
