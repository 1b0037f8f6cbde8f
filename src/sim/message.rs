//! What travels between the two QEMUs: the commands and sections of a
//! migration, and the messages of the return path, as the model has them.
//! Must not know: their bytes (that is `stream`), or who reads them.

use super::ram::Content;
use super::scenario::Device;

/// One message of the main channel (savevm.c: `qemu_loadvm_state_main`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Message {
    /// MIG_CMD_POSTCOPY_ADVISE.
    Advise,
    /// QEMU_VM_SECTION_START and PARTs of ram in the precopy phase.
    Ram(Vec<(u32, Content)>),
    /// MIG_CMD_POSTCOPY_RAM_DISCARD.
    RamDiscard(Vec<u32>),
    /// MIG_CMD_PACKAGED: LISTEN, the devices, pings, RUN, in one blob.
    Packaged(Vec<Packed>),
    /// QEMU_VM_SECTION_PART of ram with one page; no content is a zero page.
    Page(u32, Option<Content>),
    /// QEMU_VM_SECTION_PART of the dirty bitmap.
    DirtyBitmap,
    /// QEMU_VM_SECTION_FULL of a device, outside of a package.
    Device(Device),
    /// The same of all devices, and QEMU_VM_EOF: the end of a precopy.
    Devices(Vec<Device>),
    /// MIG_CMD_RECV_BITMAP.
    RecvBitmap,
    /// MIG_CMD_POSTCOPY_RESUME.
    PostcopyResume,
    /// QEMU_VM_EOF.
    Eof,
}

/// What is in the package.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Packed {
    /// MIG_CMD_POSTCOPY_LISTEN.
    Listen,
    /// QEMU_VM_SECTION_FULL.
    Device(Device),
    /// MIG_CMD_PING with QEMU_VM_PING_PACKAGED_LOADED (10.2).
    PingPackagedLoaded,
    /// MIG_CMD_POSTCOPY_RUN.
    Run,
}

/// One message of the return path.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    /// MIG_RP_MSG_PONG for QEMU_VM_PING_PACKAGED_LOADED.
    PongPackagedLoaded,
    /// MIG_RP_MSG_REQ_PAGES.
    ReqPages(u32),
    /// MIG_RP_MSG_RECV_BITMAP: the receivedmap.
    RecvBitmap(Vec<bool>),
    /// MIG_RP_MSG_RESUME_ACK.
    ResumeAck,
    /// MIG_RP_MSG_SHUT, with whether the destination failed.
    Shut(bool),
}

/// What the destination's main loop is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MainEvent {
    /// `loadvm_postcopy_handle_run_bh`.
    RunBh,
    /// `process_incoming_migration_bh`: the end of a precopy.
    IncomingBh,
    /// `postcopy_listen_thread_bh` (10.2).
    ListenThreadBh,
    /// A connection on the listener of `migrate-recover`, when it is here.
    Accept,
}

/// A connection on the listener of `migrate-recover`, on the monitor's IOThread.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Accept;

/// What the source's main loop is woken for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SourceEvent {
    /// In-band `migrate` with `resume`.
    MigrateResume,
    /// `migration_cleanup_bh`.
    CleanupBh,
    /// In-band `migrate_cancel`.
    MigrateCancel,
}

/// What the fault thread polls for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FaultEvent {
    /// userfault_fd: a page is missing.
    Pagefault(u32),
    /// userfault_event_fd (`postcopy_fault_thread_notify`).
    Notify,
    /// The same with `fault_thread_quit` set.
    Quit,
}
