//! The data that threads of one QEMU share, by what protects it.
//! Must not know: who uses it.

use std::collections::BTreeSet;

/// The vCPUs as the main loop sees them; under the BQL.
#[derive(Hash, Default)]
pub struct Cpus {
    /// `vm_start()` was called.
    pub running: bool,
    /// Work queued by `run_on_cpu` for vCPU 0, and whether it is done.
    pub work_queued: bool,
    pub work_done: bool,
}

/// `MigrationIncomingState`, the part that page requests share.
#[derive(Hash, Default)]
pub struct Requests {
    /// `page_requested`.
    pub requested: BTreeSet<u32>,
}

/// `MigrationIncomingState` and RAM, handed from the main thread to the listen
/// thread at its creation and back at its end.
#[derive(Hash)]
pub struct Incoming {
    /// Index of the connection that `from_src_file` is on.
    pub from_src_file: usize,
    pub have_listen_thread: bool,
    /// `migration_incoming_state_destroy` has run.
    pub destroyed: bool,
    /// The network has been told to break.
    pub break_due: bool,
    /// `load_cleanup` hooks have run.
    pub cleaned: bool,
}

/// VFIO's load thread, under `load_bufs_mutex`.
#[derive(Hash, Default)]
pub struct VfioLoad {
    pub want_exit: bool,
    pub config_loaded: bool,
}

/// `RAMState` and `MigrationState` of the source, the migration thread's own.
#[derive(Hash)]
pub struct Outgoing {
    /// Index of the connection that `to_dst_file` is on.
    pub to_dst_file: usize,
    /// `rb->bmap`.
    pub dirty: Vec<bool>,
    pub guest_runs: bool,
    pub bitmap_sent: bool,
    /// `rp_state.rp_thread_created`.
    pub rp_thread_created: bool,
}
