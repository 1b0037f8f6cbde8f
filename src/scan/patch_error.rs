//! Why a patch could not be read or applied, and what to do about it.
//! Must not know: diffs, mails, trees.

use std::fmt;

/// Which of the two it is: they have exit codes of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PatchErrorKind {
    /// It is not a whole and sound patch.
    Malformed,
    /// It is one, for another tree.
    DoesNotApply,
}

/// A patch that is of no use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PatchError {
    pub kind: PatchErrorKind,
    /// What is wrong: file, hunk and lines, where there are any.
    pub message: String,
    /// Where in the patch: `0001.patch:12`.
    pub place: String,
    /// What to do.
    pub help: String,
}

impl PatchError {
    /// It is not a sound patch.
    pub fn malformed(
        message: impl Into<String>,
        place: impl Into<String>,
        help: impl Into<String>,
    ) -> PatchError {
        let (message, place, help) = (message.into(), place.into(), help.into());
        PatchError { kind: PatchErrorKind::Malformed, message, place, help }
    }

    /// The tree is not the one that it was made for.
    pub fn does_not_apply(
        message: impl Into<String>,
        place: impl Into<String>,
        help: impl Into<String>,
    ) -> PatchError {
        let kind = PatchErrorKind::DoesNotApply;
        PatchError { kind, ..PatchError::malformed(message, place, help) }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for PatchError {}

/// `line` to be quoted in a message: on one line, short, without control
/// characters, whatever is in it.
pub(super) fn shown(line: &[u8]) -> String {
    const WIDTH: usize = 56;
    let start = &line[..line.len().min(4 * WIDTH)];
    let text = String::from_utf8_lossy(start);
    let plain = text.trim_end_matches(['\r', '\n']).replace('\t', " ");
    let plain = plain.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    let mut text: String = plain.take(WIDTH).collect();
    if line.len() > start.len() || text.chars().count() == WIDTH {
        text.push_str("...");
    }
    text
}
