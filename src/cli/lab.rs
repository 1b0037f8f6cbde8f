//! `bqlcheck lab`: a migration between two real QEMUs, and what their logs show.
//! Must not know: what a log line means.

use super::args_trace::{Lab, LabScenario, Trace, TraceFormat};
use super::exit::{Exit, Failure};
use super::qmp::{Qemu, pause};
use super::{guest, interrupt, output, trace};
use crate::trace::OPTIONS;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A phase that takes longer will not come.
const PHASE: Duration = Duration::from_secs(120);
/// Slow enough that precopy never ends by itself.
const SLOW: u64 = 1_310_720;

/// Runs what `args` name, then reads the logs.
pub fn run(args: &Lab) -> Result<Exit, Failure> {
    let qemu = find(&args.qemu)?;
    let accel = accelerator(args.accel.as_deref())?;
    // Dropped, a QEMU is killed: a signal must not end the program at once.
    let stop = interrupt::watch();
    let temporary = std::env::temp_dir().join(format!("bqlcheck-lab-{}", std::process::id()));
    // QMP's sockets have short names only: they are never in --out.
    let made = std::fs::create_dir_all(&temporary);
    made.map_err(|error| Failure::new(format!("{}: {error}", temporary.display()), "TMPDIR"))?;
    let logs = args.out.clone().unwrap_or_else(|| temporary.clone());
    let result = std::fs::create_dir_all(&logs)
        .map_err(|error| Failure::new(format!("{}: {error}", logs.display()), "--out DIR"))
        .and_then(|()| {
            let bench = Bench { accel, qemu: &qemu, folder: &temporary, logs: &logs, stop: &stop };
            bench.migrate(args.scenario)
        })
        .and_then(|()| report(args, &logs));
    let _ = std::fs::remove_dir_all(&temporary);
    match result {
        // Nothing of it is complete.
        Err(_) if stop.load(Ordering::Relaxed) => {
            say("interrupted; both QEMUs are ended");
            Ok(Exit::Interrupted)
        }
        result => result,
    }
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

/// KVM where it can be used, if not told otherwise.
fn accelerator(asked: Option<&str>) -> Result<&'static str, Failure> {
    let kvm = std::fs::OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match (asked, kvm) {
        (Some("tcg"), _) => Ok("tcg"),
        (_, Ok(_)) => Ok("kvm"),
        (None, Err(error)) => {
            say(&format!("/dev/kvm: {error}; so TCG, which is slower"));
            Ok("tcg")
        }
        (Some(_), Err(error)) => {
            Err(Failure::new(format!("/dev/kvm: {error}"), "--accel tcg needs no KVM"))
        }
    }
}

/// What both QEMUs are made of.
struct Bench<'a> {
    accel: &'static str,
    qemu: &'a Path,
    /// For sockets and the like; the logs are elsewhere.
    folder: &'a Path,
    logs: &'a Path,
    /// Somebody wants an end.
    stop: &'a Arc<AtomicBool>,
}

impl Bench<'_> {
    fn start(&self, name: &'static str) -> Result<Qemu, Failure> {
        let file = |end: &str| self.folder.join(format!("{name}{end}"));
        let mut command = Command::new(self.qemu);
        let machine = format!("pc,accel={}", self.accel);
        command.args(["-machine", &machine, "-m", "24", "-display", "none"]);
        command.args(["-nodefaults", "-name", &format!("{name},debug-threads=on")]);
        let disk = self.folder.join("guest.img").display().to_string();
        let drive = format!("if=ide,format=raw,snapshot=on,file.locking=off,file={disk}");
        let serial = format!("file:{}", file(".serial").display());
        command.args(["-drive", &drive, "-serial", &serial]);
        let socket = file(".qmp");
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", socket.display())]);
        if name == "destination" {
            command.args(["-incoming", "defer"]);
        }
        let log = self.logs.join(format!("{name}.log")).display().to_string();
        for word in OPTIONS.split_whitespace() {
            command.arg(if word == "FILE" { &log } else { word.trim_matches('\'') });
        }
        Qemu::start(name, command, &socket, &file(".stderr"), self.stop.clone())
    }

    /// The migration itself.
    fn migrate(&self, scenario: LabScenario) -> Result<(), Failure> {
        let folder = self.folder;
        let image = folder.join("guest.img");
        let written = std::fs::write(&image, guest::disk());
        written.map_err(|error| Failure::new(format!("{}: {error}", image.display()), "TMPDIR"))?;
        say(&format!("{} with {}, {}", scenario.name(), self.qemu.display(), self.accel));
        let mut destination = self.start("destination")?;
        let mut source = self.start("source")?;
        self.booted()?;
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
            pause(self.stop, 500)?;
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
                pause(self.stop, 300)?;
                recover(&mut source, &mut destination, &uri(1))?;
            }
        }
        source.wait_for(&["completed"], PHASE)?;
        destination.wait_for(&["completed"], PHASE)?;
        say("completed");
        pause(self.stop, 300)?;
        source.quit();
        destination.quit();
        Ok(())
    }

    /// Waits for the guest's first rounds over its memory.
    fn booted(&self) -> Result<(), Failure> {
        let serial = self.folder.join("source.serial");
        for _ in 0..3000 {
            let text = std::fs::read(&serial).unwrap_or_default();
            if text.iter().filter(|byte| **byte == b'B').count() >= 3 {
                return Ok(());
            }
            pause(self.stop, 20)?;
        }
        Err(Failure::new("the guest does not boot in a minute", "try --accel kvm"))
    }
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
