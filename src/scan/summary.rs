//! The functions in the lock states in which they are entered: each is followed
//! when it is first asked for, to the least fixpoint where they call each other.
//! Must not know: threads.

use super::flow::{self, Entry, Outcome};
use super::hooks::{Hooks, each_call};
use super::map::{Map, Set};
use super::place::{AIO_CONTEXT, Key, Object};
use super::program::{FnId, Program, Sym};
use super::resolve::{CallStep, Invoke, Primitives, Resolved, Step};
use super::tables::{self, Contracts};
use std::sync::Arc;

/// A function in a lock state.
pub type NodeId = u32;

/// How often a node is followed again, at most, before its result is taken as
/// it is. Recursion in real code settles in a few turns.
const TURNS: u32 = 12;

struct Node {
    function: FnId,
    entry: Entry,
    outcome: Arc<Outcome>,
    running: bool,
    queued: bool,
    /// It was given up before it settled.
    unsettled: bool,
    turns: u32,
    /// Who asked for it first.
    maker: NodeId,
    users: Vec<NodeId>,
}

/// What a comment asks: its number in `comment_rows`, whether the lock is held,
/// and which it is (none: the BQL).
pub type Commented = (u32, bool, Option<Sym>);

/// All functions, and the nodes asked for so far.
pub struct Summaries<'p> {
    pub program: &'p Program,
    pub primitives: &'p Primitives,
    pub contracts: &'static Contracts,
    pub hooks: &'p Hooks,
    resolved: &'p [Arc<Resolved>],
    relevant: Vec<bool>,
    interesting: Vec<u16>,
    comments: Map<FnId, Vec<Commented>>,
    /// Where each comment's contract stands: the file, and which of its own.
    pub comment_rows: Vec<(u32, u32)>,
    /// What a function asserts of the BQL before all else: held or not, by which
    /// words, in which line.
    asserted: Map<FnId, (bool, Sym, u32)>,
    shared: Set<Key>,
    /// Locks that their holder may take again.
    recursive: Set<Key>,
    nodes: Vec<Node>,
    index: Map<(FnId, Entry), NodeId>,
    dirty: Vec<NodeId>,
    depth: u32,
}

