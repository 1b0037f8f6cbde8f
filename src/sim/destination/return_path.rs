//! The destination's end of the return path: page requests and answers.
//! Must not know: what the source makes of them.

use crate::lock::{Site, at};
use crate::runtime::{Broken, Op, Runtime};
use crate::sim::cast::Cast;
use crate::sim::message::Reply;

impl Cast {
    /// `migrate_send_rp_message()`: -EIO while `to_src_file` is NULL.
    pub async fn migrate_send_rp_message<R: Runtime>(
        &self,
        cx: &R,
        reply: Reply,
        site: Site,
    ) -> Result<(), Broken> {
        cx.lock(self.rp_mutex, at("migrate_send_rp_message", "rp_mutex")).await;
        let read = at("migrate_send_rp_message", "mis->to_src_file");
        let link = cx.value(Op::Load, self.to_src_file, read).await;
        let result = match link.checked_sub(1) {
            None => Err(Broken),
            Some(link) => cx.send(self.return_paths[link as usize], reply, site).await,
        };
        cx.unlock(self.rp_mutex, at("migrate_send_rp_message", "rp_mutex"));
        result
    }

    /// `migrate_send_rp_req_pages()`.
    pub async fn migrate_send_rp_req_pages<R: Runtime>(
        &self,
        cx: &R,
        page: u32,
    ) -> Result<(), Broken> {
        let site = at("migrate_send_rp_req_pages", "page_request_mutex");
        cx.lock(self.page_request_mutex, site).await;
        let received = cx.look(&self.received, |received| received[page as usize]);
        if !received {
            cx.with(&self.requests, |requests| requests.requested.insert(page));
        }
        cx.unlock(self.page_request_mutex, site);
        if received {
            return Ok(());
        }
        let site = at("migrate_send_rp_message_req_pages", "qemu_fflush");
        self.migrate_send_rp_message(cx, Reply::ReqPages(page), site).await
    }

    /// `migrate_send_rp_req_pages_pending()`: after a recovery, everything that
    /// is still asked for is asked for again. Errors are only reported.
    pub async fn migrate_send_rp_req_pages_pending<R: Runtime>(&self, cx: &R) {
        let site = at("migrate_send_rp_req_pages_pending", "page_request_mutex");
        cx.lock(self.page_request_mutex, site).await;
        let pending = cx.with(&self.requests, |r| r.requested.iter().copied().collect::<Vec<_>>());
        for page in pending {
            let site = at("postcopy_sync_page_req", "qemu_fflush");
            let _ = self.migrate_send_rp_message(cx, Reply::ReqPages(page), site).await;
        }
        cx.unlock(self.page_request_mutex, site);
    }
}
