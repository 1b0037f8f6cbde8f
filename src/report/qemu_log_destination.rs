//! What a destination logs in a run of the simulator: the events of QEMU's
//! functions at the operations that the model makes of them.
//! Must not know: lines and times.

use super::qemu_log::Emitter;
use super::recording::Line;
use crate::sim::Version;

/// The section's name of a device, as the model prints the device.
fn idstr(device: &str) -> &'static str {
    match device {
        "Pci" => "pci-device",
        "RunOnCpu" => "apic",
        "DirtyBitmap" => "dirty-bitmap",
        _ => "vfio",
    }
}

impl Emitter<'_> {
    /// What a destination logs.
    pub(super) fn destination(&mut self, line: &Line) {
        let function = line.site.function;
        let listen = self.name() == "mig/dst/listen";
        let main = self.name() == "main";
        let fault = self.name() == "mig/dst/fault";
        match (line.operation, line.object.as_str()) {
            ("cmpxchg", "mis->state") => self.changed(line, listen),
            ("recv", object) if object.starts_with("from_src_file") => match listen {
                true => self.postcopy(&line.detail),
                false => self.incoming(&line.detail),
            },
            ("xchg", "postcopy_state") if line.detail.ends_with("Listening") => {
                self.command("POSTCOPY_LISTEN");
                self.say("loadvm_postcopy_handle_listen", "enter");
                self.say("loadvm_postcopy_handle_listen", "after discard");
            }
            ("xchg", "postcopy_state") if line.detail.ends_with("Running") => self.ran(),
            ("sem_post", "thread_sync_sem") if fault => {
                self.say("postcopy_ram_fault_thread_entry", "");
            }
            ("sem_post", "thread_sync_sem") if listen => {
                self.say("postcopy_ram_listen_thread_start", "");
                self.listened = true;
            }
            ("create", _) if function == "loadvm_postcopy_handle_listen" => {
                self.say("postcopy_ram_enable_notify", "");
                self.say("loadvm_postcopy_handle_listen", "after uffd");
            }
            ("sem_wait", "thread_sync_sem") if self.listened => {
                self.say("loadvm_postcopy_handle_listen", "return");
                self.done(0);
                self.devices();
            }
            ("event_set", "main_thread_load_event") if main && !self.run => {
                self.run = true;
                self.say("qemu_loadvm_state_post_main", "-5");
            }
            ("event_wait", "main_thread_load_event") if listen && function.contains("listen") => {
                self.listen_ends();
            }
            ("shutdown", _) if function == "postcopy_pause_incoming" => {
                self.pausing = true;
                self.named = false;
                self.say("postcopy_pause_incoming", "");
            }
            ("lock", "page_request_mutex") if function == "migrate_send_rp_req_pages" => {
                self.faulted();
            }
            ("unlock", "page_request_mutex") => self.paged(function),
            ("lock", "rp_mutex") if function == "migrate_send_rp_message" => {
                self.answer(listen, main, fault);
            }
            ("sem_post", "postcopy_pause_sem_fault") => self.done(0),
            ("sem_wait", "postcopy_pause_sem_fault") => {
                self.say("postcopy_pause_fault_thread", "");
                self.say("postcopy_pause_fault_thread_continued", "");
                self.named = false;
            }
            ("send", "userfault_fd")
                if function == "postcopy_fault_thread_notify" && !self.pausing =>
            {
                self.clean_up();
            }
            ("recv", "userfault_fd") => self.userfault(&line.detail),
            ("join", _) if function == "postcopy_ram_incoming_cleanup" => {
                self.say("postcopy_ram_incoming_cleanup_join", "");
                self.say("postcopy_ram_incoming_cleanup_exit", "");
            }
            ("join", _) if function == "postcopy_incoming_cleanup" && !self.has_fault() => {
                self.clean_up();
                self.say("postcopy_ram_incoming_cleanup_exit", "");
            }
            ("store", "mis->to_src_file")
                if function == "migration_incoming_state_destroy"
                    && self.plan.version == Version::V7_2 =>
            {
                self.say("loadvm_state_cleanup", "");
            }
            _ => {}
        }
    }

    fn clean_up(&mut self) {
        if !std::mem::replace(&mut self.cleaning, true) {
            self.say("postcopy_ram_incoming_cleanup_entry", "");
        }
    }

    /// The listen thread has come to the end of its stream.
    fn listen_ends(&mut self) {
        if std::mem::replace(&mut self.listen_ended, true) {
            return;
        }
        self.say("postcopy_ram_listen_thread_exit", "");
    }

    /// Without a fault thread there is nothing to join in the cleanup.
    fn cleanup_without_fault(&mut self) {
        if !self.has_fault() && self.listen_tears_down() && !self.cleaning {
            self.clean_up();
            self.say("postcopy_ram_incoming_cleanup_exit", "");
        }
    }

    /// `migrate_set_state`, where it took effect.
    fn changed(&mut self, line: &Line, listen: bool) {
        let tries_to_fail = listen && self.listened && line.site.function.contains("listen");
        let Some((_, new)) = line.detail.split_once(" -> ") else {
            if tries_to_fail {
                self.listen_ends();
            }
            return;
        };
        let new = new.to_string();
        match new.as_str() {
            "failed" if tries_to_fail => self.listen_ends(),
            "completed" if listen => self.cleanup_without_fault(),
            "postcopy-recover" => {
                self.say("migration_socket_incoming_accepted", "");
                self.say("migration_set_incoming_channel", "ioc=0x2 ioctype=qio-channel-socket");
            }
            "postcopy-active" if !listen => {
                self.command("POSTCOPY_RUN");
                self.say("loadvm_postcopy_handle_run", "");
            }
            _ => {}
        }
        self.status(&new);
        match new.as_str() {
            "active" => self.say("loadvm_state_setup", ""),
            "postcopy-active" if listen && self.listened => {
                self.say("loadvm_postcopy_handle_resume", "");
            }
            "failed" if listen => self.cleanup_without_fault(),
            _ => {}
        }
    }

    /// A message that the main thread has read.
    fn incoming(&mut self, message: &str) {
        match message.split('(').next().unwrap_or("") {
            "Advise" => {
                self.command("POSTCOPY_ADVISE");
                self.say("loadvm_postcopy_handle_advise", "");
                self.range("postcopy_init_range");
                self.done(0);
            }
            "Ram" => self.section(1, "ram"),
            "RamDiscard" => {
                self.command("POSTCOPY_RAM_DISCARD");
                self.say("loadvm_postcopy_ram_handle_discard", "");
                if !std::mem::replace(&mut self.begun, true) {
                    self.range("postcopy_nhp_range");
                }
                self.say("loadvm_postcopy_ram_handle_discard_header", "pc.ram: 16d");
                self.say("loadvm_postcopy_ram_handle_discard_end", "");
                self.done(0);
            }
            "Packaged" => {
                self.package = message.into();
                self.command("PACKAGED");
                self.say("loadvm_handle_cmd_packaged", "4096");
                self.say("loadvm_handle_cmd_packaged_received", "4096");
            }
            _ => {}
        }
    }

    /// The devices of the package, after LISTEN.
    fn devices(&mut self) {
        let package = std::mem::take(&mut self.package);
        for part in package.split("Device(").skip(1) {
            self.section(4, idstr(part.split(')').next().unwrap_or("")));
        }
        self.package = package;
    }

    /// RUN: the end of the package, and of the main thread's stream.
    fn ran(&mut self) {
        self.run = true;
        if !self.plan.postcopy_device {
            self.command("POSTCOPY_RUN");
            self.say("loadvm_postcopy_handle_run", "");
        }
        self.done(1);
        self.say("loadvm_handle_cmd_packaged_main", "1");
        self.done(1);
        self.say("qemu_loadvm_state_post_main", "1");
        self.say("process_incoming_migration_co_postcopy_end_main", "");
    }

    /// A message that the listen thread has read.
    fn postcopy(&mut self, message: &str) {
        if message.is_empty() {
            return;
        }
        if std::mem::take(&mut self.pausing) {
            self.say("postcopy_pause_incoming_continued", "");
        }
        let (kind, rest) = message.split_once('(').unwrap_or((message, ""));
        match kind {
            "Page" => {
                let page = rest.split(',').next().and_then(|page| page.parse().ok()).unwrap_or(0);
                let zero = rest.contains("None");
                self.page = Some((page, zero));
                self.section(2, "ram");
                self.announce(page, if zero { 0x2 } else { 0x8 });
            }
            "DirtyBitmap" => self.section(2, "dirty-bitmap"),
            "Device" => self.section(4, idstr(rest.trim_end_matches(')'))),
            "RecvBitmap" => {
                self.command("RECV_BITMAP");
                self.replies.push(5);
            }
            "PostcopyResume" => {
                self.command("POSTCOPY_RESUME");
                self.replies.push(6);
            }
            "Eof" => self.say("qemu_loadvm_state_section", "0"),
            // Refused by its name: the section's type has been read.
            _ => self.say("qemu_loadvm_state_section", "4"),
        }
    }

    /// The fault thread looks whether its page has come.
    fn faulted(&mut self) {
        let Some(page) = self.fault.filter(|_| !self.asked) else { return };
        self.asked = true;
        let host = Emitter::host(page);
        let offset = page * 4096;
        let text = format!("Request for HVA={host:#x} rb=pc.ram offset={offset:#x} pid=0");
        self.say("postcopy_ram_fault_thread_request", &text);
    }

    /// `page_request_mutex` is released: a page is asked for, or has come.
    fn paged(&mut self, function: &str) {
        match function {
            "migrate_send_rp_req_pages" => {
                let Some(page) = self.fault else { return };
                if !self.received.contains(&page) && self.requested.insert(page) {
                    let (host, total) = (Emitter::host(page), self.requested.len());
                    let text = format!("new page req {host:#x} total {total}");
                    self.say("postcopy_page_req_add", &text);
                }
            }
            "qemu_ufd_copy_ioctl" => {
                let Some((page, zero)) = self.page.take() else { return };
                let host = Emitter::host(page);
                let placed = format!("host={host:#x}");
                if zero {
                    self.say("postcopy_place_page_zero", &placed);
                }
                if self.requested.remove(&page) {
                    let text = format!("resolved page req {host:#x} total 0");
                    self.say("postcopy_page_req_del", &text);
                }
                self.received.insert(page);
                if !zero {
                    self.say("postcopy_place_page", &placed);
                }
                self.announce(0, 0x10);
            }
            _ => {}
        }
    }

    /// `migrate_send_rp_message`, by who calls it and when.
    fn answer(&mut self, listen: bool, main: bool, fault: bool) {
        if fault {
            let text = if self.named { "4: len 12" } else { "3: len 19" };
            self.named = true;
            return self.say("migrate_send_rp_message", text);
        }
        if main && !self.run && self.package.contains("PingPackagedLoaded") {
            self.command("PING");
            self.say("loadvm_process_command_ping", "0x1");
            self.say("migrate_send_rp_message", "2: len 4");
            return self.done(0);
        }
        let ended = !listen || self.listen_ended;
        match self.replies.pop().filter(|_| listen) {
            Some(5) => {
                self.say("migrate_send_rp_message", "5: len 7");
                self.say("migrate_send_rp_recv_bitmap", "block 'pc.ram' size 0x16");
                self.say("loadvm_handle_recv_bitmap", "pc.ram");
                self.done(0);
            }
            Some(reply) => self.say("migrate_send_rp_message", &format!("{reply}: len 4")),
            None if ended => {
                if self.plan.version != Version::V7_2 {
                    self.say("loadvm_state_cleanup", "");
                }
                self.say("migrate_send_rp_message", "1: len 4");
            }
            // A page that is still asked for.
            None => self.say("migrate_send_rp_message", "3: len 19"),
        }
    }

    /// The fault thread is woken.
    fn userfault(&mut self, event: &str) {
        self.fault = None;
        self.asked = false;
        if let Some(page) = event.strip_prefix("Pagefault(") {
            self.fault = page.trim_end_matches(')').parse().ok();
        } else if event == "Quit" {
            self.say("postcopy_ram_fault_thread_quit", "");
            self.say("postcopy_ram_fault_thread_exit", "");
        }
    }
}
