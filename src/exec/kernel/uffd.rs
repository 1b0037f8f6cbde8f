//! userfaultfd: pages that are not there yet, who is told, and how they come. A
//! missing page is protected, so that whoever touches it faults, in C or not.
//! Must not know: who serves the faults.

use super::arena::{self, PAGE};
use super::file::{File, error};
use super::state::{Kernel, Key, Tid};
use libc::{EBADF, EEXIST, EINVAL};
use std::collections::BTreeSet;

/// Bytes of a `struct uffd_msg`.
pub const MESSAGE: usize = 32;
const API: u64 = 0xaa;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
const UFFDIO_WAKE: u64 = 0x8010_aa02;
const UFFDIO_COPY: u64 = 0xc028_aa03;
const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const EVENT_PAGEFAULT: u8 = 0x12;
const MODE_MISSING: u64 = 1;
const MODE_DONTWAKE: u64 = 1;
/// MISSING_HUGETLBFS, MISSING_SHMEM, THREAD_ID.
const FEATURES: u64 = 1 << 4 | 1 << 5 | 1 << 8;

/// Which pages are missing, and who is told of faults.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    missing: BTreeSet<usize>,
    /// Ranges that were ever discarded: start, bytes.
    discarded: Vec<(usize, usize)>,
    /// (file, start, end).
    ranges: Vec<(usize, usize, usize)>,
    /// The largest range that was ever registered, which is the guest's RAM: start,
    /// bytes.
    pub largest: (usize, usize),
}

/// An `ioctl` on a userfaultfd.
#[derive(Debug)]
pub struct Call {
    pub fd: i32,
    pub request: u64,
    pub argument: usize,
}

/// Writes the message of a fault.
pub fn message(into: usize, address: usize, tid: Tid) {
    // SAFETY: the caller's buffer of `MESSAGE` bytes.
    unsafe {
        std::ptr::write_bytes(into as *mut u8, 0, MESSAGE);
        (into as *mut u8).write(EVENT_PAGEFAULT);
        ((into + 16) as *mut u64).write_unaligned(address as u64);
        ((into + 24) as *mut u32).write_unaligned(super::process::task_id(tid) as u32);
    }
}

fn protect(page: usize, bytes: usize, readable: bool) {
    let protection = if readable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_NONE };
    // SAFETY: whole pages of the arena.
    unsafe { libc::mprotect(page as *mut _, bytes, protection) };
}

/// The system may take these pages back (`MADV_DONTNEED`): they are not there, and
/// whoever touches them finds zeros, or is made to wait if they are registered.
pub fn discard(kernel: &mut Kernel, start: usize, bytes: usize) {
    for page in (start..start + bytes).step_by(PAGE) {
        super::snapshot::touch(page);
    }
    give_back(start, bytes);
    let missing: Vec<usize> =
        (start..start + bytes).step_by(PAGE).filter(|page| told(kernel, *page).is_some()).collect();
    protect_each(&missing, false);
    kernel.faults.missing.extend(missing);
    kernel.faults.discarded.push((start, bytes));
}

fn give_back(start: usize, bytes: usize) {
    // SAFETY: whole pages of the arena.
    unsafe { libc::madvise(start as *mut _, bytes, libc::MADV_DONTNEED) };
}

/// Protects pages, ascending, neighbours at once.
fn protect_each(pages: &[usize], readable: bool) {
    for run in pages.chunk_by(|one, next| one + PAGE == *next) {
        protect(run[0], run.len() * PAGE, readable);
    }
}

/// Those pages of a range that were discarded and that nobody has touched since,
/// ascending.
fn absent(kernel: &Kernel, start: usize, end: usize) -> Vec<usize> {
    let mut absent = Vec::new();
    let mut there = Vec::new();
    for (from, bytes) in &kernel.faults.discarded {
        let (first, last) = (start.max(*from), end.min(from + bytes));
        if first >= last {
            continue;
        }
        there.resize((last - first) / PAGE, 0u8);
        // SAFETY: whole pages of the arena, and a byte for each.
        unsafe { libc::mincore(first as *mut _, last - first, there.as_mut_ptr()) };
        let pages = (first..last).step_by(PAGE).zip(&there);
        absent.extend(pages.filter(|(_, there)| **there & 1 == 0).map(|(page, _)| page));
    }
    absent.sort_unstable();
    absent.dedup();
    absent
}

