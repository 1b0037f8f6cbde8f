//! Scenarios of two QEMUs, both the user's: the source migrates to the destination
//! while its guest writes to its memory, and vCPUs touch it on the other side.
//! Must not know: what counts as a finding.

pub mod judge;
pub mod network;
pub mod table;
pub mod user;

use self::table::{Deed, Plan};
use super::board::Board;
use super::channel::listens;
use super::guest::Memory;
use super::incoming::INCOMING;
use super::qmp::Qmp;
use super::table::HANDLERS;
use super::task::{act, add, add_on, task};
use super::vcpu;
use super::{VCPUS, pages};
use crate::exec::contract::Contract;
use crate::exec::judge::{Breach, Names};
use crate::exec::kernel::boot::Body;
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::kernel::uffd;
use crate::exec::search::Scenario;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How threads of the sides are named.
pub const PREFIXES: [&str; 2] = ["source/", "destination/"];
/// The names of the monitors.
const MONITORS: [&str; 2] = ["qmp-source", "qmp-destination"];
/// Where the destination listens for a recovery: a short name, since QEMU reads
/// commands a byte at a time.
pub const RECOVER: &str = "r";
/// The sides.
pub const SOURCE: usize = 0;
pub const DESTINATION: usize = 1;
/// Channels of a multifd migration.
const CHANNELS: usize = 2;

/// What the tasks of an execution tell one another.
#[derive(Debug, Default)]
pub struct Story {
    /// By side, what QEMU has answered and nobody has looked at yet.
    answers: [VecDeque<Result<Value, String>>; 2],
    /// By side, the statuses in order.
    pub statuses: [Vec<String>; 2],
    /// By side: its monitor is closed.
    pub gone: [bool; 2],
    /// The user has begun.
    begun: bool,
    /// The network has failed.
    pub cut: bool,
    /// vCPUs that have seen each page.
    pub vcpus_done: usize,
    /// The user's work is done.
    pub done: bool,
    pub wrong: Vec<String>,
}

impl Story {
    /// The last status of a side: nothing comes after "completed" but the event of a
    /// status that was before it.
    pub fn status(&self, side: usize) -> &str {
        let all = &self.statuses[side];
        let end = all.iter().find(|status| *status == "completed").or(all.last());
        end.map_or("none", String::as_str)
    }
}

/// A scenario before boot.
pub struct Setup {
    plan: Plan,
    contract: Contract,
    monitors: [Monitor; 2],
}

type Monitor = Arc<Mutex<Option<Result<Qmp, String>>>>;

/// The scenario of a name, for a QEMU of a version.
pub fn find(name: &str, version: &str) -> Option<Setup> {
    let plan = *table::ALL.iter().find(|plan| plan.name == name)?;
    Some(Setup { plan, contract: Contract::of(version), monitors: Default::default() })
}

/// Whether it takes two processes.
pub fn is_pair(name: &str) -> bool {
    table::ALL.iter().any(|plan| plan.name == name)
}

impl Setup {
    /// Both QEMUs' command lines.
    pub fn arguments(&self, traces: bool) -> [Vec<String>; 2] {
        let mut both = [SOURCE, DESTINATION]
            .map(|side| super::arguments(MONITORS[side], side == DESTINATION, HANDLERS, traces));
        if !self.plan.autostart {
            both[DESTINATION].push("-S".into());
        }
        both
    }

    /// The tasks that see boot through.
    pub fn boot(&self) -> [Body; 2] {
        [SOURCE, DESTINATION].map(|side| {
            let (plan, monitor) = (self.plan, self.monitors[side].clone());
            task(move || {
                let qmp = plan.boot(side);
                *monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(qmp);
            })
        })
    }

    /// After boot.
    ///
    /// # Errors
    /// If management failed, or a guest's memory was not found.
    pub fn ready(self) -> Result<Arc<dyn Scenario>, String> {
        let mut monitors = Vec::new();
        for monitor in &self.monitors {
            let qmp = monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
            monitors.push(qmp.ok_or("boot did not come to an end")??);
        }
        let mut memories = Vec::new();
        for side in [0, 1] {
            let memory = Memory::filled(side);
            memories.push(memory.ok_or("the guest's memory is not where it should be")?);
        }
        let (plan, contract, now) = (self.plan, self.contract, Mutex::new(None));
        Ok(Arc::new(Running { plan, contract, monitors, memories, now }))
    }
}

impl Plan {
    /// The boot task of a side: negotiates, fills the guest's memory, sets what is to
    /// be the same on both sides.
    fn boot(&self, side: usize) -> Result<Qmp, String> {
        while !listens(MONITORS[side]) {
            act(Op::Yield);
        }
        let mut qmp = Qmp::connect(MONITORS[side])?;
        // What the destination has before is zero.
        Memory::fill(if side == SOURCE { pages() } else { vec![0; pages().len()] });
        let mut capabilities = vec!["events", "return-path"];
        for (name, on) in [
            ("postcopy-ram", self.postcopy),
            ("multifd", self.multifd),
            ("postcopy-preempt", self.preempt),
        ] {
            capabilities.extend(on.then_some(name));
        }
        let on = |name| json!({ "capability": name, "state": true });
        let all: Vec<Value> = capabilities.into_iter().map(on).collect();
        qmp.command("migrate-set-capabilities", json!({ "capabilities": all }))?;
        if self.multifd {
            let channels = json!({ "multifd-channels": CHANNELS });
            qmp.command("migrate-set-parameters", channels)?;
        }
        if side == DESTINATION {
            qmp.command("migrate-incoming", json!({ "uri": format!("unix:{INCOMING}") }))?;
        }
        Ok(qmp)
    }
}

