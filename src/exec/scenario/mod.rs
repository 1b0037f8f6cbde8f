//! What happens to a QEMU: a peer that migrates to it, management that gives it
//! commands, vCPUs that touch its memory, a network that fails.
//! Must not know: how threads are scheduled.

pub mod board;
pub mod channel;
pub mod guest;
pub mod incoming;
pub mod outgoing;
pub mod qmp;
pub mod target;
pub mod task;
pub mod user;

use self::incoming::{Break, Incoming, MONITOR};
use self::outgoing::{Deed, Outgoing};
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

/// The names of all scenarios, as on the command line.
pub fn names() -> Vec<&'static str> {
    vec![
        "precopy",
        "postcopy",
        "postcopy-recover",
        "postcopy-recover-at-once",
        "postcopy-break-anytime",
        "precopy-out",
        "precopy-cancel",
        "precopy-cancel-at-once",
        "precopy-cancel-autostart",
        "precopy-break-out",
        "precopy-break-out-at-once",
        "postcopy-out",
        "postcopy-slow-out",
        "postcopy-cancel",
        "postcopy-cancel-at-once",
        "postcopy-cancel-autostart",
        "postcopy-recover-out",
        "postcopy-break-late-out",
        "postcopy-break-out",
        "postcopy-break-out-autostart",
    ]
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
    monitor: Arc<Mutex<Option<Result<Qmp, String>>>>,
}

/// The scenario of a name, for a QEMU of a version.
pub fn find(name: &str, version: &str) -> Option<Setup> {
    let version = if version.starts_with("7.") { Version::V7_2 } else { Version::V10_0 };
    // Full pages, and some that are zero.
    let pages: Vec<u8> = (0..PAGES).map(|nth| if nth % 5 == 4 { 0 } else { nth + 1 }).collect();
    if let Some(outgoing) = outgoing(name, &pages) {
        return Some(Setup { side: Side::Source(outgoing), monitor: Arc::default() });
    }
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
    Some(Setup { side: Side::Destination(incoming), monitor: Arc::default() })
}

/// The scenario of a source.
fn outgoing(name: &str, pages: &[u8]) -> Option<Outgoing> {
    let slow = name == "postcopy-slow-out";
    let (autostart, hasty) = (name.ends_with("-autostart"), name.ends_with("-at-once"));
    let (postcopy, deed) = match name {
        "precopy-out" => (false, Deed::Nothing),
        "precopy-break-out" | "precopy-break-out-at-once" => (false, Deed::Break),
        "precopy-cancel" | "precopy-cancel-at-once" | "precopy-cancel-autostart" => {
            (false, Deed::Cancel)
        }
        "postcopy-out" | "postcopy-slow-out" => (true, Deed::Nothing),
        "postcopy-recover-out" => (true, Deed::Pause),
        "postcopy-break-late-out" => (true, Deed::Late),
        "postcopy-break-out" | "postcopy-break-out-autostart" => (true, Deed::Break),
        "postcopy-cancel" | "postcopy-cancel-at-once" | "postcopy-cancel-autostart" => {
            (true, Deed::Cancel)
        }
        _ => return None,
    };
    Some(Outgoing { pages: pages.to_vec(), postcopy, deed, autostart, hasty, slow, threads: VCPUS })
}

impl Setup {
    /// QEMU's command line.
    pub fn arguments(&self) -> Vec<String> {
        let memory = u32::from(PAGES) * 4;
        let mut line = format!(
            "qemu -M none -m {memory}K -accel qtest -nodefaults -display none \
             -name bqlcheck,debug-threads=on \
             -chardev socket,id=qmp,path={MONITOR},server=on,wait=off \
             -mon chardev=qmp,mode=control"
        );
        if matches!(self.side, Side::Destination(_)) {
            line += " -incoming defer";
        }
        line.split(' ').map(String::from).collect()
    }

    /// The task that sees boot through.
    pub fn boot(&self) -> Body {
        let (side, monitor) = (self.side.clone(), self.monitor.clone());
        task::task(move || {
            let qmp = match &side {
                Side::Destination(incoming) => incoming::boot(&incoming.script),
                Side::Source(outgoing) => outgoing::boot(outgoing),
            };
            *monitor.lock().unwrap_or_else(PoisonError::into_inner) = Some(qmp);
        })
    }

    /// After boot.
    pub fn ready(self) -> Result<Arc<dyn Scenario>, String> {
        let monitor = self.monitor.lock().unwrap_or_else(PoisonError::into_inner).take();
        let monitor = monitor.ok_or("boot did not come to an end")??;
        Ok(match self.side {
            Side::Destination(incoming) => Arc::new(incoming::Running::new(incoming, monitor)),
            Side::Source(outgoing) => Arc::new(outgoing::Running::new(outgoing, monitor)?),
        })
    }
}
