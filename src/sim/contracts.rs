//! What is special about some objects and threads of the cast: who may break
//! what, what waits for the environment, who is joined, in which order locks go.
//! Must not know: what the threads do.

use super::cast::{Cast, LINKS};
use super::plan::{Plan, Teardown};
use super::threads::optional;
use crate::runtime::{Environment, ObjectId, Payload, State, ThreadId, Threads, World};

impl Cast {
    /// Declares it in `world`, where the cast's objects are already.
    pub(super) fn contracts(&self, world: &mut World, tears_down: Threads, exits: Threads) {
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
