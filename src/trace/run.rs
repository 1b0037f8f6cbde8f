//! One log from its first byte to its last.
//! Must not know: where the bytes come from, or how a report looks.

use super::conform::Conform;
use super::dialect::{self, Line, Read};
use super::discipline::{Discipline, Limits};
use super::handler;
use super::intern::{MOST, Names};
use super::lines::Lines;
use super::problem::Problem;
use super::report::Log;
use super::span::Observer;
use super::thread::Role;
use crate::numbers::NumberMap;
use crate::sim::Plan;

/// A part of a log: from, to, in µs; small numbers count from its first event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub since: Option<u64>,
    pub until: Option<u64>,
}

/// What is asked of a log.
#[derive(Clone, Debug)]
pub struct Options {
    /// In µs.
    pub max_hold: u64,
    /// How many of the longest holds are listed.
    pub top: usize,
    pub window: Window,
    /// A thread's id or the beginning of its name: its rows only.
    pub thread: Option<String>,
    /// Replay the migration's events under this plan.
    pub conform: Option<Plan>,
}

impl Default for Options {
    fn default() -> Options {
        let (max_hold, top) = (100_000, 10);
        Options { max_hold, top, window: Window::default(), thread: None, conform: None }
    }
}

/// Why a log cannot be read at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No event says which thread it is of.
    NoThread,
    /// No event says when.
    NoTime,
    /// It is not one of QEMU's logs.
    NoLog,
    /// It has no event.
    Empty,
    /// It has no lock operation.
    NoLocks,
}

/// Events that say how far a migration is.
const MILESTONES: [&str; 15] = [
    "migrate_set_state",
    "migration_socket_incoming_accepted",
    "loadvm_handle_cmd_packaged",
    "postcopy_ram_listen_thread_start",
    "postcopy_ram_listen_thread_exit",
    "loadvm_postcopy_handle_run",
    "postcopy_pause_incoming",
    "postcopy_pause_incoming_continued",
    "loadvm_postcopy_handle_resume",
    "loadvm_state_cleanup",
    "postcopy_start",
    "postcopy_pause_return_path",
    "postcopy_pause_continued",
    "migration_completion_postcopy_end",
    "migration_cleanup",
];
/// More of them say no more.
const MOST_MILESTONES: usize = 1000;

/// How often the BQL was held, not held and unknown at a handler.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub held: u64,
    pub not_held: u64,
    pub unknown: u64,
    pub broken_line: u64,
    pub broken_held: bool,
    pub first_us: u64,
}

/// What is known of a kind of event.
#[derive(Clone, Debug)]
pub struct Kind {
    pub name: String,
    role: Role,
    handler: bool,
    begins: bool,
    status: bool,
    milestone: bool,
    side: Option<&'static str>,
}

impl Kind {
    fn of(event: &[u8]) -> Kind {
        let begins: [&[u8]; 4] = [
            b"migration_set_incoming_channel",
            b"migration_set_outgoing_channel",
            b"migration_block_activation",
            b"loadvm_state_setup",
        ];
        let name = String::from_utf8_lossy(event).into_owned();
        let side = if name.starts_with("loadvm_") || name.starts_with("qemu_loadvm") {
            Some("destination")
        } else if name.starts_with("savevm_") {
            Some("source")
        } else {
            None
        };
        Kind {
            role: Role::of_event(event),
            handler: handler::is_handler(event),
            begins: begins.contains(&event),
            status: event == b"migrate_set_state",
            milestone: MILESTONES.contains(&name.as_str()),
            side,
            name,
        }
    }
}

/// A log as far as it has been read.
pub struct Run<O: Observer> {
    pub(super) options: Options,
    lines: Lines,
    pub(super) discipline: Discipline,
    events: Names,
    pub(super) kinds: Vec<Kind>,
    /// By kind of event, whether the section is postcopiable, and thread.
    pub(super) handlers: NumberMap<(u32, u32, u32), Seen>,
    pub(super) log: Log,
    /// When, by which thread, which kind of event, with what text.
    pub(super) milestones: Vec<(u64, u32, u32, String)>,
    pub(super) conform: Option<Conform>,
    no_thread: u64,
    no_time: u64,
    pub observer: O,
}

