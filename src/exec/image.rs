//! The image's side of a run: boots QEMU, and runs the executions of a job.
//! Must not know: who started it.

use super::kernel::boot::{self, Image};
use super::kernel::state::kernel;
use super::kernel::tasks::{self, Strategy};
use super::kernel::{process, snapshot};
use super::peer::{Guest, Script};
use super::scenario::board::Board;
use super::scenario::incoming::{self, Incoming, Story};
use super::scenario::qmp::Qmp;
use super::scenario::task::task;
use crate::sim::Version;
use std::os::raw::{c_char, c_int};
use std::sync::{Arc, Mutex};

/// Where the image begins (`glue/main.c`).
///
/// # Safety
/// `argv` has `argc` strings.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_main(
    image: &'static Image,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    process::same_addresses();
    // SAFETY: see above.
    let arguments: Vec<String> = (0..argc as usize)
        .map(|nth| unsafe { std::ffi::CStr::from_ptr(*argv.add(nth)) })
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    let pages = (0..16).map(|nth| if nth % 5 == 4 { 0 } else { nth + 1 }).collect();
    let var = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    let scenario = Incoming {
        guest: Guest::none(Version::V10_0, pages),
        script: Script::postcopy(Version::V10_0, 6),
        breaks: [incoming::Break::Never, incoming::Break::Running, incoming::Break::Anywhere]
            [var("BREAKS", 0)],
        vcpus: var("VCPUS", 0),
    };
    let monitor: Arc<Mutex<Option<Qmp>>> = Arc::default();
    let (script, left) = (scenario.script.clone(), monitor.clone());
    let began = task(move || {
        if let Err(wrong) = incoming::boot(&script, &left) {
            eprintln!("{wrong}");
        }
    });
    if let Err((ending, said)) = boot::start(image, &arguments, began) {
        println!("{ending:x?}\n{said}");
        return 1;
    }
    let qmp = monitor.lock().unwrap().clone().expect("it negotiated");
    println!("booted, {} threads, {} files", kernel().threads.len(), kernel().files.all.len());
    let executions = var("N", 1);
    let strategy = match var("PCT", 0) {
        0 => Strategy::Random { seed: 1, executions },
        depth => Strategy::Pct { seed: 1, depth, executions },
    };
    let story: Arc<Mutex<Option<Arc<Board<Story>>>>> = Arc::default();
    let told = story.clone();
    let begun = std::time::Instant::now();
    let count = std::sync::atomic::AtomicUsize::new(0);
    let outcomes: Mutex<std::collections::BTreeMap<String, usize>> = Mutex::default();
    let outcomes = Arc::new(outcomes);
    let all = outcomes.clone();
    let steps = Arc::new(Mutex::new(0));
    let all_steps = steps.clone();
    let kept: Arc<Mutex<Option<(String, Vec<usize>, u64)>>> = Arc::default();
    let again = kept.clone();
    let [timeouts, eintr, short, spurious] =
        ["TIMEOUTS", "EINTR", "SHORT", "SPURIOUS"].map(|name| var(name, 0) as u32);
    let choices = super::kernel::choices::Choices { timeouts, eintr, short, spurious };
    let prepare = Arc::new(move || {
        kernel().choices = choices;
        *story.lock().unwrap() = Some(scenario.begin(&qmp));
    });
    let prepare_again = prepare.clone();
    let end = Arc::new(move || {
        let nth = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let state = kernel();
        let told = told.lock().unwrap().take().unwrap();
        let mut text = String::new();
        told.with(|story| {
            text = format!("{:?} {:?} {:?}", state.over, story.source, story.statuses);
            text += &format!(" {:?} {}", story.wrong, story.vcpus_done);
        });
        *all_steps.lock().unwrap() += state.steps;
        if nth < var("SHOW", 1) {
            println!(
                "{text}\nsteps {} picked {} said {:?}",
                state.steps,
                tasks::picked().len(),
                state.said
            );
            for (nth, thread) in state.threads.iter().enumerate() {
                println!("  {nth} {:20} {:?} {:?}", thread.name, thread.waits, thread.returned);
            }
        }
        *all.lock().unwrap().entry(text.clone()).or_default() += 1;
        if nth == var("REPLAY", usize::MAX) {
            *kept.lock().unwrap() = Some((text, tasks::picked(), state.steps));
            return false;
        }
        if let Some((before, picked, steps)) = kept.lock().unwrap().as_ref() {
            println!(
                "replay: {} {} {}",
                *before == text,
                *picked == tasks::picked(),
                *steps == state.steps
            );
        }
        true
    });
    let end_again = end.clone();
    boot::explore(strategy, move || prepare(), move || end());
    let found = again.lock().unwrap().as_ref().map(|kept| kept.1.clone());
    if let Some(picked) = found {
        boot::explore(Strategy::Replay(picked), move || prepare_again(), move || end_again());
    }
    let took = begun.elapsed().as_secs_f64();
    for (text, many) in outcomes.lock().unwrap().iter() {
        println!("{many} x {text}");
    }
    println!("schedules {:016x}", tasks::schedules());
    println!(
        "{executions} in {took:.3} s, {:.0}/s, {} steps each, {} KiB hot",
        executions as f64 / took,
        *steps.lock().unwrap() / executions as u64,
        snapshot::hot_bytes() >> 10
    );
    0
}
