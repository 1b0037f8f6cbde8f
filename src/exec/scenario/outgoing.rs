//! Scenarios of a source: the user's QEMU migrates to a destination of ours, while
//! its guest writes to its memory; the user cancels, or the network fails.
//! Must not know: what counts as a finding.

use super::board::Board;
use super::channel::{Channel, listens};
use super::guest::{Memory, PAGE};
use super::incoming::MONITOR;
use super::lanes::{self, Lanes};
use super::multifd;
use super::qmp::Qmp;
use super::restless;
use super::task::{act, add};
use crate::exec::judge::{self, Breach, Names};
use crate::exec::kernel::state::{Ending, Kernel, kernel};
use crate::exec::kernel::sync::Op;
use crate::exec::peer::{Outcome, Receiving};
use crate::exec::search::Scenario;
use crate::lock::Rule;
use crate::sim::stream::Content;
use crate::sim::{Side, Version};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the destination's listener.
pub const OUTGOING: &str = "outgoing";
/// Bytes that a network holds which is about to fail: fewer than are left to be sent.
const ROOM: usize = 16 << 10;
/// The same, fewer than a switchover sends.
const LITTLE: usize = 256;

/// What is done to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Nothing,
    /// The user cancels, at any step, and migrates again.
    Cancel,
    /// The network fails in postcopy, or the user pauses, while pages are left to be
    /// sent; the user resumes.
    Pause,
    /// The same, however few are left.
    Late,
    /// The network fails at any step.
    Break,
}

/// A source.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub pages: Vec<u8>,
    pub postcopy: bool,
    pub deed: Deed,
    /// The guest runs on the destination as soon as that has it; else (`-S`) when
    /// the source says that it has gone, as libvirt does it.
    pub autostart: bool,
    /// The user cancels before there is a connection, too, and migrates again as
    /// soon as a migration is said to have failed.
    pub hasty: bool,
    /// The user also gives commands that nothing calls for.
    pub restless: bool,
    /// The user limits the bandwidth of postcopy.
    pub slow: bool,
    /// The network holds little: the source waits while the destination has not read.
    pub narrow: bool,
    /// Nothing comes through the network any more while RAM is sent, and it does not
    /// fail, until the migration is over.
    pub stuck: bool,
    /// Nothing comes through the network for a while, once the source's guest has
    /// stopped.
    pub stalls: bool,
    /// The source goes on sending until it knows that its package was loaded, and can
    /// be paused only then (postcopy-device, since 10.2).
    pub device: bool,
    /// So many threads of the guest.
    pub threads: usize,
    /// Channels for pages alone.
    pub multifd: usize,
    pub version: Version,
}

impl Outgoing {
    /// Nothing is done to the migration: it has to end well.
    fn is_left_alone(&self) -> bool {
        self.deed == Deed::Nothing && !self.restless && !self.stuck && !self.stalls
    }

    /// Pages have to be left when the source knows that its package was loaded: it
    /// must not send all of them before. Requests would keep it busy until the next
    /// window, so there are none then.
    pub(super) fn holds_back(&self) -> bool {
        self.device && self.deed == Deed::Pause
    }
}

/// What the tasks of an execution tell one another.
#[derive(Debug, Default)]
pub struct Story {
    /// The connection that the destination has.
    pub channel: Option<Channel>,
    /// The guest runs on the destination.
    pub runs: bool,
    /// The destination has all that it needs, and could run the guest.
    pub loaded: bool,
    /// Nothing comes through the network, or nothing came for a while.
    pub stalled: bool,
    /// The network has failed, or the user pauses.
    pub cut: bool,
    /// The destination has given up.
    pub failed: bool,
    /// What the destination came to, by connection.
    pub destination: Vec<Outcome>,
    /// The pages that it has.
    pub pages: Vec<Option<Content>>,
    /// The source's statuses in order, of all its migrations.
    pub statuses: Vec<String>,
    /// One of two users is in the middle of a command.
    pub types: bool,
    /// A restless user gives no more commands that nothing calls for.
    pub calm: bool,
    /// Whether each command that a restless user gave was done.
    pub answers: Vec<bool>,
    /// The user's work is done.
    pub done: bool,
    pub wrong: Vec<String>,
}

impl Story {
    /// How often the source has paused.
    pub(super) fn paused(&self) -> usize {
        self.statuses.iter().filter(|status| *status == "postcopy-paused").count()
    }
}

/// The boot task: negotiates, fills the guest's memory, sets the capabilities;
/// gives the monitor connection.
pub fn boot(outgoing: &Outgoing) -> Result<Qmp, String> {
    while !listens(MONITOR) {
        act(Op::Yield);
    }
    let mut qmp = Qmp::connect(MONITOR)?;
    Memory::fill(outgoing.pages.clone());
    let on = |name: &str| json!({ "capability": name, "state": true });
    let mut capabilities = vec![on("events")];
    if outgoing.postcopy {
        capabilities.push(on("postcopy-ram"));
    }
    if outgoing.multifd > 0 {
        capabilities.push(on("multifd"));
        qmp.command("migrate-set-parameters", multifd::parameters())?;
    }
    qmp.command("migrate-set-capabilities", json!({ "capabilities": capabilities }))?;
    Ok(qmp)
}

/// The arguments of `migrate` after a pause.
pub(super) fn resume() -> Value {
    json!({ "uri": format!("unix:{OUTGOING}"), "resume": true })
}

/// The boards of an execution.
type Boards = (Arc<Board<Story>>, Arc<Board<Memory>>);

