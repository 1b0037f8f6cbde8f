//! Events that show a handler running, with what its contract says of the BQL:
//! HANDLER_CONTRACTS of the simulator, as far as a log shows them.
//! Must not know: how a breach is shown.

use super::thread::Role;
use crate::lock::Rule;

/// What may be asked of the BQL at an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contract {
    Held,
    NotHeld,
    /// It runs in both ways; the table shows how it did.
    Either,
}

impl Contract {
    /// For the report.
    pub fn text(self) -> &'static str {
        match self {
            Contract::Held => "held",
            Contract::NotHeld => "not held",
            Contract::Either => "either",
        }
    }

    /// The rule that is broken if the BQL is `held`.
    pub fn broken(self, held: bool) -> Option<Rule> {
        match (self, held) {
            (Contract::Held, false) => Some(Rule::NeedsBql),
            (Contract::NotHeld, true) => Some(Rule::MustNotHold),
            _ => None,
        }
    }
}

/// Sections that may be loaded while the guest runs: `has_postcopy`.
pub fn is_postcopiable(idstr: &[u8]) -> bool {
    idstr == b"ram" || idstr == b"dirty-bitmap"
}

/// Whether a handler is seen at `event`: those of which `contract` knows.
pub fn is_handler(event: &[u8]) -> bool {
    event == b"vmstate_load" || table(event).is_some()
}

/// The contract of `event` with its `text`, in a thread of this role.
pub fn contract(event: &[u8], text: &[u8], role: Role) -> Contract {
    if event == b"vmstate_load" {
        let idstr = text.split(|byte| *byte == b',').next().unwrap_or(text);
        return match role == Role::Listen || is_postcopiable(idstr) {
            true => Contract::Either,
            false => Contract::Held,
        };
    }
    match table(event) {
        // A snapshot is saved with the BQL, by the main thread.
        Some(Contract::NotHeld) if role == Role::Main => Contract::Either,
        Some(contract) => contract,
        None => Contract::Either,
    }
}

fn table(event: &[u8]) -> Option<Contract> {
    let held: [&[u8]; 12] = [
        b"loadvm_state_setup",
        b"loadvm_state_cleanup",
        b"loadvm_handle_cmd_packaged",
        b"loadvm_postcopy_handle_advise",
        b"loadvm_postcopy_handle_listen",
        b"loadvm_postcopy_handle_run",
        b"loadvm_postcopy_ram_handle_discard",
        b"process_incoming_migration_co_postcopy_end_main",
        b"migration_block_activation",
        b"migration_cleanup",
        b"migrate_fd_cleanup",
        b"savevm_state_cleanup",
    ];
    let not_held: [&[u8]; 5] = [
        b"savevm_state_iterate",
        b"postcopy_ram_fault_thread_request",
        b"postcopy_pause_fault_thread",
        b"migrate_handle_rp_req_pages",
        b"source_return_path_thread_loop_top",
    ];
    let either: [&[u8]; 6] = [
        b"savevm_state_setup",
        b"postcopy_place_page",
        b"postcopy_place_page_zero",
        b"postcopy_pause_incoming",
        b"loadvm_postcopy_handle_resume",
        b"postcopy_ram_incoming_cleanup_entry",
    ];
    match event {
        _ if held.contains(&event) => Some(Contract::Held),
        _ if not_held.contains(&event) => Some(Contract::NotHeld),
        _ if either.contains(&event) => Some(Contract::Either),
        _ => None,
    }
}
