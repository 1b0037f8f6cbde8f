//! The functions in the lock states in which they are entered: each is followed
//! when it is first asked for, to the least fixpoint where they call each other.
//! Must not know: threads.

mod reach;
mod said;

pub use said::{CommentRow, Commented};

use super::flow::{self, Entry, Outcome};
use super::hooks::Hooks;
use super::map::{Map, Set};
use super::place::{Key, Object};
use super::program::{FnId, Program, Sym};
use super::resolve::{Primitives, Resolved};
use super::tables::{self, Contracts};
use said::{asserted, comments, locks_by_name, recursive};
use std::rc::Rc;
use std::sync::Arc;

/// A function in a lock state.
pub type NodeId = u32;

/// How often a node is followed again, at most, before its result is taken as
/// it is. Recursion in real code settles in a few turns.
const TURNS: u32 = 12;

struct Node {
    function: FnId,
    entry: Entry,
    outcome: Rc<Outcome>,
    running: bool,
    queued: bool,
    /// It was given up before it settled.
    unsettled: bool,
    turns: u32,
    /// Who asked for it first.
    maker: NodeId,
    users: Vec<NodeId>,
}

/// All functions, and the nodes asked for so far.
pub struct Summaries<'p> {
    pub program: &'p Program,
    pub primitives: &'p Primitives,
    pub contracts: &'static Contracts,
    pub hooks: &'p Hooks,
    resolved: &'p [Arc<Resolved<'p>>],
    relevant: Vec<bool>,
    interesting: Vec<u16>,
    comments: Map<FnId, Vec<Commented>>,
    /// Where each comment's contract stands: the file, and which of its own.
    pub comment_rows: Vec<CommentRow>,
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
        resolved: &'p [Arc<Resolved<'p>>],
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

    pub fn resolved(&self, id: FnId) -> &'p Resolved<'p> {
        &self.resolved[id.0 as usize]
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
    pub fn outcome(&self, node: NodeId) -> Rc<Outcome> {
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
            outcome: Rc::default(),
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
        known.outcome = Rc::new(outcome);
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
}