/// Before memory is copied, which touches all of it: what was discarded and is not
/// there is kept, page by page.
pub fn settle(kernel: &mut Kernel) {
    let absent = absent(kernel, 0, usize::MAX);
    let runs = absent.chunk_by(|one, next| one + PAGE == *next);
    kernel.faults.discarded = runs.map(|run| (run[0], run.len() * PAGE)).collect();
}

/// A range is registered: those of its pages that are not there are missing.
fn register(kernel: &mut Kernel, start: usize, end: usize) {
    let missing = absent(kernel, start, end);
    // They will come soon: having room for all of them at once is cheaper.
    for run in missing.chunk_by(|one, next| one + PAGE == *next) {
        // SAFETY: whole pages of the arena. Where the system does not know how, each
        // page has its own fault.
        unsafe { libc::madvise(run[0] as *mut _, run.len() * PAGE, libc::MADV_POPULATE_WRITE) };
    }
    protect_each(&missing, false);
    kernel.faults.missing.extend(missing);
}

/// Pages are unmapped: what replaces them is not missing.
pub fn forget(kernel: &mut Kernel, start: usize, bytes: usize) {
    kernel.faults.discarded.retain(|(from, size)| from + size <= start || start + bytes <= *from);
    if kernel.faults.missing.range(start..start + bytes).next().is_some() {
        kernel.faults.missing.retain(|page| !(start..start + bytes).contains(page));
        protect(start, bytes, true);
    }
}

/// Makes every page accessible, before memory is put back.
pub fn present_all(kernel: &mut Kernel) {
    let missing: Vec<usize> = std::mem::take(&mut kernel.faults.missing).into_iter().collect();
    protect_each(&missing, true);
}

/// Takes the pages away again that were not there, after memory was put back.
pub fn protect_all(kernel: &Kernel) {
    kernel.faults.discarded.iter().for_each(|(start, bytes)| give_back(*start, *bytes));
    protect_each(&missing_pages(kernel), false);
}

/// Whether any page is missing.
pub fn any(kernel: &Kernel) -> bool {
    !kernel.faults.missing.is_empty()
}

/// Whether a page is missing.
pub fn missing(kernel: &Kernel, address: usize) -> bool {
    kernel.faults.missing.contains(&(address & !(PAGE - 1)))
}

/// Who is told of faults at `address`.
fn told(kernel: &Kernel, address: usize) -> Option<usize> {
    let ranges = &kernel.faults.ranges;
    ranges.iter().find(|(_, start, end)| (*start..*end).contains(&address)).map(|range| range.0)
}

/// Whether whoever touches `address` has to wait for somebody to bring the page.
pub fn served(kernel: &Kernel, address: usize) -> bool {
    missing(kernel, address) && told(kernel, address).is_some()
}

/// A thread touched a missing page: tells, and waits for it.
pub fn fault(kernel: &mut Kernel, tid: Tid, address: usize) -> Option<isize> {
    let page = address & !(PAGE - 1);
    if !missing(kernel, page) {
        return Some(0);
    }
    let Some(file) = told(kernel, address) else {
        bring(kernel, page, None);
        return Some(0);
    };
    if let File::Faults { events } = &mut kernel.files.all[file] {
        events.push_back((page, tid));
    }
    kernel.wake(Key::File(file));
    kernel.wait(tid, Key::Page(page), None);
    None
}

/// Puts a page there: a copy, or zeros.
pub fn bring(kernel: &mut Kernel, page: usize, from: Option<usize>) {
    kernel.faults.missing.remove(&page);
    protect(page, PAGE, true);
    // SAFETY: both are whole pages; the page is zero since it was discarded.
    if let Some(from) = from {
        unsafe { std::ptr::copy_nonoverlapping(from as *const u8, page as *mut u8, PAGE) };
    }
}

/// The userfaultfd is gone: nobody is told any more, and whoever waits goes on.
pub fn closed(kernel: &mut Kernel, file: usize) {
    let ranges = std::mem::take(&mut kernel.faults.ranges);
    let (gone, kept): (Vec<_>, Vec<_>) = ranges.into_iter().partition(|range| range.0 == file);
    kernel.faults.ranges = kept;
    gone.iter().for_each(|range| wake(kernel, range.1, range.2));
}

fn wake(kernel: &mut Kernel, start: usize, end: usize) {
    for page in (start..end).step_by(PAGE) {
        kernel.wake(Key::Page(page));
    }
}

