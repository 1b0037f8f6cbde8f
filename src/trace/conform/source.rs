//! A source as its log shows it: the states of the simulator and the order of the
//! migration thread's steps. What pages it sends, and how often it looks for more,
//! its events do not say.
//! Must not know: lines, times, the destination.

use super::{Event, Refusal};
use crate::sim::{Plan, Status, Version};
use std::collections::BTreeMap;

/// Each step with those of which one must have been the last; a change of state is
/// a step too.
const STEPS: [(&str, &[&str]); 26] = [
    (
        "migration_set_outgoing_channel",
        &["state setup", "state postcopy-paused", "state postcopy-recover-setup"],
    ),
    ("savevm_state_header", &["migration_set_outgoing_channel"]),
    ("savevm_send_open_return_path", &["savevm_state_header"]),
    ("qemu_savevm_send_postcopy_advise", &["savevm_send_open_return_path"]),
    (
        "savevm_state_setup",
        &[
            "savevm_state_header",
            "savevm_send_open_return_path",
            "qemu_savevm_send_postcopy_advise",
        ],
    ),
    ("state active", &["savevm_state_setup"]),
    ("migration_thread_setup_complete", &["state active"]),
    ("postcopy_start", &["migration_thread_setup_complete", "state postcopy-active"]),
    ("postcopy_start_set_run", &["postcopy_start"]),
    (
        "migration_completion_vm_stop",
        &["postcopy_start_set_run", "migration_thread_setup_complete"],
    ),
    ("state device", &["migration_completion_vm_stop"]),
    ("migration_precopy_complete", &["state device"]),
    ("savevm_send_switchover_start", &["migration_precopy_complete"]),
    (
        "savevm_send_postcopy_listen",
        &["savevm_send_switchover_start", "migration_precopy_complete", "postcopy_start_set_run"],
    ),
    ("savevm_send_postcopy_run", &["savevm_send_postcopy_listen"]),
    ("qemu_savevm_send_packaged", &["savevm_send_postcopy_run"]),
    (
        "state postcopy-active",
        &[
            "qemu_savevm_send_packaged",
            "migration_thread_setup_complete",
            "state postcopy-device",
            "savevm_send_postcopy_resume",
        ],
    ),
    ("state postcopy-device", &["qemu_savevm_send_packaged"]),
    (
        "state postcopy-paused",
        &[
            "state postcopy-active",
            "qemu_savevm_send_packaged",
            "postcopy_pause_continued",
            "migration_return_path_end_after",
            "savevm_state_resume_prepare",
            "savevm_send_postcopy_resume",
            "state postcopy-recover",
        ],
    ),
    ("savevm_state_resume_prepare", &["state postcopy-recover"]),
    ("savevm_send_postcopy_resume", &["savevm_state_resume_prepare"]),
    ("postcopy_pause_continued", &["state postcopy-active"]),
    (
        "migration_completion_postcopy_end",
        &["state postcopy-active", "qemu_savevm_send_packaged", "postcopy_pause_continued"],
    ),
    ("migration_completion_postcopy_end_after_complete", &["migration_completion_postcopy_end"]),
    ("migration_return_path_end_after", &["migration_return_path_end_before"]),
    (
        "migration_thread_after_loop",
        // After a break in SETUP nothing says FAILED.
        &[
            "savevm_state_setup",
            "state completed",
            "state failed",
            "state cancelling",
            "state cancelled",
        ],
    ),
];

/// Commands: the event that announces each, and its code.
const COMMANDS: [(&str, &str); 8] = [
    ("savevm_send_open_return_path", "0x1"),
    ("savevm_send_ping", "0x2"),
    ("qemu_savevm_send_postcopy_advise", "0x3"),
    ("savevm_send_postcopy_listen", "0x4"),
    ("savevm_send_postcopy_run", "0x5"),
    ("qemu_savevm_send_packaged", "0x7"),
    ("savevm_send_postcopy_resume", "0x9"),
    ("savevm_send_switchover_start", "0xb"),
];

/// Commands that need no announcement.
const UNANNOUNCED: [&str; 3] = ["0x6", "0x8", "0xa"];

/// Events of a source that the replay knows; any other is passed over.
pub const EVENTS: [&str; 29] = [
    "migrate_set_state",
    "migration_completion_postcopy_end",
    "migration_completion_postcopy_end_after_complete",
    "migration_completion_vm_stop",
    "migration_precopy_complete",
    "migration_return_path_end_after",
    "migration_return_path_end_before",
    "migration_set_outgoing_channel",
    "migration_thread_after_loop",
    "migration_thread_setup_complete",
    "postcopy_pause_continued",
    "postcopy_start",
    "postcopy_start_set_run",
    "qemu_savevm_send_packaged",
    "qemu_savevm_send_postcopy_advise",
    "savevm_command_send",
    "savevm_section_end",
    "savevm_section_start",
    "savevm_send_open_return_path",
    "savevm_send_ping",
    "savevm_send_postcopy_listen",
    "savevm_send_postcopy_resume",
    "savevm_send_postcopy_run",
    "savevm_send_switchover_start",
    "savevm_state_cleanup",
    "savevm_state_header",
    "savevm_state_resume_prepare",
    "savevm_state_setup",
    "migration_cleanup",
];

