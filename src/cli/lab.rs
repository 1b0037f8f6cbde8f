//! `bqlcheck lab`: a migration between two real QEMUs, and what their logs show.
//! Must not know: what a log line means.

use super::args_trace::{Lab, LabScenario, Trace, TraceFormat};
use super::exit::{Exit, Failure};
use super::qmp::Qemu;
use super::{guest, output, trace};
use crate::trace::OPTIONS;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// A phase that takes longer will not come.
const PHASE: Duration = Duration::from_secs(120);
/// Slow enough that precopy never ends by itself.
const SLOW: u64 = 1_310_720;

/// Runs what `args` name, then reads the logs.
pub fn run(args: &Lab) -> Result<Exit, Failure> {
    let qemu = find(&args.qemu)?;
    let temporary = std::env::temp_dir().join(format!("bqlcheck-lab-{}", std::process::id()));
    // QMP's sockets have short names only: they are never in --out.
    let made = std::fs::create_dir_all(&temporary);
    made.map_err(|error| Failure::new(format!("{}: {error}", temporary.display()), "TMPDIR"))?;
    let logs = args.out.clone().unwrap_or_else(|| temporary.clone());
    let result = std::fs::create_dir_all(&logs)
        .map_err(|error| Failure::new(format!("{}: {error}", logs.display()), "--out DIR"))
        .and_then(|()| migrate(args, &qemu, &temporary, &logs))
        .and_then(|()| report(args, &logs));
    let _ = std::fs::remove_dir_all(&temporary);
    result
}

/// The binary at `path`, or of that name in PATH.
fn find(path: &Path) -> Result<PathBuf, Failure> {
    let help = "apt-get install qemu-system-x86, or --qemu PATH";
    let missing = || Failure::new(format!("{}: there is no such QEMU", path.display()), help);
    if path.components().count() > 1 {
        return if path.is_file() { Ok(path.into()) } else { Err(missing()) };
    }
    let all = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&all).map(|folder| folder.join(path));
    found.into_iter().find(|path| path.is_file()).ok_or_else(missing)
}

fn say(text: &str) {
    output::complain(&format!("lab: {text}"));
}

/// KVM where it can be used.
fn accelerator(args: &Lab) -> &str {
    let kvm = || std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm").is_ok();
    match args.accel.as_deref() {
        Some(accel) => accel,
        None if kvm() => "kvm",
        None => "tcg",
    }
}

fn start(
    name: &'static str,
    args: &Lab,
    qemu: &Path,
    folder: &Path,
    logs: &Path,
) -> Result<Qemu, Failure> {
    let file = |end: &str| folder.join(format!("{name}{end}"));
    let mut command = Command::new(qemu);
    let accel = accelerator(args);
    command.args(["-machine", &format!("pc,accel={accel}"), "-m", "24", "-display", "none"]);
    command.args(["-nodefaults", "-name", &format!("{name},debug-threads=on")]);
    let disk = folder.join("guest.img").display().to_string();
    let drive = format!("if=ide,format=raw,snapshot=on,file.locking=off,file={disk}");
    command.args(["-drive", &drive, "-serial"]).arg(format!("file:{}", file(".serial").display()));
    let socket = file(".qmp");
    command.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
    if name == "destination" {
        command.args(["-incoming", "defer"]);
    }
    let log = logs.join(format!("{name}.log")).display().to_string();
    for word in OPTIONS.split_whitespace() {
        command.arg(if word == "FILE" { &log } else { word.trim_matches('\'') });
    }
    Qemu::start(name, command, &socket, &file(".stderr"))
}

