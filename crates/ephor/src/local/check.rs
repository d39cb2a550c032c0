//! What `doctor` and `audit verify` say about a database, as checks a person reads.

use super::look::store;
use crate::api::ApiError;
use crate::host::Check;
use ephor_engine::store::Reader;

/// Checks a database against the ten "must never".
pub(super) fn doctor(reader: &dyn Reader) -> Result<Vec<Check>, ApiError> {
    verify(reader)
}

/// Checks what the storage says of itself.
pub(super) fn verify(reader: &dyn Reader) -> Result<Vec<Check>, ApiError> {
    let wrong = reader.check().map_err(store)?;
    Ok(vec![Check { name: "storage".into(), passed: wrong.is_empty(), detail: wrong.join("; ") }])
}
