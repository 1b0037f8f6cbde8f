//! One step of a thread: it announces an operation, does it when it is told to,
//! and does at once what only enables others. Contracts and the rules that need
//! no program are checked here.
//! Must not know: what an operation does to its object.

use super::access::{Access, Place};
use super::object::{Act, ObjectId, Op, Outcome, State, ThreadId};
use super::world::{Call, Phase, World};
use crate::lock::{Rule, Site};

impl World {
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
        self.keep(call.object);
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
}
