//! Small concurrent programs as data: what the engines are tested on. Contracts
//! are derived from the code, as tight as they can be.

use bqlcheck::lock::{Rule, at};
use bqlcheck::runtime::{
    Act, Body, Cell, Channel, Environment, Mutant, Name, Object, ObjectId, Op, Outcome, Program,
    Protection, Runtime, State, ThreadId, Threads, Timing, World,
};
use std::sync::Arc;

/// One instruction. Those that give a value make it the thread's last value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Do {
    Lock(usize),
    /// Nothing unless held.
    Unlock(usize),
    TryLock(usize),
    Post,
    Wait,
    TimedWait,
    Set,
    AwaitSet,
    IsSet,
    Load(usize),
    Store(usize, u64),
    Cas(usize, u64, u64),
    Swap(usize, u64),
    Send(u64),
    Recv,
    /// On the channel the other way, which breaks with the first.
    Reply(u64),
    Hear,
    /// In the condition, with mutex 0; nothing unless held.
    Sleep,
    Signal,
    Broadcast,
    Create(u8),
    Join(u8),
    Choose(u8),
    Break,
    Shutdown,
    Exit,
    /// Writes a cell that mutex 0 protects; nothing unless held.
    Guarded,
    /// Writes a cell that is handed over.
    Handed,
    /// Skips the next instruction if the last value is this.
    SkipIf(u64),
    /// Breaks a rule.
    Fail,
    /// Locks or unlocks against the rules, at which the world ends.
    LockTwice,
    UnlockFree,
}

/// A thread of a script.
#[derive(Clone, Debug, Default)]
pub struct Actor {
    pub process: u8,
    pub environment: bool,
    pub vcpu: bool,
    pub code: Vec<Do>,
}

/// A program: actors that share two mutexes, a semaphore, an event, a condition,
/// two variables and a channel each way.
#[derive(Clone, Debug)]
pub struct Script {
    pub actors: Vec<Actor>,
    pub timing: Timing,
    pub spurious: u32,
    pub breaks: u32,
    pub tokens: u32,
    /// Of the channels there and back.
    pub capacity: [usize; 2],
    pub paced: bool,
    /// The semaphore is waited for by people, who are the environment's actors.
    pub people: bool,
    /// The condition is declared to be used under mutex 0 only.
    pub guarded: bool,
    /// Mutex 0 is the big lock, and this its bound on stalls.
    pub stall_bound: u32,
    pub mutant: Mutant,
}

impl Script {
    /// Threads with this code, and nothing special.
    pub fn new(codes: &[&[Do]]) -> Script {
        let actor = |code: &&[Do]| Actor { code: code.to_vec(), ..Actor::default() };
        Script {
            actors: codes.iter().map(actor).collect(),
            timing: Timing::Any,
            spurious: 0,
            breaks: 0,
            tokens: 0,
            capacity: [usize::MAX; 2],
            paced: false,
            people: false,
            guarded: false,
            stall_bound: u32::MAX,
            mutant: Mutant::None,
        }
    }

    /// With one more thread, of the environment.
    pub fn and_environment(mut self, code: &[Do]) -> Script {
        let code = code.to_vec();
        self.actors.push(Actor { environment: true, process: 2, code, ..Actor::default() });
        self
    }

    fn who(&self, does: impl Fn(Do) -> bool) -> Threads {
        let all = self.actors.iter().enumerate();
        all.filter(|(_, actor)| actor.code.iter().any(|i| does(*i)))
            .map(|(index, _)| ThreadId(index as u8))
            .collect()
    }
}

/// What the actors share.
pub struct Shared {
    mutexes: [ObjectId; 2],
    semaphore: ObjectId,
    event: ObjectId,
    condition: ObjectId,
    variables: [ObjectId; 2],
    channel: Channel<u64>,
    back: Channel<u64>,
    process: ObjectId,
    guarded: Cell<u64>,
    handed: Cell<u64>,
    /// What each thread has seen, at its end.
    seen: Vec<Cell<Vec<u64>>>,
}

impl Program for Script {
    type Shared = Shared;

