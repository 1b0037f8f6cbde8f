//! The migration thread: precopy, switchover, and the postcopy stream.
//! Must not know: what the destination does with it.

use super::completion::Completed;
use crate::lock::{Site, at};
use crate::runtime::{Broken, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::{Message, Packed};
use crate::sim::plan::Version;
use crate::sim::ram::is_zero;
use crate::sim::scenario::Device;
use crate::sim::state::Side;
use crate::sim::status::Status;
use std::sync::Arc;

/// The migration is over and lost for this side.
pub struct Fatal;

/// `migration_thread()`.
pub async fn migration_thread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    let iterated = c.precopy(&cx).await;
    if c.scenario.precopy && iterated.is_ok() {
        c.migration_completion_precopy(&cx).await;
    } else if iterated.is_err() || c.postcopy_start(&cx).await.is_err() {
        // postcopy_start has said FAILED itself; precopy errors do so here.
        let site = at("migration_detect_error", "migrate_set_state");
        c.fail_from(&cx, Status::Active, site).await;
    } else {
        c.stream_pages(&cx).await;
    }
    c.migration_iteration_finish(&cx).await;
}

impl Cast {
    /// Sends on the present connection what the socket buffers.
    async fn send_head<R: Runtime>(
        &self,
        cx: &R,
        message: Message,
        site: Site,
    ) -> Result<(), Broken> {
        cx.send_buffered(self.streams[0], message, site).await
    }

    /// Sends on the present connection and waits as long as the write blocks.
    pub async fn send_message<R: Runtime>(
        &self,
        cx: &R,
        message: Message,
        site: Site,
    ) -> Result<(), Broken> {
        let link = cx.look(&self.outgoing, |s| s.to_dst_file);
        cx.send(self.streams[link], message, site).await
    }

    /// `migrate_set_state(s, old, FAILED)`: only if it is still `old`.
    pub async fn fail_from<R: Runtime>(&self, cx: &R, old: Status, site: Site) {
        self.migrate_set_state(cx, Side::Source, old, Status::Failed, site).await;
    }

    /// Setup and one pass over RAM; then the guest dirties its pages.
    async fn precopy<R: Runtime>(&self, cx: &R) -> Result<(), Broken> {
        let mut set_up = Ok(());
        if !self.scenario.precopy {
            let site = at("qemu_savevm_send_postcopy_advise", "qemu_fflush");
            set_up = self.send_head(cx, Message::Advise, site).await;
        }
        // An error of the setup is looked at only in ACTIVE.
        let site = at("qemu_savevm_wait_unplug", "migrate_set_state");
        self.migrate_set_state(cx, Side::Source, Status::Setup, Status::Active, site).await;
        set_up?;
        let pages = self.guest.before.iter().cloned().enumerate();
        let pages = pages.map(|(n, content)| (n as u32, content)).collect();
        self.send_head(cx, Message::Ram(pages), at("ram_save_iterate", "qemu_fflush")).await?;
        cx.with(&self.outgoing, |s| {
            for (n, dirty) in s.dirty.iter_mut().enumerate() {
                *dirty = self.guest.is_dirty(n);
            }
        });
        Ok(())
    }

    /// `postcopy_start()`: stops the guest, discards what is dirty, sends the
    /// devices in one package. The BQL is held across the writes, by design.
    async fn postcopy_start<R: Runtime>(&self, cx: &R) -> Result<(), Broken> {
        let f = "postcopy_start";
        let set_state = at(f, "migrate_set_state");
        let old = self.plan.version == Version::V7_2;
        if old {
            let (from, to) = (Status::Active, Status::PostcopyActive);
            self.migrate_set_state(cx, Side::Source, from, to, set_state).await;
        }
        cx.lock(self.src_bql, at(f, "bql_lock")).await;
        cx.with(&self.outgoing, |s| s.guest_runs = false);
        if !old {
            let (from, to) = (Status::Active, Status::Device);
            let goes_on = self.migrate_set_state(cx, Side::Source, from, to, set_state).await;
            if !goes_on {
                // Cancelled, which is not to fail.
                cx.unlock(self.src_bql, at(f, "bql_unlock"));
                return Err(Broken);
            }
        }
        let sent = self.send_package(cx).await;
        let before = if old { Status::PostcopyActive } else { Status::Device };
        match sent {
            Ok(()) if old => {}
            Ok(()) => {
                let device = self.plan.postcopy_device;
                let to = if device { Status::PostcopyDevice } else { Status::PostcopyActive };
                self.migrate_set_state(cx, Side::Source, Status::Device, to, set_state).await;
            }
            Err(Broken) => self.fail_from(cx, before, set_state).await,
        }
        cx.unlock(self.src_bql, at(f, "bql_unlock"));
        sent
    }

    async fn send_package<R: Runtime>(&self, cx: &R) -> Result<(), Broken> {
        let dirty = cx.with(&self.outgoing, |s| {
            let dirty = s.dirty.iter().enumerate().filter(|(_, dirty)| **dirty);
            dirty.map(|(n, _)| n as u32).collect::<Vec<_>>()
        });
        let site = at("ram_postcopy_send_discard_bitmap", "qemu_fflush");
        self.send_head(cx, Message::RamDiscard(dirty), site).await?;
        let mut package = vec![Packed::Listen];
        let postcopiable = |device: &Device| *device == Device::DirtyBitmap;
        let devices = self.scenario.devices.iter().filter(|device| !postcopiable(device));
        package.extend(devices.map(|device| Packed::Device(*device)));
        if self.plan.postcopy_device {
            package.push(Packed::PingPackagedLoaded);
        }
        package.push(Packed::Run);
        let site = at("qemu_savevm_send_packaged", "qemu_fflush");
        self.send_head(cx, Message::Packaged(package), site).await
    }

