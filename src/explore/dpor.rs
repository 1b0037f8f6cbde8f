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
use crate::runtime::{Access, Choice, Mutant, Op, Program, ThreadId, Threads, Touch};
use std::sync::Arc;

/// A run longer than this is taken for one that never ends.
const LONGEST_RUN: usize = 100_000;

/// A thread that need not move: all that starts with its next step is covered,
/// until somebody does what matters to that step.
///
/// Even then it is remembered what the step touched: what follows an operation
/// depends on its outcome, and a step that touches less in its new place must
/// not hide the races that it had in the old.
#[derive(Clone)]
struct Sleeper {
    thread: ThreadId,
    touches: Vec<Touch>,
    woken: bool,
}

/// A state on the present path.
struct Frame {
    movable: Threads,
    /// Only the environment can move.
    gated: bool,
    /// Who is to be tried here, or has been.
    backtrack: Threads,
    sleepers: Vec<Sleeper>,
    /// The thread that is being tried, its other alternatives, and what those
    /// before touched.
    current: ThreadId,
    untried: u64,
    touches: Vec<Touch>,
}

impl Frame {
    /// Who is asleep.
    fn asleep(&self) -> Threads {
        self.sleepers.iter().filter(|s| !s.woken).map(|s| s.thread).collect()
    }

