//! `bqlcheck exec`: the user's own QEMU, linked with our runtime, as a child that
//! gets a job and says what it finds.
//! Must not know: how it is linked, or what runs in it.

use super::args::Format;
use super::args_exec::{Exec, ExecStrategy};
use super::exit::{Exit, Failure};
use super::progress::Progress;
use super::{cache, interrupt, output};
use crate::exec::job::{Done, Event, Faults, Job, Picks, Strategy};
use crate::exec::kernel::shared::VARIABLE;
use crate::exec::known::Sorted;
use crate::exec::link::{Build, Image, LinkError, Settings, link};
use crate::exec::named::{Named, Names};
use crate::exec::scenario::pair::is_pair;
use crate::exec::symbols::Symbols;
use crate::lock::Rule;
use crate::report::{self, Run};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Without a bound of the user's.
const BUDGET: Duration = Duration::from_secs(60);

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Failure {
        Failure::new(error.message, error.help)
    }
}

/// A schedule of `exec` as `bqlcheck replay` reads it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// Format of the file: 1.
    pub schema: u32,
    /// What makes it one of these.
    pub exec: Job,
    /// Where the build is.
    pub build: PathBuf,
    pub rule: Rule,
    pub message: String,
    pub schedule: Picks,
}

/// A QEMU, linked, with its names.
pub struct Linked {
    image: Image,
    target: String,
    symbols: Symbols,
    names: Names,
}

impl Linked {
    /// Of the executable that is wanted, if one is.
    pub fn new(
        folder: &Path,
        target: Option<&str>,
        cache: Option<&Path>,
        races: bool,
    ) -> Result<Linked, Failure> {
        let build = Build::open_target(folder, target)?;
        let settings = Settings::built_in()?;
        let settings = if races { settings.with_races() } else { settings };
        let image = link(&build, &self::folder(cache, &build)?, &settings)?;
        let how = if image.fresh { "linked" } else { "unchanged" };
        let ms = image.took.as_millis();
        output::complain(&format!("exec: {} {}, {how} in {ms} ms", build.target, image.version));
        if !build.others.is_empty() && target.is_none() {
            let others = build.others.join(", ");
            output::complain(&format!("exec: --target takes another: {others}"));
        }
        let symbols = Symbols::open(&image.kept, &build.source).map_err(|error| {
            let path = |path: &Path| path.display().to_string();
            let error = error.replace(&path(&image.kept), &path(&image.path));
            Failure::new(error, "build QEMU with debug information (-g)")
        })?;
        Ok(Linked { image, target: build.target, symbols, names: Names::built_in() })
    }

    /// QEMU's version, as `10.0.13`.
    pub fn version(&self) -> &str {
        &self.image.version
    }

    /// A search of a scenario, without a bound.
    pub fn job(&self, scenario: &str, strategy: Strategy, seed: u64) -> Job {
        Job {
            schema: 1,
            version: self.image.version.clone(),
            target: Some(self.target.clone()),
            scenario: scenario.into(),
            strategy,
            seed,
            executions: None,
            budget_ms: None,
            faults: Faults::default(),
            roots: self.names.roots(&self.symbols),
            arrays: self.names.arrays(&self.symbols),
            log: false,
            races: false,
            replay: None,
        }
    }
}

/// Links what `args` name, runs it, and reports.
pub fn run(args: &Exec) -> Result<Exit, Failure> {
    let linked =
        Linked::new(&args.build, args.target.as_deref(), args.cache.as_deref(), args.races)?;
    let strategy = match args.strategy {
        ExecStrategy::Pct => Strategy::Pct,
        ExecStrategy::Random => Strategy::Random,
    };
    let job = Job {
        executions: args.executions,
        budget_ms: match (args.budget, args.executions) {
            (None, Some(_)) => None,
            (budget, _) => Some(budget.unwrap_or(BUDGET).as_millis() as u64),
        },
        faults: args.faults.unwrap_or_default(),
        log: args.log,
        races: args.races,
        ..linked.job(&args.scenario, strategy, args.seed)
    };
    let (run, schedules) = supervise(&linked, job, args.out.as_deref())?;
    let text = match args.format {
        Format::Text => report::exec_text(&run),
        Format::Json => report::pretty(&run),
    };
    output::print(&text);
    if let Some(directory) = &args.out {
        output::write(directory, "result.json", &report::pretty(&run))?;
        output::write(directory, "report.txt", &report::exec_text(&run))?;
        for (number, (violation, schedule)) in run.violations.iter().zip(schedules).enumerate() {
            let name = format!("{}-{}.json", violation.rule.code(), number + 1);
            let build = args.build.canonicalize().unwrap_or_else(|_| args.build.clone());
            let witness = Witness {
                schema: 1,
                exec: run.job.clone(),
                build,
                rule: violation.rule,
                message: violation.message.clone(),
                schedule,
            };
            output::write(directory, &name, &report::pretty(&witness))?;
        }
    }
    Ok(verdict(&run.done, !run.violations.is_empty()).1)
}

/// Runs the schedule of a witness again.
pub fn replay(witness: Witness) -> Result<Exit, Failure> {
    let linked =
        Linked::new(&witness.build, witness.exec.target.as_deref(), None, witness.exec.races)?;
    // The image may have been linked again since, with its variables elsewhere.
    let roots = linked.names.roots(&linked.symbols);
    let arrays = linked.names.arrays(&linked.symbols);
    let job = Job { replay: Some(witness.schedule), log: false, roots, arrays, ..witness.exec };
    let (mut run, _) = supervise(&linked, job, None)?;
    // There are many races in an execution.
    let same = |found: &Named| {
        found.rule == witness.rule
            && (found.rule != Rule::DataRace || found.message == witness.message)
    };
    run.violations.retain(same);
    let shows = !run.violations.is_empty();
    output::print(&report::exec_text(&run));
    if !shows {
        let text = format!("{} does not show: {}", witness.rule, witness.message);
        output::print(&report::fold(0, &text));
    }
    Ok(if shows { Exit::Findings } else { Exit::Clean })
}

