//! The migration as a program for the engines: who plays which part.
//! Must not know: how it is explored.

use super::cast::Cast;
use super::data::DataError;
use super::destination::{devices, fault_thread, listen_thread, main_loop, monitor, vcpu};
use super::network::{network, source_main};
use super::outcome::Outcome;
use super::plan::Plan;
use super::ram::Guest;
use super::scenario::{Scenario, Size};
use super::source::{migration_thread, return_path};
use super::state::Side;
use crate::runtime::{Body, Program, Runtime, Watched, World};
use std::sync::Arc;

/// One migration: a plan in a scenario, at a size.
pub struct Migration {
    plan: Arc<Plan>,
    scenario: Arc<Scenario>,
    size: Size,
    guest: Arc<Guest>,
}

impl Migration {
    /// The model of `scenario` under `plan`, with a small guest.
    ///
    /// # Errors
    /// If the scenario cannot be had at this size.
    pub fn new(plan: Plan, scenario: Scenario, size: Size) -> Result<Migration, DataError> {
        let guest = Guest::small(size.pages, size.vcpus);
        Migration::with_guest(plan, scenario, size, guest)
    }

    /// The same with a guest of any size.
    ///
    /// # Errors
    /// If the scenario cannot be had at this size.
    pub fn with_guest(
        plan: Plan,
        scenario: Scenario,
        size: Size,
        guest: Guest,
    ) -> Result<Migration, DataError> {
        if let Some(message) = scenario.too_small(&size) {
            return Err(DataError { file: scenario.name.clone(), place: None, message });
        }
        Ok(Migration {
            plan: Arc::new(plan),
            scenario: Arc::new(scenario),
            size,
            guest: Arc::new(guest),
        })
    }

    /// How many threads take part.
    pub fn threads(&self) -> usize {
        let mut world = World::new(crate::runtime::Timing::Any);
        self.setup(&mut world);
        world.threads.len()
    }
}

impl Program for Migration {
    type Shared = Cast;

    fn setup(&self, world: &mut World) -> Cast {
        let cast = Cast::new(world, &self.plan, &self.scenario, &self.size, &self.guest);
        if !self.size.source {
            cast.script(world);
        }
        cast
    }

    fn body<R: Runtime>(&self, c: Arc<Cast>, cx: R) -> Body {
        let me = cx.me();
        let t = &c.threads;
        let is = |thread| thread == Some(me);
        if me == t.main {
            Box::pin(main_loop::qemu_main_loop(cx, c))
        } else if me == t.listen {
            Box::pin(listen_thread::postcopy_ram_listen_thread(cx, c))
        } else if is(t.fault) {
            Box::pin(fault_thread::postcopy_ram_fault_thread(cx, c))
        } else if is(t.monitor) {
            Box::pin(monitor::monitor_iothread(cx, c))
        } else if is(t.migration) {
            Box::pin(migration_thread::migration_thread(cx, c))
        } else if let Some(link) = t.return_path.iter().position(|thread| is(*thread)) {
            Box::pin(return_path::source_return_path_thread(cx, c, link))
        } else if is(t.network) {
            Box::pin(network(cx, c))
        } else if is(t.src_main) {
            Box::pin(source_main(cx, c))
        } else if is(t.call_rcu) {
            Box::pin(devices::call_rcu_thread(cx, c))
        } else if is(t.vfio_load) {
            Box::pin(devices::vfio_load_bufs_thread(cx, c))
        } else {
            let index = t.vcpus.iter().position(|vcpu| *vcpu == me).expect("no other thread");
            Box::pin(vcpu::vcpu_thread(cx, c, index))
        }
    }

    fn judge(&self, cast: &Cast, world: &mut World) {
        cast.judge(world);
    }
}

/// The same, seen from one side: that one's states are kept.
pub struct Projected {
    migration: Migration,
    side: Side,
}

impl Migration {
    /// Seen from `side`.
    ///
    /// # Errors
    /// If there is no such side at this size.
    pub fn seen_from(self, side: Side) -> Result<Projected, DataError> {
        if side == Side::Source && !self.size.source {
            let message = format!("size {} has no source: size l or larger", self.size.name);
            return Err(DataError { file: self.scenario.name.clone(), place: None, message });
        }
        Ok(Projected { migration: self, side })
    }
}

impl Watched for Projected {
    type Outcome = Outcome;

    fn outcome(&self, cast: &Cast, world: &World) -> Outcome {
        cast.outcome(world, self.side)
    }
}

impl Program for Projected {
    type Shared = Cast;

    fn setup(&self, world: &mut World) -> Cast {
        let cast = self.migration.setup(world);
        cast.watch(world, self.side);
        cast
    }

    fn body<R: Runtime>(&self, cast: Arc<Cast>, cx: R) -> Body {
        self.migration.body(cast, cx)
    }

    fn judge(&self, cast: &Cast, world: &mut World) {
        self.migration.judge(cast, world);
    }
}
