//! The shortest call paths from one function to another, in every lock state.
//! Must not know: rules, protocol facts.

use super::need::step;
use super::word::{Word, attend};
use super::{Step, Unknown, bit, state};
use crate::scan::contexts;
use crate::scan::flow::{Edge, Entry, To, What};
use crate::scan::map::{Map, Set};
use crate::scan::program::FnId;
use crate::scan::summary::{NodeId, Summaries};
use crate::scan::tree::{Tree, with_summaries};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

/// So many paths are given.
const MOST: usize = 10;
/// So many beginnings of paths are looked at before the rest is given up.
const LOOKED_AT: usize = 300_000;

/// The shortest paths.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Paths {
    pub from: String,
    pub to: String,
    /// The BQL at the last call, if only that is asked for.
    pub bql: Option<String>,
    /// The shortest first.
    pub paths: Vec<Path>,
    /// Whether there are more than these, or may be.
    pub more: bool,
}

/// A path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Path {
    /// The BQL where it begins.
    pub entered: String,
    /// The threads that begin it so. None: no thread is known to.
    pub threads: Vec<String>,
    pub calls: Vec<Step>,
}

/// The functions reached, each in its lock state, and the calls between them.
#[derive(Default)]
struct Graph {
    nodes: Vec<NodeId>,
    index: Map<NodeId, u32>,
    /// To other nodes.
    links: Vec<Vec<(u32, Edge)>>,
    /// To what is asked for.
    ends: Vec<Vec<Step>>,
    /// Calls to what is asked for, at least; none: it is not reached.
    distance: Vec<Option<u32>>,
}

/// A beginning of a path.
struct Partial {
    parent: Option<u32>,
    /// None: it has arrived.
    node: Option<u32>,
    step: Option<Step>,
    length: u32,
}

/// The shortest paths from `from` to `to`; only those at whose last call the BQL
/// is as `bql` says, if it says.
pub fn paths(tree: &Tree, from: &str, to: &str, bql: Option<bool>) -> Result<Paths, Unknown> {
    with_summaries(tree, |summaries, commands| {
        let begin = Word::find(summaries, from)?.meant(summaries);
        let end = Word::find(summaries, to)?;
        attend(summaries, &begin);
        attend(summaries, &end.functions);
        let contexts = contexts::whole(summaries, commands);
        // Each state in which a thread comes to the beginning; else both.
        let mut starts: Map<NodeId, Vec<String>> = Map::default();
        for context in &contexts {
            for &node in &context.order {
                if begin.contains(&summaries.function(node)) {
                    starts.entry(node).or_default().push(context.thread.clone());
                }
            }
        }
        for &id in &begin {
            if !starts.keys().any(|&node| summaries.function(node) == id) {
                let coroutine = summaries.program.function(id).coroutine;
                for bql in [false, true] {
                    starts.insert(summaries.root(id, Entry::plain(bql, coroutine)), Vec::new());
                }
            }
        }
        let mut order: Vec<NodeId> = starts.keys().copied().collect();
        order.sort_unstable();
        let graph = Graph::new(summaries, &order, &end, bql);
        let (mut found, given_up) = graph.shortest(summaries, &order);
        let more = given_up || found.len() > MOST;
        found.truncate(MOST);
        let paths = found.into_iter().map(|(start, calls)| {
            let mut threads = starts[&start].clone();
            threads.sort();
            threads.dedup();
            let entered = state(bit(summaries.entry(start).bql)).to_owned();
            Path { entered, threads, calls }
        });
        Ok(Paths {
            from: from.to_owned(),
            to: to.to_owned(),
            bql: bql.map(|bql| state(bit(bql)).to_owned()),
            paths: paths.collect(),
            more,
        })
    })
}

impl Graph {
    /// All that is reached from `starts`.
    fn new(
        summaries: &mut Summaries<'_>,
        starts: &[NodeId],
        end: &Word,
        bql: Option<bool>,
    ) -> Graph {
        let mut graph = Graph::default();
        for &start in starts {
            graph.add(start);
        }
        let mut at = 0;
        while at < graph.nodes.len() {
            let node = graph.nodes[at];
            let outcome = summaries.outcome(node);
            let mut links = Vec::new();
            for edge in &outcome.edges {
                let to = match edge.to {
                    To::Node(to) => vec![to],
                    To::Hook(key, entry) => {
                        let held = summaries.hooks.targets(key).iter();
                        let held: BTreeSet<FnId> = held.map(|target| target.function).collect();
                        let held = held.into_iter().filter(|&id| summaries.is_relevant(id));
                        let held: Vec<FnId> = held.collect();
                        held.into_iter().map(|id| summaries.root(id, entry)).collect()
                    }
                };
                links.extend(to.into_iter().map(|to| (graph.add(to), edge.clone())));
            }
            graph.ends.push(ends(summaries, node, end, bql));
            graph.links.push(links);
            at += 1;
        }
        graph.measure();
        graph
    }

    fn add(&mut self, node: NodeId) -> u32 {
        let next = self.nodes.len() as u32;
        let known = *self.index.entry(node).or_insert(next);
        if known == next {
            self.nodes.push(node);
        }
        known
    }

    /// How far each node is from what is asked for.
    fn measure(&mut self) {
        let mut back: Vec<Vec<u32>> = vec![Vec::new(); self.nodes.len()];
        for (from, links) in self.links.iter().enumerate() {
            for (to, _) in links {
                back[*to as usize].push(from as u32);
            }
        }
        self.distance = vec![None; self.nodes.len()];
        let mut queue: Vec<u32> = Vec::new();
        for (at, ends) in self.ends.iter().enumerate() {
            if !ends.is_empty() {
                self.distance[at] = Some(1);
                queue.push(at as u32);
            }
        }
        let mut next = 0;
        while next < queue.len() {
            let at = queue[next] as usize;
            next += 1;
            for &from in &back[at] {
                if self.distance[from as usize].is_none() {
                    self.distance[from as usize] = self.distance[at].map(|far| far + 1);
                    queue.push(from);
                }
            }
        }
    }

