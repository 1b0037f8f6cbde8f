//! Threads of control: where each begins, and every function that it comes to,
//! with the lock state there.
//! Must not know: what a finding is.

use super::flow::{Edge, Entry, To, What};
use super::hooks::Registration;
use super::map::{Map, Set};
use super::program::{FnId, Program, Sym};
use super::qapi::Command;
use super::summary::{NodeId, Summaries};
use super::tables::{self, ContextKind, Fact, FunctionRoot};

/// A kind of thread, with all that runs in it.
pub struct Context {
    /// As QEMU names it.
    pub thread: String,
    pub kind: ContextKind,
    /// Its entry function, for a thread of its own.
    pub entry: Option<FnId>,
    /// Where it begins.
    starts: Vec<(FnId, Entry)>,
    /// The nodes it comes to, in the order of their distance.
    pub order: Vec<NodeId>,
    /// From where, by which edge; none for a start.
    parents: Map<NodeId, Option<(NodeId, u32)>>,
}

/// A step of a path: the node, and the edge by which it is left.
pub struct Hop {
    pub node: NodeId,
    pub edge: Option<Edge>,
}

impl Context {
    fn new(thread: impl Into<String>, kind: ContextKind) -> Context {
        Context {
            thread: thread.into(),
            kind,
            entry: None,
            starts: Vec::new(),
            order: Vec::new(),
            parents: Map::default(),
        }
    }

    /// Whether its callbacks begin with the BQL.
    pub fn begins_held(&self) -> bool {
        matches!(
            self.kind,
            ContextKind::Main
                | ContextKind::MainCoroutine
                | ContextKind::Coroutine
                | ContextKind::Aio
                | ContextKind::Rcu
                | ContextKind::VcpuHeld
        )
    }

    /// How it enters a function that it begins with.
    pub fn begins(&self, function: FnId) -> Option<Entry> {
        self.starts.iter().find(|(start, _)| *start == function).map(|(_, entry)| *entry)
    }

    /// A shortest path to a node.
    pub fn path(&self, summaries: &Summaries<'_>, node: NodeId) -> Vec<Hop> {
        let mut hops = vec![Hop { node, edge: None }];
        let mut at = node;
        while let Some(Some((parent, edge))) = self.parents.get(&at) {
            let edge = summaries.outcome(*parent).edges[*edge as usize].clone();
            hops.push(Hop { node: *parent, edge: Some(edge) });
            at = *parent;
        }
        hops.reverse();
        hops
    }
}

/// The facts that speak of a thread's hooks.
fn facts_of(thread: Option<&str>) -> Vec<&'static Fact> {
    let speaks = |fact: &&Fact| match (&fact.root, thread) {
        (Some(roots), Some(thread)) => roots.split('|').any(|root| root == thread),
        (Some(_), None) => false,
        (None, _) => true,
    };
    tables::facts().iter().filter(speaks).collect()
}

/// All contexts of the program. What is below a hook that is called without its
/// lock is left out: it is said once, at the hook.
pub fn all(summaries: &mut Summaries<'_>, commands: &[Command]) -> Vec<Context> {
    explored(summaries, commands, false)
}

/// All contexts of the program, with all that each comes to.
pub fn whole(summaries: &mut Summaries<'_>, commands: &[Command]) -> Vec<Context> {
    explored(summaries, commands, true)
}

fn explored(summaries: &mut Summaries<'_>, commands: &[Command], whole: bool) -> Vec<Context> {
    let mut contexts = Starts::default();
    contexts.functions(summaries);
    contexts.commands(summaries, commands);
    contexts.hooks(summaries);
    let registrations = summaries.hooks.registrations.clone();
    for registration in &registrations {
        contexts.registration(summaries, registration);
    }
    let mut contexts = contexts.list;
    let mut visited = Visited::default();
    for context in &mut contexts {
        context.starts.sort();
        context.starts.dedup();
        visited.context += 1;
        explore(summaries, context, whole, &mut visited);
    }
    contexts
}

/// Which nodes a context has come to: by node the last context that did. Quicker
/// to ask than `parents`, which is asked a million times.
#[derive(Default)]
struct Visited {
    last: Vec<u32>,
    context: u32,
}

