//! The threads of both QEMUs that take part in a migration.
//! Must not know: what they share.

use super::cast::LINKS;
use super::plan::{Plan, Teardown};
use super::scenario::{Break, Device, Scenario, Size};
use crate::runtime::{Name, ThreadId, Threads, World};

/// The threads, by their names in QEMU (`-name debug-threads=on`).
pub struct Threaded {
    pub main: ThreadId,
    pub listen: ThreadId,
    pub fault: Option<ThreadId>,
    pub monitor: Option<ThreadId>,
    pub migration: Option<ThreadId>,
    pub return_path: [Option<ThreadId>; LINKS],
    /// Who breaks the network, or cancels.
    pub network: Option<ThreadId>,
    /// The source's main loop, where the network may break at any step. In the
    /// other scenarios the network's thread is it, once nothing more can break.
    pub src_main: Option<ThreadId>,
    pub vcpus: Vec<ThreadId>,
    pub call_rcu: Option<ThreadId>,
    pub vfio_load: Option<ThreadId>,
}

/// The set of those that there are.
pub fn optional(ids: &[Option<ThreadId>]) -> Threads {
    ids.iter().flatten().fold(Threads::NONE, |set, id| set.with(*id))
}

impl Threaded {
    /// Declares them in `world`: threads come before objects.
    pub fn new(world: &mut World, plan: &Plan, scenario: &Scenario, size: &Size) -> Threaded {
        let main = world.thread("main", 0);
        let listen = world.thread("mig/dst/listen", 0);
        let fault = size.fault_thread.then(|| world.thread("mig/dst/fault", 0));
        let monitor = size.monitor.then(|| world.thread("mon_iothread", 0));
        let migration = size.source.then(|| world.thread("mig/src/main", 1));
        let rp = |world: &mut World, n| {
            size.source.then(|| world.thread(Name::nth("mig/src/return", n), 1))
        };
        let return_path = [rp(world, 0), rp(world, 1)];
        let third = if scenario.cancel { "user (source)" } else { "network" };
        let network = size.source.then(|| world.thread(third, 2));
        let anytime = scenario.breaks == Break::Anytime || scenario.cancel;
        let src_main = (size.source && anytime).then(|| world.thread("main (source)", 1));
        let vcpu = |n| world.thread(Name::nth("vcpu", u32::from(n)), 0);
        let vcpus: Vec<ThreadId> = (0..size.vcpus).map(vcpu).collect();
        let call_rcu = scenario.rcu_callbacks.then(|| world.thread("call_rcu", 0));
        let vfio = scenario.devices.contains(&Device::Vfio);
        let vfio_load = vfio.then(|| world.thread("vfio_load_bufs", 0));
        for thread in &vcpus {
            world.threads[thread.0 as usize].vcpu = true;
        }
        // 10.2 creates the listen thread joinable; before, it is detached.
        world.threads[listen.0 as usize].detached = plan.teardown != Teardown::MainBhJoin;
        Threaded {
            main,
            listen,
            fault,
            monitor,
            migration,
            return_path,
            network,
            src_main,
            vcpus,
            call_rcu,
            vfio_load,
        }
    }

    /// The destination's threads that VM and migration code run in.
    pub fn of(&self, ids: &[ThreadId]) -> Threads {
        Threads::of(ids)
    }
}
