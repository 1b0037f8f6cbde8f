//! The lock discipline of a log, event by event: who has what, who waits, since
//! when. Memory is bounded by what there is at once, not by the log.
//! Must not know: lines and dialects, how a report looks.

use super::dialect::Operation;
use super::durations::Durations;
use super::intern::Numbers;
use super::mutex::{Mutexes, NONE};
use super::problem::{Problem, Problems};
use super::site::Sites;
use super::span::{Kind, Observer, Span};
use super::thread::{Held, Role, Thread};
use crate::lock::order::Order;
use crate::numbers::NumberMap;

/// More threads than this are left out.
const MOST_THREADS: usize = 1 << 16;

/// What a row of the tables is about: class of the lock, site, thread.
pub type Key = (u32, u32, u32);

/// A long hold of the BQL.
#[derive(Clone, Debug)]
pub struct LongHold {
    pub thread: u32,
    pub site: u32,
    pub start: u64,
    pub us: u64,
    /// It had not ended when the log did.
    pub open: bool,
    /// How much of it came after the guest or the migration had begun.
    pub counted: u64,
    pub waiters: Vec<Waiter>,
    /// The holder's other events in it: number of the name, how often.
    pub inside: Vec<(u32, u64)>,
}

/// Who waited in a hold.
#[derive(Clone, Debug)]
pub struct Waiter {
    pub thread: u32,
    pub site: u32,
    /// How long it waited in this hold.
    pub us: u64,
    /// In a condition wait that needs the lock again to end.
    pub condition: bool,
    /// The idle wait of a vCPU: it may not want to go on.
    pub idle: bool,
}

/// A thread took the BQL a second time.
pub type TakenTwice = (u32, u32, u64);

/// What is asked of the discipline.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Holds of the BQL longer than this, in µs, are findings if somebody waits.
    pub max_hold: u64,
    /// How many of the longest holds are kept.
    pub top: usize,
}

/// The state of all locks and threads.
pub struct Discipline {
    pub limits: Limits,
    pub threads: Vec<Thread>,
    thread_numbers: Numbers,
    pub sites: Sites,
    pub mutexes: Mutexes,
    /// Placed by the sites where both locks were taken: held, and taken.
    pub order: Order<(u32, u32)>,
    pub problems: Problems,
    pub holds: NumberMap<Key, Durations>,
    pub waits: NumberMap<Key, Durations>,
    pub conditions: NumberMap<Key, Durations>,
    /// Longest first.
    pub longest: Vec<LongHold>,
    /// Those longer than `max_hold` in which somebody waited.
    pub held_waiting: Vec<LongHold>,
    pub taken_twice: Vec<TakenTwice>,
    /// The other events of the BQL's present holder.
    pub(super) inside: Vec<(u32, u64)>,
    /// When the guest or the migration began.
    pub begun: Option<u64>,
    pub first: Option<u64>,
    pub last: u64,
    pub line: u64,
    /// What is counted, in µs since 1970.
    pub window: (u64, u64),
}

impl Discipline {
    /// Nothing has happened yet.
    pub fn new(limits: Limits) -> Discipline {
        Discipline {
            limits,
            threads: Vec::new(),
            thread_numbers: Numbers::default(),
            sites: Sites::default(),
            mutexes: Mutexes::default(),
            order: Order::default(),
            problems: Problems::default(),
            holds: NumberMap::default(),
            waits: NumberMap::default(),
            conditions: NumberMap::default(),
            longest: Vec::new(),
            held_waiting: Vec::new(),
            taken_twice: Vec::new(),
            inside: Vec::new(),
            begun: None,
            first: None,
            last: 0,
            line: 0,
            window: (0, u64::MAX),
        }
    }

    /// The thread `id` does something at `us`.
    pub fn thread(&mut self, id: u64, name: &[u8], us: u64) -> Option<u32> {
        let number = match self.thread_numbers.get(id) {
            Some(number) => number,
            None if self.threads.len() == MOST_THREADS => {
                self.problems.add(Problem::TooManyThreads, self.line);
                return None;
            }
            None => {
                let number = self.threads.len() as u32;
                let name = String::from_utf8_lossy(name).into_owned();
                self.threads.push(Thread { id, name, ..Thread::default() });
                self.thread_numbers.set(id, number);
                number
            }
        };
        let thread = &mut self.threads[number as usize];
        if us < thread.last {
            self.problems.add(Problem::ThreadGoesBack, self.line);
        }
        thread.last = us;
        self.first.get_or_insert(us);
        if us.saturating_add(1_000_000) < self.last {
            self.problems.add(Problem::TimeGoesBack, self.line);
        }
        self.last = self.last.max(us);
        Some(number)
    }