/// What a search came to, in a word and as an exit code.
fn verdict(done: &Done, violated: bool) -> (&'static str, Exit) {
    match () {
        () if violated => ("violated", Exit::Findings),
        () if done.interrupted => ("interrupted", Exit::Interrupted),
        () if done.executions == 0 => ("nothing to check", Exit::Nothing),
        () if done.cut > 0 => ("inconclusive", Exit::Inconclusive),
        () => ("clean", Exit::Clean),
    }
}

/// Where the image of this build is kept: each build directory has its own.
fn folder(cache: Option<&Path>, build: &Build) -> Result<PathBuf, Failure> {
    if let Some(folder) = cache {
        return Ok(folder.into());
    }
    let help = "--cache DIR takes a directory that can be written to";
    let base = cache::directory().ok_or_else(|| Failure::new("HOME is not set", help))?;
    let name = crate::lock::fingerprint(build.folder.as_os_str());
    Ok(base.join(format!("exec-{name:032x}")))
}

fn start(image: &Image, job: &Job) -> Result<Child, Failure> {
    let path = image.path.display();
    let mut command = Command::new(&image.kept);
    if is_pair(&job.scenario) {
        command.env(VARIABLE, "1");
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // Ctrl-C is ours: we then say what is known.
        .process_group(0)
        .spawn()
        .map_err(|error| {
            Failure::new(format!("{path}: {error}"), "remove it: it is linked again then")
        })?;
    let mut stdin = child.stdin.take().expect("piped");
    // If it is gone already, its end says why.
    let _ = stdin.write_all(report::line(job).as_bytes());
    Ok(child)
}

/// The events that the image prints, as they come; what is no event as it is.
fn events(child: &mut Child) -> Receiver<Result<Event, String>> {
    let (send, receive) = channel();
    let stdout = BufReader::new(child.stdout.take().expect("piped"));
    std::thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            if send.send(serde_json::from_str(&line).map_err(|_| line)).is_err() {
                break;
            }
        }
    });
    receive
}

/// Runs `job` in the image and takes down what it says: the run, and the schedule of
/// each violation. Logs go to `directory`.
pub fn supervise(
    linked: &Linked,
    job: Job,
    directory: Option<&Path>,
) -> Result<(Run, Vec<Picks>), Failure> {
    let stop = interrupt::watch();
    let began = Instant::now();
    let mut child = start(&linked.image, &job)?;
    let events = events(&mut child);
    let executions = Arc::new(AtomicU64::new(0));
    let shown = executions.clone();
    let progress = Progress::start(move |time| {
        format!("{} executions, {} s", shown.load(Ordering::Relaxed), time.as_secs())
    });
    let violations = Vec::new();
    let done = Done::default();
    // The verdict comes with the end.
    let mut run = Run { schema: 1, verdict: "", job, boot_ms: 0, violations, done, races: None };
    let mut races = Sorted::default();
    let (mut schedules, mut numbers, mut logs) = (Vec::new(), Vec::new(), 0);
    let mut ended = false;
    let mut strange = None;
    while !ended {
        if stop.load(Ordering::Relaxed) {
            let _ = child.kill();
            run.done.executions = executions.load(Ordering::Relaxed);
            run.done.violated = run.violations.len() as u64;
            run.done.wall_ms = began.elapsed().as_millis() as u64;
            run.done.interrupted = true;
            break;
        }
        match events.recv_timeout(Duration::from_millis(50)) {
            Ok(Ok(Event::Booted { wall_ms })) => run.boot_ms = wall_ms,
            Ok(Ok(Event::Progress { executions: now })) => executions.store(now, Ordering::Relaxed),
            Ok(Ok(Event::Violation(violation))) => {
                let named = linked.names.name(&violation, &linked.symbols);
                if races.take(&named, &violation) {
                    run.violations.push(named);
                    schedules.push(violation.schedule);
                    numbers.push(violation.number as usize);
                }
            }
            Ok(Ok(Event::Log { side, text, .. })) => {
                logs += u32::from(side.as_deref() != Some("destination"));
                if let Some(directory) = directory {
                    let side = side.map_or(String::new(), |side| format!("-{side}"));
                    output::write(directory, &format!("{logs:05}{side}.log"), &text)?;
                }
            }
            Ok(Ok(Event::Done(done))) => (run.done, ended) = (done, true),
            Ok(Ok(Event::Refused { message, help })) => {
                let _ = child.wait();
                return Err(Failure::new(message, help));
            }
            Ok(Err(line)) => strange = Some(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    drop(progress);
    let status = child.wait().expect("the child was not waited for before");
    if !ended && !run.done.interrupted {
        let said = strange.map_or(String::new(), |line| format!("; it said: {line}"));
        panic!("the image ended before its job was done: {status}{said}");
    }
    linked.names.name_all(&mut run.done.broken, &linked.symbols);
    for (found, number) in run.violations.iter_mut().zip(numbers) {
        let broken = run.done.broken.get(number).filter(|_| found.race.is_none());
        found.executions = broken.map_or(0, |broken| broken.executions);
    }
    run.races = run.job.races.then(|| races.done(&run.done.races));
    run.verdict = verdict(&run.done, !run.violations.is_empty()).0;
    Ok((run, schedules))
}
