//! RAM on the destination: precopy loads, discards, and the atomic placement of
//! pages under userfaultfd.
//! Must not know: which thread it runs in.

use super::incoming::LoadError;
use crate::lock::{Rule, at};
use crate::runtime::{Act, Runtime};
use crate::sim::cast::Cast;
use crate::sim::plan::Teardown;
use crate::sim::ram::Content;
use crate::sim::status::PostcopyState;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Cast {
    /// `ram_load_precopy()`: userfaultfd is not in use yet.
    pub fn ram_load_precopy<R: Runtime>(&self, cx: &R, pages: &[(u32, Content)]) {
        for (page, content) in pages {
            cx.with(&self.memory[*page as usize], |memory| memory.content = Some(content.clone()));
        }
        cx.with(&self.received, |received| {
            pages.iter().for_each(|(n, _)| received[*n as usize] = true)
        });
    }

    /// `ram_discard_range()`: the pages are missing again.
    pub fn ram_discard_range<R: Runtime>(&self, cx: &R, pages: &[u32]) {
        for page in pages {
            cx.with(&self.memory[*page as usize], |memory| memory.content = None);
        }
        cx.with(&self.received, |received| {
            pages.iter().for_each(|n| received[*n as usize] = false)
        });
    }

    /// `ram_block_enable_notify()`: from now on a missing page faults.
    pub fn ram_block_enable_notify<R: Runtime>(&self, cx: &R) {
        let received = cx.look(&self.received, Vec::clone);
        for (page, _) in self.pages.iter().zip(received).filter(|(_, received)| *received) {
            cx.act(Act::Set, *page, at("ram_block_enable_notify", "UFFDIO_REGISTER"));
        }
        // From here on only the listen thread places pages, and whoever tears down
        // lets go of those that never came.
        if self.plan.teardown != Teardown::MainBhJoin {
            let me = cx.me();
            cx.world(|world| self.pages.iter().for_each(|page| world.retire(*page, me)));
        }
    }

    /// `cleanup_range()`: UFFDIO_UNREGISTER wakes who waits for a page; one that
    /// never came is all zeroes.
    pub fn cleanup_range<R: Runtime>(&self, cx: &R) {
        let received = cx.look(&self.received, |received| received.clone());
        for (n, _) in received.iter().enumerate().filter(|(_, received)| !**received) {
            let zeroes = Arc::from(vec![0; self.guest.before[n].len()]);
            cx.with(&self.memory[n], |memory| {
                memory.content.get_or_insert(zeroes);
            });
            cx.act(Act::Set, self.pages[n], at("cleanup_range", "UFFDIO_UNREGISTER"));
        }
    }

    /// `ram_load_postcopy()` and `qemu_ufd_copy_ioctl()`: the page is there for
    /// the guest before it is in the receivedmap.
    pub async fn postcopy_place_page<R: Runtime>(
        &self,
        cx: &R,
        page: u32,
        content: Option<Content>,
    ) -> Result<(), LoadError> {
        let function =
            if content.is_some() { "postcopy_place_page" } else { "postcopy_place_page_zero" };
        let size = self.guest.before[page as usize].len();
        let content = content.unwrap_or_else(|| Arc::from(vec![0; size]));
        let exists = cx.with(&self.memory[page as usize], |memory| {
            let exists = memory.content.is_some();
            if !exists {
                memory.content = Some(content);
                memory.placed += 1;
            }
            exists
        });
        if exists {
            let message =
                format!("page {page} is placed twice, the second time over what the guest has");
            cx.violate(Rule::GuestLost, at(function, "UFFDIO_COPY: EEXIST"), message);
            return Err(LoadError);
        }
        cx.act(Act::Set, self.pages[page as usize], at(function, "UFFDIO_COPY"));
        cx.lock(self.page_request_mutex, at("qemu_ufd_copy_ioctl", "page_request_mutex")).await;
        cx.with(&self.received, |received| received[page as usize] = true);
        cx.with(&self.requests, |requests| requests.requested.remove(&page));
        cx.unlock(self.page_request_mutex, at("qemu_ufd_copy_ioctl", "page_request_mutex"));
        self.reach_break_point(cx).await;
        Ok(())
    }

    /// Where the network is to break after a number of pages: once the guest
    /// runs, it may.
    async fn reach_break_point<R: Runtime>(&self, cx: &R) {
        let placed = self.guest.placed.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(after) = self.guest.break_after else { return };
        let due = placed >= u64::from(after) && !cx.with(&self.incoming, |mis| mis.break_due);
        if !due {
            return;
        }
        if !cx.holds(self.bql) {
            // On a busy machine this thread may be far ahead of the main thread:
            // a break before RUN would lose the guest, as in QEMU.
            let site = at("network", "the guest is to run first");
            cx.event_wait(self.main_thread_load_event, site).await;
        }
        let state = at("network", "postcopy_state_get");
        if self.postcopy_state_get(cx, state).await == PostcopyState::Running {
            cx.with(&self.incoming, |mis| mis.break_due = true);
            let site = at("network", "break point");
            cx.act(Act::Post, self.break_point, site);
            if !cx.holds(self.bql) {
                // So that the break is there, not wherever a slow thread gets to.
                cx.event_wait(self.break_done, site).await;
            }
        }
    }
}
