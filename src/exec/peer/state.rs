//! What the two threads of a source share: migration state, dirty bitmaps, the
//! queue of page requests.
//! Must not know: who waits for what.

use super::guest::Guest;
use super::multifd::Sending;
use super::wire::Wire;
use crate::sim::stream::{ReceivedBitmap, TARGET_PAGE_SIZE};
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

/// QEMU_VM_PING_PACKAGED_LOADED, since 10.2: the package is loaded up to here.
pub(super) const PACKAGED_LOADED: u32 = 0x42;

/// `MigrationState.state`, as far as the peers go by it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    Active,
    /// Since 10.2: the package is sent, and not known to be loaded.
    PostcopyDevice,
    PostcopyActive,
    PostcopyPaused,
    PostcopyRecover,
}

/// Where the return path's thread is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReturnPath {
    /// Not opened.
    None,
    Running,
    /// With what was wrong, if it did not end by a SHUT that says 0.
    Ended(Option<String>),
}

/// Shared by a source's two threads (`MigrationState`, `RAMState`).
pub struct State {
    pub status: Status,
    pub return_path: ReturnPath,
    /// Values of the PONGs that came.
    pub pongs: Vec<u32>,
    /// `src_page_requests`: block and page.
    pub requests: VecDeque<(usize, usize)>,
    /// Requests that came, answered or not.
    pub requested: usize,
    /// The bitmaps, a page a bool, a block a row.
    pub dirty: Vec<Vec<bool>>,
    /// `postcopy_bmap_sync_requested`.
    pub bitmaps_wanted: usize,
    /// `postcopy_qemufile_src`, until the thread that writes to it takes it.
    pub preempt: Option<Box<dyn Wire + Send>>,
    pub multifd: Sending,
    /// `last_req_rb`.
    pub(super) last_block: Option<usize>,
}

impl State {
    /// Before the first page: all of them are dirty.
    pub fn new(guest: &Guest) -> Self {
        Self {
            status: Status::Active,
            return_path: ReturnPath::None,
            pongs: Vec::new(),
            requests: VecDeque::new(),
            requested: 0,
            dirty: guest.blocks.iter().map(|block| vec![true; block.pages.len()]).collect(),
            bitmaps_wanted: 0,
            preempt: None,
            multifd: Sending::default(),
            last_block: None,
        }
    }

    /// `open_return_path_on_source`: before `return_path` is run, and before
    /// `Source` goes on; for a recovery too.
    pub fn open_return_path(&mut self) {
        self.return_path = ReturnPath::Running;
        if self.status == Status::PostcopyPaused {
            self.status = Status::PostcopyRecover;
        }
    }

    /// Since 10.2: the destination has loaded the package.
    pub fn package_loaded(&self) -> bool {
        self.pongs.contains(&PACKAGED_LOADED)
    }

    /// Pages still to be sent.
    pub fn pending(&self) -> usize {
        self.dirty.iter().flatten().filter(|dirty| **dirty).count()
    }

    /// `migration_bitmap_clear_dirty`.
    pub(super) fn clear_dirty(&mut self, block: usize, page: usize) -> bool {
        std::mem::take(&mut self.dirty[block][page])
    }

    /// `ram_dirty_bitmap_reload`; false if it is not this block's size.
    pub(super) fn reload(&mut self, block: usize, bitmap: &ReceivedBitmap) -> bool {
        let dirty = &mut self.dirty[block];
        if bitmap.size() != ReceivedBitmap::of(dirty.len()).size() {
            return false;
        }
        dirty.iter_mut().enumerate().for_each(|(page, dirty)| *dirty = !bitmap.received(page));
        self.bitmaps_wanted = self.bitmaps_wanted.saturating_sub(1);
        true
    }

    /// The pages of a request; none if it reaches over the block's end.
    pub(super) fn pages_of(&self, block: usize, start: u64, length: u32) -> Option<Vec<usize>> {
        let size = TARGET_PAGE_SIZE as u64;
        if !start.is_multiple_of(size) || !u64::from(length).is_multiple_of(size) || length == 0 {
            return None;
        }
        let end = start.checked_add(length.into())? / size;
        let fits = end <= self.dirty[block].len() as u64;
        fits.then(|| ((start / size) as usize..end as usize).collect())
    }
}

/// A state that several threads may look at and wait for.
pub trait Shared<T = State> {
    /// Looks at it or changes it; whoever waits looks again.
    fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R;

    /// Waits until there is something.
    fn wait<R>(&self, ready: impl FnMut(&mut T) -> Option<R>) -> R;
}

/// The same for threads of the system.
pub struct Monitor<T = State> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Monitor<T> {
    pub fn new(state: T) -> Self {
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Shared<T> for Monitor<T> {
    fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = look(&mut state);
        self.changed.notify_all();
        result
    }

    fn wait<R>(&self, mut ready: impl FnMut(&mut T) -> Option<R>) -> R {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = ready(&mut state) {
                self.changed.notify_all();
                return result;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
