//! A schedule played once more with the log on: what every view of a finding is
//! made from, with names in place of indices.
//! Must not know: how a view looks.

use crate::explore::{self, thread_name};
use crate::lock::{Rule, Site};
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Program, ThreadId, Threads, Violation, World};

/// One event of the log.
#[derive(Clone, Debug)]
pub struct Line {
    /// Index of the thread.
    pub thread: usize,
    /// Number of the step that it is, or that it follows; 0: before the first.
    pub step: u32,
    /// An operation that a scheduler chose, rather than what came with it.
    pub chosen: bool,
    pub operation: &'static str,
    pub object: String,
    pub site: Site,
    /// A message's content, and the like.
    pub detail: String,
    /// The big lock changes hands here.
    pub big: bool,
}

/// A thread that waits for ever: a link of the wait-for cycle.
#[derive(Clone, Debug)]
pub struct Link {
    pub thread: usize,
    pub operation: &'static str,
    pub object: String,
    pub site: Site,
    /// Who holds it, or who alone could end the wait.
    pub held_by: Vec<String>,
    /// The locks that the thread holds meanwhile.
    pub holds: Vec<String>,
}

/// A schedule as it went, up to the violation in which it ends.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The names of all threads.
    pub threads: Vec<String>,
    pub lines: Vec<Line>,
    pub cycle: Vec<Link>,
    /// The rule broken at the end, by which thread and where.
    pub breach: Option<(Rule, Option<usize>, Option<Site>)>,
    /// The alternative taken at each chosen line.
    pub alternatives: Vec<u8>,
}

/// The names of `threads`.
fn names(world: &World, threads: Threads) -> Vec<String> {
    let known = threads.iter().filter(|id| (id.0 as usize) < world.threads.len());
    known.map(|id| thread_name(world, id)).collect()
}

impl Recording {
    /// Plays `schedule`, which must be one of `program`'s, and looks for the
    /// violation it is to end in.
    pub fn of<P: Program>(
        program: &std::sync::Arc<P>,
        schedule: &[Choice],
        wanted: &Violation,
    ) -> (Recording, Option<Violation>) {
        let mut execution = Execution::new(program, |world| world.log = Some(Vec::new()));
        schedule.iter().for_each(|choice| execution.step(*choice));
        let all = explore::violations(&mut execution);
        let seen = all.into_iter().find(|violation| violation.is_like(wanted));
        let alternatives = schedule.iter().map(|choice| choice.alternative).collect();
        let violation = seen.as_ref().unwrap_or(wanted);
        let recording = execution.world(|world| Recording::read(world, violation, alternatives));
        (recording, seen)
    }

    /// Plays `schedule` for what is done in it.
    pub fn run<P: Program>(program: &std::sync::Arc<P>, schedule: &[Choice]) -> Recording {
        let mut execution = Execution::new(program, |world| world.log = Some(Vec::new()));
        schedule.iter().for_each(|choice| execution.step(*choice));
        let (rule, message) = (Rule::WaitForever, String::new());
        let none = Violation { rule, message, thread: None, site: None, cycle: Vec::new() };
        let recording = execution.world(|world| Recording::read(world, &none, Vec::new()));
        Recording { breach: None, ..recording }
    }

    /// What `world`'s log says.
    pub fn read(world: &World, violation: &Violation, alternatives: Vec<u8>) -> Recording {
        let everybody = (0..world.threads.len()).map(|index| ThreadId(index as u8));
        let mut last = 0;
        let lines = world.log.iter().flatten().map(|event| {
            let chosen = event.step > last;
            last = event.step;
            Line {
                thread: event.thread.0 as usize,
                step: event.step,
                chosen,
                operation: event.operation,
                object: world.name_of(event.object).to_string(),
                site: event.site,
                detail: event.detail.clone(),
                big: world.is_big(event.object),
            }
        });
        let cycle = violation.cycle.iter().map(|wait| Link {
            thread: wait.thread.0 as usize,
            operation: wait.operation,
            object: world.name_of(wait.object).to_string(),
            site: wait.site,
            held_by: names(world, wait.held_by),
            holds: world.threads[wait.thread.0 as usize]
                .held
                .iter()
                .map(|lock| world.name_of(*lock).to_string())
                .collect(),
        });
        let thread = violation.thread.map(|id| id.0 as usize);
        Recording {
            threads: everybody.map(|id| thread_name(world, id)).collect(),
            lines: lines.collect(),
            cycle: cycle.collect(),
            breach: Some((violation.rule, thread, violation.site)),
            alternatives,
        }
    }

    /// The steps a scheduler chose.
    pub fn steps(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.chosen)
    }

    /// How often the schedule goes from one thread to another.
    pub fn switches(&self) -> usize {
        let threads: Vec<usize> = self.steps().map(|line| line.thread).collect();
        threads.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}
