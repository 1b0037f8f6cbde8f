//! What an execution's end means: which rules it broke, by what the kernel knows
//! of threads, locks and waits.
//! Must not know: the scenario's story, which judges what only it can.

use super::kernel::freed::Written;
use super::kernel::nesting::Taken;
use super::kernel::pair;
use super::kernel::race::Race;
use super::kernel::state::{Ending, Kernel, Key, Misuse, Place, Stall, Thread, Tid};
use super::ordered;
use crate::lock::Rule;

/// A rule that an execution broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    pub rule: Rule,
    /// One sentence; objects are written by `Names`.
    pub message: String,
    /// Who waits for what, if that is what it is about.
    pub waits: Vec<(Tid, Key)>,
    /// Steps of the environment that it lasted, if it is a stall.
    pub ticks: u64,
    /// The two accesses, if it is a data race.
    pub race: Option<Race>,
    /// What each thread takes with what, if it is about the order of locks.
    pub circle: Vec<Taken>,
    /// Where, if it is not at the end and steps are recorded.
    pub at: Option<Place>,
}

impl Breach {
    pub fn new(rule: Rule, message: impl Into<String>) -> Breach {
        Breach {
            rule,
            message: message.into(),
            waits: Vec::new(),
            ticks: 0,
            race: None,
            circle: Vec::new(),
            at: None,
        }
    }

    /// Whether it is two places in the code, or more, and no way to them: a data race,
    /// or an order of locks.
    pub fn has_no_story(&self) -> bool {
        self.race.is_some() || !self.circle.is_empty()
    }

    /// Whether another execution's breach is the same: the rule, and threads of the
    /// same names that wait for the same. A data race is known by its instructions.
    /// Where in the heap something without a name lies does not matter.
    pub fn same(&self, other: &Breach) -> bool {
        if let (Some(one), Some(two)) = (&self.race, &other.race) {
            return one.pair() == two.pair();
        }
        let words = self.message.split(' ').map(no_place);
        self.rule == other.rule && words.eq(other.message.split(' ').map(no_place))
    }
}

/// A word of a message, or `heap` if it is a place there.
fn no_place(word: &str) -> &str {
    word.split_once("heap+0x").map_or(word, |(before, _)| &word[..before.len() + 4])
}

/// A thread's name as QEMU gave it.
pub fn name(state: &Kernel, tid: Tid) -> &str {
    &state.threads[tid].name
}

/// How objects are called.
pub trait Names {
    /// The object at an address: `bql`, `mis->postcopy_pause_sem_dst`.
    fn object(&self, address: usize) -> String;
}

/// What a thread waits for, in words.
pub fn wait(state: &Kernel, tid: Tid, key: Key, names: &dyn Names) -> String {
    let object = |address| names.object(pair::address(state, tid, address));
    match key {
        Key::Mutex(address) => {
            let owner = pair::owner(state, tid, address).map(|owner| name(state, owner));
            let held = owner.map_or(String::new(), |owner| format!(" (held by {owner})"));
            format!("{}{held}", object(address))
        }
        Key::Cond(address) | Key::Futex(address) | Key::Lock(address) => object(address),
        Key::Thread(tid) => format!("the end of {}", name(state, tid)),
        Key::Signal => "a signal".into(),
        Key::File(file) => state.files.what(file).into(),
        Key::Page(_) => "a page".into(),
        Key::Clock => "time".into(),
        Key::Scenario(_) => "the scenario".into(),
    }
}

/// QEMU has ended itself with an error: who has, and what it said.
pub fn exited(state: &Kernel) -> Option<String> {
    let Some(Ending::Exit(code)) = state.over.as_ref().filter(|over| **over != Ending::Exit(0))
    else {
        return None;
    };
    let last = state.said.last_line(state.ended_by);
    let who = name(state, state.ended_by);
    Some(format!("{who} ends QEMU with exit({code}) and says: {last}"))
}

/// That, and the guest is nowhere else.
pub fn lost(state: &Kernel) -> Option<Breach> {
    let told = exited(state)?;
    Some(Breach::new(Rule::GuestLost, format!("the guest is lost: {told}")))
}

/// Nothing was done to the migration, and it comes to nothing.
pub fn not_gone(why: &str) -> Breach {
    Breach::new(Rule::GuestLost, format!("the guest has not gone over: {why}"))
}