impl<O: Observer> Run<O> {
    /// Nothing of the log called `file` has been read.
    pub fn new(file: &str, options: &Options, observer: O) -> Run<O> {
        let limits = Limits { max_hold: options.max_hold, top: options.top };
        Run {
            options: options.clone(),
            lines: Lines::default(),
            discipline: Discipline::new(limits),
            events: Names::default(),
            kinds: Vec::new(),
            handlers: NumberMap::default(),
            milestones: Vec::new(),
            log: Log { file: file.into(), ..Log::default() },
            conform: options.conform.clone().map(Conform::new),
            no_thread: 0,
            no_time: 0,
            observer,
        }
    }

    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut lines = std::mem::take(&mut self.lines);
        lines.feed(bytes, |line| self.line(line));
        self.lines = lines;
    }

    /// How many lines have been read.
    pub fn lines_read(&self) -> u64 {
        self.log.lines
    }

    /// The log could not be read to its end, because of `reason`.
    pub fn broken(&mut self, reason: &str) {
        self.discipline.problems.add(Problem::Unreadable, self.log.lines);
        self.discipline.problems.detail = reason.into();
    }

    fn line(&mut self, line: Option<&[u8]>) {
        self.log.lines += 1;
        self.discipline.line = self.log.lines;
        let line = line.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        match line.map_or(Read::Unknown, dialect::read) {
            Read::Event(line) => return self.event(&line),
            Read::Message => {
                self.log.messages += 1;
                return;
            }
            Read::Empty => return,
            Read::NoThread => self.no_thread += 1,
            Read::NoTime => self.no_time += 1,
            Read::Unknown => {}
        }
        self.log.unknown_lines += 1;
        self.discipline.problems.add(Problem::UnknownLine, self.log.lines);
    }

    fn event(&mut self, line: &Line) {
        if self.discipline.first.is_none() {
            self.open_window(line.us);
        }
        let Some(thread) = self.discipline.thread(line.thread, line.name, line.us) else { return };
        match dialect::lock_event(line) {
            Some(Ok(lock)) => {
                self.log.lock_events += 1;
                self.discipline.lock(lock, thread, line.us, &mut self.observer);
                if let Some(conform) = &mut self.conform {
                    let bql = self.discipline.holds_bql(thread) == Some(true);
                    conform.lock(thread, line.thread, bql, lock, line.us, self.log.lines);
                }
            }
            Some(Err(())) => self.discipline.problems.add(Problem::MangledLock, self.log.lines),
            None => self.other(line, thread),
        }
    }

    fn open_window(&mut self, first: u64) {
        // A year of microseconds: less than that counts from the first event.
        let absolute =
            |us: u64| if us < 31_536_000_000_000 { first.saturating_add(us) } else { us };
        let Window { since, until } = self.options.window;
        self.discipline.window = (since.map_or(0, absolute), until.map_or(u64::MAX, absolute));
    }

    /// An event that is no lock operation.
    fn other(&mut self, line: &Line, thread: u32) {
        let (number, new) = self.events.number(line.event);
        if new {
            self.kinds.push(Kind::of(line.event));
        }
        if self.events.len() == MOST {
            self.discipline.problems.add(Problem::TooManyNames, self.log.lines);
        }
        let kind = &self.kinds[number as usize];
        self.discipline.threads[thread as usize].is(kind.role);
        if let (true, Some(side)) = (self.log.side.is_empty(), kind.side) {
            self.log.side = side.into();
        }
        let active = !line.text.ends_with(b"inactive");
        let mut begins = kind.begins && active;
        if kind.status {
            let text = String::from_utf8_lossy(line.text);
            let status = text.strip_prefix("new state ").unwrap_or(&text).trim();
            begins |= status != "setup" && status != "none";
            self.log.status = Some(status.into());
        }
        if begins && self.discipline.begun.is_none() {
            self.discipline.begun = Some(line.us);
        }
        if kind.milestone && self.milestones.len() < MOST_MILESTONES {
            let text = String::from_utf8_lossy(line.text).trim().to_string();
            self.milestones.push((line.us, thread, number, text));
        }
        let handler = kind.handler;
        self.discipline.event(thread, number);
        if self.discipline.clip(line.us, line.us).is_some() {
            self.observer.event(thread, number, line.us);
        }
        if handler {
            self.handler(line, number, thread);
        }
        if let Some(conform) = &mut self.conform {
            let bql = self.discipline.holds_bql(thread);
            conform.event(thread, bql, line, self.log.lines);
        }
    }

    /// A handler runs: with the BQL or without?
    fn handler(&mut self, line: &Line, number: u32, thread: u32) {
        let role = self.discipline.threads[thread as usize].role;
        let idstr = line.text.split(|byte| *byte == b',').next().unwrap_or(line.text);
        let section = u32::from(handler::is_postcopiable(idstr));
        let held = self.discipline.holds_bql(thread);
        let seen = self.handlers.entry((number, section, thread)).or_default();
        match held {
            None => seen.unknown += 1,
            Some(true) => seen.held += 1,
            Some(false) => seen.not_held += 1,
        }
        let contract = handler::contract(line.event, line.text, role);
        if let Some(held) = held.filter(|held| contract.broken(*held).is_some())
            && seen.broken_line == 0
        {
            (seen.broken_line, seen.broken_held) = (self.log.lines, held);
            seen.first_us = line.us;
        }
    }

    /// The log ends here. An error: nothing can be said of it.
    pub fn end(&mut self) -> Result<(), Refusal> {
        if self.lines.is_cut() {
            self.discipline.problems.add(Problem::CutLine, self.log.lines + 1);
        }
        if self.discipline.first.is_none() {
            return Err(if self.no_time > 0 {
                Refusal::NoTime
            } else if self.no_thread > 0 {
                Refusal::NoThread
            } else if self.log.unknown_lines > 0 || self.lines.is_cut() {
                Refusal::NoLog
            } else {
                Refusal::Empty
            });
        }
        if self.log.lock_events == 0 {
            return Err(Refusal::NoLocks);
        }
        self.discipline.end(&mut self.observer);
        let over = ["completed", "failed", "cancelled", "colo"];
        let problem = match self.log.status.as_deref() {
            None => Some(Problem::NoMigration),
            Some(status) if !over.contains(&status) => Some(Problem::EndsInside),
            _ => None,
        };
        problem.into_iter().for_each(|problem| self.discipline.problems.add(problem, 0));
        if self.discipline.mutexes.bql.is_none() {
            self.discipline.problems.add(Problem::NoBql, 0);
        }
        self.log.start_us = self.discipline.first.unwrap_or_default();
        self.log.end_us = self.discipline.last;
        self.log.begun_us = self.discipline.begun;
        Ok(())
    }
}
