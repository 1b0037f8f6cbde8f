//! What a report comes to: the verdict, the exit code, which findings count.
//! Must not know: how anything is shown.

use super::finding::{Finding, Grade, Report, Status};
use serde::Serialize;

/// What a scan comes to. Never `Clean` if something was not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Clean,
    /// A finding counts.
    Violated,
    /// None counts, but there are functions that did not parse, or problems.
    Inconclusive,
    /// No file was scanned.
    Nothing,
}

impl Verdict {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Clean => "clean",
            Verdict::Violated => "violated",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Nothing => "nothing",
        }
    }

    /// The exit code, as in the README's table.
    pub fn exit(self) -> u8 {
        match self {
            Verdict::Clean => 0,
            Verdict::Violated => 1,
            Verdict::Inconclusive => 3,
            Verdict::Nothing => 4,
        }
    }
}

/// Why a finding counts or does not.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Standing {
    /// It makes the verdict.
    Counted,
    /// The patches remove it.
    Fixed,
    /// It was there before the patches.
    Unchanged,
    /// The baseline has it.
    Known,
    Suppressed,
    /// Its grade is `note`.
    Note,
}

impl Report {
    /// Why `finding` counts or does not. The reader's own words come first: what
    /// is suppressed stays so, whatever a patch does to it.
    pub fn standing(&self, finding: &Finding) -> Standing {
        let known = |known: &super::baseline::Compared| known.has(&finding.fingerprint);
        match finding.status {
            _ if finding.suppressed.is_some() => Standing::Suppressed,
            _ if finding.grade == Grade::Note => Standing::Note,
            Status::Fixed => Standing::Fixed,
            Status::Unchanged => Standing::Unchanged,
            _ if self.baseline.as_ref().is_some_and(known) => Standing::Known,
            Status::Existing | Status::New => Standing::Counted,
        }
    }

    /// The findings that count.
    pub fn counted(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| self.standing(finding) == Standing::Counted)
    }

    /// Whether suppressions that are of no use count: not when the question is
    /// what a patch does, since they were there before it.
    pub fn faults_count(&self) -> bool {
        self.patches.is_empty()
    }

    /// What it all comes to.
    pub fn verdict(&self) -> Verdict {
        let fault = self.suppressions.iter().any(|suppression| suppression.fault.is_some());
        if self.files == 0 {
            Verdict::Nothing
        } else if self.counted().next().is_some() || (fault && self.faults_count()) {
            Verdict::Violated
        } else if !self.functions_unparsed.is_empty() || !self.problems.is_empty() {
            Verdict::Inconclusive
        } else {
            Verdict::Clean
        }
    }
}
