//! What is remembered of memory: for each eight bytes, the accesses that a later
//! one may still race with. As FastTrack does (Flanagan and Freund, PLDI 2009), an
//! access that is known to all that comes after another one is not kept: whatever
//! races with it then races with the later one too. Where FastTrack has one write
//! and one read or a clock of reads, here is a list: bytes of a word are told apart,
//! and so are atomic accesses and plain ones.
//! Must not know: what orders threads.

use crate::exec::kernel::state::Tid;
use crate::exec::kernel::vector_clock::Clock;
use crate::numbers::{NumberMap, NumberSet};

/// How memory is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Read,
    Write,
    AtomicRead,
    AtomicWrite,
    /// The block that it is in is freed: as a write.
    Free,
}

impl Kind {
    /// Whether it may change what is there.
    pub fn writes(self) -> bool {
        !matches!(self, Kind::Read | Kind::AtomicRead)
    }

    fn atomic(self) -> bool {
        matches!(self, Kind::AtomicRead | Kind::AtomicWrite)
    }

    /// Whether two of these, by two threads and not ordered, are a data race.
    fn conflicts(self, other: Kind) -> bool {
        (self.writes() || other.writes()) && !(self.atomic() && other.atomic())
    }

    /// Whether whatever conflicts with `old` conflicts with this, too.
    fn covers(self, old: Kind) -> bool {
        match self {
            Kind::Write | Kind::Free => true,
            Kind::AtomicWrite => old.atomic(),
            Kind::Read => matches!(old, Kind::Read | Kind::AtomicRead),
            Kind::AtomicRead => old == Kind::AtomicRead,
        }
    }
}

/// An access that is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub tid: Tid,
    /// When, by its thread's own clock.
    pub time: u32,
    /// Which bytes of the eight.
    mask: u8,
    pub kind: Kind,
    /// The instruction.
    pub site: usize,
    /// Its callers, if they were kept.
    pub stack: u32,
    /// The next of the same eight bytes.
    next: u32,
}

const NONE: u32 = u32::MAX;
const PAGE: usize = 4096;
const WORDS: usize = PAGE / 8;

/// Addresses.
pub type Addresses = NumberSet<usize>;

/// One thread's access to eight bytes or fewer of them.
#[derive(Clone, Copy, Debug)]
pub struct Touch {
    pub tid: Tid,
    pub kind: Kind,
    pub site: usize,
    pub stack: u32,
}

/// All that is remembered in an execution.
pub struct Shadow {
    /// By page: where its words are.
    pages: NumberMap<usize, usize>,
    /// By word: the first record of it.
    words: Vec<[u32; WORDS]>,
    records: Vec<Record>,
    /// Records that are free.
    free: u32,
    /// The page that was asked for last, and where its words are.
    last: Option<(usize, usize)>,
    /// Pages in use; the words of others are kept for their room.
    used: usize,
}

/// The words that `bytes` at `address` lie in, each with a mask of its bytes.
pub fn words(address: usize, bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let end = address + bytes;
    (address & !7..end).step_by(8).map(move |word| {
        let (from, to) = (address.max(word) - word, end.min(word + 8) - word);
        (word, ((1u16 << to) - (1u16 << from)) as u8)
    })
}

impl Default for Shadow {
    fn default() -> Shadow {
        let (pages, words, records) = Default::default();
        Shadow { pages, words, records, free: NONE, last: None, used: 0 }
    }
}

impl Shadow {
    /// Nothing has been touched.
    pub fn clear(&mut self) {
        self.pages.clear();
        self.records.clear();
        self.free = NONE;
        self.last = None;
        self.used = 0;
    }

    fn page(&self, page: usize) -> Option<usize> {
        match self.last {
            Some((last, at)) if last == page => Some(at),
            _ => self.pages.get(&page).copied(),
        }
    }

