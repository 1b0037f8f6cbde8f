//! Memory as it was after boot, and the way back to it. Pages are read-only until
//! they are first written to; those that ever were are copied back before each
//! execution, which is a few hundred after the first executions.
//! Must not know: what lies in the memory.

use super::arena::{self, PAGE};
use super::pair;
use super::state::{Kernel, kernel};
use super::uffd;
use std::cell::UnsafeCell;

/// Bytes behind the arena's pages in use that are watched as well, though they are
/// only zero: those few that an execution touches are made zero again faster than
/// the system takes them back and gives them anew.
const FRESH: usize = 16 << 20;

/// A range of memory with its copy.
struct Range {
    start: usize,
    copy: Vec<u8>,
    /// By page: whether it was ever written to.
    hot: Vec<bool>,
    /// By page: whether it is nothing but zeros.
    zero: Vec<bool>,
    /// Whether the pages are protected until then.
    tracked: bool,
}

struct Snapshot {
    ranges: Vec<Range>,
    /// (range, first page, pages) of neighbours that are hot.
    runs: Vec<(usize, usize, usize)>,
    stale: bool,
    /// Pages that are hot, and as they were: none of the runs has them.
    skipped: Vec<usize>,
    kernel: Kernel,
}

impl Snapshot {
    /// Whether the page at `address` was nothing but zeros.
    fn is_zero(&self, address: usize) -> bool {
        let has = |range: &&Range| {
            range.tracked && (range.start..range.start + range.copy.len()).contains(&address)
        };
        let range = self.ranges.iter().find(has);
        range.is_some_and(|range| range.zero[(address - range.start) / PAGE])
    }
}

struct Global(UnsafeCell<[Option<Snapshot>; 2]>);
// SAFETY: one OS thread.
unsafe impl Sync for Global {}
static SNAPSHOT: Global = Global(UnsafeCell::new([None, None]));

/// That of the side that runs.
fn snapshot() -> Option<&'static mut Snapshot> {
    // SAFETY: one OS thread; a fault handler only marks pages.
    unsafe { (&mut *SNAPSHOT.0.get())[usize::from(kernel().side)].as_mut() }
}

fn protect(start: usize, bytes: usize, writable: bool) {
    let protection = libc::PROT_READ | if writable { libc::PROT_WRITE } else { 0 };
    // SAFETY: pages of a range.
    let failed = unsafe { libc::mprotect(start as *mut _, bytes, protection) };
    assert_eq!(failed, 0, "the system does not let memory be protected");
}

/// Takes the snapshot: of the arena, of `variables` (the image's own, from and
/// to), and of the main thread's thread-local storage `storage`.
pub fn take(variables: &[(usize, usize)], storage: (usize, usize)) {
    let state = kernel();
    arena::settle();
    uffd::settle(state);
    let missing = state.clone();
    uffd::present_all(state, |_| false);
    uffd::missing_pages(&missing).iter().for_each(|page| arena::zero(*page, PAGE));
    let mut ranges = Vec::new();
    for ((start, bytes), fresh) in arena::used().into_iter().zip([0, FRESH]) {
        ranges.push(range(start, start + bytes, fresh, true));
    }
    ranges.extend(arena::stacks().map(|stack| range(stack.start, stack.end, 0, true)));
    for (start, end) in variables {
        // Whole pages are tracked, the rest is always copied.
        let (first, last) = (start.next_multiple_of(PAGE), end & !(PAGE - 1));
        if first < last {
            ranges.push(range(first, last, 0, true));
            ranges.push(range(*start, first, 0, false));
            ranges.push(range(last, *end, 0, false));
        } else {
            ranges.push(range(*start, *end, 0, false));
        }
    }
    // A program may have none.
    if storage.0 < storage.1 {
        ranges.push(range(storage.0, storage.1, 0, false));
    }
    for range in &ranges {
        if range.tracked {
            protect(range.start, range.copy.len(), false);
        }
    }
    let (runs, skipped) = (Vec::new(), Vec::new());
    let snapshot = Snapshot { ranges, runs, stale: true, skipped, kernel: missing };
    // SAFETY: one OS thread.
    unsafe { (&mut *SNAPSHOT.0.get())[usize::from(state.side)] = Some(snapshot) };
    *state = self::snapshot().expect("just taken").kernel.clone();
    for page in uffd::missing_pages(state) {
        touch(page);
    }
    uffd::protect_all(state, Vec::new());
}

