//! One function, entered in one lock state: every path through it, joined where
//! the lock state is the same (property simulation). Gives the ways out, the
//! calls with the state at each, and what breaks a rule whoever the caller is.
//! Must not know: which thread comes here.

use super::ir::Guard;
use super::place::{BQL, Key, NONE, Object, Place, RCU, Root};
use super::program::{FnId, Sym};
use super::resolve::{
    ANY, Arg, Block, CallStep, Invoke, LockCall, NEGATIVE, POSITIVE, Signs, Step, TRUE, Value, Var,
    Way, ZERO,
};
use super::summary::{NodeId, Summaries};
use super::tables::{self, Held, WaitKind};

/// How a function is entered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Entry {
    pub bql: bool,
    pub coroutine: bool,
    /// Signs of constant arguments, two bits a parameter: 0 any, 1 zero, 2
    /// positive, 3 negative.
    pub constants: u16,
}

impl Entry {
    pub fn plain(bql: bool, coroutine: bool) -> Entry {
        Entry { bql, coroutine, constants: 0 }
    }

    fn signs(self, param: usize) -> Signs {
        match (self.constants >> (2 * param)) & 3 {
            1 => ZERO,
            2 => POSITIVE,
            3 => NEGATIVE,
            _ => ANY,
        }
    }
}

/// A way out: the lock state relative to the entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exit {
    pub bql: bool,
    /// Locks taken and not released.
    pub taken: Vec<Object>,
    /// The caller's locks that were released.
    pub dropped: Vec<Object>,
    /// Of the returned value.
    pub signs: Signs,
    /// Of a return that leads here.
    pub line: u32,
}

/// Whose body a call enters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum To {
    Node(NodeId),
    /// Each function that the member holds.
    Hook(Key, Entry),
}

/// A call, with the state in which it is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge {
    pub to: To,
    pub name: Sym,
    pub line: u32,
    pub conditional: bool,
    pub bql: bool,
    /// Locks held in this function at the call.
    pub held: Vec<Key>,
}

/// Something that may break a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    pub what: What,
    pub line: u32,
    pub column: u32,
    pub conditional: bool,
    pub bql: bool,
    /// Whether the BQL was taken in this function.
    pub own_bql: bool,
    /// Other locks held in this function.
    pub held: Vec<Key>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// `assert(bql_locked())` fails; the name of what asserts.
    Require {
        held: bool,
        what: Sym,
    },
    /// `Contracts::functions`.
    Function(u16),
    /// `Contracts::hooks`.
    Hook(u16),
    /// A function asserts it before all else.
    Asserted(FnId),
    /// What a comment asks of the caller of a function: `comment_rows`.
    Comment(FnId, u32),
    /// A lock is needed and not held in this function: `Contracts::locks`.
    NeedsLock(u16, Key),
    /// The same by a comment.
    NeedsCommented(FnId, u32),
    /// `tables::guarded`: a member is used without its lock.
    Guarded(u16),
    /// `bql_unlock()` without the BQL.
    UnlockNotHeld,
    /// A lock is released that this function has released already.
    UnlockedTwice(Key),
    /// The BQL, which was held at the entry, is released and not taken again.
    NotTakenAgain,
    /// The BQL is taken while held.
    BqlTwice,
    /// A lock is taken while held, perhaps in a function called.
    Twice(Key, Option<NodeId>),
    /// Events are polled for below, while a lock is held.
    PollsWith(Key, NodeId),
    /// A lock is taken; for the order.
    Acquire(Key),
    /// The BQL is taken.
    AcquireBql,
    Wait {
        wait: u16,
        object: Option<Key>,
    },
    Wake {
        wake: u16,
        object: Option<Key>,
    },
    /// A callback is handed over: the registrar, the functions, and the word
    /// that says where it runs.
    Register {
        registrar: u16,
        functions: Vec<FnId>,
        place: Option<Sym>,
    },
}

/// The result.
#[derive(Default)]
pub struct Outcome {
    pub exits: Vec<Exit>,
    pub edges: Vec<Edge>,
    pub events: Vec<Event>,
    /// Parameters that are called: with the BQL, in a coroutine.
    pub param_calls: Vec<(u8, bool, bool)>,
    /// Locks that are taken here or below, in terms of the parameters.
    pub acquires: Vec<Object>,
    /// Whether events are polled for here or below; if so, the locks that every
    /// such poll has released of the caller's.
    pub polls: Option<Vec<Key>>,
    /// More states than are kept were met: some ways were given up.
    pub capped: bool,
}

