//! The exhaustive engine on programs whose answer is known.

use crate::toys::{Freed, OneLock, TwoLocks};
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

#[test]
fn what_is_freed_before_its_user_is_joined_is_used_after() {
    let bad = exhaustive(&Arc::new(Freed { joined: false }), &Limits::default());
    let said: Vec<&str> = bad.found.iter().map(|f| f.violation.message.as_str()).collect();
    assert_eq!(said, ["user uses toy->data after it was freed"]);
    assert_eq!(bad.found[0].violation.rule, Rule::UseAfterTeardown);
    let good = exhaustive(&Arc::new(Freed { joined: true }), &Limits::default());
    assert!(good.found.is_empty() && good.complete);
}