    fn setup(&self, world: &mut World) -> Shared {
        world.timing = self.timing;
        world.spurious = self.spurious;
        world.breaks = self.breaks;
        world.stall_bound = self.stall_bound;
        world.mutant = self.mutant;
        for (index, actor) in self.actors.iter().enumerate() {
            let id = world.thread(Name::nth("actor", index as u32), actor.process);
            world.threads[index].environment = actor.environment;
            world.threads[index].vcpu = actor.vcpu;
            world.threads[index].management = actor.environment && self.people;
            let creators = self.who(|i| i == Do::Create(id.0));
            let joiners = self.who(|i| i == Do::Join(id.0));
            if creators.is_empty() {
                let handle = world.handle(id);
                let object = world.object(handle);
                object.users = object.users | joiners;
            } else {
                world.born_by(id, creators, joiners);
            }
        }
        let mutexes = [0, 1].map(|m| {
            let sleeps = |i| m == 0 && i == Do::Sleep;
            let users = self.who(|i| {
                matches!(i, Do::Lock(n) | Do::TryLock(n) | Do::Unlock(n) if n == m) || sleeps(i)
            }) | self.who(|i| matches!(i, Do::LockTwice | Do::UnlockFree));
            let tried = !self.who(|i| i == Do::TryLock(m)).is_empty();
            let big = m == 0 && self.stall_bound != u32::MAX;
            let object = Object::new(Name::nth("mutex", m as u32), State::Mutex { owner: None });
            let mutex = world.add(Object { users, tried, ..object });
            if big {
                world.mark_big(mutex);
            }
            mutex
        });
        let semaphore = world.add(Object {
            users: self.who(|i| matches!(i, Do::Wait | Do::TimedWait)),
            wakers: self.who(|i| i == Do::Post),
            environment: self.people.then_some(Environment::Management),
            ..Object::new("semaphore".into(), State::Semaphore { count: self.tokens })
        });
        let event = world.add(Object {
            users: self.who(|i| matches!(i, Do::AwaitSet | Do::IsSet)),
            wakers: self.who(|i| i == Do::Set),
            polled: !self.who(|i| i == Do::IsSet).is_empty(),
            ..Object::new("event".into(), State::Event { set: false })
        });
        let nobody = State::Condition { waiting: Threads::NONE, signalled: Threads::NONE };
        let condition = world.add(Object {
            users: self.who(|i| i == Do::Sleep),
            wakers: self.who(|i| matches!(i, Do::Signal | Do::Broadcast)),
            guard: self.guarded.then_some(mutexes[0]),
            ..Object::new("condition".into(), nobody)
        });
        let variables = [0, 1].map(|v| {
            let writes =
                |i| matches!(i, Do::Store(n, _) | Do::Cas(n, ..) | Do::Swap(n, _) if n == v);
            let writers = self.who(writes);
            let users = self.who(|i| i == Do::Load(v)) | writers;
            let object = Object::new(Name::nth("variable", v as u32), State::Variable { value: 0 });
            world.add(Object { users, writers, ..object })
        });
        let empty = State::Channel { queue: Default::default(), broken: false, silent: false };
        let channel = Channel::new(world.add(Object {
            users: self.who(|i| i == Do::Recv),
            wakers: self.who(|i| matches!(i, Do::Send(_))),
            writers: self.who(|i| matches!(i, Do::Break | Do::Shutdown)),
            environment: (self.stall_bound != u32::MAX).then_some(Environment::Network),
            capacity: self.capacity[0],
            paced: self.paced,
            ..Object::new("channel".into(), empty)
        }));
        let state = State::Channel { queue: Default::default(), broken: false, silent: false };
        let back = Channel::new(world.add(Object {
            users: self.who(|i| i == Do::Hear),
            wakers: self.who(|i| matches!(i, Do::Reply(_))),
            capacity: self.capacity[1],
            linked: vec![channel.id],
            ..Object::new("back".into(), state)
        }));
        world.object(channel.id).linked.push(back.id);
        let process = world.add(Object {
            users: self.who(|i| i == Do::Exit),
            ..Object::new("process".into(), State::Process)
        });
        let guarded = Cell::new(world, Protection::Lock(mutexes[0]), 0);
        let handed = Cell::new(world, Protection::HandOver, 0);
        let seen = self
            .actors
            .iter()
            .map(|actor| {
                Cell::new(world, Protection::HandOver, Vec::new()).owned_by(world, actor.process)
            })
            .collect();
        Shared {
            mutexes,
            semaphore,
            event,
            condition,
            variables,
            channel,
            back,
            process,
            guarded,
            handed,
            seen,
        }
    }