    /// `thread` has an event that is no lock operation.
    pub fn event(&mut self, thread: u32, event: u32) {
        let state = &mut self.threads[thread as usize];
        state.released = None;
        if state.waits.is_some() {
            self.went_on(thread);
        }
        if self.holds_bql(thread) == Some(true) {
            match self.inside.iter().position(|(known, _)| *known == event) {
                Some(index) => self.inside[index].1 += 1,
                None if self.inside.len() < 64 => self.inside.push((event, 1)),
                None => {}
            }
        }
    }

    /// Whether `thread` has the BQL, if that is known.
    pub fn holds_bql(&self, thread: u32) -> Option<bool> {
        let bql = self.mutexes.get(self.mutexes.bql?);
        bql.known.then_some(bql.owner == thread)
    }

    /// A lock operation of `thread`.
    pub fn lock<O: Observer>(
        &mut self,
        (operation, address, place): (Operation, u64, &[u8]),
        thread: u32,
        us: u64,
        observer: &mut O,
    ) {
        let site = self.sites.number(place);
        let Some(mutex) = self.mutexes.at(address) else {
            self.problems.add(Problem::TooManyMutexes, self.line);
            return;
        };
        match operation {
            Operation::Lock => self.wait(thread, mutex, site, us),
            Operation::Locked => self.locked(thread, mutex, site, us, observer),
            Operation::Unlock => self.unlock(thread, mutex, site, us, observer),
        }
    }

    /// What it waited for is lost from the log.
    fn went_on(&mut self, thread: u32) {
        self.problems.add(Problem::WentOnWaiting, self.line);
        if let Some(wait) = self.threads[thread as usize].waits.take() {
            self.mutexes.get_mut(wait.mutex).waiting -= 1;
        }
    }

    fn wait(&mut self, thread: u32, mutex: u32, site: u32, us: u64) {
        if self.threads[thread as usize].waits.is_some() {
            self.went_on(thread);
        }
        let is_bql = self.mutexes.bql == Some(mutex);
        if is_bql && self.mutexes.get(mutex).owner == thread {
            self.taken_twice.push((thread, site, us));
            self.taken_twice.truncate(16);
        }
        if is_bql && self.begun.is_none() && self.sites.get(site).is_mmio {
            self.begun = Some(us);
        }
        let state = &mut self.threads[thread as usize];
        state.released = None;
        state.waits = Some(Held { mutex, site, since: us });
        self.mutexes.get_mut(mutex).waiting += 1;
    }

    fn locked<O: Observer>(
        &mut self,
        thread: u32,
        mutex: u32,
        site: u32,
        us: u64,
        observer: &mut O,
    ) {
        let state = &mut self.threads[thread as usize];
        let released = state.released.take();
        let class = self.mutexes.classify(mutex, site, &self.sites);
        let is_bql = self.mutexes.bql == Some(mutex);
        let waited = match state.waits.take() {
            Some(wait) => {
                self.mutexes.get_mut(wait.mutex).waiting -= 1;
                if wait.mutex == mutex {
                    Some((Kind::Waits, wait.since))
                } else {
                    self.problems.add(Problem::OtherThanWaited, self.line);
                    None
                }
            }
            // A condition wait releases and takes again at the same place.
            None => match released {
                Some(before) if (before.mutex, before.site) == (mutex, site) => {
                    self.sites.get_mut(site).is_condition = true;
                    Some((Kind::Condition, before.since))
                }
                _ => None,
            },
        };
        self.learn(thread, site, is_bql, waited.map(|(kind, _)| kind));
        if let Some((kind, since)) = waited {
            self.order(thread, mutex, class, site);
            if let Some(us) = self.clip(since, us) {
                let table = match kind {
                    Kind::Condition => &mut self.conditions,
                    _ => &mut self.waits,
                };
                table.entry((class, site, thread)).or_default().add(us);
            }
            if self.clip(since, us).is_some() {
                observer.span(&Span { kind, thread, class, site, is_bql, start: since, end: us });
            }
        }
        let owner = self.mutexes.get(mutex).owner;
        if owner == thread {
            // Recursive ones have the same events.
            self.mutexes.get_mut(mutex).depth += 1;
            return;
        }
        if owner != NONE {
            self.problems.add(Problem::TakenWhileHeld, self.line);
            self.drop_held(owner, mutex);
        }
        if is_bql {
            self.inside.clear();
        }
        let state = self.mutexes.get_mut(mutex);
        (state.owner, state.depth, state.known) = (thread, 1, true);
        self.threads[thread as usize].held.push(Held { mutex, site, since: us });
    }

