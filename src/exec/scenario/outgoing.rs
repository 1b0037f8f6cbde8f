//! Scenarios of a source: the user's QEMU migrates to a destination of ours, while
//! its guest writes to its memory; the user cancels, or the network fails.
//! Must not know: what counts as a finding.

use super::board::Board;
use super::channel::{Channel, listens};
use super::guest::Memory;
use super::incoming::MONITOR;
use super::qmp::Qmp;
use super::task::{act, add, dawdle};
use crate::exec::judge::{self, Breach, Names};
use crate::exec::kernel::state::{Ending, Kernel, kernel};
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{self, Asks, Destination, Outcome};
use crate::exec::search::Scenario;
use crate::lock::Rule;
use crate::sim::stream::Content;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

/// The name of the destination's listener.
const OUTGOING: &str = "outgoing";
/// In nanoseconds: shorter than any of the timers that QEMU has then.
const MOMENT: u64 = 1_000_000;
/// Between two looks of the rate limit (`BUFFER_DELAY`).
const WINDOW: u64 = 100_000_000;
/// Bytes a second: less than a page in a window.
const SLOW: u32 = 500;
/// Bytes that a network holds which is about to fail: fewer than are left to be sent.
const ROOM: usize = 16 << 10;
/// Writes of each thread of the guest, a migration.
const WRITES: usize = 4;
/// Places to switch that somebody may wait for, before the network or the user
/// does something.
const LONG: usize = 200;

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
    /// So many threads of the guest.
    pub threads: usize,
}

/// What the tasks of an execution tell one another.
#[derive(Debug, Default)]
struct Story {
    /// Connections that the destination has had.
    channel: Option<Channel>,
    /// The guest runs on the destination.
    runs: bool,
    /// The destination has all that it needs, and could run the guest.
    loaded: bool,
    /// The network has failed, or the user pauses.
    cut: bool,
    /// The destination has given up.
    failed: bool,
    /// What the destination came to, by connection.
    destination: Vec<Outcome>,
    /// The pages that it has.
    pages: Vec<Option<Content>>,
    /// The source's statuses in order, of all its migrations.
    statuses: Vec<String>,
    /// The user's work is done.
    done: bool,
    wrong: Vec<String>,
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
    qmp.command("migrate-set-capabilities", json!({ "capabilities": capabilities }))?;
    Ok(qmp)
}

/// The scenario, ready to be run.
pub struct Running {
    outgoing: Outgoing,
    monitor: Qmp,
    memory: Memory,
    now: Mutex<Option<(Arc<Board<Story>>, Arc<Board<Memory>>)>>,
}

impl Running {
    /// # Errors
    /// If the guest's memory was not found.
    pub fn new(outgoing: Outgoing, monitor: Qmp) -> Result<Running, String> {
        let memory = Memory::filled().ok_or("the guest's memory is not where it should be")?;
        Ok(Running { outgoing, monitor, memory, now: Mutex::new(None) })
    }

    fn look<R>(&self, look: impl FnOnce(&Story, &Memory) -> R) -> R {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (story, guest) = now.as_ref().expect("an execution has begun");
        story.look(|story| guest.look(|guest| look(story, guest)))
    }

