//! What the devices do when they are loaded and cleaned up, as far as locks and
//! waits go.
//! Must not know: which thread calls them.

use crate::lock::{Site, at};
use crate::runtime::{Act, Runtime};
use crate::sim::cast::Cast;
use crate::sim::handlers::{Hook, Owner};
use crate::sim::plan::VfioCleanup;
use crate::sim::scenario::Device;
use std::sync::Arc;

impl Cast {
    /// Whether the guest has a block dirty bitmap.
    pub fn has_dirty_bitmap(&self) -> bool {
        self.scenario.devices.contains(&Device::DirtyBitmap)
    }

    /// `vmstate_load()` of a device's section.
    pub async fn load_device<R: Runtime>(&self, cx: &R, device: Device, hook: Hook, site: Site) {
        self.enter(cx, Owner::Device(device), hook, site);
        match device {
            // pci_bridge_update_mappings() and the like: the memory API, which
            // asserts the BQL; regions it drops are freed by call_rcu.
            Device::Pci => {
                if self.threads.call_rcu.is_some() {
                    cx.act(Act::Set, self.call_rcu_event, at("call_rcu1", "qemu_event_set"));
                }
            }
            Device::RunOnCpu => self.run_on_cpu(cx).await,
            Device::DirtyBitmap => {
                cx.lock(self.dbm_load_lock, at("dirty_bitmap_load", "DBMLoadState.lock")).await;
                cx.unlock(self.dbm_load_lock, at("dirty_bitmap_load", "DBMLoadState.lock"));
            }
            Device::Vfio => {
                let thread = self.threads.vfio_load.expect("declared with the device");
                cx.with(&self.load_threads, |started| *started = true);
                cx.create(
                    thread,
                    at("vfio_multifd_switchover_start", "qemu_loadvm_start_load_thread"),
                );
            }
        }
    }

    /// `do_run_on_cpu()`: the wait for vCPU 0 releases the BQL.
    async fn run_on_cpu<R: Runtime>(&self, cx: &R) {
        cx.with(&self.cpus, |cpus| cpus.work_queued = true);
        cx.act(Act::Broadcast, self.halt_cond[0], at("queue_work_on_cpu", "qemu_cpu_kick"));
        while !cx.with(&self.cpus, |cpus| cpus.work_done) {
            let site = at("do_run_on_cpu", "qemu_cond_wait(&qemu_work_cond)");
            cx.cond_wait(self.qemu_work_cond, self.bql, site).await;
        }
    }

    /// `dirty_bitmap_mig_cancel_incoming()`.
    pub async fn dirty_bitmap_mig_cancel_incoming<R: Runtime>(&self, cx: &R) {
        if self.has_dirty_bitmap() {
            let site = at("dirty_bitmap_mig_cancel_incoming", "DBMLoadState.lock");
            cx.lock(self.dbm_load_lock, site).await;
            cx.unlock(self.dbm_load_lock, site);
        }
    }

    /// `vfio_load_cleanup_load_bufs_thread()`: the load thread may need the BQL
    /// to come to its end.
    pub async fn vfio_load_cleanup<R: Runtime>(&self, cx: &R) {
        let function = "vfio_load_cleanup_load_bufs_thread";
        if !cx.look(&self.load_threads, |started| *started) {
            return;
        }
        let releases = self.plan.vfio_cleanup == VfioCleanup::ReleasesBql && cx.holds(self.bql);
        if releases {
            cx.unlock(self.bql, at(function, "bql_unlock"));
        }
        cx.lock(self.load_bufs_mutex, at(function, "load_bufs_mutex")).await;
        cx.with(&self.vfio, |vfio| vfio.want_exit = true);
        cx.act(Act::Broadcast, self.load_bufs_buffer_ready_cond, at(function, "qemu_cond_signal"));
        cx.unlock(self.load_bufs_mutex, at(function, "load_bufs_mutex"));
        let thread = self.threads.vfio_load.expect("declared with the device");
        cx.join(thread, at("qemu_loadvm_thread_pool_destroy", "thread_pool_free")).await;
        if releases {
            cx.lock(self.bql, at(function, "bql_lock")).await;
        }
        if self.plan.vfio_cleanup == VfioCleanup::TakesBql {
            // vfio_migration_cleanup(): memory regions and IOMMU mappings.
            cx.lock(self.bql, at("vfio_load_cleanup", "bql_lock")).await;
            cx.unlock(self.bql, at("vfio_load_cleanup", "bql_unlock"));
        }
    }
}

/// `vfio_load_bufs_thread()`: holds `load_bufs_mutex` and takes the BQL inside.
pub async fn vfio_load_bufs_thread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    let function = "vfio_load_bufs_thread";
    // Buffers are written to the device without the mutex.
    cx.recv(c.data_fd, at(function, "write(data_fd)")).await.expect("never shut");
    cx.lock(c.load_bufs_mutex, at(function, "load_bufs_mutex")).await;
    if !cx.with(&c.vfio, |vfio| vfio.want_exit) {
        let config = "vfio_load_bufs_thread_load_config";
        cx.lock(c.bql, at(config, "bql_lock")).await;
        cx.with(&c.vfio, |vfio| vfio.config_loaded = true);
        cx.unlock(c.bql, at(config, "bql_unlock"));
    }
    cx.unlock(c.load_bufs_mutex, at(function, "load_bufs_mutex"));
}

/// `call_rcu_thread()`: runs the callbacks under the BQL.
pub async fn call_rcu_thread<R: Runtime>(cx: R, c: Arc<Cast>) {
    cx.started().await;
    cx.event_wait(c.call_rcu_event, at("call_rcu_thread", "qemu_event_wait")).await;
    cx.lock(c.bql, at("call_rcu_thread", "bql_lock")).await;
    cx.unlock(c.bql, at("call_rcu_thread", "bql_unlock"));
}
