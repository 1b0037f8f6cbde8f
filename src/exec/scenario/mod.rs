//! What happens to a QEMU: a peer that migrates to it, management that gives it
//! commands, vCPUs that touch its memory, a network that fails.
//! Must not know: how threads are scheduled.

pub mod board;
pub mod channel;
pub mod incoming;
pub mod qmp;
pub mod task;

use self::incoming::{Break, Incoming, MONITOR, Running};
use self::qmp::Qmp;
use super::kernel::boot::Body;
use super::peer::{Guest, Script};
use super::search::Scenario;
use crate::sim::Version;
use std::sync::{Arc, Mutex, PoisonError};

/// vCPUs of a scenario.
const VCPUS: usize = 2;
/// Pages of the guest: QEMU wants a multiple of 8 KiB.
const PAGES: u8 = 16;
/// Pages that precopy sends before it becomes a postcopy.
const PRECOPY: usize = 6;

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

/// The names of all scenarios, as on the command line.
pub fn names() -> Vec<&'static str> {
    vec![
        "precopy",
        "postcopy",
        "postcopy-recover",
        "postcopy-recover-at-once",
        "postcopy-break-anytime",
    ]
}

/// A scenario before boot.
pub struct Setup {
    incoming: Incoming,
    monitor: Arc<Mutex<Option<Result<Qmp, String>>>>,
}

/// The scenario of a name, for a QEMU of a version.
pub fn find(name: &str, version: &str) -> Option<Setup> {
    let version = if version.starts_with("7.") { Version::V7_2 } else { Version::V10_0 };
    // Full pages, and some that are zero.
    let pages = (0..PAGES).map(|nth| if nth % 5 == 4 { 0 } else { nth + 1 }).collect();
    let guest = Guest::none(version, pages);
    let postcopy = Script::postcopy(version, PRECOPY);
    let (script, breaks) = match name {
        "precopy" => (Script::precopy(version), Break::Never),
        "postcopy" => (postcopy, Break::Never),
        "postcopy-recover" | "postcopy-recover-at-once" => (postcopy, Break::Running),
        "postcopy-break-anytime" => (postcopy, Break::Anywhere),
        _ => return None,
    };
    let hasty = name == "postcopy-recover-at-once";
    // Nothing registers the memory of a precopy, where vCPUs could find it.
    let vcpus = if script.postcopy { VCPUS } else { 0 };
    let incoming = Incoming { guest, script, breaks, hasty, vcpus };
    Some(Setup { incoming, monitor: Arc::default() })
}

impl Setup {
    /// QEMU's command line; it may be asked to trace what a log is checked by.
    pub fn arguments(&self, traces: bool) -> Vec<String> {
        let monitor = format!("socket,id=qmp,path={MONITOR},server=on,wait=off");
        let memory = format!("{}K", self.incoming.guest.blocks[0].pages.len() * 4);
        let events = TRACED.iter().flatten().copied().filter(|_| traces);
        let fixed = [
            "qemu", "-M", "none", "-m", &memory, "-accel", "qtest", "-nodefaults", "-display",
            "none", "-name", "bqlcheck,debug-threads=on", "-incoming", "defer", "-chardev",
            &monitor, "-mon", "chardev=qmp,mode=control",
        ];
        fixed.into_iter().chain(events).map(String::from).collect()
    }

    /// The task that sees boot through.
    pub fn boot(&self) -> Body {
        let (script, monitor) = (self.incoming.script.clone(), self.monitor.clone());
        task::task(move || {
            let qmp = incoming::boot(&script);
            *monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(qmp);
        })
    }

    /// After boot.
    pub fn ready(self) -> Result<Arc<dyn Scenario>, String> {
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        let monitor = monitor.ok_or("boot did not come to an end")??;
        Ok(Arc::new(Running::new(self.incoming, monitor)))
    }
}