    /// The loop of `migration_thread()` after the switchover.
    async fn stream_pages<R: Runtime>(&self, cx: &R) {
        if self.scenario.hostile_section {
            let site = at("vmstate_save", "qemu_fflush (hostile)");
            let sent = self.send_message(cx, Message::Device(Device::Pci), site).await;
            if sent.is_err() && self.migration_detect_error(cx).await.is_err() {
                return;
            }
        }
        loop {
            cx.canon("migration_thread", ());
            let next = self.get_queued_or_dirty_page(cx).await;
            if self.plan.postcopy_device {
                let loaded = next.is_none() || self.package_loaded(cx).await;
                if loaded {
                    self.leave_postcopy_device(cx).await;
                }
            }
            let sent = match next {
                Some(page) => self.ram_save_page(cx, page).await,
                None => match self.send_other_postcopiable(cx).await {
                    Some(sent) => sent,
                    None => match self.migration_completion(cx).await {
                        Completed::Done | Completed::Failed => return,
                    },
                },
            };
            if sent.is_err() && self.migration_detect_error(cx).await.is_err() {
                return;
            }
        }
    }

    /// Whether `postcopy_package_loaded` was seen set.
    async fn package_loaded<R: Runtime>(&self, cx: &R) -> bool {
        let site = at("migration_iteration_run", "postcopy_package_loaded");
        cx.value(Op::EventIsSet, self.postcopy_package_loaded_event, site).await == 1
    }

    /// 10.2: POSTCOPY_DEVICE ends when the destination has loaded the package;
    /// nothing but that PONG ends the wait.
    async fn leave_postcopy_device<R: Runtime>(&self, cx: &R) {
        let f = "migration_iteration_run";
        if self.status(cx, Side::Source, at(f, "s->state")).await == Status::PostcopyDevice {
            let site = at(f, "qemu_event_wait(&s->postcopy_package_loaded_event)");
            cx.event_wait(self.postcopy_package_loaded_event, site).await;
            let (old, new) = (Status::PostcopyDevice, Status::PostcopyActive);
            self.migrate_set_state(cx, Side::Source, old, new, at(f, "migrate_set_state")).await;
            self.open_break_window(cx);
        }
    }

    /// `find_dirty_block()` after `get_queued_page()`: urgent pages first.
    async fn get_queued_or_dirty_page<R: Runtime>(&self, cx: &R) -> Option<u32> {
        let lock = at("unqueue_page", "src_page_req_mutex");
        cx.lock(self.bitmap_mutex, at("ram_save_iterate", "bitmap_mutex")).await;
        let queued = loop {
            cx.lock(self.src_page_req_mutex, lock).await;
            let page = cx.with(&self.src_page_requests, |queue| queue.pop_front());
            cx.unlock(self.src_page_req_mutex, lock);
            match page {
                Some(page) if !cx.look(&self.outgoing, |s| s.dirty[page as usize]) => {}
                other => break other,
            }
        };
        let next = queued.or_else(|| {
            cx.look(&self.outgoing, |s| s.dirty.iter().position(|dirty| *dirty).map(|n| n as u32))
        });
        if let Some(page) = next {
            // migration_bitmap_clear_dirty(), before the page is written out.
            cx.with(&self.outgoing, |s| s.dirty[page as usize] = false);
        }
        cx.unlock(self.bitmap_mutex, at("ram_save_iterate", "bitmap_mutex"));
        next
    }

    async fn ram_save_page<R: Runtime>(&self, cx: &R, page: u32) -> Result<(), Broken> {
        let content = self.guest.after[page as usize].clone();
        let content = (!is_zero(&content)).then_some(content);
        self.send_message(cx, Message::Page(page, content), at("ram_save_page", "qemu_fflush"))
            .await
    }

    /// The dirty bitmap, once.
    async fn send_other_postcopiable<R: Runtime>(&self, cx: &R) -> Option<Result<(), Broken>> {
        if self.has_dirty_bitmap() && !cx.look(&self.outgoing, |s| s.bitmap_sent) {
            cx.with(&self.outgoing, |s| s.bitmap_sent = true);
            let site = at("dirty_bitmap_save_iterate", "qemu_fflush");
            return Some(self.send_message(cx, Message::DirtyBitmap, site).await);
        }
        None
    }

    /// `migration_detect_error()`: POSTCOPY_ACTIVE pauses, anything else fails.
    async fn migration_detect_error<R: Runtime>(&self, cx: &R) -> Result<(), Fatal> {
        let f = "migration_detect_error";
        let state = self.status(cx, Side::Source, at(f, "s->state")).await;
        if state == Status::Cancelling {
            return Err(Fatal);
        }
        cx.op(Op::Store(1), self.src_error, at(f, "migrate_set_error")).await;
        if state == Status::PostcopyActive {
            return self.postcopy_pause(cx).await;
        }
        self.fail_from(cx, state, at(f, "migrate_set_state")).await;
        Err(Fatal)
    }
}
