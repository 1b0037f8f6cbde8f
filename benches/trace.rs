//! Lines a second of `trace`, next to `wc -l` and `grep -c` on the same file.
//!
//! `cargo bench --bench trace -- LINES`; 3,000,000 unless told otherwise. The
//! generator makes a log as a postcopy leaves one: six threads, forty mutexes.

use bqlcheck::report::peak_rss_kib;
use bqlcheck::trace::{Options, Report, Run};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// A page that is asked for and placed: ten lines.
fn page(out: &mut impl Write, us: u64, page: u64) -> std::io::Result<()> {
    let mut at = us;
    let mut say = |thread: u32, text: std::fmt::Arguments| {
        at += 3;
        writeln!(out, "{thread}@{}.{:06}:{text}", at / 1_000_000, at % 1_000_000)
    };
    let host = 0x7f00_0000_0000 + page * 4096;
    let small = 0x5600_0000_2000 + page % 38 * 64;
    say(101, format_args!("ram_load_postcopy_loop chan=0 addr={:#x} flags=0x28", page * 4096))?;
    let mutex = "0x560000001000 (migration/postcopy-ram.c:1278)";
    say(101, format_args!("qemu_mutex_lock waiting on mutex {mutex}"))?;
    say(101, format_args!("qemu_mutex_locked taken mutex {mutex}"))?;
    let released = "released mutex 0x560000001000 (migration/postcopy-ram.c:1302)";
    say(101, format_args!("qemu_mutex_unlock {released}"))?;
    say(101, format_args!("postcopy_place_page host={host:#x}"))?;
    let (thread, place) =
        [(100, "util/main-loop.c:308"), (103, "system/physmem.c:2874")][(page % 2) as usize];
    say(thread, format_args!("qemu_mutex_lock waiting on mutex 0x560000000040 ({place})"))?;
    say(thread, format_args!("qemu_mutex_locked taken mutex 0x560000000040 ({place})"))?;
    let place = format!("util/lock{}.c:56", page % 38);
    say(thread, format_args!("qemu_mutex_locked taken mutex {small:#x} ({place})"))?;
    say(thread, format_args!("qemu_mutex_unlock released mutex {small:#x} ({place})"))?;
    let released = "released mutex 0x560000000040 (system/cpus.c:566)";
    say(thread, format_args!("qemu_mutex_unlock {released}"))
}

fn generate(path: &Path, lines: u64) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let start = 1_700_000_000_000_000;
    writeln!(out, "100@1700000000.000000:migrate_set_state new state active")?;
    for n in 0..lines / 10 {
        page(&mut out, start + n * 40, n)?;
    }
    let end = start + lines * 4;
    let (seconds, micros) = (end / 1_000_000, end % 1_000_000);
    writeln!(out, "101@{seconds}.{micros:06}:migrate_set_state new state completed")?;
    out.flush()
}

fn main() {
    let lines = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(3_000_000);
    let path = std::env::temp_dir().join(format!("bqlcheck-bench-{}.log", std::process::id()));
    generate(&path, lines).expect("room for the log");
    // The shortest of three: what else the machine does only adds to it.
    let time = |name: &str, work: &mut dyn FnMut()| {
        let mut once = || {
            let started = Instant::now();
            work();
            started.elapsed().as_secs_f64()
        };
        let seconds = once().min(once()).min(once());
        println!("{name:8} {seconds:8.2} s {:10.0} lines/s", lines as f64 / seconds);
        seconds
    };
    let command = |words: &[&str]| {
        let done = Command::new(words[0]).args(&words[1..]).arg(&path).output();
        assert!(done.expect("it is installed").status.success());
    };
    let wc = time("wc -l", &mut || command(&["wc", "-l"]));
    let grep = time("grep -c", &mut || command(&["grep", "-c", "qemu_mutex_locked"]));
    let ours = time("trace", &mut || {
        let mut file = File::open(&path).expect("it was written");
        let mut run = Run::new("bench", &Options::default(), ());
        let mut buffer = vec![0; 1 << 20];
        loop {
            match file.read(&mut buffer).expect("it can be read") {
                0 => break,
                length => run.feed(&buffer[..length]),
            }
        }
        run.end().expect("it is a log");
        let report = Report::of(&[run]);
        assert!(report.findings.is_empty() && report.problems.is_empty(), "{:?}", report.problems);
    });
    println!("trace takes {:.1} times wc -l, {:.1} times grep -c", ours / wc, ours / grep);
    println!("peak memory {} MiB", peak_rss_kib() / 1024);
    std::fs::remove_file(&path).expect("it was there");
}
