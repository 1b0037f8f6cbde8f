//! `--format json`: the report as data.
//! Must not know: what a key means.

use super::shown::Shown;
use crate::report::json::pretty;
use crate::scan::baseline::Entry;
use crate::scan::{
    Change, Finding, PatchResult, Problem, Standing, Suppression, Unparsed, Verdict,
};
use serde::Serialize;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    verdict: Verdict,
    tree: &'a str,
    version: &'a str,
    files: usize,
    functions: usize,
    functions_unparsed: usize,
    findings: Vec<Item<'a>>,
    changes: &'a [Change],
    patches: &'a [PatchResult],
    suppressions: &'a [Suppression],
    baseline: Option<Known<'a>>,
    unparsed: &'a [Unparsed],
    problems: &'a [Problem],
    exit: u8,
}

#[derive(Serialize)]
struct Item<'a> {
    #[serde(flatten)]
    finding: &'a Finding,
    /// Whether it makes the verdict.
    counted: bool,
}

#[derive(Serialize)]
struct Known<'a> {
    known: usize,
    gone: &'a [Entry],
}

/// All of it.
pub fn render(shown: &Shown<'_>) -> String {
    let report = shown.report;
    let verdict = report.verdict();
    let item = |finding| {
        let counted = report.standing(finding) == Standing::Counted;
        Item { finding, counted }
    };
    let baseline = report.baseline.as_ref();
    pretty(&Document {
        schema: 1,
        verdict,
        tree: &report.tree,
        version: &report.version,
        files: report.files,
        functions: report.functions,
        functions_unparsed: report.functions_unparsed.len(),
        findings: shown.data().map(item).collect(),
        changes: &report.changes,
        patches: &report.patches,
        suppressions: &report.suppressions,
        baseline: baseline.map(|known| Known { known: known.known.len(), gone: &known.gone }),
        unparsed: &report.functions_unparsed,
        problems: &report.problems,
        exit: verdict.exit(),
    })
}