    /// The shortest paths that come to no function twice, one more than are given
    /// if there is; and whether some were given up.
    fn shortest(
        &self,
        summaries: &Summaries<'_>,
        starts: &[NodeId],
    ) -> (Vec<(NodeId, Vec<Step>)>, bool) {
        let mut partials: Vec<Partial> = Vec::new();
        let mut queue = BinaryHeap::new();
        for start in starts {
            let at = self.index[start];
            if let Some(far) = self.distance[at as usize] {
                queue.push(Reverse((far, partials.len() as u32)));
                partials.push(Partial { parent: None, node: Some(at), step: None, length: 0 });
            }
        }
        let mut found: Vec<(NodeId, Vec<Step>)> = Vec::new();
        let mut known: BTreeSet<(bool, Vec<Step>)> = BTreeSet::new();
        while let Some(Reverse((_, number))) = queue.pop() {
            if partials.len() > LOOKED_AT {
                return (found, true);
            }
            let Partial { node, length, .. } = partials[number as usize];
            let Some(at) = node else {
                let (start, steps) = self.path(&partials, number);
                // Constants may tell nodes apart that are the same to a reader.
                if known.insert((summaries.entry(start).bql, steps.clone())) {
                    found.push((start, steps));
                }
                if found.len() > MOST {
                    return (found, false);
                }
                continue;
            };
            for step in &self.ends[at as usize] {
                queue.push(Reverse((length + 1, partials.len() as u32)));
                partials.push(Partial {
                    parent: Some(number),
                    node: None,
                    step: Some(step.clone()),
                    length: length + 1,
                });
            }
            let on_path = self.functions(summaries, &partials, number);
            for (to, edge) in &self.links[at as usize] {
                let Some(far) = self.distance[*to as usize] else { continue };
                let callee = summaries.function(self.nodes[*to as usize]);
                if on_path.contains(&callee) {
                    continue;
                }
                let caller = summaries.function(self.nodes[at as usize]);
                queue.push(Reverse((length + 1 + far, partials.len() as u32)));
                partials.push(Partial {
                    parent: Some(number),
                    node: Some(*to),
                    step: Some(step(summaries, caller, callee, edge)),
                    length: length + 1,
                });
            }
        }
        (found, false)
    }

    /// The functions that a beginning has come to.
    fn functions(&self, summaries: &Summaries<'_>, partials: &[Partial], at: u32) -> Set<FnId> {
        let mut functions = Set::default();
        let mut at = Some(at);
        while let Some(number) = at {
            let partial = &partials[number as usize];
            let node = partial.node.map(|node| self.nodes[node as usize]);
            functions.extend(node.map(|node| summaries.function(node)));
            at = partial.parent;
        }
        functions
    }

    /// Where a path began, and its steps.
    fn path(&self, partials: &[Partial], at: u32) -> (NodeId, Vec<Step>) {
        let mut steps = Vec::new();
        let mut number = at;
        loop {
            let partial = &partials[number as usize];
            steps.extend(partial.step.clone());
            match partial.parent {
                Some(parent) => number = parent,
                None => {
                    let start = partial.node.expect("a path begins at a node");
                    steps.reverse();
                    return (self.nodes[start as usize], steps);
                }
            }
        }
    }
}

/// The calls of a node that are calls of what is asked for.
fn ends(summaries: &Summaries<'_>, node: NodeId, end: &Word, bql: Option<bool>) -> Vec<Step> {
    let program = summaries.program;
    let caller = summaries.function(node);
    let outcome = summaries.outcome(node);
    let mut steps = BTreeSet::new();
    for edge in outcome.edges.iter().filter(|edge| bql.is_none_or(|bql| bql == edge.bql)) {
        let hook = match edge.to {
            To::Node(to) => {
                let to = summaries.function(to);
                if end.functions.contains(&to) {
                    steps.insert(step(summaries, caller, to, edge));
                }
                continue;
            }
            To::Hook(key, _) => key,
        };
        for target in summaries.hooks.targets(hook) {
            if end.functions.contains(&target.function) {
                steps.insert(step(summaries, caller, target.function, edge));
            }
        }
        if end.is_hook(hook) {
            let callee = hook.text(program);
            steps.insert(Step { callee, through: None, ..step(summaries, caller, caller, edge) });
        }
    }
    // A call that breaks a contract is not followed, but it is made.
    for event in outcome.events.iter().filter(|event| bql.is_none_or(|bql| bql == event.bql)) {
        let callee = match &event.what {
            What::Asserted(function) => *function,
            What::Function(row) => {
                let name = &summaries.contracts.functions[usize::from(*row)].name;
                let name = program.sym(name);
                let found = name.map(|name| program.lookup(program.file_of(caller), name));
                match found.and_then(<[FnId]>::first) {
                    Some(&function) => function,
                    None => continue,
                }
            }
            _ => continue,
        };
        if end.functions.contains(&callee) {
            steps.insert(Step {
                caller: program.name_of(caller).to_owned(),
                callee: program.name_of(callee).to_owned(),
                path: program.path_of(caller).to_owned(),
                line: event.line,
                conditional: event.conditional,
                bql: state(bit(event.bql)).to_owned(),
                through: None,
            });
        }
    }
    steps.into_iter().collect()
}
