//! Schedules by name: what is shown, stored and replayed, on this version of the
//! program or the next.
//! Must not know: where the schedule came from, or how it is shown.

use super::reach::violations;
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Event, Program, ThreadId, Violation, World};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One awaited operation, by the names of all it involves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub thread: String,
    pub operation: String,
    pub object: String,
    pub site: String,
    /// Which of several ways it went.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub alternative: u8,
}

fn is_zero(alternative: &u8) -> bool {
    *alternative == 0
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} ({})", self.thread, self.operation, self.object, self.site)?;
        if self.alternative == 0 { Ok(()) } else { write!(f, ", way {}", self.alternative) }
    }
}

/// A replayed execution.
#[derive(Debug)]
pub struct Replay {
    /// Threads and objects by index, as the log refers to them.
    pub threads: Vec<String>,
    pub objects: Vec<String>,
    pub log: Vec<Event>,
    /// The violations at the end of the schedule. Where nobody can move any more
    /// the program has judged.
    pub violations: Vec<Violation>,
    /// Whether nobody could move any more.
    pub ended: bool,
    pub choices: Vec<Choice>,
}

/// Where a schedule and the program part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// The step that does not fit, from 1.
    pub step: usize,
    pub expected: Step,
    /// What the thread waits to do instead; none if it is over, or unknown.
    pub found: Option<Step>,
    /// What could have moved.
    pub movable: Vec<Step>,
    pub reason: Reason,
}

/// Why a step does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    UnknownThread,
    /// The thread has ended.
    Over,
    /// The thread waits to do something else.
    OtherOperation,
    /// The thread waits to do this and cannot.
    Blocked,
    /// The thread can do this, but not in this way.
    OtherAlternative,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { step, expected, found, movable, reason } = self;
        write!(f, "step {step}: expected {expected}, but ")?;
        match (reason, found) {
            (Reason::UnknownThread, _) => write!(f, "there is no such thread")?,
            (Reason::OtherOperation, Some(found)) => {
                write!(f, "it waits to do {} {} ({})", found.operation, found.object, found.site)?;
            }
            (Reason::Blocked, _) => write!(f, "it is blocked there")?,
            (Reason::OtherAlternative, _) => write!(f, "it cannot go that way")?,
            _ => write!(f, "it has ended")?,
        }
        let movable: Vec<String> = movable.iter().map(ToString::to_string).collect();
        write!(
            f,
            "; could move: {}",
            if movable.is_empty() { "nobody".into() } else { movable.join("; ") }
        )
    }
}

impl std::error::Error for Divergence {}

/// The name of `thread`, with its index where it shares the name with another.
pub fn thread_name(world: &World, thread: ThreadId) -> String {
    let name = world.name(thread);
    let shared = world.threads.iter().filter(|other| other.name == name).count() > 1;
    if shared { format!("{name}#{}", thread.0) } else { name.to_string() }
}

/// What `thread` waits to do, if anything.
fn pending(world: &World, thread: ThreadId, alternative: u8) -> Option<Step> {
    let call = world.pending(thread)?;
    Some(Step {
        thread: thread_name(world, thread),
        operation: call.op.name().to_string(),
        object: world.name_of(call.object).to_string(),
        site: call.site.to_string(),
        alternative,
    })
}

/// Names the steps of `schedule`.
///
/// # Panics
/// If the program cannot go that way.
pub fn name_schedule<P: Program>(program: &Arc<P>, schedule: &[Choice]) -> Vec<Step> {
    let mut execution = Execution::new(program, |_| {});
    let mut name = |choice: &Choice| {
        let step = execution.world(|world| pending(world, choice.thread, choice.alternative));
        execution.step(*choice);
        step.expect("a schedule of this program")
    };
    schedule.iter().map(&mut name).collect()
}

/// Follows `steps` by name.
///
/// # Errors
/// Where the program does not go that way.
pub fn replay<P: Program>(program: &Arc<P>, steps: &[Step]) -> Result<Replay, Box<Divergence>> {
    let mut execution = Execution::new(program, |world| world.log = Some(Vec::new()));
    let mut choices = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let choice = execution.world(|world| find(world, index + 1, step))?;
        execution.step(choice);
        choices.push(choice);
    }
    let violations = violations(&mut execution);
    Ok(execution.world(|world| Replay {
        threads: world.everybody().iter().map(|t| thread_name(world, t)).collect(),
        objects: world.objects.iter().map(|object| object.name.to_string()).collect(),
        log: world.log.take().unwrap_or_default(),
        violations,
        ended: world.movable().is_empty(),
        choices,
    }))
}

fn find(world: &World, number: usize, step: &Step) -> Result<Choice, Box<Divergence>> {
    let movable = world.movable();
    let thread = world.everybody().iter().find(|t| thread_name(world, *t) == step.thread);
    let found = thread.and_then(|t| pending(world, t, step.alternative));
    let reason = match (thread, &found) {
        (None, _) => Reason::UnknownThread,
        (Some(_), None) => Reason::Over,
        (Some(_), Some(found)) if found != step => Reason::OtherOperation,
        (Some(thread), Some(_)) if !movable.has(thread) => Reason::Blocked,
        (Some(thread), Some(_)) => {
            let alternative = step.alternative;
            if world.alternatives(thread) >> alternative.min(63) & 1 == 1 {
                return Ok(Choice { thread, alternative });
            }
            Reason::OtherAlternative
        }
    };
    let movable = world.choices(movable);
    let movable = movable.iter().filter_map(|c| pending(world, c.thread, c.alternative)).collect();
    Err(Box::new(Divergence { step: number, expected: step.clone(), found, movable, reason }))
}
