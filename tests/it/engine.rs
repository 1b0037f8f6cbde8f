//! The exhaustive engine on programs whose answer is known.

use crate::toys::{OneLock, TwoLocks};
use bqlcheck::explore::{Limits, exhaustive};
use bqlcheck::lock::Rule;
use std::sync::Arc;

#[test]
fn one_lock_has_no_deadlock_and_one_end() {
    let result = exhaustive(&Arc::new(OneLock { threads: 3, rounds: 2 }), &Limits::default());
    assert!(result.complete);
    assert!(result.found.is_empty());
    assert_eq!(result.terminals.len(), 1);
}

#[test]
fn inverted_locks_deadlock_and_ordered_ones_do_not() {
    let bad = exhaustive(&Arc::new(TwoLocks { inverted: true }), &Limits::default());
    let rules: Vec<Rule> = bad.found.iter().map(|f| f.violation.rule).collect();
    assert_eq!(rules, [Rule::WaitForever]);
    let good = exhaustive(&Arc::new(TwoLocks { inverted: false }), &Limits::default());
    assert!(good.found.is_empty() && good.complete);
}
