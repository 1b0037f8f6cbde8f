//! What the tasks of an execution tell one another, and what it came to.
//! Must not know: what counts as a finding.

use super::board::Board;
use super::channel::Channel;
use super::restless;
use crate::exec::peer::{Outcome, Shared};

/// The story of one execution.
#[derive(Debug, Default)]
pub struct Story {
    /// The guest runs on the destination.
    pub runs: bool,
    /// The destination listens again.
    pub recovers: bool,
    /// The source has paused, and a restless user has not told it to go on.
    pub waits: bool,
    /// A restless user gives no more commands that nothing calls for.
    pub calm: bool,
    /// Whether each command that a restless user gave was done.
    pub answers: Vec<bool>,
    /// The network was cut.
    pub cut: bool,
    /// The last connection of which the source has seen the end.
    pub broken: Option<Channel>,
    /// The source's multifd channels.
    pub multifd: Vec<Channel>,
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
    /// Both sides are done, whatever came of it. A status is changed before its event is
    /// sent, so that of another thread, which comes later, can be told first.
    pub fn finished(&self) -> bool {
        (self.source == Some(Outcome::Completed) || self.waits)
            && self.statuses.iter().any(|status| status == "completed")
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
        let refused = restless::refused(&self.answers);
        format!("{}; source {source}{refused}", self.statuses.join(" > "))
    }
}

impl<T> Shared<T> for Board<T> {
    fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        Board::with(self, look)
    }

    fn wait<R>(&self, ready: impl FnMut(&mut T) -> Option<R>) -> R {
        Board::wait(self, ready)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_waits_is_done_if_the_destination_has_all() {
        let of = |waits, statuses: &[&str]| Story {
            waits,
            statuses: statuses.iter().map(|status| (*status).into()).collect(),
            answers: vec![false, true],
            ..Story::default()
        };
        let all = of(true, &["postcopy-active", "completed"]);
        assert!(all.finished());
        assert_eq!(all.outcome(), "postcopy-active > completed; source waits; 1 of 2 refused");
        assert!(!of(false, &["postcopy-active", "completed"]).finished());
        assert!(!of(true, &["postcopy-active", "postcopy-paused"]).finished());
    }

    #[test]
    fn an_event_that_comes_late_does_not_undo_the_end() {
        let of = |statuses: &[&str]| Story {
            source: Some(Outcome::Completed),
            statuses: statuses.iter().map(|status| (*status).into()).collect(),
            ..Story::default()
        };
        assert!(of(&["postcopy-active", "completed"]).finished());
        assert!(of(&["postcopy-active", "completed", "postcopy-recover"]).finished());
        assert!(!of(&["postcopy-active", "postcopy-recover"]).finished());
    }
}
