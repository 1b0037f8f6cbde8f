//! From what was counted to the rows of a report: numbers become names.
//! Must not know: how a row is shown.

use super::discipline::{Key, LongHold};
use super::durations::Durations;
use super::handler::{self, Contract};
use super::mutex::NONE;
use super::problem::Problem as Wrong;
use super::report::{
    HandlerRow, Held, Hold, Inside, Milestone, Problem, Row, Thread, WaitingThread,
};
use super::run::Run;
use super::span::{Observer, Recorder, Timeline};
use super::thread;
use crate::numbers::NumberMap;
use std::collections::BTreeMap;

/// The rows of one log.
pub struct Tables<'a, O: Observer> {
    pub run: &'a Run<O>,
    /// Which of the logs it is.
    pub log: usize,
    /// Of its threads.
    pub names: Vec<String>,
}

impl<'a, O: Observer> Tables<'a, O> {
    /// Of `run`, the log with this number.
    pub fn of(run: &'a Run<O>, log: usize) -> Tables<'a, O> {
        Tables { run, log, names: thread::names(&run.discipline.threads) }
    }

    /// Whether the user asked for `thread`, or for all.
    pub fn wanted(&self, thread: u32) -> bool {
        let state = &self.run.discipline.threads[thread as usize];
        self.run.options.thread.as_ref().is_none_or(|wanted| {
            state.id.to_string() == *wanted || self.names[thread as usize].starts_with(wanted)
        })
    }

    /// The name of a thread.
    pub fn thread(&self, thread: u32) -> String {
        self.names[thread as usize].clone()
    }

    /// The name of a place.
    pub fn site(&self, site: u32) -> String {
        self.run.discipline.sites.get(site).text.clone()
    }

    /// The name of a lock.
    pub fn lock(&self, class: u32) -> String {
        self.run.discipline.mutexes.name(class, &self.run.discipline.sites)
    }

    /// All threads.
    pub fn threads(&self) -> Vec<Thread> {
        let all = self.run.discipline.threads.iter().zip(&self.names);
        all.map(|(thread, role)| Thread { log: self.log, id: thread.id, role: role.clone() })
            .collect()
    }

    /// A table, most time first.
    pub fn rows(&self, table: &NumberMap<Key, Durations>) -> Vec<Row> {
        // Classes that turned out to be one, and sites written in two ways.
        let mut merged: BTreeMap<(String, String, u32), Durations> = BTreeMap::new();
        let mutexes = &self.run.discipline.mutexes;
        let roots = |class: u32| if class == NONE { NONE } else { mutexes.root(class) };
        let mut named: BTreeMap<u32, String> = BTreeMap::new();
        for ((class, site, thread), durations) in table {
            if !self.wanted(*thread) {
                continue;
            }
            let root = roots(*class);
            let lock = named.entry(root).or_insert_with(|| self.lock(root)).clone();
            merged.entry((lock, self.site(*site), *thread)).or_default().join(durations);
        }
        let rows = merged.into_iter().map(|((lock, site, thread), d)| Row {
            log: self.log,
            lock,
            site,
            thread: self.thread(thread),
            count: d.count,
            total_us: d.total,
            max_us: d.max,
            p50_us: d.percentile(50),
            p90_us: d.percentile(90),
            p99_us: d.percentile(99),
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.total_us));
        rows
    }

    /// A hold of the BQL.
    pub fn hold(&self, hold: &LongHold) -> Hold {
        Hold {
            log: self.log,
            lock: "bql".into(),
            thread: self.thread(hold.thread),
            site: self.site(hold.site),
            at_us: hold.start,
            held_us: hold.us,
            open: hold.open,
            startup: hold.counted == 0,
            waiters: self.waiters(hold),
            inside: self.inside(hold),
        }
    }

    /// Who waited in it: locks first, then who waited longest.
    pub fn waiters(&self, hold: &LongHold) -> Vec<WaitingThread> {
        let waiters = hold.waiters.iter().map(|waiter| WaitingThread {
            thread: self.thread(waiter.thread),
            site: self.site(waiter.site),
            waited_us: waiter.us,
            kind: match (waiter.condition, waiter.idle) {
                (_, true) => "idle",
                (true, _) => "condition",
                (false, _) => "lock",
            },
        });
        waiters.collect()
    }

    /// What the holder did in it, most frequent first.
    pub fn inside(&self, hold: &LongHold) -> Vec<Inside> {
        let mut inside: Vec<Inside> = hold
            .inside
            .iter()
            .map(|(kind, count)| Inside {
                event: self.run.kinds[*kind as usize].name.clone(),
                count: *count,
            })
            .collect();
        inside.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.event.cmp(&b.event)));
        inside
    }

    /// How far the migration was when.
    pub fn milestones(&self) -> impl Iterator<Item = Milestone> {
        self.run.milestones.iter().map(|(at_us, thread, kind, text)| Milestone {
            log: self.log,
            at_us: *at_us,
            thread: self.thread(*thread),
            event: self.run.kinds[*kind as usize].name.clone(),
            text: text.clone(),
        })
    }

    /// The contract table.
    pub fn handlers(&self) -> Vec<HandlerRow> {
        let mut rows: Vec<HandlerRow> = Vec::new();
        let mut keys: Vec<_> = self.run.handlers.iter().collect();
        keys.sort_by_key(|(key, _)| **key);
        for ((kind, section, thread), seen) in keys {
            if !self.wanted(*thread) {
                continue;
            }
            let name = &self.run.kinds[*kind as usize].name;
            let text: &[u8] = if *section == 1 { b"ram" } else { b"" };
            let role = self.run.discipline.threads[*thread as usize].role;
            let contract = handler::contract(name.as_bytes(), text, role);
            let event = match (name == "vmstate_load", section) {
                (true, 1) => "vmstate_load (postcopiable)".into(),
                (true, _) => "vmstate_load (device)".into(),
                _ => name.clone(),
            };
            let broken = contract != Contract::Either
                && (seen.held > 0 && contract.broken(true).is_some()
                    || seen.not_held > 0 && contract.broken(false).is_some());
            rows.push(HandlerRow {
                log: self.log,
                event,
                thread: self.thread(*thread),
                held: seen.held,
                not_held: seen.not_held,
                unknown: seen.unknown,
                contract: contract.text(),
                broken,
            });
        }
        rows
    }

    /// What is held and waited for when the log ends.
    pub fn held_at_end(&self) -> Vec<Held> {
        let mut rows = Vec::new();
        for (number, thread) in self.run.discipline.threads.iter().enumerate() {
            if !self.wanted(number as u32) {
                continue;
            }
            let held = thread.held.iter().map(|held| (held, "holds"));
            for (held, kind) in held.chain(thread.waits.iter().map(|wait| (wait, "waits"))) {
                rows.push(Held {
                    log: self.log,
                    lock: self.lock(self.run.discipline.mutexes.get(held.mutex).class),
                    thread: self.thread(number as u32),
                    site: self.site(held.site),
                    since_us: held.since,
                    kind,
                });
            }
        }
        rows.truncate(1000);
        rows
    }

    /// What was wrong with it.
    pub fn problems(&self) -> Vec<Problem> {
        let problems = &self.run.discipline.problems;
        let all = problems.list().map(|(problem, text, count, line)| {
            let mut message = text.to_string();
            if problem == Wrong::Unreadable {
                message = format!("{text}: {}", problems.detail);
            }
            if problem == Wrong::EndsInside {
                let status = self.run.log.status.as_deref().unwrap_or("unknown");
                message = format!("{text}, in state {status}");
            }
            Problem { log: self.log, message, count, line }
        });
        all.collect()
    }
}

