//! The outcomes that a model allows, as text and JSON.
//! Must not know: how they were found.

use super::text::fold;
use crate::sim::Outcome;
use serde::{Serialize, Serializer};

/// What one side of a migration can come to.
#[derive(Debug, Clone, Serialize)]
pub struct Allowed {
    /// 1.
    pub schema: u32,
    pub plan: String,
    pub scenario: String,
    pub size: String,
    pub side: String,
    /// Whether every state was seen: else there may be more outcomes.
    pub complete: bool,
    #[serde(skip)]
    pub interrupted: bool,
    pub states: u64,
    pub executions: u64,
    pub wall_ms: u64,
    /// Why it is not complete, or null.
    pub reason: Option<String>,
    #[serde(serialize_with = "texts")]
    pub outcomes: Vec<Outcome>,
}

/// Outcomes as they are written.
pub(super) fn texts<S: Serializer>(all: &[Outcome], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(all.iter().map(Outcome::to_string))
}

/// An outcome on rows of its own: those after the first stand further in.
pub(super) fn outcome(indent: usize, outcome: &str) -> String {
    let rows = fold(indent + 2, outcome);
    rows[2..].to_string()
}

/// For people, at most 76 columns.
pub fn allowed(allowed: &Allowed) -> String {
    let Allowed { plan, scenario, size, side, .. } = allowed;
    let many = allowed.outcomes.len();
    let plural = if many == 1 { "" } else { "s" };
    let mut text = fold(0, &format!("{plan} in {scenario}: {many} outcome{plural} of the {side}"));
    let complete = if allowed.complete { "complete" } else { "saw" };
    let (states, ms) = (allowed.states, allowed.wall_ms);
    let seconds = format!("{}.{:02}", ms / 1000, ms % 1000 / 10);
    text += &fold(2, &format!("size {size}, {complete}: {states} states, in {seconds} s"));
    if let Some(reason) = &allowed.reason {
        text += &fold(2, &format!("not complete: {reason}"));
    }
    text.push('\n');
    allowed.outcomes.iter().for_each(|one| text += &outcome(0, &one.to_string()));
    text
}
