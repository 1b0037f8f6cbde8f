//! Boot: from the image's `main()` to a QEMU that waits for what will come, of
//! which a snapshot is taken; then executions from there. Tasks of a scenario are
//! threads too, with stacks outside of that memory.
//! Must not know: what the tasks do.

use super::context::Context;
use super::nesting::Nesting;
use super::state::{Ending, Thread, Tid, kernel};
use super::tasks::{self, Strategy};
use super::{fault, pair, process, race, snapshot, spin, thread};
use std::cell::UnsafeCell;
use std::ffi::CString;
use std::os::raw::{c_char, c_int};
use std::sync::Arc;

/// What the image says of itself (`glue/main.c`).
#[repr(C)]
pub struct Image {
    size: usize,
    main: extern "C" fn(c_int, *const *const c_char, *const *const c_char) -> c_int,
    data_start: usize,
    data_end: usize,
    bss_start: usize,
    bss_end: usize,
    /// `glue/qemu/guest.c`.
    guest: usize,
}

impl Image {
    /// Where its variables are.
    pub fn variables(&self) -> std::ops::Range<usize> {
        self.data_start..self.bss_end
    }

    /// Where the executable lies in memory, from and to.
    pub fn code(&self) -> (usize, usize) {
        unsafe extern "C" fn first(
            info: *mut libc::dl_phdr_info,
            _: usize,
            found: *mut libc::c_void,
        ) -> i32 {
            // SAFETY: the dynamic linker's own data; the first object is the image.
            unsafe { *found.cast::<usize>() = (*info).dlpi_addr as usize };
            1
        }
        let mut start = 0;
        // SAFETY: `first` keeps to the protocol.
        unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut start).cast()) };
        (start, self.bss_end)
    }
}

/// A task of a scenario; it gives none when the execution ended under it.
pub type Body = Arc<dyn Fn(Tid) -> Option<()> + Send + Sync>;

struct Boot {
    image: Option<&'static Image>,
    /// Of each process.
    arguments: [Vec<*const c_char>; 2],
    tasks: Vec<(Tid, Body)>,
}

struct Global(UnsafeCell<Boot>);
// SAFETY: one OS thread.
unsafe impl Sync for Global {}
static BOOT: Global = Global(UnsafeCell::new(Boot {
    image: None,
    arguments: [Vec::new(), Vec::new()],
    tasks: Vec::new(),
}));

fn boot() -> &'static mut Boot {
    // SAFETY: one OS thread, and no reference is kept over a switch.
    unsafe { &mut *BOOT.0.get() }
}

/// What a scenario's task does; none for a thread of QEMU.
pub fn scenario_task(tid: Tid) -> Option<Body> {
    boot().tasks.iter().find(|(task, _)| *task == tid).map(|(_, body)| body.clone())
}

/// Adds a task to the execution that is about to begin.
pub fn add_task(name: &str, body: Body) -> Tid {
    let side = kernel().side;
    let threads = &mut kernel().threads;
    threads.push(Thread { name: name.into(), scenario: true, side, ..Thread::default() });
    boot().tasks.push((threads.len() - 1, body));
    threads.len() - 1
}

/// Adds a thread of the guest, of C: number 0 begins it, others write to its memory.
pub fn add_guest(name: &str, nth: usize) -> Tid {
    let body = boot().image.expect("booted from an image").guest;
    let tid = thread::spawn(kernel(), body, nth, true).expect("room for a few");
    let state = kernel();
    state.threads[tid].name = state.named(name.into());
    // It has nothing to do with a migration.
    state.threads[tid].idle = true;
    tid
}

/// QEMU's `main()` on the main thread's stack.
extern "C" fn main_thread(_: usize) -> usize {
    let boot = boot();
    let image = boot.image.expect("booted from an image");
    let nothing: [*const c_char; 1] = [std::ptr::null()];
    let arguments = &boot.arguments[usize::from(kernel().side)];
    let many = arguments.len() as c_int - 1;
    let code = (image.main)(many, arguments.as_ptr(), nothing.as_ptr());
    process::exit(code)
}

/// Starts QEMU with `arguments` and runs it, with a task that sees it through,
/// until that task has ended and nothing can run; then takes the snapshot. What it
/// said meanwhile may be kept, as the beginning of each execution's log. An error is
/// how it ended instead, and what it said.
pub fn start(
    image: &'static Image,
    arguments: &[String],
    task: Body,
    keep_said: bool,
) -> Result<(), (Ending, String)> {
    begin(image);
    arrive(0, arguments, task, keep_said)?;
    keep();
    Ok(())
}