/// The marker of a BQL that a guard took.
const GUARDED_BQL: Key = Key { owner: NONE, name: Sym(u32::MAX - 5) };

/// So many lock states are kept at one place.
const STATES: usize = 16;
/// So many classes of taken locks are kept of a function.
const ACQUIRES: usize = 32;

#[derive(Clone, PartialEq, Eq)]
struct State {
    bql: bool,
    held: Vec<Object>,
    dropped: Vec<Object>,
    /// Locks that were taken and released on every way here.
    done: Vec<Object>,
    known: Vec<(Var, Signs)>,
}

impl State {
    fn same_locks(&self, other: &State) -> bool {
        self.bql == other.bql && self.held == other.held && self.dropped == other.dropped
    }

    fn signs(&self, var: Var) -> Signs {
        match self.known.binary_search_by_key(&var, |(var, _)| *var) {
            Ok(at) => self.known[at].1,
            Err(_) => ANY,
        }
    }

    fn learn(&mut self, var: Var, signs: Signs) {
        match self.known.binary_search_by_key(&var, |(var, _)| *var) {
            Ok(at) if signs == ANY => {
                self.known.remove(at);
            }
            Ok(at) => self.known[at].1 = signs,
            Err(_) if signs == ANY => {}
            Err(at) => self.known.insert(at, (var, signs)),
        }
    }

    /// Joins what is known; whether that is less than before.
    fn join(&mut self, other: &State) -> bool {
        let before = self.known.len();
        let done = self.done.len();
        self.done.retain(|lock| other.done.contains(lock));
        let mut changed = self.done.len() != done;
        self.known.retain_mut(|(var, signs)| {
            let joined = *signs | other.signs(*var);
            changed |= joined != *signs;
            *signs = joined;
            joined != ANY
        });
        changed || self.known.len() != before
    }

    fn value(&self, value: Value) -> Signs {
        match value {
            Value::Signs(signs) => signs,
            Value::Of(var) => self.signs(var),
            Value::Test(var, truth) => {
                let signs = self.signs(var);
                let mut result = 0;
                if signs & truth != 0 {
                    result |= POSITIVE;
                }
                if signs & !truth & ANY != 0 {
                    result |= ZERO;
                }
                result
            }
        }
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> =
            self.held.iter().map(|held| held.key).filter(|key| *key != GUARDED_BQL).collect();
        keys.sort();
        keys.dedup();
        keys
    }
}

