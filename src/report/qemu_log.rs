//! A run of the simulator as the logs that two QEMUs would have left: what
//! `bqlcheck trace --conform` reads. The model has functions, not lines: a place
//! is `FUNCTION:0`. Times are the number of the line.
//! Must not know: how the run was found.

use super::recording::{Line, Recording};
use crate::sim::{Plan, Teardown, Version};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Where the model's pages are in the destination, as far as its log says.
const HOST: u64 = 0x7f00_0000_0000;
const PAGE: u64 = 4096;
/// When runs of the model begin.
const EPOCH: u64 = 1_700_000_000_000_000;

/// The two logs.
#[derive(Clone, Debug, Default)]
pub struct QemuLogs {
    pub destination: String,
    pub source: String,
}

/// What `recording`, a run of `plan`, would have logged.
pub fn qemu_logs(recording: &Recording, plan: &Plan) -> QemuLogs {
    let mut emitter = Emitter {
        recording,
        plan,
        logs: QemuLogs::default(),
        us: EPOCH,
        thread: 0,
        locks: BTreeMap::new(),
        package: String::new(),
        run: false,
        begun: false,
        listened: false,
        listen_ended: false,
        pausing: false,
        cleaning: false,
        received: BTreeSet::new(),
        requested: BTreeSet::new(),
        page: None,
        fault: None,
        asked: false,
        named: false,
        replies: Vec::new(),
    };
    emitter.all();
    emitter.logs
}

pub(super) struct Emitter<'a> {
    recording: &'a Recording,
    pub(super) plan: &'a Plan,
    logs: QemuLogs,
    us: u64,
    pub(super) thread: usize,
    /// Their addresses.
    locks: BTreeMap<String, u64>,
    /// What is in the package.
    pub(super) package: String,
    /// RUN was loaded, or the load has failed.
    pub(super) run: bool,
    pub(super) begun: bool,
    pub(super) listened: bool,
    pub(super) listen_ended: bool,
    pub(super) pausing: bool,
    pub(super) cleaning: bool,
    pub(super) received: BTreeSet<u64>,
    pub(super) requested: BTreeSet<u64>,
    /// What the listen thread places: the page, and whether it is all zeroes.
    pub(super) page: Option<(u64, bool)>,
    /// The page that the fault thread asks for.
    pub(super) fault: Option<u64>,
    pub(super) asked: bool,
    /// The block was named on this connection.
    pub(super) named: bool,
    /// What the listen thread is to answer.
    pub(super) replies: Vec<u32>,
}

/// Whether a thread of the model is one of the source's. The network serves as its
/// main loop where that has no thread of its own.
fn is_source(name: &str) -> bool {
    name.starts_with("mig/src") || name.contains("(source)") || name == "network"
}

