//! The user of both QEMUs: migrates, cancels, recovers, lets the guest go on.
//! Must not know: what counts as a finding.

use super::table::Deed;
use super::{DESTINATION, RECOVER, SOURCE, Stage, Story};
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::scenario::VCPUS;
use crate::exec::scenario::incoming::INCOMING;
use crate::exec::scenario::task::{act, dawdle};
use serde_json::json;

/// In nanoseconds: shorter than any of the timers that QEMU has then.
const MOMENT: u64 = 1_000_000;
/// Bytes a second: less than a page in a window.
const SLOW: u32 = 500;
/// Writes of each thread of the guest.
const WRITES: usize = 4;

/// Whether a migration has ended, for whoever started it.
fn over(status: &str) -> bool {
    matches!(status, "completed" | "cancelled" | "failed")
}

/// Lets all come to rest: time goes on when nothing can run.
fn rests() {
    let until = kernel().now + MOMENT;
    act(Op::Sleep { until, asleep: false });
}

impl Stage {
    /// All that the user does.
    pub(super) fn user(&self) -> Result<(), String> {
        let plan = &self.plan;
        // Without a limit; some pages in a window; a page in a window, so that some are
        // left when it becomes a postcopy.
        let speed = if plan.deed == Deed::Recover { SLOW } else { [0, 200_000, SLOW][choose(3)] };
        let parameters = json!({ "max-bandwidth": speed, "downtime-limit": 1 });
        self.command(SOURCE, "migrate-set-parameters", parameters)?;
        self.guests[SOURCE].with(|guest| guest.allowed = WRITES);
        self.story.with(|story| story.begun = true);
        self.command(SOURCE, "migrate", json!({ "uri": format!("unix:{INCOMING}") }))?;
        if plan.postcopy {
            if plan.deed != Deed::Recover && choose(2) == 0 {
                dawdle(20);
            }
            // Too late if the migration is done.
            self.command(SOURCE, "migrate-start-postcopy", json!({})).ok();
        }
        if plan.deed == Deed::Cancel {
            self.later();
            let refused = self.command(SOURCE, "migrate_cancel", json!({})).err();
            let expected = "Postcopy migration in progress, cannot cancel.";
            if let Some(wrong) = refused.filter(|wrong| wrong != expected) {
                return Err(format!("migrate_cancel: {wrong}"));
            }
        }
        self.follow()
    }

    /// Sees the migration to its end.
    fn follow(&self) -> Result<(), String> {
        let (mut seen, mut goes_on) = (0, self.plan.autostart);
        loop {
            let status = self.story.wait(|story| match story.statuses[SOURCE].get(seen) {
                Some(status) => Some(Some(status.clone())),
                None if story.gone[SOURCE] => Some(None),
                None => None,
            });
            seen += 1;
            let Some(status) = status else { return Ok(()) };
            if !goes_on && matches!(status.as_str(), "postcopy-active" | "completed") {
                goes_on = true;
                // It may be gone, which is for the judge.
                self.command(DESTINATION, "cont", json!({})).ok();
            }
            if over(&status) {
                self.settle();
                return Ok(());
            }
            if status == "postcopy-paused" && !self.recover()? {
                return Ok(());
            }
        }
    }

    /// Waits until the destination, too, is done with the migration that has ended.
    fn settle(&self) {
        let done = |story: &mut Story| {
            let status = story.status(DESTINATION);
            let vcpus = status != "completed" || story.vcpus_done == VCPUS;
            (story.gone[DESTINATION] || (over(status) && vcpus)).then_some(())
        };
        if self.story.with(|story| story.status(SOURCE) == "completed") {
            self.story.wait(done);
        } else {
            rests();
        }
    }

    /// Mends the network under a migration that is paused; false: there is nothing to
    /// be recovered.
    fn recover(&self) -> Result<bool, String> {
        if !self.plan.hasty {
            rests();
        }
        let there = self.story.wait(|story| match story.status(DESTINATION) {
            _ if story.gone[DESTINATION] => Some("gone"),
            "completed" => Some("completed"),
            "failed" => Some("failed"),
            "postcopy-paused" => Some("postcopy-paused"),
            _ => None,
        });
        match there {
            "postcopy-paused" => {}
            // The destination has all; only the source does not know.
            "completed" => {
                self.story.wait(|story| (story.vcpus_done == VCPUS).then_some(()));
                return Ok(false);
            }
            _ => return Ok(false),
        }
        let to = format!("unix:{RECOVER}");
        self.out_of_band(DESTINATION, "migrate-recover", json!({ "uri": to }))
            .map_err(|error| format!("migrate-recover: {error}"))?;
        self.command(SOURCE, "migrate", json!({ "uri": to, "resume": true }))
            .map_err(|error| format!("migrate with resume: {error}"))?;
        Ok(true)
    }
}
