//! The baseline: findings that are known and not counted. It may shrink by
//! itself, and grows only if it is told to.
//! Must not know: where the file is, line numbers.

use super::finding::{Finding, Grade, Status};
use crate::lock::{DataError, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A baseline file. Without line numbers: it stays true while code moves.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Format of the file: 1.
    schema: u32,
    /// Sorted, each once.
    findings: BTreeSet<Entry>,
}

/// A known finding. The fingerprint decides; the rest is for the reader.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub path: String,
    pub function: String,
    pub rule: Rule,
    pub fingerprint: String,
}

/// What a baseline knows of a report.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Compared {
    /// The fingerprints of its entries.
    pub known: BTreeSet<String>,
    /// Entries that no longer occur.
    pub gone: Vec<Entry>,
}

impl Compared {
    /// Whether the baseline has this finding.
    pub fn has(&self, fingerprint: &str) -> bool {
        self.known.contains(fingerprint)
    }
}

/// What of `findings` belongs into a baseline: what would count without one.
fn entries(findings: &[Finding]) -> BTreeSet<Entry> {
    let counts = |finding: &&Finding| {
        let there = finding.status != Status::Fixed && finding.suppressed.is_none();
        there && finding.grade != Grade::Note
    };
    let entry = |finding: &Finding| Entry {
        path: finding.path.clone(),
        function: finding.function.clone(),
        rule: finding.rule,
        fingerprint: finding.fingerprint.clone(),
    };
    findings.iter().filter(counts).map(entry).collect()
}

/// The fingerprints of `entries`.
fn prints(entries: &BTreeSet<Entry>) -> BTreeSet<String> {
    entries.iter().map(|entry| entry.fingerprint.clone()).collect()
}

impl Baseline {
    /// The baseline without entries.
    pub fn empty() -> Baseline {
        Baseline { schema: 1, findings: BTreeSet::new() }
    }

    /// Reads `text`, which came from `file`.
    ///
    /// # Errors
    /// What is wrong and where, if it is not a baseline.
    pub fn parse(file: &str, text: &[u8]) -> Result<Baseline, DataError> {
        let baseline: Baseline =
            serde_json::from_slice(text).map_err(|error| DataError::json(file, &error))?;
        if baseline.schema != 1 {
            let message = format!("schema {} is not known; this program reads 1", baseline.schema);
            return Err(DataError { file: file.into(), place: None, message });
        }
        Ok(baseline)
    }

    /// The file's text.
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has string keys only") + "\n"
    }

    /// What this baseline knows of `findings`. An entry is only gone if its file
    /// was `looked_at`.
    pub fn compare(&self, findings: &[Finding], looked_at: impl Fn(&str) -> bool) -> Compared {
        let there = prints(&entries(findings));
        let gone = |entry: &&Entry| !there.contains(&entry.fingerprint) && looked_at(&entry.path);
        Compared {
            known: prints(&self.findings),
            gone: self.findings.iter().filter(gone).cloned().collect(),
        }
    }

    /// This baseline after `findings`: without what is gone and, if `accept_new`,
    /// with what it did not know.
    ///
    /// # Errors
    /// What would have to be added, if that is not accepted.
    pub fn updated(
        &self,
        findings: &[Finding],
        looked_at: impl Fn(&str) -> bool,
        accept_new: bool,
    ) -> Result<Baseline, Vec<Entry>> {
        let known = prints(&self.findings);
        let there = entries(findings);
        let new: Vec<Entry> =
            there.iter().filter(|entry| !known.contains(&entry.fingerprint)).cloned().collect();
        if !new.is_empty() && !accept_new {
            return Err(new);
        }
        let elsewhere = self.findings.iter().filter(|entry| !looked_at(&entry.path)).cloned();
        Ok(Baseline { schema: 1, findings: there.into_iter().chain(elsewhere).collect() })
    }
}
