//! What happens to a QEMU: a peer that migrates to it, management that gives it
//! commands, vCPUs that touch its memory, a network that fails.
//! Must not know: how threads are scheduled.

pub mod board;
pub mod channel;
pub mod guest;
pub mod incoming;
pub mod lanes;
pub mod multifd;
pub mod network;
pub mod outgoing;
pub mod pair;
pub mod qmp;
pub mod restless;
pub mod story;
pub mod table;
pub mod target;
pub mod task;
pub mod user;
pub mod vcpu;

use self::incoming::{Incoming, MONITOR};
use self::outgoing::{Deed, Outgoing};
use self::qmp::Qmp;
use self::table::{ALL, HANDLERS, PAGES, Plan, RUN_ON_CPU};
use super::contract::Contract;
use super::guests;
use super::kernel::boot::Body;
use super::kernel::pages;
use super::kernel::state::kernel;
use super::peer::{Device, Guest, Script};
use super::search::Scenario;
use crate::sim::Version;
use std::sync::{Arc, Mutex, PoisonError};

/// vCPUs of a scenario.
const VCPUS: usize = 2;

/// What `bqlcheck trace` reads of a log.
const TRACED: [[&str; 2]; 7] = [
    ["-msg", "timestamp=on"],
    ["-trace", "enable=qemu_mutex_*"],
    ["-trace", "enable=*postcopy*"],
    ["-trace", "enable=*loadvm*"],
    ["-trace", "enable=migrat*"],
    ["-trace", "enable=vmstate_load"],
    ["-trace", "enable=*savevm*"],
];

/// The scenarios of a source.
const OUTGOING: [&str; 24] = [
    "precopy-out",
    "precopy-cancel",
    "precopy-cancel-at-once",
    "precopy-cancel-autostart",
    "precopy-cancel-stuck",
    "precopy-break-out",
    "precopy-break-out-at-once",
    "postcopy-out",
    "postcopy-slow-out",
    "postcopy-cancel",
    "postcopy-cancel-at-once",
    "postcopy-cancel-autostart",
    "postcopy-recover-out",
    "postcopy-break-late-out",
    "postcopy-restless-out",
    "postcopy-restless-late-out",
    "postcopy-break-out",
    "postcopy-break-narrow-out",
    "postcopy-break-out-autostart",
    "switchover-stuck-out",
    "switchover-stuck-postcopy-out",
    "multifd-out",
    "multifd-cancel",
    "multifd-break-out",
];

/// The names of all scenarios, as on the command line.
pub fn names() -> Vec<&'static str> {
    let pairs = pair::table::ALL.iter().map(|plan| plan.name);
    ALL.iter().map(|plan| plan.name).chain(OUTGOING).chain(pairs).collect()
}

/// What the user's QEMU is.
#[derive(Clone)]
enum Side {
    Destination(Incoming),
    Source(Outgoing),
}

/// A scenario before boot.
pub struct Setup {
    side: Side,
    devices: u32,
    contract: Contract,
    monitor: Arc<Mutex<Option<Result<Qmp, String>>>>,
}

/// The scenario of a name, for a QEMU of a version.
pub fn find(name: &str, version: &str) -> Option<Setup> {
    let contract = Contract::of(version);
    if let Some(outgoing) = outgoing(name, Version::of_qemu(version)) {
        let side = Side::Source(outgoing);
        return Some(Setup { side, devices: 0, contract, monitor: Arc::default() });
    }
    let plan = ALL.iter().find(|plan| plan.name == name)?;
    let version = Version::of_qemu(version);
    let script = match plan.postcopy {
        None if plan.multifd => multifd::script(Script::precopy(version)),
        None => Script::precopy(version),
        Some(pages) => Script { preempt: plan.preempt, ..Script::postcopy(version, pages) },
    };
    let (breaks, hasty, restless, hostile) = (plan.breaks, plan.hasty, plan.restless, plan.hostile);
    // Nothing registers the memory of a precopy, where vCPUs could find it; and
    // no pages come from who is hostile.
    let vcpus = if script.postcopy && hostile.is_none() { VCPUS } else { 0 };
    let guest = guest(plan, version);
    let incoming = Incoming { guest, script, breaks, hasty, restless, vcpus, hostile };
    let side = Side::Destination(incoming);
    Some(Setup { side, devices: plan.devices, contract, monitor: Arc::default() })
}

/// What the guest has: full pages, and some that are zero.
fn pages() -> Vec<u8> {
    (0..PAGES as u8).map(|nth| if nth % 5 == 4 { 0 } else { nth + 1 }).collect()
}