/// What the tasks of an execution have.
#[derive(Clone)]
pub struct Stage {
    pub plan: Plan,
    pub story: Arc<Board<Story>>,
    /// Of each side.
    pub guests: [Arc<Board<Memory>>; 2],
    monitors: [Qmp; 2],
}

/// The scenario, ready to be run.
pub struct Running {
    plan: Plan,
    contract: Contract,
    monitors: Vec<Qmp>,
    memories: Vec<Memory>,
    now: Mutex<Option<Stage>>,
}

impl Scenario for Running {
    fn begin(&self) {
        let source = self.memories[SOURCE].begin(VCPUS);
        let guests = [source, self.memories[DESTINATION].begin_there()];
        let story = Arc::new(Board::new(Story::default()));
        if self.plan.deed == Deed::Recover {
            network::prepare(&guests[SOURCE]);
        }
        let monitors = [self.monitors[SOURCE].clone(), self.monitors[DESTINATION].clone()];
        let stage = Stage { plan: self.plan, story, guests, monitors };
        for side in [SOURCE, DESTINATION] {
            let this = stage.clone();
            add(["source monitor", "destination monitor"][side], move || this.listen(side));
        }
        let this = stage.clone();
        add("management", move || {
            let result = this.user();
            this.story.with(|story| match result {
                Ok(()) => story.done = true,
                Err(wrong) => story.wrong.push(wrong),
            });
            kernel().ends_idle = true;
        });
        if matches!(self.plan.deed, Deed::Recover | Deed::Break | Deed::Channel) {
            let this = stage.clone();
            add("network", move || this.network());
        }
        if self.plan.deed == Deed::Recover {
            let this = stage.clone();
            add("rest", move || this.rested());
        }
        for nth in 0..VCPUS {
            let this = stage.clone();
            add_on(1, &format!("vcpu {nth}"), move || this.vcpu(nth));
        }
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(stage);
    }

    fn judge(&self, names: &dyn Names) -> Vec<Breach> {
        self.stage().judge(&self.contract, names)
    }

    fn outcome(&self) -> String {
        self.stage().outcome()
    }
}

impl Running {
    fn stage(&self) -> Stage {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.clone().expect("an execution has begun")
    }
}

impl Stage {
    /// Takes down what the monitor of a side says.
    fn listen(&self, side: usize) {
        let mut qmp = self.monitors[side].clone();
        while let Ok(mut line) = qmp.line() {
            let answer = match (line.get("return").cloned(), line.get("error")) {
                (Some(value), _) => Ok(value),
                (_, Some(error)) => Err(error["desc"].as_str().unwrap_or("an error").into()),
                _ => {
                    let status = line["data"]["status"].take();
                    if line["event"] == "MIGRATION"
                        && let Some(status) = status.as_str()
                    {
                        self.story.with(|story| story.statuses[side].push(status.into()));
                    }
                    continue;
                }
            };
            self.story.with(|story| story.answers[side].push_back(answer));
        }
        self.story.with(|story| story.gone[side] = true);
    }

    /// Gives a command to a side and waits for its answer; an error is QEMU's.
    pub fn command(&self, side: usize, name: &str, arguments: Value) -> Result<Value, String> {
        self.ask(side, json!({ "execute": name, "arguments": arguments }))
    }

    /// The same, out of band.
    pub fn out_of_band(&self, side: usize, name: &str, arguments: Value) -> Result<Value, String> {
        self.ask(side, json!({ "exec-oob": name, "arguments": arguments }))
    }

    fn ask(&self, side: usize, command: Value) -> Result<Value, String> {
        self.monitors[side].clone().send(&command)?;
        self.story.wait(|story| match story.answers[side].pop_front() {
            None if story.gone[side] => Some(Err("the monitor is closed".into())),
            answer => answer,
        })
    }

    /// A vCPU on the destination, once the guest runs there: touches every page, in an
    /// order that is picked, and a device now and then.
    fn vcpu(&self, nth: usize) {
        self.guests[DESTINATION].wait(|guest| guest.runs.then_some(()));
        let pages = self.guests[SOURCE].with(|guest| guest.pages.clone());
        let start = choose(pages.len());
        for turn in 0..pages.len() {
            if turn % vcpu::PAGES_A_ACCESS == 0 {
                vcpu::mmio(nth);
            }
            let page = (start + turn * 7) % pages.len();
            let address = self.guests[DESTINATION].look(|guest| guest.address(page));
            act(Op::Fault { address });
            let found = uffd::byte(address);
            if found != pages[page] {
                let what = if found == 0 { "zeros" } else { "something else" };
                let wrong = format!("a vCPU read {what} where the source had data");
                self.story.with(|story| story.wrong.push(wrong));
            }
        }
        self.story.with(|story| story.vcpus_done += 1);
    }
}
