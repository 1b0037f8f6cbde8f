//! Data that threads share under a lock, or by hand-over: plain reads and
//! writes, checked against the declared protection.
//! Must not know: what the data is.

use super::object::ObjectId;
use super::world::World;
use crate::lock::Bytes;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock};

/// Part of the state: something whose content can be fingerprinted.
pub trait Observable: Send + Sync {
    /// Writes the content to `bytes`.
    fn feed(&self, bytes: &mut Bytes);
}

/// How a cell is protected from races.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protection {
    /// Only while holding this mutex.
    Lock(ObjectId),
    /// One thread at a time, by a hand-over that the protocol makes (creation,
    /// join, semaphore); the dpor engine checks that there is one.
    HandOver,
}

struct Content<T> {
    protection: Protection,
    index: u16,
    data: Mutex<T>,
    /// The name under which it was freed, once it was.
    freed: OnceLock<&'static str>,
}

/// Shared data of type `T`. A handle: clones are the same cell.
pub struct Cell<T>(Arc<Content<T>>);

impl<T> Clone for Cell<T> {
    fn clone(&self) -> Cell<T> {
        Cell(self.0.clone())
    }
}

impl<T: Hash + Send> Observable for Content<T> {
    fn feed(&self, bytes: &mut Bytes) {
        bytes.feed(&self.freed.get().is_some());
        bytes.feed(&*self.data.lock().expect("no panic while held"));
    }
}

impl<T: Hash + Send + 'static> Cell<T> {
    /// Adds a cell to `world`.
    pub fn new(world: &mut World, protection: Protection, data: T) -> Cell<T> {
        let index = world.cells.len() as u16;
        let (data, freed) = (Mutex::new(data), OnceLock::new());
        let content = Arc::new(Content { protection, index, data, freed });
        world.cells.push(content.clone());
        world.cell_owners.push(None);
        Cell(content)
    }

    /// Declares the cell to be in the memory of `process`, alone.
    pub fn owned_by(self, world: &mut World, process: u8) -> Cell<T> {
        world.cell_owners[self.index() as usize] = Some(process);
        self
    }

    /// How it is protected.
    pub fn protection(&self) -> Protection {
        self.0.protection
    }

    /// Its index among the world's cells.
    pub fn index(&self) -> u16 {
        self.0.index
    }

    /// Frees it, as QEMU's `name`: whoever uses it from now on breaks BQL012.
    pub fn free(&self, name: &'static str) {
        // Freed twice is a use after the first time, which is told by then.
        let _ = self.0.freed.set(name);
    }

    /// The name under which it was freed, if it was.
    pub fn freed(&self) -> Option<&'static str> {
        self.0.freed.get().copied()
    }

    /// Reads or writes the data outside of any thread: at the judging.
    pub fn peek<A>(&self, f: impl FnOnce(&mut T) -> A) -> A {
        f(&mut self.0.data.lock().expect("no panic while held"))
    }
}
