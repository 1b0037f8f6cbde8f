//! Threads of a log, and what they are: by the places where they lock and the
//! events that only one kind of thread has.
//! Must not know: what follows from it.

/// What a thread is; a later one of these is the stronger claim.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum Role {
    #[default]
    Unknown,
    /// Handles QMP and is not the main loop.
    Monitor,
    Rcu,
    Vcpu,
    Send,
    Recv,
    Preempt,
    ReturnPath,
    Migration,
    Fault,
    Listen,
    /// Takes the BQL after its poll: `os_host_main_loop_wait()`.
    Main,
}

impl Role {
    /// Its name, as QEMU 10 names it; vCPUs are numbered as they appear.
    pub fn name(self) -> &'static str {
        match self {
            Role::Unknown => "thread",
            Role::Monitor => "mon_iothread",
            Role::Rcu => "call_rcu",
            Role::Vcpu => "CPU",
            Role::Send => "mig/src/send",
            Role::Recv => "mig/dst/recv",
            Role::Preempt => "mig/dst/preempt",
            Role::ReturnPath => "mig/src/return",
            Role::Migration => "mig/src/main",
            Role::Fault => "mig/dst/fault",
            Role::Listen => "mig/dst/listen",
            Role::Main => "main",
        }
    }

    /// The kind of thread that alone has this event.
    pub fn of_event(event: &[u8]) -> Role {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|p| event.starts_with(p.as_bytes()));
        if begins(&["postcopy_ram_listen_thread", "postcopy_listen_thread"])
            || begins(&["postcopy_pause_incoming"])
        {
            Role::Listen
        } else if begins(&["postcopy_ram_fault_thread", "postcopy_pause_fault_thread"]) {
            Role::Fault
        } else if begins(&["postcopy_preempt_thread", "postcopy_pause_fast_load"]) {
            Role::Preempt
        } else if begins(&["migrate_handle_rp_", "source_return_path_thread", "postcopy_pause_ret"])
        {
            Role::ReturnPath
        } else if begins(&["migration_thread_", "savevm_state_iterate", "migration_completion_"])
            || event == b"postcopy_start"
        {
            Role::Migration
        } else if begins(&["multifd_send_thread"]) {
            Role::Send
        } else if begins(&["multifd_recv_thread"]) {
            Role::Recv
        } else if begins(&["migration_socket_incoming_accepted"]) {
            // In the main loop, or out of band; the main loop's claim is stronger.
            Role::Monitor
        } else {
            Role::Unknown
        }
    }
}

/// A lock that a thread has.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    pub mutex: u32,
    pub site: u32,
    pub since: u64,
}

/// A thread of the log.
#[derive(Debug, Default)]
pub struct Thread {
    /// The kernel's id.
    pub id: u64,
    /// Where the log says it.
    pub name: String,
    pub role: Role,
    /// The time of its last event.
    pub last: u64,
    /// The mutex it waits for, at which site, since when.
    pub waits: Option<Held>,
    /// What it released in its last event: it may be a condition wait.
    pub released: Option<Held>,
    /// In the order taken.
    pub held: Vec<Held>,
}

impl Thread {
    /// It does what only a `role` does.
    pub fn is(&mut self, role: Role) {
        self.role = self.role.max(role);
    }
}

/// The names of `threads` for a report: vCPUs numbered, others with their id where
/// the role alone does not tell them apart.
pub fn names(threads: &[Thread]) -> Vec<String> {
    let mut vcpus = 0;
    let named = threads.iter().map(|thread| {
        if !thread.name.is_empty() {
            return thread.name.clone();
        }
        let name = thread.role.name();
        let alone = threads.iter().filter(|other| other.role == thread.role).take(2).count() == 1;
        match thread.role {
            Role::Vcpu => {
                vcpus += 1;
                format!("CPU {}", vcpus - 1)
            }
            Role::Unknown => format!("thread {}", thread.id),
            _ if alone => name.into(),
            _ => format!("{name} {}", thread.id),
        }
    });
    named.collect()
}
