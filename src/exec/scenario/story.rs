//! What the tasks of an execution tell one another, and what it came to.
//! Must not know: what counts as a finding.

use super::board::Board;
use crate::exec::peer::{Outcome, Shared, State};

/// The story of one execution.
#[derive(Debug, Default)]
pub struct Story {
    /// The guest runs on the destination.
    pub runs: bool,
    /// The destination listens again.
    pub recovers: bool,
    /// The network was cut.
    pub cut: bool,
    /// What the source came to.
    pub source: Option<Outcome>,
    /// The destination's statuses in order.
    pub statuses: Vec<String>,
    /// vCPUs that have seen each page.
    pub vcpus_done: usize,
    /// What a vCPU or the management found wrong.
    pub wrong: Vec<String>,
}

impl Story {
    /// Both sides are done, whatever came of it.
    pub fn finished(&self) -> bool {
        self.source == Some(Outcome::Completed)
            && self.statuses.last().is_some_and(|status| status == "completed")
    }

    /// The statuses of both sides, to be counted.
    pub fn outcome(&self) -> String {
        let source = match &self.source {
            None => "waits",
            Some(Outcome::Completed) => "completed",
            Some(Outcome::Paused) => "paused",
            Some(Outcome::Failed(_)) => "failed",
            Some(Outcome::Hangs(_)) => "hangs",
        };
        format!("{}; source {source}", self.statuses.join(" > "))
    }
}

impl Shared for Board<State> {
    fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        Board::with(self, look)
    }

    fn wait<R>(&self, ready: impl FnMut(&mut State) -> Option<R>) -> R {
        Board::wait(self, ready)
    }
}
