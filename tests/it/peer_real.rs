//! The peers against real QEMUs: `qemu-system-x86_64` in the PATH, and what a
//! build beside the project has. Skipped where there is none.

use crate::peer::{Socket, guest, run};
use bqlcheck::exec::peer::{
    Asks, Destination, Hostile, Monitor, Outcome, Script, Shared, Source, State, Wire,
};
use bqlcheck::sim::Version;
use bqlcheck::sim::stream::{Command as Order, Content, Item};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// The QEMUs that are to be had, with their versions.
pub fn qemus() -> Vec<(PathBuf, Version)> {
    // Where scripts/exec-check has one built.
    let built = "target/qemu/build-10.0/qemu-system-x86_64";
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join(built);
    let said = |path: &Path| {
        let said = Command::new(path).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&said.stdout).into_owned())
    };
    let known = |path: PathBuf| {
        let said = said(&path)?;
        let known = [("7.2.", Version::V7_2), ("10.0.", Version::V10_0)];
        let (_, version) =
            known.into_iter().find(|(name, _)| said.contains(&format!("version {name}")))?;
        Some((path, version))
    };
    let found: Vec<_> =
        ["qemu-system-x86_64".into(), built].into_iter().filter_map(known).collect();
    if found.is_empty() {
        println!("skipped: no qemu-system-x86_64 of 7.2 or 10.0 here");
    }
    found
}

