//! `bqlcheck.toml`: suppressions that are not comments. The only file that names
//! toml.
//! Must not know: where the file was found, what a finding is.

use crate::lock::{DataError, Rule};
use serde::Deserialize;
use toml::Spanned;

/// What the file is called.
pub const FILE: &str = "bqlcheck.toml";

/// The file's contents.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Config {
    /// As it was named.
    pub file: String,
    pub allow: Vec<Allow>,
}

/// An `[[allow]]`: all that it gives must fit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allow {
    pub rule: Rule,
    pub path: String,
    pub function: Option<String>,
    pub fingerprint: Option<String>,
    pub reason: String,
    /// 1-based, of the entry.
    pub line: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    allow: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    rule: Rule,
    path: String,
    function: Option<String>,
    fingerprint: Option<String>,
    reason: Spanned<String>,
}

impl Config {
    /// Reads `text`, which came from `file`.
    ///
    /// # Errors
    /// What is wrong, with line and column: an unknown key, a missing one, a rule
    /// that is none, a reason without words.
    pub fn parse(file: &str, text: &[u8]) -> Result<Config, DataError> {
        let wrong = |at: Option<usize>, message: String| DataError {
            file: file.into(),
            place: at.map(|at| place(text, at)),
            message,
        };
        let read = std::str::from_utf8(text)
            .map_err(|error| wrong(Some(error.valid_up_to()), "this is not UTF-8".into()))?;
        let document: Document = toml::from_str(read).map_err(|error| {
            wrong(error.span().map(|span| span.start), error.message().to_string())
        })?;
        let mut allow = Vec::new();
        for entry in document.allow {
            let (line, _) = place(text, entry.span().start);
            let Entry { rule, path, function, fingerprint, reason } = entry.into_inner();
            if reason.get_ref().trim().is_empty() {
                let message = "\"reason\" has no words: say why the finding may stay".into();
                return Err(wrong(Some(reason.span().start), message));
            }
            let (reason, line) = (reason.into_inner(), line as u32);
            allow.push(Allow { rule, path, function, fingerprint, reason, line });
        }
        Ok(Config { file: file.into(), allow })
    }
}

/// The 1-based line and column of the byte at `offset`.
fn place(text: &[u8], offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# of this tree\n\n[[allow]]\nrule = \"BQL004\"\n\
                        path = \"migration/ram.c\"\nreason = \"the caller unlocks\"\n";

    #[test]
    fn an_entry_is_read_with_its_line() {
        let config = Config::parse(FILE, GOOD.as_bytes()).expect("it is well-formed");
        let [allow] = &config.allow[..] else { panic!("{config:?}") };
        assert_eq!((allow.rule, allow.line), (Rule::Unbalanced, 3));
        assert_eq!((&allow.function, &allow.fingerprint), (&None, &None));
        assert_eq!(Config::parse(FILE, b"").expect("no entry is fine").allow, []);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        for (from, to, place, says) in [
            ("reason", "raeson", (6, 1), "unknown field `raeson`"),
            ("\"the caller unlocks\"", "\" \"", (6, 10), "has no words"),
            ("reason = \"the caller unlocks\"\n", "", (3, 1), "missing field `reason`"),
            ("BQL004", "BQL999", (4, 8), "unknown variant `BQL999`"),
            ("[[allow]]", "[[alow]]", (3, 3), "unknown field `alow`"),
            ("\"migration/ram.c\"", "7", (5, 8), "invalid type"),
            ("rule = ", "rule ", (4, 6), ""),
        ] {
            let error = Config::parse("a/bqlcheck.toml", GOOD.replace(from, to).as_bytes());
            let error = error.expect_err(to);
            assert_eq!(error.place, Some(place), "{to}: {error}");
            assert!(error.to_string().contains(says), "{to}: {error}");
            assert!(error.to_string().starts_with("a/bqlcheck.toml:"), "{error}");
        }
        let error = Config::parse(FILE, b"a = 1\nb = \"\xff\"").expect_err("not UTF-8");
        assert_eq!(error.place, Some((2, 6)));
    }
}
