//! Who and what takes part: the threads of both QEMUs, their locks, semaphores,
//! channels and data, each with its declared contract.
//! Must not know: what the threads do.

use super::plan::{LoadvmBql, Plan, RecoverAccept, Teardown, Version, VfioCleanup};
use super::ram::{Guest, Page};
use super::scenario::{Break, Device, Scenario, Size};
use super::status::Status;
use super::stream::{Accept, FaultEvent, MainEvent, Message, Reply, SourceEvent};
use crate::runtime::{
    Cell, Channel, Environment, Name, Object, ObjectId, Payload, Protection, State, ThreadId,
    Threads, World,
};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// How many connections there can be: the first and one after the break.
pub const LINKS: usize = 2;

/// The threads, by their names in QEMU (`-name debug-threads=on`).
pub struct Threaded {
    pub main: ThreadId,
    pub listen: ThreadId,
    pub fault: Option<ThreadId>,
    pub monitor: Option<ThreadId>,
    pub migration: Option<ThreadId>,
    pub return_path: [Option<ThreadId>; LINKS],
    pub network: Option<ThreadId>,
    /// The source's main loop, where the network may break at any step. In the
    /// other scenarios the network's thread is it, once nothing more can break.
    pub src_main: Option<ThreadId>,
    pub vcpus: Vec<ThreadId>,
    pub call_rcu: Option<ThreadId>,
    pub vfio_load: Option<ThreadId>,
}

/// The vCPUs as the main loop sees them; under the BQL.
#[derive(Hash, Default)]
pub struct Cpus {
    /// `vm_start()` was called.
    pub running: bool,
    /// Work queued by `run_on_cpu` for vCPU 0, and whether it is done.
    pub work_queued: bool,
    pub work_done: bool,
}

/// `MigrationIncomingState`, the part that page requests share.
#[derive(Hash, Default)]
pub struct Requests {
    /// `page_requested`.
    pub requested: BTreeSet<u32>,
}

/// `MigrationIncomingState` and RAM, handed from the main thread to the listen
/// thread at its creation and back at its end.
#[derive(Hash)]
pub struct Incoming {
    /// Index of the connection that `from_src_file` is on.
    pub from_src_file: usize,
    pub have_listen_thread: bool,
    /// `migration_incoming_state_destroy` has run.
    pub destroyed: bool,
    /// The network has been told to break.
    pub break_due: bool,
    /// `load_cleanup` hooks have run.
    pub cleaned: bool,
}

/// VFIO's load thread, under `load_bufs_mutex`.
#[derive(Hash, Default)]
pub struct VfioLoad {
    pub want_exit: bool,
    pub config_loaded: bool,
}

/// `RAMState` and `MigrationState` of the source, the migration thread's own.
#[derive(Hash)]
pub struct Outgoing {
    /// Index of the connection that `to_dst_file` is on.
    pub to_dst_file: usize,
    /// `rb->bmap`.
    pub dirty: Vec<bool>,
    pub guest_runs: bool,
    pub bitmap_sent: bool,
    /// `rp_state.rp_thread_created`.
    pub rp_thread_created: bool,
}

/// Everything the thread bodies share.
pub struct Cast {
    pub plan: Arc<Plan>,
    pub scenario: Arc<Scenario>,
    pub guest: Arc<Guest>,
    pub threads: Threaded,

    pub bql: ObjectId,
    pub main_queue: Channel<MainEvent>,
    pub monitor_queue: Channel<Accept>,
    pub streams: [Channel<Message>; LINKS],
    pub return_paths: [Channel<Reply>; LINKS],
    pub page_request_mutex: ObjectId,
    pub rp_mutex: ObjectId,
    pub mis_state: ObjectId,
    pub postcopy_state: ObjectId,
    /// 0 is NULL, else the connection's index and one.
    pub to_src_file: ObjectId,
    pub thread_sync_sem: ObjectId,
    pub main_thread_load_event: ObjectId,
    pub postcopy_pause_sem_dst: ObjectId,
    pub postcopy_pause_sem_fault: ObjectId,
    pub userfault_fd: Channel<FaultEvent>,
    pub pages: Vec<ObjectId>,
    pub halt_cond: Vec<ObjectId>,
    pub qemu_work_cond: ObjectId,
    pub dbm_load_lock: ObjectId,
    pub call_rcu_event: ObjectId,
    pub load_bufs_mutex: ObjectId,
    pub load_bufs_buffer_ready_cond: ObjectId,
    /// The device's data_fd: `write()` takes as long as the device likes.
    pub data_fd: Channel<()>,
    pub destination: ObjectId,

