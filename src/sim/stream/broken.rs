//! Why a stream cannot be read any further, and where.
//! Must not know: what was being read for.

use std::fmt;

/// What kind of end it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The bytes end inside of something.
    Cut,
    /// The carrier of the bytes reports an error.
    Carrier,
    /// The bytes are there and no QEMU would have written them.
    Malformed,
}

/// A stream that cannot be read any further.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Broken {
    /// Bytes read before that.
    pub at: u64,
    pub kind: Kind,
    /// In words, without the place.
    pub what: String,
}

impl Broken {
    pub(super) fn malformed(at: u64, what: impl Into<String>) -> Self {
        Self { at, kind: Kind::Malformed, what: what.into() }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "byte {}: {}", self.at, self.what)
    }
}

impl std::error::Error for Broken {}
