//! The stateless engine: source-DPOR with sleep sets (Abdulla and others, POPL
//! 2014), one execution for each way in which the steps' order matters.
//! Must not know: what is explored. It shares nothing with the exhaustive engine
//! but the world, and looks at what steps did, not at declared contracts.
//!
//! A step of the environment ([`Timing::Idle`](crate::runtime::Timing)) is
//! ordered with everything; where only such steps are left, all are tried. A step
//! that ends the world or a process hides what the others could have done
//! instead: all of them are tried beside it.

use super::result::{Exploration, Limits};
use super::trace::{Trace, dependent};
use crate::runtime::controlled::Execution;
use crate::runtime::{Choice, Mutant, Op, Program, ThreadId, Threads, Touch};
use std::sync::Arc;

/// A run longer than this is taken for one that never ends.
const LONGEST_RUN: usize = 100_000;

/// A thread that need not move: all that starts with its next step is covered,
/// until somebody does what matters to that step.
#[derive(Clone)]
struct Sleeper {
    thread: ThreadId,
    touches: Vec<Touch>,
}

/// A state on the present path.
struct Frame {
    movable: Threads,
    /// Only the environment can move.
    gated: bool,
    /// Who is to be tried here, or has been.
    backtrack: Threads,
    asleep: Vec<Sleeper>,
    /// The thread that is being tried, its other alternatives, and what those
    /// before touched.
    current: ThreadId,
    untried: u64,
    touches: Vec<Touch>,
}

impl Frame {
    /// Who sleeps after a step that touched `touches`.
    fn sleepers_after(&self, touches: &[Touch], mutant: Mutant) -> Vec<Sleeper> {
        let awake = |s: &&Sleeper| {
            let woken = self.gated || dependent(&s.touches, touches);
            s.thread != self.current && (!woken || mutant == Mutant::WakeSleepers)
        };
        self.asleep.iter().filter(awake).cloned().collect()
    }
}

struct Search<'a, P: Program> {
    program: &'a Arc<P>,
    limits: &'a Limits,
    result: Exploration,
    mutant: Mutant,
    path: Vec<Choice>,
    frames: Vec<Frame>,
    trace: Trace,
}

/// Explores all of `program`.
pub fn dpor<P: Program>(program: &Arc<P>, limits: &Limits) -> Exploration {
    let (threads, mutant) =
        Execution::new(program, |_| {}).world(|world| (world.threads.len(), world.mutant));
    let mut search = Search {
        program,
        limits,
        mutant,
        result: Exploration::default(),
        path: Vec::new(),
        frames: Vec::new(),
        trace: Trace::new(threads, mutant),
    };
    loop {
        search.descend();
        if search.result.cut.is_some() || !search.retreat() {
            break;
        }
    }
    search.result.complete = search.result.cut.is_none();
    search.result
}

