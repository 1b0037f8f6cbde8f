//! userfaultfd: pages that are not there yet, who is told, and how they come. A
//! missing page is protected, so that whoever touches it faults, in C or not. It
//! stays so when it has come, until somebody touches it: QEMU itself touches few
//! pages of a guest, and each change of protection is a call of the system.
//! Must not know: who serves the faults.

use super::arena::{self, PAGE};
use super::contents;
use super::file::{File, error};
use super::state::{Kernel, Key, Tid, kernel};
use libc::{EBADF, EEXIST, EINVAL};
use std::collections::BTreeMap;

/// Bytes of a `struct uffd_msg`.
pub const MESSAGE: usize = 32;
const API: u64 = 0xaa;
const UFFDIO_API: u64 = 0xc018_aa3f;
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
pub const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
pub const UFFDIO_WAKE: u64 = 0x8010_aa02;
pub const UFFDIO_COPY: u64 = 0xc028_aa03;
pub const UFFDIO_ZEROPAGE: u64 = 0xc020_aa04;
const EVENT_PAGEFAULT: u8 = 0x12;
const MODE_MISSING: u64 = 1;
const MODE_DONTWAKE: u64 = 1;
/// MISSING_HUGETLBFS, MISSING_SHMEM, THREAD_ID.
const FEATURES: u64 = 1 << 4 | 1 << 5 | 1 << 8;

/// What a protected page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    /// Who touches it has to wait.
    Missing,
    /// It has come, as zeros or as one of `contents`, and was not touched since.
    Come(Option<usize>),
}

/// Which pages are missing, and who is told of faults.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Those that are protected, and no others are.
    pages: BTreeMap<usize, Page>,
    /// How many of them are missing.
    missing: usize,
    /// Ranges that were ever discarded: start, bytes.
    discarded: Vec<(usize, usize)>,
    /// So many of `contents` are in use.
    contents: usize,
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

/// Protects pages, ascending, neighbours at once.
fn protect_each(pages: &[usize], readable: bool) {
    for run in pages.chunk_by(|one, next| one + PAGE == *next) {
        protect(run[0], run.len() * PAGE, readable);
    }
}

/// The system may take these pages back (`MADV_DONTNEED`): they are not there, and
/// whoever touches them finds zeros, or is made to wait if they are registered.
pub fn discard(kernel: &mut Kernel, start: usize, bytes: usize) {
    let mut fresh = Vec::new();
    for page in (start..start + bytes).step_by(PAGE) {
        super::snapshot::touch(page);
        let watched = told(kernel, page).is_some();
        match state(kernel, page) {
            None if watched => fresh.push(page),
            None => continue,
            Some(_) => {}
        }
        put(kernel, page, Some(if watched { Page::Missing } else { Page::Come(None) }));
    }
    give_back(start, bytes);
    protect_each(&fresh, false);
    kernel.faults.discarded.push((start, bytes));
}

fn give_back(start: usize, bytes: usize) {
    // SAFETY: whole pages of the arena.
    unsafe { libc::madvise(start as *mut _, bytes, libc::MADV_DONTNEED) };
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
    // One that is missing already stays so, one with a content is there.
    absent.retain(|page| matches!(state(kernel, *page), None | Some(Page::Come(None))));
    absent.sort_unstable();
    absent.dedup();
    absent
}

/// What a page is from now on; gives what it was.
fn put(kernel: &mut Kernel, page: usize, state: Option<Page>) -> Option<Page> {
    let faults = &mut kernel.faults;
    let before = match state {
        Some(state) => faults.pages.insert(page, state),
        None => faults.pages.remove(&page),
    };
    faults.missing += usize::from(state == Some(Page::Missing));
    faults.missing -= usize::from(before == Some(Page::Missing));
    before
}

/// What is known of the page that `address` lies in.
fn state(kernel: &Kernel, address: usize) -> Option<Page> {
    kernel.faults.pages.get(&(address & !(PAGE - 1))).copied()
}

/// A page that is there, or that nobody has to wait for, was touched: false if it is
/// not protected, or missing.
pub fn touch(kernel: &mut Kernel, address: usize) -> bool {
    let page = address & !(PAGE - 1);
    let content = match state(kernel, page) {
        None | Some(Page::Missing) => return false,
        Some(Page::Come(content)) => content,
    };
    put(kernel, page, None);
    protect(page, PAGE, true);
    // SAFETY: a whole page of the arena, which can be written to now.
    unsafe { *(page as *mut [u8; PAGE]) = content.map_or([0; PAGE], |nth| *contents::of(nth)) };
    true
}