fn range(start: usize, end: usize, fresh: usize, tracked: bool) -> Range {
    // Zeros that nobody writes to take no memory.
    let mut copy = vec![0; end - start + fresh];
    // SAFETY: memory of the image that is mapped and readable.
    let slice = |bytes| unsafe { std::slice::from_raw_parts(start as *const u8, bytes) };
    let now = if start == end { &[] } else { slice(end - start) };
    copy[..now.len()].copy_from_slice(now);
    let pages = copy.len().div_ceil(PAGE);
    // A page of what is fresh is zero, and is read here no more than anywhere.
    let zero = copy[..now.len()].chunks(PAGE).map(|page| page.iter().all(|byte| *byte == 0));
    let zero: Vec<bool> = zero.chain(std::iter::repeat(true)).take(pages).collect();
    Range { start, copy, hot: vec![!tracked; pages], zero, tracked }
}

/// Whether a snapshot was taken.
pub fn taken() -> bool {
    snapshot().is_some()
}

/// Marks the page of `address` as written to; false if it is not tracked, or was
/// so marked before.
pub fn touch(address: usize) -> bool {
    let Some(snapshot) = snapshot() else { return false };
    let within = |range: &&mut Range| {
        range.tracked && (range.start..range.start + range.copy.len()).contains(&address)
    };
    let Some(range) = snapshot.ranges.iter_mut().find(within) else { return false };
    let page = (address - range.start) / PAGE;
    if std::mem::replace(&mut range.hot[page], true) {
        return false;
    }
    protect(range.start + page * PAGE, PAGE, true);
    snapshot.stale = true;
    true
}

/// Puts memory and kernel back.
pub fn restore() {
    pair::each(put_back);
    kernel().clone_from(&snapshot().expect("one was taken").kernel);
    pair::each(|| {
        let skipped = &snapshot().expect("one was taken").skipped;
        uffd::protect_all(kernel(), skipped.clone());
    });
}

fn put_back() {
    let state = kernel();
    let snapshot = snapshot().expect("one was taken");
    let kept = uffd::present_all(state, |page| snapshot.is_zero(page));
    // The arena's second range is that of pages.
    arena::give_back(snapshot.ranges[1].start + snapshot.ranges[1].copy.len());
    if std::mem::take(&mut snapshot.stale) || kept != snapshot.skipped {
        snapshot.runs = runs(&snapshot.ranges, &kept);
        snapshot.skipped.clone_from(&kept);
    }
    for (range, first, pages) in &snapshot.runs {
        let range = &snapshot.ranges[*range];
        let from = first * PAGE;
        let to = (from + pages * PAGE).min(range.copy.len());
        // SAFETY: the range is mapped, and these pages are writable.
        unsafe {
            std::ptr::copy_nonoverlapping(
                range.copy[from..to].as_ptr(),
                (range.start + from) as *mut u8,
                to - from,
            );
        }
    }
}

/// After memory was put back: the first address that is not as it was.
pub fn difference() -> Option<usize> {
    for range in &snapshot()?.ranges {
        if range.copy.is_empty() {
            continue;
        }
        // SAFETY: the range is mapped and, since `restore`, readable.
        let now = unsafe { std::slice::from_raw_parts(range.start as *const u8, range.copy.len()) };
        if let Some(at) = (0..now.len()).find(|at| now[*at] != range.copy[*at]) {
            return Some(range.start + at);
        }
    }
    None
}

fn runs(ranges: &[Range], skipped: &[usize]) -> Vec<(usize, usize, usize)> {
    let mut runs: Vec<(usize, usize, usize)> = Vec::new();
    for (nth, range) in ranges.iter().enumerate() {
        let skips = |page: usize| skipped.binary_search(&(range.start + page * PAGE)).is_ok();
        for page in (0..range.hot.len()).filter(|page| range.hot[*page] && !skips(*page)) {
            match runs.last_mut() {
                Some(last) if last.0 == nth && last.1 + last.2 == page => last.2 += 1,
                _ => runs.push((nth, page, 1)),
            }
        }
    }
    runs
}
