//! What a thread may log next: a stack of items, the next one on top. The order
//! in which QEMU's functions log their events, as far as they concern migration.
//! Must not know: states and pages, which hold across threads.

use crate::sim::Version;

/// What a thread is to log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// This event, with a text that begins so.
    One(&'static str, String),
    /// It, or nothing.
    Maybe(&'static str, String),
    /// It, any number of times.
    Many(&'static str),
    /// `migrate_set_state` to this.
    Status(&'static str),
    /// `qemu_loadvm_state_main()`: sections, until QEMU_VM_EOF or RUN.
    Stream(Channel),
    /// After a section's type.
    Command(Channel),
    /// `vmstate_load`, of this section where it is known.
    Load(Option<String>, Channel),
    /// Pages, until RAM_SAVE_FLAG_EOS.
    Pages,
    /// The page that was announced: its address, offset in its block, and whether
    /// it is all zeroes.
    Page { offset: u64, zero: bool, same_block: bool },
    /// The zero page at this address has been announced as placed: its request is
    /// resolved only after that, where other pages' are before.
    Zeroed { host: u64 },
    /// Page requests that are sent again.
    Pending,
    /// The pause: somebody recovers meanwhile.
    Paused,
    /// Page faults.
    Faults,
    /// A fault: asked for, or there already. Not sure: what went before may have
    /// been another pause, after which nothing is asked for again.
    Fault { host: u64, block: String, sure: bool },
    /// The request for it is sent.
    Request { host: u64, block: String },
    /// It was sent: into a broken network, perhaps.
    Sent { host: u64, block: String },
    /// The fault thread's pause.
    FaultPaused,
    /// The thread's last event was its last.
    Over,
}

/// Which stream a thread reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// The main thread's.
    Main,
    /// What is in the package.
    Package,
    /// The listen thread's.
    Postcopy,
}

/// This event with any text.
pub fn one(event: &'static str) -> Item {
    Item::One(event, String::new())
}

fn with(event: &'static str, text: &str) -> Item {
    Item::One(event, text.into())
}

/// `migrate_send_rp_message` of this type.
pub fn reply(message: u32) -> Item {
    Item::One("migrate_send_rp_message", format!("{message}:"))
}

/// What follows a command, in order; none if it cannot come on this channel.
pub fn command(name: &str, channel: Channel, version: Version) -> Option<Vec<Item>> {
    use Channel::*;
    let mut result = "0";
    let mut items = match (name, channel) {
        ("OPEN_RETURN_PATH" | "ENABLE_COLO", Main) => vec![],
        ("SWITCHOVER_START", Main | Postcopy) if version != Version::V7_2 => vec![],
        ("PING", _) => vec![one("loadvm_process_command_ping"), reply(2)],
        ("POSTCOPY_ADVISE", Main) => {
            vec![one("loadvm_postcopy_handle_advise"), Item::Many("postcopy_init_range")]
        }
        ("POSTCOPY_RAM_DISCARD", Main) => vec![
            one("loadvm_postcopy_ram_handle_discard"),
            Item::Many("postcopy_nhp_range"),
            one("loadvm_postcopy_ram_handle_discard_header"),
            one("loadvm_postcopy_ram_handle_discard_end"),
        ],
        ("PACKAGED", Main) => {
            result = "1";
            vec![
                one("loadvm_handle_cmd_packaged"),
                one("loadvm_handle_cmd_packaged_received"),
                Item::Stream(Package),
                with("loadvm_handle_cmd_packaged_main", "1"),
            ]
        }
        ("POSTCOPY_LISTEN", Package) => vec![
            with("loadvm_postcopy_handle_listen", "enter"),
            Item::Many("postcopy_nhp_range"),
            with("loadvm_postcopy_handle_listen", "after discard"),
            one("postcopy_ram_enable_notify"),
            with("loadvm_postcopy_handle_listen", "after uffd"),
            with("loadvm_postcopy_handle_listen", "return"),
        ],
        ("POSTCOPY_RUN", Package) => {
            result = "1";
            let mut items = vec![one("loadvm_postcopy_handle_run")];
            if version == Version::V10_2 {
                items.push(Item::Status("postcopy-active"));
            }
            items
        }
        ("RECV_BITMAP", Postcopy) => {
            vec![reply(5), one("migrate_send_rp_recv_bitmap"), one("loadvm_handle_recv_bitmap")]
        }
        ("POSTCOPY_RESUME", Postcopy) => vec![
            Item::Status("postcopy-active"),
            one("loadvm_postcopy_handle_resume"),
            reply(6),
            Item::Pending,
        ],
        _ => return None,
    };
    items.push(with("qemu_loadvm_state_section_command", result));
    Some(items)
}

/// The end of the listen thread after its stream, by where it is torn down.
pub fn cleanup() -> Vec<Item> {
    vec![
        one("postcopy_ram_incoming_cleanup_entry"),
        Item::Maybe("postcopy_ram_incoming_cleanup_join", String::new()),
        Item::Many("postcopy_cleanup_range"),
        Item::Maybe("postcopy_ram_incoming_cleanup_closeuf", String::new()),
        Item::Maybe("postcopy_ram_incoming_cleanup_blocktime", String::new()),
        one("postcopy_ram_incoming_cleanup_exit"),
    ]
}

impl Item {
    /// What it would allow, in words.
    pub fn allows(&self) -> String {
        match self {
            Item::One(event, text) | Item::Maybe(event, text) if text.is_empty() => {
                (*event).to_string()
            }
            Item::One(event, text) | Item::Maybe(event, text) => format!("{event} {text}"),
            Item::Many(event) => (*event).to_string(),
            Item::Status(status) => format!("migrate_set_state new state {status}"),
            Item::Stream(_) => "qemu_loadvm_state_section".into(),
            Item::Command(_) => "loadvm_process_command".into(),
            Item::Load(Some(section), _) => format!("vmstate_load {section}"),
            Item::Load(None, _) => "vmstate_load".into(),
            Item::Pages => "ram_load_postcopy_loop".into(),
            Item::Page { zero: true, .. } => "postcopy_place_page_zero".into(),
            Item::Page { .. } => "postcopy_place_page".into(),
            Item::Zeroed { .. } => "postcopy_page_req_del".into(),
            Item::Pending => "migrate_send_rp_message 3: or 4:".into(),
            Item::Paused => "postcopy_pause_incoming_continued".into(),
            Item::Faults => "postcopy_ram_fault_thread_request".into(),
            Item::Fault { .. } => "postcopy_page_req_add".into(),
            Item::Request { .. } => "migrate_send_rp_message 3: or 4:".into(),
            Item::Sent { .. } => "postcopy_pause_fault_thread".into(),
            Item::FaultPaused => "postcopy_pause_fault_thread_continued".into(),
            Item::Over => "nothing: the thread is at its end".into(),
        }
    }
}
