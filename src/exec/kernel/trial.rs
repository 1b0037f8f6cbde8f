//! A run without a scenario, for small programs: the kernel's own tests. A program
//! of C that is linked like a QEMU sleeps once at its beginning, there the snapshot
//! is taken, and each execution is the rest of it. `pair:STRATEGY` runs two of it,
//! each of which has the number of its side as its last argument.
//! Must not know: QEMU.

use super::boot::{self, Image};
use super::choices::Choices;
use super::said::Said;
use super::state::{Ending, kernel};
use super::tasks::{self, Strategy};
use super::{pair, process, race, snapshot};
use crate::exec::judge;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::raw::{c_char, c_int};
use std::rc::Rc;
use std::sync::Arc;

/// Where a trial begins (`main.c` of the tests), with `STRATEGY CHOICES …`: what is
/// left of the arguments is the program's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn bqlcheck_trial(
    image: &'static Image,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    process::same_addresses();
    // SAFETY: `argv` has `argc` strings.
    let mut arguments: Vec<String> = (0..argc as usize)
        .map(|nth| unsafe { std::ffi::CStr::from_ptr(*argv.add(nth)) })
        .map(|text| text.to_string_lossy().into_owned())
        .collect();
    let mut own: Vec<String> = arguments.drain(1..3.min(arguments.len())).collect();
    let numbers = |text: &str| -> Vec<usize> {
        text.split([':', ',']).filter_map(|number| number.parse().ok()).collect()
    };
    let paired = own.first().is_some_and(|text| text.starts_with("pair:"));
    own.iter_mut().take(1).for_each(|text| *text = text.trim_start_matches("pair:").into());
    let strategy = match (own.first().map(String::as_str), own.first().map(|text| numbers(text))) {
        (Some(text), Some(all)) if text.starts_with("replay") => {
            Strategy::Replay(all.into_iter().map(Some).collect())
        }
        (_, Some(all)) if all.len() == 2 => {
            Strategy::Random { seed: all[0] as u64, executions: all[1] }
        }
        (_, Some(all)) if all.len() == 3 => {
            Strategy::Pct { seed: all[0] as u64, depth: all[1], executions: all[2] }
        }
        _ => Strategy::Steady,
    };
    let choices = match own.get(1).map(|text| numbers(text)).as_deref() {
        Some([timeouts, eintr, short, spurious]) => Choices {
            timeouts: *timeouts as u32,
            eintr: *eintr as u32,
            short: *short as u32,
            spurious: *spurious as u32,
            rate: 0,
        },
        _ => Choices::default(),
    };
    let nothing: boot::Body = Arc::new(|_| Some(()));
    let booted = match paired {
        false => boot::start(image, &arguments, nothing, false),
        true => {
            let of_side = |side: usize| [arguments.clone(), vec![side.to_string()]].concat();
            let both = [of_side(0), of_side(1)];
            boot::start_pair(image, ["0/", "1/"], &both, [nothing.clone(), nothing], false)
        }
    };
    if let Err((ending, said)) = booted {
        println!("boot: {} {said}", ended(image, &ending));
        return 1;
    }
    let all: Rc<RefCell<BTreeMap<String, (usize, String)>>> = Rc::default();
    let seen = all.clone();
    let races: Rc<RefCell<BTreeMap<String, usize>>> = Rc::default();
    let (base, met) = (image.code().0, races.clone());
    let end = move || {
        for race in race::found() {
            let side = |access: &race::Access| {
                let by = match paired {
                    true => format!("{}: ", judge::name(kernel(), access.tid)),
                    false => String::new(),
                };
                format!("{by}{:?} +{:x}", access.kind, access.site.saturating_sub(base))
            };
            let (one, two) = (side(&race.first), side(&race.second));
            let pair = if one < two { format!("{one} {two}") } else { format!("{two} {one}") };
            *met.borrow_mut().entry(pair).or_default() += 1;
        }
        let state = kernel();
        let ending = state.over.clone().unwrap_or(Ending::Quiet);
        let text = match paired {
            false => format!("{} {:?}{}", ended(image, &ending), state.said.text(), broken(image)),
            true => {
                let exits = state.exits().map(|exit| exit.map_or("-".into(), |e| e.1.to_string()));
                let [first, second] = state.both_said().map(Said::text);
                let codes = exits.join(" ");
                let broken = broken(image);
                format!("{} {codes} {first:?} {second:?}{broken}", ended(image, &ending))
            }
        };
        let mut seen = seen.borrow_mut();
        let first = || (0, tasks::picked().iter().map(|tid| format!(",{tid}")).collect());
        seen.entry(text).or_insert_with(first).0 += 1;
        true
    };
    if race::linked() {
        race::learn(true);
        boot::explore(Strategy::Random { seed: 0, executions: 32 }, || {}, || true);
        race::learn(false);
    }
    boot::explore(strategy, move || kernel().choices = choices, end);
    for (text, (many, picked)) in all.borrow().iter() {
        println!("{many} x {text} replay{picked}");
    }
    eprintln!("memory {} KiB", crate::memory::peak_rss_kib());
    for (pair, many) in races.borrow().iter() {
        println!("{many} races {pair}");
    }
    println!("schedules {:016x}", tasks::schedules());
    snapshot::restore();
    let there = if paired { pair::on(1, snapshot::difference) } else { None };
    match snapshot::difference().or(there) {
        None => println!("memory as it was"),
        Some(address) => println!("memory differs at {address:#x}"),
    }
    0
}

/// What it broke besides: `; BQL013 thread 1 is never joined`.
fn broken(image: &'static Image) -> String {
    let state = kernel();
    let mut all = judge::misuses(state, &Places(image));
    if matches!(state.over, Some(Ending::Exit(_))) {
        all.extend(judge::never_joined(state));
    }
    all.iter().map(|breach| format!("; {} {}", breach.rule.code(), breach.message)).collect()
}

/// Functions by their offset, and no names of variables.
struct Places(&'static Image);

impl judge::Names for Places {
    fn object(&self, address: usize) -> String {
        let (code, variables) = (self.0.code(), self.0.variables());
        match () {
            () if variables.contains(&address) => "a variable".into(),
            () if (code.0..code.1).contains(&address) => format!("+{:x}", address - code.0),
            () => "the heap".into(),
        }
    }
}

/// In a word, and where: offsets in the image, innermost first.
fn ended(image: &Image, ending: &Ending) -> String {
    match ending {
        Ending::Quiet => "quiet".into(),
        Ending::Done => "done".into(),
        Ending::Exit(code) => format!("exit {code}"),
        Ending::Steps => "steps".into(),
        Ending::Crash(what, trace) => format!("crash {what} at {}", places(image, trace)),
        Ending::Spins { frames, .. } => format!("spins at {}", places(image, frames)),
    }
}

fn places(image: &Image, trace: &[usize]) -> String {
    let (first, last) = image.code();
    let here = trace.iter().filter(|at| (first..last).contains(at));
    here.map(|at| format!("+{:x}", at - first)).collect()
}
