//! A whole memory image, migrated by postcopy on real threads and compared.
//! Must not know: where the image comes from, or who watches.

use super::{DataError, Plan, Scenario};
use crate::lock::Rule;
use std::time::Duration;

/// One such run.
pub struct Job<'a> {
    pub plan: &'a Plan,
    pub scenario: &'a Scenario,
    pub image: &'a [u8],
    /// Of the threads' random choices and of the break point.
    pub seed: u64,
    /// The watchdog's patience.
    pub limit: Duration,
    /// Told the pages placed and those in all, now and then.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Migrated {
    pub pages: u64,
    pub faults: u64,
    pub recoveries: u64,
    /// Offset of the first byte that differs at the end.
    pub differs_at: Option<u64>,
    /// For a run that hung, a line a thread: who waits for what.
    pub hang: Vec<String>,
    pub violations: Vec<(Rule, String)>,
}

/// Migrates the image and compares it at the end.
///
/// # Errors
/// If the scenario cannot be had with an image.
pub fn run(job: &Job) -> Result<Migrated, DataError> {
    let message = "a memory image cannot be migrated yet".into();
    Err(DataError { file: job.scenario.name.clone(), place: None, message })
}
