//! Who calls a function or a hook, and what a function calls: each call with
//! the threads that come to it, and the BQL there.
//! Must not know: paths.

use super::word::{Word, attend};
use super::{Bits, Defined, Unknown, bit, state};
use crate::scan::contexts::{self, Context};
use crate::scan::flow::{To, What};
use crate::scan::map::Map;
use crate::scan::place::Key;
use crate::scan::program::FnId;
use crate::scan::resolve::{CallStep, Invoke, Step};
use crate::scan::summary::{NodeId, Summaries};
use crate::scan::tables;
use crate::scan::tree::{Tree, with_summaries};
use serde::Serialize;

/// The calls of a function or hook, or those that it makes.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Calls {
    /// As it was asked for.
    pub word: String,
    /// The functions of this name.
    pub functions: Vec<Defined>,
    /// The members of this name, as `Type.member`.
    pub hooks: Vec<String>,
    /// By place.
    pub calls: Vec<CallSite>,
}

/// A call in the source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct CallSite {
    pub path: String,
    pub line: u32,
    pub caller: String,
    pub callee: String,
    /// Whether it stands under a condition.
    pub conditional: bool,
    /// The member that holds the callee, or the function that it is passed to.
    pub through: Option<String>,
    /// The threads that come to it. None: no thread is known to.
    pub threads: Vec<InThread>,
}

/// A thread at a call.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct InThread {
    pub thread: String,
    /// The BQL: `held`, `not held`, `either`.
    pub bql: String,
    /// Whether it comes there without a call through a member that holds several
    /// functions; those of which the contracts speak are all called.
    pub certain: bool,
}

/// Whose body a call enters.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Reach {
    Functions(Vec<FnId>),
    Hook(Key),
    /// None that is known.
    Plain,
}

/// A call, before it is known who comes to it.
struct Site {
    caller: FnId,
    callee: String,
    reach: Reach,
    line: u32,
    column: u32,
    conditional: bool,
    through: Option<String>,
    /// It is handed to another thread.
    registers: bool,
}

/// Who calls the function or hook `word`.
pub fn callers(tree: &Tree, word: &str) -> Result<Calls, Unknown> {
    with_summaries(tree, |summaries, commands| {
        let word = Word::find(summaries, word)?;
        attend(summaries, &word.meant(summaries));
        let contexts = contexts::whole(summaries, commands);
        let sites = calling(summaries, &word);
        Ok(answer(summaries, &contexts, &word, sites))
    })
}

/// What the function `word` calls; of a hook, the functions that it holds.
pub fn callees(tree: &Tree, word: &str) -> Result<Calls, Unknown> {
    with_summaries(tree, |summaries, commands| {
        let word = Word::find(summaries, word)?;
        let mut sites = Vec::new();
        for &id in &word.functions {
            each(summaries, id, |call| sites.extend(called(summaries, id, call)));
        }
        let mut wanted = word.functions.clone();
        for site in &sites {
            if let Reach::Functions(functions) = &site.reach {
                wanted.extend(functions);
            }
        }
        attend(summaries, &wanted);
        let contexts = contexts::whole(summaries, commands);
        let mut calls = answer(summaries, &contexts, &word, sites);
        for &hook in &word.hooks {
            calls.calls.extend(held(summaries, &contexts, hook));
        }
        Ok(calls)
    })
}

/// The calls of a hook, for those who ask about it.
pub fn of_hook(summaries: &Summaries<'_>, contexts: &[Context], hook: Key) -> Vec<CallSite> {
    let name = summaries.program.text(hook.name).to_owned();
    let word = Word { text: name, functions: Vec::new(), hooks: vec![hook], name: None };
    let sites = calling(summaries, &word);
    answer(summaries, contexts, &word, sites).calls
}

/// The calls of a function, for those who ask about it.
pub fn of_function(summaries: &Summaries<'_>, contexts: &[Context], id: FnId) -> Vec<CallSite> {
    let name = summaries.program.name_of(id).to_owned();
    let word = Word { text: name, functions: vec![id], hooks: Vec::new(), name: None };
    let sites = calling(summaries, &word);
    answer(summaries, contexts, &word, sites).calls
}

/// Calls `see` with every call of a function.
fn each(summaries: &Summaries<'_>, id: FnId, mut see: impl FnMut(&CallStep)) {
    let resolved = summaries.resolved(id);
    for step in resolved.blocks.iter().flat_map(|block| &block.ops) {
        if let Step::Call(call) | Step::Idle(call) = step {
            see(call);
        }
    }
}

