//! The operator's token: made at the first start, kept in a file that only its owner may read, and never anywhere else.

use crate::api::{ApiError, Kind};
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Beside the database.
pub(crate) fn file(database: &Path) -> PathBuf {
    database.with_file_name("operator.token")
}

/// The token in the file; a new one where there is no file yet.
pub(crate) fn read_or_make(file: &Path) -> Result<String, ApiError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(mut made) => {
            let token = random("op")?;
            made.write_all(token.as_bytes()).and_then(|()| made.sync_all()).map_err(|e| unusable(file, &e))?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => read(file),
        Err(error) => Err(unusable(file, &error)),
    }
}

/// The operator's token in the file.
pub(crate) fn read(file: &Path) -> Result<String, ApiError> {
    let token = secret(file)?;
    match token.len() >= 32 {
        true => Ok(token),
        false => Err(ApiError::new(Kind::Failed, "UNUSABLE", format!("{} holds no token", file.display()))
            .because("delete it, and a new one is made at the next start")),
    }
}

/// The secret in a file. A file that others may read is no secret, and refused.
pub(crate) fn secret(file: &Path) -> Result<String, ApiError> {
    let mut open = OpenOptions::new().read(true).open(file).map_err(|e| unusable(file, &e))?;
    let mode = open.metadata().map_err(|e| unusable(file, &e))?.mode();
    if mode & 0o077 != 0 {
        return Err(ApiError::new(Kind::Failed, "UNUSABLE", format!("{} may be read by others", file.display()))
            .then(format!("chmod 600 {}", file.display())));
    }
    let mut token = String::new();
    open.read_to_string(&mut token).map_err(|e| unusable(file, &e))?;
    match token.trim() {
        "" => Err(ApiError::new(Kind::Failed, "UNUSABLE", format!("{} is empty", file.display()))),
        secret => Ok(secret.to_owned()),
    }
}

/// A new secret of 256 random bits behind a word that says what it is.
pub(crate) fn random(word: &str) -> Result<String, ApiError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|e| ApiError::new(Kind::Failed, "INTERNAL", format!("no randomness: {e}")))?;
    Ok(bytes.iter().fold(format!("ephor_{word}_"), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn unusable(file: &Path, error: &std::io::Error) -> ApiError {
    ApiError::new(Kind::Failed, "UNUSABLE", format!("{}: {error}", file.display()))
}
