//! Who knows of whose past, and which accesses to memory nothing orders: data races
//! as C11 has them. Memory orders count: a relaxed access gives no edge, fences give
//! one together with the accesses about them, and one `seq_cst` fence gives none to
//! another by itself.
//! Must not know: the kernel's operations, or who runs the threads.

use super::shadow::{Kind, Record, Shadow, Touch, words};
use crate::exec::kernel::state::Tid;
use crate::exec::kernel::vector_clock::Clock;
use crate::numbers::NumberMap;
use std::collections::{HashMap, HashSet};

/// What threads meet at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sync {
    /// A mutex, spin lock, once control, semaphore, or what writers of a read-write
    /// lock leave.
    Lock(usize),
    /// What readers of a read-write lock leave.
    Readers(usize),
    /// Sleep and wake-up by a word.
    Futex(usize),
    /// A file or a pipe.
    File(usize),
    /// A page that comes.
    Page(usize),
    /// Signals to a thread.
    Signal(Tid),
    /// What the tasks of a scenario tell one another.
    Board(usize),
}

/// The order that an atomic access asks for, as the compiler numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Relaxed,
    Acquire,
    Release,
    /// Both: `acq_rel`, `seq_cst`.
    Both,
}

impl Order {
    /// That of `__ATOMIC_…`; consume is acquire, as in every compiler.
    pub fn of(number: i32) -> Order {
        match number & 7 {
            0 => Order::Relaxed,
            1 | 2 => Order::Acquire,
            3 => Order::Release,
            _ => Order::Both,
        }
    }

    fn acquires(self) -> bool {
        matches!(self, Order::Acquire | Order::Both)
    }

    fn releases(self) -> bool {
        matches!(self, Order::Release | Order::Both)
    }
}

/// What an atomic access does to its word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Load,
    Store,
    /// Both in one.
    Modify,
}

/// One side of a race.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub tid: Tid,
    pub kind: Kind,
    /// The instruction.
    pub site: usize,
    /// Its callers and the locks that were held, if they were kept (`stack`).
    pub stack: u32,
}

/// Two accesses to the same bytes, not both atomic and not both reads, that nothing
/// orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Race {
    /// Where the second one begins.
    pub address: usize,
    /// What that is called, once somebody has named it.
    pub name: String,
    pub first: Access,
    pub second: Access,
}

impl Race {
    /// The two instructions, the lower one first: what makes it the same race.
    pub fn pair(&self) -> (usize, usize) {
        let (one, two) = (self.first.site, self.second.site);
        (one.min(two), one.max(two))
    }
}

#[derive(Default)]
struct Thread {
    knows: Clock,
    /// What it knew at its last fence that releases.
    fence: Clock,
    /// What it will know after a fence that acquires: left by what it read.
    pending: Clock,
}

/// What is known in one execution.
#[derive(Default)]
pub struct Detector {
    threads: Vec<Thread>,
    syncs: HashMap<Sync, Clock>,
    /// What atomic stores left, by word.
    words: NumberMap<usize, Clock>,
    shadow: Shadow,
    found: Vec<Race>,
    seen: HashSet<(usize, usize)>,
}

impl Detector {
    /// Another execution begins: what was before it is before all of it.
    pub fn begin(&mut self) {
        self.threads.clear();
        self.syncs.clear();
        self.words.clear();
        self.shadow.clear();
        self.found.clear();
        self.seen.clear();
    }

    /// The races so far, each pair of instructions once.
    pub fn found(&self) -> &[Race] {
        &self.found
    }

    fn thread(&mut self, tid: Tid) -> &mut Thread {
        while self.threads.len() <= tid {
            let mut thread = Thread::default();
            thread.knows.tick(self.threads.len());
            self.threads.push(thread);
        }
        &mut self.threads[tid]
    }

    /// A thread begins another, which knows what it knows.
    pub fn spawn(&mut self, tid: Tid, new: Tid) {
        self.thread(tid.max(new));
        let knows = self.threads[tid].knows.clone();
        self.threads[new].knows.join(&knows);
        self.threads[tid].knows.tick(tid);
    }

    /// A thread has seen the end of another.
    pub fn join(&mut self, tid: Tid, other: Tid) {
        self.thread(tid.max(other));
        let knows = self.threads[other].knows.clone();
        self.threads[tid].knows.join(&knows);
    }

