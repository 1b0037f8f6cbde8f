//! What `agree` found, as text and JSON.
//! Must not know: how it was found.

use super::outcomes::{Allowed, outcome};
use super::text::fold;
use crate::exec::agree::{Comparison, Row, Verdict};
use serde::Serialize;

/// A comparison, and what it rests on.
#[derive(Debug, Serialize)]
pub struct Agreed {
    /// 1.
    pub schema: u32,
    /// QEMU's.
    pub version: String,
    /// The scenarios that it was driven through.
    pub exec: Vec<String>,
    pub seed: u64,
    /// Of all of them.
    pub executions: u64,
    /// Those that ran into the bound of operations: they have no outcome.
    pub cut: u64,
    /// What the simulator allows.
    #[serde(rename = "model")]
    pub allowed: Allowed,
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// For people, at most 76 columns.
pub fn agreed(agreed: &Agreed) -> String {
    let Agreed { version, allowed, comparison, .. } = agreed;
    let Allowed { plan, scenario, size, side, .. } = allowed;
    let verdict = match comparison.verdict {
        Verdict::Agree => "agree",
        Verdict::Disagree => "do not agree",
        Verdict::Inconclusive => "inconclusive",
    };
    let mut text = fold(0, &format!("{scenario}, {side}: QEMU {version} and {plan}: {verdict}"));
    let complete = if allowed.complete { "complete" } else { "not complete" };
    let (states, outcomes) = (allowed.states, allowed.outcomes.len());
    text +=
        &fold(2, &format!("model: size {size}, {complete}, {states} states, {outcomes} outcomes"));
    let (exec, executions) = (agreed.exec.join(", "), agreed.executions);
    text += &fold(2, &format!("exec: {exec}: {executions} executions, seed {}", agreed.seed));
    if agreed.cut > 0 {
        text += &fold(2, &format!("{} did not end within the bound of operations", agreed.cut));
    }
    comparison.rows.iter().for_each(|one| text += &row(one));
    for unused in &comparison.unused {
        text += &fold(2, &format!("explained for nothing: {unused}"));
    }
    text.push('\n');
    text
}

fn row(row: &Row) -> String {
    let mark = if row.allowed { ' ' } else { '!' };
    let seen = if row.seen == 0 { "-".into() } else { row.seen.to_string() };
    let rest = outcome(9, &row.outcome);
    let mut text = format!("{mark}{seen:>7} {}", &rest[9..]);
    if !row.allowed {
        text += "           the model does not allow it\n";
    }
    if row.allowed && row.seen == 0 {
        let why = row.reason.as_deref().unwrap_or("no reason is known");
        text += &fold(11, &format!("not reached: {why}"));
    }
    text
}
