//! How an agent says what it can do: a word, or a word with the parameters it takes (S3-62).

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Something an agent can do: its word, or its word with the parameters it takes.
#[derive(Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged, expecting = "say a capability as its word, or as an object with the word as `action` and its `params`")]
pub enum Capability {
    /// Its word.
    Word(Box<str>),
    /// Its word, and more.
    With {
        /// Its word.
        action: Box<str>,
        /// The parameters it takes, for people; they are not kept.
        #[serde(default, rename = "params")]
        _params: Value,
    },
}

impl Capability {
    /// Its word.
    pub fn word(self) -> Box<str> {
        match self {
            Self::Word(word) => word,
            Self::With { action, .. } => action,
        }
    }
}

pub(super) fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Box<str>>, D::Error> {
    let said = Vec::<Capability>::deserialize(from)?;
    Ok(said.into_iter().map(Capability::word).collect())
}