/// The migration itself.
fn migrate(args: &Lab, qemu: &Path, folder: &Path, logs: &Path) -> Result<(), Failure> {
    let scenario = args.scenario;
    let image = folder.join("guest.img");
    let written = std::fs::write(&image, guest::disk());
    written.map_err(|error| Failure::new(format!("{}: {error}", image.display()), "TMPDIR"))?;
    say(&format!("{} with {}, {}", scenario.name(), qemu.display(), accelerator(args)));
    let mut destination = start("destination", args, qemu, folder, logs)?;
    let mut source = start("source", args, qemu, folder, logs)?;
    booted(&folder.join("source.serial"))?;
    say("the guest runs and dirties its memory");
    let postcopy = matches!(scenario, LabScenario::Postcopy | LabScenario::PostcopyRecover);
    if postcopy {
        let capability = json!({"capability": "postcopy-ram", "state": true});
        for side in [&mut destination, &mut source] {
            let set = json!({"capabilities": [capability]});
            side.execute("migrate-set-capabilities", set).map_err(|failure| {
                let help = "postcopy needs userfaultfd: run as root, or \
                            sysctl vm.unprivileged_userfaultfd=1";
                Failure::new(failure.message, help)
            })?;
        }
    }
    let uri = |nth: u32| format!("unix:{}", folder.join(format!("stream{nth}")).display());
    destination.execute("migrate-incoming", json!({"uri": uri(0)}))?;
    let bandwidth = if scenario == LabScenario::Precopy { 1 << 30 } else { SLOW };
    parameter(&mut source, json!({"max-bandwidth": bandwidth, "downtime-limit": 2000}))?;
    if scenario == LabScenario::PostcopyRecover {
        parameter(&mut source, json!({"max-postcopy-bandwidth": SLOW}))?;
    }
    source.execute("migrate", json!({"uri": uri(0)}))?;
    if scenario != LabScenario::Precopy {
        source.wait_for(&["active"], PHASE)?;
        sleep(Duration::from_millis(500));
    }
    match scenario {
        LabScenario::Precopy => {}
        LabScenario::Cancel => {
            say("migrate_cancel");
            source.execute("migrate_cancel", json!({}))?;
            source.wait_for(&["cancelled"], PHASE)?;
            source.quit();
            drop(destination);
            return Ok(());
        }
        LabScenario::Postcopy => {
            say("migrate-start-postcopy");
            source.execute("migrate-start-postcopy", json!({}))?;
        }
        LabScenario::PostcopyRecover => {
            say("migrate-start-postcopy");
            source.execute("migrate-start-postcopy", json!({}))?;
            source.wait_for(&["postcopy-active"], PHASE)?;
            sleep(Duration::from_millis(300));
            recover(&mut source, &mut destination, &uri(1))?;
        }
    }
    source.wait_for(&["completed"], PHASE)?;
    destination.wait_for(&["completed"], PHASE)?;
    say("completed");
    sleep(Duration::from_millis(300));
    source.quit();
    destination.quit();
    Ok(())
}

fn parameter(qemu: &mut Qemu, value: Value) -> Result<Value, Failure> {
    qemu.execute("migrate-set-parameters", value)
}

/// Breaks the network and mends it.
fn recover(source: &mut Qemu, destination: &mut Qemu, uri: &str) -> Result<(), Failure> {
    say("migrate-pause");
    source.out_of_band("migrate-pause", json!({}))?;
    source.wait_for(&["postcopy-paused"], PHASE)?;
    destination.wait_for(&["postcopy-paused"], PHASE)?;
    say("migrate-recover");
    destination.out_of_band("migrate-recover", json!({"uri": uri}))?;
    parameter(source, json!({"max-postcopy-bandwidth": 0}))?;
    source.execute("migrate", json!({"uri": uri, "resume": true}))?;
    Ok(())
}

/// Waits for the guest's first rounds over its memory.
fn booted(serial: &Path) -> Result<(), Failure> {
    for _ in 0..3000 {
        let text = std::fs::read(serial).unwrap_or_default();
        if text.iter().filter(|byte| **byte == b'B').count() >= 3 {
            return Ok(());
        }
        sleep(Duration::from_millis(20));
    }
    Err(Failure::new("the guest does not boot in a minute", "try --accel kvm"))
}

/// Reads both logs, as `bqlcheck trace --conform` does.
fn report(args: &Lab, logs: &Path) -> Result<Exit, Failure> {
    trace::run(&Trace {
        logs: ["source.log", "destination.log"].map(|name| logs.join(name)).into(),
        format: TraceFormat::Text,
        top: 5,
        max_hold: Duration::from_millis(100),
        since: None,
        until: None,
        thread: None,
        conform: true,
        plan: args.plan.clone(),
    })
}
