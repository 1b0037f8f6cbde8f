//! Scenarios of a destination: a source of ours migrates to the user's QEMU.
//! Must not know: what counts as a finding.

use super::board::Board;
use super::channel::{Channel, listens};
use super::guest::{self, Memory};
use super::multifd;
use super::network::{self, Break, Slow};
use super::pair::judge::stuck;
use super::qmp::Qmp;
use super::restless;
use super::story::Story;
use super::task::{act, add};
use super::vcpu;
use crate::exec::contract::Contract;
use crate::exec::ending;
use crate::exec::judge::{self, Breach, Names};
use crate::exec::kernel::state::{Ending, Kernel, kernel};
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::peer::{self, Guest, Hostile, Outcome, Script, Source, State, Status, Wire};
use crate::exec::search::Scenario;
use crate::lock::Rule;
use crate::sim::Side;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};

/// The names of QEMU's listeners.
pub const MONITOR: &str = "qmp";
pub const INCOMING: &str = "incoming";
/// The command that makes it listen again, and where.
pub(super) const RECOVER: (&str, &str) = ("migrate-recover", "recover");

/// What is done to the destination.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub guest: Guest,
    pub script: Script,
    /// Where the network fails once, to be mended.
    pub breaks: Break,
    /// The user recovers at once, not when QEMU has come to rest.
    pub hasty: bool,
    /// The user gives commands that nothing calls for.
    pub restless: bool,
    /// So many vCPUs touch every page once the guest runs.
    pub vcpus: usize,
    /// The stream is not a source's.
    pub hostile: Option<Hostile>,
}

/// The boot task: negotiates, sets the capabilities, and lets QEMU listen; gives
/// its monitor connection. A user who will have to recover has begun to say so.
pub fn boot(incoming: &Incoming) -> Result<Qmp, String> {
    let script = &incoming.script;
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
    if script.multifd > 0 {
        capabilities.push(on("multifd"));
        qmp.command("migrate-set-parameters", multifd::parameters())?;
    }
    if !script.postcopy {
        // Nothing registers it; what it has before is zero.
        Memory::fill(vec![0; incoming.guest.blocks[0].pages.len()]);
    }
    qmp.command("migrate-set-capabilities", json!({ "capabilities": capabilities }))?;
    qmp.command("migrate-incoming", json!({ "uri": format!("unix:{INCOMING}") }))?;
    if script.postcopy && incoming.breaks != Break::Never && !incoming.restless {
        qmp.begin_out_of_band(RECOVER.0, recover())?;
    }
    Ok(qmp)
}

/// The arguments of `RECOVER`.
pub(super) fn recover() -> Value {
    json!({ "uri": format!("unix:{}", RECOVER.1) })
}

/// The scenario, ready to be run: with QEMU's monitor, and the story of the
/// execution that runs.
pub struct Running {
    pub incoming: Incoming,
    pub monitor: Qmp,
    contract: Contract,
    /// Of a precopy.
    memory: Option<Memory>,
    now: Mutex<Option<Boards>>,
}

/// The boards of an execution.
type Boards = (Arc<Board<Story>>, Arc<Board<State>>);

impl Running {
    /// # Errors
    /// If the guest's memory was not found.
    pub fn new(
        incoming: Incoming,
        monitor: Qmp,
        contract: Contract,
    ) -> std::result::Result<Running, String> {
        let memory = Memory::filled(0);
        if memory.is_none() && !incoming.script.postcopy {
            return Err("the guest's memory is not where it should be".into());
        }
        Ok(Running { incoming, monitor, contract, memory, now: Mutex::new(None) })
    }

    fn look<R>(&self, look: impl FnOnce(&Story, &State) -> R) -> R {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        let (story, source) = now.as_ref().expect("an execution has begun");
        story.look(|story| source.look(|source| look(story, source)))
    }
}

