//! State changes with their legality: `migrate_set_state`, `postcopy_state_set`.
//! Must not know: why a state is changed.

use super::cast::Cast;
use super::status::{PostcopyState, Status};
use crate::lock::{Rule, Site};
use crate::runtime::{Act, Op, Runtime};
use serde::Deserialize;

/// Which side's `MigrationStatus`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    Source,
    Destination,
}

impl Cast {
    /// `migrate_set_state(&state, old, new)`: one cmpxchg without a lock; its
    /// QAPI event wakes management when a side pauses. True if it took effect.
    pub async fn migrate_set_state<R: Runtime>(
        &self,
        cx: &R,
        side: Side,
        old: Status,
        new: Status,
        site: Site,
    ) -> bool {
        let (state, legal, whose) = match side {
            Side::Source => {
                (self.src_state, old.source_may_become(new, self.plan.version), "s->state")
            }
            Side::Destination => {
                (self.mis_state, old.destination_may_become(new, self.plan.version), "mis->state")
            }
        };
        let found = cx.value(Op::CompareExchange(old as u64, new as u64), state, site).await;
        if found != old as u64 {
            return false;
        }
        cx.world(|world| world.annotate(|| format!("{old} -> {new}")));
        if !legal {
            cx.violate(Rule::IllegalTransition, site, format!("{whose} goes from {old} to {new}"));
        }
        if new == Status::PostcopyPaused {
            let paused = if side == Side::Source { self.src_paused } else { self.dst_paused };
            cx.act(Act::Post, paused, site);
        }
        true
    }

    /// Reads a side's status.
    pub async fn status<R: Runtime>(&self, cx: &R, side: Side, site: Site) -> Status {
        let state = if side == Side::Source { self.src_state } else { self.mis_state };
        cx.value(Op::Load, state, site).await.into()
    }

    /// `postcopy_state_set`: an xchg; gives the old state.
    pub async fn postcopy_state_set<R: Runtime>(
        &self,
        cx: &R,
        new: PostcopyState,
        site: Site,
    ) -> PostcopyState {
        let old: PostcopyState =
            cx.value(Op::Swap(new as u64), self.postcopy_state, site).await.into();
        cx.world(|world| world.annotate(|| format!("{old:?} -> {new:?}")));
        if !old.may_become(new) {
            let message = format!("PostcopyState goes from {old:?} to {new:?}");
            cx.violate(Rule::IllegalTransition, site, message);
        }
        old
    }

    /// `postcopy_state_get`.
    pub async fn postcopy_state_get<R: Runtime>(&self, cx: &R, site: Site) -> PostcopyState {
        cx.value(Op::Load, self.postcopy_state, site).await.into()
    }
}
