//! Data races: what an image of `bqlcheck exec --races` tells of its accesses to
//! memory (`glue/race.c`), what the kernel's operations order, and the races in it.
//! In any other image nothing of this is ever switched on. Of two processes the
//! threads are numbered together, and an address is marked with its side.
//!
//! Atomic accesses are places to switch. Plain ones are, where another thread has
//! touched the same memory in this execution before, and at instructions where that
//! was so in the executions that `learn` is for. That loses no race: whether two
//! accesses race is a matter of what orders them, not of which comes first. It loses
//! schedules where an instruction meets other threads only later in a search than in
//! those executions: there is no switch before the first access to the memory then.
//! Must not know: what the program is.

mod detector;
mod edges;
mod hooks;
mod shadow;
#[cfg(test)]
mod tests;

pub use detector::{Access, Race};
pub use edges::{after, before};
pub use shadow::Kind;

use super::state::{Tid, kernel};
use super::{backtrace, pair, process, tasks};
use detector::{Detector, Sync};
use shadow::{Addresses, Touch};
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The image has our hooks.
static LINKED: AtomicBool = AtomicBool::new(false);
/// Executions are watched.
static ON: AtomicBool = AtomicBool::new(false);

/// Callers of an access, innermost first, and the mutexes that its thread held, named
/// while they were there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stack {
    pub frames: Vec<usize>,
    pub held: Vec<String>,
}

/// Whose callers are kept.
#[derive(Clone, Debug, Default)]
pub enum Keep {
    #[default]
    None,
    /// Those of two instructions.
    Pair(usize, usize),
    /// All.
    All,
}

/// What an address is called.
pub type Namer = dyn Fn(usize) -> String + Send + std::marker::Sync;

#[derive(Default)]
struct Races {
    detector: Detector,
    /// What an address is called, and what those of the races are, as they were
    /// when the race was met: at the end of an execution the block may be gone.
    namer: Option<Arc<Namer>>,
    names: Vec<String>,
    /// Instructions at which threads meet: plain accesses there are places to switch.
    met: Addresses,
    /// Those of the execution at hand, if they are learnt.
    learnt: Option<Addresses>,
    keep: Keep,
    stacks: Vec<Stack>,
}

struct Global(UnsafeCell<Option<Races>>);
// SAFETY: one OS thread.
unsafe impl std::marker::Sync for Global {}
static RACES: Global = Global(UnsafeCell::new(None));

fn races() -> &'static mut Races {
    // SAFETY: one OS thread, and no reference is kept over a switch.
    unsafe { (*RACES.0.get()).get_or_insert_with(Races::default) }
}

/// Whether this image tells of its accesses.
pub fn linked() -> bool {
    LINKED.load(Ordering::Relaxed)
}

/// Whether accesses count now: an execution is on, and it is watched.
#[inline]
pub fn on() -> bool {
    ON.load(Ordering::Relaxed) && tasks::on()
}

/// An execution begins, from the snapshot.
pub fn begin() {
    if linked() {
        let races = races();
        races.detector.begin();
        races.stacks.clear();
        races.names.clear();
        let Races { met, learnt, .. } = races;
        met.extend(learnt.iter_mut().flat_map(Addresses::drain));
        ON.store(true, Ordering::Relaxed);
    }
}

/// Whether the executions to come are for learning where threads meet. What they
/// have learnt is the same for every search and replay, that it may have the same
/// places to switch.
pub fn learn(learn: bool) {
    let races = races();
    let Races { met, learnt, .. } = races;
    met.extend(learnt.iter_mut().flat_map(Addresses::drain));
    *learnt = learn.then(Addresses::default);
}

/// Whether a plain access is a place to switch.
#[inline]
fn is_place(tid: usize, address: usize, bytes: usize, site: usize) -> bool {
    let races = races();
    let shared = races.detector.shared(tid, address, bytes);
    if shared && let Some(learnt) = &mut races.learnt {
        learnt.insert(site);
    }
    shared || races.met.contains(&site)
}

/// Whose callers are kept in the executions to come.
pub fn keep(whose: Keep) {
    races().keep = whose;
}

/// Who names the addresses of races.
pub fn name_by(namer: Arc<Namer>) {
    races().namer = Some(namer);
}

/// Names the races that were met just now.
#[inline]
fn name_new() {
    let races = races();
    while races.names.len() < races.detector.found().len() {
        let address = races.detector.found()[races.names.len()].address;
        let name = name(address);
        races.names.push(name);
    }
}

/// What an address is called; nothing where nobody knows.
fn name(address: usize) -> String {
    races().namer.as_ref().map_or(String::new(), |namer| namer(address))
}

/// The races of the execution that ended, each pair of instructions once.
pub fn found() -> Vec<Race> {
    let Races { detector, names, .. } = races();
    let all = detector.found().iter().zip(names);
    let named = |(race, name): (&Race, &mut String)| Race { name: name.clone(), ..race.clone() };
    if ON.load(Ordering::Relaxed) { all.map(named).collect() } else { Vec::new() }
}

/// What was kept of an access.
pub fn stack(access: &Access) -> Stack {
    let nth = (access.stack as usize).checked_sub(1);
    nth.and_then(|nth| races().stacks.get(nth).cloned()).unwrap_or_default()
}

/// Keeps the callers of the thread that runs, if they are asked for.
fn kept(site: usize) -> u32 {
    let wanted = match races().keep {
        Keep::None => false,
        Keep::Pair(one, two) => site == one || site == two,
        Keep::All => true,
    };
    if !wanted {
        return 0;
    }
    let state = kernel();
    let held = &state.threads[state.current].held;
    let held = held.iter().map(|lock| name(here(*lock).1)).collect();
    let stacks = &mut races().stacks;
    stacks.push(Stack { frames: backtrace::here(), held });
    stacks.len() as u32
}

/// The thread that runs, and an address in the memory of its process.
#[inline]
fn here(address: usize) -> (Tid, usize) {
    let state = kernel();
    (state.current, pair::address(state, state.current, address))
}

/// Memory is given to somebody.
#[inline]
pub fn fresh(address: usize, bytes: usize) {
    if on() {
        races().detector.fresh(here(address).1, bytes);
    }
}

/// A block is about to be freed by the thread that runs, by a call at `site`. Where
/// another thread has touched it that is a place to switch.
#[inline]
pub fn freed(address: usize, bytes: usize, site: usize) {
    if on() {
        let (tid, address) = here(address);
        if races().detector.shared_block(tid, address, bytes) {
            process::point();
        }
        let touch = Touch { tid, kind: Kind::Free, site, stack: kept(site) };
        races().detector.free((address, bytes), touch);
        name_new();
    }
}

/// Tasks of a scenario look at a board or change it: each knows of those before.
#[inline]
pub fn board(key: usize) {
    if on() {
        let (tid, detector) = (kernel().current, &mut races().detector);
        detector.acquire(tid, Sync::Board(key));
        detector.release(tid, Sync::Board(key));
    }
}
