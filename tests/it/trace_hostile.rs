//! Logs that are cut, mangled or not logs at all: a named problem and the right
//! exit code, never clean.

use crate::cli::run;
use bqlcheck::sim::Verdict;
use bqlcheck::trace::{Options, Refusal, Report, Run};
use std::io::Write as _;
use std::path::PathBuf;

/// What `bytes` show, read in pieces of `piece` bytes.
fn read(bytes: &[u8], piece: usize) -> Result<Report, Refusal> {
    let mut run = Run::new("a log", &Options::default(), ());
    bytes.chunks(piece).for_each(|bytes| run.feed(bytes));
    run.end()?;
    Ok(Report::of(&[run]))
}

/// A line of a log: thread, microseconds, text.
type Event = (u32, u32, &'static str);

/// A log from `lines` of thread, microseconds and text.
fn log(lines: &[(u32, u32, &str)]) -> Vec<u8> {
    let line = |(thread, us, text): &(u32, u32, &str)| {
        format!("{thread}@1700000000.{us:06}:{text}\n").into_bytes()
    };
    lines.iter().flat_map(line).collect()
}

const LOCK: &str = "qemu_mutex_lock waiting on mutex 0x10 (util/main-loop.c:308)";
const LOCKED: &str = "qemu_mutex_locked taken mutex 0x10 (util/main-loop.c:308)";
const UNLOCK: &str = "qemu_mutex_unlock released mutex 0x10 (system/cpus.c:566)";
const SETUP: &str = "migrate_set_state new state setup";
const ACTIVE: &str = "migrate_set_state new state active";
const COMPLETED: &str = "migrate_set_state new state completed";

fn good() -> Vec<u8> {
    log(&[
        (1, 1, SETUP),
        (1, 2, LOCK),
        (1, 3, LOCKED),
        (1, 4, ACTIVE),
        (2, 5, "qemu_mutex_lock waiting on mutex 0x10 (system/physmem.c:2874)"),
        (1, 6, UNLOCK),
        (2, 7, "qemu_mutex_locked taken mutex 0x10 (system/physmem.c:2874)"),
        (2, 8, UNLOCK),
        (1, 9, COMPLETED),
    ])
}

fn messages(bytes: &[u8]) -> (Verdict, Vec<String>) {
    let report = read(bytes, 4096).expect("it can be read");
    let messages = report.problems.into_iter().map(|problem| problem.message).collect();
    (report.verdict, messages)
}

#[test]
fn a_cut_at_any_byte_is_never_clean() {
    let whole = good();
    assert_eq!(messages(&whole), (Verdict::Clean, vec![]));
    for piece in 1..40 {
        assert_eq!(read(&whole, piece).expect("readable").verdict, Verdict::Clean, "{piece}");
    }
    for end in 0..whole.len() {
        if let Ok(report) = read(&whole[..end], 4096) {
            assert_eq!(report.verdict, Verdict::Inconclusive, "cut at {end}");
            assert!(!report.problems.is_empty(), "cut at {end}");
        }
    }
}

#[test]
fn what_cannot_be_is_named() {
    let cases: [(&str, Vec<Event>); 6] = [
        ("nobody had taken", vec![(1, 1, LOCKED), (1, 2, UNLOCK), (1, 3, UNLOCK)]),
        ("by another thread", vec![(1, 1, LOCKED), (2, 2, UNLOCK), (1, 3, UNLOCK)]),
        ("another thread had them", vec![(1, 1, LOCKED), (2, 2, LOCKED), (2, 3, UNLOCK)]),
        ("went on without", vec![(1, 1, LOCK), (1, 2, UNLOCK)]),
        ("same thread's last", vec![(1, 9, LOCKED), (1, 2, UNLOCK)]),
        ("cannot be read", vec![(1, 1, LOCKED), (1, 2, UNLOCK), (1, 3, "qemu_mutex_lock waiti")]),
    ];
    for (wanted, mut lines) in cases {
        lines.push((3, 10, ACTIVE));
        lines.push((3, 11, COMPLETED));
        let (verdict, found) = messages(&log(&lines));
        assert_eq!(verdict, Verdict::Inconclusive, "{wanted}");
        assert!(found.iter().any(|message| message.contains(wanted)), "{wanted}: {found:?}");
    }
    let mut mixed = good();
    mixed.splice(30..30, *b"1@17000");
    assert_ne!(messages(&mixed).0, Verdict::Clean, "lines interleaved");
}

#[test]
fn an_address_may_come_again_and_a_lock_may_be_held_at_the_start() {
    let other = "qemu_mutex_locked taken mutex 0x20 (block/io.c:1)";
    let gone = "qemu_mutex_unlock released mutex 0x20 (block/io.c:2)";
    let lines = [(1, 1, UNLOCK), (1, 2, other), (1, 3, gone), (2, 4, other), (2, 5, gone)];
    let mut text = log(&lines);
    text.extend(log(&[(1, 6, ACTIVE), (1, 7, COMPLETED)]));
    assert_eq!(messages(&text), (Verdict::Clean, vec![]));
}

#[test]
fn who_waits_for_one_another_is_found() {
    let lock = |a: u32| format!("qemu_mutex_lock waiting on mutex {a:#x} (x{a}.c:1)");
    let locked = |a: u32| format!("qemu_mutex_locked taken mutex {a:#x} (x{a}.c:1)");
    let lines = [(1, locked(1)), (2, locked(2)), (1, lock(2)), (2, lock(1))];
    let lines: Vec<(u32, u32, &str)> =
        lines.iter().enumerate().map(|(n, (t, text))| (*t, n as u32, text.as_str())).collect();
    let report = read(&log(&lines), 4096).expect("readable");
    assert_eq!(report.verdict, Verdict::Violated);
    let finding = &report.findings[0];
    assert_eq!((finding.rule.code(), finding.cycle.len()), ("BQL005", 2));
}

#[test]
fn a_circle_of_lock_orders_is_found_though_nobody_got_stuck() {
    let step = |what: &str, a: u32| match what {
        "lock" => format!("qemu_mutex_lock waiting on mutex {a:#x} (x{a}.c:1)"),
        "locked" => format!("qemu_mutex_locked taken mutex {a:#x} (x{a}.c:1)"),
        _ => format!("qemu_mutex_unlock released mutex {a:#x} (x{a}.c:1)"),
    };
    let mut lines = Vec::new();
    for (thread, first, second) in [(1, 1, 2), (2, 2, 1)] {
        for (what, a) in [("lock", first), ("locked", first), ("lock", second)] {
            lines.push((thread, step(what, a)));
        }
        for (what, a) in [("locked", second), ("unlock", second), ("unlock", first)] {
            lines.push((thread, step(what, a)));
        }
    }
    let lines: Vec<(u32, u32, &str)> =
        lines.iter().enumerate().map(|(n, (t, text))| (*t, n as u32, text.as_str())).collect();
    let report = read(&log(&lines), 4096).expect("readable");
    let rules: Vec<&str> = report.findings.iter().map(|finding| finding.rule.code()).collect();
    assert_eq!(rules, ["BQL008"]);
    let text = bqlcheck::report::trace(&report, 10);
    assert!(text.contains("WARNING: possible circular locking dependency detected"));
    assert!(text.contains("possible unsafe locking scenario"));
}

#[test]
fn ten_thousand_threads() {
    let mut text = Vec::new();
    for thread in 1..=10_000u32 {
        let us = thread * 10;
        text.extend(log(&[(thread, us, LOCK), (thread, us + 1, LOCKED), (thread, us + 2, UNLOCK)]));
    }
    text.extend(log(&[(1, 200_000, ACTIVE), (1, 200_001, COMPLETED)]));
    let report = read(&text, 4096).expect("readable");
    assert_eq!((report.verdict, report.threads.len()), (Verdict::Clean, 10_000));
    assert_eq!(report.holds.len(), 10_000);
}

fn file(name: &str, bytes: &[u8]) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("bqlcheck-trace-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("written");
    path
}

fn code(name: &str, bytes: &[u8]) -> (i32, String, String) {
    let path = file(name, bytes);
    let result = run(&["trace", &path.display().to_string()]);
    std::fs::remove_file(path).expect("it was there");
    result
}

#[test]
fn exit_codes() {
    assert_eq!(code("good", &good()).0, 0);
    assert_eq!(code("empty", b"").0, 4);
    let (exit, _, errors) = code("binary", b"\x7fELF\x02\x01\x00\n\xff\xfe\n");
    assert_eq!(exit, 2);
    assert!(errors.contains("this is not a log"), "{errors}");
    let (exit, _, errors) = code("bare", b"qemu_mutex_lock waiting on mutex 0x1 (a.c:1)\n");
    assert_eq!(exit, 2);
    assert!(errors.contains("which thread") && errors.contains("-msg timestamp=on"), "{errors}");
    let (exit, text, _) = code("cut", &good()[..200]);
    assert_eq!(exit, 3);
    assert!(text.contains("the log ends in the middle of a line"), "{text}");
    assert_eq!(run(&["trace", "/no/such/log"]).0, 2);
}

#[test]
fn compressed_logs_are_read_and_cut_ones_are_not_clean() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&good()).expect("memory");
    let gzip = gzip.finish().expect("memory");
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let zstd = ruzstd::encoding::compress_to_vec(&good()[..], level);
    for (name, bytes) in [("gz", gzip), ("zst", zstd)] {
        assert_eq!(code(name, &bytes).0, 0, "{name}");
        let (exit, ..) = code(name, &bytes[..bytes.len() - 6]);
        assert!(exit == 2 || exit == 3, "{name}: {exit}");
    }
}