    /// The first record of a word.
    #[inline]
    fn head(&self, word: usize) -> u32 {
        self.page(word / PAGE).map_or(NONE, |page| self.words[page][word % PAGE / 8])
    }

    fn head_mut(&mut self, word: usize) -> &mut u32 {
        let page = word / PAGE;
        let at = match self.page(page) {
            Some(at) => at,
            None => {
                let at = self.used;
                self.used += 1;
                if self.words.len() < self.used {
                    self.words.push([NONE; WORDS]);
                } else {
                    self.words[at].fill(NONE);
                }
                self.pages.insert(page, at);
                at
            }
        };
        self.last = Some((page, at));
        &mut self.words[at][word % PAGE / 8]
    }

    fn records(&self, word: usize) -> impl Iterator<Item = &Record> {
        let mut next = self.head(word);
        std::iter::from_fn(move || {
            let record = self.records.get(next as usize)?;
            next = record.next;
            Some(record)
        })
    }

    /// Whether another thread has touched one of these bytes.
    #[inline]
    pub fn shared(&self, tid: Tid, address: usize, bytes: usize) -> bool {
        words(address, bytes).any(|(word, mask)| {
            self.records(word).any(|record| record.tid != tid && record.mask & mask != 0)
        })
    }

    /// Takes an access to `mask` of a word down; `clock` is what its thread knows.
    /// `race` is called with each access before that it races with.
    pub fn touch(
        &mut self,
        (word, mask): (usize, u8),
        clock: &Clock,
        touch: Touch,
        mut race: impl FnMut(&Record),
    ) {
        let Touch { tid, kind, site, stack } = touch;
        let time = clock.get(tid);
        let (mut before, mut at) = (NONE, self.head(word));
        while let Some(record) = self.records.get(at as usize) {
            let next = record.next;
            if record.mask & mask == 0 {
                (before, at) = (at, next);
                continue;
            }
            let known = record.time <= clock.get(record.tid);
            if record.tid == tid {
                // The same again, and nothing has happened in between that another
                // thread could know of.
                if record.time == time && record.kind == kind && record.mask & mask == mask {
                    return;
                }
            } else if !known && record.kind.conflicts(kind) {
                race(record);
            }
            if known && record.mask & !mask == 0 && kind.covers(record.kind) {
                match before {
                    NONE => *self.head_mut(word) = next,
                    before => self.records[before as usize].next = next,
                }
                self.records[at as usize].next = self.free;
                self.free = at;
            } else {
                before = at;
            }
            at = next;
        }
        let next = self.head(word);
        let record = Record { tid, time, mask, kind, site, stack, next };
        let at = match self.records.get(self.free as usize).map(|record| record.next) {
            Some(next) => {
                let at = std::mem::replace(&mut self.free, next);
                self.records[at as usize] = record;
                at
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        *self.head_mut(word) = at;
    }

    /// The memory is somebody else's from now on.
    pub fn forget(&mut self, address: usize, bytes: usize) {
        for (page, words) in pages(address, bytes) {
            if let Some(at) = self.page(page) {
                self.words[at][words].fill(NONE);
            }
        }
    }

    /// Calls `each` with every record of a range.
    pub fn each(&self, address: usize, bytes: usize, mut each: impl FnMut(&Record)) {
        for (page, words) in pages(address, bytes) {
            let Some(at) = self.page(page) else { continue };
            for head in &self.words[at][words] {
                let mut next = *head;
                while let Some(record) = self.records.get(next as usize) {
                    each(record);
                    next = record.next;
                }
            }
        }
    }
}

/// The pages of a range, and which words of each.
fn pages(address: usize, bytes: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
    let (start, end) = (address & !7, (address + bytes).next_multiple_of(8));
    (start / PAGE..end.div_ceil(PAGE)).map(move |page| {
        let (from, to) = (start.max(page * PAGE), end.min((page + 1) * PAGE));
        (page, from % PAGE / 8..from % PAGE / 8 + (to - from) / 8)
    })
}