    pub src_bql: ObjectId,
    pub src_state: ObjectId,
    /// `migrate_has_error()` (7.2: `rp_state.error`).
    pub src_error: ObjectId,
    pub qemu_file_lock: ObjectId,
    pub bitmap_mutex: ObjectId,
    pub src_page_req_mutex: ObjectId,
    pub postcopy_pause_sem: ObjectId,
    pub postcopy_pause_rp_sem: ObjectId,
    pub rp_sem: ObjectId,
    pub postcopy_package_loaded_event: ObjectId,

    /// MIGRATION events of the two sides: postcopy-paused.
    pub dst_paused: ObjectId,
    pub src_paused: ObjectId,
    pub src_main_queue: Channel<SourceEvent>,
    /// Pages have been placed up to `Guest::break_after`.
    pub break_point: ObjectId,
    pub break_done: ObjectId,

    pub cpus: Cell<Cpus>,
    pub requests: Cell<Requests>,
    pub incoming: Cell<Incoming>,
    /// `receivedmap`: one thread at a time writes it, once pages are requested under
    /// `page_request_mutex`; that thread alone may look without.
    pub received: Cell<Vec<bool>>,
    /// A load thread was started (VFIO).
    pub load_threads: Cell<bool>,
    pub memory: Vec<Cell<Page>>,
    pub vfio: Cell<VfioLoad>,
    pub outgoing: Cell<Outgoing>,
    pub src_page_requests: Cell<VecDeque<u32>>,
}

/// Adds objects with their contracts, tersely.
struct Props<'a>(&'a mut World);

impl Props<'_> {
    fn mutex(&mut self, name: &'static str, users: Threads) -> ObjectId {
        let state = State::Mutex { owner: None };
        self.0.add(Object { users, ..Object::new(name.into(), state) })
    }

    fn semaphore(&mut self, name: &'static str, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Semaphore { count: 0 };
        self.0.add(Object { users, wakers, ..Object::new(name.into(), state) })
    }

    fn event(&mut self, name: impl Into<Name>, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Event { set: false };
        self.0.add(Object { users, wakers, ..Object::new(name.into(), state) })
    }

    /// An event that is looked at without waiting, too.
    fn polled(&mut self, name: impl Into<Name>, users: Threads, wakers: Threads) -> ObjectId {
        let state = State::Event { set: false };
        let polled = true;
        self.0.add(Object { users, wakers, polled, ..Object::new(name.into(), state) })
    }

    /// A condition that is waited for and signalled under `guard`, always.
    fn condition(
        &mut self,
        name: impl Into<Name>,
        users: Threads,
        wakers: Threads,
        guard: ObjectId,
    ) -> ObjectId {
        let guard = Some(guard);
        let state = State::Condition { waiting: Threads::NONE, signalled: Threads::NONE };
        self.0.add(Object { users, wakers, guard, ..Object::new(name.into(), state) })
    }

    fn variable(
        &mut self,
        name: &'static str,
        users: Threads,
        writers: Threads,
        value: u64,
    ) -> ObjectId {
        let state = State::Variable { value };
        self.0.add(Object { users: users | writers, writers, ..Object::new(name.into(), state) })
    }

    fn channel<T>(&mut self, name: impl Into<Name>, users: Threads, wakers: Threads) -> Channel<T> {
        let state = State::Channel { queue: VecDeque::new(), broken: false, silent: false };
        Channel::new(self.0.add(Object { users, wakers, ..Object::new(name.into(), state) }))
    }
}

fn optional(ids: &[Option<ThreadId>]) -> Threads {
    ids.iter().flatten().fold(Threads::NONE, |set, id| set.with(*id))
}

