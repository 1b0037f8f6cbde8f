//! Scenarios of a destination: a source of ours migrates to the user's QEMU.
//! Must not know: what counts as a finding.

use super::board::Board;
use super::channel::{Channel, listens};
use super::qmp::Qmp;
use super::task::{act, add, dawdle};
use crate::exec::judge::{self, Breach, Names};
use crate::exec::kernel::state::{Ending, Kernel, kernel};
use crate::exec::kernel::tasks::choose;
use crate::exec::kernel::sync::Op;
use crate::exec::peer::{self, Guest, Outcome, Script, Shared, Source, State, Status};
use crate::exec::kernel::uffd;
use crate::exec::search::Scenario;
use crate::lock::Rule;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};

/// The names of QEMU's listeners.
pub const MONITOR: &str = "qmp";
pub const INCOMING: &str = "incoming";
pub const RECOVER: &str = "recover";
/// In nanoseconds: shorter than any of the timers that QEMU has then.
const MOMENT: u64 = 1_000_000;

/// Where the network fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Break {
    Never,
    /// While the guest runs on the destination, pages are missing, and the source
    /// has had a request for one.
    Running,
    /// Anywhere after the source has gone over to postcopy.
    Anywhere,
}

/// What is done to the destination.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub guest: Guest,
    pub script: Script,
    /// Where the network fails once, to be mended.
    pub breaks: Break,
    /// The user recovers at once, not when QEMU has come to rest.
    pub hasty: bool,
    /// So many vCPUs touch every page once the guest runs.
    pub vcpus: usize,
}

/// The source's end of a slow network: once few pages are left, nothing more gets
/// through until it fails.
#[derive(Clone)]
struct Slow {
    channel: Channel,
    state: Arc<Board<State>>,
    story: Arc<Board<Story>>,
    /// Pages that are left when it stalls.
    left: usize,
}

impl peer::Wire for Slow {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let stalls = |state: &mut State| {
            state.status == Status::PostcopyActive && state.pending() < self.left
        };
        if self.state.with(stalls) {
            self.story.wait(|story| story.cut.then_some(()));
        }
        self.channel.send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.channel.recv(bytes)
    }

    fn shutdown(&mut self) {
        self.channel.shutdown();
    }
}

/// What the tasks of an execution tell one another.
#[derive(Debug, Default)]
pub struct Story {
    /// The guest runs on the destination.
    runs: bool,
    /// The destination listens again.
    recovers: bool,
    /// The source has gone over to postcopy.
    pub postcopy: bool,
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

impl Shared for Board<State> {
    fn with<R>(&self, look: impl FnOnce(&mut State) -> R) -> R {
        Board::with(self, look)
    }

    fn wait<R>(&self, ready: impl FnMut(&mut State) -> Option<R>) -> R {
        Board::wait(self, ready)
    }
}

/// The boot task: negotiates, sets the capabilities, and lets QEMU listen; gives
/// its monitor connection.
pub fn boot(script: &Script) -> Result<Qmp, String> {
    while !listens(MONITOR) {
        act(Op::Yield);
    }
    let mut qmp = Qmp::connect(MONITOR)?;
    let on = |name: &str| json!({ "capability": name, "state": true });
    let mut capabilities = vec![on("events")];
    if script.postcopy {
        capabilities.push(on("postcopy-ram"));
    }
    if script.preempt {
        capabilities.push(on("postcopy-preempt"));
    }
    if script.return_path {
        capabilities.push(on("return-path"));
    }
    qmp.command("migrate-set-capabilities", json!({ "capabilities": capabilities }))?;
    qmp.command("migrate-incoming", json!({ "uri": format!("unix:{INCOMING}") }))?;
    Ok(qmp)
}

/// The scenario, ready to be run: with QEMU's monitor, and the story of the
/// execution that runs.
pub struct Running {
    pub incoming: Incoming,
    pub monitor: Qmp,
    story: Mutex<Option<Arc<Board<Story>>>>,
}

impl Running {
    pub fn new(incoming: Incoming, monitor: Qmp) -> Running {
        Running { incoming, monitor, story: Mutex::new(None) }
    }