impl Visited {
    /// Whether the context comes to a node for the first time.
    fn is_first(&mut self, node: NodeId) -> bool {
        let at = node as usize;
        if at >= self.last.len() {
            self.last.resize(at + 1, 0);
        }
        std::mem::replace(&mut self.last[at], self.context) != self.context
    }
}

#[derive(Default)]
struct Starts {
    list: Vec<Context>,
}

impl Starts {
    fn named(&mut self, thread: &str, kind: ContextKind) -> &mut Context {
        let at = self.list.iter().position(|c| c.thread == thread && c.entry.is_none());
        let at = at.unwrap_or_else(|| {
            self.list.push(Context::new(thread, kind));
            self.list.len() - 1
        });
        &mut self.list[at]
    }

    /// Adds a start to the context that a kind names; `own` is the entry of a
    /// thread of its own, with its name.
    fn add(&mut self, kind: ContextKind, function: FnId, own: impl FnOnce() -> String) {
        let (held, thread) = match kind {
            ContextKind::Main => (true, "main loop"),
            ContextKind::MainCoroutine | ContextKind::Coroutine => (true, "main loop (coroutine)"),
            ContextKind::Aio => (true, "AioContext"),
            ContextKind::Rcu => (true, "call_rcu"),
            ContextKind::VcpuHeld => (true, "vCPU"),
            ContextKind::Vcpu => (false, "vCPU without the BQL"),
            ContextKind::Exclusive => (false, "vCPU (exclusive)"),
            ContextKind::Startup => (false, "main thread at start"),
            ContextKind::Worker | ContextKind::Thread => {
                let thread = own();
                let known = self.list.iter().any(|c| c.entry == Some(function));
                if !known {
                    let mut context = Context::new(thread, kind);
                    context.entry = Some(function);
                    context.starts.push((function, Entry::plain(false, false)));
                    self.list.push(context);
                }
                return;
            }
            ContextKind::Registrar | ContextKind::RegistrarOrMain | ContextKind::Signal => return,
        };
        let coroutine = matches!(kind, ContextKind::MainCoroutine | ContextKind::Coroutine);
        let context = self.named(thread, kind);
        context.starts.push((function, Entry::plain(held, coroutine)));
    }

    fn functions(&mut self, summaries: &Summaries<'_>) {
        for row in &tables::roots().functions {
            for function in begin_so(summaries.program, row) {
                self.add(row.context, function, || row.name.clone());
            }
        }
        for id in summaries.program.ids() {
            if summaries.program.function(id).helper {
                self.add(ContextKind::Vcpu, id, String::new);
            }
        }
    }

    fn commands(&mut self, summaries: &Summaries<'_>, commands: &[Command]) {
        for id in summaries.program.ids() {
            let function = summaries.program.function(id);
            if function.is_static {
                continue;
            }
            let name = summaries.program.name_of(id);
            if name.starts_with("hmp_") {
                self.add(ContextKind::Main, id, String::new);
            } else if name.starts_with("qmp_") {
                let command = commands.iter().find(|command| command.function == name);
                match command {
                    Some(command) if command.out_of_band => {
                        let thread = "monitor IOThread (out-of-band)";
                        let context = self.named(thread, ContextKind::Thread);
                        context.starts.push((id, Entry::plain(false, false)));
                        self.add(ContextKind::Main, id, String::new);
                    }
                    Some(command) if command.coroutine => {
                        self.add(ContextKind::MainCoroutine, id, String::new);
                    }
                    _ => self.add(ContextKind::Main, id, String::new),
                }
            }
        }
    }

    fn hooks(&mut self, summaries: &Summaries<'_>) {
        for row in &tables::roots().hooks {
            let text = format!("{}.{}", row.ty, row.field);
            let Some(key) = super::resolve::key(summaries.program, &text) else { continue };
            for target in summaries.hooks.targets(key) {
                self.add(row.context, target.function, || row.field.clone());
            }
        }
    }

