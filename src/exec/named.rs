//! A witness with names in place of addresses: QEMU's functions with file and
//! line, its variables, and the members of its structures.
//! Must not know: how it is drawn.

use super::job::{self, Picked, Taken, Violation, Waits};
use super::symbols::{Frame, Symbols};
use crate::lock::Rule;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What is called how: `models/exec/names.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Great structures by the name that a pointer to them has in QEMU's code.
    roots: BTreeMap<String, Root>,
    /// Functions that are an operation of QEMU's own.
    operations: BTreeMap<String, String>,
    /// Functions that only pass on: whoever calls them is named instead.
    plumbing: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Root {
    /// The variable that points to it; of which type, the debug information says.
    variable: String,
    /// If it is the elements of an array: the first member of that, which points to it.
    first: Option<String>,
}

/// A function on a call path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    pub function: String,
    /// `migration/savevm.c:2059`.
    pub place: String,
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub thread: usize,
    pub what: String,
    pub object: String,
    /// Innermost first.
    pub calls: Vec<Call>,
    pub waited: bool,
}

/// A thread that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wait {
    pub step: Step,
    pub held_by: Option<usize>,
    pub holds: Vec<String>,
}

/// A violation, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Named {
    pub rule: Rule,
    pub message: String,
    pub execution: u64,
    /// In how many executions it was; zero: that is not known, or it is a data race.
    pub executions: u64,
    /// How long it lasted, in steps of the environment; zero where that is no matter.
    pub ticks: u64,
    /// Points of the schedule at which a thread has to be picked.
    pub forced: usize,
    pub threads: Vec<String>,
    pub steps: Vec<Step>,
    pub waits: Vec<Wait>,
    /// The thread that broke the rule, with its calls.
    pub by: Option<(usize, Vec<Call>)>,
    /// The two accesses of a data race.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub race: Option<Race>,
    /// What each thread takes with what, if it is about the order of locks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub circle: Vec<Taken<Call>>,
}

/// Two accesses to the same memory that nothing orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Race {
    pub object: String,
    pub accesses: [Access; 2],
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Access {
    pub thread: usize,
    /// `reads`, `atomically writes` …
    pub what: String,
    /// Innermost first.
    pub calls: Vec<Call>,
    /// The line of the innermost call, where the source is there.
    pub line: String,
    /// The mutexes that the thread held.
    pub holds: Vec<String>,
}

impl Names {
    /// Those of the package.
    pub fn built_in() -> Names {
        let text = include_str!("../../models/exec/names.json");
        serde_json::from_str(text).expect("it is part of the package")
    }

    /// Where the image keeps pointers to the great structures.
    pub fn roots(&self, symbols: &Symbols) -> BTreeMap<String, u64> {
        self.places(symbols, |root| root.first.is_none())
    }

    /// And to those whose first member points to an array.
    pub fn arrays(&self, symbols: &Symbols) -> BTreeMap<String, u64> {
        self.places(symbols, |root| root.first.is_some())
    }

    fn places(&self, symbols: &Symbols, of: fn(&Root) -> bool) -> BTreeMap<String, u64> {
        let all = self.roots.iter().filter(|(_, root)| of(root));
        all.filter_map(|(name, root)| Some((name.clone(), symbols.address(&root.variable)?)))
            .collect()
    }

    /// `violation` with names.
    pub fn name(&self, violation: &Violation, symbols: &Symbols) -> Named {
        let step = |picked: &Picked| {
            let Picked { thread, what, object, frames, waited } = picked;
            self.step((*thread, what, object, *waited), frames, symbols)
        };
        let wait = |waits: &Waits| Wait {
            step: self.step(
                (waits.thread, &waits.what, &waits.object, true),
                &waits.frames,
                symbols,
            ),
            held_by: waits.held_by.map(|holder| holder as usize),
            holds: waits.holds.iter().map(|lock| self.text(lock, symbols)).collect(),
        };
        Named {
            rule: violation.rule,
            message: self.text(&violation.message, symbols),
            execution: violation.execution,
            executions: 0,
            ticks: violation.ticks,
            forced: violation.schedule.iter().flatten().count(),
            threads: violation.threads.clone(),
            steps: violation.steps.iter().map(step).collect(),
            waits: violation.waits.iter().map(wait).collect(),
            by: violation
                .by
                .as_ref()
                .map(|(thread, frames)| (*thread as usize, calls(frames, symbols))),
            race: violation.race.as_ref().map(|race| self.race(race, symbols)),
            circle: violation.circle.iter().map(|taken| self.taken(taken, symbols)).collect(),
        }
    }

    fn race(&self, race: &job::Race, symbols: &Symbols) -> Race {
        let access = |access: &job::Access| Access {
            thread: access.thread as usize,
            what: access.what.clone(),
            calls: calls(&access.frames, symbols),
            line: symbols.line(access.site),
            holds: access.holds.iter().map(|lock| self.text(lock, symbols)).collect(),
        };
        let [first, second] = &race.accesses;
        let object = self.text(&race.object, symbols);
        Race { object, accesses: [access(first), access(second)] }
    }

    fn taken(&self, taken: &Taken<u64>, symbols: &Symbols) -> Taken<Call> {
        Taken {
            thread: taken.thread,
            holds: self.text(&taken.holds, symbols),
            held_at: self.own(calls(&taken.held_at, symbols)),
            takes: self.text(&taken.takes, symbols),
            taken_at: self.own(calls(&taken.taken_at, symbols)),
        }
    }

    /// The calls without those, innermost, that only pass on.
    fn own(&self, mut calls: Vec<Call>) -> Vec<Call> {
        let from = calls.iter().position(|call| !self.plumbing.contains(&call.function));
        calls.drain(..from.unwrap_or(0));
        calls
    }

    fn step(
        &self,
        (thread, what, object, waited): (u32, &str, &str, bool),
        frames: &[u64],
        symbols: &Symbols,
    ) -> Step {
        let all = calls(frames, symbols);
        let own = all.iter().find_map(|call| self.operations.get(&call.function));
        Step {
            thread: thread as usize,
            what: own.map_or(what, String::as_str).to_string(),
            object: self.text(object, symbols),
            calls: self.own(all),
            waited,
        }
    }

    /// The messages of a run's breaches with names.
    pub fn name_all(&self, broken: &mut [job::Broken], symbols: &Symbols) {
        broken.iter_mut().for_each(|broken| broken.message = self.text(&broken.message, symbols));
    }

    /// `text` with each `root+0xOFFSET` in it replaced by a name.
    fn text(&self, text: &str, symbols: &Symbols) -> String {
        let mut named = String::new();
        for (nth, word) in text.split(' ').enumerate() {
            if nth > 0 {
                named.push(' ');
            }
            let end = word.trim_end_matches([';', ',', ')', ':']);
            match self.object(end, symbols) {
                Some(name) => named += &(name + &word[end.len()..]),
                None => named += word,
            }
        }
        named
    }

    fn object(&self, word: &str, symbols: &Symbols) -> Option<String> {
        let (root, offset) = word.split_once("+0x")?;
        let offset = u64::from_str_radix(offset, 16).ok()?;
        let whole = match root {
            "qemu" => match symbols.variable(offset) {
                Some(variable) => variable,
                None => return function(offset, symbols),
            },
            _ => {
                let Root { variable, first } = self.roots.get(root)?;
                match first {
                    None => format!("{root}->{}", symbols.pointed(variable, offset)?),
                    Some(first) => format!("{root}{}", symbols.element(variable, first, offset)?),
                }
            }
        };
        Some(lock_of(&whole).to_string())
    }
}

/// A place in code: `g_free (glib/gmem.c:199)`.
fn function(offset: u64, symbols: &Symbols) -> Option<String> {
    let Frame { function, file, line } = symbols.frames(offset).into_iter().next()?;
    Some(format!("{function} ({file}:{line})"))
}

/// The lock or semaphore that `member` is a part of: `bql.lock` is of `bql`.
fn lock_of(member: &str) -> &str {
    // QemuMutex.lock, QemuCond.cond, QemuSemaphore.{mutex,cond}, QemuEvent.value.
    let inner = [".lock", ".cond", ".mutex", ".value"];
    let mut name = member;
    while let Some(shorter) = inner.iter().find_map(|part| name.strip_suffix(part)) {
        name = shorter;
    }
    // What pthread has within.
    match name.find(".__") {
        Some(end) => lock_of(&name[..end]),
        None => name,
    }
}

/// Return addresses as calls, with those that were inlined.
fn calls(frames: &[u64], symbols: &Symbols) -> Vec<Call> {
    // The kernel gives the place of the call, not the return address behind it.
    let all = frames.iter().flat_map(|frame| symbols.frames(*frame));
    all.map(|Frame { function, file, line }| Call { function, place: format!("{file}:{line}") })
        .collect()
}
