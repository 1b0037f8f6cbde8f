//! What is said of functions before any is followed: what comments and asserts ask
//! of a caller, and which locks may be taken again.
//! Must not know: lock states.

use crate::scan::hooks::each_call;
use crate::scan::map::{Map, Set};
use crate::scan::place::{AIO_CONTEXT, Key, RCU};
use crate::scan::program::{FnId, Program, Sym};
use crate::scan::resolve::{Invoke, Resolved, Step, key};
use crate::scan::tables;
use std::sync::Arc;

/// What a comment asks: its number in `comment_rows`, whether the lock is held,
/// and which it is (none: the BQL).
pub type Commented = (u32, bool, Option<Sym>);

/// Where a comment's contract stands: the file, and which of its own.
pub type CommentRow = (u32, u32);

/// The locks that are taken as recursive ones, or are declared so.
pub(super) fn recursive(program: &Program, resolved: &[Arc<Resolved<'_>>]) -> Set<Key> {
    let names = &tables::locks().mutex.recursive;
    let mut keys: Set<Key> = [RCU, AIO_CONTEXT].into_iter().collect();
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
pub(super) fn asserted(resolved: &Resolved) -> Option<(bool, Sym, u32)> {
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
pub(super) fn locks_by_name(program: &Program, resolved: &[Arc<Resolved<'_>>]) -> Map<Sym, Sym> {
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
        let lock = key(program, &wrapper.class);
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
pub(super) fn comments(
    program: &Program,
    locks: &Map<Sym, Sym>,
) -> (Map<FnId, Vec<Commented>>, Vec<CommentRow>) {
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
