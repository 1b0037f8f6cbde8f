//! What `exec` found, as text.
//! Must not know: how it was found.

use super::text::fold;
use crate::exec::job::{Done, Job, Violation};
use serde::Serialize;

/// A job and what came of it.
#[derive(Debug, Serialize)]
pub struct Run {
    pub job: Job,
    pub boot_ms: u64,
    pub violations: Vec<Violation>,
    pub done: Done,
}

/// For people, at most 76 columns.
pub fn text(run: &Run) -> String {
    let Run { job, done, .. } = run;
    let mut out = format!(
        "QEMU {}, {}, {}, seed {}\n",
        job.version,
        job.scenario,
        job.strategy.name(),
        job.seed
    );
    for violation in &run.violations {
        let line = format!(
            "{} in execution {}: {}",
            violation.rule.code(),
            violation.execution,
            violation.message
        );
        out.push_str(&fold(2, &line));
    }
    let speed = done.executions * 1000 / done.wall_ms.max(1);
    let cut = if done.interrupted { ", interrupted" } else { "" };
    let counts = format!(
        "{} executions in {} ms ({speed} a second), {} broke a rule{cut}",
        done.executions, done.wall_ms, done.violated
    );
    out.push_str(&fold(0, &counts));
    if run.violations.is_empty() {
        out.push_str("No rule was broken in these. They are samples, not a proof.\n");
    }
    if !done.hash.is_empty() {
        out.push_str(&format!("hash of all schedules: {}\n", done.hash));
    }
    out
}