/// What the end alone says: a crash, a stall that was seen.
pub fn general(state: &Kernel, names: &dyn Names) -> Vec<Breach> {
    let mut all = state.noted.clone();
    let stalled = |stall: &Stall, rule, ticks| {
        let holder = name(state, stall.holder);
        // A file may be closed by now.
        let wait = match stall.file {
            Some(file) => file.into(),
            None => wait(state, stall.holder, stall.wait, names),
        };
        // Which vCPU it hits is chance, and no cause of its own.
        let who = if rule == Rule::Stalled { "a vCPU waits for the BQL: " } else { "" };
        let message = format!("{who}{holder} holds the BQL while it waits for {wait}");
        Breach { ticks, at: stall.at.clone(), ..Breach::new(rule, message) }
    };
    let for_all = state.worst_stall.iter();
    all.extend(for_all.map(|stall| stalled(stall, Rule::HeldWaiting, stall.ticks)));
    let for_vcpu = state.worst_for_vcpu.iter();
    all.extend(for_vcpu.map(|stall| stalled(stall, Rule::Stalled, stall.vcpu_ticks)));
    all.extend(misuses(state, names));
    if let Some(Ending::Spins { .. }) = &state.over {
        all.push(spins(state, names));
    }
    if let Some(Ending::Crash(what, _)) = &state.over {
        let locked = what.contains("bql_locked") || what.contains("iothread_locked");
        let rule = match () {
            () if what.contains("!bql_locked") => Rule::TakenTwice,
            () if what.contains("!qemu_mutex_iothread_locked") => Rule::TakenTwice,
            () if what.contains("bql_unlock") || what.contains("mutex_unlock") => Rule::Unbalanced,
            () if locked => Rule::NeedsBql,
            () if what.contains("free of") => Rule::UseAfterTeardown,
            () if what.contains("SIG") => Rule::UseAfterTeardown,
            () => Rule::IllegalTransition,
        };
        all.push(Breach::new(rule, format!("{} crashed: {what}", name(state, state.ended_by))));
    }
    all
}

/// A thread goes on for ever; and who waits for what it holds.
fn spins(state: &Kernel, names: &dyn Names) -> Breach {
    let tid = state.ended_by;
    let mut words = vec![format!("{} runs without end", name(state, tid))];
    let mut waits = locked_out(state);
    waits.retain(|(waiter, _)| *waiter != tid);
    words.extend(waits.iter().map(|wait| waiting(state, wait, names)));
    Breach { waits, ..Breach::new(Rule::WaitForever, format!("hangs: {}", words.join("; "))) }
}

/// Mutexes used as none may be, or in an order that none may be, and memory.
pub fn misuses(state: &Kernel, names: &dyn Names) -> Vec<Breach> {
    let mut all: Vec<Breach> =
        state.misuses.iter().map(|misuse| misused(state, *misuse, names)).collect();
    all.extend(ordered::breaches(state, names));
    for Written { freed_at, bytes, first } in &state.written {
        let place = names.object(*freed_at);
        let message =
            format!("byte {first} of {bytes} that were freed at {place} is written to after that");
        all.push(Breach::new(Rule::UseAfterTeardown, message));
    }
    all
}

/// A mutex used as none may be.
fn misused(
    state: &Kernel,
    (misuse, tid, address): (Misuse, Tid, usize),
    names: &dyn Names,
) -> Breach {
    let (who, lock) = (name(state, tid), names.object(pair::address(state, tid, address)));
    match misuse {
        Misuse::Twice => {
            Breach::new(Rule::TakenTwice, format!("{who} takes {lock}, which it holds"))
        }
        Misuse::NotHeld => Breach::new(
            Rule::Unbalanced,
            format!("{who} lets go of {lock}, which it does not hold"),
        ),
        Misuse::HeldAtEnd => Breach::new(Rule::Unbalanced, format!("{who} ends and holds {lock}")),
        Misuse::DestroyedHeld => {
            Breach::new(Rule::UseAfterTeardown, format!("{who} destroys {lock}, which is held"))
        }
    }
}

/// What a thread waits for first of all; a poll waits for files and for time.
fn key(thread: &Thread) -> Option<Key> {
    thread.waits.iter().find(|key| **key != Key::Clock).or(thread.waits.first()).copied()
}