    fn registration(&mut self, summaries: &Summaries<'_>, registration: &Registration) {
        let row = &tables::roots().registrars[usize::from(registration.registrar)];
        let program = summaries.program;
        let word = |sym: Option<Sym>| sym.map(|sym| program.text(sym));
        let kind = match row.context {
            ContextKind::RegistrarOrMain => match word(registration.place) {
                Some("g_main_context_get_thread_default") => return,
                _ => ContextKind::Main,
            },
            ContextKind::Aio => match word(registration.place) {
                Some("qemu_get_aio_context" | "iohandler_get_aio_context") => ContextKind::Main,
                _ => ContextKind::Aio,
            },
            kind => kind,
        };
        let function = registration.function;
        self.add(kind, function, || {
            let entry = program.name_of(function);
            let known = tables::threads().iter().find(|thread| thread.entry == entry);
            match (known, word(registration.name)) {
                (Some(known), _) => known.name.clone(),
                (None, Some(name)) if !name.is_empty() && !name.contains('%') => name.to_owned(),
                _ => entry.to_owned(),
            }
        });
    }
}

/// The functions that a row names.
fn begin_so(program: &Program, row: &FunctionRoot) -> Vec<FnId> {
    let mut functions = match row.name.strip_suffix('*') {
        None => program.named(&row.name),
        Some(name) => program
            .ids()
            .filter(|&id| !program.function(id).is_static && program.name_of(id).starts_with(name))
            .collect(),
    };
    functions.retain(|&id| program.path_of(id).starts_with(&row.under));
    functions
}

/// Walks from the starts to every node, breadth first.
fn explore(
    summaries: &mut Summaries<'_>,
    context: &mut Context,
    whole: bool,
    visited: &mut Visited,
) {
    let entry = context.entry.map(|entry| summaries.program.name_of(entry).to_owned());
    let facts = facts_of(entry.as_deref());
    let mut queue: Vec<NodeId> = Vec::new();
    let mut started: Set<(FnId, Entry)> = Set::default();
    for (function, entry) in context.starts.clone() {
        if started.insert((function, entry)) && summaries.is_relevant(function) {
            let node = summaries.root(function, entry);
            if visited.is_first(node) {
                context.parents.insert(node, None);
                queue.push(node);
            }
        }
    }
    let mut at = 0;
    while at < queue.len() {
        let node = queue[at];
        at += 1;
        let outcome = summaries.outcome(node);
        for event in &outcome.events {
            // A callback that runs wherever its registrar does.
            let What::Register { registrar, functions, place } = &event.what else { continue };
            let row = &tables::roots().registrars[usize::from(*registrar)];
            let own = place.map(|place| summaries.program.text(place))
                == Some("g_main_context_get_thread_default");
            let here = match row.context {
                ContextKind::Registrar => true,
                ContextKind::RegistrarOrMain => own,
                _ => false,
            };
            if !here {
                continue;
            }
            for &function in functions {
                // Not at once, but when this thread is back in its loop.
                // At start that is the main loop, which holds the BQL.
                let held = context.begins_held() || context.kind == ContextKind::Startup;
                let entry = Entry::plain(held, false);
                if started.insert((function, entry)) && summaries.is_relevant(function) {
                    let node = summaries.root(function, entry);
                    if visited.is_first(node) {
                        context.parents.insert(node, None);
                        queue.push(node);
                    }
                }
            }
        }
        for (number, edge) in outcome.edges.iter().enumerate() {
            let mut visit = |to: NodeId, queue: &mut Vec<NodeId>| {
                if visited.is_first(to) {
                    context.parents.insert(to, Some((node, number as u32)));
                    queue.push(to);
                }
            };
            match edge.to {
                To::Node(to) => visit(to, &mut queue),
                To::Hook(key, entry) => {
                    let name = key.text(summaries.program);
                    let fact = facts.iter().find(|fact| fact.hook.as_ref() == Some(&name));
                    let only = fact.and_then(|fact| fact.only_owners_with.as_ref());
                    let only = only.map(|member| summaries.program.sym(member));
                    let broken = outcome.events.iter().any(|event| {
                        matches!(event.what, What::Hook(_)) && event.line == edge.line
                    });
                    if broken && only.is_none() && !whole {
                        // Said once, at the hook, and not again in each function.
                        continue;
                    }
                    for target in summaries.hooks.targets(key).to_vec() {
                        let kept = match only {
                            Some(Some(member)) => summaries.hooks.owner_sets(target.owner, member),
                            Some(None) => false,
                            None => true,
                        };
                        if kept && summaries.is_relevant(target.function) {
                            let to = summaries.root(target.function, entry);
                            visit(to, &mut queue);
                        }
                    }
                }
            }
        }
    }
    context.order = queue;
}
