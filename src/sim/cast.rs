//! Who and what takes part: the threads of both QEMUs, their locks, semaphores,
//! channels and data, each with its declared contract.
//! Must not know: what the threads do.

use super::memory::{Cpus, Incoming, Outgoing, Requests, VfioLoad};
use super::message::{Accept, FaultEvent, MainEvent, Message, Reply, SourceEvent};
use super::plan::{LoadvmBql, Plan, RecoverAccept, Teardown, Version, VfioCleanup};
use super::props::Props;
use super::ram::{Guest, Page};
use super::scenario::{Break, Scenario, Size};
use super::status::Status;
use super::threads::{Threaded, optional};
use crate::runtime::{Cell, Channel, Name, Object, ObjectId, Protection, State, Threads, World};
use std::collections::VecDeque;
use std::sync::Arc;

/// How many connections there can be: the first and one after the break.
pub const LINKS: usize = 2;

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
        let src_main_queue =
            p.channel("main_loop (source)", src_main, monitor | migration | breaks);
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
}