impl Threaded {
    fn new(world: &mut World, plan: &Plan, scenario: &Scenario, size: &Size) -> Threaded {
        let main = world.thread("main", 0);
        let listen = world.thread("mig/dst/listen", 0);
        let fault = size.fault_thread.then(|| world.thread("mig/dst/fault", 0));
        let monitor = size.monitor.then(|| world.thread("mon_iothread", 0));
        let migration = size.source.then(|| world.thread("mig/src/main", 1));
        let rp = |world: &mut World, n| {
            size.source.then(|| world.thread(Name::nth("mig/src/return", n), 1))
        };
        let return_path = [rp(world, 0), rp(world, 1)];
        let network = size.source.then(|| world.thread("network", 2));
        let anytime = size.source && scenario.breaks == Break::Anytime;
        let src_main = anytime.then(|| world.thread("main (source)", 1));
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
    fn of(&self, ids: &[ThreadId]) -> Threads {
        Threads::of(ids)
    }
}

impl Cast {
    /// Declares everything in `world`.
    pub fn new(
        world: &mut World,
        plan: &Arc<Plan>,
        scenario: &Arc<Scenario>,
        size: &Size,
        guest: &Arc<Guest>,
    ) -> Cast {
        world.timing = scenario.environment.into();
        world.stall_bound = scenario.stall_bound;
        world.spurious = scenario.spurious_wakeups;
        world.breaks = u32::from(scenario.breaks == Break::Anytime);
        world.breaks_over = scenario.breaks == Break::Never;
        let t = Threaded::new(world, plan, scenario, size);
        let main = t.of(&[t.main]);
        let listen = t.of(&[t.listen]);
        let fault = optional(&[t.fault]);
        let monitor = optional(&[t.monitor]);
        let migration = optional(&[t.migration]);
        let rp = optional(&t.return_path);
        let breaks = optional(&[t.network]);
        let src_main = optional(&[t.src_main.or(t.network)]);
        let vcpus = t.of(&t.vcpus);
        let call_rcu = optional(&[t.call_rcu]);
        let vfio_load = optional(&[t.vfio_load]);
        let accepts = match plan.recover_accept {
            RecoverAccept::Iothread => monitor,
            RecoverAccept::MainLoop => main,
        };
        let tears_down = if plan.teardown == Teardown::MainBhJoin { main } else { listen };

        let listen_takes_bql = plan.loadvm_bql != LoadvmBql::None
            || plan.teardown == Teardown::ListenWithBql
            || plan.vfio_cleanup == VfioCleanup::TakesBql;
        let mut bql_users = main | vcpus | call_rcu | vfio_load;
        if listen_takes_bql {
            bql_users = bql_users | listen;
        }

        let mut p = Props(world);
        let bql = p.mutex("bql", bql_users);
        let schedules = if plan.teardown == Teardown::MainBhJoin { main | listen } else { main };
        let connects = match plan.recover_accept {
            RecoverAccept::Iothread => Threads::NONE,
            RecoverAccept::MainLoop => {
                if size.source {
                    src_main
                } else {
                    monitor
                }
            }
        };
        let main_queue = p.channel("main_loop", main, schedules | connects);
        let monitor_queue = p.channel("mon_iothread listener", monitor, src_main);
        let stream =
            |p: &mut Props, n| p.channel(Name::nth("from_src_file", n), main | listen, migration);
        let streams = [stream(&mut p, 0), stream(&mut p, 1)];
        let ends_process = main | listen;
        let return_path = |p: &mut Props, n| {
            let reader = if plan.version == Version::V7_2 {
                rp
            } else {
                optional(&[t.return_path[n as usize]])
            };
            p.channel(Name::nth("to_src_file", n), reader, main | listen | fault)
        };
        let return_paths = [return_path(&mut p, 0), return_path(&mut p, 1)];
        let page_request_mutex = p.mutex("page_request_mutex", main | listen | fault);
        let rp_mutex = p.mutex("rp_mutex", main | listen | fault);
        let initial = if plan.version == Version::V7_2 { Status::None } else { Status::Setup };
        let mis_state = p.variable("mis->state", monitor, main | listen | accepts, initial as u64);
        let postcopy_state = p.variable("postcopy_state", main | listen, main | listen, 0);
        let to_src_file = p.variable("mis->to_src_file", fault, main | listen | accepts, 1);
        let thread_sync_sem = p.semaphore("thread_sync_sem", main, listen | fault);
        let main_thread_load_event = p.event("main_thread_load_event", listen, main);
        let postcopy_pause_sem_dst = p.semaphore("postcopy_pause_sem_dst", listen, accepts);
        let postcopy_pause_sem_fault = p.semaphore("postcopy_pause_sem_fault", fault, listen);
        let userfault_fd = p.channel("userfault_fd", fault, vcpus | listen | tears_down);
        let pages = (0..guest.before.len() as u32)
            .map(|n| p.polled(Name::nth("page", n), vcpus | listen, main | listen))
            .collect::<Vec<_>>();
        let halt_cond = (0..size.vcpus)
            .map(|n| {
                let vcpu = t.of(&[t.vcpus[n as usize]]);
                let halt_cond = p.condition(Name::nth("halt_cond", u32::from(n)), vcpu, main, bql);
                p.0.object(halt_cond).state =
                    State::Condition { waiting: vcpu, signalled: Threads::NONE };
                halt_cond
            })
            .collect();
        let qemu_work_cond = p.condition("qemu_work_cond", main, vcpus, bql);
        let dbm_load_lock = p.mutex("DBMLoadState.lock", main | listen);
        let call_rcu_event = p.event("rcu_call_ready_event", call_rcu, main);
        let load_bufs_mutex = p.mutex("load_bufs_mutex", main | listen | vfio_load);
        let load_bufs_buffer_ready_cond =
            p.condition("load_bufs_buffer_ready_cond", vfio_load, main | listen, load_bufs_mutex);
        let data_fd: Channel<()> = p.channel("data_fd", vfio_load, Threads::NONE);
        let destination = p.0.add(Object {
            users: main | listen,
            ..Object::new("destination".into(), State::Process)
        });

        let src_bql = p.mutex("bql (source)", migration | src_main);
        let src_state = p.variable(
            "s->state",
            migration | rp | src_main,
            migration | rp | src_main,
            Status::Setup as u64,
        );
        let src_error =
            p.variable("s->error", migration | rp | src_main, migration | rp | src_main, 0);
        let qemu_file_lock = p.mutex("qemu_file_lock", migration | src_main);
        let bitmap_mutex = p.mutex("bitmap_mutex", migration);
        let src_page_req_mutex = p.mutex("src_page_req_mutex", migration | rp);
        let postcopy_pause_sem = p.semaphore("postcopy_pause_sem", migration, src_main);
        let postcopy_pause_rp_sem = p.semaphore("postcopy_pause_rp_sem", rp, migration);
        let rp_sem = p.semaphore("rp_sem", migration, rp);
        let postcopy_package_loaded_event =
            p.polled("postcopy_package_loaded_event", migration, rp);
        let dst_paused = p.semaphore("MIGRATION event (destination)", monitor, listen);
        let src_paused = p.semaphore("MIGRATION event (source)", monitor, migration);
        let src_main_queue = p.channel("main_loop (source)", src_main, monitor | migration);
        let break_point = p.semaphore("break point", breaks, listen);
        let break_done = p.event("break done", listen, breaks);

        let cpus = Cell::new(world, Protection::Lock(bql), Cpus::default()).owned_by(world, 0);
        let requests = Cell::new(world, Protection::Lock(page_request_mutex), Requests::default())
            .owned_by(world, 0);
        let pages_count = guest.before.len();
        let incoming = Incoming {
            from_src_file: 0,
            have_listen_thread: false,
            destroyed: false,
            break_due: false,
            cleaned: false,
        };
        let incoming = Cell::new(world, Protection::HandOver, incoming).owned_by(world, 0);
        let received =
            Cell::new(world, Protection::HandOver, vec![false; pages_count]).owned_by(world, 0);
        let load_threads = Cell::new(world, Protection::HandOver, false).owned_by(world, 0);
        let memory = (0..pages_count)
            .map(|_| Cell::new(world, Protection::HandOver, Page::default()).owned_by(world, 0))
            .collect();
        let vfio = Cell::new(world, Protection::Lock(load_bufs_mutex), VfioLoad::default())
            .owned_by(world, 0);
        let outgoing = Outgoing {
            to_dst_file: 0,
            dirty: vec![true; pages_count],
            guest_runs: true,
            bitmap_sent: false,
            rp_thread_created: true,
        };
        let outgoing = Cell::new(world, Protection::HandOver, outgoing).owned_by(world, 1);
        let src_page_requests =
            Cell::new(world, Protection::Lock(src_page_req_mutex), VecDeque::new())
                .owned_by(world, 1);

        let cast = Cast {
            plan: plan.clone(),
            scenario: scenario.clone(),
            guest: guest.clone(),
            threads: t,
            bql,
            main_queue,
            monitor_queue,
            streams,
            return_paths,
            page_request_mutex,
            rp_mutex,
            mis_state,
            postcopy_state,
            to_src_file,
            thread_sync_sem,
            main_thread_load_event,
            postcopy_pause_sem_dst,
            postcopy_pause_sem_fault,
            userfault_fd,
            pages,
            halt_cond,
            qemu_work_cond,
            dbm_load_lock,
            call_rcu_event,
            load_bufs_mutex,
            load_bufs_buffer_ready_cond,
            data_fd,
            destination,
            src_bql,
            src_state,
            src_error,
            qemu_file_lock,
            bitmap_mutex,
            src_page_req_mutex,
            postcopy_pause_sem,
            postcopy_pause_rp_sem,
            rp_sem,
            postcopy_package_loaded_event,
            dst_paused,
            src_paused,
            src_main_queue,
            break_point,
            break_done,
            cpus,
            requests,
            incoming,
            received,
            load_threads,
            memory,
            vfio,
            outgoing,
            src_page_requests,
        };
        cast.contracts(world, tears_down, ends_process);
        cast
    }