/// The scenario, ready to be run.
pub struct Running {
    outgoing: Outgoing,
    monitor: Qmp,
    memory: Memory,
    now: Mutex<Option<Boards>>,
}

impl Running {
    /// # Errors
    /// If the guest's memory was not found.
    pub fn new(outgoing: Outgoing, monitor: Qmp) -> Result<Running, String> {
        let memory = Memory::filled(0).ok_or("the guest's memory is not where it should be")?;
        Ok(Running { outgoing, monitor, memory, now: Mutex::new(None) })
    }

    fn look<R>(&self, look: impl FnOnce(&Story, &Memory) -> R) -> R {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (story, guest) = now.as_ref().expect("an execution has begun");
        story.look(|story| guest.look(|guest| look(story, guest)))
    }

    fn told(
        &self,
        story: &Story,
        guest: &Memory,
        state: &Kernel,
        names: &dyn Names,
    ) -> Vec<Breach> {
        let mut all = Vec::new();
        if !story.loaded {
            all.extend(judge::lost(state));
        }
        let lost = |wrong: String| Breach::new(Rule::GuestLost, wrong);
        match state.over {
            Some(Ending::Quiet) if story.done => {
                all.extend(compare(story, guest).map(lost));
                if guest.runs && !story.runs && self.outgoing.is_left_alone() {
                    let here = story.statuses.last().map_or("none", String::as_str);
                    all.push(judge::not_gone(&format!("the source is {here}")));
                }
                all.extend(judge::never_joined(state));
            }
            Some(Ending::Quiet) if story.wrong.is_empty() => all.push(judge::hang(state, names)),
            _ => {}
        }
        all.extend(story.wrong.iter().cloned().map(lost));
        all
    }
}

/// Whether the guest is whole at the end, and where it should be.
fn compare(story: &Story, guest: &Memory) -> Option<String> {
    let here = (0..guest.pages.len()).find(|page| guest.page(*page) != [guest.pages[*page]; 4096]);
    if let Some(page) = here {
        return Some(format!("page {page} of the source is not what the guest wrote"));
    }
    match (guest.runs, story.runs) {
        (false, false) => return Some("the guest runs nowhere".into()),
        (true, true) => return Some("the guest runs on both sides".into()),
        (true, false) => return None,
        (false, true) => {}
    }
    let differs = |page: &usize| match story.pages.get(*page) {
        Some(Some(Content::Zero)) => guest.pages[*page] != 0,
        Some(Some(Content::Data(data))) => data.iter().any(|byte| *byte != guest.pages[*page]),
        _ => true,
    };
    let page = (0..guest.pages.len()).find(differs)?;
    Some(format!("page {page} on the destination is not what the source had"))
}

impl Scenario for Running {
    fn begin(&self) {
        let guest = self.memory.begin(self.outgoing.threads);
        let story = Arc::new(Board::new(Story::default()));
        let listener = Channel::listen(OUTGOING);
        let narrow = self.outgoing.deed == Deed::Pause || self.outgoing.narrow;
        // After many recoveries little is left.
        let room = match &self.outgoing {
            Outgoing { stalls: true, .. } => LITTLE,
            Outgoing { restless: true, .. } => PAGE,
            _ => ROOM,
        };
        kernel().files.room = narrow.then_some(room);
        let lanes = Arc::new(Board::new(Lanes::default()));
        let receiving = Arc::new(Board::new(Receiving::default()));
        for nth in 0..self.outgoing.multifd {
            let (lanes, receiving) = (lanes.clone(), receiving.clone());
            let name = format!("destination multifd {nth}");
            add(&name, move || lanes::thread(nth, &lanes, &receiving));
        }
        {
            let (this, story, guest) = (self.outgoing.clone(), story.clone(), guest.clone());
            let lanes = lanes.clone();
            add("destination", move || {
                this.destination(listener, &story, &guest, &(lanes.clone(), receiving.clone()));
            });
        }
        {
            let (this, story, guest) = (self.outgoing.clone(), story.clone(), guest.clone());
            let qmp = self.monitor.clone();
            add("management", move || {
                let result = this.management(&story, &guest, qmp.clone());
                story.with(|story| match result {
                    Ok(()) => story.done = true,
                    Err(wrong) => story.wrong.push(wrong),
                });
                kernel().ends_idle = true;
            });
        }
        if self.outgoing.restless {
            let (this, story, qmp) = (self.outgoing.clone(), story.clone(), self.monitor.clone());
            add("restless user", move || this.restless(&story, qmp.clone()));
        }
        if matches!(self.outgoing.deed, Deed::Pause | Deed::Late | Deed::Break) {
            let (this, story) = (self.outgoing.clone(), story.clone());
            add("network", move || this.network(&story, &lanes));
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((story, guest));
    }

    fn judge(&self, names: &dyn Names) -> Vec<Breach> {
        let state = kernel();
        let mut all = judge::general(state, names);
        self.look(|story, guest| all.extend(self.told(story, guest, state, names)));
        all
    }

    fn side(&self) -> Option<Side> {
        Some(Side::Source)
    }

    fn outcome(&self) -> String {
        self.look(|story, _| {
            let destination: Vec<&str> = story.destination.iter().map(word).collect();
            let refused = restless::refused(&story.answers);
            let (statuses, destination) = (story.statuses.join(" > "), destination.join(" > "));
            format!("{statuses}; destination {destination}{refused}")
        })
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Paused => "paused",
        Outcome::Failed(_) => "failed",
        Outcome::Hangs(_) => "hangs",
    }
}
