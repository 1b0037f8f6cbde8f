//! Executions a second of `exec`, whose image puts its memory back between two, next
//! to the other way to begin anew exactly: a process for each. Of a small program,
//! and of the QEMU whose build directory `BQLCHECK_BUILD` names.
//!
//! `cargo bench --bench exec`

#[path = "../tests/it/made_build.rs"]
#[allow(dead_code)]
mod made_build;

use bqlcheck::exec::link::{Build, LinkError, Settings, link};
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Executions of one process, and processes of one execution.
const TRIAL: (u64, u64) = (100_000, 300);
const QEMU: (u64, u64) = (10_000, 100);
const SCENARIO: &str = "postcopy-recover";

/// Runs the image to its end, with what it reads.
fn run(image: &Path, arguments: &[&str], input: &str) {
    let mut command = Command::new(image);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it was just linked");
    let mut stdin = child.stdin.take().expect("piped");
    // A trial reads nothing.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().expect("our own");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Executions a second of one process that has many, and of many that have one each;
/// `run` is given how many, and a seed. The best of three.
fn compare(name: &str, (many, processes): (u64, u64), run: impl Fn(u64, u64)) {
    let rate = |executions: u64, work: &dyn Fn()| {
        let once = || {
            let started = Instant::now();
            work();
            executions as f64 / started.elapsed().as_secs_f64()
        };
        once().max(once()).max(once())
    };
    let ours = rate(many, &|| run(many, 1));
    let theirs = rate(processes, &|| (1..=processes).for_each(|seed| run(1, seed)));
    println!(
        "{name:18} {ours:9.0} executions/s, {theirs:6.0} with a process each: {:.0} times",
        ours / theirs
    );
}

fn qemu(build: &Path, folder: &Path) -> Result<(), String> {
    let told = |error: LinkError| format!("{}: {}", error.message, error.help);
    let build = Build::open(build).map_err(told)?;
    let image = link(&build, folder, &Settings::built_in().map_err(told)?).map_err(told)?;
    let run = |executions, seed| {
        let job = json!({
            "schema": 1, "version": image.version, "scenario": SCENARIO, "strategy": "pct",
            "seed": seed, "executions": executions, "budget_ms": null, "roots": {},
            "log": false, "replay": null,
        });
        run(&image.path, &[], &format!("{job}\n"));
    };
    compare(&format!("QEMU {}", image.version), QEMU, run);
    Ok(())
}

fn main() {
    // An image begins again if its addresses are random: that would be counted twice.
    // SAFETY: the flags of this process, which its children inherit.
    unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as u64) };
    let folder = std::env::temp_dir().join(format!("bqlcheck-bench-{}", std::process::id()));
    let sources = [("trial.c", include_str!("../tests/it/exec/trial.c"), "")];
    if let Some(image) = made_build::trial(&folder, &sources) {
        for program in ["deadlock", "sockets"] {
            let run = |executions, seed| {
                let strategy = format!("{seed}:3:{executions}");
                run(&image, &[&strategy, "0,0,0,0", program, "right"], "");
            };
            compare(program, TRIAL, run);
        }
    }
    if let Some(build) = std::env::var_os("BQLCHECK_BUILD").map(PathBuf::from) {
        let qemu_folder = folder.join("qemu");
        std::fs::create_dir_all(&qemu_folder).expect("a directory of our own");
        if let Err(error) = qemu(&build, &qemu_folder) {
            println!("BQLCHECK_BUILD: {error}");
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}
