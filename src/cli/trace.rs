//! `bqlcheck trace`: the lock discipline of real runs, from their logs.
//! Must not know: what a log line means.

use super::args_trace::{Trace, TraceFormat};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{compressed, input, interrupt, output};
use crate::report;
use crate::sim::Plan;
use crate::trace::{self, OPTIONS, Observer, Options, Recorder, Refusal};
use crate::trace::{Report, Run, Timeline, Window};
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How far it is, for the progress line, and whether to stop.
#[derive(Clone, Default)]
struct Watch {
    bytes: Arc<AtomicU64>,
    lines: Arc<AtomicU64>,
    interrupted: Arc<AtomicBool>,
}

/// Reads the logs that `args` name.
pub fn run(args: &Trace) -> Result<Exit, Failure> {
    let plan = args.plan.as_deref().map(input::plan).transpose()?;
    match args.format {
        TraceFormat::Text | TraceFormat::Json => {
            let (report, exit) = read(args, plan.as_ref())?;
            let json = args.format == TraceFormat::Json;
            output::print(&match json {
                true => report::pretty(&report),
                false => report::trace(&report, args.top as usize),
            });
            Ok(exit)
        }
        TraceFormat::Perfetto | TraceFormat::Html => {
            let (runs, watch) = all(args, plan.as_ref(), Recorder::default)?;
            let Some(runs) = runs else { return Ok(Exit::Nothing) };
            let (report, exit) = judge(&runs, &watch);
            let timelines: Vec<Timeline> = runs.iter().map(trace::timeline).collect();
            output::print(&match args.format {
                TraceFormat::Html => report::trace_html(&timelines, &report),
                _ => report::trace_perfetto(&timelines),
            });
            Ok(exit)
        }
    }
}

/// Reads the logs for a report alone.
fn read(args: &Trace, plan: Option<&Plan>) -> Result<(Report, Exit), Failure> {
    let (runs, watch) = all(args, plan, || ())?;
    Ok(match runs {
        Some(runs) => judge(&runs, &watch),
        None => {
            let mut report = Report::of::<()>(&[]);
            report.exit = Exit::Nothing as u8;
            (report, Exit::Nothing)
        }
    })
}

fn judge<O: Observer>(runs: &[Run<O>], watch: &Watch) -> (Report, Exit) {
    let mut report = Report::of(runs);
    let interrupted = watch.interrupted.load(Ordering::Relaxed);
    let exit = if interrupted { Exit::Interrupted } else { report.verdict.into() };
    report.exit = exit as u8;
    (report, exit)
}

type Runs<O> = (Option<Vec<Run<O>>>, Watch);

/// All logs, each to its end; none if there is nothing in them.
fn all<O: Observer>(
    args: &Trace,
    plan: Option<&Plan>,
    observer: impl Fn() -> O,
) -> Result<Runs<O>, Failure> {
    let watch = Watch { interrupted: interrupt::watch(), ..Watch::default() };
    let shown = watch.clone();
    let progress = Progress::start(move |since| line(&shown, since));
    let mut runs = Vec::new();
    let mut empty = 0;
    for path in &args.logs {
        let mut run = one(path, args, plan, observer(), &watch)?;
        match run.end() {
            Ok(()) => runs.push(run),
            Err(Refusal::Empty) => empty += 1,
            Err(refusal) => return Err(refused(path, refusal)),
        }
    }
    drop(progress);
    if runs.is_empty() {
        let names: Vec<String> = args.logs.iter().map(|p| p.display().to_string()).collect();
        output::complain(&format!("nothing to check: {} has no line", names.join(", ")));
        return Ok((None, watch));
    }
    if empty > 0 {
        // One of two logs is missing: what it would have shown is not known.
        runs[0].broken("another of the logs is empty");
    }
    Ok((Some(runs), watch))
}

fn one<O: Observer>(
    path: &Path,
    args: &Trace,
    plan: Option<&Plan>,
    observer: O,
    watch: &Watch,
) -> Result<Run<O>, Failure> {
    let name = path.display().to_string();
    let mut log = compressed::open(path).map_err(|error| {
        Failure::new(format!("{name}: {error}"), "a log, or - for standard input")
    })?;
    let mut buffer = vec![0; 1 << 20];
    let (mut filled, mut error) = fill(&mut *log, &mut buffer);
    let conform = match (args.conform, plan) {
        (false, _) => None,
        (true, Some(plan)) => Some(plan.clone()),
        (true, None) => Some(input::plan(plan_of(&buffer[..filled]))?),
    };
    let us = args.max_hold.as_micros() as u64;
    let options = Options {
        max_hold: us,
        top: args.top as usize,
        window: Window { since: args.since, until: args.until },
        thread: args.thread.clone(),
        conform,
    };
    let mut run = Run::new(&name, &options, observer);
    loop {
        run.feed(&buffer[..filled]);
        watch.bytes.fetch_add(filled as u64, Ordering::Relaxed);
        watch.lines.store(run.lines_read(), Ordering::Relaxed);
        if let Some(error) = error {
            if run.lines_read() == 0 {
                let help = "it is damaged, or not what its first bytes say";
                return Err(Failure::new(format!("{name}: {error}"), help));
            }
            run.broken(&error.to_string());
            break;
        }
        if filled < buffer.len() {
            break;
        }
        if watch.interrupted.load(Ordering::Relaxed) {
            run.broken("interrupted");
            break;
        }
        (filled, error) = fill(&mut *log, &mut buffer);
    }
    Ok(run)
}

/// Reads until `buffer` is full, the log ends, or it cannot be read.
fn fill(log: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<std::io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match log.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

/// The plan of the QEMU that wrote a log: until 8.1 the BQL was in softmmu/.
fn plan_of(head: &[u8]) -> &'static str {
    let old = b"softmmu/cpus.c:";
    match head.windows(old.len()).any(|part| part == old) {
        true => "qemu-7.2",
        false => "qemu-10.0",
    }
}

fn refused(path: &Path, refusal: Refusal) -> Failure {
    let name = path.display();
    let again = format!("run QEMU again with {OPTIONS}");
    match refusal {
        Refusal::NoThread => {
            Failure::new(format!("{name}: its lines do not say which thread they are of"), again)
        }
        Refusal::NoTime => Failure::new(format!("{name}: its lines have no time"), again),
        Refusal::NoLocks => Failure::new(format!("{name}: it has no lock operation"), again),
        Refusal::NoLog | Refusal::Empty => {
            Failure::new(format!("{name}: this is not a log of QEMU's trace events"), again)
        }
    }
}

/// The progress line.
fn line(watch: &Watch, since: Duration) -> String {
    let lines = watch.lines.load(Ordering::Relaxed);
    let bytes = watch.bytes.load(Ordering::Relaxed);
    let rate = lines as f64 / since.as_secs_f64();
    format!("{} s: {lines} lines, {} MiB, {rate:.0} lines/s", since.as_secs(), bytes >> 20)
}
