//! The functions and members that the tables name, by symbol.
//! Must not know: functions that call them.

use super::steps::CallStep;
use crate::scan::map::Map;
use crate::scan::place::{AIO_CONTEXT, Key, NONE, RCU, UNKNOWN};
use crate::scan::program::{Program, Sym};
use crate::scan::tables::{self, Contracts};

/// What a function's name says of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LockCall {
    BqlLock,
    BqlUnlock,
    BqlLocked,
    InCoroutine,
    InVcpu,
    Lock,
    TryLock,
    Unlock,
    /// Of one certain lock.
    LockOf(Key),
    UnlockOf(Key),
}

/// The functions that the tables name, by symbol.
pub struct Primitives {
    pub locks: Map<Sym, LockCall>,
    pub waits: Map<Sym, u16>,
    pub wakes: Map<Sym, u16>,
    /// One row for each callback that is handed over.
    pub registrars: Map<Sym, Vec<u16>>,
    /// Functions from outside that call an argument: which.
    pub callers: Map<Sym, usize>,
    /// Into `Contracts::functions`.
    pub functions: Map<Sym, u16>,
    /// Into `Contracts::hooks`.
    pub hooks: Map<Key, u16>,
    /// Into `Contracts::locks`, with the lock.
    pub held: Map<Sym, Vec<(u16, Key)>>,
    /// `tables::guarded`, in order.
    pub guarded: Vec<GuardedMember>,
    /// The BQL's mutex, by name.
    pub bql: Vec<Sym>,
    /// Classes that are another.
    pub same: Map<Key, Key>,
}

/// A member that a lock guards.
pub struct GuardedMember {
    /// The member's name, and that of its struct (of the outermost).
    pub field: Option<Sym>,
    pub owners: Vec<Sym>,
    pub lock: Key,
    pub calls: Vec<Sym>,
}

impl GuardedMember {
    /// Whether a key is this member.
    pub fn is(&self, key: Key) -> bool {
        self.field == Some(key.name) && self.owners.contains(&key.owner)
    }
}

/// The key that `Type.member` (or a variable) names, if the program has it.
pub fn key(program: &Program, text: &str) -> Option<Key> {
    match text {
        "RCU" => return Some(RCU),
        "AioContext" => return Some(AIO_CONTEXT),
        _ => {}
    }
    match text.split_once('.') {
        Some((owner, name)) => {
            let owner = program.sym(owner)?;
            Some(Key { owner, name: program.sym(name)? })
        }
        None => Some(Key { owner: NONE, name: program.sym(text)? }),
    }
}

impl Primitives {
    pub fn new(program: &Program, contracts: &Contracts) -> Primitives {
        let mut locks = Map::default();
        let mut put = |names: &[String], call: LockCall| {
            for name in names {
                if let Some(sym) = program.sym(name) {
                    locks.insert(sym, call);
                }
            }
        };
        let table = tables::locks();
        put(&table.bql.lock, LockCall::BqlLock);
        put(&table.bql.unlock, LockCall::BqlUnlock);
        put(&table.bql.locked, LockCall::BqlLocked);
        put(&["qemu_in_coroutine".into()], LockCall::InCoroutine);
        put(&["qemu_in_vcpu_thread".into()], LockCall::InVcpu);
        put(&table.mutex.lock, LockCall::Lock);
        put(&table.mutex.trylock, LockCall::TryLock);
        put(&table.mutex.unlock, LockCall::Unlock);
        put(&table.rcu.lock, LockCall::LockOf(RCU));
        put(&table.rcu.unlock, LockCall::UnlockOf(RCU));
        put(&table.aio_context.lock, LockCall::Lock);
        put(&table.aio_context.unlock, LockCall::Unlock);
        for wrapper in &table.wrappers {
            if let Some(key) = key(program, &wrapper.class) {
                put(std::slice::from_ref(&wrapper.lock), LockCall::LockOf(key));
                put(std::slice::from_ref(&wrapper.unlock), LockCall::UnlockOf(key));
            }
        }
        let numbered = |names: Vec<&String>| {
            let numbered = names.into_iter().enumerate();
            numbered.filter_map(|(at, name)| Some((program.sym(name)?, at as u16))).collect()
        };
        let waits = tables::waits();
        let mut hooks = Map::default();
        for (at, hook) in contracts.hooks.iter().enumerate() {
            if let Some(key) = key(program, &format!("{}.{}", hook.ty, hook.field)) {
                hooks.insert(key, at as u16);
            }
        }
        let mut held: Map<Sym, Vec<(u16, Key)>> = Map::default();
        for (at, contract) in contracts.locks.iter().enumerate() {
            if let (Some(function), Some(key)) =
                (program.sym(&contract.function), key(program, &contract.lock))
                && contract.held
            {
                held.entry(function).or_default().push((at as u16, key));
            }
        }
        let mut registrars: Map<Sym, Vec<u16>> = Map::default();
        for (at, registrar) in tables::roots().registrars.iter().enumerate() {
            if let Some(sym) = program.sym(&registrar.function) {
                registrars.entry(sym).or_default().push(at as u16);
            }
        }
        let guarded = tables::guarded().iter().map(|row| {
            let (above, field) = row.field.rsplit_once('.').unwrap_or(("", &row.field));
            let owner = match above {
                "" => row.ty.clone(),
                above => format!("{}.{above}", row.ty),
            };
            GuardedMember {
                field: program.sym(field),
                owners: program.sym(&owner).into_iter().collect(),
                lock: key(program, &row.lock).unwrap_or(Key { owner: NONE, name: UNKNOWN }),
                calls: row.calls.iter().filter_map(|call| program.sym(call)).collect(),
            }
        });
        let guarded = guarded.collect();
        let callers = tables::roots().callers.iter();
        let callers = callers.filter_map(|row| Some((program.sym(&row.function)?, row.callback)));
        let callers = callers.collect();
        let bql = table.bql.mutexes.iter().filter_map(|name| program.sym(name)).collect();
        let same = table.same.iter();
        let same =
            same.filter_map(|row| Some((key(program, &row.class)?, key(program, &row.other)?)));
        let same = same.collect();
        Primitives {
            callers,
            guarded,
            bql,
            same,
            locks,
            waits: numbered(waits.waits.iter().map(|wait| &wait.function).collect()),
            wakes: numbered(waits.wakes.iter().map(|wake| &wake.function).collect()),
            registrars,
            functions: numbered(contracts.functions.iter().map(|f| &f.name).collect()),
            hooks,
            held,
        }
    }

    /// Whether a call does something itself, or the tables say something of it.
    pub fn speak_of(&self, call: &CallStep<'_>) -> bool {
        let does = call.lock.is_some()
            || call.wait.is_some()
            || call.wake.is_some()
            || !call.register.is_empty();
        let named = |name: Sym| {
            self.functions.contains_key(&name)
                || self.held.contains_key(&name)
                || self.guarded.iter().any(|row| row.calls.contains(&name))
        };
        does || call.name.is_some_and(named)
    }

    /// Whether a function is known by name alone, so that its body is not looked
    /// into.
    pub fn is_primitive(&self, name: Sym) -> bool {
        self.locks.contains_key(&name)
            || self.waits.contains_key(&name)
            || self.wakes.contains_key(&name)
            || self.registrars.contains_key(&name)
    }
}
