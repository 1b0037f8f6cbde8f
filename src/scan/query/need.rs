//! Whether a function needs the BQL: entered without it, does it come to what
//! asserts it, is contracted to hold it, or releases it; or does it take it.
//! Must not know: who calls the function.

use super::{Step, state};
use crate::scan::flow::{Edge, Entry, Event, To, What};
use crate::scan::map::{Map, Set};
use crate::scan::place::Key;
use crate::scan::program::{FnId, Sym};
use crate::scan::resolve::{Invoke, Step as Op};
use crate::scan::summary::{NodeId, Summaries};
use crate::scan::tables::{self, Asked, WaitKind};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A member that holds more functions than this is not followed.
const FOLLOWED: usize = 8;

/// Whether a function needs the BQL.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Needed {
    pub needs: Need,
    /// What the path leads to.
    pub reason: Option<String>,
    /// Where that is.
    pub path: String,
    pub line: u32,
    /// A shortest path to it.
    pub calls: Vec<Step>,
    /// What was not followed, so that a `no` may be wrong.
    pub not_followed: Vec<String>,
}

/// The answer, the most certain first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// It comes to an assertion or contract.
    Needs,
    /// It releases it, which only its holder can.
    Releases,
    /// It may: through a member that holds several functions, or by a comment.
    #[serde(rename = "may-need")]
    May,
    /// It takes it itself.
    Takes,
    /// None of these is found.
    No,
    /// It did not parse.
    Unknown,
}

impl Need {
    /// As a table shows it.
    pub fn word(self) -> &'static str {
        match self {
            Need::Needs => "needs",
            Need::Releases => "releases",
            Need::May => "may-need",
            Need::Takes => "takes",
            Need::No => "no",
            Need::Unknown => "unknown",
        }
    }
}

impl Needed {
    /// The answer where nothing could be looked at.
    pub fn unknown() -> Needed {
        Needed {
            needs: Need::Unknown,
            reason: None,
            path: String::new(),
            line: 0,
            calls: Vec::new(),
            not_followed: Vec::new(),
        }
    }
}

/// What a path leads to.
struct Sink {
    needs: Need,
    reason: String,
    node: NodeId,
    line: u32,
    doubts: usize,
}

/// The search from one function.
struct Search {
    /// From where, by which edge.
    parents: Map<NodeId, Option<(NodeId, Edge)>>,
    /// The fewest doubts and calls to a node so far.
    best: Map<NodeId, (usize, usize)>,
    not_followed: Vec<String>,
}

/// Whether `function` needs the BQL.
pub fn need(summaries: &mut Summaries<'_>, unparsed: &Set<Sym>, function: FnId) -> Needed {
    let coroutine = summaries.program.function(function).coroutine;
    let start = summaries.root(function, Entry::plain(false, coroutine));
    let mut search =
        Search { parents: Map::default(), best: Map::default(), not_followed: Vec::new() };
    search.parents.insert(start, None);
    search.best.insert(start, (0, 0));
    // Fewest doubts first, then fewest calls, then whoever was found first.
    let mut queue = BinaryHeap::from([Reverse((0, 0, 0, start))]);
    let mut found: Option<Sink> = None;
    let mut number = 0;
    while let Some(Reverse((doubts, calls, _, node))) = queue.pop() {
        if search.best[&node] < (doubts, calls) {
            continue;
        }
        if let Some(sink) = sink(summaries, node, doubts)
            && found.as_ref().is_none_or(|known| sink.needs < known.needs)
        {
            found = Some(sink);
        }
        if found.as_ref().is_some_and(|sink| sink.needs <= Need::Releases) {
            break;
        }
        search.blind(summaries, unparsed, node);
        let outcome = summaries.outcome(node);
        for edge in &outcome.edges {
            let (to, doubt) = match edge.to {
                To::Node(to) => (vec![to], 0),
                To::Hook(key, entry) => search.held(summaries, key, entry),
            };
            let cost = (doubts + doubt, calls + 1);
            for to in to {
                if search.best.get(&to).is_none_or(|best| cost < *best) {
                    search.best.insert(to, cost);
                    search.parents.insert(to, Some((node, edge.clone())));
                    number += 1;
                    queue.push(Reverse((cost.0, cost.1, number, to)));
                }
            }
        }
    }
    search.answer(summaries, function, found)
}

impl Search {
    /// The functions that a member holds, and whether that leaves a doubt.
    fn held(
        &mut self,
        summaries: &mut Summaries<'_>,
        key: Key,
        entry: Entry,
    ) -> (Vec<NodeId>, usize) {
        let targets = summaries.hooks.targets(key).to_vec();
        if targets.len() > FOLLOWED {
            let text = key.text(summaries.program);
            self.not_followed.push(format!("{text} ({} functions)", targets.len()));
            return (Vec::new(), 0);
        }
        let doubt = usize::from(targets.len() > 1);
        let followed = targets.iter().filter(|target| summaries.is_relevant(target.function));
        let followed: Vec<FnId> = followed.map(|target| target.function).collect();
        (followed.into_iter().map(|function| summaries.root(function, entry)).collect(), doubt)
    }

    /// Notes what in a node could not be looked into.
    fn blind(&mut self, summaries: &Summaries<'_>, unparsed: &Set<Sym>, node: NodeId) {
        let program = summaries.program;
        let id = summaries.function(node);
        if summaries.outcome(node).capped {
            self.not_followed.push(format!("{}() (too many lock states)", program.name_of(id)));
        }
        let resolved = summaries.resolved(id);
        for op in resolved.blocks.iter().flat_map(|block| &block.ops) {
            if let Op::Call(call) | Op::Idle(call) = op
                && call.invoke == Invoke::Nothing
                && let Some(name) = call.name.filter(|name| unparsed.contains(name))
            {
                self.not_followed.push(format!("{}() (did not parse)", program.text(name)));
            }
        }
    }