impl Call {
    /// The pages that it is about to bring, or whose waiters it wakes: start, bytes.
    pub fn pages(&self) -> (usize, usize) {
        // SAFETY: each request's argument begins with at least this many words.
        let word = |nth: usize| unsafe { *(self.argument as *const u64).add(nth) as usize };
        match self.request {
            UFFDIO_COPY => (word(0), word(2)),
            UFFDIO_ZEROPAGE | UFFDIO_WAKE | UFFDIO_UNREGISTER => (word(0), word(1)),
            _ => (0, 0),
        }
    }

    /// Done at once: no request waits.
    pub fn attempt(&mut self, kernel: &mut Kernel, _: Tid) -> Option<isize> {
        let Some(file) = kernel.files.file(self.fd) else { return error(EBADF) };
        // SAFETY: each request's argument begins with at least this many words.
        let word = |nth: usize| unsafe { &mut *(self.argument as *mut u64).add(nth) };
        let range = || (*word(0) as usize, (*word(0) + *word(1)) as usize);
        match self.request {
            UFFDIO_API => {
                if *word(0) != API || *word(1) & !FEATURES != 0 {
                    return error(EINVAL);
                }
                *word(1) = FEATURES;
                // REGISTER, UNREGISTER, API.
                *word(2) = 0b11 | 1 << 0x3f;
            }
            UFFDIO_REGISTER => {
                if *word(2) != MODE_MISSING || !arena::contains(range().0) {
                    return error(EINVAL);
                }
                kernel.faults.ranges.push((file, range().0, range().1));
                register(kernel, range().0, range().1);
                let bytes = range().1 - range().0;
                if kernel.faults.largest.1 < bytes {
                    kernel.faults.largest = (range().0, bytes);
                }
                // WAKE, COPY, ZEROPAGE.
                *word(3) = 0b11100;
            }
            UFFDIO_UNREGISTER => {
                let (start, end) = range();
                kernel.faults.ranges.retain(|range| !(range.0 == file && range.1 == start));
                wake(kernel, start, end);
            }
            UFFDIO_WAKE => wake(kernel, range().0, range().1),
            UFFDIO_COPY => {
                let (to, from, bytes, mode) = (*word(0), *word(1), *word(2), *word(3));
                *word(4) = place(kernel, to as usize, Some(from as usize), bytes, mode) as u64;
                return Some(if (*word(4) as i64) < 0 { *word(4) as isize } else { 0 });
            }
            UFFDIO_ZEROPAGE => {
                let (to, bytes, mode) = (*word(0), *word(1), *word(2));
                *word(3) = place(kernel, to as usize, None, bytes, mode) as u64;
                return Some(if (*word(3) as i64) < 0 { *word(3) as isize } else { 0 });
            }
            _ => return error(EINVAL),
        }
        Some(0)
    }
}

/// COPY and ZEROPAGE: bytes placed, or an errno below zero.
fn place(kernel: &mut Kernel, to: usize, from: Option<usize>, bytes: u64, mode: u64) -> i64 {
    if !to.is_multiple_of(PAGE) || !(bytes as usize).is_multiple_of(PAGE) {
        return -i64::from(EINVAL);
    }
    if told(kernel, to).is_none() {
        return -i64::from(libc::ENOENT);
    }
    for offset in (0..bytes as usize).step_by(PAGE) {
        if !missing(kernel, to + offset) {
            return if offset > 0 { offset as i64 } else { -i64::from(EEXIST) };
        }
        bring(kernel, to + offset, from.map(|from| from + offset));
        if mode & MODE_DONTWAKE == 0 {
            kernel.wake(Key::Page(to + offset));
        }
    }
    bytes as i64
}

/// The missing pages.
pub fn missing_pages(kernel: &Kernel) -> Vec<usize> {
    kernel.faults.missing.iter().copied().collect()
}

/// The first byte of a page that is there.
pub fn byte(address: usize) -> u8 {
    // SAFETY: a page of the arena; a missing one is brought by the fault's handler.
    unsafe { (address as *const u8).read_volatile() }
}

/// A whole page; one that is missing reads as zeros.
pub fn page(address: usize) -> [u8; PAGE] {
    // SAFETY: a page of the arena; a missing one is brought by the fault's handler.
    unsafe { *(address as *const [u8; PAGE]) }
}