pub struct Monitored {
    out: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Monitored {
    fn connect(path: &Path) -> Self {
        let started = Instant::now();
        let out = loop {
            match UnixStream::connect(path) {
                Ok(stream) => break stream,
                Err(error) => assert!(started.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        out.set_read_timeout(Some(PATIENCE)).expect("a socket");
        let lines = BufReader::new(out.try_clone().expect("a descriptor"));
        let mut monitor = Self { out, lines };
        monitor.line().expect("a greeting");
        monitor.execute("qmp_capabilities", json!({"enable": ["oob"]}));
        monitor
    }

    fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).ok()?;
        (read > 0).then(|| serde_json::from_str(&line).expect("JSON"))
    }

    /// None if QEMU is gone.
    fn answer(&mut self, how: &str, command: &str, arguments: Value) -> Option<Value> {
        let mut request = json!({"arguments": arguments});
        request[how] = command.into();
        writeln!(self.out, "{request}").ok()?;
        loop {
            let line = self.line()?;
            if line.get("event").is_none() {
                return Some(line);
            }
        }
    }

    pub fn execute(&mut self, command: &str, arguments: Value) -> Value {
        let answer = self.answer("execute", command, arguments).expect("QEMU lives");
        answer.get("return").unwrap_or_else(|| panic!("{command}: {answer}")).clone()
    }

    /// Waits until the migration is in a state; panics where it cannot come.
    pub fn wait_for(&mut self, wanted: &str) {
        let started = Instant::now();
        loop {
            let answer = self.execute("query-migrate", json!({}));
            let status = answer["status"].as_str().unwrap_or("none").to_owned();
            if status == wanted {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{status}, not {wanted}: {answer}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A real QEMU with nothing in it but 16 pages.
pub struct Qemu {
    process: Child,
    pub folder: PathBuf,
    pub monitor: Monitored,
    /// A second monitor: the first may be stuck on a missing page.
    other: Monitored,
}

impl Qemu {
    pub fn start(binary: &Path, name: &str, capabilities: &[&str]) -> Self {
        let folder = format!("bqlcheck-peer-{}-{name}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        // Debian's 7.2 has no qtest accelerator, and QEMU's help never names it.
        let help = Command::new(binary).args(["-accel", "help"]).output().expect("runs");
        let qtest = !String::from_utf8_lossy(&help.stdout).contains("tcg");
        let mut command = Command::new(binary);
        command.args(["-M", "none", "-m", "64K", "-nodefaults", "-display", "none"]);
        command.args(["-accel", if qtest { "qtest" } else { "tcg" }, "-incoming", "defer"]);
        for name in ["one", "two"] {
            let path = folder.join(name);
            command.args(["-qmp", &format!("unix:{},server=on,wait=off", path.display())]);
        }
        let said = std::fs::File::create(folder.join("stderr")).expect("a file");
        command.stdin(Stdio::null()).stderr(said);
        let process = command.spawn().expect("runs");
        let monitor = Monitored::connect(&folder.join("one"));
        let other = Monitored::connect(&folder.join("two"));
        let mut qemu = Self { process, folder, monitor, other };
        let capabilities: Vec<Value> =
            capabilities.iter().map(|name| json!({"capability": name, "state": true})).collect();
        qemu.monitor.execute("migrate-set-capabilities", json!({"capabilities": capabilities}));
        qemu
    }

    pub fn uri(&self, name: &str) -> String {
        format!("unix:{}", self.folder.join(name).display())
    }

    /// A connection to where it listens.
    pub fn connect(&self, name: &str) -> Socket {
        Socket::new(UnixStream::connect(self.folder.join(name)).expect("QEMU listens"))
    }

    fn incoming(&mut self) -> Socket {
        let uri = self.uri("main");
        self.monitor.execute("migrate-incoming", json!({"uri": uri}));
        self.connect("main")
    }

    /// Whether its memory is the peers' guest's.
    pub fn has_memory(&mut self) -> bool {
        let file = self.folder.join("memory");
        self.monitor.execute("pmemsave", json!({"val": 0, "size": 65536, "filename": file}));
        let memory = std::fs::read(file).expect("saved");
        memory == (0..16).flat_map(|n| [n; 4096]).collect::<Vec<u8>>()
    }

    pub fn is_running(&mut self) -> bool {
        self.monitor.execute("query-status", json!({}))["running"] == true
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

const POSTCOPY: [&str; 2] = ["postcopy-ram", "return-path"];
const PREEMPT: [&str; 3] = ["postcopy-ram", "return-path", "postcopy-preempt"];

pub fn nothing() -> std::io::Result<Box<dyn Wire + Send>> {
    Err(std::io::ErrorKind::NotFound.into())
}

#[test]
fn a_real_destination_takes_a_precopy() {
    for (binary, version) in qemus() {
        let mut qemu = Qemu::start(&binary, &format!("precopy-{version:?}"), &["return-path"]);
        let wire = qemu.incoming();
        let (guest, script) = (guest(version), Script::precopy(version));
        let shared = Monitor::new(State::new(&guest));
        let mut source = Source::new(&guest, &script, &shared);
        let ended = run(&mut source, &guest, &script, &shared, wire, false, &mut nothing);
        assert_eq!(ended, Outcome::Completed, "{version:?}");
        qemu.monitor.wait_for("completed");
        assert!(qemu.is_running() && qemu.has_memory(), "{version:?}");
        assert_eq!(shared.with(|state| state.pongs.clone()), [1]);
    }
}

/// A preempt channel that counts the bytes sent.
struct Counted(Socket, Arc<AtomicUsize>);

impl Wire for Counted {
    fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.1.fetch_add(bytes.len(), Ordering::Relaxed);
        self.0.send(bytes)
    }

    fn recv(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.recv(bytes)
    }

    fn shutdown(&mut self) {
        self.0.shutdown();
    }
}

/// A postcopy into a real QEMU; with a pause, and a page that is faulted on
/// while it is paused. The number of requests.
fn postcopy(binary: &Path, version: Version, preempt: bool, pause: bool) -> usize {
    let name = format!("postcopy-{version:?}-{preempt}-{pause}");
    let mut qemu = Qemu::start(binary, &name, if preempt { &PREEMPT } else { &POSTCOPY });
    let mut wire = qemu.incoming();
    // So that the guest's own faults come before the background's pages.
    wire.slow = Duration::from_millis(20);
    let guest = guest(version);
    let script = Script {
        preempt,
        redirtied: vec![(0, 1)],
        section_pages: 1,
        pause_after: pause.then_some(3),
        ..Script::postcopy(version, 4)
    };
    let shared = Monitor::new(State::new(&guest));
    let mut source = Source::new(&guest, &script, &shared);
    let folder = qemu.folder.clone();
    let urgent = Arc::new(AtomicUsize::new(0));
    let connect = |name: &'static str| {
        let (path, urgent) = (folder.join(name), urgent.clone());
        move || -> std::io::Result<Box<dyn Wire + Send>> {
            let socket = Socket::new(UnixStream::connect(&path)?);
            Ok(Box::new(Counted(socket, urgent.clone())))
        }
    };
    let mut wire = Some(wire);
    if pause {
        let mut connect = connect("main");
        let wire = wire.take().expect("not used yet");
        let first = run(&mut source, &guest, &script, &shared, wire, false, &mut connect);
        assert_eq!(first, Outcome::Paused, "{name}");
        qemu.monitor.wait_for("postcopy-paused");
    }
    let ended = std::thread::scope(|scope| {
        let uri = qemu.uri("again");
        let Qemu { monitor, other, .. } = &mut qemu;
        let (file, shared) = (folder.join("fault"), &shared);
        let faults = scope.spawn(move || {
            if !pause {
                // The main thread may fault once it has loaded the package.
                shared.wait(|state| state.pongs.contains(&3).then_some(()));
            }
            // From the other end than the background's pages come from.
            let fault = |page: u32| {
                let page = json!({"val": page * 4096, "size": 4096, "filename": file});
                monitor.answer("execute", "pmemsave", page)
            };
            [15, 14, 13, 12].map(fault)
        });
        let (wire, mut connect) = match wire.take() {
            Some(wire) => (wire, connect("main")),
            None => {
                // By now the main thread waits for a page, with the BQL.
                std::thread::sleep(Duration::from_millis(200));
                let answer = other.answer("exec-oob", "migrate-recover", json!({"uri": uri}));
                let answer = answer.expect("QEMU lives");
                assert!(answer.get("return").is_some(), "{answer}");
                let stream = UnixStream::connect(folder.join("again")).expect("QEMU listens");
                let slow = Duration::from_millis(20);
                (Socket { stream, slow }, connect("again"))
            }
        };
        let ended = run(&mut source, &guest, &script, shared, wire, pause, &mut connect);
        for answer in faults.join().expect("no panic") {
            let answer = answer.expect("QEMU lives");
            assert!(answer.get("return").is_some(), "{name}: {answer}");
        }
        ended
    });
    assert_eq!(ended, Outcome::Completed, "{name}");
    qemu.monitor.wait_for("completed");
    assert!(qemu.is_running() && qemu.has_memory(), "{name}");
    assert_eq!(shared.with(|state| state.pending()), 0);
    assert_eq!(urgent.load(Ordering::Relaxed) > 4096, preempt, "{name}");
    shared.with(|state| state.requested)
}

#[test]
fn a_real_destination_takes_a_postcopy_and_asks_for_pages() {
    for (binary, version) in qemus() {
        assert!(postcopy(&binary, version, false, false) > 0, "{version:?}: no request");
    }
}

#[test]
fn a_real_destination_recovers() {
    for (binary, version) in qemus() {
        assert!(postcopy(&binary, version, false, true) > 0, "{version:?}: no request");
    }
}

#[test]
fn a_real_destination_takes_urgent_pages_on_the_preempt_channel() {
    for (binary, version) in qemus() {
        assert!(postcopy(&binary, version, true, false) > 0, "{version:?}: no request");
    }
}

#[test]
fn a_real_destination_recovers_with_a_preempt_channel() {
    for (binary, version) in qemus() {
        assert!(postcopy(&binary, version, true, true) > 0, "{version:?}: no request");
    }
}

/// What a real QEMU sends: its memory comes from our source, and goes to our
/// destination.
fn through(
    binary: &Path,
    version: Version,
    asks: Asks,
    postcopy: bool,
) -> (Destination<Socket>, bool) {
    let name = format!("source-{version:?}-{postcopy}-{}", asks.pause_after.is_some());
    let mut qemu = Qemu::start(binary, &name, if postcopy { &POSTCOPY } else { &["return-path"] });
    let wire = qemu.incoming();
    let (guest, script) = (guest(version), Script::precopy(version));
    let shared = Monitor::new(State::new(&guest));
    let mut source = Source::new(&guest, &script, &shared);
    let ended = run(&mut source, &guest, &script, &shared, wire, false, &mut nothing);
    assert_eq!(ended, Outcome::Completed);
    qemu.monitor.wait_for("completed");
    if postcopy {
        // The setup alone is over the limit: a tenth of a second to say that it
        // is to be postcopy. A 10.0 counts pages when they are flushed, and so
        // sends all 16 in its first section.
        let slow = json!({
            "max-bandwidth": 500, "max-postcopy-bandwidth": 500, "downtime-limit": 1
        });
        qemu.monitor.execute("migrate-set-parameters", slow);
    }
    let mut destination = Destination::new(asks);
    let listen = |name: &str| UnixListener::bind(qemu.folder.join(name)).expect("a socket");
    let (main, again) = (listen("out"), listen("out-again"));
    let accept = |listener: &UnixListener| Socket::new(listener.accept().expect("comes").0);
    let uri = qemu.uri("out");
    qemu.monitor.execute("migrate", json!({"uri": uri}));
    let wire = accept(&main);
    if postcopy {
        qemu.monitor.execute("migrate-start-postcopy", json!({}));
    }
    let back = wire.twin();
    let mut ended = destination.load(wire, back);
    let paused = ended == Outcome::Paused;
    if paused {
        qemu.monitor.wait_for("postcopy-paused");
        let uri = qemu.uri("out-again");
        qemu.monitor.execute("migrate", json!({"uri": uri, "resume": true}));
        let wire = accept(&again);
        let back = wire.twin();
        ended = destination.recover(wire, back);
    }
    assert_eq!(ended, Outcome::Completed, "{name}");
    qemu.monitor.wait_for("completed");
    let page = |n: usize| match n {
        0 => Content::Zero,
        _ => Content::Data(vec![n as u8; 4096]),
    };
    let expected: Vec<_> = (0..16).map(|n| Some(page(n))).collect();
    assert!(destination.blocks["ram"] == expected, "{name}");
    (destination, paused)
}

/// The items of a stream in short, pages left out.
fn shape(items: &[Item]) -> String {
    let words = items.iter().filter_map(|item| match item {
        Item::Section(section) => Some(match &section.identity {
            Some(identity) => format!("{:?}:{}", section.kind, identity.idstr),
            None => format!("{:?}", section.kind),
        }),
        Item::Command(Order::Ping(value)) => Some(format!("PING{value}")),
        Item::Command(command) => Some(command.name().to_owned()),
        Item::Eof => Some("EOF".into()),
        Item::Vmdesc(_) => Some("VMDESC".into()),
        _ => None,
    });
    let mut words: Vec<String> = words.collect();
    words.dedup();
    words.join(" ")
}

#[test]
fn a_real_source_sends_what_ours_sends_in_precopy() {
    for (binary, version) in qemus() {
        let (real, _) = through(&binary, version, Asks::default(), false);
        let switchover = if version == Version::V7_2 { "" } else { "SWITCHOVER_START " };
        let expected = format!(
            "OPEN_RETURN_PATH PING1 Start:ram Part {switchover}End Full:timer Full:globalstate \
             EOF VMDESC"
        );
        assert_eq!(shape(&real.items), expected, "{version:?}");
        // But for the clock in `timer` and the JSON at the end, byte for byte.
        let (ours, theirs) = UnixStream::pair().expect("a socket");
        let guest = guest(version);
        let script = Script { section_pages: 17, ..Script::precopy(version) };
        let shared = Monitor::new(State::new(&guest));
        let ours = Socket::new(ours);
        let items = std::thread::scope(|scope| {
            let loading = scope.spawn(|| {
                let mut destination = Destination::new(Asks::default());
                let wire = Socket::new(theirs);
                let back = wire.twin();
                assert_eq!(destination.load(wire, back), Outcome::Completed);
                destination.items
            });
            let mut source = Source::new(&guest, &script, &shared);
            run(&mut source, &guest, &script, &shared, ours, false, &mut nothing);
            loading.join().expect("no panic")
        });
        assert_eq!(items.len(), real.items.len(), "{version:?}");
        for (n, (ours, real)) in items.iter().zip(&real.items).enumerate() {
            match (ours, real) {
                (Item::Device(ours), Item::Device(real)) if ours.len() == 24 => {
                    assert_eq!(real.len(), 24);
                }
                (Item::Vmdesc(_), Item::Vmdesc(_)) => {}
                _ => assert!(
                    ours == real,
                    "{version:?}: item {n} differs: {:.200}",
                    format!("{ours:?} {real:?}")
                ),
            }
        }
    }
}

#[test]
fn a_real_source_answers_our_requests_and_recovers() {
    for (binary, version) in qemus() {
        for pause_after in [None, Some(0)] {
            let pages = [15, 7, 11].map(|n| ("ram".to_owned(), n)).to_vec();
            let asks = Asks { pages, pause_after };
            let (real, paused) = through(&binary, version, asks, true);
            assert_eq!(paused, pause_after.is_some());
            let switchover = if version == Version::V7_2 { "" } else { "SWITCHOVER_START " };
            let more = if paused { "RECV_BITMAP POSTCOPY_RESUME" } else { "PING4" };
            let expected = format!(
                "OPEN_RETURN_PATH PING1 POSTCOPY_ADVISE Start:ram {switchover}\
                 POSTCOPY_RAM_DISCARD PING2 POSTCOPY_LISTEN Full:timer Full:globalstate PING3 \
                 POSTCOPY_RUN {more} Part End EOF"
            );
            // A page may have gone before postcopy began.
            let shape = shape(&real.items).replacen("Start:ram Part ", "Start:ram ", 1);
            assert_eq!(shape, expected, "{version:?}");
        }
    }
}

/// What becomes of a real destination that is sent this.
fn sent(binary: &Path, version: Version, hostile: Hostile) -> String {
    let name = format!("hostile-{version:?}-{hostile:?}");
    let mut qemu = Qemu::start(binary, &name, &POSTCOPY);
    let mut wire = qemu.incoming();
    wire.send(&hostile.stream(&guest(version))).ok();
    if matches!(hostile, Hostile::Cut(_)) {
        // Sooner, and the listen thread may find the end before the main thread
        // has come to RUN: QEMU then exits, in LISTENING, and does not pause.
        std::thread::sleep(Duration::from_millis(300));
        wire.shutdown();
    }
    let started = Instant::now();
    let mut status = String::from("none");
    let complaint = |qemu: &Qemu| {
        let said = std::fs::read_to_string(qemu.folder.join("stderr")).expect("text");
        let state = said.lines().find_map(|line| line.find("CMD_POSTCOPY").map(|at| &line[at..]));
        state.unwrap_or("no command is wrong").to_owned()
    };
    while started.elapsed() < Duration::from_secs(2) {
        // Most often exit(1); now and then a thread that is still there crashes
        // in the course of it, and a signal ends QEMU.
        if qemu.process.try_wait().expect("ours").is_some() {
            return format!("gone: {}", complaint(&qemu));
        }
        match qemu.monitor.answer("execute", "query-migrate", json!({})) {
            Some(answer) => {
                status = answer["return"]["status"].as_str().unwrap_or("none").to_owned();
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
        if status == "postcopy-paused" || status == "completed" {
            return status;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    status
}

#[test]
fn what_real_destinations_make_of_hostile_streams() {
    for (binary, version) in qemus() {
        let whole = Hostile::Cut(usize::MAX).stream(&guest(version)).len();
        let state = "gone: CMD_POSTCOPY_RUN in wrong postcopy state (2)";
        for (hostile, becomes) in [
            // It is loaded by the listen thread, whatever that does to the guest.
            (Hostile::DeviceInPostcopy, "completed"),
            // A bug of QEMU: 2 is DISCARD, set over LISTENING.
            (Hostile::ListenAfterAdvise, state),
            (Hostile::RunWithoutListen, state),
            (Hostile::Cut(60), "gone: no command is wrong"),
            (Hostile::Cut(whole - 3), "postcopy-paused"),
            (Hostile::Cut(whole), "completed"),
        ] {
            assert_eq!(sent(&binary, version, hostile), becomes, "{version:?} {hostile:?}");
        }
    }
}

#[test]
fn an_old_destination_does_not_know_switchover_start() {
    for (binary, version) in qemus() {
        let mut qemu = Qemu::start(&binary, &format!("newer-{version:?}"), &["return-path"]);
        let wire = qemu.incoming();
        let (guest, script) = (guest(version), Script::precopy(Version::V10_0));
        let shared = Monitor::new(State::new(&guest));
        let mut source = Source::new(&guest, &script, &shared);
        let ended = run(&mut source, &guest, &script, &shared, wire, false, &mut nothing);
        let taken = ended == Outcome::Completed;
        assert_eq!(taken, version == Version::V10_0, "{version:?}: {ended:?}");
    }
}
