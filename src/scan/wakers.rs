//! Waits with the BQL held: who could end each, and whether they can come to it.
//! Must not know: how a thread came to the wait.

use super::contexts::Context;
use super::finding::{Grade, Waker};
use super::flow::{Event, What};
use super::judge::{Breach, named};
use super::map::Map;
use super::place::{BQL, Key, RCU};
use super::program::FnId;
use super::summary::{NodeId, Summaries};
use super::tables::{self, ContextKind, WaitKind};
use crate::lock::Rule;

/// Where a wait is ended.
#[derive(Clone, Copy)]
struct Site {
    context: usize,
    node: NodeId,
    line: u32,
    bql: bool,
}

/// Who can end which wait.
pub struct Wakers {
    sites: Map<Key, Vec<Site>>,
    /// The functions of the threads that have a handle.
    threads: Map<Key, Vec<FnId>>,
    /// Whether the BQL is taken in an RCU read section, and where.
    readers_take_bql: Option<(NodeId, u32)>,
}

impl Wakers {
    pub fn new(summaries: &Summaries<'_>, contexts: &[Context]) -> Wakers {
        let mut sites: Map<Key, Vec<Site>> = Map::default();
        let mut readers_take_bql = None;
        let wakes = |event: &Event| matches!(event.what, What::Wake { object: Some(_), .. });
        let count = summaries.count() as NodeId;
        let wakers: Vec<bool> =
            (0..count).map(|node| summaries.outcome(node).events.iter().any(wakes)).collect();
        let mut seen = vec![false; summaries.count()];
        for (number, context) in contexts.iter().enumerate() {
            for &node in &context.order {
                let again = std::mem::replace(&mut seen[node as usize], true);
                if again && !wakers[node as usize] {
                    continue;
                }
                for event in &summaries.outcome(node).events {
                    match event.what {
                        What::Wake { object: Some(key), .. } => {
                            let site =
                                Site { context: number, node, line: event.line, bql: event.bql };
                            sites.entry(key).or_default().push(site);
                        }
                        What::AcquireBql if event.held.contains(&RCU) => {
                            readers_take_bql.get_or_insert((node, event.line));
                        }
                        _ => {}
                    }
                }
                if readers_take_bql.is_none() && !again {
                    readers_take_bql = reader_below(summaries, node);
                }
            }
        }
        let mut threads: Map<Key, Vec<FnId>> = Map::default();
        for registration in &summaries.hooks.registrations {
            let row = &tables::roots().registrars[usize::from(registration.registrar)];
            if let (ContextKind::Thread, Some(handle)) = (row.context, registration.handle) {
                threads.entry(handle).or_default().push(registration.function);
            }
        }
        Wakers { sites, threads, readers_take_bql }
    }

    /// What is wrong with a wait, if it is made with the BQL held.
    #[allow(clippy::too_many_arguments, reason = "one place, seen from all sides")]
    pub(super) fn breach(
        &self,
        summaries: &Summaries<'_>,
        contexts: &[Context],
        context: &Context,
        event: &Event,
        wait: u16,
        object: Option<Key>,
    ) -> Option<Breach> {
        if !event.bql {
            return None;
        }
        let program = summaries.program;
        let row = &tables::waits().waits[usize::from(wait)];
        let what = match row.kind {
            WaitKind::Semaphore | WaitKind::Event | WaitKind::Condition => {
                format!("{}() on {}", row.function, named(program, object))
            }
            WaitKind::Join => format!("{}() of {}", row.function, named(program, object)),
            _ => format!("{}()", row.function),
        };
        let sink = format!("{} {}", row.function, named(program, object));
        let held = |ending: &str| format!("{what} {} with the BQL held{ending}", row.kind.what());
        let own_thread = matches!(context.kind, ContextKind::Thread | ContextKind::Worker);
        let mut breach = match row.kind {
            WaitKind::Semaphore | WaitKind::Event | WaitKind::Condition => {
                let wakers = self.wakers(summaries, contexts, object?);
                let sites = self.sites.get(&object?).map_or(&[][..], Vec::as_slice);
                let free = sites.iter().find(|site| is_free(contexts, site));
                let (rule, ending) = match (sites.is_empty(), free) {
                    (true, _) => (Rule::HeldWaiting, "; who ends it was not found".to_owned()),
                    (false, None) => {
                        (Rule::WaitForever, "; all who could end it need the BQL".to_owned())
                    }
                    (false, Some(site)) => {
                        let by = program.name_of(summaries.function(site.node));
                        let thread = &contexts[site.context].thread;
                        let ending = format!("; {by}() in {thread} can end it without the BQL");
                        (Rule::HeldWaiting, ending)
                    }
                };
                let mut breach = Breach::new(rule, held(&ending), sink);
                breach.wakers = wakers;
                if row.timed {
                    // It ends by itself, late.
                    breach.rule = Rule::HeldWaiting;
                    breach.grade = Grade::Note;
                } else if rule == Rule::HeldWaiting {
                    breach.grade = if own_thread { Grade::Warning } else { Grade::Note };
                }
                breach
            }
            WaitKind::Join => {
                let threads = object.and_then(|key| self.threads.get(&key));
                let threads = threads.map_or(&[][..], Vec::as_slice);
                let taker =
                    threads.iter().find_map(|&thread| takes_bql(summaries, contexts, thread));
                match taker {
                    Some((thread, function, line)) => {
                        let entry = program.name_of(thread);
                        let ending = format!("; {entry}() takes the BQL before it ends");
                        let mut breach = Breach::new(Rule::WaitForever, held(&ending), sink);
                        let id = summaries.function(function);
                        breach.wakers.push(Waker {
                            function: program.name_of(id).to_owned(),
                            path: program.path_of(id).to_owned(),
                            line,
                            thread: entry.to_owned(),
                            lock: "takes it".to_owned(),
                        });
                        breach
                    }
                    None => {
                        let ending = match threads.first() {
                            Some(&thread) => {
                                format!("; {}() does not take it", program.name_of(thread))
                            }
                            None => "; which thread it is was not found".to_owned(),
                        };
                        let mut breach = Breach::new(Rule::HeldWaiting, held(&ending), sink);
                        breach.grade = Grade::Note;
                        breach
                    }
                }
            }
            WaitKind::Rcu => {
                let (reader, line) = self.readers_take_bql?;
                let id = summaries.function(reader);
                let ending = format!("; {}() takes it in an RCU read section", program.name_of(id));
                let mut breach = Breach::new(Rule::WaitForever, held(&ending), sink);
                breach.wakers.push(Waker {
                    function: program.name_of(id).to_owned(),
                    path: program.path_of(id).to_owned(),
                    line,
                    thread: "RCU reader".to_owned(),
                    lock: "takes it".to_owned(),
                });
                breach
            }
            WaitKind::NetworkRead | WaitKind::NetworkWrite => {
                let mut breach = Breach::new(Rule::HeldWaiting, held(""), sink);
                let read = row.kind == WaitKind::NetworkRead;
                // A write mostly goes to a buffer, of the file or of the socket.
                breach.grade = if own_thread && read { Grade::Error } else { Grade::Note };
                breach
            }
            WaitKind::Sleep | WaitKind::Poll | WaitKind::CpuWork | WaitKind::Exclusive => {
                let mut breach = Breach::new(Rule::HeldWaiting, held(""), sink);
                breach.grade = Grade::Note;
                breach
            }
            WaitKind::BqlCondition => return None,
        };
        self.facts(summaries, context, row.kind, &mut breach);
        Some(breach)
    }