    /// Who slept before a step of the present thread that touched `touches`, and
    /// whether it still does.
    fn sleepers_after(&self, touches: &[Touch], mutant: Mutant) -> Vec<Sleeper> {
        let others = self.sleepers.iter().filter(|s| s.thread != self.current);
        let wakes = |s: &Sleeper| {
            mutant != Mutant::WakeSleepers && (self.gated || dependent(&s.touches, touches))
        };
        others.map(|s| Sleeper { woken: s.woken || wakes(s), ..s.clone() }).collect()
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
            let mut frame = Frame {
                movable,
                gated: idle && self.mutant != Mutant::Barrier,
                backtrack: Threads::NONE,
                sleepers: self.sleepers(),
                current: ThreadId(0),
                untried: 0,
                touches: Vec::new(),
            };
            let Some(first) = (movable & !frame.asleep()).iter().next() else {
                self.result.blocked += 1;
                return self.suppose(&execution);
            };
            frame.current = first;
            let all = idle && self.mutant != Mutant::GatedBranches;
            frame.backtrack = if all { movable } else { Threads::NONE.with(first) };
            self.frames.push(frame);
            self.advance(&mut execution);
        }
    }

    fn watch_budget(&mut self) {
        let runs = self.result.executions + self.result.blocked;
        self.limits.note(runs, self.result.found.len());
        if self.limits.reached(self.result.steps) {
            self.result.cut = Some("the budget ran out".into());
        } else if self.limits.executions.is_some_and(|most| runs >= most) {
            self.result.cut = Some(format!("stopped after {runs} executions"));
        }
    }

    /// Who sleeps after the last step, or has been woken.
    fn sleepers(&self) -> Vec<Sleeper> {
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
        let mut touches = execution.world(|world| {
            if (exit || world.ended) && mutant != Mutant::AbortedSiblings {
                frame.backtrack = frame.movable;
            }
            world.touches.take().expect("just switched on")
        });
        let remembered = frame.sleepers.iter().filter(|s| s.thread == thread);
        let remembered = outdated(remembered.flat_map(|s| &s.touches), &touches);
        include(&mut touches, &remembered);
        include(&mut frame.touches, &touches);
        let gated = frame.gated;
        for index in self.races(choice, touches, gated, blocking) {
            self.reverse(index, thread);
        }
        self.path.push(choice);
        if let Some(cell) = self.trace.unordered_cell() {
            self.result.cut = Some(format!("cell {cell} is used without a hand-over"));
        } else if self.path.len() > LONGEST_RUN {
            self.result.cut = Some("a run that does not end".into());
        }
    }

    /// Here the execution ends, or the environment has its turn, or some are about
    /// to be ended: notes the races of those who wait. What they wait for may have
    /// been taken from them.
    fn suppose(&mut self, execution: &Execution<P>) {
        if self.mutant == Mutant::Losers {
            return;
        }
        let (mut waiting, ended) = execution.world(|world| {
            let blocked = world.everybody().iter().filter(|t| world.alternatives(*t) == 0);
            (blocked.collect::<Threads>(), world.ended)
        });
        if let (true, Some(frame)) = (ended, self.frames.last()) {
            // Before the end, that is: nothing goes together with an end.
            waiting = execution.world(|world| world.everybody()) & !frame.movable;
            self.trace.truncate(self.path.len() - 1);
        }
        let known = self.trace.steps().len();
        for thread in waiting.iter() {
            let touches = execution.world(|world| world.would_touch(thread));
            if !touches.is_empty() {
                let supposed = Choice { thread, alternative: 0 };
                for index in self.races(supposed, touches, false, true) {
                    // Only now it is known what the step would be in full.
                    self.trace.relabel(self.attempt(index, thread));
                    self.reverse(index, thread);
                }
                self.trace.truncate(known);
            }
        }
    }

    /// What `thread` touches where it comes before step `index`.
    fn attempt(&self, index: usize, thread: ThreadId) -> Vec<Touch> {
        let mut execution = without(self.program, &self.path, &self.trace, index);
        let alternative = execution.world(|world| {
            world.touches = Some(Vec::new());
            world.alternatives(thread).trailing_zeros() as u8
        });
        execution.step(Choice { thread, alternative });
        execution.world(|world| world.touches.take()).unwrap_or_default()
    }

    /// Adds a step to the trace; which steps it races with, latest first.
    fn races(
        &mut self,
        choice: Choice,
        touches: Vec<Touch>,
        barrier: bool,
        blocking: bool,
    ) -> Vec<usize> {
        let (program, path, frames) = (self.program, &self.path, &self.frames);
        self.trace.push(choice, touches, barrier, |trace, index| {
            !blocking || can_start(program, path, frames, trace, index, choice.thread)
        })
    }

    /// Sees to it that from the state before step `index` an execution is tried
    /// in which the last step, one of `thread`, comes first.
    fn reverse(&mut self, index: usize, thread: ThreadId) {
        let initials = self.trace.initials(index);
        let frame = &mut self.frames[index];
        if ((frame.backtrack | frame.asleep()) & initials).is_empty() {
            let first = if initials.has(thread) { Some(thread) } else { initials.iter().next() };
            frame.backtrack = first.into_iter().fold(frame.backtrack, Threads::with);
        }
    }

    /// Back to the deepest state with something left to try. False: all done.
    fn retreat(&mut self) -> bool {
        while let Some(frame) = self.frames.last_mut() {
            if frame.untried == 0 {
                let touches = std::mem::take(&mut frame.touches);
                frame.sleepers.push(Sleeper { thread: frame.current, touches, woken: false });
                let left = frame.backtrack & !frame.asleep();
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

/// What a step touched elsewhere, as it counts where it touches `touches`: the
/// numbers of tokens and messages have changed.
fn outdated<'a>(elsewhere: impl Iterator<Item = &'a Touch>, touches: &[Touch]) -> Vec<Touch> {
    let renumber = |touch: &Touch| match touch.access {
        Access::Give(_) | Access::Take(_) | Access::Await(_) => {
            let anew = touches.iter().any(|now| now.place == touch.place);
            (!anew).then_some(Touch { access: Access::Write, ..*touch })
        }
        _ => Some(*touch),
    };
    elsewhere.filter_map(renumber).collect()
}

/// Adds to `touches` what is not among them.
fn include<'a>(touches: &mut Vec<Touch>, more: impl IntoIterator<Item = &'a Touch>) {
    for touch in more {
        if !touches.contains(touch) {
            touches.push(*touch);
        }
    }
}

/// The execution up to step `index`, and on without it and all that happens after
/// it.
fn without<P: Program>(
    program: &Arc<P>,
    path: &[Choice],
    trace: &Trace,
    index: usize,
) -> Execution<P> {
    let mut execution = Execution::new(program, |_| {});
    path[..index].iter().for_each(|choice| execution.step(*choice));
    trace.free_of(index).for_each(|step| execution.step(step.choice));
    execution
}

/// Whether the pending operation of `thread` could be done there.
fn can_start<P: Program>(
    program: &Arc<P>,
    path: &[Choice],
    frames: &[Frame],
    trace: &Trace,
    index: usize,
    thread: ThreadId,
) -> bool {
    if trace.free_of(index).next().is_none() {
        return frames[index].movable.has(thread);
    }
    without(program, path, trace, index)
        .world(|world| world.movable().has(thread) && !world.is_gated(thread))
}
