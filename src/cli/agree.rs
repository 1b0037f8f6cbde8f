//! `bqlcheck agree`: what the user's own QEMU comes to, against what the simulator
//! allows.
//! Must not know: how either is found.

use super::args::Format;
use super::args_exec::Agree;
use super::exec::{self, Linked};
use super::exit::{Exit, Failure};
use super::{input, interrupt, outcomes, output};
use crate::exec::agree::{Agreement, Pair, Verdict, compare};
use crate::exec::job::Strategy;
use crate::report::{self, Agreed, Allowed};
use crate::sim::{Outcome, Plan, Scenario, Version};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Compares what `args` name.
pub fn run(args: &Agree) -> Result<Exit, Failure> {
    let agreement = Agreement::built_in()?;
    let named = |pair: &&Pair| args.scenario.as_ref().is_none_or(|name| *name == pair.scenario);
    let pairs: Vec<&Pair> = agreement.pairs.iter().filter(named).collect();
    if pairs.is_empty() {
        let mut known: Vec<&str> = agreement.pairs.iter().map(|p| p.scenario.as_str()).collect();
        known.dedup();
        let name = args.scenario.as_deref().unwrap_or_default();
        let help = format!("one of: {}", known.join(", "));
        return Err(Failure::new(format!("nothing of exec is like scenario {name}"), help));
    }
    let linked = Linked::new(&args.build, args.target.as_deref(), args.cache.as_deref(), false)?;
    let plan = plan(args, linked.version())?;
    let pairs = pairs.into_iter().filter(|pair| pair.concerns(&plan.name));
    let stop = interrupt::watch();
    let mut all = Vec::new();
    for pair in pairs {
        let one = one(args, &agreement, &linked, &plan, pair)?;
        if args.format == Format::Text {
            output::print(&report::agreed(&one));
        }
        all.push(one);
        if stop.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
    }
    if args.format == Format::Json {
        output::print(&report::pretty(&all));
    }
    if let Some(directory) = &args.out {
        let text: String = all.iter().map(report::agreed).collect();
        output::write(directory, "agreement.json", &report::pretty(&all))?;
        output::write(directory, "report.txt", &text)?;
    }
    let is = |verdict| all.iter().any(|one| one.comparison.verdict == verdict);
    Ok(match () {
        () if is(Verdict::Disagree) => Exit::Findings,
        () if is(Verdict::Inconclusive) => Exit::Inconclusive,
        () => Exit::Clean,
    })
}

/// The plan that was asked for, or that of the version.
fn plan(args: &Agree, version: &str) -> Result<Plan, Failure> {
    input::plan(args.plan.as_deref().unwrap_or(Version::of_qemu(version).plan()))
}

fn one(
    args: &Agree,
    agreement: &Agreement,
    linked: &Linked,
    plan: &Plan,
    pair: &Pair,
) -> Result<Agreed, Failure> {
    let allowed = allowed(args, plan, pair)?;
    let mut seen: BTreeMap<Outcome, u64> = BTreeMap::new();
    let (mut executions, mut cut) = (0, 0);
    for name in &pair.exec {
        for strategy in [Strategy::Pct, Strategy::Random] {
            let mut job = linked.job(name, strategy, args.seed);
            job.executions = Some(args.executions);
            let (run, _) = exec::supervise(linked, job, None)?;
            executions += run.done.executions;
            cut += run.done.cut;
            for (text, many) in &run.done.trails {
                let outcome = text.parse().expect("the image writes it so");
                *seen.entry(outcome).or_default() += many;
            }
        }
    }
    let comparison =
        compare(&allowed.outcomes, allowed.complete, &seen, &agreement.reasons(&plan.name, pair));
    Ok(Agreed {
        schema: 1,
        version: linked.version().into(),
        exec: pair.exec.clone(),
        seed: args.seed,
        executions,
        cut,
        allowed,
        comparison,
    })
}

/// The outcomes of the pair's scenario, and of those that it may be instead.
fn allowed(args: &Agree, plan: &Plan, pair: &Pair) -> Result<Allowed, Failure> {
    let one = |name: &str| {
        let mut scenario = Scenario::built_in(name)?;
        scenario.environment = pair.environment.unwrap_or(scenario.environment);
        let size = input::size(args.size.as_deref(), &scenario)?;
        outcomes::find(plan, &scenario, &size, pair.side, args.budget)
    };
    let mut all = one(&pair.scenario)?;
    for name in &pair.or {
        let other = one(name)?;
        all.scenario = format!("{} or {name}", all.scenario);
        all.states += other.states;
        all.executions += other.executions;
        all.wall_ms += other.wall_ms;
        all.complete &= other.complete;
        all.reason = all.reason.or(other.reason);
        all.outcomes.extend(other.outcomes);
    }
    all.outcomes.sort();
    all.outcomes.dedup();
    Ok(all)
}
