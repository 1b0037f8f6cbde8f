//! The user of a source: migrates, cancels or pauses, recovers, migrates again.
//! Must not know: how the destination comes to what it says.

use super::board::Board;
use super::guest::Memory;
use super::outgoing::{Deed, OUTGOING, Outgoing, Story, resume};
use super::pair::judge::stuck;
use super::qmp::Qmp;
use super::restless;
use super::target::start;
use super::task::{act, dawdle};
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::Outcome;
use serde_json::{Value, json};

/// In nanoseconds: shorter than any of the timers that QEMU has then.
const MOMENT: u64 = 1_000_000;
/// The same: longer than the rate limit sleeps between two looks (`BUFFER_DELAY`).
const WHILE: u64 = 1_000_000_000;
/// Bytes a second: less than a page in a window.
const SLOW: u32 = 500;
/// Writes of each thread of the guest, a migration.
const WRITES: usize = 4;

impl Outgoing {
    /// The user of the source.
    pub(super) fn management(
        &self,
        story: &Board<Story>,
        guest: &Board<Memory>,
        mut qmp: Qmp,
    ) -> Result<(), String> {
        // Without a limit; some pages in a window; a page in a window.
        let early = self.deed == Deed::Pause || self.slow;
        let speed = if early { SLOW } else { [0, 200_000, SLOW][choose(3)] };
        let parameters = json!({
            "max-bandwidth": speed,
            "max-postcopy-bandwidth": if self.slow || self.holds_back() { SLOW } else { 0 },
            "downtime-limit": 1,
        });
        qmp.command("migrate-set-parameters", parameters)?;
        // Without one, the source does not hear what became of the destination.
        let hears = self.postcopy || self.deed == Deed::Break || choose(2) == 0;
        let capability = json!([{ "capability": "return-path", "state": hears }]);
        qmp.command("migrate-set-capabilities", json!({ "capabilities": capability }))?;
        for attempt in 1..3 {
            guest.with(|guest| guest.allowed = attempt * WRITES);
            if let Err(wrong) = self.command(
                story,
                &mut qmp,
                "migrate",
                json!({ "uri": format!("unix:{OUTGOING}") }),
            ) {
                // Nothing should happen then; it is seen what does.
                let wrong = format!("migration {attempt} is refused: {wrong}");
                story.with(|story| story.wrong.push(wrong));
            }
            if self.postcopy {
                if !early && choose(2) == 0 {
                    dawdle(20);
                }
                // Too late if the migration is done.
                self.command(story, &mut qmp, "migrate-start-postcopy", json!({})).ok();
            }
            if self.deed == Deed::Cancel && attempt == 1 {
                if !self.hasty {
                    self.follow(story, guest, &mut qmp, &["active"])?;
                }
                if self.stalls && choose(2) == 0 {
                    // A migration that is too quick does not stall.
                    story.wait(|story| (story.stalled || story.loaded).then_some(()));
                }
                self.later();
                let refused = qmp.command("migrate_cancel", json!({})).err();
                let expected = "Postcopy migration in progress, cannot cancel.";
                if let Some(wrong) = refused.filter(|wrong| wrong != expected) {
                    return Err(format!("migrate_cancel: {wrong}"));
                }
            }
            let status = self.follow(story, guest, &mut qmp, &[])?;
            // A migration has failed, for the user, before it has come to rest.
            if !(self.hasty && attempt == 1 && status != "completed") {
                rests();
                if self.multifd > 0 && status == "failed" {
                    self.settles(story, &mut qmp)?;
                }
            }
            match status.as_str() {
                "completed" => {
                    return match story.with(|story| story.destination.last().cloned()) {
                        Some(Outcome::Completed) => Ok(()),
                        _ => Err("the source has completed, the destination has not".into()),
                    };
                }
                "postcopy-paused" => return Ok(()),
                status if self.deed == Deed::Nothing => {
                    let other = story.with(|story| format!("{:?}", story.destination.last()));
                    return Err(format!("the source is {status}, the destination {other}"));
                }
                status => match (guest.look(|guest| guest.runs), story.with(|story| story.runs)) {
                    (true, true) => {
                        return Err(format!(
                            "the source is {status}: the guest runs on both sides"
                        ));
                    }
                    (false, false) if self.hasty => {}
                    (false, false) => {
                        return Err(format!("the source is {status}: the guest runs nowhere"));
                    }
                    (false, true) => {
                        let other = story.with(|story| story.destination.last().cloned());
                        return match other {
                            Some(Outcome::Completed) => Ok(()),
                            _ => {
                                Err(format!("the source is {status}, the destination cannot go on"))
                            }
                        };
                    }
                    // The destination of a migration that failed is thrown away.
                    (true, false) => {
                        story.with(|story| (story.loaded, story.failed) = (false, false))
                    }
                },
            }
        }
        Err("the second migration comes to nothing".into())
    }