/// A source so far.
#[derive(Clone)]
pub struct Source {
    version: Version,
    status: String,
    last: String,
    /// What each thread is in the middle of: a section, or a command by its code.
    inside: BTreeMap<u32, String>,
    pings: u64,
    cleaned: bool,
}

impl Source {
    /// One that has not begun.
    pub fn new(plan: &Plan) -> Source {
        Source {
            version: plan.version,
            status: "none".into(),
            last: String::new(),
            inside: BTreeMap::new(),
            pings: 0,
            cleaned: false,
        }
    }

    /// Whether `s->state` may become `to`: by the simulator's table, and by what
    /// the simulator leaves out.
    fn may_become(&self, to: &str) -> bool {
        let from = self.status.as_str();
        if let (Some(from), Some(to)) = (Status::named(from), Status::named(to))
            && from.source_may_become(to, self.version)
        {
            return true;
        }
        let over = ["none", "completed", "failed", "cancelled"].contains(&from);
        match to {
            "setup" => over,
            "failed" => from == "setup",
            "cancelling" => !over && !from.starts_with("postcopy") && from != "cancelling",
            _ => false,
        }
    }

    /// The next event of the log.
    pub fn event(&mut self, event: &Event) -> Result<(), Refusal> {
        let refuse = |reason: String, allowed: Vec<String>| Err(Refusal { reason, allowed });
        let thread = event.thread;
        if let Some(inside) = self.inside.get(&thread).cloned() {
            // A command is announced, then sent; a section begins, then ends.
            let fits = match event.name {
                "savevm_command_send" => event.text.starts_with(&format!("com={inside} ")),
                "savevm_section_end" => id(event.text) == Some(inside.as_str()),
                // A section's own events come before its end.
                _ => !inside.starts_with("0x") && !event.name.starts_with("savevm_section"),
            };
            if !fits {
                let what = match inside.starts_with("0x") {
                    true => format!("savevm_command_send com={inside}"),
                    false => format!("savevm_section_end, section_id {inside}"),
                };
                return refuse("the thread has something else to do first".into(), vec![what]);
            }
        }
        match event.name {
            "savevm_command_send" => {
                let code = event.text.split(' ').next().and_then(|com| com.strip_prefix("com="));
                let announced = self.inside.remove(&thread).is_some();
                if !announced && !code.is_some_and(|code| UNANNOUNCED.contains(&code)) {
                    return refuse("no command was announced".into(), vec![]);
                }
                return Ok(());
            }
            "savevm_section_start" => {
                let id = id(event.text).unwrap_or("").to_string();
                self.inside.insert(thread, id);
                return Ok(());
            }
            "savevm_section_end" => {
                return match self.inside.remove(&thread) {
                    Some(_) => Ok(()),
                    None => refuse("no section has begun".into(), vec![]),
                };
            }
            "savevm_send_ping" => {
                let number = event.text.strip_prefix("0x").unwrap_or("");
                self.pings += 1;
                let wanted = format!("{:x}", self.pings);
                if number != wanted {
                    let allowed = vec![format!("savevm_send_ping 0x{wanted}")];
                    return refuse("pings are numbered".into(), allowed);
                }
            }
            "savevm_state_cleanup" if std::mem::replace(&mut self.cleaned, true) => {
                return refuse("it has been cleaned up".into(), vec![]);
            }
            _ => {}
        }
        if let Some((_, code)) = COMMANDS.iter().find(|(name, _)| *name == event.name) {
            self.inside.insert(thread, (*code).into());
        }
        self.step(event)
    }

    /// A step of the migration thread, or a change of state.
    fn step(&mut self, event: &Event) -> Result<(), Refusal> {
        let changes = event.name == "migrate_set_state";
        let name = match changes {
            true => format!("state {}", event.status()),
            false => event.name.to_string(),
        };
        if changes && !self.may_become(event.status()) {
            let reason = format!("s->state goes from {} to {}", self.status, event.status());
            return Err(Refusal { reason, allowed: self.next() });
        }
        let step = STEPS.iter().find(|(step, _)| *step == name);
        if let Some((_, before)) = step
            && !before.contains(&self.last.as_str())
        {
            let last = if self.last.is_empty() { "the start" } else { &self.last };
            let reason = format!("it does not come after {last}");
            return Err(Refusal { reason, allowed: self.next() });
        }
        if changes {
            self.status = event.status().into();
            if self.status == "setup" {
                (self.pings, self.cleaned) = (0, false);
            }
        }
        if step.is_some() || changes || name == "migration_return_path_end_before" {
            self.last = name;
        }
        Ok(())
    }

    /// The steps that may come now.
    fn next(&self) -> Vec<String> {
        let next = STEPS.iter().filter(|(_, before)| before.contains(&self.last.as_str()));
        next.map(|(step, _)| step.replace("state ", "migrate_set_state new state ")).collect()
    }
}

/// `ram, section_id 2 -> 0`: the section.
fn id(text: &str) -> Option<&str> {
    let rest = text.split_once("section_id ")?.1;
    rest.split(' ').next()
}
