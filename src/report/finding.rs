//! A violation as it is shown and written: names, the wait-for cycle, a schedule.
//! Must not know: the text or the file it ends up in.

use super::recording::Recording;
use crate::lock::Rule;
use crate::runtime::{Violation, World};
use serde::{Deserialize, Serialize};

/// A step of a schedule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub thread: String,
    pub operation: String,
    pub object: String,
    pub site: String,
}

/// A link of a wait-for cycle.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Wait {
    pub thread: String,
    pub operation: String,
    pub object: String,
    /// Who holds it, or who alone could end the wait.
    pub held_by: Vec<String>,
}

/// A violation with the schedule that shows it, where one is known.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub rule: Rule,
    pub message: String,
    /// The threads whose doing it is.
    pub threads: Vec<String>,
    pub cycle: Vec<Wait>,
    pub switches: usize,
    pub schedule: Vec<Step>,
    /// What the views are drawn from; absent where no schedule is known.
    #[serde(skip)]
    pub recording: Option<Recording>,
}

impl Finding {
    /// A violation of which no schedule is known; `world` has the names.
    pub fn bare(world: &World, violation: &Violation) -> Finding {
        let recording = Recording::read(world, violation, Vec::new());
        Finding { recording: None, ..Finding::recorded(violation, recording) }
    }

    /// A violation as `recording` shows it.
    pub fn recorded(violation: &Violation, recording: Recording) -> Finding {
        let name = |index: usize| recording.threads[index].clone();
        let cycle = recording.cycle.iter().map(|link| Wait {
            thread: name(link.thread),
            operation: link.operation.into(),
            object: link.object.clone(),
            held_by: link.held_by.clone(),
        });
        let alone = violation.thread.map(|thread| thread.0 as usize);
        let threads = recording.cycle.iter().map(|link| link.thread).chain(alone);
        let schedule = recording.steps().map(|line| Step {
            thread: name(line.thread),
            operation: line.operation.into(),
            object: line.object.clone(),
            site: line.site.to_string(),
        });
        Finding {
            rule: violation.rule,
            message: violation.message.clone(),
            cycle: cycle.collect(),
            threads: threads.map(name).collect(),
            switches: recording.switches(),
            schedule: schedule.collect(),
            recording: Some(recording.clone()),
        }
    }
}
