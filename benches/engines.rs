//! How fast the engines are, and what each needs for the same answer. One run,
//! two tables; `cargo bench --bench engines`.

use bqlcheck::explore::{Exploration, Limits, dpor, exhaustive, sample, stress, unreduced};
use bqlcheck::runtime::loom;
use bqlcheck::runtime::shuttle::Strategy;
use bqlcheck::sim::{Migration, Plan, Scenario, Size};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No engine is given longer than this for one answer.
const CAP: Duration = Duration::from_secs(20);
/// How long each engine runs to be timed.
const TIMED: Duration = Duration::from_secs(3);
/// What makes this program the child that runs loom, which may abort.
const CHILD: &str = "BQLCHECK_BENCH_LOOM";

fn program(scenario: &str, size: &str) -> Arc<Migration> {
    let plan = Plan::built_in("qemu-10.0").expect("built in");
    let scenario = Scenario::built_in(scenario).expect("built in");
    let size = Size::named(size).expect("built in");
    Arc::new(Migration::new(plan, scenario, size).expect("it fits"))
}

/// What an engine did: executions, states where it keeps them, and whether it
/// came to its end.
struct Done {
    executions: u64,
    states: u64,
    complete: bool,
    took: Duration,
}

fn timed(cap: Duration, engine: impl FnOnce(&Limits) -> Exploration) -> Done {
    let started = Instant::now();
    let result = engine(&Limits::new(Some(cap)));
    let took = started.elapsed();
    let ended = result.complete || result.cut.is_some_and(|cut| !cut.contains("budget"));
    let (executions, states) = (result.executions, result.states);
    Done { executions, states, complete: ended && took < cap, took }
}

/// shuttle, depth first: it ends when it has no schedule left.
fn depth_first(program: &Arc<Migration>, cap: Duration) -> Done {
    timed(cap, |limits| sample(program, Strategy::Dfs, 1, usize::MAX, limits))
}

/// loom, in a child.
fn loomed(scenario: &str, size: &str, cap: Duration) -> Option<Done> {
    if program(scenario, size).threads() > loom::MAX_THREADS {
        return None;
    }
    let started = Instant::now();
    let me = std::env::current_exe().expect("the system knows what it runs");
    let order = format!("{scenario} {size} {}", cap.as_millis());
    let output = Command::new(me).env(CHILD, order).output().expect("it can be started again");
    let took = started.elapsed();
    let text = String::from_utf8_lossy(&output.stdout);
    let executions = text.trim().parse().ok()?;
    Some(Done { executions, states: 0, complete: took < cap, took })
}

/// The child: explores what it is told, and prints the executions.
fn child(order: &str) {
    let words: Vec<&str> = order.split(' ').collect();
    let budget = Some(Duration::from_millis(words[2].parse().expect("milliseconds")));
    let executions = Arc::new(AtomicU64::new(0));
    let count = executions.clone();
    let bounds = loom::Bounds { preemptions: 2, budget };
    loom::explore(program(words[0], words[1]), bounds, move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    println!("{}", executions.load(Ordering::Relaxed));
}

fn speeds() {
    println!("Speed: qemu-10.0, postcopy-recover at size l (loom: s)\n");
    println!("{:<16}{:>14}{:>14}", "engine", "executions/s", "states/s");
    let p = program("postcopy-recover", "l");
    let line = |name: &str, done: &Done| {
        let per_second = |n: u64| n as f64 / done.took.as_secs_f64();
        let states = match done.states {
            0 => "-".into(),
            n => format!("{:.0}", per_second(n)),
        };
        println!("{name:<16}{:>14.0}{states:>14}", per_second(done.executions));
    };
    line("exhaustive", &timed(TIMED, |limits| exhaustive(&p, limits)));
    line("unreduced", &timed(TIMED, |limits| unreduced(&p, limits)));
    line("dpor", &timed(TIMED, |limits| dpor(&p, limits)));
    for (name, strategy) in [("shuttle random", Strategy::Random), ("shuttle pct", Strategy::Pct)] {
        line(name, &timed(TIMED, |limits| sample(&p, strategy, 1, usize::MAX, limits)));
    }
    line("shuttle dfs", &depth_first(&p, TIMED));
    if let Some(done) = loomed("postcopy-recover", "s", TIMED) {
        line("loom", &done);
    }
    line("threads", &timed(TIMED, |limits| stress(&p, 1, usize::MAX, CAP, limits)));
}

fn needs() {
    println!("\nNeeds: qemu-10.0, postcopy at size xs, postcopy-recover above\n");
    let head = ["size", "engine", "work", "seconds", "ratio"];
    println!("{:<6}{:<12}{:>22}{:>10}{:>10}", head[0], head[1], head[2], head[3], head[4]);
    for size in ["xs", "s", "m", "l", "xl"] {
        let scenario = if size == "xs" { "postcopy" } else { "postcopy-recover" };
        let p = program(scenario, size);
        let base = timed(CAP, |limits| exhaustive(&p, limits));
        let ratio = |done: &Done| done.took.as_secs_f64() / base.took.as_secs_f64();
        let line = |engine: &str, done: Option<&Done>| match done {
            None => println!("{size:<6}{engine:<12}{:>22}", "too many threads"),
            Some(done) if done.complete => {
                let work = match done.states {
                    0 => format!("{} executions", done.executions),
                    n => format!("{n} states"),
                };
                let seconds = done.took.as_secs_f64();
                println!("{size:<6}{engine:<12}{work:>22}{seconds:>10.3}{:>9.1}x", ratio(done));
            }
            Some(done) => {
                let work = format!("> {} executions", done.executions);
                println!("{size:<6}{engine:<12}{work:>22}{:>10}{:>8.0}x+", "not done", ratio(done));
            }
        };
        line("exhaustive", Some(&base));
        line("dpor", Some(&timed(CAP, |limits| dpor(&p, limits))));
        line("loom", loomed(scenario, size, CAP).as_ref());
        line("shuttle dfs", Some(&depth_first(&p, CAP)));
    }
}

fn main() {
    match std::env::var(CHILD) {
        Ok(order) => child(&order),
        Err(_) => {
            speeds();
            needs();
        }
    }
}
