//! Each toy explored in three ways: the same findings and ends, and sizes that
//! change only when an engine does.

use crate::agree::{Size, Three, findings};
use crate::script::Script;
use crate::toys::scripts;

/// What is known of a toy: its name; states without and with the reduction;
/// executions of dpor, and those it gave up; ends; findings.
type Known = (&'static str, (u64, u64), (u64, u64), usize, &'static [(&'static str, &'static str)]);

const KNOWN: &[Known] = &[
    ("one lock, three threads, twice", (27, 27), (90, 0), 1, &[]),
    ("producer and consumer", (6, 5), (1, 0), 1, &[]),
    ("two producers", (8, 5), (2, 0), 1, &[]),
    ("two consumers, one token", (5, 5), (2, 0), 1, &[]),
    (
        "too few tokens",
        (4, 4),
        (2, 0),
        2,
        &[
            ("BQL005", "deadlock: actor[1] waits for semaphore"),
            ("BQL005", "deadlock: actor[2] waits for semaphore"),
        ],
    ),
    ("wake-up under the lock", (11, 11), (2, 0), 2, &[]),
    ("wake-up without the lock", (13, 13), (3, 0), 2, &[]),
    (
        "look and wake-up without the lock",
        (16, 16),
        (3, 0),
        3,
        &[("BQL005", "deadlock: actor[0] waits for condition")],
    ),
    ("a reader woken by a third", (9, 7), (2, 0), 2, &[]),
    (
        "look before the lock",
        (14, 14),
        (3, 0),
        3,
        &[("BQL005", "deadlock: actor[0] waits for condition")],
    ),
    ("two sleepers, one broadcast", (47, 40), (10, 0), 4, &[]),
    ("spurious wake-ups", (87, 80), (34, 0), 7, &[]),
    ("two senders", (71, 37), (6, 0), 6, &[]),
    ("a channel of one", (66, 45), (9, 1), 3, &[]),
    ("writes that wait for arrival", (43, 35), (8, 0), 4, &[]),
    ("a bounded channel that breaks", (32, 22), (16, 0), 4, &[]),
    ("two receivers", (9, 7), (2, 0), 2, &[]),
    ("two readers, one writer", (13, 12), (4, 0), 4, &[]),
    ("cmpxchg once each", (14, 14), (6, 0), 4, &[]),
    ("store buffering", (13, 13), (3, 0), 3, &[]),
    ("xchg", (5, 5), (2, 0), 2, &[]),
    ("an event, awaited", (4, 4), (1, 0), 1, &[]),
    ("an event, polled", (15, 12), (3, 0), 3, &[]),
    ("an event set after a lock", (5, 5), (2, 0), 2, &[]),
    ("create and join", (14, 13), (2, 0), 2, &[]),
    ("try and lock", (10, 10), (3, 0), 2, &[]),
    ("timed wait", (8, 6), (6, 0), 3, &[]),
    ("choices", (17, 16), (6, 0), 6, &[]),
    ("a break at any time", (39, 26), (19, 1), 7, &[]),
    ("a break both ways", (35, 21), (13, 0), 7, &[]),
    ("a shutdown at any time", (24, 14), (7, 1), 3, &[]),
    ("an exit at any time", (7, 5), (3, 0), 1, &[]),
    ("an exit seen from outside", (15, 10), (3, 1), 3, &[]),
    (
        "an abort beside a breach",
        (3, 3),
        (1, 1),
        1,
        &[
            ("BQL001", "actor 1 fails"),
            ("BQL004", "actor[0] unlocks mutex[0], which it does not hold"),
        ],
    ),
    (
        "a nested inversion",
        (18, 10),
        (3, 0),
        2,
        &[("BQL005", "deadlock: actor[0] waits for mutex[1]; actor[1] waits for mutex[0]")],
    ),
    ("ticks", (18, 16), (3, 0), 2, &[]),
    ("a break in the idle", (11, 11), (3, 0), 3, &[]),
    (
        "a stall",
        (17, 17),
        (3, 0),
        1,
        &[("BQL007", "actor[1] waits for mutex[0] for more than 1 ticks")],
    ),
];

/// In what `script` is not what is known of it.
pub fn surprise(script: Script, known: &Known) -> Option<String> {
    let (name, states, executions, terminals, expected) = *known;
    let three = Three::of(script);
    let found = findings(&three.unreduced);
    let found: Vec<_> = found.iter().map(|(rule, words)| (*rule, words.as_str())).collect();
    let (size, due) = (three.size(), Size { states, executions, terminals });
    if let Some(quarrel) = three.quarrel() {
        Some(format!("{name}: {quarrel}"))
    } else if found != expected {
        Some(format!("{name}: found {found:?}"))
    } else {
        (size != due).then(|| format!("{name}: {size:?}, not {due:?}"))
    }
}

/// Every toy with what is known of it.
pub fn all() -> Vec<(Script, &'static Known)> {
    let known = |(name, script)| {
        let known = KNOWN.iter().find(|known| known.0 == name);
        (script, known.unwrap_or_else(|| panic!("nothing is known of {name}")))
    };
    scripts().into_iter().map(known).collect()
}

#[test]
fn toys_agree_and_have_their_sizes() {
    let surprises: Vec<String> =
        all().into_iter().filter_map(|(script, known)| surprise(script, known)).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
}
