//! Functions that are called through a member, and callbacks that are handed to
//! a thread: who sets what, through functions that only pass it on too.
//! Must not know: lock states.

use super::ir::Member;
use super::map::{Map, Set};
use super::place::{Key, Scope, UNKNOWN};
use super::program::{FnId, Program, Sym};
use super::resolve::{CallStep, Invoke, Resolved, Step, Stored};
use super::tables;
use std::sync::Arc;

/// A function that a member holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Target {
    pub function: FnId,
    /// The variable whose initialiser sets it, with its file.
    pub owner: Option<(u32, Sym)>,
}

/// A callback that is handed over.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Registration {
    /// Into `Roots::registrars`.
    pub registrar: u16,
    pub function: FnId,
    /// The function that hands it over.
    pub by: FnId,
    pub line: u32,
    /// The name that the thread is given.
    pub name: Option<Sym>,
    /// The thread's handle.
    pub handle: Option<Key>,
    /// The word of the argument that says where it runs.
    pub place: Option<Sym>,
}

/// Who sets what.
#[derive(Default)]
pub struct Hooks {
    targets: Map<Key, Vec<Target>>,
    /// The keys that a member's name has.
    by_name: Map<Sym, Vec<Key>>,
    pub registrations: Vec<Registration>,
    /// The members that a variable's initialiser sets.
    members: Map<(u32, Sym), Set<Sym>>,
}

/// Where a parameter goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Sink {
    Member(Key),
    Registrar(Handed),
}

/// A callback that a function hands over for its caller.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Handed {
    registrar: u16,
    by: FnId,
    line: u32,
    place: Option<Sym>,
    /// The caller's arguments that are the thread's name and handle.
    name: Option<u8>,
    handle: Option<u8>,
}