    /// What the protocol facts say of a kind of wait in a thread.
    fn facts(
        &self,
        summaries: &Summaries<'_>,
        context: &Context,
        kind: WaitKind,
        breach: &mut Breach,
    ) {
        let entry = context.entry.map(|entry| summaries.program.name_of(entry));
        let one_of = |names: &str, name: &str| names.split('|').any(|known| known == name);
        for fact in tables::facts() {
            let root = fact
                .root
                .as_ref()
                .is_none_or(|roots| entry.is_some_and(|entry| one_of(roots, entry)));
            if fact.wait == Some(kind) && root && fact.through.is_none() {
                breach.grade = breach.grade.max(fact.grade);
                breach.notes.push(format!("{} ({})", fact.text, fact.source));
            }
        }
    }

    /// The wakers of an object, each function and thread once.
    fn wakers(&self, summaries: &Summaries<'_>, contexts: &[Context], key: Key) -> Vec<Waker> {
        let mut wakers: Vec<Waker> = Vec::new();
        for site in self.sites.get(&key).into_iter().flatten() {
            let id = summaries.function(site.node);
            let context = &contexts[site.context];
            let lock = match (site.bql || context.begins_held(), context.kind) {
                (_, ContextKind::Aio) => "not known",
                (true, _) => "held",
                (false, _) => "not held",
            };
            let waker = Waker {
                function: summaries.program.name_of(id).to_owned(),
                path: summaries.program.path_of(id).to_owned(),
                line: site.line,
                thread: context.thread.clone(),
                lock: lock.to_owned(),
            };
            if !wakers.contains(&waker) {
                wakers.push(waker);
            }
        }
        wakers
    }
}

/// Whether a waker can come to its post while somebody else holds the BQL.
fn is_free(contexts: &[Context], site: &Site) -> bool {
    let context = &contexts[site.context];
    let main = context.begins_held() || context.kind == ContextKind::Startup;
    context.kind == ContextKind::Aio || !(site.bql || main)
}

/// Where a thread takes the BQL, if it does.
fn takes_bql(
    summaries: &Summaries<'_>,
    contexts: &[Context],
    thread: FnId,
) -> Option<(FnId, NodeId, u32)> {
    let context = contexts.iter().find(|context| context.entry == Some(thread))?;
    context.order.iter().find_map(|&node| {
        let outcome = summaries.outcome(node);
        let taken = outcome.events.iter().find(|event| event.what == What::AcquireBql)?;
        // A way through a member that holds many functions says too little.
        let doubt = super::judge::doubts(summaries, &context.path(summaries, node));
        (doubt == 0).then_some((thread, node, taken.line))
    })
}

/// A call in an RCU read section to what takes the BQL below.
fn reader_below(summaries: &Summaries<'_>, node: NodeId) -> Option<(NodeId, u32)> {
    let outcome = summaries.outcome(node);
    outcome.edges.iter().filter(|edge| edge.held.contains(&RCU)).find_map(|edge| {
        let super::flow::To::Node(to) = edge.to else { return None };
        let below = summaries.outcome(to);
        below.acquires.iter().any(|lock| lock.key == BQL).then_some((node, edge.line))
    })
}