    /// The answer, with the path to what was found.
    fn answer(mut self, summaries: &Summaries<'_>, id: FnId, found: Option<Sink>) -> Needed {
        let program = summaries.program;
        self.not_followed.sort();
        self.not_followed.dedup();
        let not_followed = std::mem::take(&mut self.not_followed);
        let Some(sink) = found else {
            return Needed {
                needs: Need::No,
                path: program.path_of(id).to_owned(),
                line: program.function(id).line,
                not_followed,
                ..Needed::unknown()
            };
        };
        let mut calls = Vec::new();
        let mut at = sink.node;
        while let Some(Some((parent, edge))) = self.parents.get(&at) {
            let (caller, callee) = (summaries.function(*parent), summaries.function(at));
            calls.push(step(summaries, caller, callee, edge));
            at = *parent;
        }
        calls.reverse();
        // What was not followed is beside the point once the answer is a yes.
        let open = sink.needs == Need::Takes || sink.needs == Need::May;
        Needed {
            needs: sink.needs,
            reason: Some(sink.reason),
            path: program.path_of(summaries.function(sink.node)).to_owned(),
            line: sink.line,
            calls,
            not_followed: if open { not_followed } else { Vec::new() },
        }
    }
}

/// A call as a step of a path.
pub fn step(summaries: &Summaries<'_>, caller: FnId, callee: FnId, edge: &Edge) -> Step {
    let program = summaries.program;
    let through = match edge.to {
        To::Hook(key, _) => Some(key.text(program)),
        To::Node(_) => {
            // Not called by its name: passed to the function that is named.
            let named = program.lookup(program.file_of(caller), edge.name);
            let own = named.contains(&callee) || program.sym_of(callee) == edge.name;
            (!own).then(|| through(summaries, edge.name))
        }
    };
    Step {
        caller: program.name_of(caller).to_owned(),
        callee: program.name_of(callee).to_owned(),
        path: program.path_of(caller).to_owned(),
        line: edge.line,
        conditional: edge.conditional,
        bql: state(super::bit(edge.bql)).to_owned(),
        through,
    }
}

/// What an edge goes through whose name is not that of the function it enters.
fn through(summaries: &Summaries<'_>, name: Sym) -> String {
    let text = summaries.program.text(name);
    match summaries.hooks.named(name) {
        // A member that holds one function alone.
        [only] => only.text(summaries.program),
        _ => format!("{text}()"),
    }
}

/// What in a node says that the BQL is needed, the most certain first.
fn sink(summaries: &Summaries<'_>, node: NodeId, doubts: usize) -> Option<Sink> {
    let outcome = summaries.outcome(node);
    let without = outcome.events.iter().filter(|event| !event.bql);
    // A wait says how the BQL is meanwhile: it was not held before if the node has
    // it nowhere.
    let never = !summaries.entry(node).bql
        && outcome.edges.iter().all(|edge| !edge.bql)
        && outcome.events.iter().all(|event| !event.bql && event.what != What::AcquireBql);
    let sinks = without.filter_map(|event| {
        let (needs, reason) = match &event.what {
            What::Wait { wait, .. } if never => waits(*wait)?,
            _ => reason(summaries, event)?,
        };
        let needs = match needs {
            Need::Takes if doubts > 0 => return None,
            _ if doubts > 0 => Need::May,
            needs => needs,
        };
        Some(Sink { needs, reason, node, line: event.line, doubts })
    });
    sinks.min_by_key(|sink| (sink.needs, sink.doubts, sink.line))
}

/// What a wait without the BQL says: of one that releases it, that it is needed.
fn waits(wait: u16) -> Option<(Need, String)> {
    let row = &tables::waits().waits[usize::from(wait)];
    let text = format!("{}() releases the BQL while it waits", row.function);
    // drain_call_rcu() asks first whether it is held.
    let only_held = row.releases_bql && row.kind != WaitKind::Rcu;
    only_held.then_some((Need::Releases, text))
}

/// What an event without the BQL says.
fn reason(summaries: &Summaries<'_>, event: &Event) -> Option<(Need, String)> {
    let program = summaries.program;
    let asserts = |what: Sym| match program.text(what) {
        "GLOBAL_STATE_CODE" => "GLOBAL_STATE_CODE()".to_owned(),
        what => format!("assert({what}())"),
    };
    match &event.what {
        What::Require { held: true, what } => Some((Need::Needs, asserts(*what))),
        What::Asserted(function) => {
            let (held, what, _) = summaries.asserted(*function)?;
            let text = format!("{}() begins with {}", program.name_of(*function), asserts(what));
            held.then_some((Need::Needs, text))
        }
        What::Function(row) => {
            let row = &summaries.contracts.functions[usize::from(*row)];
            let text = format!("{} ({})", row.text, row.source);
            (row.bql == Asked::Held).then_some((Need::Needs, text))
        }
        What::Hook(row) => {
            let row = &summaries.contracts.hooks[usize::from(*row)];
            let text = format!("{} ({})", row.text, row.source);
            (row.bql == Asked::Held).then_some((Need::Needs, text))
        }
        What::Comment(function, row) => {
            let (file, at) = summaries.comment_rows[*row as usize];
            let comment = &program.files[file as usize].facts.contracts[at as usize];
            let text = format!("comment of {}(): {}", program.name_of(*function), comment.text);
            comment.held.then_some((Need::May, text))
        }
        What::UnlockNotHeld => Some((Need::Releases, "releases the BQL".to_owned())),
        What::AcquireBql => Some((Need::Takes, "takes the BQL".to_owned())),
        _ => None,
    }
}
