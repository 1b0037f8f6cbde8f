//! The rules, with their stable codes.
//! Must not know: how a face finds a breach.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A rule of lock discipline. The codes are stable: tools and baselines key on
/// them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum Rule {
    #[serde(rename = "BQL001")]
    NeedsBql,
    #[serde(rename = "BQL002")]
    MustNotHold,
    #[serde(rename = "BQL003")]
    TakenTwice,
    #[serde(rename = "BQL004")]
    Unbalanced,
    #[serde(rename = "BQL005")]
    WaitForever,
    #[serde(rename = "BQL006")]
    HeldWaiting,
    #[serde(rename = "BQL007")]
    Stalled,
    #[serde(rename = "BQL008")]
    OrderInversion,
    #[serde(rename = "BQL009")]
    NotPostcopiable,
    #[serde(rename = "BQL010")]
    IllegalTransition,
    #[serde(rename = "BQL011")]
    GuestLost,
    #[serde(rename = "BQL012")]
    UseAfterTeardown,
    #[serde(rename = "BQL013")]
    NeverJoined,
    #[serde(rename = "BQL014")]
    DataRace,
}

impl Rule {
    /// All rules, by code.
    pub const ALL: [Rule; 14] = [
        Rule::NeedsBql,
        Rule::MustNotHold,
        Rule::TakenTwice,
        Rule::Unbalanced,
        Rule::WaitForever,
        Rule::HeldWaiting,
        Rule::Stalled,
        Rule::OrderInversion,
        Rule::NotPostcopiable,
        Rule::IllegalTransition,
        Rule::GuestLost,
        Rule::UseAfterTeardown,
        Rule::NeverJoined,
        Rule::DataRace,
    ];

    /// The stable code, `BQL001` to `BQL014`.
    pub fn code(self) -> &'static str {
        match self {
            Rule::NeedsBql => "BQL001",
            Rule::MustNotHold => "BQL002",
            Rule::TakenTwice => "BQL003",
            Rule::Unbalanced => "BQL004",
            Rule::WaitForever => "BQL005",
            Rule::HeldWaiting => "BQL006",
            Rule::Stalled => "BQL007",
            Rule::OrderInversion => "BQL008",
            Rule::NotPostcopiable => "BQL009",
            Rule::IllegalTransition => "BQL010",
            Rule::GuestLost => "BQL011",
            Rule::UseAfterTeardown => "BQL012",
            Rule::NeverJoined => "BQL013",
            Rule::DataRace => "BQL014",
        }
    }

    /// The rule with this code, in any case of letters.
    pub fn from_code(code: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.code().eq_ignore_ascii_case(code))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.code())
    }
}
