//! One execution as a partial order: which step happens before which, which
//! pairs race, and what starts the execution in which a race ends the other way.
//! Must not know: how the executions are enumerated.

use crate::runtime::{Access, Choice, Mutant, Place, ThreadId, Threads, Touch};

/// One step with what it touched and all it happens after.
pub struct Step {
    pub choice: Choice,
    pub touches: Vec<Touch>,
    /// The environment's: ordered with everything before and after it.
    barrier: bool,
    /// How many steps of each thread happen before or are this one.
    clock: Vec<u32>,
}

impl Step {
    fn thread(&self) -> usize {
        self.choice.thread.0 as usize
    }

    /// Its number among its thread's steps, from 1.
    fn number(&self) -> u32 {
        self.clock[self.thread()]
    }

    fn is_before(&self, clock: &[u32]) -> bool {
        self.number() <= clock[self.thread()]
    }
}

/// Whether the order of two steps of different threads matters.
pub fn dependent(one: &[Touch], other: &[Touch]) -> bool {
    one.iter().any(|a| other.iter().any(|b| a.conflicts(b) && !is_cell(a)))
}

fn is_cell(touch: &Touch) -> bool {
    matches!(touch.place, Place::Cell(_))
}

/// The steps of an execution so far.
#[derive(Default)]
pub struct Trace {
    steps: Vec<Step>,
    threads: usize,
    mutant: Mutant,
}

impl Trace {
    /// An empty trace of `threads` threads.
    pub fn new(threads: usize, mutant: Mutant) -> Trace {
        Trace { steps: Vec::new(), threads, mutant }
    }

    /// The steps.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Forgets all but the first `length` steps.
    pub fn truncate(&mut self, length: usize) {
        self.steps.truncate(length);
    }

    /// Corrects what the last step touches.
    pub fn relabel(&mut self, touches: Vec<Touch>) {
        if let Some(step) = self.steps.last_mut() {
            step.touches = touches;
        }
    }

    /// Adds a step. Returns the earlier steps it races with, latest first: those
    /// that nothing orders before it but themselves, and that `could_wait` says
    /// could as well have come later.
    pub fn push(
        &mut self,
        choice: Choice,
        touches: Vec<Touch>,
        barrier: bool,
        could_wait: impl Fn(&Trace, usize) -> bool,
    ) -> Vec<usize> {
        let mut clock = self.known_to(choice.thread);
        let races = if barrier {
            self.steps.iter().for_each(|step| join(&mut clock, &step.clock));
            Vec::new()
        } else {
            self.learn(&mut clock, &touches, could_wait)
        };
        clock[choice.thread.0 as usize] += 1;
        self.steps.push(Step { choice, touches, barrier, clock });
        races
    }

    /// Adds to `clock` what a step that touches `touches` learns from those it
    /// depends on. Which of them it races with.
    fn learn(
        &self,
        clock: &mut [u32],
        touches: &[Touch],
        could_wait: impl Fn(&Trace, usize) -> bool,
    ) -> Vec<usize> {
        let (mut races, mut latest) = (Vec::new(), true);
        // What lies before a race is that race's business. What lies before a step
        // that only let this one go on is not: that lock may be taken the other
        // way round.
        let mut covered = clock.to_vec();
        for index in (self.floor()..self.steps.len()).rev() {
            let step = &self.steps[index];
            if step.is_before(&covered) || !dependent(&step.touches, touches) {
                continue;
            }
            if self.mutant != Mutant::ClockJoin {
                join(clock, &step.clock);
            }
            let release = step.touches.iter().any(|t| t.access == Access::Release);
            let races_anyway = release && self.mutant == Mutant::ReleaseRaces;
            let overlooked = !latest && self.mutant == Mutant::OlderRaces;
            latest = false;
            if !overlooked && (races_anyway || could_wait(self, index)) {
                join(&mut covered, &step.clock);
                races.push(index);
            }
        }
        races
    }

    /// The first step after the environment's last.
    fn floor(&self) -> usize {
        if self.mutant == Mutant::Barrier {
            return 0;
        }
        self.steps.iter().rposition(|step| step.barrier).map_or(0, |index| index + 1)
    }

    /// All that `thread` has learnt by its own steps and the environment's.
    fn known_to(&self, thread: ThreadId) -> Vec<u32> {
        let barrier = |step: &Step| step.barrier && self.mutant != Mutant::Barrier;
        let last = self.steps.iter().rfind(|step| step.choice.thread == thread || barrier(step));
        last.map_or_else(|| vec![0; self.threads], |step| step.clock.clone())
    }

    /// The steps after `index` that do not happen after it.
    pub fn free_of(&self, index: usize) -> impl Iterator<Item = &Step> {
        let step = &self.steps[index];
        self.steps[index + 1..].iter().filter(|later| !step.is_before(&later.clock))
    }

    /// Whoever could begin, after `index` steps, an execution in which the last
    /// step comes before step `index`.
    pub fn initials(&self, index: usize) -> Threads {
        let last = self.steps.last().expect("a step that races");
        let mut first = vec![u32::MAX; self.threads];
        let (mut initials, mut own) = (Threads::NONE, true);
        for step in self.free_of(index) {
            let starts = (0..self.threads).all(|t| step.clock[t] < first[t]);
            let at = &mut first[step.thread()];
            *at = (*at).min(step.number());
            if starts {
                initials = initials.with(step.choice.thread);
            }
            own &= step.thread() != last.thread() && !dependent(&step.touches, &last.touches);
        }
        if own { initials.with(last.choice.thread) } else { initials }
    }

    /// A cell that the last step used although nothing orders it after another
    /// thread's use: there was no hand-over.
    pub fn unordered_cell(&self) -> Option<u16> {
        let (last, earlier) = self.steps.split_last()?;
        last.touches.iter().filter(|touch| is_cell(touch)).find_map(|touch| {
            let conflicts = |step: &Step| step.touches.iter().any(|t| t.conflicts(touch));
            let raced = earlier.iter().any(|step| !step.is_before(&last.clock) && conflicts(step));
            match touch.place {
                Place::Cell(cell) if raced => Some(cell),
                _ => None,
            }
        })
    }
}

fn join(clock: &mut [u32], other: &[u32]) {
    clock.iter_mut().zip(other).for_each(|(mine, theirs)| *mine = (*mine).max(*theirs));
}