/// Follows every path of `id` from `entry`.
pub fn run(summaries: &mut Summaries<'_>, id: FnId, entry: Entry, user: NodeId) -> Outcome {
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

/// A function that releases the BQL for a while, and on some ways does not take
/// it again: that is said here, and its callers go on with it held. One whose
/// result tells the two apart is left as it is.
fn settle_bql(blocks: &[Block], out: &mut Outcome) {
    let Some(lost) = out.exits.iter().filter(|exit| !exit.bql).min_by_key(|exit| exit.line) else {
        return;
    };
    let line = lost.line;
    let calls = |lock: LockCall| {
        let mut steps = blocks.iter().flat_map(|block| &block.ops);
        steps.any(|step| matches!(step, Step::Call(call) if call.lock == Some(lock)))
    };
    let signs = |bql: bool| {
        let exits = out.exits.iter().filter(|exit| exit.bql == bql);
        exits.fold(0, |signs, exit| signs | exit.signs)
    };
    if signs(true) & signs(false) == 0 || !calls(LockCall::BqlLock) || !calls(LockCall::BqlUnlock) {
        return;
    }
    out.exits.retain(|exit| exit.bql);
    out.events.push(Event {
        what: What::NotTakenAgain,
        line,
        column: 0,
        conditional: true,
        bql: false,
        own_bql: false,
        held: Vec::new(),
    });
}

/// A function that takes a lock under a condition and never releases it, or the
/// other way round, is one of a pair: `XBZRLE_cache_lock()` and its unlock. The
/// condition is the same in both, so the lock is taken to be one that there is.
fn settle_helpers(blocks: &[Block], exits: &mut Vec<Exit>) {
    if exits.len() < 2 {
        return;
    }
    let works = |key: Key, release: bool| {
        blocks.iter().flat_map(|block| &block.ops).any(|step| match step {
            Step::Call(call) => match call.lock {
                Some(LockCall::Lock | LockCall::TryLock) if !release => {
                    call.object.as_ref().is_some_and(|object| object.key == key)
                }
                Some(LockCall::LockOf(of)) if !release => of == key,
                Some(LockCall::Unlock) if release => {
                    call.object.as_ref().is_some_and(|object| object.key == key)
                }
                Some(LockCall::UnlockOf(of)) if release => of == key,
                _ => false,
            },
            Step::Enter { lock, guard, .. } => {
                lock.key == key || (*guard == Guard::Rcu && key == RCU)
            }
            _ => false,
        })
    };
    for release in [false, true] {
        let list = |exit: &Exit| match release {
            false => exit.taken.clone(),
            true => exit.dropped.clone(),
        };
        let locks: Vec<Object> = exits.iter().flat_map(list).collect();
        for lock in locks {
            let signs = exits.iter().filter(|exit| list(exit).contains(&lock));
            let signs = signs.fold(0, |signs, exit| signs | exit.signs);
            if works(lock.key, release) && !works(lock.key, !release) {
                exits.retain(|exit| list(exit).contains(&lock) || exit.signs & signs == 0);
            }
        }
    }
}

struct Flow<'s, 'p> {
    summaries: &'s mut Summaries<'p>,
    entry: Entry,
    user: NodeId,
    params: &'s [Var],
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
        let mut states = vec![state];
        for step in &block.ops {
            let mut next: Vec<State> = Vec::with_capacity(states.len());
            for state in states {
                self.step(step, state, &mut next);
            }
            states = next;
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
                for &var in forget {
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
                    Guard::Mutex => self.lock(lock.clone(), false, at, state, next),
                }
            }
            Step::Leave { guard, lock, .. } => {
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
        }
    }

    /// Takes a lock.
    fn lock(
        &mut self,
        lock: Object,
        recursive: bool,
        at: (u32, u32, bool),
        mut state: State,
        next: &mut Vec<State>,
    ) {
        if let Some(dropped) = state.dropped.iter().position(|d| *d == lock || d.is(&lock)) {
            // The caller's, which was released for a while.
            state.dropped.remove(dropped);
            self.event(What::Acquire(lock.key), at, &state);
            next.push(state);
            return;
        }
        let same = |held: &Object| held.is(&lock);
        let recursive = recursive || self.summaries.is_recursive(lock.key);
        if !recursive && state.held.iter().any(same) {
            self.event(What::Twice(lock.key, None), at, &state);
            return;
        }
        self.event(What::Acquire(lock.key), at, &state);
        self.acquires(&lock);
        state.done.retain(|done| *done != lock);
        if state.held.len() < 8 {
            state.held.push(lock);
        }
        next.push(state);
    }

    fn polls(&mut self, dropped: Vec<Key>) {
        match &mut self.out.polls {
            Some(known) => known.retain(|key| dropped.contains(key)),
            none => *none = Some(dropped),
        }
    }

    fn acquires(&mut self, lock: &Object) {
        if self.out.acquires.len() < ACQUIRES && !self.out.acquires.contains(lock) {
            self.out.acquires.push(lock.clone());
        }
    }

    fn call(&mut self, call: &CallStep, mut state: State, next: &mut Vec<State>) {
        let at = (call.line, call.column, call.conditional);
        for &var in &call.forget {
            state.learn(var, ANY);
        }
        if let Some(lock) = call.lock {
            return self.lock_call(lock, call, state, next);
        }
        for &registrar in &call.register {
            let row = &tables::roots().registrars[usize::from(registrar)];
            if let Some(arg) = call.args.get(row.callback).filter(|arg| !arg.functions.is_empty()) {
                let place = row.place.and_then(|at| call.args.get(at)).and_then(|arg| arg.word);
                let functions = arg.functions.clone();
                self.event(What::Register { registrar, functions, place }, at, &state);
            }
        }
        if let Some(wake) = call.wake {
            let object = call.object.as_ref().map(|object| object.key);
            self.event(What::Wake { wake, object }, at, &state);
        }
        if let Some(wait) = call.wait {
            let row = &tables::waits().waits[usize::from(wait)];
            if !(self.entry.coroutine && row.in_coroutine.as_deref() == Some("yields")) {
                let mut waiting = state.clone();
                waiting.bql &= !row.releases_bql;
                if let Some(mutex) = &call.mutex {
                    let bql = self.summaries.primitives.bql.contains(&mutex.key.name);
                    waiting.bql &= !bql;
                    unlock(&mut waiting, mutex);
                }
                let object = call.object.as_ref().map(|object| object.key);
                self.event(What::Wait { wait, object }, at, &waiting);
                if row.kind == WaitKind::Poll {
                    self.polls(state.dropped.iter().map(|dropped| dropped.key).collect());
                }
            }
        }
        let Some(name) = call.name else { return next.push(state) };
        if self.contracts(name, call, &state) {
            return next.push(state);
        }
        match &call.invoke {
            Invoke::Nothing => {
                if !call.predicate {
                    state.learn(call.temp, ANY);
                }
                next.push(state);
            }
            Invoke::Param(param) => {
                let row = (*param, state.bql, self.entry.coroutine);
                if !self.out.param_calls.contains(&row) {
                    self.out.param_calls.push(row);
                }
                state.learn(call.temp, ANY);
                next.push(state);
            }
            Invoke::Hook(key) => {
                let entry = Entry::plain(state.bql, self.entry.coroutine);
                self.edge(To::Hook(*key, entry), name, at, &state);
                // What a hook does to the lock is left open, unless there is one
                // function alone.
                match self.summaries.only_target(*key) {
                    Some(target) => self.enter(&[target], name, call, state, next),
                    None => {
                        state.learn(call.temp, ANY);
                        next.push(state);
                    }
                }
            }
            Invoke::Functions(functions) => self.enter(functions, name, call, state, next),
        }
    }

    /// Checks what the tables and comments ask of the caller. Whether the body is
    /// better not entered, since that would only say the same again.
    fn contracts(&mut self, name: Sym, call: &CallStep, state: &State) -> bool {
        let at = (call.line, call.column, call.conditional);
        for (row, guarded) in self.summaries.primitives.guarded.iter().enumerate() {
            let given = guarded.calls.contains(&name)
                && call.args.iter().any(|arg| arg.key.is_some_and(|key| guarded.is(key)));
            if given && !state.held.iter().any(|held| held.key == guarded.lock) {
                self.event(What::Guarded(row as u16), at, state);
            }
        }
        let mut stop = false;
        if let Some(&row) = self.summaries.primitives.functions.get(&name)
            && !matches!(call.invoke, Invoke::Hook(_) | Invoke::Param(_))
        {
            let wrong = match self.summaries.contracts.functions[usize::from(row)].bql {
                Held::Held => !state.bql,
                Held::NotHeld => state.bql,
                Held::Either => false,
            };
            if wrong {
                self.event(What::Function(row), at, state);
                stop = true;
            }
        }
        if let Invoke::Hook(key) = call.invoke
            && let Some(&row) = self.summaries.primitives.hooks.get(&key)
        {
            let wrong = match self.summaries.contracts.hooks[usize::from(row)].bql {
                Held::Held => !state.bql,
                Held::NotHeld => state.bql,
                Held::Either => false,
            };
            if wrong {
                self.event(What::Hook(row), at, state);
            }
        }
        if let Some(rows) = self.summaries.primitives.held.get(&name) {
            for &(row, key) in rows {
                if !state.held.iter().any(|held| held.key == key) {
                    self.event(What::NeedsLock(row, key), at, state);
                }
            }
        }
        if let Invoke::Functions(functions) = &call.invoke
            && let [function] = functions[..]
        {
            if !stop
                && let Some((held, ..)) = self.summaries.asserted(function)
                && held != state.bql
            {
                self.event(What::Asserted(function), at, state);
                stop = true;
            }
            for (row, held, lock) in self.summaries.commented(function) {
                match lock {
                    None if state.bql != held => {
                        self.event(What::Comment(function, row), at, state);
                    }
                    Some(lock) if !state.held.iter().any(|held| held.key.name == lock) => {
                        self.event(What::NeedsCommented(function, row), at, state);
                    }
                    _ => {}
                }
            }
        }
        stop
    }

    fn edge(&mut self, to: To, name: Sym, at: (u32, u32, bool), state: &State) {
        let (line, _, conditional) = at;
        let edge = Edge { to, name, line, conditional, bql: state.bql, held: state.keys() };
        if !self.out.edges.contains(&edge) {
            self.out.edges.push(edge);
        }
    }

    /// Calls one of `functions` and goes on with what comes out.
    fn enter(
        &mut self,
        functions: &[FnId],
        name: Sym,
        call: &CallStep,
        state: State,
        next: &mut Vec<State>,
    ) {
        let at = (call.line, call.column, call.conditional);
        let mut outs: Vec<State> = Vec::new();
        let mut neutral = false;
        let mut signs_known = false;
        for &function in functions.iter().take(4) {
            if !self.summaries.is_relevant(function) {
                neutral = true;
                signs_known = true;
                continue;
            }
            let entry = self.entry_of(function, call, &state);
            let node = self.summaries.node(function, entry, self.user);
            self.edge(To::Node(node), name, at, &state);
            self.callbacks(node, call, name, &state);
            let acquires = self.summaries.outcome(node).acquires.clone();
            for lock in acquires {
                let lock = substitute(&lock, &call.args);
                if state.dropped.iter().any(|d| *d == lock || d.is(&lock)) {
                    continue;
                }
                let same = |held: &Object| held.is(&lock) || self.summaries.one_lock(held, &lock);
                if !self.summaries.is_recursive(lock.key) && state.held.iter().any(same) {
                    self.event(What::Twice(lock.key, Some(node)), at, &state);
                }
                self.acquires(&lock);
            }
            if let Some(mut dropped) = self.summaries.outcome(node).polls.clone() {
                for held in state.keys() {
                    if held != RCU && !dropped.contains(&held) {
                        self.event(What::PollsWith(held, node), at, &state);
                    }
                }
                dropped.extend(state.dropped.iter().map(|dropped| dropped.key));
                self.polls(dropped);
            }
            let exits = self.summaries.outcome(node).exits.clone();
            for exit in &exits {
                let mut state = state.clone();
                state.bql = exit.bql;
                for lock in &exit.dropped {
                    unlock(&mut state, &substitute(lock, &call.args));
                }
                for lock in &exit.taken {
                    if state.held.len() < 8 {
                        state.held.push(substitute(lock, &call.args));
                    }
                }
                state.learn(call.temp, exit.signs);
                match outs.iter_mut().find(|out| out.same_locks(&state)) {
                    Some(out) => {
                        out.join(&state);
                    }
                    None => outs.push(state),
                }
            }
        }
        if neutral || (functions.len() > 1 && outs.iter().any(|out| out.same_locks(&state))) {
            // One of several that does nothing to a lock: taken to be the one.
            let mut state = state;
            if !signs_known {
                let same = outs.iter().find(|out| out.same_locks(&state));
                let signs = same.map_or(ANY, |out| out.signs(call.temp));
                state.learn(call.temp, signs);
            } else if !call.predicate {
                state.learn(call.temp, ANY);
            }
            next.push(state);
        } else {
            next.append(&mut outs);
        }
    }

    /// Functions that are passed and called below: an edge from this call to each.
    fn callbacks(&mut self, node: NodeId, call: &CallStep, name: Sym, state: &State) {
        let calls = self.summaries.outcome(node).param_calls.clone();
        for (param, bql, coroutine) in calls {
            let Some(arg) = call.args.get(usize::from(param)) else { continue };
            for &function in &arg.functions {
                if self.summaries.is_relevant(function) {
                    let entry = Entry::plain(bql, coroutine);
                    let to = self.summaries.node(function, entry, self.user);
                    let at = (call.line, call.column, call.conditional);
                    self.edge(To::Node(to), name, at, state);
                }
            }
            if let Some(own) = arg.param {
                let row = (own, bql, coroutine);
                if !self.out.param_calls.contains(&row) {
                    self.out.param_calls.push(row);
                }
            }
        }
    }

    /// How a call enters a function: the lock state and the constants that it
    /// looks at.
    fn entry_of(&self, function: FnId, call: &CallStep, state: &State) -> Entry {
        let mut entry = Entry::plain(state.bql, self.entry.coroutine);
        let interesting = self.summaries.interesting(function);
        for (at, arg) in call.args.iter().take(8).enumerate() {
            if interesting & (1 << at) == 0 {
                continue;
            }
            let signs = match arg.value {
                Value::Signs(signs) => signs,
                Value::Of(var) if self.params.contains(&var) => state.signs(var),
                _ => ANY,
            };
            let bits = match signs {
                ZERO => 1,
                POSITIVE => 2,
                NEGATIVE => 3,
                _ => 0,
            };
            entry.constants |= bits << (2 * at);
        }
        entry
    }

    fn lock_call(
        &mut self,
        lock: LockCall,
        call: &CallStep,
        mut state: State,
        next: &mut Vec<State>,
    ) {
        let at = (call.line, call.column, call.conditional);
        let object = call.object.clone();
        match lock {
            LockCall::BqlLock => {
                if state.bql {
                    return self.event(What::BqlTwice, at, &state);
                }
                self.event(What::AcquireBql, at, &state);
                if !self.entry.bql {
                    self.acquires(&Object::only(BQL));
                }
                state.bql = true;
                next.push(state);
            }
            LockCall::BqlUnlock => {
                if !state.bql {
                    return self.event(What::UnlockNotHeld, at, &state);
                }
                state.bql = false;
                next.push(state);
            }
            LockCall::BqlLocked => {
                state.learn(call.temp, if state.bql { POSITIVE } else { ZERO });
                next.push(state);
            }
            LockCall::InVcpu => {
                // Who has no BQL here is no main thread.
                state.learn(call.temp, if state.bql { ANY } else { POSITIVE });
                next.push(state);
            }
            LockCall::InCoroutine => {
                state.learn(call.temp, if self.entry.coroutine { POSITIVE } else { ZERO });
                next.push(state);
            }
            LockCall::Lock | LockCall::LockOf(_) => {
                let Some(object) = object else { return next.push(state) };
                self.lock(object, false, at, state, next);
            }
            LockCall::TryLock => {
                let Some(object) = object else { return next.push(state) };
                let mut busy = state.clone();
                busy.learn(call.temp, TRUE);
                next.push(busy);
                state.learn(call.temp, ZERO);
                if state.held.len() < 8 {
                    state.held.push(object);
                }
                next.push(state);
            }
            LockCall::Unlock | LockCall::UnlockOf(_) => {
                if let Some(object) = object {
                    if state.held.iter().any(|held| held.key == object.key) {
                        unlock(&mut state, &object);
                        if object.place.root != Root::Unknown && !state.done.contains(&object) {
                            state.done.push(object);
                        }
                    } else if state.done.contains(&object) {
                        self.event(What::UnlockedTwice(object.key), at, &state);
                    } else {
                        unlock(&mut state, &object);
                    }
                }
                next.push(state);
            }
        }
    }
}