impl Hooks {
    /// Collects from all files and functions.
    pub fn new(program: &Program, resolved: &[Arc<Resolved<'_>>]) -> Hooks {
        let mut hooks = Hooks::default();
        hooks.initialisers(program);
        hooks.flows(program, resolved);
        for targets in hooks.targets.values_mut() {
            targets.sort();
            targets.dedup();
        }
        for key in hooks.targets.keys() {
            hooks.by_name.entry(key.name).or_default().push(*key);
        }
        for keys in hooks.by_name.values_mut() {
            keys.sort();
        }
        hooks.registrations.sort();
        hooks.registrations.dedup();
        hooks
    }

    fn initialisers(&mut self, program: &Program) {
        for (number, file) in program.files.iter().enumerate() {
            let number = number as u32;
            for store in &file.facts.stores {
                let owner = (number, program.sym_in(number, store.owner));
                if let Some(Member::Named(name)) = store.fields.last() {
                    let member = program.sym_in(number, *name);
                    self.members.entry(owner).or_default().insert(member);
                }
                let functions = program.lookup(number, program.sym_in(number, store.value));
                if functions.is_empty() {
                    continue;
                }
                let ty = program.sym_in(number, store.ty);
                let Some((ty, member)) = program.member_of_path(number, ty, &store.fields) else {
                    continue;
                };
                let key = Key { owner: ty, name: member };
                let targets = functions.iter().map(|&f| Target { function: f, owner: Some(owner) });
                self.targets.entry(key).or_default().extend(targets);
            }
        }
    }

    fn flows(&mut self, program: &Program, resolved: &[Arc<Resolved<'_>>]) {
        let mut sinks: Map<(FnId, u8), Vec<Sink>> = Map::default();
        for id in program.ids() {
            for (key, stored) in &resolved[id.0 as usize].stores {
                match stored {
                    Stored::Functions(functions) => {
                        let targets =
                            functions.iter().map(|&f| Target { function: f, owner: None });
                        self.targets.entry(*key).or_default().extend(targets);
                    }
                    Stored::Param(param) => {
                        sinks.entry((id, *param)).or_default().push(Sink::Member(*key));
                    }
                }
            }
        }
        self.registrars(program, resolved, &mut sinks);
        // Most calls pass nothing on: the few that do are looked at several times.
        let mut passing: Vec<(FnId, &CallStep<'_>)> = Vec::new();
        let mut giving: Vec<(FnId, &CallStep<'_>)> = Vec::new();
        each_call(program, resolved, |id, call| {
            if !matches!(call.invoke, Invoke::Functions(_)) {
                return;
            }
            if call.args.iter().any(|arg| arg.param.is_some()) {
                passing.push((id, call));
            }
            if call.args.iter().any(|arg| !arg.functions.is_empty()) {
                giving.push((id, call));
            }
        });
        // A parameter that is passed on to one that goes somewhere goes there.
        for _ in 0..4 {
            let mut found: Vec<((FnId, u8), Sink)> = Vec::new();
            for &(id, call) in &passing {
                let Invoke::Functions(functions) = call.invoke else { continue };
                for (at, arg) in call.args.iter().enumerate() {
                    let Some(own) = arg.param else { continue };
                    for &function in functions {
                        for &sink in sinks.get(&(function, at as u8)).into_iter().flatten() {
                            found.push(((id, own), passed_on(sink, call)));
                        }
                    }
                }
            }
            let mut grown = false;
            for (param, sink) in found {
                let known = sinks.entry(param).or_default();
                if !known.contains(&sink) {
                    known.push(sink);
                    grown = true;
                }
            }
            if !grown {
                break;
            }
        }
        for (id, call) in giving {
            let Invoke::Functions(functions) = call.invoke else { continue };
            for (at, arg) in call.args.iter().enumerate() {
                if arg.functions.is_empty() {
                    continue;
                }
                for &function in functions {
                    for &sink in sinks.get(&(function, at as u8)).into_iter().flatten() {
                        self.arrives(sink, arg.functions, &Scope::new(program, id), call);
                    }
                }
            }
        }
    }

    fn registrars(
        &mut self,
        program: &Program,
        resolved: &[Arc<Resolved<'_>>],
        sinks: &mut Map<(FnId, u8), Vec<Sink>>,
    ) {
        let rows = &tables::roots().registrars;
        each_call(program, resolved, |id, call| {
            for &registrar in call.register {
                let row = &rows[usize::from(registrar)];
                let Some(arg) = call.args.get(row.callback) else { continue };
                let argument = |at: Option<usize>| at.and_then(|at| call.args.get(at));
                let place = argument(row.place).and_then(|arg| arg.word);
                let scope = Scope::new(program, id);
                for &function in arg.functions {
                    self.registrations.push(Registration {
                        registrar,
                        function,
                        by: id,
                        line: call.line,
                        name: argument(row.name).and_then(|arg| arg.word),
                        handle: argument(row.handle).and_then(|arg| arg.key(&scope)),
                        place,
                    });
                }
                if let Some(own) = arg.param {
                    let param = |at: Option<usize>| argument(at).and_then(|arg| arg.param);
                    let sink = Sink::Registrar(Handed {
                        registrar,
                        by: id,
                        line: call.line,
                        place,
                        name: param(row.name),
                        handle: param(row.handle),
                    });
                    sinks.entry((id, own)).or_default().push(sink);
                }
            }
        });
    }

    fn arrives(&mut self, sink: Sink, functions: &[FnId], scope: &Scope<'_>, call: &CallStep<'_>) {
        match sink {
            Sink::Member(key) => {
                let targets = functions.iter().map(|&f| Target { function: f, owner: None });
                self.targets.entry(key).or_default().extend(targets);
            }
            Sink::Registrar(handed) => {
                let argument = |at: Option<u8>| at.and_then(|at| call.args.get(usize::from(at)));
                let registrations = functions.iter().map(|&function| Registration {
                    registrar: handed.registrar,
                    function,
                    by: handed.by,
                    line: handed.line,
                    name: argument(handed.name).and_then(|arg| arg.word),
                    handle: argument(handed.handle).and_then(|arg| arg.key(scope)),
                    place: handed.place,
                });
                self.registrations.extend(registrations);
            }
        }
    }

    /// The functions that a member may hold; where its struct is not known, of
    /// the one member that has this name.
    pub fn targets(&self, key: Key) -> &[Target] {
        if let Some(targets) = self.targets.get(&key) {
            return targets;
        }
        if key.owner == UNKNOWN
            && let Some([only]) = self.by_name.get(&key.name).map(Vec::as_slice)
        {
            return &self.targets[only];
        }
        &[]
    }

    /// Whether the initialiser of a variable sets a member.
    pub fn owner_sets(&self, owner: Option<(u32, Sym)>, member: Sym) -> bool {
        owner.and_then(|owner| self.members.get(&owner)).is_some_and(|set| set.contains(&member))
    }

    /// The members of this name that hold functions.
    pub fn named(&self, name: Sym) -> &[Key] {
        self.by_name.get(&name).map_or(&[], Vec::as_slice)
    }

    /// The members that hold functions.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.targets.keys().copied()
    }
}

/// A sink in terms of a function that only passes its parameters on.
fn passed_on(sink: Sink, call: &CallStep) -> Sink {
    let Sink::Registrar(handed) = sink else { return sink };
    let param = |at: Option<u8>| call.args.get(usize::from(at?)).and_then(|arg| arg.param);
    Sink::Registrar(Handed { name: param(handed.name), handle: param(handed.handle), ..handed })
}

/// Every call of every function.
pub fn each_call<'r>(
    program: &Program,
    resolved: &'r [Arc<Resolved<'r>>],
    mut see: impl FnMut(FnId, &'r CallStep),
) {
    for id in program.ids() {
        for block in &resolved[id.0 as usize].blocks {
            for step in &block.ops {
                if let Step::Call(call) | Step::Idle(call) = step {
                    see(id, call);
                }
            }
        }
    }
}