    /// What the place where `thread` takes a lock says of it.
    fn learn(&mut self, thread: u32, site: u32, is_bql: bool, waited: Option<Kind>) {
        let site = self.sites.get(site);
        let role = if site.is_main_loop {
            Role::Main
        } else if is_bql && site.is_rcu {
            Role::Rcu
        } else if is_bql && (site.is_mmio || site.is_cpus && waited == Some(Kind::Condition)) {
            Role::Vcpu
        } else if site.is_monitor {
            Role::Monitor
        } else {
            return;
        };
        self.threads[thread as usize].is(role);
    }

    fn order(&mut self, thread: u32, mutex: u32, class: u32, site: u32) {
        let held = &self.threads[thread as usize].held;
        if held.is_empty() || held.iter().any(|held| held.mutex == mutex) {
            return;
        }
        for (nth, before) in held.iter().enumerate() {
            let from = self.mutexes.get(before.mutex).class;
            let others = held.iter().enumerate().filter(|(other, _)| *other != nth);
            let others = others.map(|(_, held)| u64::from(self.mutexes.get(held.mutex).class));
            let (edge, sites) = ((from.into(), class.into()), || (before.site, site));
            if from != class && !self.order.add(edge, thread, self.line, others, sites) {
                self.problems.add(Problem::TooManyEdges, self.line);
            }
        }
    }

    fn unlock<O: Observer>(
        &mut self,
        thread: u32,
        mutex: u32,
        site: u32,
        us: u64,
        observer: &mut O,
    ) {
        if self.threads[thread as usize].waits.is_some() {
            self.went_on(thread);
        }
        if self.mutexes.bql.is_none() && self.sites.get(site).is_cpus {
            self.mutexes.bql = Some(mutex);
        }
        let state = self.mutexes.get_mut(mutex);
        let (owner, known) = (state.owner, state.known);
        state.known = true;
        self.threads[thread as usize].released = Some(Held { mutex, site, since: us });
        if owner == thread {
            let state = self.mutexes.get_mut(mutex);
            state.depth -= 1;
            if state.depth == 0 {
                self.end_hold(thread, mutex, us, observer);
            }
        } else if owner != NONE {
            self.problems.add(Problem::UnlockOfAnother, self.line);
            self.drop_held(owner, mutex);
        } else if known {
            self.problems.add(Problem::UnlockWithoutLock, self.line);
        }
        // Else it was held when the log began.
    }

    /// `owner` must have released it: that line is lost.
    fn drop_held(&mut self, owner: u32, mutex: u32) {
        self.threads[owner as usize].held.retain(|held| held.mutex != mutex);
        self.mutexes.get_mut(mutex).owner = NONE;
    }

    /// The part of a time that is in the window.
    pub(super) fn clip(&self, start: u64, end: u64) -> Option<u64> {
        let (start, end) = (start.max(self.window.0), end.min(self.window.1));
        (start <= end).then(|| end - start)
    }

    fn end_hold<O: Observer>(&mut self, thread: u32, mutex: u32, us: u64, observer: &mut O) {
        let state = &mut self.threads[thread as usize];
        let Some(index) = state.held.iter().rposition(|held| held.mutex == mutex) else { return };
        let held = state.held.remove(index);
        let owned = self.mutexes.get_mut(mutex);
        owned.owner = NONE;
        let class = owned.class;
        let is_bql = self.mutexes.bql == Some(mutex);
        let end = us.max(held.since);
        let Some(us) = self.clip(held.since, end) else { return };
        self.holds.entry((class, held.site, thread)).or_default().add(us);
        if is_bql {
            self.consider(thread, held, end, false);
        }
        let (site, start) = (held.site, held.since);
        observer.span(&Span { kind: Kind::Holds, thread, class, site, is_bql, start, end });
    }
}