    /// What is special about some of the objects and threads.
    fn contracts(&self, world: &mut World, tears_down: Threads, exits: Threads) {
        let t = &self.threads;
        let serves = t.src_main.or(t.network);
        let network = optional(&[t.network]);
        let served = optional(&[serves]);
        world.mark_big(self.bql);
        world.mark_big(self.src_bql);
        for n in 0..LINKS {
            let (stream, reply) = (self.streams[n].id, self.return_paths[n].id);
            let breakers =
                network | served | Threads::of(&[t.main, t.listen]) | optional(&[t.migration]);
            let breakers = breakers | optional(&t.return_path);
            let object = world.object(stream);
            object.environment = Some(Environment::Network);
            object.paced = true;
            object.capacity = self.scenario.stream_capacity.unwrap_or(usize::MAX);
            object.writers = breakers;
            object.linked = vec![reply];
            let object = world.object(reply);
            object.writers = breakers;
            object.linked = vec![stream];
            // A process that ends sends nothing more.
            object.wakers = object.wakers | exits;
            if let Some(capacity) = self.scenario.return_path_capacity {
                object.capacity = capacity;
                object.environment = Some(Environment::Network);
            }
        }
        let device = world.object(self.data_fd.id);
        device.paced = true;
        if let State::Channel { queue, .. } = &mut device.state {
            queue.push_back(Payload::new(()));
        }
        for page in &self.pages {
            world.object(*page).environment = Some(Environment::Page);
        }
        let people = [self.dst_paused, self.src_paused];
        for sem in people.into_iter().chain([self.postcopy_pause_sem_dst, self.postcopy_pause_sem])
        {
            world.object(sem).environment = Some(Environment::Management);
        }
        let park = |world: &mut World, thread: Option<ThreadId>, object: ObjectId| {
            if let Some(thread) = thread {
                world.threads[thread.0 as usize].parks_on = Some(object);
            }
        };
        park(world, Some(t.main), self.main_queue.id);
        park(world, t.monitor, self.dst_paused);
        park(world, serves, self.src_main_queue.id);
        if let Some(thread) = t.monitor {
            world.threads[thread.0 as usize].management = true;
        }
        let main = Threads::of(&[t.main]);
        world.born_by(t.listen, main, if t_joins(&self.plan) { main } else { Threads::NONE });
        if let Some(thread) = t.fault {
            world.born_by(thread, main, tears_down);
        }
        if let Some(thread) = t.vfio_load {
            world.born_by(thread, main, main | tears_down);
        }
        let joins_rp = optional(&[t.migration]) | served;
        if let Some(thread) = t.return_path[1] {
            world.born_by(thread, served, joins_rp);
        }
        if let Some(thread) = t.return_path[0] {
            let handle = world.handle(thread);
            let object = world.object(handle);
            object.users = object.users | joins_rp;
        }
        if let Some(thread) = t.migration {
            let handle = world.handle(thread);
            let object = world.object(handle);
            object.users = object.users | served;
        }
        // The documented orders: load_bufs_mutex before the BQL; nobody takes
        // the BQL inside these (THREADS.md, section 1).
        for inner in [self.page_request_mutex, self.rp_mutex] {
            world.order(self.bql, inner);
        }
        world.order(self.load_bufs_mutex, self.bql);
        world.order(self.page_request_mutex, self.rp_mutex);
        for inner in [self.qemu_file_lock, self.bitmap_mutex, self.src_page_req_mutex] {
            world.order(self.src_bql, inner);
        }
        world.order(self.bitmap_mutex, self.src_page_req_mutex);
        world.order(self.bql, self.dbm_load_lock);
    }
}

/// Whether the listen thread is joined.
fn t_joins(plan: &Plan) -> bool {
    plan.teardown == Teardown::MainBhJoin
}