    fn body<R: Runtime>(&self, shared: Arc<Shared>, cx: R) -> Body {
        let code = self.actors[cx.me().0 as usize].code.clone();
        Box::pin(async move {
            let born = cx.world(|world| {
                let handle = world.handle(cx.me());
                matches!(world.object(handle).state, State::Thread { created: true, .. })
            });
            if !born {
                cx.started().await;
            }
            let mut seen = Vec::new();
            let mut skip = false;
            for instruction in code {
                if !std::mem::take(&mut skip) {
                    match instruction {
                        Do::SkipIf(value) => skip = seen.last() == Some(&value),
                        other => seen.extend(run(&cx, &shared, other).await),
                    }
                }
            }
            for mutex in [0, 1] {
                run(&cx, &shared, Do::Unlock(mutex)).await;
            }
            cx.with(&shared.seen[cx.me().0 as usize], |cell| *cell = seen);
        })
    }

    fn judge(&self, shared: &Shared, world: &mut World) {
        world.facts.insert("guarded", shared.guarded.peek(|value| *value));
    }
}

async fn run<R: Runtime>(cx: &R, s: &Shared, instruction: Do) -> Option<u64> {
    let site = at("script", "step");
    match instruction {
        Do::Lock(m) if !cx.holds(s.mutexes[m]) => cx.lock(s.mutexes[m], site).await,
        Do::Unlock(m) if cx.holds(s.mutexes[m]) => {
            if cx.world(|world| world.object(s.mutexes[m]).tried) {
                cx.op(Op::Unlock, s.mutexes[m], site).await;
            } else {
                cx.unlock(s.mutexes[m], site);
            }
        }
        Do::TryLock(m) if !cx.holds(s.mutexes[m]) => {
            return Some(cx.value(Op::TryLock, s.mutexes[m], site).await);
        }
        Do::Post => cx.act(Act::Post, s.semaphore, site),
        Do::Wait => cx.sem_wait(s.semaphore, site).await,
        Do::TimedWait => return Some(cx.value(Op::SemTimedWait, s.semaphore, site).await),
        Do::Set => cx.act(Act::Set, s.event, site),
        Do::AwaitSet => cx.event_wait(s.event, site).await,
        Do::IsSet => return Some(cx.value(Op::EventIsSet, s.event, site).await),
        Do::Load(v) => return Some(cx.value(Op::Load, s.variables[v], site).await),
        Do::Store(v, new) => drop(cx.op(Op::Store(new), s.variables[v], site).await),
        Do::Swap(v, new) => return Some(cx.value(Op::Swap(new), s.variables[v], site).await),
        Do::Cas(v, old, new) => {
            return Some(cx.value(Op::CompareExchange(old, new), s.variables[v], site).await);
        }
        Do::Send(value) => return Some(u64::from(cx.send(s.channel, value, site).await.is_ok())),
        Do::Recv => return Some(cx.recv(s.channel, site).await.unwrap_or(99)),
        Do::Reply(value) => return Some(u64::from(cx.send(s.back, value, site).await.is_ok())),
        Do::Hear => return Some(cx.recv(s.back, site).await.unwrap_or(99)),
        Do::Sleep if cx.holds(s.mutexes[0]) => {
            cx.cond_wait(s.condition, s.mutexes[0], site).await;
        }
        Do::Signal => cx.act(Act::Signal, s.condition, site),
        Do::Broadcast => cx.act(Act::Broadcast, s.condition, site),
        Do::Create(thread) => cx.create(ThreadId(thread), site),
        Do::Join(thread) => cx.join(ThreadId(thread), site).await,
        Do::Choose(ways) => {
            let own = cx.world(|world| world.handle(cx.me()));
            return Some(cx.value(Op::Choose(ways), own, site).await);
        }
        Do::Break => {
            let outcome = cx.op(Op::Break, s.channel.id, site).await;
            return Some(u64::from(matches!(outcome, Outcome::Done)));
        }
        Do::Shutdown => drop(cx.op(Op::Shutdown, s.channel.id, site).await),
        Do::Exit => {
            cx.op(Op::Exit, s.process, site).await;
            std::future::pending::<()>().await;
        }
        Do::Guarded if cx.holds(s.mutexes[0]) => {
            let me = u64::from(cx.me().0);
            return Some(
                cx.with(&s.guarded, |value| std::mem::replace(value, *value * 3 + me + 1)),
            );
        }
        Do::Handed => {
            return Some(cx.with(&s.handed, |value| std::mem::replace(value, *value + 1)));
        }
        Do::Fail => cx.violate(Rule::NeedsBql, site, format!("actor {} fails", cx.me().0)),
        Do::LockTwice if !cx.holds(s.mutexes[0]) => {
            cx.lock(s.mutexes[0], site).await;
            cx.lock(s.mutexes[0], site).await;
        }
        Do::UnlockFree if !cx.holds(s.mutexes[0]) => cx.unlock(s.mutexes[0], site),
        _ => {}
    }
    None
}