fn site(caller: FnId, call: &CallStep, callee: String, reach: Reach) -> Site {
    Site {
        caller,
        callee,
        reach,
        line: call.line,
        column: call.column,
        conditional: call.conditional,
        through: None,
        registers: false,
    }
}

/// The functions of an argument that a call passes on, as a site each.
fn passed(summaries: &Summaries<'_>, id: FnId, call: &CallStep) -> Vec<Site> {
    let program = summaries.program;
    let name = call.name.map_or("?", |name| program.text(name));
    let functions = call.args.iter().flat_map(|arg| arg.functions);
    let one = |&function: &FnId| {
        let callee = program.name_of(function).to_owned();
        let mut site = site(id, call, callee, Reach::Functions(vec![function]));
        site.through = Some(format!("{name}()"));
        site.registers = !call.register.is_empty();
        site
    };
    functions.map(one).collect()
}

/// Whether a call is that of `g_clear_pointer()` and its likes.
fn calls_argument(summaries: &Summaries<'_>, call: &CallStep) -> bool {
    call.name.is_some_and(|name| summaries.primitives.callers.contains_key(&name))
}

/// Every call of `word`.
fn calling(summaries: &Summaries<'_>, word: &Word) -> Vec<Site> {
    let program = summaries.program;
    let mut sites = Vec::new();
    for id in program.ids() {
        each(summaries, id, |call| {
            match &call.invoke {
                // Its argument is what is called: see below.
                Invoke::Functions(_) if calls_argument(summaries, call) => {}
                Invoke::Functions(functions) => {
                    let wanted = functions.iter().filter(|f| word.functions.contains(f));
                    let wanted: Vec<FnId> = wanted.copied().collect();
                    if let Some(&first) = wanted.first() {
                        let callee = program.name_of(first).to_owned();
                        sites.push(site(id, call, callee, Reach::Functions(wanted)));
                    }
                }
                Invoke::Hook(key) => {
                    let targets = summaries.hooks.targets(*key);
                    let held = targets.iter().find(|t| word.functions.contains(&t.function));
                    let text = key.text(program);
                    if let Some(held) = held {
                        let callee = program.name_of(held.function).to_owned();
                        let mut site = site(id, call, callee, Reach::Hook(*key));
                        site.through = Some(text);
                        sites.push(site);
                    } else if word.is_hook(*key) {
                        sites.push(site(id, call, text, Reach::Hook(*key)));
                    }
                }
                Invoke::Nothing if call.name.is_some() && call.name == word.name => {
                    sites.push(site(id, call, word.text.clone(), Reach::Plain));
                }
                Invoke::Nothing | Invoke::Param(_) => {}
            }
            let passed = passed(summaries, id, call);
            let wanted = |site: &Site| {
                matches!(&site.reach, Reach::Functions(functions)
                if functions.iter().any(|f| word.functions.contains(f)))
            };
            sites.extend(passed.into_iter().filter(wanted));
        });
    }
    sites
}

/// What a call enters, and what it passes on; nothing for a function that is not
/// in the tree, unless it has to do with locks.
fn called(summaries: &Summaries<'_>, id: FnId, call: &CallStep) -> Vec<Site> {
    let program = summaries.program;
    let mut sites = Vec::new();
    match (&call.invoke, call.name) {
        (Invoke::Functions(functions), _) if !calls_argument(summaries, call) => {
            let callee = program.name_of(functions[0]).to_owned();
            sites.push(site(id, call, callee, Reach::Functions(functions.to_vec())));
        }
        (Invoke::Hook(key), _) => {
            sites.push(site(id, call, key.text(program), Reach::Hook(*key)));
        }
        (Invoke::Nothing, Some(name)) if summaries.primitives.is_primitive(name) => {
            sites.push(site(id, call, program.text(name).to_owned(), Reach::Plain));
        }
        _ => {}
    }
    sites.extend(passed(summaries, id, call));
    sites
}

/// The functions that a hook holds, as if each were called by it.
fn held(summaries: &Summaries<'_>, contexts: &[Context], hook: Key) -> Vec<CallSite> {
    let program = summaries.program;
    let mut threads: Vec<InThread> =
        of_hook(summaries, contexts, hook).into_iter().flat_map(|call| call.threads).collect();
    threads.sort();
    threads.dedup();
    let targets = summaries.hooks.targets(hook).iter();
    let one = |id: FnId| CallSite {
        path: program.path_of(id).to_owned(),
        line: program.function(id).line,
        caller: hook.text(program),
        callee: program.name_of(id).to_owned(),
        conditional: false,
        through: None,
        threads: threads.clone(),
    };
    let mut held: Vec<CallSite> = targets.map(|target| one(target.function)).collect();
    held.sort();
    held.dedup();
    held
}