/// Releases a lock: one that was taken here, or else the caller's.
fn unlock(state: &mut State, lock: &Object) {
    let exact = state.held.iter().rposition(|held| held == lock);
    let found = exact.or_else(|| state.held.iter().rposition(|held| held.key == lock.key));
    match found {
        Some(at) => {
            state.held.remove(at);
        }
        None => {
            if !state.dropped.contains(lock) && state.dropped.len() < 8 {
                state.dropped.push(lock.clone());
            }
        }
    }
}

/// A callee's object in terms of the caller.
pub fn substitute(object: &Object, args: &[Arg]) -> Object {
    let unknown = |key| Object { key, place: Place { root: Root::Unknown, fields: Vec::new() } };
    match object.place.root {
        Root::Param(at) => {
            let Some(arg) = args.get(usize::from(at)) else { return unknown(object.key) };
            let key = match (object.place.fields.is_empty(), arg.key) {
                // The parameter itself is the lock.
                (true, Some(key)) => key,
                _ => object.key,
            };
            match &arg.place {
                Some(place) => {
                    let fields = place.fields.iter().chain(&object.place.fields).copied().collect();
                    Object { key, place: Place { root: place.root, fields } }
                }
                None => unknown(key),
            }
        }
        Root::Local(_) => unknown(object.key),
        Root::Global(_) | Root::Call(_) | Root::Unknown => object.clone(),
    }
}