/// Before memory is copied, which touches all of it: what was discarded and is not
/// there is kept, page by page; what has come is put in its place.
pub fn settle(kernel: &mut Kernel) {
    let absent = absent(kernel, 0, usize::MAX);
    let runs = absent.chunk_by(|one, next| one + PAGE == *next);
    kernel.faults.discarded = runs.map(|run| (run[0], run.len() * PAGE)).collect();
    for page in missing_pages(kernel) {
        if matches!(state(kernel, page), Some(Page::Come(_))) {
            touch(kernel, page);
        }
    }
}

/// A range is registered: those of its pages that are not there are missing.
fn register(kernel: &mut Kernel, start: usize, end: usize) {
    let missing = absent(kernel, start, end);
    let open: Vec<usize> =
        missing.iter().copied().filter(|page| state(kernel, *page).is_none()).collect();
    protect_each(&open, false);
    for page in missing {
        put(kernel, page, Some(Page::Missing));
    }
}

/// Pages are unmapped: what replaces them is not missing.
pub fn forget(kernel: &mut Kernel, start: usize, bytes: usize) {
    kernel.faults.discarded.retain(|(from, size)| from + size <= start || start + bytes <= *from);
    let range = kernel.faults.pages.range(start..start + bytes);
    let gone: Vec<usize> = range.map(|(page, _)| *page).collect();
    for page in &gone {
        put(kernel, *page, None);
    }
    protect_each(&gone, true);
}

/// Makes pages accessible, before memory is put back; all but those that will be
/// `zero`, which they are as long as nobody has touched them. Gives these.
pub fn present_all(kernel: &mut Kernel, zero: impl Fn(usize) -> bool) -> Vec<usize> {
    let (kept, open): (Vec<usize>, Vec<usize>) =
        missing_pages(kernel).into_iter().partition(|page| zero(*page));
    protect_each(&open, true);
    kernel.faults.pages.clear();
    (kernel.faults.missing, kernel.faults.contents) = (0, 0);
    kept
}

/// Takes the pages away again that were not there, after memory was put back; `kept`
/// is what `present_all` gave.
pub fn protect_all(kernel: &mut Kernel, kept: Vec<usize>) {
    kernel.faults.discarded.iter().for_each(|(start, bytes)| give_back(*start, *bytes));
    let missing = missing_pages(kernel);
    protect_each(&missing, false);
    for page in kept {
        kernel.faults.pages.entry(page).or_insert(Page::Come(None));
    }
}

/// Whether any page is missing.
pub fn any(kernel: &Kernel) -> bool {
    kernel.faults.missing > 0
}

/// Whether a page is missing.
pub fn missing(kernel: &Kernel, address: usize) -> bool {
    state(kernel, address) == Some(Page::Missing)
}

/// Who is told of faults at `address`.
pub fn told(kernel: &Kernel, address: usize) -> Option<usize> {
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
    let content = from.map(|from| {
        let nth = kernel.faults.contents;
        // SAFETY: the caller's page.
        contents::keep(nth, unsafe { &*(from as *const [u8; PAGE]) });
        kernel.faults.contents += 1;
        nth
    });
    put(kernel, page, Some(Page::Come(content)));
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

/// The pages that are protected, ascending.
pub fn missing_pages(kernel: &Kernel) -> Vec<usize> {
    kernel.faults.pages.keys().copied().collect()
}

/// The first byte of a page; of one that is not there it is zero.
pub fn byte(address: usize) -> u8 {
    match state(kernel(), address) {
        // SAFETY: a page of the arena that is not protected.
        None => unsafe { (address as *const u8).read_volatile() },
        Some(Page::Come(Some(nth))) => contents::of(nth)[address & (PAGE - 1)],
        Some(_) => 0,
    }
}

/// A whole page; one that is not there reads as zeros.
pub fn page(address: usize) -> [u8; PAGE] {
    match state(kernel(), address) {
        // SAFETY: a page of the arena that is not protected.
        None => unsafe { *(address as *const [u8; PAGE]) },
        Some(Page::Come(Some(nth))) => *contents::of(nth),
        Some(_) => [0; PAGE],
    }
}