    fn story<R>(&self, look: impl FnOnce(&Story) -> R) -> R {
        let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        story.as_ref().expect("an execution has begun").look(|story| look(story))
    }
}

impl Running {
    /// What the story adds to what the end alone says.
    fn told(&self, story: &Story, state: &Kernel, names: &dyn Names) -> Vec<Breach> {
        let mut all = Vec::new();
        // Until the source has sent the package, the guest is safe with it.
        if story.postcopy {
            all.extend(judge::lost(state));
        }
        let done = story.finished() && story.vcpus_done == self.incoming.vcpus;
        let failed = matches!(story.source, Some(Outcome::Failed(_)));
        match state.over {
            Some(Ending::Quiet) if done => {
                all.extend(self.incoming.compare());
                all.extend(judge::never_joined(state));
            }
            Some(Ending::Quiet) if failed && story.postcopy => {
                let here = story.statuses.last().map_or("none", String::as_str);
                let message = format!("the source has failed, the destination is {here}");
                all.push(Breach::new(Rule::GuestLost, message));
            }
            Some(Ending::Quiet) if failed => {}
            Some(Ending::Quiet) => all.push(judge::hang(state, names)),
            _ => {}
        }
        let wrong = |wrong: &String| Breach::new(Rule::GuestLost, wrong.clone());
        all.extend(story.wrong.iter().take(1).map(wrong));
        all
    }
}

impl Scenario for Running {
    fn begin(&self) {
        let story = self.incoming.begin(&self.monitor);
        *self.story.lock().unwrap_or_else(PoisonError::into_inner) = Some(story);
    }

    fn judge(&self, names: &dyn Names) -> Vec<Breach> {
        let state = kernel();
        let mut all = judge::general(state, names);
        self.story(|story| all.extend(self.told(story, state, names)));
        all
    }

    fn outcome(&self) -> String {
        self.story(|story| {
            let source = match &story.source {
                None => "waits".to_string(),
                Some(Outcome::Completed) => "completed".into(),
                Some(Outcome::Paused) => "paused".into(),
                Some(Outcome::Failed(_)) => "failed".into(),
                Some(Outcome::Hangs(_)) => "hangs".into(),
            };
            format!("{}; source {source}", story.statuses.join(" > "))
        })
    }
}

impl Story {
    /// Both sides are done, whatever came of it.
    fn finished(&self) -> bool {
        self.source == Some(Outcome::Completed)
            && self.statuses.last().is_some_and(|status| status == "completed")
    }
}

impl Incoming {
    /// The guest's memory, page by page, with what the source had.
    fn compare(&self) -> Option<Breach> {
        let (start, bytes) = kernel().faults.largest;
        let pages = &self.guest.blocks[0].pages;
        if bytes == 0 && self.script.postcopy {
            return Some(Breach::new(Rule::GuestLost, "no memory was registered"));
        }
        let differs = |page: &usize| uffd::page(start + page * 4096) != [pages[*page]; 4096];
        let page = (0..bytes / 4096).find(differs)?;
        let message = format!("page {page} is not what the source sent");
        Some(Breach::new(Rule::GuestLost, message))
    }

    /// Adds the tasks of one execution; gives what they will have to tell.
    pub fn begin(&self, monitor: &Qmp) -> Arc<Board<Story>> {
        let story = Arc::new(Board::new(Story::default()));
        let state = Arc::new(Board::new(State::new(&self.guest)));
        let wire: Arc<Board<Option<Channel>>> = Arc::new(Board::new(None));
        {
            let (this, state, story, wire) =
                (self.clone(), state.clone(), story.clone(), wire.clone());
            add("source", move || this.source(&state, &story, &wire));
        }
        {
            let (this, state, story, wire) =
                (self.clone(), state.clone(), story.clone(), wire.clone());
            add("source return path", move || this.return_paths(&state, &story, &wire));
        }
        {
            let (this, story, qmp) = (self.clone(), story.clone(), monitor.clone());
            add("management", move || this.management(&story, qmp.clone()));
        }
        if self.breaks != Break::Never {
            let (breaks, state, story, wire) =
                (self.breaks, state.clone(), story.clone(), wire.clone());
            add("network", move || network(breaks, &state, &story, &wire));
        }
        for nth in 0..self.vcpus {
            let (this, story) = (self.clone(), story.clone());
            add(&format!("vcpu {nth}"), move || this.vcpu(&story));
        }
        story
    }

