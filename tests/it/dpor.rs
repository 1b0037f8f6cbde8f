//! Source-DPOR against closed forms: it explores each class of equivalent
//! executions once.

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
        let start = std::time::Instant::now();
        let result = dpor(&Arc::new(OneLock { threads, rounds }), &Limits::default());
        eprintln!(
            "{threads}x{rounds}: {} {} {:?}",
            result.executions,
            result.blocked,
            start.elapsed()
        );
        assert_eq!((result.executions, result.blocked), (expected, 0), "{threads}x{rounds}");
        assert!(result.complete);
    }
}
