//! Which mutex a thread waits for while it holds others, in one execution: the order
//! of locks. Two threads of which one was over before the other began are ordered by
//! that, and what a `trylock` or a time-out gets out of never waits for good.
//! Must not know: how objects are called.

use super::pair;
use super::state::{Kernel, Tid};
use super::vector_clock::Clock;
use crate::lock::order::{Edge, Order};
use crate::numbers::NumberMap;

/// No address has more bits.
const ADDRESS: u32 = 47;
/// How many mutexes at one address are told apart: their number is between the
/// address and the bit of its side.
const FRESH: u16 = 1 << 15;

/// The mutexes of an execution.
#[derive(Clone, Default)]
pub struct Nesting {
    order: Order<First>,
    /// How often one was initialised at an address: each time it is another one.
    fresh: NumberMap<usize, u16>,
}

/// The first time that a thread took one mutex with another.
#[derive(Clone)]
struct First {
    /// Steps that were recorded by then.
    steps: usize,
    /// What the thread knew.
    past: Clock,
}

/// A thread takes one mutex of a circle with the one before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    pub tid: Tid,
    /// The mutexes, by address.
    pub holds: usize,
    pub takes: usize,
    /// In a recording: its operation is the thread's first from this step on.
    pub steps: usize,
}

/// A mutex by its place and side, and by how often there was a new one.
fn class(fresh: &NumberMap<usize, u16>, side: u8, address: usize) -> u64 {
    let address = pair::of_side(side, address);
    address as u64 | u64::from(fresh.get(&address).copied().unwrap_or(0)) << ADDRESS
}

/// A mutex is initialised.
pub fn fresh(kernel: &mut Kernel, address: usize) {
    let address = pair::of_side(kernel.side, address);
    let times = kernel.nesting.fresh.entry(address).or_default();
    *times = (*times + 1) % FRESH;
}

/// A thread's own time, later than all that others know of it.
fn now(past: &Clock, tid: Tid) -> u64 {
    u64::from(past.get(tid)) + 1
}

/// The thread is about to take the mutex at `address`, and may wait for it.
pub fn take(kernel: &mut Kernel, tid: Tid, address: usize) {
    let Kernel { nesting: Nesting { order, fresh }, threads, recording, .. } = kernel;
    let thread = &threads[tid];
    let class = |address: &usize| class(fresh, thread.side, *address);
    let (at, to) = (now(&thread.past, tid), class(&address));
    let steps = recording.as_ref().map_or(0, Vec::len);
    for held in &thread.held {
        let others = thread.held.iter().filter(|other| *other != held).map(class);
        let first = || First { steps, past: thread.past.clone() };
        order.add((class(held), to), tid as u32, at, others, first);
    }
}

/// The circles of the execution that ended.
pub fn circles(kernel: &Kernel) -> Vec<Vec<Taken>> {
    let order = &kernel.nesting.order;
    if !order.may_be_circular() {
        return Vec::new();
    }
    // All that one did was over before the other began, or was joined by it.
    let before = |one: &Edge<First>, other: &Edge<First>| {
        one.last <= u64::from(other.place.past.get(one.thread as Tid))
    };
    let together =
        |one: &Edge<First>, other: &Edge<First>| !before(one, other) && !before(other, one);
    let address = |class: u64| (class & ((1 << ADDRESS) - 1)) as usize;
    let taken = |edge: Edge<First>| Taken {
        tid: edge.thread as Tid,
        holds: address(edge.from),
        takes: address(edge.to),
        steps: edge.place.steps,
    };
    let circles = order.circles(|class| class, together);
    circles.into_iter().map(|circle| circle.into_iter().map(taken).collect()).collect()
}
