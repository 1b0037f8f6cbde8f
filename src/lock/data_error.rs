//! A file of data that cannot be used, with the place.
//! Must not know: what kind of file it is.

use std::fmt;

/// A file that cannot be used, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct DataError {
    /// The file, or the name of the built-in one.
    pub file: String,
    /// Line and column, where the text itself is wrong.
    pub place: Option<(usize, usize)>,
    pub message: String,
}

impl fmt::Display for DataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for DataError {}

impl DataError {
    /// What serde_json says of `file`.
    pub fn json(file: &str, error: &serde_json::Error) -> DataError {
        let place = (error.line() > 0).then(|| (error.line(), error.column()));
        let full = error.to_string();
        // serde_json repeats the place at the end; it stands in front already.
        let message = full.split(" at line ").next().unwrap_or(&full).to_string();
        DataError { file: file.into(), place, message }
    }
}