impl Running {
    /// What the story adds to what the end alone says.
    fn told(
        &self,
        story: &Story,
        source: &State,
        state: &Kernel,
        names: &dyn Names,
    ) -> Vec<Breach> {
        let mut all = Vec::new();
        // Until the source has sent the package, the guest is safe with it.
        // In postcopy-device the source can still take the guest back.
        let postcopy = !matches!(source.status, Status::Active | Status::PostcopyDevice);
        if postcopy || story.source == Some(Outcome::Completed) {
            all.extend(judge::lost(state));
        } else if self.incoming.is_left_alone() {
            all.extend(judge::exited(state).map(|told| judge::not_gone(&told)));
        }
        let done = story.finished() && story.vcpus_done == self.incoming.vcpus;
        match (&state.over, &story.source) {
            (Some(Ending::Quiet), _) if done => {
                let pages = &self.incoming.guest.blocks[0].pages;
                all.extend(guest::differs(pages, self.memory.as_ref()));
                all.extend(judge::never_joined(state));
            }
            // The source has failed, and a thread waits for what cannot come.
            (Some(Ending::Quiet), Some(Outcome::Failed(_)))
                if self.incoming.script.multifd > 0 && stuck() =>
            {
                all.push(judge::hang(state, names));
            }
            (Some(Ending::Quiet), Some(Outcome::Failed(why))) => {
                let here = story.statuses.last().map_or("none", String::as_str);
                // How far it had read does not matter.
                let why = why
                    .strip_prefix("byte ")
                    .and_then(|why| why.split_once(": "))
                    .map_or(&**why, |at| at.1);
                let message = format!("the source has failed ({why}), the destination is {here}");
                if postcopy {
                    all.push(Breach::new(Rule::GuestLost, message));
                } else if self.incoming.is_left_alone() {
                    all.push(judge::not_gone(&message));
                }
            }
            (Some(Ending::Quiet), Some(Outcome::Hangs(why))) => {
                let here = ending::status();
                // Where it waits: what it had read before does not matter.
                let why = why.split([':', ',']).next().unwrap_or_default();
                let message = format!("the source hangs ({why}), the destination is {here}");
                all.push(Breach::new(Rule::WaitForever, message));
            }
            (Some(Ending::Quiet), _) => all.push(judge::hang(state, names)),
            _ => {}
        }
        let wrong = |wrong: &String| Breach::new(Rule::GuestLost, wrong.clone());
        all.extend(story.wrong.iter().take(1).map(wrong));
        all
    }
}

impl Scenario for Running {
    fn begin(&self) {
        let boards = self.incoming.begin(&self.monitor);
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = Some(boards);
    }

    fn judge(&self, names: &dyn Names) -> Vec<Breach> {
        let state = kernel();
        let mut all = self.contract.judge(state);
        all.extend(judge::general(state, names));
        self.look(|story, source| all.extend(self.told(story, source, state, names)));
        all
    }

    fn side(&self) -> Option<Side> {
        Some(Side::Destination)
    }

    fn outcome(&self) -> String {
        self.look(|story, _| story.outcome())
    }
}

impl Incoming {
    /// Nothing is done to the migration: it has to end well.
    fn is_left_alone(&self) -> bool {
        self.breaks == Break::Never && self.hostile.is_none() && !self.restless
    }

    /// Adds the tasks of one execution; gives what they will have to tell.
    pub fn begin(&self, monitor: &Qmp) -> Boards {
        let story = Arc::new(Board::new(Story::default()));
        let state = Arc::new(Board::new(State::new(&self.guest)));
        let wire: Arc<Board<Vec<Channel>>> = Arc::new(Board::new(Vec::new()));
        {
            let (this, state, story, wire) =
                (self.clone(), state.clone(), story.clone(), wire.clone());
            add("source", move || match this.hostile {
                Some(hostile) => this.attack(hostile, &story),
                None => this.source(&state, &story, &wire),
            });
        }
        if self.hostile.is_none() {
            let (this, state, story, wire) =
                (self.clone(), state.clone(), story.clone(), wire.clone());
            add("source return path", move || this.return_paths(&state, &story, &wire));
        }
        {
            let (this, story, qmp) = (self.clone(), story.clone(), monitor.clone());
            add("management", move || this.management(&story, qmp.clone()));
        }
        if self.restless {
            self.add_restless(&state, &story, monitor);
        }
        for nth in 0..self.script.multifd {
            let (script, state, story, wire) =
                (self.script.clone(), state.clone(), story.clone(), wire.clone());
            add(&format!("source multifd {nth}"), move || {
                multifd::channel(nth, &script, &state, &story, &wire);
            });
        }
        if self.breaks != Break::Never {
            let (breaks, state, story, wire) =
                (self.breaks, state.clone(), story.clone(), wire.clone());
            add("network", move || network::fail(breaks, &state, &story, &wire));
        }
        for nth in 0..self.vcpus {
            let (this, story) = (self.clone(), story.clone());
            add(&format!("vcpu {nth}"), move || {
                // A vCPU that does not touch memory for long.
                if this.breaks == Break::Unasked && nth > 0 {
                    story.wait(|story| story.cut.then_some(()));
                }
                vcpu::run(nth, &this.guest.blocks[0].pages, &story);
                this.rest(&story);
            });
        }
        (story, state)
    }