    /// Whoever acquires this from now on knows what the thread knows.
    pub fn release(&mut self, tid: Tid, sync: Sync) {
        self.thread(tid);
        let thread = &mut self.threads[tid];
        self.syncs.entry(sync).or_default().join(&thread.knows);
        thread.knows.tick(tid);
    }

    /// The thread knows what was released there.
    pub fn acquire(&mut self, tid: Tid, sync: Sync) {
        self.thread(tid);
        if let Some(left) = self.syncs.get(&sync) {
            self.threads[tid].knows.join(left);
        }
    }

    /// The kernel has looked at a word for the thread, as a load that acquires.
    pub fn looked(&mut self, tid: Tid, word: usize) {
        self.order(tid, word, Action::Load, Order::Acquire);
    }

    fn order(&mut self, tid: Tid, word: usize, action: Action, order: Order) {
        self.thread(tid);
        let thread = &mut self.threads[tid];
        if action != Action::Store
            && let Some(left) = self.words.get(&word)
        {
            match order.acquires() {
                true => thread.knows.join(left),
                false => thread.pending.join(left),
            }
        }
        if action == Action::Load {
            return;
        }
        let left = self.words.entry(word).or_default();
        let leaves = if order.releases() { &thread.knows } else { &thread.fence };
        match action {
            // What was read before it, and changed in one step, is still released:
            // a release sequence. A store begins another.
            Action::Modify => left.join(leaves),
            _ => left.copy(leaves),
        }
        if order.releases() {
            thread.knows.tick(tid);
        }
    }

    /// A fence.
    pub fn fence(&mut self, tid: Tid, order: Order) {
        let thread = self.thread(tid);
        if order.acquires() {
            thread.knows.join(&thread.pending);
        }
        if order.releases() {
            thread.fence.copy(&thread.knows);
            thread.knows.tick(tid);
        }
    }

    /// An atomic access.
    pub fn atomic(
        &mut self,
        (address, bytes): (usize, usize),
        (action, order): (Action, Order),
        (tid, site, stack): (Tid, usize, u32),
    ) {
        let kind = if action == Action::Load { Kind::AtomicRead } else { Kind::AtomicWrite };
        self.touch((address, bytes), Touch { tid, kind, site, stack });
        self.order(tid, address, action, order);
    }

    /// A plain access, or a block that is freed.
    pub fn touch(&mut self, (address, bytes): (usize, usize), touch: Touch) {
        self.thread(touch.tid);
        let Detector { threads, shadow, found, seen, .. } = self;
        for part in words(address, bytes) {
            shadow.touch(part, &threads[touch.tid].knows, touch, |before| {
                let race = race(address, before, touch);
                if seen.insert(race.pair()) {
                    found.push(race);
                }
            });
        }
    }

    /// Whether another thread has touched one of these bytes.
    #[inline]
    pub fn shared(&self, tid: Tid, address: usize, bytes: usize) -> bool {
        self.shadow.shared(tid, address, bytes)
    }

    /// Memory is given to somebody: what others did to it before is no matter.
    pub fn fresh(&mut self, address: usize, bytes: usize) {
        self.shadow.forget(address, bytes);
    }

    /// A block is freed, and remembered as that until it is somebody else's.
    pub fn free(&mut self, (address, bytes): (usize, usize), touch: Touch) {
        if bytes <= REMEMBERED {
            return self.touch((address, bytes), touch);
        }
        self.thread(touch.tid);
        let Detector { threads, shadow, found, seen, .. } = self;
        let knows = &threads[touch.tid].knows;
        shadow.each(address, bytes, |before| {
            if before.tid != touch.tid && before.time > knows.get(before.tid) {
                let race = race(address, before, touch);
                if seen.insert(race.pair()) {
                    found.push(race);
                }
            }
        });
        shadow.forget(address, bytes);
    }

    /// Whether another thread has touched a block.
    pub fn shared_block(&self, tid: Tid, address: usize, bytes: usize) -> bool {
        let mut shared = false;
        self.shadow.each(address, bytes, |record| shared |= record.tid != tid);
        shared
    }
}

/// Bytes of a block that is remembered as freed word by word; of a larger one only
/// accesses before are looked at.
const REMEMBERED: usize = 1024;

fn race(address: usize, before: &Record, touch: Touch) -> Race {
    let Touch { tid, kind, site, stack } = touch;
    let first =
        Access { tid: before.tid, kind: before.kind, site: before.site, stack: before.stack };
    Race { address, name: String::new(), first, second: Access { tid, kind, site, stack } }
}