/// Threads that wait for a mutex, and along the owners to those that wait for
/// something else.
fn locked_out(state: &Kernel) -> Vec<(Tid, Key)> {
    let mut waits = Vec::new();
    for (tid, thread) in state.threads.iter().enumerate() {
        if let Some(Key::Mutex(address)) = thread.waits.first() {
            waits.push((tid, Key::Mutex(*address)));
            if let Some(owner) = pair::owner(state, tid, *address) {
                let of_owner = key(&state.threads[owner]);
                waits.extend(of_owner.map(|key| (owner, key)));
            }
        }
    }
    waits.sort_by_key(|(tid, _)| *tid);
    waits.dedup();
    waits
}

fn waiting(state: &Kernel, (tid, key): &(Tid, Key), names: &dyn Names) -> String {
    format!("{} waits for {}", name(state, *tid), wait(state, *tid, *key, names))
}

/// Nothing can run and the migration is not done: who waits for whom.
pub fn hang(state: &Kernel, names: &dyn Names) -> Breach {
    let mut waits = locked_out(state);
    let all_that = |counts: &dyn Fn(Tid, &Thread) -> bool| -> Vec<(Tid, Key)> {
        let all = state.threads.iter().enumerate().filter(|(_, thread)| thread.returned.is_none());
        let all = all.filter(|(tid, thread)| counts(*tid, thread));
        all.filter_map(|(tid, thread)| Some((tid, key(thread)?))).collect()
    };
    if waits.is_empty() {
        // No lock is in it: all that wait and were begun for this migration, or hold the
        // BQL.
        let holds = |tid: Tid| state.threads[tid].held.contains(&pair::bql(state, tid));
        waits = all_that(&|tid, thread| !thread.scenario && (!thread.idle || holds(tid)));
    }
    if waits.is_empty() {
        // QEMU is at rest, and whoever is outside of it waits for what does not come.
        waits = all_that(&|_, thread| thread.scenario);
    }
    if waits.is_empty() {
        waits = all_that(&|_, _| true);
    }
    let all: Vec<String> = waits.iter().map(|wait| waiting(state, wait, names)).collect();
    let breach = Breach::new(Rule::WaitForever, format!("hangs: {}", all.join("; ")));
    Breach { waits, ..breach }
}

/// Threads of QEMU that ended and that nobody joined.
pub fn never_joined(state: &Kernel) -> Vec<Breach> {
    let ended = state.threads.iter().filter(|thread| !thread.scenario);
    let left = ended.filter(|thread| {
        thread.returned.is_some() && !thread.detached && !thread.joined && !thread.idle
    });
    left.map(|thread| Breach::new(Rule::NeverJoined, format!("{} is never joined", thread.name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Addresses;

    impl Names for Addresses {
        fn object(&self, address: usize) -> String {
            format!("{address:#x}")
        }
    }

    /// Threads of these names, which wait so: of the scenario, and there since boot.
    fn at_rest(threads: &[(&str, bool, bool, Key)]) -> Kernel {
        let mut kernel = Kernel::default();
        for (tid, (name, scenario, idle, key)) in threads.iter().enumerate() {
            let (name, scenario, idle) = ((*name).into(), *scenario, *idle);
            kernel.threads.push(Thread { name, scenario, idle, ..Thread::default() });
            kernel.wait(tid, *key, None);
        }
        kernel
    }

    #[test]
    fn a_hang_names_somebody_whoever_waits() {
        let listen = ("listen", false, false, Key::Cond(0x10));
        let management = ("management", true, false, Key::Scenario(1));
        let main = ("main", false, true, Key::Clock);
        let said = |threads: &[_]| hang(&at_rest(threads), &Addresses).message;
        assert_eq!(said(&[main, management, listen]), "hangs: listen waits for 0x10");
        assert_eq!(said(&[main, management]), "hangs: management waits for the scenario");
        assert_eq!(said(&[main]), "hangs: main waits for time");
    }

    #[test]
    fn who_has_ended_does_not_wait() {
        let mut kernel = at_rest(&[("main", false, true, Key::Signal)]);
        let ended = Thread { name: "management".into(), scenario: true, ..Thread::default() };
        kernel.threads.push(Thread { returned: Some(0), ..ended });
        assert_eq!(hang(&kernel, &Addresses).message, "hangs: main waits for a signal");
    }
}