    /// The source's migration thread.
    fn source(
        &self,
        state: &Arc<Board<State>>,
        story: &Arc<Board<Story>>,
        wires: &Board<Vec<Channel>>,
    ) {
        let mut source = Source::new(&self.guest, &self.script, &**state);
        let late = self.guest.blocks[0].pages.len() - self.script.precopy_pages;
        let left = if self.breaks.stalls() { 1 + choose(late - 1) } else { 0 };
        let mut listener = INCOMING;
        loop {
            // The first of the list is the main channel.
            let channels = match multifd::connect(listener, &self.script) {
                Ok(channels) => channels,
                Err(error) => return story.with(|story| story.wrong.push(error.to_string())),
            };
            let channel = channels[0];
            let mut preempt = || -> std::io::Result<Box<dyn Wire + Send>> {
                let channel = Channel::connect(listener)?;
                wires.with(|wires| wires.push(channel));
                Ok(Box::new(channel))
            };
            state.with(State::open_return_path);
            story.with(|story| story.multifd = channels[1..].to_vec());
            wires.with(|wires| *wires = channels);
            let (breaks, restless) = (self.breaks, self.restless);
            let (of, told) = (state.clone(), story.clone());
            let slow = Slow { channel, state: of, story: told, breaks, restless, left };
            let outcome = match listener {
                INCOMING => source.migrate(slow, &mut preempt),
                _ if restless => source.recover(slow, &mut preempt),
                _ => source.recover(channel, &mut preempt),
            };
            if outcome != Outcome::Paused {
                state.with(|state| state.multifd.exit(Ok(())));
                // Each multifd channel is closed by its thread.
                let mut open = wires.with(std::mem::take);
                open.retain(|wire| story.look(|story| !story.multifd.contains(wire)));
                open.into_iter().for_each(Channel::close);
                story.with(|story| story.source = Some(outcome));
                return self.rest(story);
            }
            story.with(|story| story.waits = self.restless);
            story.wait(|story| story.recovers.then_some(()));
            story.with(|story| (story.recovers, story.waits) = (false, false));
            listener = RECOVER.1;
        }
    }

    /// Sends a stream that no source sends, and listens to what is said to it.
    fn attack(&self, hostile: Hostile, story: &Board<Story>) {
        let Ok(mut channel) = Channel::connect(INCOMING) else { return };
        // What the destination has closed, it does not want to hear.
        let _ = channel.send(&hostile.stream(&self.guest));
        while channel.recv(&mut [0; 512]).is_ok_and(|many| many > 0) {}
        channel.close();
        story.with(|story| story.source = Some(Outcome::Failed("hostile".into())));
    }

    /// The source's return path thread, one connection after the other.
    fn return_paths(
        &self,
        state: &Board<State>,
        story: &Board<Story>,
        wires: &Board<Vec<Channel>>,
    ) {
        let mut last = None;
        while let Some(channel) = wires.wait(|wires| match wires.first() {
            Some(channel) if Some(*channel) != last => Some(Some(*channel)),
            _ => None,
        }) {
            last = Some(channel);
            peer::return_path(&self.guest, &self.script, state, channel);
            story.with(|story| story.broken = Some(channel));
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
                story.with(|story| story.answers.extend(restless::answer(&event)));
                continue;
            }
            let status = event["data"]["status"].as_str().unwrap_or_default().to_string();
            let paused = status == "postcopy-paused";
            story.with(|story| story.statuses.push(status));
            self.rest(story);
            if paused && !self.restless {
                if !self.hasty {
                    network::rest();
                }
                match qmp.out_of_band(RECOVER.0, recover()) {
                    Ok(_) => story.with(|story| story.recovers = true),
                    Err(error) => return story.with(|story| story.wrong.push(error)),
                }
            }
        }
    }

    /// Once all is done, the execution need not wait for QEMU's timers.
    fn rest(&self, story: &Board<Story>) {
        let all = |story: &Story| story.finished() && story.vcpus_done == self.vcpus;
        if story.look(all) {
            kernel().ends_idle = true;
        }
    }
}
