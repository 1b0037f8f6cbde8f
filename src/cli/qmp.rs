//! A QEMU of `lab`: started, spoken to over QMP, ended.
//! Must not know: what it is told to do.

use super::exit::Failure;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A command that takes longer hangs.
const ANSWER: Duration = Duration::from_secs(30);
/// So long a QEMU may take to start, on a busy machine without KVM.
const START: Duration = Duration::from_secs(60);

/// One of the two.
pub struct Qemu {
    /// `source` or `destination`.
    pub name: &'static str,
    process: Process,
    input: BufReader<UnixStream>,
    output: UnixStream,
    stop: Arc<AtomicBool>,
}

/// Waits for `millis`. An error: somebody wants an end.
pub fn pause(stop: &AtomicBool, millis: u64) -> Result<(), Failure> {
    let until = Instant::now() + Duration::from_millis(millis);
    loop {
        if stop.load(Ordering::Relaxed) {
            return Err(Failure::new("interrupted", "run it again"));
        }
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return Ok(());
        }
        sleep(rest.min(Duration::from_millis(20)));
    }
}

fn failure(name: &str, what: impl std::fmt::Display) -> Failure {
    Failure::new(format!("the {name} QEMU: {what}"), "its messages are in the log, with --out")
}

impl Qemu {
    /// Starts `command`, whose QMP socket is to be at `socket`.
    pub fn start(
        name: &'static str,
        mut command: Command,
        socket: &Path,
        errors: &Path,
        stop: Arc<AtomicBool>,
    ) -> Result<Qemu, Failure> {
        let stderr = std::fs::File::create(errors).map_err(|error| failure(name, error))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let process = command.spawn().map_err(|error| failure(name, error))?;
        let mut process = Process(process);
        let started = Instant::now();
        let stream = loop {
            if let Ok(stream) = UnixStream::connect(socket) {
                break stream;
            }
            let ended = process.0.try_wait().ok().flatten();
            if let Some(status) = ended {
                let said = std::fs::read_to_string(errors).unwrap_or_default();
                return Err(failure(name, format!("it ended with {status}: {}", said.trim())));
            }
            if started.elapsed() > START {
                return Err(failure(name, "it does not listen"));
            }
            pause(&stop, 20)?;
        };
        let timed = stream.set_read_timeout(Some(ANSWER)).and_then(|()| stream.try_clone());
        let input = BufReader::new(timed.map_err(|error| failure(name, error))?);
        let mut qemu = Qemu { name, process, input, output: stream, stop };
        qemu.line()?;
        qemu.send(&json!({"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}))?;
        Ok(qemu)
    }

    fn line(&mut self) -> Result<Value, Failure> {
        let mut line = String::new();
        match self.input.read_line(&mut line) {
            Ok(0) => Err(failure(self.name, "it has ended")),
            Ok(_) => serde_json::from_str(&line).map_err(|error| failure(self.name, error)),
            Err(error) => Err(failure(self.name, error)),
        }
    }

    fn send(&mut self, message: &Value) -> Result<Value, Failure> {
        let text = format!("{message}\n");
        let sent = self.output.write_all(text.as_bytes());
        sent.map_err(|error| failure(self.name, error))?;
        loop {
            let mut answer = self.line()?;
            if let Some(error) = answer.get("error") {
                let said = error["desc"].as_str().unwrap_or("an error");
                return Err(failure(self.name, said));
            }
            if answer.get("return").is_some() {
                return Ok(answer["return"].take());
            }
        }
    }

    /// A command, in the main loop.
    pub fn execute(&mut self, command: &str, arguments: Value) -> Result<Value, Failure> {
        self.send(&json!({"execute": command, "arguments": arguments}))
    }

    /// A command, in the monitor's IOThread.
    pub fn out_of_band(&mut self, command: &str, arguments: Value) -> Result<Value, Failure> {
        self.send(&json!({"exec-oob": command, "arguments": arguments, "id": 1}))
    }

    /// The status of the migration.
    pub fn status(&mut self) -> Result<String, Failure> {
        let answer = self.execute("query-migrate", json!({}))?;
        Ok(answer["status"].as_str().unwrap_or("none").into())
    }

    /// Waits until the migration is in a state of `wanted`.
    pub fn wait_for(&mut self, wanted: &[&str], limit: Duration) -> Result<String, Failure> {
        let started = Instant::now();
        loop {
            let status = self.status()?;
            if wanted.contains(&status.as_str()) {
                return Ok(status);
            }
            let bad = ["failed", "cancelled", "completed"].contains(&status.as_str());
            if bad || started.elapsed() > limit {
                let wanted = wanted.join(" or ");
                return Err(failure(self.name, format!("{status}, where {wanted} was due")));
            }
            pause(&self.stop, 20)?;
        }
    }

    /// Has it end, and waits for that.
    pub fn quit(mut self) {
        let _ = self.execute("quit", json!({}));
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(5) {
            if self.process.0.try_wait().ok().flatten().is_some() {
                return;
            }
            sleep(Duration::from_millis(20));
        }
    }
}

/// Killed where it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