    fn told(&self, story: &Story, guest: &Memory, state: &Kernel, names: &dyn Names) -> Vec<Breach> {
        let mut all = Vec::new();
        if !story.loaded {
            all.extend(judge::lost(state));
        }
        let lost = |wrong: String| Breach::new(Rule::GuestLost, wrong);
        match state.over {
            Some(Ending::Quiet) if story.done => {
                all.extend(compare(story, guest).map(lost));
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
        kernel().files.room = (self.outgoing.deed == Deed::Pause).then_some(ROOM);
        {
            let (this, story, guest) = (self.outgoing.clone(), story.clone(), guest.clone());
            add("destination", move || this.destination(listener, &story, &guest));
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
        if matches!(self.outgoing.deed, Deed::Pause | Deed::Late | Deed::Break) {
            let (this, story) = (self.outgoing.clone(), story.clone());
            add("network", move || this.network(&story));
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some((story, guest));
    }

    fn judge(&self, names: &dyn Names) -> Vec<Breach> {
        let state = kernel();
        let mut all = judge::general(state, names);
        self.look(|story, guest| all.extend(self.told(story, guest, state, names)));
        all
    }

    fn outcome(&self) -> String {
        self.look(|story, _| {
            let destination: Vec<&str> = story.destination.iter().map(word).collect();
            format!("{}; destination {}", story.statuses.join(" > "), destination.join(" > "))
        })
    }
}

/// The destination's end of a network, through which nothing comes any more once the
/// guest has gone over, until it fails.
#[derive(Clone)]
struct Line {
    channel: Channel,
    /// None: it does not fail so.
    story: Option<Arc<Board<Story>>>,
}

impl peer::Wire for Line {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.channel.send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        if let Some(story) = &self.story {
            story.wait(|story| (!story.loaded || story.cut).then_some(()));
        }
        self.channel.recv(bytes)
    }

    fn shutdown(&mut self) {
        self.channel.shutdown();
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

impl Outgoing {
    /// The destination: a new one for each migration, the same after a pause.
    fn destination(&self, listener: Channel, story: &Arc<Board<Story>>, guest: &Arc<Board<Memory>>) {
        let mut paused: Option<Destination<Line>> = None;
        loop {
            let Ok(channel) = listener.accept() else { return };
            story.with(|story| story.channel = Some(channel));
            let (outcome, destination) = match paused.take() {
                Some(mut destination) => {
                    let line = self.line(channel, story);
                    (destination.recover(line.clone(), line), destination)
                }
                None => {
                    let mut destination = self.fresh(story, guest);
                    let line = self.line(channel, story);
                    (destination.load(line.clone(), line), destination)
                }
            };
            let pages = destination.blocks.get("ram").cloned().unwrap_or_default();
            story.with(|story| story.pages = pages);
            if outcome == Outcome::Paused {
                paused = Some(destination);
            }
            channel.close();
            story.with(|story| {
                story.channel = None;
                story.failed |= matches!(outcome, Outcome::Failed(_));
                story.destination.push(outcome);
            });
        }
    }

    fn line(&self, channel: Channel, story: &Arc<Board<Story>>) -> Line {
        Line { channel, story: (self.deed == Deed::Pause).then(|| story.clone()) }
    }

    /// A destination whose guest asks for some pages once it runs.
    fn fresh(&self, story: &Arc<Board<Story>>, guest: &Arc<Board<Memory>>) -> Destination<Line> {
        let pages = (0..choose(6)).map(|_| ("ram".into(), choose(self.pages.len()))).collect();
        let mut destination = Destination::new(Asks { pages, pause_after: None });
        let (autostart, story, guest) = (self.autostart, story.clone(), guest.clone());
        destination.starts = Some(Box::new(move || {
            story.with(|story| story.loaded = true);
            if autostart {
                start(&story, &guest);
            }
        }));
        destination
    }

    /// The network fails once.
    fn network(&self, story: &Board<Story>) {
        if self.deed != Deed::Break {
            story.wait(|story| story.runs.then_some(()));
            // Or the user pauses.
            if choose(3) == 0 {
                return;
            }
        } else {
            story.wait(|story| story.channel);
        }
        self.later();
        story.with(|story| story.cut = true);
        if let Some(channel) = story.with(|story| story.channel) {
            channel.cut();
        }
    }

    /// At some time.
    fn later(&self) {
        if choose(2) == 0 {
            let until = kernel().now + choose(20) as u64 * WINDOW + 1;
            act(Op::Sleep { until, asleep: false });
        }
        dawdle(LONG);
    }

    /// The user of the source.
    fn management(
        &self,
        story: &Board<Story>,
        guest: &Board<Memory>,
        mut qmp: Qmp,
    ) -> Result<(), String> {
        // Without a limit; some pages in a window; a page in a window.
        let slow = self.deed == Deed::Pause;
        let speed = if slow { SLOW } else { [0, 200_000, SLOW][choose(3)] };
        let parameters = json!({
            "max-bandwidth": speed,
            "downtime-limit": 1,
        });
        qmp.command("migrate-set-parameters", parameters)?;
        // Without one, the source does not hear what became of the destination.
        let hears = self.postcopy || self.deed == Deed::Break || choose(2) == 0;
        let capability = json!([{ "capability": "return-path", "state": hears }]);
        qmp.command("migrate-set-capabilities", json!({ "capabilities": capability }))?;
        for attempt in 1..3 {
            guest.with(|guest| guest.allowed = attempt * WRITES);
            if let Err(wrong) = qmp.command("migrate", json!({ "uri": format!("unix:{OUTGOING}") })) {
                // Nothing should happen then; it is seen what does.
                let wrong = format!("migration {attempt} is refused: {wrong}");
                story.with(|story| story.wrong.push(wrong));
            }
            if self.postcopy {
                if !slow && choose(2) == 0 {
                    dawdle(20);
                }
                // Too late if the migration is done.
                qmp.command("migrate-start-postcopy", json!({})).ok();
            }
            if self.deed == Deed::Cancel && attempt == 1 {
                if !self.hasty {
                    self.follow(story, guest, &mut qmp, &["active"])?;
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
                        return Err(format!("the source is {status}: the guest runs on both sides"));
                    }
                    (false, false) if self.hasty => {}
                    (false, false) => {
                        return Err(format!("the source is {status}: the guest runs nowhere"));
                    }
                    (false, true) => {
                        let other = story.with(|story| story.destination.last().cloned());
                        return match other {
                            Some(Outcome::Completed) => Ok(()),
                            _ => Err(format!("the source is {status}, the destination cannot go on")),
                        };
                    }
                    // The destination of a migration that failed is thrown away.
                    (true, false) => story.with(|story| (story.loaded, story.failed) = (false, false)),
                },
            }
        }
        Err("the second migration comes to nothing".into())
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
        let mut pauses = matches!(self.deed, Deed::Pause | Deed::Late);
        loop {
            let event = qmp.event()?;
            if event["event"] != "MIGRATION" {
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
                    let to = json!({ "uri": format!("unix:{OUTGOING}"), "resume": true });
                    qmp.command("migrate", to)?;
                }
                _ => {}
            }
        }
    }
}

/// The guest begins to run on the destination.
fn start(story: &Board<Story>, guest: &Board<Memory>) {
    let both = guest.look(|guest| guest.runs);
    story.with(|story| {
        story.runs = true;
        if both {
            story.wrong.push("the guest runs on the destination, and on the source still".into());
        }
    });
}

/// Lets all come to rest: time goes on when nothing can run.
fn rests() {
    let until = kernel().now + MOMENT;
    act(Op::Sleep { until, asleep: false });
}