impl<P: Program> Search<'_, P> {
    /// Runs one execution: the path again, its next step, and on to an end.
    fn descend(&mut self) {
        let mut execution = Execution::new(self.program, |_| {});
        self.path.iter().for_each(|choice| execution.step(*choice));
        self.result.steps += self.path.len() as u64;
        self.watch_budget();
        if !self.frames.is_empty() {
            self.advance(&mut execution);
        }
        while self.result.cut.is_none() {
            let movable = execution.world(|world| {
                self.result.collect(world, &self.path);
                world.movable()
            });
            let idle = execution.world(|world| !movable.iter().any(|t| !world.is_gated(t)));
            if idle {
                self.suppose(&execution);
            }
            if movable.is_empty() {
                return self.end(&mut execution);
            }
            let asleep = self.asleep();
            let awake = movable & !names(&asleep);
            let Some(current) = awake.iter().next() else {
                self.result.blocked += 1;
                return;
            };
            let all = idle && self.mutant != Mutant::GatedBranches;
            self.frames.push(Frame {
                movable,
                gated: idle && self.mutant != Mutant::Barrier,
                backtrack: if all { movable } else { Threads::NONE.with(current) },
                asleep,
                current,
                untried: 0,
                touches: Vec::new(),
            });
            self.advance(&mut execution);
        }
    }

    fn watch_budget(&mut self) {
        let runs = self.result.executions + self.result.blocked;
        if self.limits.reached(self.result.steps) {
            self.result.cut = Some("the budget ran out".into());
        } else if self.limits.executions.is_some_and(|most| runs >= most) {
            self.result.cut = Some(format!("stopped after {runs} executions"));
        }
    }

    /// Who sleeps after the last step.
    fn asleep(&self) -> Vec<Sleeper> {
        match (self.frames.last(), self.trace.steps().last()) {
            (Some(frame), Some(step)) => frame.sleepers_after(&step.touches, self.mutant),
            _ => Vec::new(),
        }
    }

    /// Nobody can move any more.
    fn end(&mut self, execution: &mut Execution<P>) {
        self.result.executions += 1;
        self.result.terminals.insert(execution.world(|world| world.state()));
        execution.judge();
        execution.world(|world| {
            self.result.collect(world, &self.path);
            self.result.learn(world);
        });
    }

    /// Takes the next step of the last frame and notes in earlier frames which
    /// races it has.
    fn advance(&mut self, execution: &mut Execution<P>) {
        let mutant = self.mutant;
        let thread = self.frames.last().expect("a state to go on from").current;
        let (blocking, exit, alternatives) = execution.world(|world| {
            let op = &world.pending(thread).expect("a movable thread").op;
            (op.may_block(), matches!(op, Op::Exit), world.alternatives(thread))
        });
        if exit {
            self.suppose(execution);
        }
        execution.world(|world| world.touches = Some(Vec::new()));
        let frame = self.frames.last_mut().expect("a state to go on from");
        if frame.untried == 0 {
            frame.untried = alternatives;
        }
        let choice = Choice { thread, alternative: frame.untried.trailing_zeros() as u8 };
        frame.untried &= frame.untried - 1;
        if mutant == Mutant::Alternatives {
            frame.untried = 0;
        }
        execution.step(choice);
        self.result.steps += 1;
        let touches = execution.world(|world| {
            if (exit || world.ended) && mutant != Mutant::AbortedSiblings {
                frame.backtrack = frame.movable;
            }
            world.touches.take().expect("just switched on")
        });
        frame.touches.extend_from_slice(&touches);
        let gated = frame.gated;
        self.note(choice, touches, gated, blocking);
        self.path.push(choice);
        if let Some(cell) = self.trace.unordered_cell() {
            self.result.cut = Some(format!("cell {cell} is used without a hand-over"));
        } else if self.path.len() > LONGEST_RUN {
            self.result.cut = Some("a run that does not end".into());
        }
    }

    /// Nobody inside can move, or some are about to be ended: notes the races of
    /// those who wait. What they wait for may have been taken from them.
    fn suppose(&mut self, execution: &Execution<P>) {
        if self.mutant == Mutant::Losers {
            return;
        }
        let everybody = execution.world(|world| world.everybody());
        for thread in everybody.iter() {
            let touches = execution.world(|world| {
                let blocked = world.alternatives(thread) == 0;
                if blocked { world.would_touch(thread) } else { Vec::new() }
            });
            if !touches.is_empty() {
                self.note(Choice { thread, alternative: 0 }, touches, false, true);
                self.trace.truncate(self.path.len());
            }
        }
    }

    /// Adds a step to the trace and has its races reversed.
    fn note(&mut self, choice: Choice, touches: Vec<Touch>, barrier: bool, blocking: bool) {
        let (program, path, frames) = (self.program, &self.path, &self.frames);
        let races = self.trace.push(choice, touches, barrier, |trace, index| {
            !blocking || can_start(program, path, frames, trace, index, choice.thread)
        });
        let reversed = if self.mutant == Mutant::OlderRaces { 1 } else { races.len() };
        races.into_iter().take(reversed).for_each(|index| self.reverse(index, choice.thread));
    }

    /// Sees to it that from the state before step `index` an execution is tried
    /// in which the last step, one of `thread`, comes first.
    fn reverse(&mut self, index: usize, thread: ThreadId) {
        let initials = self.trace.initials(index);
        let frame = &mut self.frames[index];
        if ((frame.backtrack | names(&frame.asleep)) & initials).is_empty() {
            let first = if initials.has(thread) { Some(thread) } else { initials.iter().next() };
            frame.backtrack = first.into_iter().fold(frame.backtrack, Threads::with);
        }
    }

    /// Back to the deepest state with something left to try. False: all done.
    fn retreat(&mut self) -> bool {
        while let Some(frame) = self.frames.last_mut() {
            if frame.untried == 0 {
                let touches = std::mem::take(&mut frame.touches);
                frame.asleep.push(Sleeper { thread: frame.current, touches });
                let left = frame.backtrack & !names(&frame.asleep);
                let Some(next) = left.iter().next() else {
                    self.frames.pop();
                    continue;
                };
                frame.current = next;
            }
            self.path.truncate(self.frames.len() - 1);
            self.trace.truncate(self.frames.len() - 1);
            return true;
        }
        false
    }
}

fn names(sleepers: &[Sleeper]) -> Threads {
    sleepers.iter().map(|sleeper| sleeper.thread).collect()
}

/// Whether the pending operation of `thread` could be done without step `index`
/// and all that happens after it.
fn can_start<P: Program>(
    program: &Arc<P>,
    path: &[Choice],
    frames: &[Frame],
    trace: &Trace,
    index: usize,
    thread: ThreadId,
) -> bool {
    let mut free = trace.free_of(index).peekable();
    if free.peek().is_none() {
        return frames[index].movable.has(thread);
    }
    let mut execution = Execution::new(program, |_| {});
    path[..index].iter().for_each(|choice| execution.step(*choice));
    free.for_each(|step| execution.step(step.choice));
    execution.world(|world| world.movable().has(thread) && !world.is_gated(thread))
}
