//! Where in a request something stands, as a path of JSON. Made while walking, written only where something is found.

use std::fmt;

/// The longest key that is shown; longer ones, and such as are no names, are people's words and shown by their number.
const KEY_MAX: usize = 64;

/// One step of the way, and the way to it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    up: Option<&'a Place<'a>>,
    part: Part<'a>,
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Field(&'static str),
    Item(usize),
    Key(&'a str, usize),
}

impl<'a> Place<'a> {
    /// A field of the request.
    pub(super) fn field(name: &'static str) -> Self {
        Self { up: None, part: Part::Field(name) }
    }

    /// A field below this one.
    pub(super) fn in_field(&'a self, name: &'static str) -> Self {
        Self { up: Some(self), part: Part::Field(name) }
    }

    /// An item of the list that stands here.
    pub(super) fn item(&'a self, n: usize) -> Self {
        Self { up: Some(self), part: Part::Item(n) }
    }

    /// The n-th entry of the object that stands here.
    pub(super) fn key(&'a self, key: &'a str, n: usize) -> Self {
        Self { up: Some(self), part: Part::Key(key, n) }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(up) = self.up {
            write!(f, "{up}")?;
            if !matches!(self.part, Part::Item(_)) {
                f.write_str(".")?;
            }
        }
        match self.part {
            Part::Field(name) => f.write_str(name),
            Part::Item(n) => write!(f, "[{n}]"),
            Part::Key(key, _) if is_name(key) => f.write_str(key),
            Part::Key(_, n) => write!(f, "{{{n}}}"),
        }
    }
}

/// Whether a key is a name as programs give them.
fn is_name(key: &str) -> bool {
    let first = key.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && key.len() <= KEY_MAX && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