impl<'p> Summaries<'p> {
    pub fn new(
        program: &'p Program,
        primitives: &'p Primitives,
        contracts: &'static Contracts,
        hooks: &'p Hooks,
        resolved: &'p [Arc<Resolved>],
    ) -> Summaries<'p> {
        let shared = tables::locks().shared_by_class.iter();
        let shared = shared.filter_map(|row| super::resolve::key(program, &row.class)).collect();
        let (comments, comment_rows) = comments(program, &locks_by_name(program, resolved));
        let asserted =
            program.ids().filter_map(|id| Some((id, asserted(&resolved[id.0 as usize])?)));
        let asserted = asserted.collect();
        let mut summaries = Summaries {
            program,
            primitives,
            contracts,
            hooks,
            resolved,
            relevant: Vec::new(),
            interesting: Vec::new(),
            comments,
            comment_rows,
            asserted,
            shared,
            recursive: recursive(program, resolved),
            nodes: Vec::new(),
            index: Map::default(),
            dirty: Vec::new(),
            depth: 0,
        };
        summaries.relevant = summaries.find_relevant();
        summaries.interesting = summaries.find_interesting();
        summaries
    }

    pub fn resolved(&self, id: FnId) -> Arc<Resolved> {
        self.resolved[id.0 as usize].clone()
    }

    /// Whether a lock can be touched, or a rule broken, in a function or below.
    pub fn is_relevant(&self, id: FnId) -> bool {
        self.relevant[id.0 as usize]
    }

    /// Has calls of a function kept, as if it could touch a lock. Says whether it
    /// could not. Only before anything is followed.
    pub fn attend_to(&mut self, id: FnId) -> bool {
        debug_assert_eq!(self.count(), 0);
        !std::mem::replace(&mut self.relevant[id.0 as usize], true)
    }

    /// The parameters whose constants a function looks at, a bit each.
    pub fn interesting(&self, id: FnId) -> u16 {
        self.interesting[id.0 as usize]
    }

    pub fn commented(&self, id: FnId) -> Vec<Commented> {
        self.comments.get(&id).cloned().unwrap_or_default()
    }

    /// What a function asserts of the BQL before all else.
    pub fn asserted(&self, id: FnId) -> Option<(bool, Sym, u32)> {
        self.asserted.get(&id).copied()
    }

    /// Whether two objects of one class are one lock wherever they meet.
    pub fn one_lock(&self, one: &Object, other: &Object) -> bool {
        one.key == other.key && self.shared.contains(&one.key)
    }

    /// Whether a lock's holder may take it again.
    pub fn is_recursive(&self, key: Key) -> bool {
        self.recursive.contains(&key)
    }

    /// The function that a member holds, if there is one alone.
    pub fn only_target(&self, key: Key) -> Option<FnId> {
        match self.hooks.targets(key) {
            [only] => Some(only.function),
            _ => None,
        }
    }

    /// What a node came to.
    pub fn outcome(&self, node: NodeId) -> Arc<Outcome> {
        self.nodes[node as usize].outcome.clone()
    }

    pub fn function(&self, node: NodeId) -> FnId {
        self.nodes[node as usize].function
    }

    pub fn entry(&self, node: NodeId) -> Entry {
        self.nodes[node as usize].entry
    }

    /// The functions of which some paths were given up.
    pub fn given_up(&self) -> Vec<String> {
        let capped = self.nodes.iter().filter(|node| node.outcome.capped || node.unsettled);
        let mut names: Vec<String> =
            capped.map(|node| self.program.name_of(node.function).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// How many nodes there are.
    pub fn count(&self) -> usize {
        self.nodes.len()
    }

    /// The node of a function in a state, for one who starts there.
    pub fn root(&mut self, function: FnId, entry: Entry) -> NodeId {
        self.node(function, entry, NodeId::MAX)
    }

    /// The node of a function in a state; `user` is followed again if it changes.
    pub fn node(&mut self, function: FnId, entry: Entry, user: NodeId) -> NodeId {
        if let Some(&node) = self.index.get(&(function, entry)) {
            let known = &mut self.nodes[node as usize];
            if user != NodeId::MAX && known.users.last() != Some(&user) {
                known.users.push(user);
            }
            return node;
        }
        let node = self.nodes.len() as NodeId;
        self.nodes.push(Node {
            function,
            entry,
            outcome: Arc::default(),
            running: false,
            queued: false,
            unsettled: false,
            turns: 0,
            maker: user,
            users: if user == NodeId::MAX { Vec::new() } else { vec![user] },
        });
        self.index.insert((function, entry), node);
        self.follow(node);
        if self.depth == 0 {
            while let Some(node) = self.dirty.pop() {
                self.nodes[node as usize].queued = false;
                self.follow(node);
            }
        }
        node
    }

    fn follow(&mut self, node: NodeId) {
        let Node { function, entry, running, turns, .. } = self.nodes[node as usize];
        if running {
            return;
        }
        if turns >= TURNS {
            self.nodes[node as usize].unsettled = true;
            return;
        }
        self.nodes[node as usize].running = true;
        self.nodes[node as usize].turns += 1;
        self.depth += 1;
        let outcome = flow::run(self, function, entry, node);
        self.depth -= 1;
        let known = &mut self.nodes[node as usize];
        known.running = false;
        let changed = known.outcome.exits != outcome.exits
            || known.outcome.acquires != outcome.acquires
            || known.outcome.param_calls != outcome.param_calls
            || known.outcome.polls != outcome.polls;
        known.outcome = Arc::new(outcome);
        if !changed {
            return;
        }
        // Who asked before it was known, itself included, has to look again; the
        // one that made the node waits for it and sees the result.
        known.users.sort_unstable();
        known.users.dedup();
        let first = (turns == 0).then_some(known.maker);
        let users: Vec<NodeId> =
            known.users.iter().copied().filter(|user| Some(*user) != first).collect();
        for user in users {
            if !std::mem::replace(&mut self.nodes[user as usize].queued, true) {
                self.dirty.push(user);
            }
        }
    }

    fn find_relevant(&self) -> Vec<bool> {
        let count = self.program.count();
        let mut relevant = vec![false; count];
        let mut callers: Vec<Vec<u32>> = vec![Vec::new(); count];
        let mut queue: Vec<u32> = Vec::new();
        for id in self.program.ids() {
            let mark = |relevant: &mut Vec<bool>, queue: &mut Vec<u32>| {
                if !std::mem::replace(&mut relevant[id.0 as usize], true) {
                    queue.push(id.0);
                }
            };
            for block in &self.resolved[id.0 as usize].blocks {
                for step in &block.ops {
                    let call = match step {
                        Step::Call(call) => call,
                        Step::Set { .. } | Step::RequireCoroutine { .. } => continue,
                        _ => {
                            mark(&mut relevant, &mut queue);
                            continue;
                        }
                    };
                    let named = call.name.is_some_and(|name| {
                        self.primitives.guarded.iter().any(|row| row.calls.contains(&name))
                            || self.primitives.functions.contains_key(&name)
                            || self.primitives.held.contains_key(&name)
                    });
                    let hook = matches!(call.invoke, Invoke::Hook(key)
                        if self.primitives.hooks.contains_key(&key));
                    let param = matches!(call.invoke, Invoke::Param(_));
                    if call.lock.is_some()
                        || call.wait.is_some()
                        || call.wake.is_some()
                        || !call.register.is_empty()
                        || named
                        || hook
                        || param
                    {
                        mark(&mut relevant, &mut queue);
                    }
                    let mut calls = |function: FnId| {
                        if self.comments.contains_key(&function)
                            || self.asserted.contains_key(&function)
                        {
                            mark(&mut relevant, &mut queue);
                        }
                        callers[function.0 as usize].push(id.0);
                    };
                    match &call.invoke {
                        Invoke::Functions(functions) => {
                            functions.iter().copied().for_each(&mut calls)
                        }
                        Invoke::Hook(key) => {
                            let targets = self.hooks.targets(*key);
                            targets.iter().for_each(|target| calls(target.function));
                        }
                        _ => {}
                    }
                    for arg in &call.args {
                        arg.functions.iter().copied().for_each(&mut calls);
                    }
                }
            }
        }
        while let Some(id) = queue.pop() {
            for &caller in &callers[id as usize] {
                if !std::mem::replace(&mut relevant[caller as usize], true) {
                    queue.push(caller);
                }
            }
        }
        relevant
    }

    /// Parameters that a condition looks at, here or where they are passed on.
    fn find_interesting(&self) -> Vec<u16> {
        let mut interesting: Vec<u16> = self.resolved.iter().map(|r| r.interesting).collect();
        let mut passing: Vec<(FnId, &CallStep)> = Vec::new();
        each_call(self.program, self.resolved, |id, call| {
            if call.args.iter().any(|arg| arg.param.is_some()) {
                passing.push((id, call));
            }
        });
        for _ in 0..3 {
            let mut more: Vec<(FnId, u16)> = Vec::new();
            for &(id, call) in &passing {
                let Invoke::Functions(functions) = &call.invoke else { continue };
                for (at, arg) in call.args.iter().take(8).enumerate() {
                    if let Some(own @ 0..8) = arg.param
                        && functions.iter().any(|f| interesting[f.0 as usize] & (1 << at) != 0)
                        && interesting[id.0 as usize] & (1 << own) == 0
                    {
                        more.push((id, 1 << own));
                    }
                }
            }
            if more.is_empty() {
                break;
            }
            for (id, bits) in more {
                interesting[id.0 as usize] |= bits;
            }
        }
        interesting
    }
}

/// The locks that are taken as recursive ones, or are declared so.
fn recursive(program: &Program, resolved: &[Arc<Resolved>]) -> Set<Key> {
    let names = &tables::locks().mutex.recursive;
    let mut keys: Set<Key> = [super::place::RCU, super::place::AIO_CONTEXT].into_iter().collect();
    each_call(program, resolved, |_, call| {
        let name = call.name.map_or("", |name| program.text(name));
        if let Some(object) = &call.object
            && names.iter().any(|known| known == name)
        {
            keys.insert(object.key);
        }
    });
    keys
}

/// What a function asserts before it does anything else.
fn asserted(resolved: &Resolved) -> Option<(bool, Sym, u32)> {
    for step in &resolved.blocks.first()?.ops {
        match step {
            Step::Require { held, what, line, conditional: false } => {
                return Some((*held, *what, *line));
            }
            Step::Call(call) if call.lock.is_some() || call.invoke != Invoke::Nothing => {
                return None;
            }
            Step::Enter { .. } => return None,
            _ => {}
        }
    }
    None
}

/// The members and variables that are locked somewhere, by name; a function that
/// takes one certain lock stands for it.
fn locks_by_name(program: &Program, resolved: &[Arc<Resolved>]) -> Map<Sym, Sym> {
    let mut names: Map<Sym, Sym> = Map::default();
    each_call(program, resolved, |_, call| {
        if let (Some(_), Some(object)) = (call.lock, &call.object) {
            names.insert(object.key.name, object.key.name);
        }
    });
    for id in program.ids() {
        for step in resolved[id.0 as usize].blocks.iter().flat_map(|block| &block.ops) {
            if let Step::Enter { lock, .. } = step {
                names.insert(lock.key.name, lock.key.name);
            }
        }
    }
    if let Some(sym) = program.sym("AioContext") {
        names.insert(sym, AIO_CONTEXT.name);
    }
    for wrapper in &tables::locks().wrappers {
        let lock = super::resolve::key(program, &wrapper.class);
        if let (Some(function), Some(lock)) = (program.sym(&wrapper.lock), lock) {
            names.insert(function, lock.name);
        }
    }
    names
}

/// What comments ask, by function, and where each stands.
///
/// A lock that no function takes by this name is none: `mmap_lock` is a function
/// of user-mode emulators.
fn comments(
    program: &Program,
    locks: &Map<Sym, Sym>,
) -> (Map<FnId, Vec<Commented>>, Vec<(u32, u32)>) {
    let mut comments: Map<FnId, Vec<Commented>> = Map::default();
    let mut places = Vec::new();
    for (number, file) in program.files.iter().enumerate() {
        let number = number as u32;
        for (at, contract) in file.facts.contracts.iter().enumerate() {
            let function = program.sym_in(number, contract.function);
            let lock = match contract.lock.map(|lock| program.sym_in(number, lock)) {
                None => None,
                Some(lock) => match locks.get(&lock) {
                    Some(&lock) => Some(lock),
                    None => continue,
                },
            };
            let place = places.len() as u32;
            places.push((number, at as u32));
            for &id in program.lookup(number, function) {
                let rows = comments.entry(id).or_default();
                if !rows.iter().any(|(_, held, known)| *held == contract.held && *known == lock) {
                    rows.push((place, contract.held, lock));
                }
            }
        }
    }
    (comments, places)
}
