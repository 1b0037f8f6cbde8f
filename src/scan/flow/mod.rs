//! One function, entered in one lock state: every path through it, joined where
//! the lock state is the same (property simulation). Gives the ways out, the
//! calls with the state at each, and what breaks a rule whoever the caller is.
//! Must not know: which thread comes here.

mod calls;
mod contracts;
mod helpers;
mod locks;
mod outcome;
mod state;

pub use outcome::{Edge, Entry, Event, Exit, Outcome, To, What};

use super::ir::Guard;
use super::place::{Object, RCU, Root, Scope};
use super::program::FnId;
use super::resolve::{ANY, Block, Step, Var, Way};
use super::summary::{NodeId, Summaries};
use helpers::{settle_bql, settle_helpers};
use state::{GUARDED_BQL, State, unlock};

/// So many lock states are kept at one place.
const STATES: usize = 16;

/// Follows every path of `id` from `entry`.
pub fn run<'p>(summaries: &mut Summaries<'p>, id: FnId, entry: Entry, user: NodeId) -> Outcome {
    let resolved = summaries.resolved(id);
    let mut first = State {
        bql: entry.bql,
        held: Vec::new(),
        dropped: Vec::new(),
        done: Vec::new(),
        known: Vec::new(),
    };
    for (at, &var) in resolved.params.iter().enumerate() {
        first.learn(var, entry.signs(at));
    }
    let mut flow = Flow {
        scope: Scope::new(summaries.program, id),
        summaries,
        entry,
        user,
        params: &resolved.params,
        out: Outcome::default(),
        states: (0..resolved.blocks.len()).map(|_| Vec::new()).collect(),
        queue: Vec::new(),
    };
    flow.arrive(0, first);
    while let Some((block, at)) = flow.queue.pop() {
        let state = flow.states[block as usize][at].0.clone();
        flow.states[block as usize][at].1 = false;
        flow.block(&resolved.blocks[block as usize], state);
    }
    let mut out = flow.out;
    settle_helpers(&resolved.blocks, &mut out.exits);
    if entry.bql {
        settle_bql(&resolved.blocks, &mut out);
    }
    out
}

struct Flow<'s, 'p> {
    scope: Scope<'p>,
    summaries: &'s mut Summaries<'p>,
    entry: Entry,
    user: NodeId,
    params: &'p [Var],
    out: Outcome,
    /// By block: the states met, and whether each waits in the queue.
    states: Vec<Vec<(State, bool)>>,
    queue: Vec<(u32, usize)>,
}

impl Flow<'_, '_> {
    fn arrive(&mut self, block: u32, state: State) {
        let states = &mut self.states[block as usize];
        for (at, (known, queued)) in states.iter_mut().enumerate() {
            if known.same_locks(&state) {
                if known.join(&state) && !*queued {
                    *queued = true;
                    self.queue.push((block, at));
                }
                return;
            }
        }
        if states.len() >= STATES {
            self.out.capped = true;
            return;
        }
        states.push((state, true));
        self.queue.push((block, states.len() - 1));
    }

    fn block(&mut self, block: &Block, state: State) {
        let (mut states, mut next) = (vec![state], Vec::new());
        for step in block.ops.iter().filter(|step| !matches!(step, Step::Idle(_))) {
            for state in states.drain(..) {
                self.step(step, state, &mut next);
            }
            std::mem::swap(&mut states, &mut next);
            if states.is_empty() {
                return;
            }
        }
        for state in states {
            self.leave(&block.end, state);
        }
    }

    fn leave(&mut self, way: &Way, state: State) {
        match way {
            Way::Goto(to) => self.arrive(*to, state),
            Way::Any(to) => {
                for &to in to {
                    self.arrive(to, state.clone());
                }
            }
            Way::Branch { var, signs, yes, no } => {
                let known = state.signs(*var);
                for (to, signs) in [(*yes, known & signs), (*no, known & !signs & ANY)] {
                    if signs != 0 {
                        let mut state = state.clone();
                        state.learn(*var, signs);
                        self.arrive(to, state);
                    }
                }
            }
            Way::Return { value, line } => {
                let signs = state.value(*value);
                // Which one of several locks of a class it was, no caller can say.
                let lost = |held: &Object| {
                    held.place.root == Root::Unknown && held.key != super::place::AIO_CONTEXT
                };
                let held = state.held.into_iter();
                let held = held.filter(|held| held.key != GUARDED_BQL && !lost(held));
                let taken: Vec<Object> = held.collect();
                let same = |exit: &&mut Exit| {
                    exit.bql == state.bql && exit.taken == taken && exit.dropped == state.dropped
                };
                // Ways out that differ in the sign alone are one, unless the sign
                // tells lock states apart; that is seen where they are compared.
                match self.out.exits.iter_mut().find(same) {
                    Some(exit) => exit.signs |= signs,
                    None => self.out.exits.push(Exit {
                        bql: state.bql,
                        taken,
                        dropped: state.dropped,
                        signs,
                        line: *line,
                    }),
                }
            }
            Way::Never => {}
        }
    }

    fn event(&mut self, what: What, at: (u32, u32, bool), state: &State) {
        let (line, column, conditional) = at;
        let event = Event {
            what,
            line,
            column,
            conditional,
            bql: state.bql,
            own_bql: state.bql && !self.entry.bql,
            held: state.keys(),
        };
        if !self.out.events.contains(&event) {
            self.out.events.push(event);
        }
    }

    fn step(&mut self, step: &Step, mut state: State, next: &mut Vec<State>) {
        match step {
            Step::Set { var, value, forget, root } => {
                let signs = state.value(*value);
                if let Some(root) = root {
                    // A lock that was reached through the variable is another
                    // one's from now on.
                    let both = state.held.iter_mut().chain(&mut state.dropped);
                    for lock in both.filter(|lock| lock.place.root == *root) {
                        lock.place.root = Root::Unknown;
                    }
                    state.done.retain(|lock| lock.place.root != *root);
                }
                for &var in &**forget {
                    state.learn(var, ANY);
                }
                if let Some(var) = var {
                    state.learn(*var, signs);
                }
                next.push(state);
            }
            Step::Enter { guard, lock, line } => {
                let at = (*line, 0, false);
                match guard {
                    Guard::Bql => {
                        if !state.bql {
                            self.event(What::AcquireBql, at, &state);
                            state.bql = true;
                            state.held.push(Object::only(GUARDED_BQL));
                        }
                        next.push(state);
                    }
                    Guard::Rcu => self.lock(Object::only(RCU), true, at, state, next),
                    Guard::Mutex => self.lock((**lock).clone(), false, at, state, next),
                }
            }
            Step::Leave { guard, lock } => {
                match guard {
                    Guard::Bql => {
                        if let Some(at) = state.held.iter().position(|o| o.key == GUARDED_BQL) {
                            state.held.remove(at);
                            state.bql = false;
                        }
                    }
                    Guard::Rcu => unlock(&mut state, &Object::only(RCU)),
                    Guard::Mutex => unlock(&mut state, lock),
                }
                next.push(state);
            }
            Step::Require { held, what, line, conditional } => {
                if state.bql == *held {
                    next.push(state);
                } else {
                    let what = What::Require { held: *held, what: *what };
                    self.event(what, (*line, 0, *conditional), &state);
                }
            }
            Step::RequireCoroutine { inside } => {
                if self.entry.coroutine == *inside {
                    next.push(state);
                }
            }
            Step::Call(call) => self.call(call, state, next),
            Step::Idle(_) => next.push(state),
        }
    }
}
