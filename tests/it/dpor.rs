//! Source-DPOR against closed forms: it explores each class of equivalent
//! executions once.

use crate::script::{Do, Script};
use crate::toys::OneLock;
use bqlcheck::explore::{Limits, dpor};
use std::sync::Arc;

/// n threads that each lock k times: (nk)!/(k!)^n orders.
#[test]
fn one_lock_has_as_many_executions_as_orders() {
    let orders = [
        ((2, 2), 6),
        ((2, 3), 20),
        ((3, 2), 90),
        ((3, 3), 1680),
        ((4, 2), 2520),
        ((2, 8), 12870),
        ((3, 4), 34650),
        ((5, 2), 113_400),
    ];
    for ((threads, rounds), expected) in orders {
        let result = dpor(&Arc::new(OneLock { threads, rounds }), &Limits::default());
        assert_eq!((result.executions, result.blocked), (expected, 0), "{threads}x{rounds}");
        assert!(result.complete);
    }
}

#[test]
fn a_cell_needs_a_hand_over() {
    use Do::{Handed, Load, Lock, Post, Unlock, Wait};
    let cut = |codes: &[&[Do]]| dpor(&Arc::new(Script::new(codes)), &Limits::default()).cut;
    assert_eq!(cut(&[&[Load(0), Handed, Post], &[Wait, Handed]]), None);
    let raced = Some("cell 1 is used without a hand-over".to_string());
    assert_eq!(cut(&[&[Load(0), Post, Load(0), Handed], &[Wait, Handed]]), raced);
    let other: &[Do] = &[Load(0), Post];
    assert_eq!(cut(&[&[Load(0), Handed, Post], &[Wait, Handed], other]), raced);
    let locked: &[Do] = &[Lock(0), Handed, Unlock(0)];
    assert_eq!(cut(&[locked, locked]), None);
}

#[test]
fn limits_are_honoured() {
    let program = Arc::new(OneLock { threads: 3, rounds: 2 });
    let mut few = Limits::default();
    few.executions = Some(10);
    let result = dpor(&program, &few);
    assert_eq!((result.executions, result.complete), (10, false));
    assert_eq!(result.cut.as_deref(), Some("stopped after 10 executions"));
    let none = Limits::new(Some(std::time::Duration::ZERO));
    assert!(!dpor(&program, &none).complete);
}
