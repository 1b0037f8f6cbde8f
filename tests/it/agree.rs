//! What the engines say of one program, side by side.

use bqlcheck::explore::{Exploration, Limits, dpor, exhaustive, unreduced};
use bqlcheck::runtime::Program;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The three explorations of a program.
pub struct Three {
    pub unreduced: Exploration,
    pub reduced: Exploration,
    pub dpor: Exploration,
}

/// How large they were: what tests pin.
#[derive(Debug, PartialEq)]
pub struct Size {
    /// States without and with the reduction.
    pub states: (u64, u64),
    /// Executions of dpor, and those it gave up.
    pub executions: (u64, u64),
    pub terminals: usize,
}

/// The violations found, by rule and words.
pub fn findings(exploration: &Exploration) -> BTreeSet<(&'static str, String)> {
    let found = exploration.found.iter();
    found.map(|f| (f.violation.rule.code(), f.violation.message.clone())).collect()
}

impl Three {
    /// Explores `program` in all three ways.
    pub fn of<P: Program>(program: P) -> Three {
        let program = Arc::new(program);
        Three {
            unreduced: unreduced(&program, &Limits::default()),
            reduced: exhaustive(&program, &Limits::default()),
            dpor: dpor(&program, &Limits::default()),
        }
    }

    /// In what `one` and `other` differ, if in anything.
    fn difference(one: &Exploration, other: &Exploration) -> Option<String> {
        let (a, b) = (findings(one), findings(other));
        if one.cut != other.cut {
            Some(format!("cut: {:?} or {:?}", one.cut, other.cut))
        } else if a != b {
            Some(format!("findings: {a:?} or {b:?}"))
        } else if one.terminals != other.terminals {
            let common = one.terminals.intersection(&other.terminals).count();
            let (one, other) = (one.terminals.len(), other.terminals.len());
            Some(format!("terminals: {one} or {other}, {common} in common"))
        } else {
            None
        }
    }

    /// In what the three differ, if in anything.
    pub fn quarrel(&self) -> Option<String> {
        let reduced = Three::difference(&self.unreduced, &self.reduced);
        let dpor = Three::difference(&self.unreduced, &self.dpor);
        let said = |what: &str, how: Option<String>| how.map(|how| format!("{what}: {how}"));
        said("unreduced or reduced", reduced).or(said("unreduced or dpor", dpor))
    }

    /// The size, once they agree.
    pub fn size(&self) -> Size {
        Size {
            states: (self.unreduced.states, self.reduced.states),
            executions: (self.dpor.executions, self.dpor.blocked),
            terminals: self.unreduced.terminals.len(),
        }
    }
}
