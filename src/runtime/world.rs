//! The world: all threads and objects of one execution, and what each operation
//! does to them. Every runtime owns one and differs only in who moves next.
//! Must not know: who schedules, or that there is such a thing as migration.

use super::access::{Access, Place, Touch};
use super::cell::Observable;
use super::fingerprint::{Bytes, fingerprint};
use super::mutant::Mutant;
use super::object::{Act, Name, Object, ObjectId, Op, Outcome, State, ThreadId, Threads};
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
    /// What the present step touches, where somebody wants to know (dpor).
    pub touches: Option<Vec<Touch>>,
    /// The fault planted into the engines, for their tests.
    #[doc(hidden)]
    pub mutant: Mutant,
    big: Vec<ObjectId>,
    orders: Vec<(ObjectId, ObjectId)>,
    /// Objects that reductions look at in every state: conditions, channels,
    /// processes, polled events.
    pub(super) contested: Vec<ObjectId>,
    /// Threads with an effect outside of their process, once somebody asked.
    pub(super) outward: OnceCell<Threads>,
    /// Processes that have exited, one bit each: their memory is gone.
    dead: u8,
    scratch: Bytes,
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

    /// `thread` says what it will do next.
    ///
    /// # Panics
    /// If that breaks the object's declared contract: our own mistake.
    pub fn announce(&mut self, thread: ThreadId, call: Call) {
        if self.is_over(thread) {
            // It has just left with its process.
            return;
        }
        let object = &self.objects[call.object.0 as usize];
        let allowed = match call.op {
            Op::Send(_) | Op::Drain => object.wakers,
            Op::Store(_) | Op::Swap(_) | Op::CompareExchange(..) => object.writers & object.users,
            Op::Break | Op::Shutdown => object.writers,
            _ => object.users,
        };
        assert!(
            allowed.has(thread),
            "contract broken: {} may not {} {} at {}",
            self.threads[thread.0 as usize].name,
            call.op.name(),
            object.name,
            call.site,
        );
        assert!(
            object.polled || !matches!(call.op, Op::EventIsSet),
            "contract broken: {} is not declared as polled",
            object.name,
        );
        self.check_stall_rule(thread, &call);
        if matches!(call.op, Op::Lock) && self.owner(call.object) == Some(thread) {
            let message =
                format!("{} locks {} twice", self.name(thread), self.name_of(call.object));
            self.abort(Rule::TakenTwice, thread, call.site, message);
        }
        if matches!(call.op, Op::Lock) {
            self.check_order(thread, &call);
        }
        self.threads[thread.0 as usize].phase = Phase::Waiting(call);
    }

    fn check_order(&mut self, thread: ThreadId, call: &Call) {
        let held = &self.threads[thread.0 as usize].held;
        let inverted =
            |(outer, inner): &&(ObjectId, ObjectId)| *outer == call.object && held.contains(inner);
        if let Some((outer, inner)) = self.orders.iter().find(inverted).copied() {
            let (thread_name, inner, outer) =
                (self.name(thread), self.name_of(inner), self.name_of(outer));
            let message = format!("{thread_name} locks {outer} while it holds {inner}");
            self.violate(Rule::OrderInversion, thread, call.site, message);
        }
    }

    /// S1: nobody may hold a big lock while it waits for the environment.
    fn check_stall_rule(&mut self, thread: ThreadId, call: &Call) {
        let object = &self.objects[call.object.0 as usize];
        let Some(environment) = object.environment else { return };
        // The source's writes with its BQL held are by design: only a return
        // path, which is not paced, must not be written to so.
        let waits = match call.op {
            Op::Recv | Op::SemWait | Op::EventWait => true,
            Op::Drain => !object.paced,
            _ => false,
        };
        if !waits {
            return;
        }
        let state = &self.threads[thread.0 as usize];
        let Some(&big) = state.held.iter().find(|held| self.big.contains(held)) else { return };
        if state.vcpu {
            *self.facts.entry("vcpu_page_faults_under_bql").or_default() += 1;
            return;
        }
        let message = format!(
            "{} holds {} while it waits for {environment} ({})",
            state.name, self.objects[big.0 as usize].name, object.name
        );
        self.violate(Rule::HeldWaiting, thread, call.site, message);
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

    fn note(&mut self, thread: ThreadId, operation: &'static str, object: ObjectId, site: Site) {
        if let Some(log) = &mut self.log {
            let step = self.steps;
            log.push(Event { step, thread, operation, object, site, detail: String::new() });
        }
    }

    /// Does the pending operation of `thread`, taking `alternative` where it has
    /// several, and leaves the outcome for the thread to pick up.
    ///
    /// # Panics
    /// If the operation is not ready: the scheduler's mistake.
    pub fn perform(&mut self, thread: ThreadId, alternative: u8) {
        let index = thread.0 as usize;
        if self.is_gated(thread) {
            self.tick();
        }
        let Phase::Waiting(call) =
            std::mem::replace(&mut self.threads[index].phase, Phase::Running)
        else {
            panic!("{} has nothing pending", self.threads[index].name);
        };
        self.steps += 1;
        self.threads[index].stalled = 0;
        self.note(thread, call.op.name(), call.object, call.site);
        self.touch_by_op(thread, &call, alternative);
        let outcome = self.apply(thread, &call, alternative);
        if let (Some(_), Outcome::Received(payload)) = (&self.log, &outcome) {
            let text = format!("{payload:?}");
            self.annotate(|| text);
        }
        let state = &mut self.threads[index];
        self.scratch.clear();
        self.scratch.feed(&state.history);
        self.scratch.feed(&outcome);
        state.history = self.scratch.fingerprint();
        state.outcome = Some(outcome);
    }

    fn tick(&mut self) {
        self.ticks += 1;
        for index in 0..self.threads.len() {
            let Phase::Waiting(call) = &self.threads[index].phase else { continue };
            if !(matches!(call.op, Op::Lock) && self.big.contains(&call.object)) {
                continue;
            }
            let (site, object) = (call.site, call.object);
            // A vCPU that faults with the lock held is inherent: counted apart.
            if self.owner(object).is_some_and(|owner| self.threads[owner.0 as usize].vcpu) {
                *self.facts.entry("bql_ticks_behind_a_faulting_vcpu").or_default() += 1;
                continue;
            }
            let thread = &mut self.threads[index];
            thread.stalled += 1;
            let (stalled, vcpu) = (thread.stalled, thread.vcpu);
            let fact = self.facts.entry("longest_bql_wait_ticks").or_default();
            *fact = (*fact).max(u64::from(stalled));
            if vcpu && stalled == self.stall_bound + 1 {
                let message = format!(
                    "{} waits for {} for more than {} ticks",
                    self.threads[index].name,
                    self.name_of(object),
                    self.stall_bound
                );
                self.violate(Rule::Stalled, ThreadId(index as u8), site, message);
            }
        }
    }

    fn apply(&mut self, thread: ThreadId, call: &Call, alternative: u8) -> Outcome {
        let spurious = &mut self.spurious;
        let object = &mut self.objects[call.object.0 as usize];
        let name = object.name;
        let held = &mut self.threads[thread.0 as usize].held;
        match (&call.op, &mut object.state) {
            (Op::Start, State::Thread { created: true, .. }) => Outcome::Done,
            (Op::Lock, State::Mutex { owner: owner @ None }) => {
                *owner = Some(thread);
                held.push(call.object);
                Outcome::Done
            }
            (Op::TryLock, State::Mutex { owner }) => {
                if owner.is_some() {
                    return Outcome::Value(0);
                }
                *owner = Some(thread);
                held.push(call.object);
                Outcome::Value(1)
            }
            (Op::Unlock, State::Mutex { owner }) if *owner == Some(thread) => {
                *owner = None;
                held.retain(|id| *id != call.object);
                Outcome::Done
            }
            (Op::SemTimedWait, State::Semaphore { .. }) if alternative == 1 => Outcome::Value(0),
            (Op::SemWait | Op::SemTimedWait, State::Semaphore { count }) if *count > 0 => {
                *count -= 1;
                object.taken += 1;
                Outcome::Value(1)
            }
            (Op::EventWait, State::Event { set: true }) => Outcome::Done,
            (Op::EventIsSet, State::Event { set }) => Outcome::Value(u64::from(*set)),
            (Op::CondBlock, State::Condition { waiting, signalled }) => {
                if !signalled.has(thread) {
                    assert!(alternative == 1 && *spurious > 0, "{name}: not signalled");
                    *spurious -= 1;
                }
                *waiting = waiting.without(thread);
                *signalled = signalled.without(thread);
                Outcome::Done
            }
            (Op::Recv, State::Channel { queue, broken, .. }) => match queue.pop_front() {
                Some(payload) => {
                    object.taken += 1;
                    Outcome::Received(payload)
                }
                None => {
                    assert!(*broken, "{name}: nothing to receive");
                    Outcome::Broken
                }
            },
            (Op::Send(payload), State::Channel { queue, broken, silent }) => {
                if *broken {
                    let seems = *silent && alternative == 0;
                    return if seems { Outcome::Done } else { Outcome::Broken };
                }
                queue.push_back(payload.clone());
                Outcome::Done
            }
            (Op::Drain, State::Channel { broken, .. }) => {
                if *broken {
                    Outcome::Broken
                } else {
                    Outcome::Done
                }
            }
            (Op::Load, State::Variable { value }) => Outcome::Value(*value),
            (Op::Store(new), State::Variable { value }) => {
                *value = *new;
                Outcome::Done
            }
            (Op::Swap(new), State::Variable { value }) => {
                Outcome::Value(std::mem::replace(value, *new))
            }
            (Op::CompareExchange(old, new), State::Variable { value }) => {
                let found = *value;
                if found == *old {
                    *value = *new;
                }
                Outcome::Value(found)
            }
            (Op::Join, State::Thread { joined, .. }) => {
                *joined = true;
                Outcome::Done
            }
            (Op::Choose(n), _) => {
                assert!(alternative < *n, "{name}: choice out of range");
                Outcome::Value(u64::from(alternative))
            }
            (Op::Break, State::Channel { .. }) => self.cut(call.object),
            (Op::Shutdown, State::Channel { .. }) => self.shut(call.object),
            (Op::Exit, State::Process) => {
                self.kill(thread);
                Outcome::Done
            }
            (op, state) => {
                panic!("{} on {name} is not ready or makes no sense: {state:?}", op.name())
            }
        }
    }

    /// The channels that break with `first`, itself included.
    pub(super) fn link(&self, first: ObjectId) -> Vec<ObjectId> {
        let linked = self.objects[first.0 as usize].linked.iter().copied();
        std::iter::once(first).chain(linked).collect()
    }

    /// Breaks a link. Of a paced channel nothing in flight arrives.
    fn cut(&mut self, first: ObjectId) -> Outcome {
        if self.breaks == 0 || self.is_broken(first) {
            return Outcome::Broken;
        }
        self.breaks -= 1;
        for id in self.link(first) {
            let object = &mut self.objects[id.0 as usize];
            let paced = object.paced && self.timing == Timing::Idle;
            if let State::Channel { queue, broken, silent } = &mut object.state {
                if paced {
                    queue.clear();
                }
                *broken = true;
                *silent = self.timing == Timing::Any;
            }
        }
        Outcome::Done
    }

    /// Whether `channel` is broken.
    pub fn is_broken(&self, channel: ObjectId) -> bool {
        matches!(self.objects[channel.0 as usize].state, State::Channel { broken: true, .. })
    }

    /// Whether `first` and all that break with it are broken.
    pub(super) fn is_cut(&self, first: ObjectId) -> bool {
        self.link(first).into_iter().all(|id| self.is_broken(id))
    }

    fn shut(&mut self, first: ObjectId) -> Outcome {
        for id in self.link(first) {
            if let State::Channel { broken, .. } = &mut self.objects[id.0 as usize].state {
                *broken = true;
            }
        }
        Outcome::Done
    }

    fn kill(&mut self, by: ThreadId) {
        let process = self.threads[by.0 as usize].process;
        self.dead |= 1 << process;
        for thread in &mut self.threads {
            let over = matches!(thread.phase, Phase::Finished | Phase::Killed);
            if thread.process == process && !over {
                thread.phase = Phase::Killed;
            }
        }
    }

    /// Does `act` at once, on behalf of `thread`.
    ///
    /// # Panics
    /// If that breaks the object's declared contract: our own mistake.
    pub fn act(&mut self, thread: ThreadId, act: Act, id: ObjectId, site: Site) {
        self.note(thread, act.name(), id, site);
        self.touch_by_act(thread, act, id);
        let object = &mut self.objects[id.0 as usize];
        let name = object.name;
        let allowed =
            if matches!(act, Act::Unlock | Act::Enqueue) { object.users } else { object.wakers };
        assert!(
            allowed.has(thread),
            "contract broken: {} may not {} {name} at {site}",
            self.threads[thread.0 as usize].name,
            act.name(),
        );
        if let Some(guard) = object.guard.filter(|_| !matches!(act, Act::Unlock)) {
            assert!(
                self.threads[thread.0 as usize].held.contains(&guard),
                "contract broken: {} without its lock at {site}",
                act.name(),
            );
        }
        match (act, &mut object.state) {
            (Act::Unlock, State::Mutex { owner }) => {
                assert!(!object.tried, "{name} is tried: its unlock is an operation");
                if *owner == Some(thread) {
                    *owner = None;
                    self.threads[thread.0 as usize].held.retain(|held| *held != id);
                } else {
                    let message =
                        format!("{} unlocks {name}, which it does not hold", self.name(thread));
                    self.abort(Rule::Unbalanced, thread, site, message);
                }
            }
            (Act::Post, State::Semaphore { count }) => *count += 1,
            (Act::Set, State::Event { set }) => *set = true,
            (Act::Enqueue, State::Condition { waiting, .. }) => *waiting = waiting.with(thread),
            (Act::Signal, State::Condition { waiting, signalled }) => {
                let asleep = *waiting & !*signalled;
                assert!(asleep.len() <= 1, "{name}: one signal, several waiters");
                *signalled = *waiting;
            }
            (Act::Broadcast, State::Condition { waiting, signalled }) => *signalled = *waiting,
            (Act::Create, State::Thread { created, .. }) => *created = true,
            (act, state) => panic!("{} on {name} makes no sense: {state:?}", act.name()),
        }
    }

    /// `thread` has returned from its body.
    pub fn finish(&mut self, thread: ThreadId) {
        let state = &mut self.threads[thread.0 as usize];
        state.phase = Phase::Finished;
        // It knows nothing any more: equal ends are equal states.
        state.history = 0;
        self.touch(Place::Object(self.handle(thread)), Access::Write);
        let state = &self.threads[thread.0 as usize];
        if let Some(&held) = state.held.first() {
            let message = format!("{} ends with {} held", self.name(thread), self.name_of(held));
            let site = crate::lock::at("thread", "return");
            self.abort(Rule::Unbalanced, thread, site, message);
        }
    }

    /// Folds something that `thread` has seen into what it has observed.
    pub fn observe(&mut self, thread: ThreadId, seen: u128) {
        let history = &mut self.threads[thread.0 as usize].history;
        *history = fingerprint(&(*history, seen));
    }

    /// `thread` forgets what it has observed: `locals` is all it still knows.
    pub fn forget(&mut self, thread: ThreadId, locals: u128) {
        self.threads[thread.0 as usize].history = locals;
    }

    fn has_exited(&self, process: u8) -> bool {
        self.dead & 1 << process != 0
    }

    /// Whether only processes that have exited could still see `object`.
    fn is_gone(&self, object: &Object) -> bool {
        self.dead != 0 && {
            let touchers = (object.users | object.wakers | object.writers) & self.everybody();
            touchers.iter().all(|t| self.has_exited(self.threads[t.0 as usize].process))
        }
    }

    /// The fingerprint of the whole state. Where the others stood at an abort
    /// is nobody's business: all such ends are one.
    pub fn state(&mut self) -> u128 {
        if self.ended {
            let end = self.violations.last().map(|v| (v.rule, v.thread, v.site, &v.message));
            return fingerprint(&end);
        }
        let mutant = self.mutant;
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        for object in self.objects.iter().filter(|object| !self.is_gone(object)) {
            if mutant == Mutant::Queues && matches!(object.state, State::Channel { .. }) {
                continue;
            }
            bytes.feed(&object.state);
        }
        for (cell, owner) in self.cells.iter().zip(&self.cell_owners) {
            if !owner.is_some_and(|process| self.has_exited(process)) {
                cell.feed(&mut bytes);
            }
        }
        for thread in &self.threads {
            if self.has_exited(thread.process) {
                continue;
            }
            let phase = match thread.phase {
                Phase::Running => 0u8,
                Phase::Waiting(_) => 1,
                Phase::Finished | Phase::Killed => 2,
            };
            let forgotten = phase == 2 || mutant == Mutant::Histories;
            let history = if forgotten { 0 } else { thread.history };
            let stalled = if mutant == Mutant::Stalls { 0 } else { thread.stalled };
            bytes.feed(&(phase, history, stalled));
        }
        bytes.feed(&self.dead);
        bytes.feed(&(self.spurious, self.breaks, self.breaks_over));
        let state = bytes.fingerprint();
        self.scratch = bytes;
        state
    }
}
