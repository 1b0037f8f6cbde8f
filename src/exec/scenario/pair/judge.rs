//! What the end of an execution of two QEMUs means: where the guest runs, whether
//! it is whole there, and whether it should be there.
//! Must not know: how it came to that.

use super::table::Deed;
use super::{DESTINATION, PREFIXES, SOURCE, Stage, Story};
use crate::exec::contract::Contract;
use crate::exec::judge::{self, Breach, Names};
use crate::exec::kernel::pair;
use crate::exec::kernel::state::{Ending, Key, Thread, kernel};
use crate::exec::scenario::guest::PAGE;
use crate::lock::Rule;

impl Stage {
    /// What rules were broken.
    pub(super) fn judge(&self, contract: &Contract, names: &dyn Names) -> Vec<Breach> {
        let mut all = contract.judge(kernel());
        all.extend(judge::general(kernel(), names));
        let lost = |wrong: String| Breach::new(Rule::GuestLost, wrong);
        let (done, wrong) = self.story.look(|story| (story.done, story.wrong.clone()));
        match kernel().over {
            Some(Ending::Quiet) if done => match self.guest() {
                Some(wrong) if self.both_run() => all.push(lost(wrong)),
                // For the user it is over, and for a thread it never will be.
                _ if stuck() => all.push(judge::hang(kernel(), names)),
                Some(wrong) => all.push(lost(wrong)),
                None => all.extend(judge::never_joined(kernel())),
            },
            Some(Ending::Quiet) if wrong.is_empty() => all.push(judge::hang(kernel(), names)),
            _ => {}
        }
        all.extend(wrong.into_iter().take(1).map(lost));
        all
    }

    /// On which sides the guest runs. An exit takes it with it.
    fn runs(&self) -> [bool; 2] {
        let exits = kernel().exits();
        [SOURCE, DESTINATION]
            .map(|side| self.guests[side].look(|guest| guest.runs) && exits[side].is_none())
    }

    fn both_run(&self) -> bool {
        self.runs() == [true, true]
    }

    /// What is wrong with the guest, where it is.
    fn guest(&self) -> Option<String> {
        let both = self.story.look(|story| {
            let (here, there) = (story.status(SOURCE), story.status(DESTINATION));
            format!("the source is {here}, the destination {there}")
        });
        match self.runs() {
            [true, true] => Some(format!("the guest runs on both sides: {both}")),
            [false, false] => {
                let said = (0..2).filter_map(exited).collect::<Vec<_>>().join("; ");
                let why = if said.is_empty() { both } else { format!("{both}; {said}") };
                Some(format!("the guest runs nowhere: {why}"))
            }
            [true, false] if matches!(self.plan.deed, Deed::Nothing | Deed::Recover) => {
                Some(format!("the guest has not gone over: {both}"))
            }
            [true, false] => self.differs(SOURCE),
            [false, true] => {
                let whole = self.story.look(|story| story.status(DESTINATION) == "completed");
                if whole { self.differs(DESTINATION) } else { Some(format!("{both}: no end")) }
            }
        }
    }

    /// The first page of a side that is not what the guest wrote.
    fn differs(&self, side: usize) -> Option<String> {
        let pages = self.guests[SOURCE].look(|guest| guest.pages.clone());
        let guest = self.guests[side].clone();
        let wrong = move || {
            let differs =
                |page: &usize| guest.look(|guest| guest.page(*page)) != [pages[*page]; PAGE];
            (0..pages.len()).find(differs)
        };
        let page = pair::on(side as u8, wrong)?;
        let what = ["what the guest wrote", "what the source had"][side];
        Some(format!("page {page} of the {} is not {what}", PREFIXES[side].trim_end_matches('/')))
    }

    /// The statuses of both sides, to be counted.
    pub(super) fn outcome(&self) -> String {
        let exits = kernel().exits();
        let side = |story: &Story, side: usize| {
            let exit = exits[side].map_or(String::new(), |(_, code)| format!(" > exit({code})"));
            format!("{}{exit}", story.statuses[side].join(" > "))
        };
        self.story.look(|story| {
            format!("{}; destination {}", side(story, SOURCE), side(story, DESTINATION))
        })
    }
}

/// Whether a thread that was begun for the migration waits still, and not for time, or
/// any waits for a lock or with one.
pub fn stuck() -> bool {
    let waits = |thread: &Thread| match thread.waits.first() {
        Some(Key::Mutex(_)) => true,
        Some(_) => thread.deadline.is_none() && (!thread.idle || !thread.held.is_empty()),
        None => false,
    };
    kernel().threads.iter().any(|thread| !thread.scenario && waits(thread))
}

/// How a side has ended itself, and what it said last.
fn exited(side: usize) -> Option<String> {
    let state = kernel();
    let (tid, code) = state.exits()[side]?;
    let said = state.both_said()[side].last_line(tid);
    Some(format!("{} ends with exit({code}) and says: {said}", judge::name(state, tid)))
}