impl Emitter<'_> {
    fn all(&mut self) {
        let lines = self.recording.lines.clone();
        if self.plan.version != Version::V7_2 {
            self.status("setup");
        }
        self.say("migration_socket_incoming_accepted", "");
        self.say("migration_set_incoming_channel", "ioc=0x1 ioctype=qio-channel-socket");
        if let Some(thread) = self.recording.threads.iter().position(|name| is_source(name)) {
            self.thread = thread;
            self.status("setup");
            self.say("migration_set_outgoing_channel", "ioc=0x1 ioctype=qio-channel-socket");
        }
        for line in &lines {
            self.thread = line.thread;
            let source = is_source(&self.recording.threads[line.thread]);
            self.lock(line);
            match source {
                true => self.source(line),
                false => self.destination(line),
            }
        }
    }

    /// The present thread's name.
    pub(super) fn name(&self) -> &str {
        &self.recording.threads[self.thread]
    }

    /// One line of the log that the present thread writes to.
    pub(super) fn say(&mut self, event: &str, text: &str) {
        self.us += 10;
        let (seconds, micros) = (self.us / 1_000_000, self.us % 1_000_000);
        let source = is_source(self.name());
        let id = if source { 2000 } else { 1000 } + self.thread;
        let log = if source { &mut self.logs.source } else { &mut self.logs.destination };
        let _ = writeln!(log, "{id}@{seconds}.{micros:06}:{event} {text}");
    }

    /// `migrate_set_state`.
    pub(super) fn status(&mut self, status: &str) {
        self.say("migrate_set_state", &format!("new state {status}"));
    }

    /// A mutex is taken or released.
    fn lock(&mut self, line: &Line) {
        let taken = match line.operation {
            "lock" | "trylock" => true,
            "unlock" => false,
            _ => return,
        };
        let next = 0x5500_0000_1000 + 0x40 * self.locks.len() as u64;
        let address = *self.locks.entry(line.object.clone()).or_insert(next);
        let folder = if self.plan.version == Version::V7_2 { "softmmu" } else { "system" };
        let big = line.object.starts_with("bql");
        let place = match line.site.function {
            _ if big && !taken => format!("{folder}/cpus.c"),
            "os_host_main_loop_wait" => "util/main-loop.c".into(),
            "prepare_mmio_access" => format!("{folder}/physmem.c"),
            function => function.into(),
        };
        let mutex = format!("mutex {address:#x} ({place}:0)");
        if !taken {
            self.say("qemu_mutex_unlock", &format!("released {mutex}"));
            return;
        }
        if line.operation == "lock" {
            self.say("qemu_mutex_lock", &format!("waiting on {mutex}"));
        }
        self.say("qemu_mutex_locked", &format!("taken {mutex}"));
    }

    /// What a source logs.
    fn source(&mut self, line: &Line) {
        let function = line.site.function;
        let command = |emitter: &mut Self, event: &str, code: u32| {
            emitter.say(event, "");
            emitter.say("savevm_command_send", &format!("com={code:#x} len=0"));
        };
        let old = self.plan.version == Version::V7_2;
        match (line.operation, function) {
            ("send", "qemu_savevm_send_postcopy_advise") => {
                self.say("savevm_state_header", "");
                command(self, "savevm_send_open_return_path", 1);
                command(self, "qemu_savevm_send_postcopy_advise", 3);
                self.say("savevm_state_setup", "");
            }
            ("lock", "postcopy_start") => {
                self.say("postcopy_start", "");
                self.say("postcopy_start_set_run", "");
            }
            ("send", "ram_postcopy_send_discard_bitmap") => {
                if !old {
                    command(self, "savevm_send_switchover_start", 0xb);
                }
                self.say("savevm_command_send", "com=0x6 len=0");
            }
            ("send", "qemu_savevm_send_packaged") => {
                command(self, "savevm_send_postcopy_listen", 4);
                if self.plan.postcopy_device {
                    self.say("savevm_send_ping", "0x1");
                    self.say("savevm_command_send", "com=0x2 len=4");
                }
                command(self, "savevm_send_postcopy_run", 5);
                command(self, "qemu_savevm_send_packaged", 7);
            }
            ("send", "qemu_savevm_send_recv_bitmap") => {
                self.say("savevm_state_resume_prepare", "");
                self.say("savevm_command_send", "com=0xa len=0");
            }
            ("send", "qemu_savevm_send_postcopy_resume") => {
                command(self, "savevm_send_postcopy_resume", 9);
            }
            ("lock", "migration_completion") => self.say("migration_completion_postcopy_end", ""),
            ("lock", "migration_iteration_finish") => self.say("migration_thread_after_loop", ""),
            ("cmpxchg", _) if line.object == "s->state" => {
                let Some((_, new)) = line.detail.split_once(" -> ") else { return };
                if new == "device" {
                    self.say("migration_completion_vm_stop", "ret 0");
                }
                self.status(new);
                match new {
                    "active" => self.say("migration_thread_setup_complete", ""),
                    "device" => self.say("migration_precopy_complete", ""),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// A command of the stream, with what it logs before its end.
    pub(super) fn command(&mut self, name: &str) {
        self.say("qemu_loadvm_state_section", "8");
        self.say("loadvm_process_command", &format!("com={name} len=0"));
    }

    /// The end of a command.
    pub(super) fn done(&mut self, result: u32) {
        self.say("qemu_loadvm_state_section_command", &result.to_string());
    }

    /// A section of a device, or of `ram` with nothing to say of its pages.
    pub(super) fn section(&mut self, kind: u32, idstr: &str) {
        self.say("qemu_loadvm_state_section", &kind.to_string());
        match kind {
            1 | 4 => self.say("qemu_loadvm_state_section_startfull", &format!("1({idstr}) 0 1")),
            _ => self.say("qemu_loadvm_state_section_partend", "1"),
        }
        self.say("vmstate_load", &format!("{idstr}, (old)"));
    }

    /// `ram_load_postcopy_loop`.
    pub(super) fn announce(&mut self, page: u64, flags: u32) {
        let offset = page * PAGE;
        let text = format!("chan=0 addr={offset:#x} flags={flags:#x}");
        self.say("ram_load_postcopy_loop", &text);
    }

    /// Where `page` is.
    pub(super) fn host(page: u64) -> u64 {
        HOST + page * PAGE
    }

    /// The RAM block's range, as an event prints it.
    pub(super) fn range(&mut self, event: &str) {
        self.say(event, &format!("pc.ram: {HOST:#x} offset=0x0 length=0x1000000"));
    }

    /// Whether the size has a fault thread.
    pub(super) fn has_fault(&self) -> bool {
        self.recording.threads.iter().any(|name| name == "mig/dst/fault")
    }

    /// Whether the listen thread tears down.
    pub(super) fn listen_tears_down(&self) -> bool {
        self.plan.teardown != Teardown::MainBhJoin
    }
}
