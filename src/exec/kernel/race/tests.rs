//! The detector by histories of two or three threads, each with a race and without.

use super::detector::{Action, Detector, Order, Sync};
use super::shadow::{Kind, Touch};
use crate::exec::kernel::state::Tid;

const X: usize = 0x1000;
const Y: usize = 0x1008;
const FLAG: usize = 0x2000;
const LOCK: Sync = Sync::Lock(0x3000);

#[derive(Default)]
struct History(Detector);

impl History {
    fn plain(mut self, tid: Tid, kind: Kind, at: usize, bytes: usize) -> Self {
        let site = tid * 100 + kind as usize;
        self.0.touch((at, bytes), Touch { tid, kind, site, stack: 0 });
        self
    }

    fn write(self, tid: Tid, at: usize) -> Self {
        self.plain(tid, Kind::Write, at, 8)
    }

    fn read(self, tid: Tid, at: usize) -> Self {
        self.plain(tid, Kind::Read, at, 8)
    }

    fn atomic(mut self, tid: Tid, action: Action, order: Order) -> Self {
        self.0.atomic((FLAG, 4), (action, order), (tid, tid * 100 + 50, 0));
        self
    }

    fn store(self, tid: Tid, order: Order) -> Self {
        self.atomic(tid, Action::Store, order)
    }

    fn load(self, tid: Tid, order: Order) -> Self {
        self.atomic(tid, Action::Load, order)
    }

    fn modify(self, tid: Tid, order: Order) -> Self {
        self.atomic(tid, Action::Modify, order)
    }

    fn fence(mut self, tid: Tid, order: Order) -> Self {
        self.0.fence(tid, order);
        self
    }

    fn free(mut self, tid: Tid, bytes: usize) -> Self {
        self.0.free((X, bytes), Touch { tid, kind: Kind::Free, site: 900, stack: 0 });
        self
    }

    fn release(mut self, tid: Tid, sync: Sync) -> Self {
        self.0.release(tid, sync);
        self
    }

    fn acquire(mut self, tid: Tid, sync: Sync) -> Self {
        self.0.acquire(tid, sync);
        self
    }

    fn spawn(mut self, tid: Tid, new: Tid) -> Self {
        self.0.spawn(tid, new);
        self
    }

    fn join(mut self, tid: Tid, other: Tid) -> Self {
        self.0.join(tid, other);
        self
    }

    /// The kinds of the two accesses of each race, in their order.
    fn races(self) -> Vec<(Kind, Kind)> {
        self.0.found().iter().map(|race| (race.first.kind, race.second.kind)).collect()
    }
}

fn history() -> History {
    let mut history = History::default();
    history.0.begin();
    history
}

const WRITE_READ: [(Kind, Kind); 1] = [(Kind::Write, Kind::Read)];

#[test]
fn two_threads_race_unless_both_read() {
    assert_eq!(history().write(0, X).read(1, X).races(), WRITE_READ);
    assert_eq!(history().read(0, X).write(1, X).races(), [(Kind::Read, Kind::Write)]);
    assert_eq!(history().write(0, X).write(1, X).races(), [(Kind::Write, Kind::Write)]);
    assert_eq!(history().read(0, X).read(1, X).races(), []);
    assert_eq!(history().write(0, X).read(0, X).races(), []);
    assert_eq!(history().write(0, X).read(1, Y).races(), []);
}

#[test]
fn bytes_of_one_word_are_told_apart() {
    let bytes = |at, many| history().plain(0, Kind::Write, X + 2, 2).plain(1, Kind::Read, at, many);
    assert_eq!(bytes(X, 2).races(), []);
    assert_eq!(bytes(X + 4, 1).races(), []);
    assert_eq!(bytes(X + 3, 1).races(), WRITE_READ);
    assert_eq!(bytes(X - 5, 8).races(), WRITE_READ);
    assert_eq!(bytes(X - 6, 8).races(), []);
}

#[test]
fn a_mutex_orders() {
    let ends = history().write(0, X).release(0, LOCK);
    assert_eq!(ends.acquire(1, LOCK).read(1, X).races(), []);
    let other = history().write(0, X).release(0, LOCK).acquire(1, Sync::Lock(0x3008));
    assert_eq!(other.read(1, X).races(), WRITE_READ);
    // What comes after the unlock is not ordered.
    let late = history().release(0, LOCK).write(0, X).acquire(1, LOCK);
    assert_eq!(late.read(1, X).races(), WRITE_READ);
}

#[test]
fn order_is_handed_on() {
    let file = Sync::File(7);
    let two = history().write(0, X).release(0, LOCK).acquire(1, LOCK).release(1, file);
    assert_eq!(two.acquire(2, file).read(2, X).races(), []);
}

#[test]
fn beginning_and_joining_a_thread_order() {
    assert_eq!(history().write(0, X).spawn(0, 1).read(1, X).races(), []);
    assert_eq!(history().spawn(0, 1).write(0, X).read(1, X).races(), WRITE_READ);
    assert_eq!(history().spawn(0, 1).write(1, X).join(0, 1).read(0, X).races(), []);
    assert_eq!(history().spawn(0, 1).write(1, X).read(0, X).races(), WRITE_READ);
}

