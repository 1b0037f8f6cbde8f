//! What one exploration came to: a plan in a scenario, under an engine.
//! Must not know: how it is shown.

use super::finding::Finding;
use crate::explore::Exploration;
use crate::lock::Rule;
use crate::sim::{Expectation, Verdict};
use serde::Serialize;
use std::collections::BTreeMap;

/// The result of one exploration; its JSON form is this, key by key.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// Format of the JSON: 1.
    pub schema: u32,
    pub scenario: String,
    pub plan: String,
    pub engine: String,
    pub size: String,
    pub verdict: Verdict,
    /// Whether everything within the stated bounds was seen.
    pub complete: bool,
    pub threads: usize,
    pub executions: u64,
    pub states: u64,
    pub steps: u64,
    pub wall_ms: u64,
    pub peak_rss_kib: u64,
    /// Least and greatest value of each fact over all executions.
    pub facts: BTreeMap<&'static str, (u64, u64)>,
    /// Why it is not complete.
    pub reason: Option<String>,
    /// The exit code that this cell alone leads to.
    pub exit: u8,
    pub violations: Vec<Finding>,
    /// What the data says that it must come to, if it does.
    #[serde(skip)]
    pub declared: Option<Expectation>,
}

/// How a result stands to what the data declares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Agreement {
    /// The very verdict and rules.
    AsDeclared,
    /// An incomplete result that does not contradict it.
    NotContradicted,
    /// Another verdict, or other rules.
    Differs,
    /// The data declares nothing for this plan.
    Undeclared,
}

/// The verdict: violations take precedence over a search that was cut short,
/// and only a search that is complete can call anything clean.
pub fn verdict(exploration: &Exploration) -> Verdict {
    match (exploration.found.is_empty(), exploration.complete) {
        (false, _) => Verdict::Violated,
        (true, true) => Verdict::Clean,
        (true, false) => Verdict::Inconclusive,
    }
}

impl Cell {
    /// The broken rules, by code, each once.
    pub fn rules(&self) -> Vec<Rule> {
        let mut rules: Vec<Rule> = self.violations.iter().map(|finding| finding.rule).collect();
        rules.sort();
        rules.dedup();
        rules
    }

    /// How it stands to what the data declares.
    pub fn agreement(&self) -> Agreement {
        let Some(declared) = &self.declared else { return Agreement::Undeclared };
        let mut wanted = declared.rules.clone();
        wanted.sort();
        let found = self.rules();
        if self.verdict == declared.verdict && found == wanted {
            Agreement::AsDeclared
        } else if !self.complete && found.iter().all(|rule| wanted.contains(rule)) {
            Agreement::NotContradicted
        } else {
            Agreement::Differs
        }
    }
}
