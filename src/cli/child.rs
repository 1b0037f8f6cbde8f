//! loom in a process of its own: it aborts on what it takes for a deadlock, and
//! that is a result. A job goes in on stdin, an event a line comes back.
//! Must not know: how the result is shown.

use super::engine::Job;
use super::exit::{Exit, Failure};
use super::output;
use crate::explore::{Exploration, Limits, harvest};
use crate::lock::Rule;
use crate::report;
use crate::runtime::{Violation, loom};
use crate::sim::{Migration, Plan, Scenario, Size, data};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Preemptions that loom tries at most in one execution.
const PREEMPTIONS: usize = 2;
/// An event at least this often, in executions.
const OFTEN: u64 = 1000;

/// What the child is to do.
#[derive(Serialize, Deserialize)]
struct Order {
    plan: Plan,
    scenario: Scenario,
    size: Size,
    budget_ms: Option<u64>,
}

/// What the child says.
#[derive(Serialize, Deserialize)]
struct Event {
    executions: u64,
    steps: u64,
    facts: Vec<(String, u64, u64)>,
    /// All violations so far.
    found: Vec<(Rule, String)>,
    /// The search has come to its end, or to that of its budget.
    done: bool,
    in_time: bool,
}

impl Event {
    fn of(result: &Exploration) -> Event {
        let violations = result.found.iter().map(|found| &found.violation);
        Event {
            executions: result.executions,
            steps: result.steps,
            facts: result.facts.iter().map(|(n, (a, b))| ((*n).to_string(), *a, *b)).collect(),
            found: violations.map(|v| (v.rule, v.message.clone())).collect(),
            done: false,
            in_time: true,
        }
    }

    /// Prints it as a line.
    fn say(&self) {
        output::print(&report::line(self));
    }
}

/// The child: reads its order, explores, says what it finds as it finds it.
pub fn serve() -> Result<Exit, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| Failure::new(format!("stdin: {error}"), "bqlcheck itself runs this"))?;
    let order: Order = data::parse("stdin", &text)?;
    let program = Arc::new(Migration::new(order.plan, order.scenario, order.size)?);
    let budget = order.budget_ms.map(Duration::from_millis);
    let result = Arc::new(Mutex::new(Exploration::default()));
    let shared = result.clone();
    let started = Instant::now();
    let bounds = loom::Bounds { preemptions: PREEMPTIONS, budget };
    loom::explore(program, bounds, move |world| {
        let mut result = shared.lock().expect("no panic while held");
        let known = result.found.len();
        harvest(&mut result, world);
        if result.found.len() > known || result.executions.is_multiple_of(OFTEN) {
            Event::of(&result).say();
        }
    });
    let in_time = budget.is_none_or(|budget| started.elapsed() < budget);
    let last = Event::of(&result.lock().expect("no panic while held"));
    Event { done: true, in_time, ..last }.say();
    Ok(Exit::Clean)
}

/// The parent: explores `job` in a child and takes down what it says.
pub fn explore(job: &Job, limits: &Limits) -> Exploration {
    let mut child = spawn(job, limits);
    let (events, stderr) = (lines(child.stdout.take()), lines(child.stderr.take()));
    let mut result = Exploration::default();
    let mut done = None;
    let stopped = loop {
        match events.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                if let Ok(event) = data::parse::<Event>("loom", &line) {
                    done = event.done.then_some(event.in_time);
                    note(&mut result, event);
                }
            }
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => {}
        }
        limits.note(result.executions, result.found.len());
        let enough = limits.executions.is_some_and(|most| result.executions >= most);
        if limits.reached(result.steps) || enough {
            // It may have ended by itself meanwhile; then there is no harm done.
            let _ = child.kill();
            break true;
        }
    };
    let status = child.wait().expect("the child was not waited for before");
    result.cut = Some(match done {
        Some(true) => format!(
            "loom saw every execution with at most {PREEMPTIONS} preemptions; that is a bound"
        ),
        _ if stopped || done == Some(false) => {
            format!("stopped after {} executions", result.executions)
        }
        _ => abort(status, &stderr),
    });
    result
}

fn spawn(job: &Job, limits: &Limits) -> Child {
    let order = Order {
        plan: job.plan.clone(),
        scenario: job.scenario.clone(),
        size: job.size.clone(),
        budget_ms: limits.left().map(|left| left.as_millis() as u64),
    };
    let program = std::env::current_exe().expect("the system knows what it runs");
    let mut child = Command::new(program)
        .arg("__loom")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("bqlcheck can be started again");
    let mut stdin = child.stdin.take().expect("piped");
    // If it is gone already, its end says why.
    let _ = stdin.write_all(report::line(&order).as_bytes());
    child
}

/// The lines of `pipe`, as they come.
fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (send, receive) = channel();
    let pipe = BufReader::new(pipe.expect("piped"));
    std::thread::spawn(move || {
        for line in pipe.lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    receive
}

/// Takes down an event: each one has all that was before.
fn note(result: &mut Exploration, event: Event) {
    result.executions = event.executions;
    result.steps = event.steps;
    for (rule, message) in event.found {
        let cycle = Vec::new();
        result.add(&Violation { rule, message, thread: None, site: None, cycle }, &[]);
    }
    for (name, least, most) in event.facts {
        // Names are few, and the process ends with the report.
        let known = result.facts.keys().find(|known| **known == name).copied();
        result.facts.insert(known.unwrap_or_else(|| name.leak()), (least, most));
    }
}

/// What a child said that did not come to its end.
fn abort(status: ExitStatus, stderr: &Receiver<String>) -> String {
    let said: Vec<String> = stderr.iter().collect();
    let first = said.iter().find(|line| line.contains("panicked") || line.contains("internal"));
    let at = first.and_then(|first| said.iter().position(|line| line == first)).unwrap_or(0);
    let why: Vec<&str> = said[at..].iter().take(2).map(|line| line.trim()).collect();
    let why = if why.is_empty() { String::new() } else { format!(": {}", why.join(" ")) };
    format!("loom gave up ({status}){why}")
}