/// The same with a second QEMU in a process of its own, the other side of a pair;
/// sides are named by their prefixes.
pub fn start_pair(
    image: &'static Image,
    prefixes: [&'static str; 2],
    arguments: &[Vec<String>; 2],
    [first, second]: [Body; 2],
    keep_said: bool,
) -> Result<(), (Ending, String)> {
    begin(image);
    pair::split(prefixes);
    arrive(0, &arguments[0], first, keep_said)?;
    let main = pair::second(main_thread as *const () as usize, process::returned);
    arrive(main, &arguments[1], second, keep_said)?;
    pair::each(keep);
    Ok(())
}

fn begin(image: &'static Image) {
    assert_eq!(image.size, size_of::<Image>(), "the image was linked for another version");
    fault::install();
    spin::install(image.code());
    // What an execution gives back, the next one wants again, and as it was: without
    // bins of small blocks that have to be merged when a large one is freed.
    // SAFETY: three numbers of the allocator of this process.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
        libc::mallopt(libc::M_MXFAST, 0);
    }
    let body = main_thread as *const () as usize;
    // Before there is a second process: both have its storage where it is now.
    let context = Context::new(true, body, 0, process::returned);
    boot().image = Some(image);
    kernel().threads[0].context = context;
}

/// Runs the process whose main thread is `main` until `task` has seen it through.
fn arrive(
    main: Tid,
    arguments: &[String],
    task: Body,
    keep_said: bool,
) -> Result<(), (Ending, String)> {
    let side = kernel().threads[main].side;
    let own = &mut boot().arguments[usize::from(side)];
    for argument in arguments {
        let text = CString::new(argument.as_str()).expect("no zero in an argument");
        own.push(text.into_raw());
    }
    own.push(std::ptr::null());
    let seer = add_task("boot", task);
    let state = kernel();
    state.threads[seer].side = side;
    state.ends_idle_after = Some(seer);
    tasks::run(Strategy::Steady, || {}, || false);
    let state = kernel();
    state.ends_idle_after = None;
    state.enter(side);
    match (state.over.take(), state.exit()) {
        (Some(Ending::Quiet), None) if state.threads[seer].returned.is_some() => {}
        (ending, exit) => {
            let ending = exit.map(Ending::Exit).or(ending).unwrap_or(Ending::Quiet);
            return Err((ending, state.said.text().into()));
        }
    }
    // The main loop gives up the Big QEMU Lock, and nothing else, before it polls.
    state.bql = state.threads[main].unlocked;
    state.steps = 0;
    if !keep_said {
        state.said.clear();
    }
    state.threads.iter_mut().for_each(|thread| thread.idle = true);
    boot().tasks.clear();
    state.enter(0);
    Ok(())
}

/// Takes the snapshot.
fn keep() {
    let image = boot().image.expect("booted from an image");
    // What was done before belongs to no execution.
    kernel().nesting = Nesting::default();
    let variables = [(image.data_start, image.data_end), (image.bss_start, image.bss_end)];
    snapshot::take(&variables, storage());
}

/// Runs executions from the snapshot: `prepare` adds the tasks, `end` sees what
/// became of it and says whether to go on.
pub fn explore(strategy: Strategy, prepare: impl Fn() + 'static, end: impl Fn() -> bool + 'static) {
    let begin = move || {
        boot().tasks.clear();
        snapshot::restore();
        race::begin();
        prepare();
    };
    tasks::run(strategy, begin, end);
}

/// The main thread's storage that is the image's own, from and to.
fn storage() -> (usize, usize) {
    unsafe extern "C" fn first(
        info: *mut libc::dl_phdr_info,
        _: usize,
        found: *mut libc::c_void,
    ) -> i32 {
        // SAFETY: the dynamic linker's own data; the first object is the image.
        unsafe {
            let info = &*info;
            let segments = std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum as usize);
            if let Some(tls) = segments.iter().find(|segment| segment.p_type == libc::PT_TLS) {
                let start = info.dlpi_tls_data as usize;
                *found.cast::<(usize, usize)>() = (start, start + tls.p_memsz as usize);
            }
        }
        1
    }
    let mut found = (0, 0);
    // SAFETY: `first` keeps to the protocol.
    unsafe { libc::dl_iterate_phdr(Some(first), (&raw mut found).cast()) };
    found
}
