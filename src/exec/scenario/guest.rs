//! The guest of a source: its memory, whether it runs, and its threads that write
//! to its memory (`glue/qemu/guest.c`).
//! Must not know: who migrates it.

use super::board::Board;
use super::pair;
use crate::exec::judge::Breach;
use crate::exec::kernel::state::kernel;
use crate::exec::kernel::sync::Op;
use crate::exec::kernel::tasks::choose;
use crate::exec::kernel::{boot, process, uffd};
use crate::lock::Rule;
use std::os::raw::c_int;
use std::sync::{Arc, Mutex, PoisonError};

/// A page of it.
pub const PAGE: usize = 4096;

/// In nanoseconds: what a limited migration waits for between two pages.
const PAUSE: u64 = 100_000_000;

/// What the guest is, and what it did.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Where QEMU has it.
    host: usize,
    /// By page, the byte that it is full of.
    pub pages: Vec<u8>,
    pub runs: bool,
    /// When it stops, the network to the other side of a pair stalls after so many
    /// bytes.
    pub stalls_after: Option<usize>,
    /// Since then all threads have been at rest.
    pub at_rest: bool,
    /// Writes that each thread may have done by now.
    pub allowed: usize,
    /// Writes by thread.
    done: Vec<usize>,
}

/// The guest of the execution that runs, on each side of a pair. What C calls has no
/// other way to it.
static GUESTS: [Mutex<Option<Arc<Board<Memory>>>>; 2] = [const { Mutex::new(None) }; 2];

fn find(side: u8) -> Option<Arc<Board<Memory>>> {
    GUESTS[usize::from(side)].lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn guest() -> Arc<Board<Memory>> {
    find(kernel().side).expect("the guest's threads begin after it")
}

fn put(side: u8, memory: Memory) -> Arc<Board<Memory>> {
    let board = Arc::new(Board::new(memory));
    let guest = &GUESTS[usize::from(side)];
    *guest.lock().unwrap_or_else(PoisonError::into_inner) = Some(board.clone());
    board
}

impl Memory {
    /// Fills QEMU's memory at boot, a byte a page; asked of a thread of C that is
    /// done before the snapshot.
    pub fn fill(pages: Vec<u8>) {
        put(kernel().side, Memory { pages, ..Memory::default() });
        boot::add_guest("guest begin", 0);
    }

    /// As it was after boot; none if it could not be filled.
    pub fn filled(side: u8) -> Option<Memory> {
        find(side)?.look(|memory| (memory.host != 0).then(|| memory.clone()))
    }

    /// Begins an execution with it, and with so many threads.
    pub fn begin(&self, threads: usize) -> Arc<Board<Memory>> {
        let board = put(0, Memory { done: vec![0; threads], ..self.clone() });
        for nth in 1..=threads {
            boot::add_guest(&format!("guest {nth}"), nth);
        }
        board
    }

    /// The same for side 1 of a pair, whose threads write nothing.
    pub fn begin_there(&self) -> Arc<Board<Memory>> {
        put(1, self.clone())
    }

    /// Where a page is.
    pub fn address(&self, page: usize) -> usize {
        self.host + page * PAGE
    }

    /// What QEMU has in a page now.
    pub fn page(&self, page: usize) -> [u8; PAGE] {
        uffd::page(self.host + page * PAGE)
    }
}

#[unsafe(no_mangle)]
extern "C" fn bqlcheck_guest_memory(host: usize, bytes: u64, runs: bool) {
    guest().with(|memory| {
        if bytes as usize != memory.pages.len() * PAGE {
            return;
        }
        for (page, byte) in memory.pages.iter().enumerate() {
            // SAFETY: QEMU has mapped so many bytes for its caller.
            unsafe { std::ptr::write_bytes((host + page * PAGE) as *mut u8, *byte, PAGE) };
        }
        memory.host = host;
        memory.runs = runs;
    });
}

#[unsafe(no_mangle)]
extern "C" fn bqlcheck_guest_runs(runs: bool) {
    guest().with(|memory| memory.runs = runs);
    if let Some(after) = guest().look(|memory| memory.stalls_after.filter(|_| !runs)) {
        pair::network::stall(after);
    }
    let other = 1 - kernel().side;
    if kernel().pair.is_some() && runs && find(other).is_some_and(|guest| guest.look(|g| g.runs)) {
        let who = kernel().threads[kernel().current].name.clone();
        let message = format!("{who} starts the guest, which runs on the other side");
        kernel().noted.push(Breach::new(Rule::GuestLost, message));
    }
}

/// The next write of a thread; zero: there is none.
#[unsafe(no_mangle)]
unsafe extern "C" fn bqlcheck_guest_next(nth: usize, page: *mut u64, byte: *mut u8) -> c_int {
    let pages = loop {
        // Nothing of ours is kept meanwhile: the execution may end in there, and then
        // the stack of a thread of C is left as it is.
        let next = guest()
            .ask(|memory| (memory.done[nth - 1] < memory.allowed).then_some(memory.pages.len()));
        match next {
            Ok(pages) => break pages,
            Err(wait) => process::call(wait),
        };
    };
    let count = guest().with(|memory| {
        memory.done[nth - 1] += 1;
        memory.done[nth - 1]
    });
    // At some time: while the migration connects, between two pages, in a later
    // iteration.
    if choose(3) == 0 {
        let until = kernel().now + choose(20) as u64 * PAUSE + 1;
        process::call(Op::Sleep { until, asleep: false });
    }
    for _ in 0..choose([1, 20, 200][choose(3)]) {
        process::call(Op::Yield);
    }
    // Some pages become zero.
    let value = if choose(4) == 0 { 0 } else { 32 + 16 * nth + count };
    // SAFETY: the caller's variables.
    unsafe {
        *page = choose(pages) as u64;
        *byte = value as u8;
    }
    1
}

/// The memory of a destination, page by page, with what the source had: what is
/// registered with userfaultfd, or all of it.
pub fn differs(pages: &[u8], memory: Option<&Memory>) -> Option<Breach> {
    let (start, bytes) = kernel().faults.largest;
    let (start, many) = match memory {
        Some(memory) => (memory.address(0), pages.len()),
        None => (start, bytes / PAGE),
    };
    if many == 0 {
        return Some(Breach::new(Rule::GuestLost, "no memory was registered"));
    }
    let differs = |page: &usize| uffd::page(start + page * PAGE) != [pages[*page]; PAGE];
    let page = (0..many).find(differs)?;
    let message = format!("page {page} is not what the source sent");
    Some(Breach::new(Rule::GuestLost, message))
}

/// A place to switch.
#[unsafe(no_mangle)]
extern "C" fn bqlcheck_guest_point() {
    process::call(Op::Yield);
}

#[unsafe(no_mangle)]
extern "C" fn bqlcheck_guest_wrote(page: u64, byte: u8) {
    guest().with(|memory| memory.pages[page as usize] = byte);
}
