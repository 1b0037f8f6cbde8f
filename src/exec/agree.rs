//! Whether the user's QEMU and the simulator agree: what the one was seen to come to
//! is among what the other allows, and what the other allows was seen, or it is said
//! why not (`models/exec/agreement.json`).
//! Must not know: how outcomes are found, or how the result is shown.

use crate::lock::DataError;
use crate::sim::{Moves, Outcome, Side, data};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

const FILE: &str = "models/exec/agreement.json";

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agreement {
    /// 1.
    pub schema: u32,
    /// What is compared with what.
    pub pairs: Vec<Pair>,
    pub explanations: Vec<Explanation>,
}

/// A scenario of the simulator, and the scenarios of `exec` in which one side of it
/// is the user's QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pair {
    pub scenario: String,
    pub side: Side,
    pub exec: Vec<String>,
    /// Scenarios of the simulator whose outcomes are allowed too, where `exec` leaves
    /// open which of them it will be.
    #[serde(default)]
    pub or: Vec<String>,
    /// When the environment moves, if not as the scenario says: in `exec`, it moves at
    /// any time.
    #[serde(default)]
    pub environment: Option<Moves>,
    /// The plans that it is for; none: all.
    #[serde(default)]
    pub plans: Vec<String>,
}

impl Pair {
    /// Whether builds of `plan` are compared so.
    pub fn concerns(&self, plan: &str) -> bool {
        self.plans.is_empty() || self.plans.iter().any(|known| known == plan)
    }
}

/// Why `exec` does not reach outcomes that the model has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    pub plans: Vec<String>,
    pub scenario: String,
    pub side: Side,
    #[serde(deserialize_with = "outcomes")]
    pub outcomes: Vec<Outcome>,
    pub reason: String,
}

fn outcomes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Outcome>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let parsed: Result<Vec<Outcome>, String> = texts.iter().map(|text| text.parse()).collect();
    parsed.map_err(serde::de::Error::custom)
}

/// An outcome, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub outcome: String,
    /// The model has it.
    pub allowed: bool,
    /// How often it was seen.
    pub seen: u64,
    /// Why it was not, if that is explained.
    pub reason: Option<String>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// All that was seen is allowed, all that is allowed was seen or is explained.
    Agree,
    /// Something was seen that is not allowed.
    Disagree,
    /// What was seen is allowed, as far as it is known; more is not known.
    Inconclusive,
}

/// The two sets, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    pub verdict: Verdict,
    pub rows: Vec<Row>,
    /// Explanations of what needs none: it was seen, or the model does not have it.
    pub unused: Vec<String>,
}

impl Agreement {
    /// The package's own.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub fn built_in() -> Result<Agreement, DataError> {
        Agreement::parse(include_str!("../../models/exec/agreement.json"))
    }

    /// From its text.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub fn parse(text: &str) -> Result<Agreement, DataError> {
        let agreement: Agreement = data::parse(FILE, text)?;
        if agreement.schema != 1 {
            let message = format!("schema {} is not known; this program reads 1", agreement.schema);
            return Err(DataError { file: FILE.into(), place: None, message });
        }
        Ok(agreement)
    }

    /// The reasons why outcomes of `pair` under `plan` are not reached.
    pub fn reasons(&self, plan: &str, pair: &Pair) -> BTreeMap<Outcome, String> {
        let here = |explanation: &&Explanation| {
            explanation.plans.iter().any(|known| known == plan)
                && explanation.scenario == pair.scenario
                && explanation.side == pair.side
        };
        let all = self.explanations.iter().filter(here);
        let each = |explanation: &Explanation| {
            let reason = explanation.reason.clone();
            explanation.outcomes.clone().into_iter().map(move |outcome| (outcome, reason.clone()))
        };
        all.flat_map(each).collect()
    }
}

/// Holds what was `seen` against what is `allowed`, which is everything if `complete`.
pub fn compare(
    allowed: &[Outcome],
    complete: bool,
    seen: &BTreeMap<Outcome, u64>,
    reasons: &BTreeMap<Outcome, String>,
) -> Comparison {
    let mut all: BTreeMap<&Outcome, Row> = BTreeMap::new();
    let row = |outcome: &Outcome, allowed| Row {
        outcome: outcome.to_string(),
        allowed,
        seen: 0,
        reason: None,
    };
    for outcome in allowed {
        all.insert(outcome, row(outcome, true));
    }
    for (outcome, many) in seen {
        all.entry(outcome).or_insert_with(|| row(outcome, false)).seen = *many;
    }
    let mut unused = Vec::new();
    for (outcome, reason) in reasons {
        match all.get_mut(outcome) {
            Some(row) if row.allowed && row.seen == 0 => row.reason = Some(reason.clone()),
            _ => unused.push(outcome.to_string()),
        }
    }
    let rows: Vec<Row> = all.into_values().collect();
    let strange = rows.iter().any(|row| !row.allowed);
    let left = rows.iter().any(|row| row.seen == 0 && row.reason.is_none());
    let verdict = match () {
        // Of a model that was not seen to its end nothing is known to be missing.
        () if strange && complete => Verdict::Disagree,
        () if strange || left || !complete || !unused.is_empty() => Verdict::Inconclusive,
        () => Verdict::Agree,
    };
    Comparison { verdict, rows, unused }
}
