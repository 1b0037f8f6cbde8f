//! All scenarios of a destination, by name.
//! Must not know: how they are run.

use super::network::Break;
use crate::exec::peer::Hostile;

/// Devices of ours, as `glue/qemu/device.c` numbers them.
pub const RUN_ON_CPU: u32 = 1;
pub const HANDLERS: u32 = 2;

/// Pages of the guest: QEMU wants a multiple of 8 KiB.
pub const PAGES: usize = 16;
/// Pages that precopy sends before it becomes a postcopy.
const PRECOPY: usize = 6;

/// What is peculiar to a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub name: &'static str,
    /// It becomes a postcopy after so many pages.
    pub postcopy: Option<usize>,
    pub breaks: Break,
    /// The user recovers at once, not when QEMU has come to rest.
    pub hasty: bool,
    /// The user also gives commands that nothing calls for.
    pub restless: bool,
    /// A second channel for pages that were asked for.
    pub preempt: bool,
    /// Channels for pages alone.
    pub multifd: bool,
    pub devices: u32,
    /// The stream is not a source's.
    pub hostile: Option<Hostile>,
}

const fn plan(name: &'static str, breaks: Break) -> Plan {
    Plan {
        name,
        postcopy: Some(PRECOPY),
        breaks,
        hasty: false,
        restless: false,
        preempt: false,
        multifd: false,
        devices: HANDLERS,
        hostile: None,
    }
}

/// One after the other.
pub const ALL: [Plan; 19] = [
    Plan { postcopy: None, ..plan("precopy", Break::Never) },
    plan("postcopy", Break::Never),
    plan("postcopy-recover", Break::Running),
    Plan { hasty: true, ..plan("postcopy-recover-at-once", Break::Running) },
    Plan { hasty: true, ..plan("postcopy-recover-unasked", Break::Unasked) },
    plan("postcopy-recover-at-rest", Break::Resting),
    plan("postcopy-recover-twice", Break::Twice),
    plan("postcopy-break-anytime", Break::Anywhere),
    Plan { restless: true, ..plan("postcopy-restless", Break::Running) },
    Plan { restless: true, ..plan("postcopy-restless-anytime", Break::Never) },
    Plan { devices: HANDLERS | RUN_ON_CPU, ..plan("postcopy-run-on-cpu", Break::Never) },
    Plan { devices: HANDLERS | RUN_ON_CPU, ..plan("postcopy-run-on-cpu-recover", Break::Resting) },
    // All pages are clean when it becomes a postcopy: nothing is discarded.
    Plan { postcopy: Some(PAGES), ..plan("listen-after-advise", Break::Never) },
    Plan { hostile: Some(Hostile::DeviceInPostcopy), ..plan("hostile-section", Break::Never) },
    Plan { preempt: true, ..plan("postcopy-preempt", Break::Never) },
    Plan { preempt: true, ..plan("postcopy-preempt-recover", Break::Resting) },
    Plan { multifd: true, postcopy: None, ..plan("multifd", Break::Never) },
    Plan { multifd: true, postcopy: None, ..plan("multifd-break", Break::One) },
    Plan { multifd: true, postcopy: None, ..plan("multifd-break-anytime", Break::Anytime) },
];
