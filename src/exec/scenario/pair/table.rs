//! All scenarios of two QEMUs, by name.
//! Must not know: how they are run.

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Nothing,
    /// The user of the source cancels, at any step.
    Cancel,
    /// The network fails while the guest runs on the destination, and is mended.
    Recover,
    /// The network fails at any step; the user recovers what can be recovered.
    Break,
    /// One connection of several fails at any step.
    Channel,
}

/// What is peculiar to a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub name: &'static str,
    pub postcopy: bool,
    pub deed: Deed,
    /// Pages travel on channels of their own.
    pub multifd: bool,
    /// Pages that were asked for have a channel of their own.
    pub preempt: bool,
    /// The guest runs on the destination as soon as that has it; else (`-S`) when
    /// the source says that it has gone, as libvirt does it.
    pub autostart: bool,
    /// The user recovers at once, not when all is at rest.
    pub hasty: bool,
}

const fn plan(name: &'static str, postcopy: bool, deed: Deed) -> Plan {
    Plan { name, postcopy, deed, multifd: false, preempt: false, autostart: true, hasty: false }
}

/// One after the other.
pub const ALL: [Plan; 15] = [
    plan("pair-precopy", false, Deed::Nothing),
    Plan { autostart: false, ..plan("pair-precopy-cancel", false, Deed::Cancel) },
    plan("pair-precopy-cancel-autostart", false, Deed::Cancel),
    Plan { autostart: false, ..plan("pair-precopy-break", false, Deed::Break) },
    plan("pair-postcopy", true, Deed::Nothing),
    plan("pair-postcopy-recover", true, Deed::Recover),
    Plan { hasty: true, ..plan("pair-postcopy-recover-at-once", true, Deed::Recover) },
    Plan { autostart: false, ..plan("pair-postcopy-cancel", true, Deed::Cancel) },
    Plan { autostart: false, ..plan("pair-postcopy-break-anytime", true, Deed::Break) },
    Plan { multifd: true, ..plan("pair-multifd", false, Deed::Nothing) },
    Plan { multifd: true, autostart: false, ..plan("pair-multifd-cancel", false, Deed::Cancel) },
    Plan { multifd: true, autostart: false, ..plan("pair-multifd-break", false, Deed::Channel) },
    Plan { preempt: true, ..plan("pair-preempt", true, Deed::Nothing) },
    Plan { preempt: true, ..plan("pair-preempt-recover", true, Deed::Recover) },
    Plan {
        preempt: true,
        autostart: false,
        ..plan("pair-preempt-break-anytime", true, Deed::Break)
    },
];