    /// The source's migration thread.
    fn source(
        &self,
        state: &Arc<Board<State>>,
        story: &Arc<Board<Story>>,
        wire: &Board<Option<Channel>>,
    ) {
        let mut connect = || -> std::io::Result<Box<dyn peer::Wire + Send>> {
            Ok(Box::new(Channel::connect(INCOMING)?))
        };
        let mut source = Source::new(&self.guest, &self.script, &**state);
        let channel = match Channel::connect(INCOMING) {
            Ok(channel) => channel,
            Err(error) => return story.with(|story| story.wrong.push(error.to_string())),
        };
        state.with(State::open_return_path);
        wire.with(|wire| *wire = Some(channel));
        let stalls = self.breaks == Break::Running;
        let late = self.guest.blocks[0].pages.len() - self.script.precopy_pages;
        let left = if stalls { 1 + choose(late - 1) } else { 0 };
        let slow = Slow { channel, state: state.clone(), story: story.clone(), left };
        let mut outcome = source.migrate(slow, &mut connect);
        let over = state.with(|state| state.status != Status::Active);
        story.with(|story| story.postcopy = over);
        while outcome == Outcome::Paused {
            story.wait(|story| story.recovers.then_some(()));
            story.with(|story| story.recovers = false);
            let channel = match Channel::connect(RECOVER) {
                Ok(channel) => channel,
                Err(error) => return story.with(|story| story.wrong.push(error.to_string())),
            };
            state.with(State::open_return_path);
            wire.with(|wire| *wire = Some(channel));
            outcome = source.recover(channel, &mut connect);
        }
        if let Some(channel) = wire.with(|wire| wire.take()) {
            channel.close();
        }
        story.with(|story| story.source = Some(outcome));
        self.rest(story);
    }

    /// The source's return path thread, one connection after the other.
    fn return_paths(
        &self,
        state: &Board<State>,
        story: &Board<Story>,
        wire: &Board<Option<Channel>>,
    ) {
        let mut last = None;
        while let Some(channel) = wire.wait(|wire| match *wire {
            Some(channel) if Some(channel) != last => Some(Some(channel)),
            _ => None,
        }) {
            last = Some(channel);
            peer::return_path(&self.guest, &self.script, state, channel);
            if story.with(|story| story.source.is_some()) {
                break;
            }
        }
    }

    /// The user of the destination: sees what happens, and recovers.
    fn management(&self, story: &Board<Story>, mut qmp: Qmp) {
        loop {
            let event = match qmp.event() {
                Ok(event) => event,
                Err(error) => return story.with(|story| story.wrong.push(error)),
            };
            if event["event"] == "RESUME" {
                story.with(|story| story.runs = true);
            }
            if event["event"] != "MIGRATION" {
                continue;
            }
            let status = event["data"]["status"].as_str().unwrap_or_default().to_string();
            let paused = status == "postcopy-paused";
            story.with(|story| story.statuses.push(status));
            self.rest(story);
            if paused {
                if !self.hasty {
                    // Time goes on when nothing can run: all threads are at rest.
                    let until = kernel().now + MOMENT;
                    act(Op::Sleep { until, asleep: false });
                }
                let uri = json!({ "uri": format!("unix:{RECOVER}") });
                match qmp.out_of_band("migrate-recover", uri) {
                    Ok(_) => story.with(|story| story.recovers = true),
                    Err(error) => return story.with(|story| story.wrong.push(error)),
                }
            }
        }
    }

    /// A vCPU: touches every page of the guest, in an order that is picked.
    fn vcpu(&self, story: &Board<Story>) {
        story.wait(|story| story.runs.then_some(()));
        let pages = &self.guest.blocks[0].pages;
        let start = choose(pages.len());
        for nth in 0..pages.len() {
            let page = (start + nth * 7) % pages.len();
            let address = kernel().faults.largest.0 + page * 4096;
            act(Op::Fault { address });
            let found = uffd::byte(address);
            if found != pages[page] {
                let what = if found == 0 { "zeros" } else { "something else" };
                let wrong = format!("a vCPU read {what} where the source had data");
                story.with(|story| story.wrong.push(wrong));
            }
        }
        story.with(|story| story.vcpus_done += 1);
        self.rest(story);
    }

    /// Once all is done, the execution need not wait for QEMU's timers.
    fn rest(&self, story: &Board<Story>) {
        let all = |story: &Story| story.finished() && story.vcpus_done == self.vcpus;
        if story.look(all) {
            kernel().ends_idle = true;
        }
    }
}

/// Fails once.
fn network(
    breaks: Break,
    state: &Board<State>,
    story: &Board<Story>,
    wire: &Board<Option<Channel>>,
) {
    state.wait(|state| (state.status == Status::PostcopyActive).then_some(()));
    if breaks == Break::Running {
        story.wait(|story| story.runs.then_some(()));
        state.wait(|state| (state.requested > 0).then_some(()));
    }
    dawdle(40);
    if story.with(|story| story.source.is_some()) {
        return;
    }
    if let Some(channel) = wire.with(|wire| *wire) {
        channel.cut();
        story.with(|story| story.cut = true);
    }
}