/// The scenario of a source.
fn outgoing(name: &str, version: Version) -> Option<Outgoing> {
    let slow = name == "postcopy-slow-out";
    let stuck = name == "precopy-cancel-stuck";
    let restless = name.starts_with("postcopy-restless");
    let stalls = name.starts_with("switchover-stuck");
    let narrow = stuck || stalls || name == "postcopy-break-narrow-out";
    let (autostart, hasty) = (name.ends_with("-autostart"), name.ends_with("-at-once"));
    let (postcopy, deed) = match name {
        "precopy-out" | "multifd-out" => (false, Deed::Nothing),
        "precopy-break-out" | "precopy-break-out-at-once" | "multifd-break-out" => {
            (false, Deed::Break)
        }
        "switchover-stuck-out"
        | "precopy-cancel"
        | "multifd-cancel"
        | "precopy-cancel-at-once"
        | "precopy-cancel-autostart"
        | "precopy-cancel-stuck" => (false, Deed::Cancel),
        "postcopy-out" | "postcopy-slow-out" => (true, Deed::Nothing),
        "postcopy-recover-out" | "postcopy-restless-out" => (true, Deed::Pause),
        "postcopy-break-late-out" | "postcopy-restless-late-out" => (true, Deed::Late),
        "postcopy-break-out" | "postcopy-break-narrow-out" | "postcopy-break-out-autostart" => {
            (true, Deed::Break)
        }
        "switchover-stuck-postcopy-out"
        | "postcopy-cancel"
        | "postcopy-cancel-at-once"
        | "postcopy-cancel-autostart" => (true, Deed::Cancel),
        _ => return None,
    };
    let (pages, threads, device) = (pages(), VCPUS, version == Version::V10_2);
    let multifd = if name.starts_with("multifd") { multifd::CHANNELS } else { 0 };
    Some(Outgoing {
        pages,
        postcopy,
        deed,
        autostart,
        hasty,
        restless,
        slow,
        narrow,
        stuck,
        stalls,
        device,
        threads,
        multifd,
        version,
    })
}

/// What is migrated.
fn guest(plan: &Plan, version: Version) -> Guest {
    let mut guest = Guest::none(version, pages());
    let own = [(RUN_ON_CPU, "bqlcheck-run-on-cpu"), (HANDLERS, "bqlcheck-handlers")];
    let there = own.iter().filter(|(bit, _)| plan.devices & bit != 0);
    guest.devices.extend(there.zip(10..).map(|((_, idstr), section_id)| Device {
        section_id,
        idstr: (*idstr).into(),
        version_id: 1,
        bytes: vec![0; 8],
    }));
    if plan.hostile.is_some() {
        // Ours first, before what else may end it.
        guest.devices.reverse();
    }
    guest
}

impl Setup {
    /// QEMU's command line; it may be asked to trace what a log is checked by.
    ///
    /// # Errors
    /// If a CPU is needed and `target` has none that is known.
    pub fn arguments(
        &self,
        traces: bool,
        target: Option<&str>,
    ) -> Result<Vec<String>, (String, &'static str)> {
        let incoming = matches!(self.side, Side::Destination(_));
        let mut all = arguments(MONITOR, incoming, self.devices, traces);
        if self.devices & RUN_ON_CPU != 0 {
            // A thread that does the work.
            all.extend(["-cpu".into(), guests::cpu(target)?]);
        }
        Ok(all)
    }
}

/// QEMU's command line.
fn arguments(monitor: &str, incoming: bool, devices: u32, traces: bool) -> Vec<String> {
    let monitor = format!("socket,id=qmp,path={monitor},server=on,wait=off");
    let memory = format!("{}K", PAGES * 4);
    kernel().devices = devices;
    let mut all = vec![
        "qemu",
        "-M",
        "none",
        "-m",
        &memory,
        "-accel",
        "qtest",
        "-nodefaults",
        "-display",
        "none",
        "-name",
        "bqlcheck,debug-threads=on",
        "-chardev",
        &monitor,
        "-mon",
        "chardev=qmp,mode=control",
    ];
    if incoming {
        all.extend(["-incoming", "defer"]);
    }
    all.extend(TRACED.iter().flatten().copied().filter(|_| traces));
    all.into_iter().map(String::from).collect()
}

impl Setup {
    /// The task that sees boot through.
    pub fn boot(&self) -> Body {
        let (side, monitor) = (self.side.clone(), self.monitor.clone());
        task::task(move || {
            let qmp = match &side {
                Side::Destination(incoming) => incoming::boot(incoming),
                Side::Source(outgoing) => outgoing::boot(outgoing),
            };
            *monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(qmp);
        })
    }

    /// After boot.
    pub fn ready(mut self) -> Result<Arc<dyn Scenario>, String> {
        if let (Side::Destination(incoming), Some(bits)) = (&mut self.side, pages::bits()) {
            incoming.guest.page_bits = (bits.own > bits.legacy).then_some(bits.own);
        }
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        let monitor = monitor.ok_or("boot did not come to an end")??;
        Ok(match self.side {
            Side::Destination(incoming) => {
                Arc::new(incoming::Running::new(incoming, monitor, self.contract)?)
            }
            Side::Source(outgoing) => Arc::new(outgoing::Running::new(outgoing, monitor)?),
        })
    }
}
