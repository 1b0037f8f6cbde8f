//! The world: all threads and objects of one execution, with their contracts.
//! Every runtime owns one and differs only in who moves next.
//! Must not know: who schedules, or that there is such a thing as migration.

use super::access::Touch;
use super::cell::Observable;
use super::mutant::Mutant;
use super::object::{Name, Object, ObjectId, Op, Outcome, State, ThreadId, Threads};
use super::trail::Trail;
use crate::lock::Bytes;
use crate::lock::{Rule, Site};
use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// When the environment (network, management) may move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Timing {
    /// Only when no thread of either process can; each such step is a tick.
    Idle,
    /// At any time, like everybody else.
    Any,
}

/// An operation a thread has announced: the next thing it will do.
#[derive(Clone, Debug)]
pub struct Call {
    pub op: Op,
    pub object: ObjectId,
    pub site: Site,
}

/// Where a thread is in its life.
#[derive(Debug)]
pub enum Phase {
    /// Between two operations (only seen by runtimes with real threads).
    Running,
    /// Has announced an operation that is not done yet.
    Waiting(Call),
    Finished,
    /// Its process has exited.
    Killed,
}

/// A thread of the world.
#[derive(Debug)]
pub struct Thread {
    pub name: Name,
    /// Which process it belongs to (0 destination, 1 source, 2 none).
    pub process: u8,
    /// A guest CPU: its waits for the big lock are stalls, and its page faults
    /// under that lock are inherent.
    pub vcpu: bool,
    /// Part of the environment: every step of it is a move of [`Timing`].
    pub environment: bool,
    /// Stands for people: at rest, it can still act at any time.
    pub management: bool,
    /// A server: waiting here is rest, not a hang.
    pub parks_on: Option<ObjectId>,
    /// Detached: nobody is to join it.
    pub detached: bool,
    pub phase: Phase,
    pub outcome: Option<Outcome>,
    /// Fingerprint of all it has observed since it last forgot (`canon`).
    pub history: u128,
    pub held: Vec<ObjectId>,
    /// Ticks it has waited for the big lock in its present wait.
    pub stalled: u32,
}

/// One line of the log.
#[derive(Clone, Debug)]
pub struct Event {
    pub step: u32,
    pub thread: ThreadId,
    pub operation: &'static str,
    pub object: ObjectId,
    pub site: Site,
    pub detail: String,
}

/// A thread of a wait-for cycle: what it waits for and who could end that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    pub thread: ThreadId,
    pub operation: &'static str,
    pub object: ObjectId,
    pub site: Site,
    pub held_by: Threads,
}

/// A broken rule.
#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub message: String,
    /// The thread that broke it, where it is one thread's doing.
    pub thread: Option<ThreadId>,
    pub site: Option<Site>,
    pub cycle: Vec<Wait>,
}

/// Everything there is in one execution.
pub struct World {
    pub threads: Vec<Thread>,
    pub objects: Vec<Object>,
    pub cells: Vec<Arc<dyn Observable>>,
    /// Which process each cell belongs to, where it is one's alone.
    pub cell_owners: Vec<Option<u8>>,
    pub timing: Timing,
    /// Environment steps taken (under [`Timing::Idle`]).
    pub ticks: u32,
    /// A vCPU that waits for the big lock for more ticks than this breaks BQL007.
    pub stall_bound: u32,
    /// How often a condition wait may yet end without a signal.
    pub spurious: u32,
    /// How often a channel may yet break, from now on.
    pub breaks: u32,
    /// No channel will break any more: who waits to break one goes on.
    pub breaks_over: bool,
    /// Operations done.
    pub steps: u32,
    pub violations: Vec<Violation>,
    /// Numbers worth knowing of an execution; explorers keep the range.
    pub facts: BTreeMap<&'static str, u64>,
    /// No further step: a process aborted.
    pub ended: bool,
    /// The runtime has stopped its threads: nobody can move, or it gave up.
    pub halted: bool,
    /// The log, where one is wanted.
    pub log: Option<Vec<Event>>,
    /// What is watched, and the values that it had.
    pub trail: Trail,
    /// What the present step touches, where somebody wants to know (dpor).
    pub touches: Option<Vec<Touch>>,
    /// The fault planted into the engines, for their tests.
    #[doc(hidden)]
    pub mutant: Mutant,
    pub(super) big: Vec<ObjectId>,
    pub(super) orders: Vec<(ObjectId, ObjectId)>,
    /// Objects that reductions look at in every state: conditions, channels,
    /// processes, polled events.
    pub(super) contested: Vec<ObjectId>,
    /// Threads with an effect outside of their process, once somebody asked.
    pub(super) outward: OnceCell<Threads>,
    /// Processes that have exited, one bit each: their memory is gone.
    pub(super) dead: u8,
    pub(super) scratch: Bytes,
}

impl World {
    /// An empty world.
    pub fn new(timing: Timing) -> World {
        World {
            threads: Vec::new(),
            objects: Vec::new(),
            cells: Vec::new(),
            cell_owners: Vec::new(),
            timing,
            ticks: 0,
            stall_bound: u32::MAX,
            spurious: 0,
            breaks: 0,
            breaks_over: false,
            steps: 0,
            violations: Vec::new(),
            facts: BTreeMap::new(),
            ended: false,
            halted: false,
            log: None,
            trail: Trail::default(),
            touches: None,
            mutant: Mutant::None,
            big: Vec::new(),
            orders: Vec::new(),
            contested: Vec::new(),
            outward: OnceCell::new(),
            dead: 0,
            scratch: Bytes::default(),
        }
    }