/// The timeline of a log that was recorded.
pub fn timeline(run: &Run<Recorder>) -> Timeline {
    let tables = Tables::of(run, 0);
    let mut locks: Vec<String> = Vec::new();
    let mut sites: Vec<String> = Vec::new();
    // Classes that turned out to be one have one number.
    let mut lock_numbers: BTreeMap<String, u32> = BTreeMap::new();
    let mut classes: BTreeMap<u32, u32> = BTreeMap::new();
    let mut site_numbers: BTreeMap<u32, u32> = BTreeMap::new();
    let mut spans = run.observer.spans.clone();
    for span in &mut spans {
        span.class = *classes.entry(span.class).or_insert_with(|| {
            let name = tables.lock(span.class);
            *lock_numbers.entry(name.clone()).or_insert_with(|| {
                locks.push(name);
                locks.len() as u32 - 1
            })
        });
        span.site = *site_numbers.entry(span.site).or_insert_with(|| {
            sites.push(tables.site(span.site));
            sites.len() as u32 - 1
        });
        span.is_bql = locks[span.class as usize] == "bql";
    }
    spans.retain(|span| tables.wanted(span.thread));
    spans.sort_by_key(|span| (span.start, span.end));
    let ids = run.discipline.threads.iter().map(|thread| thread.id);
    Timeline {
        file: run.log.file.clone(),
        threads: ids.zip(tables.names.iter().cloned()).collect(),
        locks,
        sites,
        events: run.kinds.iter().map(|kind| kind.name.clone()).collect(),
        spans,
        marks: run.observer.events.clone(),
        dropped: run.observer.dropped,
    }
}
