//! The image's side of a run: reads the job, boots QEMU, searches, and says what
//! it finds, a line of JSON each.
//! Must not know: who started it, and how it is shown.

use super::job::{Event, Job};
use super::judge::Names;
use super::kernel::boot::{self, Image};
use super::kernel::{pages, pair, process, shared};
use super::scenario::{self, guest::PAGE, pair::PREFIXES};
use super::search::{self, Scenario};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::os::raw::{c_char, c_int};
use std::sync::Arc;
use std::time::Instant;

/// Where the image begins (`glue/main.c`).
///
/// # Safety
/// None is asked for: the arguments are not used, the job comes on stdin.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_main(
    image: &'static Image,
    _: c_int,
    _: *const *const c_char,
) -> c_int {
    process::same_addresses();
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).map_err(|error| error.to_string());
    let job = read.and_then(|_| serde_json::from_str(&line).map_err(|error| error.to_string()));
    match job {
        Ok(job) => run(image, &job),
        Err(message) => {
            emit(&Event::Refused { message, help: "this is started by bqlcheck".into() })
        }
    }
    // Not through destructors: they would look for a scheduler that is gone.
    process::leave(0)
}

fn emit(event: &Event) {
    let line = serde_json::to_string(event).expect("plain data");
    let mut stdout = std::io::stdout().lock();
    // Whoever started it may be gone.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

fn run(image: &'static Image, job: &Job) {
    let began = Instant::now();
    let refuse = |message: String, help: &str| emit(&Event::Refused { message, help: help.into() });
    if let Some(setup) = scenario::pair::find(&job.scenario, &job.version) {
        return match two(image, job, setup) {
            Ok(scenario) => search(job, &scenario, began),
            Err((message, help)) => refuse(message, help),
        };
    }
    let Some(setup) = scenario::find(&job.scenario, &job.version) else {
        let help = format!("one of: {}", scenario::names().join(", "));
        return refuse(format!("no scenario is called {}", job.scenario), &help);
    };
    let arguments = match setup.arguments(job.log, job.target.as_deref()) {
        Ok(arguments) => arguments,
        Err((message, help)) => return refuse(message, help),
    };
    if let Err((ending, said)) = boot::start(image, &arguments, setup.boot(), job.log) {
        let message = format!("QEMU does not boot: {ending:?}; it said: {}", said.trim());
        return refuse(message, "this build may need a function in models/exec/libc.json");
    }
    if let Err((message, help)) = pages_fit() {
        return refuse(message, help);
    }
    let scenario = match setup.ready() {
        Ok(scenario) => scenario,
        Err(message) => {
            return refuse(format!("management failed: {message}"), "see the scenario's needs");
        }
    };
    search(job, &scenario, began);
}

/// Whether the guest's pages are those of which peers and scenarios have some.
fn pages_fit() -> Result<(), (String, &'static str)> {
    let own = pages::bits().map_or(PAGE, |bits| 1 << bits.own);
    if own == PAGE {
        return Ok(());
    }
    let message = format!("the guest of this QEMU has pages of {own} bytes, scenarios of {PAGE}");
    Err((message, "--target takes another executable, if the build has one"))
}

/// A scenario of two QEMUs, booted.
fn two(
    image: &'static Image,
    job: &Job,
    setup: scenario::pair::Setup,
) -> Result<Arc<dyn Scenario>, (String, &'static str)> {
    if !shared::is_on() {
        return Err(("two processes need a heap that they share".into(), "started by bqlcheck"));
    }
    let arguments = setup.arguments(job.log);
    boot::start_pair(image, PREFIXES, &arguments, setup.boot(), job.log).map_err(
        |(ending, said)| {
            let message = format!("QEMU does not boot: {ending:?}; it said: {}", said.trim());
            (message, "this build may need a function in models/exec/libc.json")
        },
    )?;
    pages_fit()?;
    let failed = |message| (format!("management failed: {message}"), "see the scenario's needs");
    setup.ready().map_err(failed)
}

fn search(job: &Job, scenario: &Arc<dyn Scenario>, began: Instant) {
    emit(&Event::Booted { wall_ms: began.elapsed().as_millis() as u64 });
    let names: Arc<dyn Names + Send + Sync> =
        Arc::new(Addresses { roots: job.roots.clone().into(), arrays: job.arrays.clone().into() });
    let tell: Arc<dyn Fn(&Event) + Send + Sync> = Arc::new(emit);
    match &job.replay {
        Some(forced) => {
            let forced: Vec<_> = forced.iter().map(|tid| tid.map(|tid| tid as usize)).collect();
            search::show(scenario, &names, job.faults, &forced, &tell);
        }
        None => emit(&Event::Done(search::run(job, scenario, &names, &tell))),
    }
}

/// Objects by where they are: an offset in the image, or in a structure that a
/// variable points to. Who knows the types makes names of that.
#[derive(Clone)]
struct Addresses {
    roots: Arc<BTreeMap<String, u64>>,
    arrays: Arc<BTreeMap<String, u64>>,
}

impl Names for Addresses {
    fn object(&self, address: usize) -> String {
        if address & pair::ELSEWHERE != 0 {
            let this = self.clone();
            return pair::on(1, move || this.object(address & !pair::ELSEWHERE));
        }
        let base = process::image_base();
        let roots = self.roots.iter().map(|(name, at)| (name, Some(base + *at as usize)));
        let first = |at: &u64| process::pointed(base + *at as usize);
        let arrays = self.arrays.iter().map(|(name, at)| (name, first(at)));
        for (name, pointer) in roots.chain(arrays) {
            if let Some(within) = pointer.and_then(|at| process::within(at, address)) {
                return format!("{name}+{within:#x}");
            }
        }
        match address.checked_sub(base) {
            Some(offset) if offset < 1 << 32 => format!("qemu+{offset:#x}"),
            // The arena is always in the same place.
            _ => format!("heap+{:#x}", address & 0xffff_ffff),
        }
    }
}
