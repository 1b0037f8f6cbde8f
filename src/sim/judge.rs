//! What became of the guest, once nobody can move any more.
//! Must not know: the steps that led there.

use super::cast::Cast;
use super::plan::{Teardown, Version};
use super::status::Status;
use crate::lock::{Rule, Site, at};
use crate::runtime::{ObjectId, Phase, State, ThreadId, World};

impl Cast {
    /// Judges the end of an execution: the guest in one place and whole, every
    /// thread ended and joined.
    pub fn judge(&self, world: &mut World) {
        let recoveries = self.incoming.peek(|mis| mis.from_src_file as u64);
        world.facts.insert("recoveries", recoveries);
        if world.ended || world.deadlock().is_some() {
            // Told already: a process aborted, or hangs.
            return;
        }
        if let Some(message) = self.lost(world) {
            self.say(world, Rule::GuestLost, at("migration", "the end"), message);
            return;
        }
        if !self.destination_is_gone(world) && self.is_completed(world) {
            self.compare_memory(world);
        }
        self.look_for_leftovers(world);
    }

    fn say(&self, world: &mut World, rule: Rule, site: Site, message: String) {
        world.violate(rule, self.threads.main, site, message);
    }

    fn variable(world: &World, id: ObjectId) -> Status {
        match world.objects[id.0 as usize].state {
            State::Variable { value } => value.into(),
            _ => unreachable!("a status is a variable"),
        }
    }

    fn is_completed(&self, world: &World) -> bool {
        Cast::variable(world, self.mis_state) == Status::Completed
    }

    fn destination_is_gone(&self, world: &World) -> bool {
        matches!(world.threads[self.threads.main.0 as usize].phase, Phase::Killed)
    }

    /// How the guest is lost, if it is: on no side, or on both.
    fn lost(&self, world: &mut World) -> Option<String> {
        let destination = Cast::variable(world, self.mis_state);
        let source = Cast::variable(world, self.src_state);
        let gone = self.destination_is_gone(world);
        let runs_here = !gone && self.cpus.peek(|cpus| cpus.running);
        let has_source = self.threads.migration.is_some();
        let runs_there = has_source && self.outgoing.peek(|s| s.guest_runs);
        let there = if has_source { format!("the source is {source}") } else { "no source".into() };
        if runs_here && runs_there {
            return Some(format!(
                "the guest runs on both sides: {there}, the destination {destination}"
            ));
        }
        if runs_here && destination == Status::Completed {
            return None;
        }
        if runs_there {
            return None;
        }
        if source == Status::Failed && !runs_here && self.plan.version == Version::V7_2 {
            // 7.2 leaves the guest stopped in POSTMIGRATE: management can `cont`.
            world.facts.insert("source_guest_needs_cont", 1);
            return None;
        }
        let here = if gone { "has exited".into() } else { format!("stays {destination}") };
        Some(format!("the guest is lost: {there}, the destination {here}"))
    }

    /// Page by page: what the guest wrote, here and there; placed once, if at all.
    fn compare_memory(&self, world: &mut World) {
        world.facts.insert("pages_compared", self.memory.len() as u64);
        for (n, memory) in self.memory.iter().enumerate() {
            let page = memory.peek(|page| page.clone());
            let site = at("migration", "guest memory at the end");
            let expected = self.guest.finally(n);
            if page.content.as_ref() != Some(&expected) {
                let found = page.content.as_deref().unwrap_or_default();
                let same = found.iter().zip(expected.iter()).take_while(|(a, b)| a == b).count();
                let offset = (0..n).map(|n| self.guest.after[n].len()).sum::<usize>() + same;
                world.facts.entry("first_difference").or_insert(offset as u64);
                let message = format!("page {n} is not what the guest wrote");
                self.say(world, Rule::GuestLost, site, message);
            }
            let once = self.guest.is_dirty(n) && !self.scenario.precopy;
            if page.placed != u8::from(once) {
                let message = format!("page {n} was placed {} times", page.placed);
                self.say(world, Rule::GuestLost, site, message);
            }
        }
    }

    /// Threads that never end, and threads that nobody joins.
    fn look_for_leftovers(&self, world: &mut World) {
        let gone = self.destination_is_gone(world);
        let t = &self.threads;
        let listen = (self.plan.teardown == Teardown::MainBhJoin).then_some(t.listen);
        let joinable = [t.fault, t.vfio_load, listen, t.migration].into_iter();
        let joinable: Vec<ThreadId> = joinable.chain(t.return_path).flatten().collect();
        let mut endless = Vec::new();
        for index in 0..world.threads.len() {
            let id = ThreadId(index as u8);
            let thread = &world.threads[index];
            if thread.process == 0 && gone {
                continue;
            }
            let State::Thread { created, joined, .. } = world.objects[index].state else {
                unreachable!("threads are the first objects")
            };
            let name = thread.name;
            match &thread.phase {
                Phase::Finished if joinable.contains(&id) && !joined => {
                    let message = format!("{name} has ended and is never joined");
                    self.say(world, Rule::NeverJoined, at("qemu_thread_join", "missing"), message);
                }
                Phase::Waiting(call)
                    if created && thread.parks_on != Some(call.object) && !thread.management =>
                {
                    endless.push(format!("{name} waits for {}", world.name_of(call.object)));
                }
                _ => {}
            }
        }
        if !endless.is_empty() {
            let message = format!("threads never end: {}", endless.join("; "));
            self.say(world, Rule::WaitForever, at("migration", "the end"), message);
        }
    }
}