#[test]
fn a_release_and_an_acquire_order_and_relaxed_accesses_do_not() {
    let message = |store, load| {
        let sent = history().write(0, X).store(0, store);
        sent.load(1, load).read(1, X).races()
    };
    assert_eq!(message(Order::Release, Order::Acquire), []);
    assert_eq!(message(Order::Both, Order::Both), []);
    assert_eq!(message(Order::Relaxed, Order::Acquire), WRITE_READ);
    assert_eq!(message(Order::Release, Order::Relaxed), WRITE_READ);
    assert_eq!(message(Order::Relaxed, Order::Relaxed), WRITE_READ);
}

#[test]
fn a_change_in_one_step_keeps_what_was_released_and_a_store_does_not() {
    let sent = || history().write(0, X).store(0, Order::Release);
    let kept = sent().modify(1, Order::Relaxed).load(2, Order::Acquire);
    assert_eq!(kept.read(2, X).races(), []);
    let lost = sent().store(1, Order::Relaxed).load(2, Order::Acquire);
    assert_eq!(lost.read(2, X).races(), WRITE_READ);
}

#[test]
fn fences_order_with_the_accesses_about_them() {
    let sent = || history().write(0, X).fence(0, Order::Release).store(0, Order::Relaxed);
    let both = sent().load(1, Order::Relaxed).fence(1, Order::Acquire);
    assert_eq!(both.read(1, X).races(), []);
    assert_eq!(sent().load(1, Order::Acquire).read(1, X).races(), []);
    let early = sent().fence(1, Order::Acquire).load(1, Order::Relaxed);
    assert_eq!(early.read(1, X).races(), WRITE_READ);
    let late = history().write(0, X).store(0, Order::Relaxed).fence(0, Order::Release);
    let late = late.load(1, Order::Relaxed).fence(1, Order::Acquire);
    assert_eq!(late.read(1, X).races(), WRITE_READ);
    // Two full fences alone: no access has passed anything on.
    let alone = history().write(0, X).fence(0, Order::Both).fence(1, Order::Both);
    assert_eq!(alone.read(1, X).races(), WRITE_READ);
}

#[test]
fn atomic_accesses_race_with_plain_ones_only() {
    let stores = history().store(0, Order::Relaxed).modify(1, Order::Relaxed);
    assert_eq!(stores.races(), []);
    let plain = history().plain(0, Kind::Write, FLAG, 4).load(1, Order::Acquire);
    assert_eq!(plain.races(), [(Kind::Write, Kind::AtomicRead)]);
    let plain = history().store(0, Order::Release).plain(1, Kind::Read, FLAG, 4);
    assert_eq!(plain.races(), [(Kind::AtomicWrite, Kind::Read)]);
    let reads = history().load(0, Order::Acquire).plain(1, Kind::Read, FLAG, 4);
    assert_eq!(reads.races(), []);
}

#[test]
fn a_read_is_remembered_beside_those_of_others() {
    // The second read does not know of the first: both race with the write.
    let reads = history().read(0, X).read(1, X).write(2, X);
    assert_eq!(reads.races().len(), 2);
    // A plain read before an atomic write that knows of it still races.
    let hidden = history().plain(0, Kind::Read, FLAG, 4).release(0, LOCK).acquire(1, LOCK);
    let hidden = hidden.store(1, Order::Relaxed).store(2, Order::Relaxed);
    assert_eq!(hidden.races(), [(Kind::Read, Kind::AtomicWrite)]);
}

#[test]
fn memory_that_is_given_away_is_clean_and_who_frees_it_too_early_is_told() {
    for bytes in [16, 4096] {
        let mut early = history().write(0, X).free(1, bytes);
        let race = &early.0.found()[0];
        assert_eq!((race.first.kind, race.second.kind), (Kind::Write, Kind::Free));
        assert_eq!(race.pair(), (Kind::Write as usize, 900));
        early.0.fresh(X, bytes);
        assert_eq!(early.write(2, X).races().len(), 1);
        let ordered = history().write(0, X).release(0, LOCK).acquire(1, LOCK).free(1, bytes);
        assert_eq!(ordered.races(), []);
    }
}

#[test]
fn a_block_that_was_freed_is_remembered_until_it_is_given_away() {
    let freed = || history().free(0, 16);
    assert_eq!(freed().read(1, Y).races(), [(Kind::Free, Kind::Read)]);
    assert_eq!(freed().read(1, X + 16).races(), []);
    let mut again = freed();
    assert!(again.0.shared_block(1, X, 16) && !again.0.shared_block(0, X, 16));
    again.0.fresh(X, 16);
    assert_eq!(again.read(1, Y).races(), []);
}

#[test]
fn a_pair_of_instructions_is_told_once_in_an_execution() {
    let twice = history().write(0, X).read(1, X).write(0, Y).read(1, Y);
    assert_eq!(twice.races(), WRITE_READ);
    let mut again = history().write(0, X).read(1, X);
    again.0.begin();
    assert_eq!(again.write(0, X).read(1, X).races(), WRITE_READ);
}

#[test]
fn only_what_another_thread_has_touched_is_shared() {
    let history = history().write(0, X).read(1, Y);
    assert!(!history.0.shared(0, X, 8) && history.0.shared(1, X, 8));
    assert!(history.0.shared(0, X, 16) && !history.0.shared(1, Y, 8));
}

#[test]
fn ten_thousand_words_are_remembered_one_by_one() {
    let mut history = history();
    for nth in 0..10_000 {
        history = history.write(0, X + nth * 8).write(1, 0x10_0000 + nth * 8);
    }
    assert_eq!((0..10_000).filter(|nth| history.0.shared(2, X + nth * 8, 8)).count(), 10_000);
    assert_eq!(history.read(1, X + 79_992).races(), WRITE_READ);
}