/// The BQL at a call, as a node comes to it.
fn at(summaries: &Summaries<'_>, node: NodeId, site: &Site) -> Bits {
    let outcome = summaries.outcome(node);
    let mut bits = 0;
    for edge in outcome.edges.iter().filter(|edge| edge.line == site.line) {
        let same = match (&edge.to, &site.reach) {
            (To::Node(to), Reach::Functions(functions)) => {
                functions.contains(&summaries.function(*to))
            }
            (To::Hook(key, _), Reach::Hook(hook)) => key == hook,
            _ => false,
        };
        if same {
            bits |= bit(edge.bql);
        }
    }
    let here = |line: u32, column: u32| (line, column) == (site.line, site.column);
    for event in outcome.events.iter().filter(|event| here(event.line, event.column)) {
        let same = match (&event.what, &site.reach) {
            // A wait that releases the BQL says how it is meanwhile.
            (What::Wait { wait, .. }, _) => {
                let row = &tables::waits().waits[usize::from(*wait)];
                !row.releases_bql && row.mutex.is_none()
            }
            (What::Asserted(function), Reach::Functions(functions)) => functions.contains(function),
            (What::Function(_), Reach::Functions(_)) | (_, Reach::Plain) => true,
            _ => false,
        };
        if same {
            bits |= bit(event.bql);
        }
    }
    bits
}

/// Whether a thread surely comes to a node.
fn is_certain(summaries: &Summaries<'_>, context: &Context, node: NodeId) -> bool {
    let hops = context.path(summaries, node);
    let mut edges = hops.iter().filter_map(|hop| hop.edge.as_ref());
    edges.all(|edge| match edge.to {
        To::Node(_) => true,
        To::Hook(key, _) => {
            summaries.hooks.targets(key).len() < 2 || summaries.primitives.hooks.contains_key(&key)
        }
    })
}

/// Who comes to the sites.
fn answer(summaries: &Summaries<'_>, contexts: &[Context], word: &Word, sites: Vec<Site>) -> Calls {
    let program = summaries.program;
    let mut by_caller: Map<FnId, Vec<usize>> = Map::default();
    for (number, site) in sites.iter().enumerate() {
        by_caller.entry(site.caller).or_default().push(number);
    }
    let mut found: Vec<Vec<InThread>> = sites.iter().map(|_| Vec::new()).collect();
    for context in contexts {
        // What is certain, and all.
        let mut states: Map<usize, (Bits, Bits)> = Map::default();
        for &node in &context.order {
            let Some(here) = by_caller.get(&summaries.function(node)) else { continue };
            let certain = is_certain(summaries, context, node);
            for &number in here {
                let bits = at(summaries, node, &sites[number]);
                let known = states.entry(number).or_default();
                known.0 |= if certain { bits } else { 0 };
                known.1 |= bits;
            }
        }
        for (number, site) in sites.iter().enumerate().filter(|(_, site)| site.registers) {
            let Reach::Functions(functions) = &site.reach else { continue };
            for entry in functions.iter().filter_map(|&function| context.begins(function)) {
                let known = states.entry(number).or_default();
                known.0 |= bit(entry.bql);
                known.1 |= bit(entry.bql);
            }
        }
        for (number, (certain, all)) in states {
            let mut push = |bits: Bits, certain: bool| {
                let bql = state(bits).to_owned();
                found[number].push(InThread { thread: context.thread.clone(), bql, certain });
            };
            if certain != 0 {
                push(certain, true);
            }
            // The call may be one of which only that the thread comes to the
            // function is known.
            if all & !certain != 0 || (all == 0 && sites[number].reach == Reach::Plain) {
                push(all & !certain, false);
            }
        }
    }
    let mut calls: Vec<CallSite> = Vec::with_capacity(sites.len());
    for (site, mut threads) in sites.into_iter().zip(found) {
        threads.sort();
        threads.dedup();
        calls.push(CallSite {
            path: program.path_of(site.caller).to_owned(),
            line: site.line,
            caller: program.name_of(site.caller).to_owned(),
            callee: site.callee,
            conditional: site.conditional,
            through: site.through,
            threads,
        });
    }
    calls.sort();
    calls.dedup();
    Calls {
        word: word.text.clone(),
        functions: word.defined(program),
        hooks: word.members(program),
        calls,
    }
}