    /// Gives a command, not in the middle of one of the restless user's.
    fn command(
        &self,
        story: &Board<Story>,
        qmp: &mut Qmp,
        name: &str,
        arguments: Value,
    ) -> Result<Value, String> {
        if self.restless {
            restless::turn(story, true);
        }
        let result = qmp.command(name, arguments);
        restless::turn(story, false);
        result
    }

    /// A migration that a channel has ended is said to have failed before its own thread
    /// knows: that comes to its end, and says it again.
    fn settles(&self, story: &Board<Story>, qmp: &mut Qmp) -> Result<(), String> {
        act(Op::Sleep { until: kernel().now + WHILE, asleep: false });
        if stuck() {
            // Nothing can follow: who has not ended never will.
            story.wait(|_| None::<()>);
        }
        for event in qmp.waiting()? {
            if let (Some("MIGRATION"), Some(status)) =
                (event["event"].as_str(), event["data"]["status"].as_str())
            {
                story.with(|story| story.statuses.push(status.into()));
            }
        }
        Ok(())
    }

    /// Sees a migration to its end, or to one of the statuses `until`, recovering it
    /// where it pauses; gives the last status.
    fn follow(
        &self,
        story: &Board<Story>,
        guest: &Board<Memory>,
        qmp: &mut Qmp,
        until: &[&str],
    ) -> Result<String, String> {
        let mut pauses = !self.restless && matches!(self.deed, Deed::Pause | Deed::Late);
        loop {
            let event = qmp.event()?;
            if event["event"] != "MIGRATION" {
                story.with(|story| story.answers.extend(restless::answer(&event)));
                continue;
            }
            let status = event["data"]["status"].as_str().unwrap_or_default().to_string();
            story.with(|story| story.statuses.push(status.clone()));
            if matches!(status.as_str(), "postcopy-active" | "completed")
                && !story.with(|story| story.runs)
            {
                // The destination is told to go on, if it does not by itself.
                if self.hasty {
                    rests();
                }
                story.wait(|story| (story.loaded || story.failed || self.hasty).then_some(()));
                if story.with(|story| story.loaded) {
                    start(story, guest);
                }
            }
            match status.as_str() {
                "completed" | "cancelled" | "failed" => return Ok(status),
                status if until.contains(&status) => return Ok(status.into()),
                "postcopy-active" if std::mem::take(&mut pauses) => {
                    self.later();
                    // It may be over, or paused by the network.
                    qmp.out_of_band("migrate-pause", json!({})).ok();
                    story.with(|story| story.cut = true);
                }
                "postcopy-paused" => {
                    rests();
                    match story.with(|story| story.destination.last().cloned()) {
                        // The destination has all; only the source does not know.
                        Some(Outcome::Completed) => return Ok(status),
                        Some(Outcome::Failed(_)) => {
                            return Err("the source has paused, the destination has failed".into());
                        }
                        _ => {}
                    }
                    match self.command(story, qmp, "migrate", resume()) {
                        // The restless user was faster.
                        Err(_) if self.restless => {}
                        Err(wrong) => return Err(wrong),
                        Ok(_) => {}
                    }
                }
                _ => {}
            }
        }
    }
}

/// Lets all come to rest: time goes on when nothing can run.
pub(super) fn rests() {
    let until = kernel().now + MOMENT;
    act(Op::Sleep { until, asleep: false });
}