    /// Adds a thread and the object by which it is created and joined. The
    /// object's index is the thread's: threads come first.
    pub fn thread(&mut self, name: impl Into<Name>, process: u8) -> ThreadId {
        let name = name.into();
        let id = ThreadId(self.threads.len() as u8);
        assert!(self.objects.len() == self.threads.len(), "threads are declared before objects");
        assert!(self.threads.len() < 32, "at most 32 threads");
        self.threads.push(Thread {
            name,
            process,
            vcpu: false,
            environment: false,
            management: false,
            parks_on: None,
            detached: false,
            phase: Phase::Running,
            outcome: None,
            history: 0,
            held: Vec::new(),
            stalled: 0,
        });
        let created = State::Thread { thread: id, created: true, joined: false };
        self.objects.push(Object { users: Threads::NONE.with(id), ..Object::new(name, created) });
        id
    }

    /// The object by which `thread` is created and joined.
    pub fn handle(&self, thread: ThreadId) -> ObjectId {
        ObjectId(u16::from(thread.0))
    }

    /// Lets `thread` begin only when one of `creators` creates it, and lets
    /// `joiners` join it.
    pub fn born_by(&mut self, thread: ThreadId, creators: Threads, joiners: Threads) {
        let handle = self.handle(thread);
        let object = self.object(handle);
        object.wakers = creators;
        object.users = object.users | joiners;
        object.state = State::Thread { thread, created: false, joined: false };
    }

    /// Adds an object.
    pub fn add(&mut self, object: Object) -> ObjectId {
        let id = ObjectId(self.objects.len() as u16);
        if object.polled
            || matches!(
                object.state,
                State::Condition { .. } | State::Channel { .. } | State::Process
            )
        {
            self.contested.push(id);
        }
        self.objects.push(object);
        id
    }

    /// From now on `thread` wakes nobody who waits on `object`.
    pub fn retire(&mut self, object: ObjectId, thread: ThreadId) {
        let object = self.object(object);
        object.wakers = object.wakers.without(thread);
    }

    /// Declares `mutex` big: not to be held during a wait for the environment, and
    /// vCPUs' waits for it are counted (the BQL).
    pub fn mark_big(&mut self, mutex: ObjectId) {
        self.big.push(mutex);
    }

    /// Whether `mutex` is declared big.
    pub fn is_big(&self, mutex: ObjectId) -> bool {
        self.big.contains(&mutex)
    }

    /// Declares the documented order: `outer` is never taken inside `inner`.
    pub fn order(&mut self, outer: ObjectId, inner: ObjectId) {
        self.orders.push((outer, inner));
    }

    /// The object `id`, to declare more of it.
    pub fn object(&mut self, id: ObjectId) -> &mut Object {
        &mut self.objects[id.0 as usize]
    }

    /// The operation `thread` waits to do, if it waits.
    pub fn pending(&self, thread: ThreadId) -> Option<&Call> {
        match &self.threads[thread.0 as usize].phase {
            Phase::Waiting(call) => Some(call),
            _ => None,
        }
    }

    /// Whether `thread` will never do anything again.
    pub fn is_over(&self, thread: ThreadId) -> bool {
        matches!(self.threads[thread.0 as usize].phase, Phase::Finished | Phase::Killed)
    }

    /// Whether `thread` owns `mutex`.
    pub fn holds(&self, thread: ThreadId, mutex: ObjectId) -> bool {
        self.threads[thread.0 as usize].held.contains(&mutex)
    }

    /// Records a broken rule; the execution goes on.
    pub fn violate(&mut self, rule: Rule, thread: ThreadId, site: Site, message: String) {
        let known = self.violations.iter().any(|v| {
            v.rule == rule
                && v.thread == Some(thread)
                && v.site == Some(site)
                && v.message == message
        });
        if !known {
            let thread = Some(thread);
            self.violations.push(Violation {
                rule,
                message,
                thread,
                site: Some(site),
                cycle: Vec::new(),
            });
        }
    }

    /// Records a broken rule at which QEMU itself would abort.
    pub fn abort(&mut self, rule: Rule, thread: ThreadId, site: Site, message: String) {
        self.violate(rule, thread, site, message);
        self.ended = true;
    }

    /// The name of `thread`.
    pub fn name(&self, thread: ThreadId) -> Name {
        self.threads[thread.0 as usize].name
    }

    /// The name of `object`.
    pub fn name_of(&self, object: ObjectId) -> Name {
        self.objects[object.0 as usize].name
    }

    /// Who owns `mutex` now.
    pub fn owner(&self, mutex: ObjectId) -> Option<ThreadId> {
        match self.objects[mutex.0 as usize].state {
            State::Mutex { owner } => owner,
            _ => None,
        }
    }

    /// Adds `detail` to the log entry just made, where a log is kept.
    pub fn annotate(&mut self, detail: impl FnOnce() -> String) {
        if let Some(event) = self.log.as_mut().and_then(|log| log.last_mut()) {
            event.detail = detail();
        }
    }

    pub(super) fn note(
        &mut self,
        thread: ThreadId,
        operation: &'static str,
        object: ObjectId,
        site: Site,
    ) {
        if let Some(log) = &mut self.log {
            let step = self.steps;
            log.push(Event { step, thread, operation, object, site, detail: String::new() });
        }
    }
}
